//! The study file: what is asked, of which models, with which settings.
//!
//! Reading goes in three steps. The TOML text becomes a table, to which `--set` overrides are applied.
//! Each section is read into its settings, which refuse unknown fields and offer the nearest name.
//! [`Study::check`] then looks across sections: references must exist, a hypothesis must be about a
//! variant that the dictionary spans, and the number of controls must allow significance. A [`Study`]
//! that exists is one that can run.

mod base;
mod capture;
mod check;
mod dictionary;
mod experiment;
mod gate;
mod hypothesis;
pub(crate) mod post_training;
mod reach;
mod reference;
mod rendered;
mod sections;
mod suites;
mod testable;
mod variant;

pub use base::{Base, Preset, Sizes};
pub use capture::Capture;
pub use dictionary::DictionaryRequest;
pub use experiment::Experiment;
pub use gate::Gate;
pub use hypothesis::Hypothesis;
pub use reach::Reach;
pub use reference::{BASE, Checkpoint, Reference};
pub use suites::SuiteGroups;
pub use variant::{Method, Variant};

use super::overrides;
use crate::claims::ClaimSettings;
use crate::diff::DiffSettings;
use crate::error::{At, Error, Result, io};
use crate::evaluation::EvaluationSettings;
use crate::experiments::ExperimentSettings;
use crate::foreign;
use crate::report::Beside;
use crate::tasks::Stated;
use sections::Sections;
use std::path::Path;

/// A checked study.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// How all of it is said, where the names of suites and data arms do not state it.
    pub rendering: Stated,
    /// Its name; names the folder of its results.
    pub name: String,
    /// The question that it asks, in a sentence.
    pub question: Option<String>,
    /// Keys every random stream.
    pub seed: u64,
    /// The model before post-training.
    pub base: Base,
    /// What the base must be like to be worth post-training.
    pub gate: Gate,
    /// The tasks, by what they stand for.
    pub suites: SuiteGroups,
    /// How completions are sampled for evaluation.
    pub evaluation: EvaluationSettings,
    /// The post-trained variants, in the order of the file, replicates after the first of their training seeds.
    pub variants: Vec<Variant>,
    /// The variant whose end the `@matched` checkpoints are matched to.
    pub matched_to: Option<String>,
    /// Which activations are captured. `None` ends the study after the evaluations.
    pub capture: Option<Capture>,
    /// The dictionary over several variants.
    pub dictionary: Option<DictionaryRequest>,
    /// What is measured of every feature.
    pub diff: DiffSettings,
    /// How feature sets are chosen, edited and controlled.
    pub interventions: ExperimentSettings,
    /// What is claimed, declared before measuring.
    pub hypotheses: Vec<Hypothesis>,
    /// How claims are decided.
    pub claims: ClaimSettings,
    /// Finished studies whose results stand beside its claims.
    pub beside: Beside,
    /// The text of the file, as it was read.
    pub text: String,
}

/// The sections of a study that only a study has.
const SECTIONS: [&str; 14] = [
    "name",
    "rendering",
    "question",
    "seed",
    "base",
    "gate",
    "evaluation",
    "variant",
    "matched_to",
    "capture",
    "dictionary",
    "diff",
    "claims",
    "beside",
];

/// The table that a file's text is.
fn table(text: &str) -> Result<toml::Table> {
    text.parse().map_err(|error: toml::de::Error| {
        Error::request(format!("the file is not valid TOML\n{}", error.to_string().trim_end()))
            .hint("see https://toml.io for the syntax")
    })
}

/// The hypotheses of a file.
fn hypotheses(sections: &mut Sections) -> Result<Vec<Hypothesis>> {
    let found =
        sections.tables("hypothesis")?.into_iter().map(Hypothesis::read).collect::<Result<Vec<_>>>()?;
    Ok(found.into_iter().flatten().collect())
}

impl Study {
    /// Reads and checks the study in `path`, with `key=value` overrides.
    ///
    /// # Errors
    /// If the file is missing, is no TOML, or does not describe a study that can run.
    pub fn load(path: &Path, sets: &[String]) -> Result<Self> {
        std::fs::metadata(path).map_err(|error| io("read the study", path, error))?;
        let text = foreign::text(path, foreign::DOCUMENT)?;
        let mut study = Self::parse(&text, sets).at(path.display())?;
        study.beside.from = path.parent().map(Path::to_path_buf).unwrap_or_default();
        if study.base.is_at_hand() { study.rendered().at(path.display()) } else { Ok(study) }
    }

    /// Reads and checks the study in `text`, with `key=value` overrides.
    ///
    /// # Errors
    /// As [`Study::load`].
    pub fn parse(text: &str, sets: &[String]) -> Result<Self> {
        let mut table = table(text)?;
        overrides::apply_to_study(&mut table, sets)?;
        let mut sections = Sections::new(table);
        let mut study = Self {
            rendering: rendered::read(sections.optional("rendering")?)?,
            name: sections.required("name")?,
            question: sections.optional("question")?,
            seed: sections.or_default::<sections::Seed>("seed")?.0,
            base: Base::read(sections.table("base")?)?,
            gate: sections.or_default("gate")?,
            suites: sections.required("suites")?,
            evaluation: sections.or_default("evaluation")?,
            variants: Vec::new(),
            matched_to: sections.optional("matched_to")?,
            capture: sections.optional("capture")?,
            dictionary: sections.optional_table("dictionary")?.map(DictionaryRequest::read).transpose()?,
            diff: sections.or_default("diff")?,
            interventions: sections.or_default("interventions")?,
            hypotheses: hypotheses(&mut sections)?,
            claims: sections.or_default("claims")?,
            beside: sections.or_default("beside")?,
            text: text.to_owned(),
        };
        for table in sections.tables("variant")? {
            study.variants.extend(Variant::read(table, study.suites.in_domain.first())?);
        }
        sections.finish()?;
        study.check()?;
        Ok(study)
    }

    /// The variant called `name`, if the study has one.
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// The reference with its last checkpoint written out as a step, so that equal models have equal names.
    pub fn resolved(&self, reference: &Reference) -> Reference {
        let last = self.variant(&reference.variant).and_then(Variant::last_checkpoint);
        match (reference.checkpoint, last) {
            (Checkpoint::Last, Some(step)) => {
                Reference { variant: reference.variant.clone(), checkpoint: Checkpoint::Step(step) }
            }
            _ => reference.clone(),
        }
    }
}
