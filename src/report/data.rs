//! Everything that the sections draw from: the rows of the tables and the facts of the study.

use super::beside::{ElsewhereRow, Role};
use super::edited::{self, Edited};
use super::facts::{StudyFacts, VariantFact};
use super::palette::{self, Colour, SLATE};
use super::sayings::{self, Saying};
use crate::claims::calibration::CalibrationRow;
use crate::claims::{ClaimRow, NOT_REPEATED, RepetitionRow, agreement};
use crate::dictionaries::DictionaryRow;
use crate::diff::models::{
    ActivationDifferenceRow, DirectionRow, DivergenceRow, DivergentTokenRow, HeadRow, ProbeRow, WeightRow,
};
use crate::diff::{ContextRow, DynamicsRow, FeatureRow, ReadoutRow};
use crate::error::Result;
use crate::evaluation::{
    ComparisonRow, EvaluationRow, PatternRow, SeedRow, SeedTrajectoryRow, TrajectoryRow,
};
use crate::experiments::{ControlRow, EffectRow, PublishedRow, SetRow, ShiftRow, TrendRow};
use crate::tables;
use crate::training::{TimingRow, TrainingRow};
use serde::de::DeserializeOwned;
use std::path::Path;

/// The rows of a study's tables. A table that the study does not have is empty.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) facts: StudyFacts,
    pub(super) training: Vec<TrainingRow>,
    pub(super) evaluations: Vec<EvaluationRow>,
    pub(super) trajectories: Vec<TrajectoryRow>,
    pub(super) patterns: Vec<PatternRow>,
    pub(super) seeds: Vec<SeedRow>,
    pub(super) comparisons: Vec<ComparisonRow>,
    pub(super) seed_trajectories: Vec<SeedTrajectoryRow>,
    pub(super) elsewhere: Vec<ElsewhereRow>,
    pub(super) dictionaries: Vec<DictionaryRow>,
    pub(super) features: Vec<FeatureRow>,
    pub(super) contexts: Vec<ContextRow>,
    pub(super) effects: Vec<EffectRow>,
    pub(super) controls: Vec<ControlRow>,
    pub(super) sets: Vec<SetRow>,
    pub(super) claims: Vec<ClaimRow>,
    pub(super) repetitions: Vec<RepetitionRow>,
    pub(super) nulls: Vec<RepetitionRow>,
    pub(super) calibration: Vec<CalibrationRow>,
    pub(super) readouts: Vec<ReadoutRow>,
    pub(super) dynamics: Vec<DynamicsRow>,
    pub(super) shifts: Vec<ShiftRow>,
    pub(super) divergences: Vec<DivergenceRow>,
    pub(super) divergent_tokens: Vec<DivergentTokenRow>,
    pub(super) activation_differences: Vec<ActivationDifferenceRow>,
    pub(super) directions: Vec<DirectionRow>,
    pub(super) heads: Vec<HeadRow>,
    pub(super) weights: Vec<WeightRow>,
    pub(super) probes: Vec<ProbeRow>,
    pub(super) trends: Vec<TrendRow>,
    pub(super) published: Vec<PublishedRow>,
    pub(super) sayings: Vec<Saying>,
    pub(super) edited: Vec<Edited>,
    pub(super) timings: Vec<TimingRow>,
    colours: Vec<(String, Colour)>,
}

impl Data {
    /// Reads the tables of one folder.
    pub(super) fn load(folder: &Path, mut facts: StudyFacts) -> Result<Self> {
        let training: Vec<TrainingRow> = rows(folder, "training")?;
        let evaluations: Vec<EvaluationRow> = rows(folder, "evaluations")?;
        if facts.variants.is_empty() {
            facts.variants = variants_of(&training, &evaluations);
        }
        let colours = palette::variant_colours(
            facts.variants.iter().map(|variant| (variant.name.as_str(), variant.method.as_str())),
        );
        let (effects, claims): (Vec<EffectRow>, Vec<ClaimRow>) =
            (rows(folder, "effects")?, rows(folder, "claims")?);
        let edited = edited::load(folder, &claims, &effects)?;
        Ok(Self {
            training,
            evaluations,
            trajectories: rows(folder, "trajectories")?,
            patterns: rows(folder, "patterns")?,
            seeds: rows(folder, "seeds")?,
            comparisons: rows(folder, "comparisons")?,
            seed_trajectories: rows(folder, "seed_trajectories")?,
            elsewhere: rows(folder, "elsewhere")?,
            dictionaries: rows(folder, "dictionaries")?,
            features: rows(folder, "features")?,
            contexts: rows(folder, "contexts")?,
            effects,
            controls: rows(folder, "controls")?,
            sets: rows(folder, "sets")?,
            claims,
            repetitions: rows(folder, "repetitions")?,
            nulls: rows(folder, "nulls")?,
            calibration: rows(folder, "calibration")?,
            readouts: rows(folder, "readouts")?,
            dynamics: rows(folder, "dynamics")?,
            shifts: rows(folder, "shifts")?,
            divergences: rows(folder, "divergences")?,
            divergent_tokens: rows(folder, "divergent_tokens")?,
            activation_differences: rows(folder, "activation_differences")?,
            directions: rows(folder, "directions")?,
            heads: rows(folder, "heads")?,
            weights: rows(folder, "weights")?,
            probes: rows(folder, "probes")?,
            trends: rows(folder, "trends")?,
            published: rows(folder, "published")?,
            sayings: sayings::load(folder)?,
            edited,
            timings: rows(folder, "timings")?,
            facts,
            colours,
        })
    }

