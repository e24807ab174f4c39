//! Tables of settings become a [`PostTraining`]: in `[[variant]]`, and for the verb `train`.
//!
//! The settings of a fit (steps, rates, sizes) stand beside those of the method in every table, also where
//! the method keeps them apart, as rejection sampling does.

use crate::error::{At, Error, Result};
use crate::study::parse;
use crate::tasks::{Mixture, Suite};
use crate::training::rl::settings::METHODS;
use crate::training::{DpoSettings, PostTraining, Preferences, RftSettings, RlSettings, SftSettings};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use toml::{Table, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    method: String,
    data: Option<Value>,
    suite: Option<Suite>,
    preset: Option<String>,
}

const HEAD: [&str; 4] = ["method", "data", "suite", "preset"];

/// Reads `table`. `suite` is the one to learn from where the table names none; `others` are fields that belong
/// beside these and have been taken out.
pub(crate) fn read(
    table: Table,
    suite: Option<&Suite>,
    others: &[&str],
    section: &str,
) -> Result<PostTraining> {
    let (head, settings): (Table, Table) =
        table.into_iter().partition(|(key, _)| HEAD.contains(&key.as_str()));
    let head: Head = parse::section(Value::Table(head), section)?;
    let siblings = [&HEAD, others].concat();
    let reading = Reading { suite, settings, siblings: &siblings, section };
    match head.method.as_str() {
        "sft" => reading.sft(head),
        "rft" => reading.rft(head),
        "dpo" => reading.dpo(head),
        name if METHODS.contains(&name) => reading.policy_gradient(head),
        other => {
            Err(parse::unknown("method", other, &PostTraining::names()).at("field `method`").at(section))
        }
    }
}

struct Reading<'a> {
    suite: Option<&'a Suite>,
    settings: Table,
    siblings: &'a [&'a str],
    section: &'a str,
}

impl Reading<'_> {
    fn sft(self, head: Head) -> Result<PostTraining> {
        let defaults = match &head.preset {
            Some(name) => SftSettings::named(name).at("field `preset`").at(self.section)?,
            None => SftSettings::default(),
        };
        let settings: SftSettings = parse::settings(self.settings, &defaults, self.siblings, self.section)?;
        settings.check().at(self.section)?;
        refuse("suite", head.suite.is_some(), "sft", self.section)?;
        let data = head.data.ok_or_else(|| {
            Error::request("expected `data`")
                .hint("for example data = \"verified_cot\", or data = \"mine.jsonl\"")
                .at(self.section)
        })?;
        let data: Mixture = parse::section(data, "field `data`").at(self.section)?;
        Ok(PostTraining::Sft { data, settings })
    }

    fn rft(self, head: Head) -> Result<PostTraining> {
        refuse("data", head.data.is_some(), "rft", self.section)?;
        refuse("preset", head.preset.is_some(), "rft", self.section)?;
        let suite = self.learned(head.suite)?;
        let section = self.section;
        let (mut settings, fit): (RftSettings, SftSettings) =
            self.with_fit(RftSettings::default(), &RftSettings::default().sft)?;
        settings.sft = fit;
        settings.check().at(section)?;
        Ok(PostTraining::Rft { suite, settings })
    }

    fn dpo(self, head: Head) -> Result<PostTraining> {
        refuse("preset", head.preset.is_some(), "dpo", self.section)?;
        let preferences = match head.data {
            Some(Value::String(path)) => Preferences::File(PathBuf::from(path)),
            Some(other) => {
                let found = parse::describe(&other);
                return Err(Error::request(format!("field `data`: expected a file of pairs, found {found}"))
                    .hint("leave it out to pair the model's own verified and failed responses")
                    .at(self.section));
            }
            None => Preferences::Own(self.learned(head.suite)?),
        };
        let section = self.section;
        let (mut settings, fit): (DpoSettings, SftSettings) =
            self.with_fit(DpoSettings::default(), &DpoSettings::default().sft)?;
        settings.sft = fit;
        settings.check().at(section)?;
        Ok(PostTraining::Dpo { preferences, settings })
    }

    fn policy_gradient(self, head: Head) -> Result<PostTraining> {
        refuse("data", head.data.is_some(), &head.method, self.section)?;
        refuse("preset", head.preset.is_some(), &head.method, self.section)?;
        let suite = self.learned(head.suite)?;
        let defaults = RlSettings::named(&head.method).at(self.section)?;
        let settings: RlSettings = parse::settings(self.settings, &defaults, self.siblings, self.section)?;
        settings.check().at(self.section)?;
        Ok(PostTraining::PolicyGradient { method: head.method, suite, settings })
    }

    /// The suite whose training problems are answered.
    fn learned(&self, own: Option<Suite>) -> Result<Suite> {
        own.or_else(|| self.suite.cloned()).ok_or_else(|| {
            Error::request("expected a suite to learn from, found none")
                .hint("name one by `suite`, or as the first of `in_domain`")
                .at(self.section)
        })
    }

    /// The settings of a method, and those of its fit, which it keeps in a field `sft`.
    fn with_fit<S: Serialize + DeserializeOwned>(
        self,
        defaults: S,
        fit: &SftSettings,
    ) -> Result<(S, SftSettings)> {
        let known = Table::try_from(&defaults)
            .map_err(|error| Error::work(format!("the defaults cannot be read: {error}")).at(self.section))?;
        let own: Vec<&str> = known.keys().map(String::as_str).filter(|key| *key != "sft").collect();
        let (given, rest): (Table, Table) =
            self.settings.into_iter().partition(|(key, _)| own.contains(&key.as_str()));
        let fit = parse::settings(rest, fit, &[self.siblings, &own].concat(), self.section)?;
        Ok((parse::settings(given, &defaults, self.siblings, self.section)?, fit))
    }
}

