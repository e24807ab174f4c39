//! What must hold across the sections of a study.

use super::{Base, Checkpoint, Reference, Study, Variant};
use crate::error::{At, Error, Result};
use crate::interventions::Edit;
use crate::study::parse;
use std::collections::BTreeSet;

impl Study {
    pub(super) fn check(&self) -> Result<()> {
        check_name(&self.name).at("field `name`")?;
        self.gate.check().at("[gate]")?;
        self.suites.check().at("[suites]")?;
        self.evaluation.check().at("[evaluation]")?;
        self.check_variants()?;
        self.check_matching().at("field `matched_to`")?;
        if let Some(capture) = &self.capture {
            capture.check().at("[capture]")?;
            self.check_hook(capture.hook()?).at("field `hooks`").at("[capture]")?;
        }
        self.check_dictionary().at("[dictionary]")?;
        self.diff.check().at("[diff]")?;
        self.interventions.check().at("[interventions]")?;
        self.check_grid().at("[interventions]")?;
        self.claims.check().at("[claims]")?;
        self.check_beside().at("[beside]")?;
        self.check_hypotheses()?;
        self.check_power()
    }

    /// A study has the repetitions of one: its own, or those of another.
    fn check_beside(&self) -> Result<()> {
        let own = !self.claims.dictionary_seeds.is_empty() || !self.claims.training_seeds.is_empty();
        match &self.beside.repeated {
            Some(place) if own => Err(Error::request(format!(
                "field `repeated`: the study repeats itself, so nothing can be taken from {}",
                place.display()
            ))
            .hint("remove it, or `dictionary_seeds` and `training_seeds` of [claims]")),
            _ => Ok(()),
        }
    }

    fn check_variants(&self) -> Result<()> {
        if matches!(self.base, Base::Preset { .. }) && self.suites.in_domain.is_empty() {
            return Err(Error::request("a preset needs an in-domain suite").at("[suites]"));
        }
        let mut seen = BTreeSet::new();
        match self.variants.iter().find(|variant| !seen.insert(&variant.name)) {
            Some(twice) => Err(Error::request(format!("two variants are called `{}`", twice.name))
                .hint("give each its own name")
                .at("[[variant]]")),
            None => Ok(()),
        }
    }

    /// The variant that `@matched` checkpoints are matched to: the one that is named, else the last
    /// reinforced one.
    pub fn matching_reference(&self) -> Option<&Variant> {
        match &self.matched_to {
            Some(name) => self.variant(name),
            None => {
                self.variants.iter().rev().find(|variant| variant.is_reinforced() && !variant.is_replicate())
            }
        }
    }

    fn check_matching(&self) -> Result<()> {
        match &self.matched_to {
            Some(name) if self.variant(name).is_none() => Err(self.unknown_variant(name)),
            _ => Ok(()),
        }
    }

    fn unknown_variant(&self, name: &str) -> Error {
        let names: Vec<&str> = std::iter::once(super::BASE)
            .chain(self.variants.iter().map(|variant| variant.name.as_str()))
            .collect();
        parse::unknown("variant", name, &names)
    }

    /// Whether the reference names a model that the study has.
    pub(super) fn check_reference(&self, reference: &Reference) -> Result<()> {
        let checkpoints: &[usize] = match self.variant(&reference.variant) {
            Some(variant) => &variant.checkpoints,
            None if reference.is_base() => &[],
            None => return Err(self.unknown_variant(&reference.variant)),
        };
        match reference.checkpoint {
            Checkpoint::Last => Ok(()),
            Checkpoint::Step(step) if checkpoints.contains(&step) => Ok(()),
            Checkpoint::Step(step) => {
                let list = checkpoints.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
                let kept =
                    if list.is_empty() { "keeps no checkpoints".to_owned() } else { format!("keeps {list}") };
                Err(Error::request(format!(
                    "`{}` has no checkpoint at step {step}; it {kept}",
                    reference.variant
                ))
                .hint(format!("add {step} to the variant's `checkpoints`")))
            }
            Checkpoint::Matched if checkpoints.is_empty() => Err(Error::request(format!(
                "`{reference}`: `{}` has no checkpoints to choose from",
                reference.variant
            ))),
            Checkpoint::Matched if self.matching_reference().is_none() => {
                Err(Error::request(format!("`{reference}`: there is no variant to match it to"))
                    .hint("name one with matched_to = \"…\", or add a variant that learns from rewards"))
            }
            Checkpoint::Matched => Ok(()),
            Checkpoint::SameChange => self.check_same_change(reference, checkpoints),
        }
    }

