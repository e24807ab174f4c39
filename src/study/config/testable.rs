//! What a hypothesis must be for the study's models and dictionary, so that nothing is found out after hours of training.

use super::check::list;
use super::{Hypothesis, Reference, Study};
use crate::error::{At, Error, Result};
use crate::experiments::SetRule;
use crate::interventions::TargetKind;
use crate::model::HookPoint;
use crate::study::parse;
use std::collections::BTreeSet;
use std::path::Path;

impl Study {
    pub(super) fn check_hypothesis(&self, hypothesis: &Hypothesis) -> Result<()> {
        let Some(dictionary) = &self.dictionary else {
            return Err(Error::request("a hypothesis is about features, but there is no [dictionary]"));
        };
        let spanned: BTreeSet<Reference> =
            dictionary.over.iter().map(|reference| self.resolved(reference)).collect();
        for (field, reference) in
            [("receiver", Some(&hypothesis.receiver)), ("edit", hypothesis.donor.as_ref())]
        {
            let Some(reference) = reference else { continue };
            self.check_reference(reference).at(format!("field `{field}`"))?;
            if !spanned.contains(&self.resolved(reference)) {
                return Err(Error::request(format!("`{reference}` is not spanned by the dictionary"))
                    .hint(format!(
                        "add it to `over` in [dictionary], or use one of {}",
                        list(&dictionary.over)
                    ))
                    .at(format!("field `{field}`")));
            }
        }
        hypothesis.declared.check(self.interventions.readout)?;
        if let Some(donor) = &hypothesis.donor
            && self.resolved(donor) == self.resolved(&hypothesis.receiver)
        {
            return Err(Error::request(format!(
                "expected another variant than the receiver `{}` to take from, found `{donor}`",
                hypothesis.receiver
            ))
            .at("field `edit`"));
        }
        self.check_set(hypothesis, dictionary.settings.features).at("field `set`")?;
        if let Some(hook) = &hypothesis.declared.hook {
            self.check_hook(*hook).at("field `hook`")?;
        }
        if let SetRule::Means { toward, away, of } = &hypothesis.declared.set {
            let names: Vec<String> = self.suites.all().iter().map(|suite| suite.name().to_owned()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            if let Some(other) = [toward, away].into_iter().find(|suite| !names.contains(&suite.as_str())) {
                return Err(parse::unknown("suite", other, &names).at("field `set`"));
            }
            let of = of.as_ref().map(|of| Reference::try_from(of.clone())).transpose().at("field `set`")?;
            if let Some(reference) = of {
                self.check_reference(&reference).at("field `set`")?;
            }
        }
        if !self.suites.all().contains(&hypothesis.suite) {
            return Err(Error::request(format!("suite `{}` is not in [suites]", hypothesis.suite.name()))
                .hint("add it there: what stands nowhere in [suites] is not evaluated")
                .at("field `suite`"));
        }
        Ok(())
    }

    /// Refuses a set that the dictionary or the model does not hold, or of which no controls can be drawn.
    fn check_set(&self, hypothesis: &Hypothesis, features: usize) -> Result<()> {
        let declared = &hypothesis.declared;
        match &declared.set {
            SetRule::All if declared.set.kind(&declared.edit) == TargetKind::Features => {
                Err(Error::request(format!(
                    "expected a set that leaves other features to draw controls from, found `all` with `{}`",
                    declared.edit
                ))
                .hint("name a part of the dictionary, or take { whole_difference = \"base\" } or { error_only = \"base\" }"))
            }
            SetRule::Features(set) => match set.iter().find(|feature| **feature as usize >= features) {
                Some(feature) => Err(Error::request(format!(
                    "expected features of a dictionary of {features} (from 0 to {}), found {feature}",
                    features.saturating_sub(1)
                ))),
                None if 2 * set.len() > features => Err(Error::request(format!(
                    "expected at most half of the {features} features, found {}: no control of that size is left",
                    set.len()
                ))),
                None => Ok(()),
            },
            SetRule::Heads(heads) => match self.blocks() {
                Some((layers, count)) => match heads.iter().find(|head| head.layer >= layers || head.head >= count) {
                    Some(head) => Err(Error::request(format!("expected heads of the model, found {head}"))
                        .hint(format!("its layers are 0 to {}, each with heads 0 to {}", layers.saturating_sub(1), count.saturating_sub(1)))),
                    None => Ok(()),
                },
                None => Ok(()),
            },
            SetRule::File(file) if !Path::new(file).is_file() => {
                Err(Error::request(format!("expected the file of a direction, found none at {file}"))
                    .hint("give a safetensors file with a tensor `direction` [d_model]"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a hook of a block that the model does not have, where its blocks are known.
    pub(super) fn check_hook(&self, hook: HookPoint) -> Result<()> {
        match (hook, self.blocks()) {
            (HookPoint::Block(layer, _), Some((layers, _))) if layer >= layers => {
                Err(Error::request(format!("expected a hook of the model's {layers} blocks, found `{hook}`"))
                    .hint(format!("its last block is {}", layers.saturating_sub(1))))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO: &str = include_str!("../../../probes/micro.toml");

    /// The error of the micro study with its first hypothesis changed.
    fn error(from: &str, to: &str) -> String {
        let at = MICRO.find("[[hypothesis]]").unwrap();
        let (head, rest) = MICRO.split_at(at);
        assert!(rest.contains(from), "{from}");
        let study = format!("{head}{}", rest.replacen(from, to, 1));
        Study::parse(&study, &[]).map(drop).map_err(|error| error.to_string()).unwrap_err()
    }

    #[test]
    fn what_could_never_be_claimed_is_refused_before_anything_runs() {
        let (set, edit) = ("set = \"transfer\"", "edit = \"zero\"");
        for (from, to, expected) in [
            (edit, "edit = \"zero\"\ndose = 0", "changes something, found 0"),
            (edit, "edit = { transplant = \"sft@matched\" }", "another variant than the receiver"),
            (set, "set = \"all\"", "leaves other features"),
            (set, "set = \"class:foo\"", "expected a class of features, found `foo`"),
            (set, "set = { features = [3, 99999] }", "dictionary of 64 (from 0 to 63), found 99999"),
            (edit, "edit = { two_source = \"base\" }", "needs two codes"),
            (
                "set = \"transfer\"\nreceiver = \"sft@matched\"\nedit = \"zero\"",
                "set = { toward = \"refusal\", away = \"skills\" }\nreceiver = \"rl\"\nedit = \"project_out\"\nhook = \"blocks.77.hook_resid_post\"",
                "found `blocks.77.hook_resid_post`",
            ),
            (
                "set = \"transfer\"\nreceiver = \"sft@matched\"\nedit = \"zero\"",
                "set = { file = \"no/such.safetensors\" }\nreceiver = \"rl\"\nedit = \"project_out\"",
                "found none at no/such.safetensors",
            ),
            (set, "set = { toward = \"refusal\", away = \"refusal\" }", "two suites"),
            (set, "set = { heads = [\"77.0\"] }", "expected heads of the model, found 77.0"),
        ] {
            let found = error(from, to);
            assert!(found.contains(expected), "{to}: {found}");
        }
        let capture = |hook: &str| Study::parse(MICRO, &[format!("capture.hooks=[\"{hook}\"]")]);
        assert!(capture("blocks.77.hook_resid_post").unwrap_err().to_string().contains("[capture]"));
        capture("blocks.0.hook_resid_post").unwrap();
    }
}