    /// The colour of a variant, given with or without its checkpoint (`rl@120`).
    pub(super) fn colour(&self, variant: &str) -> Colour {
        let name = variant.split('@').next().unwrap_or(variant);
        self.colours.iter().find(|(other, _)| other == name).map_or(SLATE, |(_, colour)| *colour)
    }

    /// How many repetitions agree with a claim, itself counted in: its own, else those of the study beside this one,
    /// if that repeats this one's very experiments.
    pub(super) fn stability(&self, claim: &ClaimRow) -> Option<String> {
        if claim.stability != NOT_REPEATED {
            return Some(claim.stability.clone());
        }
        let beside = self.facts.beside.iter().find(|fact| fact.role == Role::Repeated);
        agreement(claim, &self.repetitions).filter(|_| beside.is_none_or(|fact| fact.same))
    }

    /// The claims that something repeats, each with how many repetitions agree, in words.
    pub(super) fn stabilities(&self) -> Vec<String> {
        let counted = |claim: &ClaimRow| Some(format!("{} in {}", claim.hypothesis, self.stability(claim)?));
        self.claims.iter().filter_map(counted).collect()
    }

    /// The variants without the base.
    pub(super) fn trained(&self) -> impl Iterator<Item = &VariantFact> {
        self.facts.variants.iter().filter(|variant| variant.method != "base")
    }

    /// The base's name.
    pub(super) fn base(&self) -> &str {
        self.facts
            .variants
            .iter()
            .find(|variant| variant.method == "base")
            .map_or("base", |variant| &variant.name)
    }

    /// What a suite stands for, in words.
    pub(super) fn role(&self, suite: &str) -> &'static str {
        let holds = |suites: &[String]| suites.iter().any(|other| other == suite);
        match &self.facts {
            facts if holds(&facts.in_domain) => "trained on",
            facts if holds(&facts.transfer) => "transfer",
            facts if holds(&facts.safety) => "safety",
            facts if holds(&facts.collateral) => "collateral",
            _ => "other",
        }
    }

    /// The suites of the evaluations: those of the study in its order, then any others.
    pub(super) fn suites(&self) -> Vec<String> {
        let facts = &self.facts;
        let mut suites: Vec<String> = [&facts.in_domain, &facts.transfer, &facts.safety, &facts.collateral]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        suites.retain(|suite| self.evaluations.iter().any(|row| row.suite == *suite));
        for row in &self.evaluations {
            if !suites.contains(&row.suite) {
                suites.push(row.suite.clone());
            }
        }
        suites
    }
}

fn rows<R: DeserializeOwned>(folder: &Path, name: &str) -> Result<Vec<R>> {
    let path = folder.join(format!("{name}.parquet"));
    if path.exists() { tables::read(&path) } else { Ok(Vec::new()) }
}

/// Variants in the order in which tables name them, for tables without a study beside them.
fn variants_of(training: &[TrainingRow], evaluations: &[EvaluationRow]) -> Vec<VariantFact> {
    let mut variants: Vec<VariantFact> = Vec::new();
    let names = evaluations.iter().map(|row| &row.variant).chain(training.iter().map(|row| &row.variant));
    for name in names {
        if variants.iter().all(|variant| variant.name != *name) {
            let rewarded = training.iter().any(|row| row.variant == *name && row.reward.is_some());
            let method = match name.as_str() {
                "base" => "base",
                _ if rewarded => "reward",
                _ => "sft",
            };
            variants.push(VariantFact {
                name: name.clone(),
                method: method.to_owned(),
                ..VariantFact::default()
            });
        }
    }
    variants
}