    /// A model that is matched by its change needs checkpoints, another variant, and a hook to read both at.
    fn check_same_change(&self, reference: &Reference, checkpoints: &[usize]) -> Result<()> {
        let name = &reference.variant;
        match self.matching_reference() {
            _ if checkpoints.is_empty() => {
                Err(Error::request(format!("`{reference}`: `{name}` has no checkpoints to choose from")))
            }
            None => Err(Error::request(format!("`{reference}`: there is no variant to match it to"))
                .hint("name one with matched_to = \"…\", or add a variant that learns from rewards")),
            Some(other) if other.name == *name => {
                Err(Error::request(format!("`{reference}`: `{name}` is what others are matched to"))
                    .hint(format!("write `{name}` for its end, or name another with matched_to = \"…\"")))
            }
            Some(_) => Ok(()),
        }
    }

    fn check_dictionary(&self) -> Result<()> {
        let Some(dictionary) = &self.dictionary else { return Ok(()) };
        if self.capture.is_none() {
            return Err(Error::request("a dictionary needs activations, but there is no [capture]")
                .hint("for example\n[capture]\nhooks = [\"blocks.3.hook_resid_post\"]"));
        }
        let mut seen = BTreeSet::new();
        for reference in &dictionary.over {
            self.check_reference(reference).at("field `over`")?;
            if !seen.insert(self.resolved(reference)) {
                return Err(Error::request(format!("`{reference}` is listed twice")).at("field `over`"));
            }
        }
        let of = |variant: &str| dictionary.over.iter().filter(|other| other.variant == variant).count();
        let twice = dictionary.over.iter().find(|reference| of(&reference.variant) > 1);
        if let Some(run) = twice.filter(|_| dictionary.settings.weights.is_empty()) {
            let weights =
                dictionary.over.iter().map(|other| format!("{:.2}", 1.0 / of(&other.variant) as f64));
            return Err(Error::request(format!(
                "expected a weight for every model of `over`, for `{}` stands there {} times and would count as often, \
                 found none",
                run.variant,
                of(&run.variant)
            ))
            .hint(format!(
                "with weights = [{}] every run counts once; write 1.0 for all to let each checkpoint count",
                weights.collect::<Vec<_>>().join(", ")
            ))
            .at("field `weights`"));
        }
        Ok(())
    }

    /// The donors of the exploratory grid must be spanned by the dictionary.
    fn check_grid(&self) -> Result<()> {
        for donor in self.interventions.edits.iter().filter_map(Edit::donor) {
            let reference = Reference::try_from(donor.to_owned()).at("field `edits`")?;
            self.check_reference(&reference).at("field `edits`")?;
            let over =
                self.dictionary.as_ref().map(|dictionary| dictionary.over.as_slice()).unwrap_or_default();
            if !over.contains(&reference) {
                return Err(Error::request(format!("`{reference}` is not spanned by the dictionary"))
                    .hint(format!("use one of {}, written as there", list(over)))
                    .at("field `edits`"));
            }
        }
        Ok(())
    }

    fn check_hypotheses(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for hypothesis in &self.hypotheses {
            self.check_hypothesis(hypothesis).at(hypothesis.place())?;
            if !seen.insert(hypothesis.name()) {
                return Err(Error::request("there are two hypotheses of this name")
                    .hint("give each its own `name`")
                    .at(hypothesis.place()));
            }
        }
        Ok(())
    }
}

pub(super) fn list(references: &[Reference]) -> String {
    references.iter().map(|reference| format!("`{reference}`")).collect::<Vec<_>>().join(", ")
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(allowed) {
        return Err(Error::request(format!("expected letters, digits, `_`, `-` and `.`, found `{name}`"))
            .hint("the name of a study names the folder of its results"));
    }
    Ok(())
}
