//! Policy gradient: one trainer; the methods differ in data.
//!
//! * [`settings`]: every difference between methods is a field; `grpo`, `dapo`, … name settings.
//! * `rollout`: sample, verify, shape the reward.
//! * [`advantages`] and `critic` (with `gae`): rewards become advantages.
//! * [`objectives`]: losses, averages and KL terms, with their gradients in closed form.
//! * `trainer`: the step that puts these together.
//! * [`golden`]: recomputes a file of reference numbers (`deltascope check objectives`).

pub mod advantages;
mod critic;
mod gae;
pub mod golden;
pub mod objectives;
pub(super) mod rollout;
pub mod settings;
mod trainer;

pub use settings::RlSettings;
pub use trainer::train_rl;
