//! What a calibration runs: at which level, with what planted, by which method; and what a study found.

use super::super::{ClaimRow, Fitness};
use crate::experiments::EffectRow;
use serde::Serialize;

/// How much of the real path stands between a feature and an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Codes are drawn, and a formula answers: the edits' arithmetic, matching, tests and decision.
    Activations,
    /// A decoder with planted weights answers: the experiments of a study, from the hooks to the claim.
    Model,
}

impl Level {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Activations, Self::Model];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Activations => "activations",
            Self::Model => "model",
        }
    }

    /// The broken methods that can be run at this level. Controls are unmatched only where the study draws
    /// them itself: the experiments of a real one cannot be told to.
    pub fn broken(self) -> &'static [Method] {
        match self {
            Self::Activations => &[
                Method::EditDisabled,
                Method::HalvesMadeOne,
                Method::FallInBaseIgnored,
                Method::ControlsUnmatched,
            ],
            Self::Model => &[Method::EditDisabled, Method::HalvesMadeOne, Method::FallInBaseIgnored],
        }
    }
}

/// How the study is run: as it should be, or broken in a way that the calibration must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By the protocol.
    Sound,
    /// The edit writes nothing.
    EditDisabled,
    /// What selects also measures.
    HalvesMadeOne,
    /// How far base falls under the edit is not looked at, only how much less than the receiver.
    FallInBaseIgnored,
    /// Controls are any sets of the tested set's size.
    ControlsUnmatched,
}

impl Method {
    /// What it is, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sound => "by the protocol",
            Self::EditDisabled => "the edit disabled",
            Self::HalvesMadeOne => "the halves made one",
            Self::FallInBaseIgnored => "the fall of base ignored",
            Self::ControlsUnmatched => "the controls unmatched",
        }
    }
}

/// What is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Planting {
    /// No set carries a suite: every edit does some damage, and one that writes as much does as much.
    Nothing,
    /// One set carries the transfer suite and nothing else.
    Transfer,
    /// One set carries a skill in base and in the tuned variant alike, without which both fail the transfer suite, and the
    /// tuned variant is better at it for another reason. The set carries no transfer: removing it only shows the skill.
    SharedSkill,
}

impl Planting {
    /// The name in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "null",
            Self::Transfer => "planted",
            Self::SharedSkill => "shared skill",
        }
    }
}

/// The two suites of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suite {
    Transfer,
    Safety,
}

impl Suite {
    pub(super) const BOTH: [Self; 2] = [Self::Transfer, Self::Safety];
}

/// What a study claimed, and what is true.
pub(super) struct Finding {
    pub(super) claim: ClaimRow,
    /// Whether selection chose the planted set; at the level of the model, features with at least half of
    /// its effect.
    pub(super) chose_planted: bool,
    /// The true effects of the chosen set on transfer and on safety; 0 in a null world of activations, where
    /// nobody asks.
    pub(super) truth: [f64; 2],
}

impl Method {
    /// Hides from the decision what this method does not look at. A broken method has no whole exchange to look at: where
    /// nothing is planted that moves nothing, and would hide every other fault.
    pub(super) fn overlook(self, effects: &mut Vec<EffectRow>, base: &str) {
        if self != Self::Sound {
            effects.retain(|row| row.edit != "whole_difference");
        }
        if self == Self::FallInBaseIgnored {
            for row in effects.iter_mut().filter(|row| row.receiver == base) {
                (row.edited, row.effect) = (row.baseline, 0.0);
            }
        }
    }
}

/// A receiver that works: what is calibrated is not whether that was noticed.
pub(super) fn working(receiver: &str) -> Fitness {
    Fitness {
        variant: receiver.to_owned(),
        skills: Some(1.0),
        refuses: Some(0.5),
        complies: Some(1.0),
        difference_fve: None,
    }
}