/// Refuses a field that another method has.
fn refuse(field: &str, given: bool, method: &str, section: &str) -> Result<()> {
    let hint = match field {
        "data" => {
            "it learns from problems of a suite: name one by `suite`, or leave it out for the first of `in_domain`"
        }
        "preset" => "presets are schedules of supervised fine-tuning; write the settings out",
        _ => "it learns from documents, which `data` names",
    };
    match given {
        true => Err(Error::request(format!("field `{field}` is not for the method `{method}`"))
            .hint(hint)
            .at(section)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::rl::objectives::{Aggregation, Clip, Objective, PolicyLoss};

    fn parsed(text: &str) -> Result<PostTraining> {
        let suite = Suite::parse("general_points").unwrap();
        read(text.parse().unwrap(), Some(&suite), &["name"], "variant `v`")
    }

    #[test]
    fn settings_of_the_fit_stand_beside_those_of_the_method() {
        let rft = parsed("method = \"rft\"\nsteps = 12\nrefresh = 4\nlora = { rank = 2 }").unwrap();
        let PostTraining::Rft { suite, settings } = rft else { panic!("{rft:?}") };
        assert_eq!((suite.name(), settings.sft.steps, settings.refresh), ("general_points", 12, 4));
        assert_eq!(settings.sft.lora.map(|lora| lora.rank), Some(2));
        let dpo = parsed("method = \"dpo\"\nbeta = 0.5\nbatch = 3\nsuite = \"countdown\"").unwrap();
        let PostTraining::Dpo { preferences, settings } = dpo else { panic!("{dpo:?}") };
        assert_eq!((settings.beta, settings.sft.batch), (0.5, 3));
        assert_eq!(settings.sft.learning_rate, DpoSettings::default().sft.learning_rate);
        assert_eq!(preferences, Preferences::Own(Suite::parse("countdown").unwrap()));
    }

    #[test]
    fn a_method_trains_with_its_own_settings() {
        for name in METHODS {
            let found = parsed(&format!("method = \"{name}\"")).unwrap();
            let PostTraining::PolicyGradient { settings, .. } = found else { panic!("{found:?}") };
            assert_eq!(settings, RlSettings::named(name).unwrap(), "{name}");
        }
    }

    fn objective(text: &str) -> Objective {
        let PostTraining::PolicyGradient { settings, .. } = parsed(text).unwrap() else { panic!() };
        settings.objective
    }

    #[test]
    fn a_loss_is_swapped_whole_and_what_a_preset_has_can_be_taken_away() {
        let swapped = objective("method = \"grpo\"\nobjective.loss = { gspo = { low = 3e-4, high = 4e-4 } }");
        assert_eq!(swapped.loss, PolicyLoss::Gspo(Clip { low: 3e-4, high: 4e-4, dual: None }));
        assert_eq!(swapped.kl, RlSettings::default().objective.kl);
        let plain = objective("method = \"dapo\"\nobjective.loss = \"reinforce\"");
        assert_eq!(plain.loss, PolicyLoss::Reinforce);
        let raised = objective("method = \"dapo\"\nobjective.loss.ppo_clip.high = 0.4");
        assert_eq!(raised.loss, PolicyLoss::PpoClip(Clip { low: 0.2, high: 0.4, dual: Some(10.0) }));
        let single = objective("method = \"ppo\"\nobjective.loss.ppo_clip.dual = \"none\"");
        assert_eq!(single.loss, PolicyLoss::PpoClip(Clip { low: 0.2, high: 0.2, dual: None }));
        assert_eq!(objective("method = \"grpo\"\nobjective.kl = \"none\"").kl, None);
        let slip = parsed("method = \"grpo\"\nobjective.kl = \"non\"").unwrap_err().to_string();
        assert!(slip.contains("objective.kl"), "{slip}");
    }

    /// The recipe of the quickstart and of its miniature is the microcosm's, whatever the presets become.
    #[test]
    fn the_quickstart_trains_by_its_own_recipe() {
        let probe = |name: &str| {
            let path = format!("{}/probes/{name}.toml", env!("CARGO_MANIFEST_DIR"));
            let study: Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
            let variants = study["variant"].as_array().unwrap().iter().filter_map(Value::as_table);
            let mut own = variants.filter(|variant| variant["method"].as_str() == Some("grpo"));
            let mut variant = own.next().unwrap().clone();
            variant.retain(|key, _| !["name", "checkpoints"].contains(&key));
            let PostTraining::PolicyGradient { settings, .. } = parsed(&variant.to_string()).unwrap() else {
                panic!()
            };
            settings
        };
        let recipe = RlSettings {
            objective: Objective {
                loss: PolicyLoss::PpoClip(Clip { low: 0.2, high: 0.28, dual: Some(3.0) }),
                aggregation: Aggregation::TokenMean,
                kl: None,
                entropy_bonus: 0.0,
            },
            drop_equal_groups: true,
            ..RlSettings::default()
        };
        assert_eq!(probe("quickstart"), recipe);
        let small = RlSettings { steps: 2, prompts: 4, samples: 4, max_new_tokens: 8, ..recipe };
        assert_eq!(probe("micro"), small);
    }

    #[test]
    fn presets_are_defaults() {
        let text = "method = \"sft\"\ndata = \"short\"\npreset = \"ren_few_repeated\"\nsteps = 20";
        let PostTraining::Sft { settings, .. } = parsed(text).unwrap() else { panic!() };
        assert_eq!((settings.steps, settings.batch, settings.documents), (20, 32, Some(2560)));
    }

    #[test]
    fn slips_are_named_and_mended() {
        let message = |text: &str| parsed(text).unwrap_err().to_string();
        let unknown = message("method = \"rft\"\nstps = 1");
        assert!(unknown.starts_with("variant `v`: unknown field `stps`"), "{unknown}");
        assert!(unknown.contains("`refresh`") && unknown.ends_with("did you mean `steps`?"), "{unknown}");
        let method = message("method = \"rftt\"");
        assert!(method.contains("variant `v`: field `method`") && method.contains("`rft`?"), "{method}");
        let data = message("method = \"grpo\"\ndata = \"short\"");
        assert!(data.contains("field `data` is not for the method `grpo`"), "{data}");
        let preset = message("method = \"sft\"\ndata = \"short\"\npreset = \"ran\"");
        assert!(preset.contains("field `preset`") && preset.contains("did you mean `ren`?"), "{preset}");
        let arm = message("method = \"sft\"\ndata = \"shrt\"");
        assert!(arm.contains("variant `v`: field `data`: unknown data arm `shrt`"), "{arm}");
    }
}
