//! What stands in place while a model reads: how training asks for it, without knowing what it is.

use super::hooks::Hooks;
use crate::error::Result;

/// What a model reads under, in pass after pass. `interventions::under` makes one of interventions.
pub trait Under: Send + Sync {
    /// The hooks of one pass. `prompts` are the tokens of each row's prompt; what follows is its response.
    fn hooks(&self, prompts: &[usize]) -> Hooks;

    /// What tells it from every other, for the name of a run.
    ///
    /// # Errors
    /// If its numbers cannot be read.
    fn identity(&self) -> Result<Vec<String>>;

    /// Checks, once all passes are done, that it did what it is there for.
    ///
    /// # Errors
    /// If a part of it never acted: its effect would be mistaken for no effect.
    fn finish(&self) -> Result<()>;
}
