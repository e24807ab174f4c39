//! The part of a study that `intervene` needs: suites, settings and hypotheses.

use super::SuiteGroups;
use super::sections::Sections;
use crate::error::{At, Error, Result};
use crate::experiments::{self, ExperimentSettings};
use crate::foreign;
use crate::study::overrides;
use crate::tasks::Stated;
use std::path::Path;

/// Hypotheses with the suites and settings to test them with, apart from any study.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// How suites are said, where their names do not state it.
    pub rendering: Stated,
    /// The suites, by what they stand for.
    pub suites: SuiteGroups,
    /// How sets are chosen, edited, controlled and measured.
    pub settings: ExperimentSettings,
    /// What is declared; variants are named as the dictionary names them.
    pub hypotheses: Vec<experiments::Hypothesis>,
}

impl Experiment {
    /// Reads the sections `[suites]`, `[interventions]` and `[[hypothesis]]` of a file; the other sections of a
    /// study may be there and are not looked at.
    ///
    /// # Errors
    /// If the file is missing, is no TOML, or one of the sections is not sound.
    pub fn load(path: &Path, sets: &[String]) -> Result<Self> {
        let text = foreign::text(path, foreign::DOCUMENT)?;
        Self::parse(&text, sets).at(path.display())
    }

    fn parse(text: &str, sets: &[String]) -> Result<Self> {
        let mut table = super::table(text)?;
        overrides::apply_to_study(&mut table, sets)?;
        let mut sections = Sections::new(table);
        let hypotheses = super::hypotheses(&mut sections)?;
        let experiment = Self {
            rendering: super::rendered::read(sections.optional("rendering")?)?,
            suites: sections.required("suites")?,
            settings: sections.or_default("interventions")?,
            hypotheses: hypotheses.into_iter().map(|hypothesis| hypothesis.declared).collect(),
        };
        sections.ignore(&super::SECTIONS);
        sections.finish()?;
        experiment.settings.check().at("[interventions]")?;
        if experiment.hypotheses.is_empty() {
            return Err(Error::request("expected at least one [[hypothesis]], found none").hint(
                "for example\n[[hypothesis]]\nset = { features = [3] }\nreceiver = \"rl\"\nedit = \"zero\"\nsuite = \"refusal\"",
            ));
        }
        Ok(experiment)
    }
}
