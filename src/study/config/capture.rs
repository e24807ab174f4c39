//! `[capture]`: which activations the dictionaries are fitted on.

use crate::activations::ElementType;
use crate::error::{Error, Result};
use crate::model::HookPoint;
use serde::{Deserialize, Serialize};

/// Where and how much to capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// Hook points by their TransformerLens names. The dictionary spans all variants at one of them.
    pub hooks: Vec<String>,
    /// How many tokens to capture.
    #[serde(default = "default_tokens")]
    pub tokens: usize,
    /// How values are stored: `f32`, or `f16` or `bf16` at half the disk.
    #[serde(default)]
    pub element: ElementType,
}

fn default_tokens() -> usize {
    400_000
}

impl Capture {
    /// The one hook point.
    ///
    /// # Errors
    /// If there is none or more than one, or its name is unknown.
    pub fn hook(&self) -> Result<HookPoint> {
        match self.hooks.as_slice() {
            [hook] => hook.parse(),
            hooks => {
                Err(Error::request(format!("field `hooks`: expected one hook point, found {}", hooks.len()))
                    .hint(
                        "for example hooks = [\"blocks.3.hook_resid_post\"]; make one study for each layer",
                    ))
            }
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        self.hook()?;
        if self.tokens < 1000 {
            return Err(Error::request(format!(
                "field `tokens`: expected at least 1000, found {}",
                self.tokens
            ))
            .hint("a dictionary needs some 100 tokens a feature"));
        }
        Ok(())
    }
}
