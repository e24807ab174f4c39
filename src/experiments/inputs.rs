//! What experiments are made of, and the selection texts that they share.

use super::controls::FeatureTraits;
use super::hypothesis::{Axis, Hypothesis};
use super::lockstep::GivenText;
use super::measure::Trial;
use super::readout::Readout;
use super::set_rule::SetRule;
use super::settings::ExperimentSettings;
use super::texts::Texts;
use crate::dictionaries::Dictionary;
use crate::error::{Error, Result, nearest};
use crate::interventions::TargetKind;
use crate::model::{HookPoint, Model};
use crate::progress::Observer;
use crate::tasks::{Half, Suite};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The models, the dictionary, and the suites to measure on. Cheap to clone.
#[derive(Clone)]
pub struct ExperimentInputs {
    /// Models by variant name; at least those that the dictionary was fitted over.
    pub models: Vec<(String, Model)>,
    /// The dictionary. Without one only directions and heads can be edited.
    pub dictionary: Option<Dictionary>,
    /// The hook that it was fitted at.
    pub hook: HookPoint,
    /// The class of every feature, by `diff`; empty if none was made.
    pub classes: Vec<String>,
    /// The suites and what they stand for. The first of an axis is its primary one.
    pub suites: Vec<(Axis, Suite)>,
    /// The variant before post-training.
    pub base: String,
    /// Neutral texts, on which the cross-entropy under every edit is measured.
    pub neutral: Vec<GivenText>,
}

impl ExperimentInputs {
    /// The axis of a suite by name.
    ///
    /// # Errors
    /// If the suite is not among the inputs.
    pub(super) fn suite(&self, name: &str) -> Result<(Axis, &Suite)> {
        let found = self.suites.iter().find(|(_, suite)| suite.name() == name);
        found.map(|(axis, suite)| (*axis, suite)).ok_or_else(|| {
            let names = || self.suites.iter().map(|(_, suite)| suite.name());
            let error = Error::request(format!("expected one of the study's suites, found `{name}`"));
            match nearest(name, names()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("the suites are {}", names().collect::<Vec<_>>().join(", "))),
            }
        })
    }

    /// The first suite of an axis.
    pub(super) fn primary(&self, axis: Axis) -> Option<&Suite> {
        self.suites.iter().find(|(other, _)| *other == axis).map(|(_, suite)| suite)
    }

    /// Checks what hypotheses refer to.
    ///
    /// # Errors
    /// If a variant, suite or endpoint is not there, two hypotheses have one name, or one could have no effect.
    pub(super) fn check(
        &self,
        hypotheses: &[Hypothesis],
        readout: &Readout,
        settings: &ExperimentSettings,
    ) -> Result<()> {
        for (index, hypothesis) in hypotheses.iter().enumerate() {
            let at = |error: Error| error.at(format!("hypothesis `{}`", hypothesis.name));
            if hypotheses.iter().take(index).any(|other| other.name == hypothesis.name) {
                return Err(at(Error::request("expected a name of its own, found it twice")));
            }
            readout.variant(&hypothesis.receiver).map_err(at)?;
            hypothesis.edit.donor().map(|donor| readout.variant(donor)).transpose().map_err(at)?;
            hypothesis.check(settings.readout).map_err(at)?;
            if hypothesis.edit.donor() == Some(&hypothesis.receiver) {
                return Err(at(Error::request(format!(
                    "field `edit`: expected another variant than the receiver `{}` to take from",
                    hypothesis.receiver
                ))));
            }
            if hypothesis.hook.is_some() && hypothesis.set.kind(&hypothesis.edit) != TargetKind::Direction {
                return Err(at(Error::request("field `hook`: only a direction can be edited at any hook")
                    .hint("features are edited where their dictionary was fitted, heads at their outputs")));
            }
            if let SetRule::Means { toward, away, of } = &hypothesis.set {
                self.suite(toward).and_then(|_| self.suite(away)).map_err(at)?;
                of.as_ref().map(|of| readout.variant(of)).transpose().map_err(at)?;
            }
            let (_, suite) = self.suite(&hypothesis.suite).map_err(at)?;
            let mut endpoints = super::measure::endpoints(suite).into_iter();
            if let Some(wanted) = &hypothesis.endpoint
                && !endpoints.any(|endpoint| endpoint == *wanted)
            {
                let names = super::measure::endpoints(suite).join(", ");
                return Err(at(Error::request(format!(
                    "expected an endpoint of `{}`, found `{wanted}`",
                    suite.name()
                ))
                .hint(format!("its endpoints are {names}"))));
            }
        }
        Ok(())
    }
}

/// The selection half: texts of each (variant, suite), made once.
pub(super) struct Selection<'a> {
    pub(super) inputs: &'a ExperimentInputs,
    pub(super) readout: &'a Readout,
    pub(super) settings: &'a ExperimentSettings,
    pub(super) seed: u64,
    pub(super) observer: &'a Observer,
    texts: BTreeMap<(usize, String), Arc<Texts>>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(
        inputs: &'a ExperimentInputs,
        readout: &'a Readout,
        settings: &'a ExperimentSettings,
        seed: u64,
        observer: &'a Observer,
    ) -> Self {
        Self { inputs, readout, settings, seed, observer, texts: BTreeMap::new() }
    }

    /// The suite's problems on one half.
    pub(super) fn trial<'s>(&self, suite: &'s Suite, half: Half) -> Trial<'s>
    where
        'a: 's,
    {
        let limit = self.settings.problems;
        Trial {
            readout: self.readout,
            settings: self.settings,
            suite,
            half,
            limit,
            given: None,
            seed: self.seed,
        }
    }

    /// What a variant says on the selection half of a suite.
    ///
    /// # Errors
    /// If a forward pass fails, or the observer asks to stop.
    pub(super) fn texts(&mut self, variant: usize, suite: &Suite) -> Result<Arc<Texts>> {
        let key = (variant, suite.name().to_owned());
        if let Some(texts) = self.texts.get(&key) {
            return Ok(texts.clone());
        }
        let texts = Arc::new(Texts::of(&self.trial(suite, Half::Select), variant, self.observer)?);
        self.texts.insert(key, texts.clone());
        Ok(texts)
    }

    /// Class and shift of every feature: the shift is the mean code on the receiver's own texts less that on
    /// the reference variant's, for the same prompts.
    ///
    /// # Errors
    /// As [`Selection::texts`].
    pub(super) fn traits(
        &mut self,
        receiver: usize,
        reference: usize,
        suite: &Suite,
    ) -> Result<Vec<FeatureTraits>> {
        let features = self.readout.features();
        let own = self.texts(receiver, suite)?.mean_codes(features);
        let other = self.texts(reference, suite)?.mean_codes(features);
        let class = |feature: usize| self.inputs.classes.get(feature).cloned().unwrap_or_default();
        let shifts = own.iter().zip(other).map(|(own, other)| own - other).enumerate();
        Ok(shifts
            .map(|(feature, shift)| {
                let class = class(feature);
                FeatureTraits { shared: class.is_empty() || class == "shared", class, shift }
            })
            .collect())
    }
}
