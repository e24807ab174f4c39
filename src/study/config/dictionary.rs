//! `[dictionary]`: one dictionary over several variants.

use super::reference::Reference;
use crate::dictionaries::FitSettings;
use crate::error::{At, Error, Result};
use crate::study::parse;
use serde::Deserialize;
use toml::Table;

/// What the dictionary spans and how it is fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct DictionaryRequest {
    /// The variants it spans, the base first.
    pub over: Vec<Reference>,
    /// How many times it is fitted, with different first weights, to see which features come back. Everything
    /// else works with the first fit.
    pub seeds: usize,
    /// How it is fitted.
    pub settings: FitSettings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    over: Vec<Reference>,
    #[serde(default = "once")]
    seeds: usize,
}

fn once() -> usize {
    1
}

const SECTION: &str = "[dictionary]";

impl DictionaryRequest {
    pub(super) fn read(table: Table) -> Result<Self> {
        let (head, settings): (Head, FitSettings) =
            parse::split_section(table, &["over", "seeds"], &FitSettings::default(), SECTION)?;
        settings.check().at(SECTION)?;
        if head.seeds == 0 {
            return Err(Error::request("expected at least 1, found 0").at("field `seeds`").at(SECTION));
        }
        if !settings.kind.is_crosscoder() {
            return Err(Error::request(format!(
                "expected a crosscoder, which reads all variants of `over`, found `{}`",
                settings.kind
            ))
            .hint("use `batch_topk_crosscoder` or `crosscoder`; `deltascope fit` fits the other kinds")
            .at("field `kind`")
            .at(SECTION));
        }
        Self { over: head.over, seeds: head.seeds, settings }.checked().at("field `over`").at(SECTION)
    }

    fn checked(self) -> Result<Self> {
        if !self.settings.variants.is_empty() {
            return Err(
                Error::request("`variants` and `over` are the same; found both").hint("remove `variants`")
            );
        }
        if self.over.len() < 2 || !self.over.first().is_some_and(Reference::is_base) {
            return Err(Error::request("expected `base` and at least one variant after it")
                .hint("for example over = [\"base\", \"rl\", \"sft@matched\"]"));
        }
        Ok(self)
    }
}
