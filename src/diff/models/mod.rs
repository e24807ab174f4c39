//! What changed between models, without a dictionary.
//!
//! Everything here reads models on the same prompts, the first model being the base:
//!
//! * [`divergence()`]: how far next-token predictions are from base's and from each other's, token by token.
//! * [`activation_differences()`]: the mean difference on the first tokens, through the logit lens.
//! * [`activation_change()`]: how far activations are from base's, in one number.
//! * [`directions()`]: difference-of-means directions of labelled prompts, as for refusals.
//! * [`probes()`]: what a linear classifier can read at a hook, against shuffled labels.
//! * [`heads()`]: which attention heads carry the response to a prompt set.
//! * [`weights()`]: how far each matrix moved, in how many directions, and whether its own turned.

mod activation_differences;
mod change;
mod directions;
mod divergence;
mod heads;
mod probes;
mod prompts;
mod reading;
mod rows;
mod spectrum;
#[cfg(test)]
mod tests;
mod weights;
mod wide;

pub use activation_differences::activation_differences;
pub use change::activation_change;
pub use directions::{DirectionSettings, directions, mean_difference};
pub use divergence::{Divergences, divergence};
pub use heads::heads;
pub use probes::{ProbeSettings, probes};
pub use prompts::{LabelledPrompt, labels, read_prompts};
pub use rows::{
    ActivationDifferenceRow, DirectionRow, DivergenceRow, DivergentTokenRow, HeadRow, ProbeRow, WeightRow,
};
pub use weights::weights;
