//! Post-training: supervised fine-tuning and policy gradient, with exact resume.

pub mod rl;
