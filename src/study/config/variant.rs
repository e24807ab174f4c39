//! `[[variant]]`: how a variant comes from the base.

use super::reference::BASE;
use crate::error::{At, Error, Result};
use crate::study::parse;
use crate::tasks::Mixture;
use crate::training::rl::settings::METHODS;
use crate::training::{RlSettings, SftSettings};
use serde::Deserialize;
use toml::{Table, Value};

/// One variant of the study.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Its name in references and tables.
    pub name: String,
    /// How it comes from the base.
    pub method: Method,
    /// The steps after which a checkpoint is kept, ascending; the last is the end. Empty for given models.
    pub checkpoints: Vec<usize>,
}

/// How a variant comes from the base.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Supervised fine-tuning.
    Sft {
        /// What on.
        data: Mixture,
        /// How.
        settings: SftSettings,
    },
    /// Reinforcement learning with the verifier of the study's first in-domain suite as reward.
    Rl {
        /// The method, one of [`METHODS`].
        name: String,
        /// How.
        settings: RlSettings,
    },
    /// A finished model: a folder with a Hugging Face repository, or the name of one on the hub.
    Model(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    #[serde(rename = "method")]
    _method: String,
    data: Option<Mixture>,
    model: Option<String>,
    checkpoints: Option<Value>,
}

const HEAD: [&str; 5] = ["name", "method", "data", "model", "checkpoints"];

impl Variant {
    pub(super) fn read(table: Table) -> Result<Self> {
        let section = match table.get("name") {
            Some(Value::String(name)) => format!("variant `{name}`"),
            _ => "[[variant]]".to_owned(),
        };
        match table.get("method") {
            None if table.contains_key("model") => Self::read_model(table, &section),
            Some(Value::String(method)) if method == "sft" => Self::read_sft(table, &section),
            Some(Value::String(method)) if METHODS.contains(&method.as_str()) => {
                Self::read_rl(table, &section)
            }
            Some(Value::String(method)) => {
                Err(parse::unknown("method", method, &[&["sft"], METHODS.as_slice()].concat())
                    .at("field `method`")
                    .at(section))
            }
            Some(other) => Err(Error::request(format!("expected text, found {}", parse::describe(other)))
                .at("field `method`")
                .at(section)),
            None => Err(Error::request("expected `method`, or `model` for a finished one")
                .hint("for example method = \"sft\"")
                .at(section)),
        }
    }

    fn read_model(table: Table, section: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Given {
            name: String,
            model: String,
        }
        let Given { name, model } = parse::section(Value::Table(table), section)?;
        check_name(&name).at(section)?;
        Ok(Self { name, method: Method::Model(model), checkpoints: Vec::new() })
    }

    fn read_sft(table: Table, section: &str) -> Result<Self> {
        let (head, settings): (Head, _) =
            parse::split_section(table, &HEAD, &SftSettings::default(), section)?;
        settings.check().at(section)?;
        let checkpoints = head.checkpoints(settings.steps).at(section)?;
        let data = head.data.ok_or_else(|| {
            Error::request("expected `data`").hint("for example data = \"verified_cot\"").at(section)
        })?;
        Ok(Self { name: head.name, method: Method::Sft { data, settings }, checkpoints })
    }

    fn read_rl(table: Table, section: &str) -> Result<Self> {
        let name = table.get("method").and_then(Value::as_str).unwrap_or_default().to_owned();
        let defaults = RlSettings::named(&name).at(section)?;
        let (head, settings): (Head, _) = parse::split_section(table, &HEAD, &defaults, section)?;
        settings.check().at(section)?;
        let checkpoints = head.checkpoints(settings.steps).at(section)?;
        if head.data.is_some() {
            return Err(Error::request("field `data` is for supervised fine-tuning")
                .hint("reinforcement learning draws problems of the first in-domain suite; remove `data`")
                .at(section));
        }
        Ok(Self { name: head.name, method: Method::Rl { name, settings }, checkpoints })
    }

    /// The step of its last checkpoint; `None` for given models.
    pub fn last_checkpoint(&self) -> Option<usize> {
        self.checkpoints.last().copied()
    }

    /// Whether its method learns from rewards.
    pub fn is_reinforced(&self) -> bool {
        matches!(self.method, Method::Rl { .. })
    }
}

impl Head {
    /// Checks what every trained variant has, and returns the steps to keep.
    fn checkpoints(&self, steps: usize) -> Result<Vec<usize>> {
        check_name(&self.name)?;
        if self.model.is_some() {
            return Err(Error::request("expected either `method` or `model`, found both")
                .hint("`model` is for a finished variant, which is not trained here"));
        }
        checkpoints(self.checkpoints.as_ref(), steps).at("field `checkpoints`")
    }
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(allowed) || !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(Error::request(format!(
            "field `name`: expected letters, digits and `_`, with a letter first, found `{name}`"
        ))
        .hint("names become parts of column names"));
    }
    if name == BASE {
        return Err(Error::request("field `name`: `base` is the model before post-training")
            .hint("choose another name for the variant"));
    }
    Ok(())
}

/// `"log"` is 10, 20, 40 … and the end; a list is itself and the end; nothing is the end alone.
fn checkpoints(value: Option<&Value>, steps: usize) -> Result<Vec<usize>> {
    let expected = |found: &dyn std::fmt::Display| {
        Error::request(format!("expected \"log\" or a list of steps up to {steps}, found {found}"))
            .hint("for example checkpoints = [10, 40, 160]")
    };
    let mut kept = match value {
        None => Vec::new(),
        Some(Value::String(text)) if text == "log" => {
            std::iter::successors(Some(10_usize), |step| step.checked_mul(2))
                .take_while(|step| *step < steps)
                .collect()
        }
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| match item.as_integer().and_then(|step| usize::try_from(step).ok()) {
                Some(step) if (1..=steps).contains(&step) => Ok(step),
                _ => Err(expected(item)),
            })
            .collect::<Result<Vec<_>>>()?,
        Some(other) => return Err(expected(other)),
    };
    kept.push(steps);
    kept.sort_unstable();
    kept.dedup();
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_ascending_and_hold_the_end() {
        let kept = |text: &str, steps| checkpoints(Some(&text.parse::<Value>().unwrap()), steps);
        assert_eq!(kept("\"log\"", 640).unwrap(), [10, 20, 40, 80, 160, 320, 640]);
        assert_eq!(kept("\"log\"", 5).unwrap(), [5]);
        assert_eq!(kept("[40, 5, 40]", 120).unwrap(), [5, 40, 120]);
        assert_eq!(checkpoints(None, 7).unwrap(), [7]);
        let error = kept("[0]", 9).unwrap_err().to_string();
        assert!(error.contains("a list of steps up to 9, found 0"), "{error}");
        assert!(kept("[10]", 9).is_err() && kept("3", 9).is_err() && kept("\"all\"", 9).is_err());
    }
}
