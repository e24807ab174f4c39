//! A study file becomes a graph of stages.

pub(crate) mod overrides;
mod parse;
