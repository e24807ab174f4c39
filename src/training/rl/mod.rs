//! Policy gradient: one trainer; the methods differ in data.
//!
//! * [`advantages`]: rewards of a group become advantages.
//! * [`objectives`]: losses, averages and KL terms, with their gradients in closed form.
//! * [`presets`]: which of these a named method (`grpo`, `dapo`, …) puts together.
//! * [`golden`]: recomputes a file of reference numbers (`deltascope check objectives`).

pub mod advantages;
pub mod golden;
pub mod objectives;
pub mod presets;
