//! A study file becomes a graph of stages; plan, run, resume, verify.
//!
//! 1. [`Study`] (`config/`): the TOML text, with `--set` overrides, becomes checked settings.
//! 2. `graph`: the settings become stages, each with a recipe whose hash names its artifact.
//! 3. [`plan`] compares the recipes with a store and estimates what is missing.
//! 4. [`run`] makes what is missing, one stage after the other, and publishes the report.
//! 5. [`FinishedRun`] opens what is there for whoever goes on by hand.
//!
//! A stage (`stages/`, one file each) only translates its part of the study into library calls and their
//! results into files. The order:
//!
//! ```text
//! base -> evaluation base (gate) -> variant v -> evaluation v -> trajectories, select -> capture -> dictionary -> diff
//!      -> comparison -> experiments -> claims -> report
//! ```
//!
//! This is the only floor that knows every stage.

mod config;
mod finished;
mod graph;
pub(crate) mod overrides;
mod parse;
mod place;
mod plan;
mod publish;
mod run;
mod stage;
mod stages;

pub(crate) use config::post_training;
pub use config::*;
pub use finished::FinishedRun;
pub use place::RunPlace;
pub use plan::{Plan, PlannedStage, plan};
pub use run::{FinishedStage, RunSummary, default_out, run};
pub use stage::Estimate;
