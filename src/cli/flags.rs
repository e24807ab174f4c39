//! Flags that several verbs share and that mean the same in each.

use crate::error::Result;
use crate::study::overrides;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// `--seed`.
#[derive(clap::Args)]
pub(crate) struct SeedFlag {
    /// Decides every random number, together with what it is drawn for.
    #[arg(long, default_value_t = 7, value_name = "N")]
    pub(crate) seed: u64,
}

/// `--set key=value`.
#[derive(clap::Args)]
pub(crate) struct SetFlag {
    /// Overrides one setting, as in `--set learning_rate=1e-4`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

impl SetFlag {
    /// `settings` with the overrides applied.
    ///
    /// # Errors
    /// If a key does not exist (the nearest is offered) or a value has the wrong type.
    pub(crate) fn apply<T: Serialize + DeserializeOwned>(&self, settings: &T) -> Result<T> {
        overrides::apply(settings, &self.set)
    }
}
