//! Made-up evidence.

use super::super::{ClaimRow, ClaimSettings, Fitness, decide};
use crate::experiments::{ControlRow, DifferenceRow, EffectRow};
use crate::rng::Stream;
use crate::stats::{Alternative, sign_flip};

/// Tables with one condition per hypothesis, in which the same edit does nothing in base, two suites, and controls.
#[derive(Default)]
pub(super) struct World {
    pub(super) effects: Vec<EffectRow>,
    pub(super) controls: Vec<ControlRow>,
    pub(super) differences: Vec<DifferenceRow>,
}

/// An effect row with nothing special about it.
pub(in crate::claims) fn effect(receiver: &str) -> EffectRow {
    EffectRow {
        hypothesis: "h".into(),
        condition: "h".into(),
        set: "transfer".into(),
        set_size: Some(8),
        receiver: receiver.into(),
        edit: "zero".into(),
        readout: "joint".into(),
        positions: "all".into(),
        suite: "countdown".into(),
        axis: "transfer".into(),
        endpoint: "pass".into(),
        kind: "necessary".into(),
        declared: true,
        direction: "decrease".into(),
        baseline: 0.5,
        edited: 0.5,
        headroom: Some(0.5),
        p_zero: 1.0,
        controls: 59,
        problems: 60,
        samples: 4,
        fired_prompt: Some(0.1),
        fired_response: Some(0.1),
        delta_norm: Some(0.1),
        ..EffectRow::default()
    }
}

pub(super) const TRANSFER: (&str, &str, &str) = ("countdown", "transfer", "pass");
pub(super) const SAFETY: (&str, &str, &str) = ("refusal", "safety", "refuse");

impl World {
    /// Adds a hypothesis on transfer with the given mean effects on transfer and safety.
    pub(super) fn hypothesis(mut self, name: &str, transfer: f64, safety: f64, matched: bool) -> Self {
        for (suite, mean, declared) in [(TRANSFER, transfer, true), (SAFETY, safety, false)] {
            self.measure(name, suite, mean, declared, matched);
        }
        self
    }

    pub(super) fn measure(
        &mut self,
        name: &str,
        suite: (&str, &str, &str),
        mean: f64,
        declared: bool,
        matched: bool,
    ) {
        let (suite, axis, endpoint) = suite;
        let mut stream = Stream::new(1, &format!("{name} {suite}"), &[]);
        let values: Vec<f64> = (0..60).map(|_| mean + 0.02 * f64::from(stream.normal())).collect();
        let effect_row = effect("rl");
        let effect = values.iter().sum::<f64>() / 60.0;
        for (problem, value) in values.iter().enumerate() {
            self.differences.push(DifferenceRow {
                condition: name.into(),
                suite: suite.into(),
                endpoint: endpoint.into(),
                problem: format!("{suite} {problem}"),
                baseline: 0.5,
                edited: 0.5 + value,
            });
        }
        for draw in 0..59 {
            self.controls.push(ControlRow {
                hypothesis: name.into(),
                condition: name.into(),
                cloud: "any".into(),
                draw,
                suite: suite.into(),
                endpoint: endpoint.into(),
                effect: 0.01 * f64::from(stream.normal()),
                set_effect: effect,
                balance: 0.1,
                matched,
                alike: None,
                like_set: None,
            });
        }
        self.effects.push(EffectRow {
            hypothesis: name.into(),
            condition: name.into(),
            suite: suite.into(),
            axis: axis.into(),
            endpoint: endpoint.into(),
            declared,
            direction: if axis == "safety" { "increase" } else { "decrease" }.into(),
            edited: 0.5 + effect,
            effect,
            ci_low: effect,
            ci_high: effect,
            p_zero: sign_flip(&values, Alternative::TwoSided, 1),
            ..effect_row
        });
        if declared {
            self.in_base(name, 0.0);
        }
    }

    /// Gives a condition `share` of each problem's declared difference, in the place of what it had; the declared effect.
    fn share_of_declared(&mut self, name: &str, condition: &str, share: f64) -> EffectRow {
        self.effects.retain(|row| row.condition != condition);
        self.differences.retain(|row| row.condition != condition);
        let declared =
            self.effects.iter().find(|row| row.declared && row.hypothesis == name).unwrap().clone();
        let of_this = |row: &&DifferenceRow| row.condition == name && row.suite == declared.suite;
        let rows: Vec<DifferenceRow> = self.differences.iter().filter(of_this).cloned().collect();
        self.differences.extend(rows.into_iter().map(|row| DifferenceRow {
            condition: condition.to_owned(),
            edited: row.baseline + share * row.difference(),
            ..row
        }));
        declared
    }

    /// Says that the declared edit has `share` of its effect in base, problem by problem.
    pub(super) fn in_base(&mut self, name: &str, share: f64) {
        let condition = format!("{name} in base");
        let declared = self.share_of_declared(name, &condition, share);
        self.effects.push(EffectRow {
            condition,
            receiver: "base".into(),
            declared: false,
            baseline: 0.6,
            edited: 0.6 + share * declared.effect,
            effect: share * declared.effect,
            ..declared
        });
    }

    /// Adds base's part of the declared set in its place, which has `share` of the declared effect.
    pub(super) fn transplant(&mut self, name: &str, share: f64) {
        let condition = format!("{name} | transplant");
        let declared = self.share_of_declared(name, &condition, share);
        self.effects.push(EffectRow {
            condition,
            donor: Some("base".into()),
            edit: "transplant".into(),
            kind: "exploratory".into(),
            declared: false,
            effect: share * declared.effect,
            ..declared
        });
    }

    /// Gives the endpoint of a suite another name.
    pub(super) fn call(&mut self, suite: &str, endpoint: &str) {
        for row in self.effects.iter_mut().filter(|row| row.suite == suite) {
            row.endpoint = endpoint.into();
        }
        for row in self.differences.iter_mut().filter(|row| row.suite == suite) {
            row.endpoint = endpoint.into();
        }
        for row in self.controls.iter_mut().filter(|row| row.suite == suite) {
            row.endpoint = endpoint.into();
        }
    }

    pub(super) fn decide(&self, fitness: &[Fitness]) -> Vec<ClaimRow> {
        let settings = ClaimSettings { draws: 400, ..ClaimSettings::default() };
        decide(&self.effects, &self.controls, &self.differences, fitness, &settings, 7).unwrap()
    }

    /// Decides about receivers that work.
    pub(super) fn decided(&self) -> Vec<ClaimRow> {
        self.decide(&[working()])
    }
}

/// A receiver that works.
pub(super) fn working() -> Fitness {
    Fitness {
        variant: "rl".into(),
        skills: Some(1.0),
        refuses: Some(0.5),
        complies: Some(1.0),
        difference_fve: None,
    }
}
