//! `[[variant]]`: how a variant comes from the base.

use super::post_training;
use super::reference::BASE;
use crate::error::{At, Error, Result};
use crate::rng::Stream;
use crate::study::parse;
use crate::tasks::Suite;
use crate::training::{PostTraining, log_spaced};
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
    /// Which of the variant's training seeds it is, from 1. Replicates beyond the first are variants of their
    /// own, called `<name>_seed2` and so on.
    pub training_seed: usize,
    /// The name that it has in common with its replicates: its own, for the first.
    pub group: String,
}

/// How a variant comes from the base.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Trained in the study.
    Trained(Box<PostTraining>),
    /// A finished model: a folder with a Hugging Face repository, or the name of one on the hub.
    Model(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    model: Option<String>,
    checkpoints: Option<Value>,
    #[serde(default = "one")]
    seeds: usize,
}

fn one() -> usize {
    1
}

const HEAD: [&str; 4] = ["name", "model", "checkpoints", "seeds"];
/// More replicates than anybody would wait for are a slip.
const MOST_SEEDS: usize = 100;

impl Variant {
    /// Reads one section: a variant, or several that differ in their training seed. `suite` is what it learns
    /// from where it names none.
    pub(super) fn read(table: Table, suite: Option<&Suite>) -> Result<Vec<Self>> {
        let section = match table.get("name") {
            Some(Value::String(name)) => format!("variant `{name}`"),
            _ => "[[variant]]".to_owned(),
        };
        match table.get("method") {
            None if table.contains_key("model") => Self::read_model(table, &section).map(|one| vec![one]),
            Some(Value::String(_)) => Self::read_trained(table, suite, &section),
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
        let group = name.clone();
        Ok(Self { name, method: Method::Model(model), checkpoints: Vec::new(), training_seed: 1, group })
    }

    fn read_trained(table: Table, suite: Option<&Suite>, section: &str) -> Result<Vec<Self>> {
        let (head, rest): (Table, Table) =
            table.into_iter().partition(|(key, _)| HEAD.contains(&key.as_str()));
        let head: Head = parse::section(Value::Table(head), section)?;
        let method = post_training::read(rest, suite, &HEAD, section)?;
        let checkpoints = head.check(method.steps()).at(section)?;
        let replicate = |training_seed| Self {
            name: if training_seed == 1 {
                head.name.clone()
            } else {
                format!("{}_seed{training_seed}", head.name)
            },
            method: Method::Trained(Box::new(method.clone())),
            checkpoints: checkpoints.clone(),
            training_seed,
            group: head.name.clone(),
        };
        Ok((1..=head.seeds).map(replicate).collect())
    }

    /// The step of its last checkpoint; `None` for given models.
    pub fn last_checkpoint(&self) -> Option<usize> {
        self.checkpoints.last().copied()
    }

    /// Whether its method is a policy gradient.
    pub fn is_reinforced(&self) -> bool {
        let Method::Trained(training) = &self.method else { return false };
        matches!(**training, PostTraining::PolicyGradient { .. })
    }

    /// Whether it repeats another variant with another training seed.
    pub fn is_replicate(&self) -> bool {
        self.training_seed > 1
    }

    /// The seed of its training in a study with `seed`: the study's own for the first, so that asking for more
    /// seeds redoes nothing. Replicates of equal number share theirs across methods.
    pub fn seed(&self, seed: u64) -> u64 {
        match self.training_seed {
            0 | 1 => seed,
            number => Stream::new(seed, "training seed", &[number as u64]).bits(),
        }
    }
}

impl Head {
    /// Checks what every trained variant has, and returns the steps to keep.
    fn check(&self, steps: usize) -> Result<Vec<usize>> {
        check_name(&self.name)?;
        if self.model.is_some() {
            return Err(Error::request("expected either `method` or `model`, found both")
                .hint("`model` is for a finished variant, which is not trained here"));
        }
        if !(1..=MOST_SEEDS).contains(&self.seeds) {
            return Err(Error::request(format!(
                "field `seeds`: expected 1 to {MOST_SEEDS}, found {}",
                self.seeds
            ))
            .hint("six are the fewest by which methods can be told apart at the level .05"));
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
        Some(Value::String(text)) if text == "log" => log_spaced(steps),
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

    #[test]
    fn seeds_make_replicates_that_share_their_seed_across_methods() {
        let suite = Suite::parse("general_points").unwrap();
        let read = |text: &str| Variant::read(text.parse().unwrap(), Some(&suite));
        let sft = read("name = \"sft\"\nmethod = \"sft\"\ndata = \"short\"\nseeds = 3").unwrap();
        let names: Vec<&str> = sft.iter().map(|variant| variant.name.as_str()).collect();
        assert_eq!(names, ["sft", "sft_seed2", "sft_seed3"]);
        assert!(sft.iter().all(|variant| variant.group == "sft"));
        let rl = read("name = \"rl\"\nmethod = \"grpo\"\nseeds = 3").unwrap();
        assert_eq!(sft[0].seed(7), 7);
        assert!(sft[1].seed(7) == rl[1].seed(7) && sft[1].seed(7) != sft[2].seed(7));
        let error = read("name = \"rl\"\nmethod = \"grpo\"\nseeds = 0").unwrap_err().to_string();
        assert!(error.contains("variant `rl`: field `seeds`: expected 1 to 100, found 0"), "{error}");
    }
}
