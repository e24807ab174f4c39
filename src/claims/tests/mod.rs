//! Verdicts on made-up evidence whose right verdict is known.

mod base;
mod controls;
mod objections;
mod other_axis;
mod verdicts;
mod whole_answer;
mod world;

pub(super) use world::effect;
