//! One rendering for a whole study.
//!
//! How tasks are said follows the base: its tokenizer and its chat template decide what nobody stated. All variants are
//! asked and taught in that one rendering. Were a base asked in plain text and a post-trained model by a template, what
//! they differ in would be the template's doing.

use super::{Base, Experiment, Hypothesis, Method, Study, SuiteGroups};
use crate::error::{At, Error, Result};
use crate::experiments::{self, SetRule};
use crate::model::{Tokenizer, hub};
use crate::tasks::{self, Rendering, Stated, Suite};
use std::collections::BTreeSet;

/// The field `rendering`.
pub(super) fn read(name: Option<String>) -> Result<Stated> {
    name.map_or(Ok(Stated::default()), |name| Stated::parse(&name)).at("field `rendering`")
}

impl SuiteGroups {
    /// The suites as a model with this tokenizer is asked them.
    ///
    /// # Errors
    /// If it cannot be asked one in its stated rendering.
    pub fn said_to(&self, tokenizer: &Tokenizer, default: Stated) -> Result<Self> {
        let said = |suites: &[Suite]| -> Result<Vec<Suite>> {
            suites.iter().map(|suite| suite.said_to(tokenizer, default)).collect()
        };
        Ok(Self {
            in_domain: said(&self.in_domain)?,
            transfer: said(&self.transfer)?,
            safety: said(&self.safety)?,
            collateral: said(&self.collateral)?,
        })
    }
}

impl Hypothesis {
    /// The hypothesis about suites as a model with this tokenizer is asked them.
    ///
    /// # Errors
    /// As [`SuiteGroups::said_to`].
    pub fn said_to(&self, tokenizer: &Tokenizer, default: Stated) -> Result<Self> {
        let mut said = self.clone();
        said.suite = self.suite.said_to(tokenizer, default)?;
        name_suites(&mut said.declared, tokenizer, default)?;
        Ok(said)
    }
}

/// Names the suites of a declared hypothesis as they are said.
fn name_suites(declared: &mut experiments::Hypothesis, tokenizer: &Tokenizer, default: Stated) -> Result<()> {
    let said =
        |name: &str| Ok::<_, Error>(Suite::parse(name)?.said_to(tokenizer, default)?.name().to_owned());
    declared.suite = said(&declared.suite)?;
    if let SetRule::Means { toward, away, .. } = &mut declared.set {
        (*toward, *away) = (said(toward)?, said(away)?);
    }
    Ok(())
}

impl Experiment {
    /// Suites and hypotheses as a model with this tokenizer is asked them.
    ///
    /// # Errors
    /// As [`SuiteGroups::said_to`].
    pub fn said_to(mut self, tokenizer: &Tokenizer) -> Result<Self> {
        self.suites = self.suites.said_to(tokenizer, self.rendering)?;
        for hypothesis in &mut self.hypotheses {
            name_suites(hypothesis, tokenizer, self.rendering)?;
        }
        Ok(self)
    }
}

impl Study {
    /// The study in the rendering that its base decides or the file states.
    ///
    /// # Errors
    /// If the base cannot be asked so, or two parts of the study state two renderings.
    pub fn rendered(&self) -> Result<Self> {
        // A base without a tokenizer of its own (as an adapter may be) is asked as the names say; a prompt in words that
        // its tokenizer lacks is refused where it is put.
        let Ok(tokenizer) = (match &self.base {
            Base::Preset { .. } => tasks::tokenizer(),
            Base::Model(model) => hub::find(model).and_then(|folder| Tokenizer::load(&folder)),
        }) else {
            return Ok(self.clone());
        };
        let (mut said, default) = (self.clone(), self.rendering);
        said.suites = self.suites.said_to(&tokenizer, default).at("[suites]")?;
        for hypothesis in &mut said.hypotheses {
            *hypothesis = hypothesis.said_to(&tokenizer, default).at(hypothesis.place())?;
        }
        for variant in &mut said.variants {
            if let Method::Trained(training) = &mut variant.method {
                **training =
                    training.said_to(&tokenizer, default).at(format!("variant `{}`", variant.name))?;
            }
        }
        said.check_one_rendering()?;
        Ok(said)
    }

    fn check_one_rendering(&self) -> Result<()> {
        let trained = self.variants.iter().filter_map(|variant| match &variant.method {
            Method::Trained(training) => Some(training.renderings()),
            Method::Model(_) => None,
        });
        let asked = self.suites.by_axis().filter_map(|(_, suite)| suite.rendering());
        let all: BTreeSet<Rendering> = trained.flatten().chain(asked).collect();
        match all.len() {
            0 | 1 => Ok(()),
            _ => Err(Error::request(format!(
                "expected one rendering for all suites and variants, found {}",
                all.iter().map(|one| one.name()).collect::<Vec<_>>().join(" and ")
            ))
            .hint("state it once, as in rendering = \"chat\", and not behind the names")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::config::Study;

    const STUDY: &str =
        "name = \"x\"\n[base]\npreset = \"micro\"\n[suites]\nin_domain = [\"general_points\"]\n";

    #[test]
    fn a_preset_is_asked_in_symbols_and_in_nothing_else() {
        let study = Study::parse(STUDY, &[]).unwrap();
        assert_eq!(study.rendered().unwrap().suites.in_domain[0].name(), "general_points");
        for set in ["rendering=\"chat\"", "suites.collateral=[\"skills:as=text\"]"] {
            let study = Study::parse(STUDY, &[set.to_owned()]).unwrap();
            let error = study.rendered().unwrap_err().to_string();
            assert!(error.contains("[suites]"), "{error}");
        }
        let error = Study::parse(STUDY, &["rendering=\"chatt\"".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("did you mean `chat`?"), "{error}");
    }

    #[test]
    fn two_renderings_in_one_study_are_refused() {
        let mut study = Study::parse(STUDY, &[]).unwrap();
        study.suites.transfer = vec![Suite::parse("countdown:as=text").unwrap()];
        let error = study.check_one_rendering().unwrap_err().to_string();
        assert!(error.contains("symbols and text"), "{error}");
    }
}
