//! The receiver under many edits at once, while it writes or reads.
//!
//! Many conditions run as rows of one batch ([`source`]). For edits at a hook (`branch`), at every step:
//!
//! 1. *Trunk.* Nothing before the hook depends on an edit, only on the tokens so far. So rows with equal
//!    tokens share one trunk row: all variants run it up to the hook, each with its own cache, and the
//!    code is computed once. The receiver is thus read before it is edited, donors are never edited.
//! 2. *Branch.* Each row takes its trunk row's receiver activation, adds the delta of its condition, and runs
//!    the rest of the receiver with a cache of its own.
//!
//! Edits of heads (`heads`) act in several layers, so that each row runs the receiver whole.
//!
//! Rows are batch-invariant, so sharing changes no bit, and a row alone equals the row in any batch. Equal
//! keys give equal Gumbel draws: two conditions part only where the edit made them part.

mod branch;
mod forced;
mod heads;
mod rows;
#[cfg(test)]
mod tests;
mod trunk;

pub use forced::GivenText;
pub(super) use forced::forced;
pub use rows::Start;

use super::conditions::Condition;
use super::readout::Readout;
use crate::error::Result;
use crate::interventions::Tallies;
use crate::model::{Model, NextToken, TokenBatch};
use branch::Branches;
use candle_core::Tensor;
use heads::Heads;
use std::sync::Arc;

/// A source of next-token logits in which every row stands under its own condition.
pub trait Source: NextToken {
    /// Feeds the next tokens of every row; the hidden states after the final norm `[rows, width, d_model]`.
    ///
    /// # Errors
    /// If the pass fails, or there are more or fewer rows than before.
    fn hidden(&mut self, tokens: &TokenBatch) -> Result<Tensor>;

    /// What its condition really did to the rows of each start. Whoever sums them in the order of starts gets the same
    /// bits, however the starts were shared out over sources.
    fn tallies(&self) -> &[Tallies];
}

/// A source for one call of [`crate::model::sample`] or of teacher forcing: prompt `i` begins as `starts[i]`.
/// The conditions must be edited at one place (as `conditions::groups` sorts them).
///
/// # Errors
/// If a condition is for another receiver or needs a dictionary that is not there, or a row names a
/// condition that is not there.
pub fn source(
    readout: &Readout,
    receiver: usize,
    conditions: Arc<[Condition]>,
    starts: &[Start],
) -> Result<Box<dyn Source>> {
    conditions.iter().try_for_each(Condition::check)?;
    let heads = conditions.iter().any(|condition| condition.heads().is_some());
    Ok(match heads {
        true => Box::new(Heads::new(readout, receiver, conditions, starts)?),
        false => Box::new(Branches::new(readout, receiver, conditions, starts)?),
    })
}

/// The logits after every row's last new token.
fn last_logits(model: &Model, hidden: &Tensor, tokens: &TokenBatch) -> Result<Tensor> {
    let (rows, width, d_model) = hidden.dims3()?;
    let lengths = tokens.lengths().iter().enumerate();
    let last: Vec<u32> =
        lengths.map(|(row, length)| (row * width + length.saturating_sub(1)) as u32).collect();
    let last = Tensor::from_vec(last, rows, model.device())?;
    model.logits(&hidden.reshape((rows * width, d_model))?.index_select(&last, 0)?)
}
