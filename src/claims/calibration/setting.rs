//! What a calibration runs: at which level, with what planted, by which method; and what a study found.

use super::judge::Judged;
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
                Method::SizesTakenForEffects,
            ],
            Self::Model => &[
                Method::EditDisabled,
                Method::HalvesMadeOne,
                Method::FallInBaseIgnored,
                Method::SizesTakenForEffects,
            ],
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
    /// The effect of a set is how far its outcomes move, whichever way.
    SizesTakenForEffects,
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
            Self::SizesTakenForEffects => "sizes taken for effects",
        }
    }
}

/// What is planted, and how it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Planting {
    /// No set carries a suite: every edit does some damage, and one that writes as much does as much.
    Nothing,
    /// One set carries a skill in base and in the tuned variant alike, without which both fail the transfer suite, and the
    /// tuned variant is better at it for another reason. The set carries no transfer: removing it only shows the skill.
    SharedSkill,
    /// As `Transfer`, but the halves are of different sources: the problems that measure a suite are those of the other
    /// one. Selection finds a set that does carry the problems which select, and it carries nothing of those which
    /// measure: a claim repeats what was selected.
    DisjointHalves,
    /// As `Transfer`, but the problems that measure are paired anew with right answers, which so have nothing to do with
    /// what is asked. An edit moves as many outcomes as it does there, and as many for the better as for the worse: a
    /// claim takes movement for an effect.
    PermutedPairs,
    /// One set carries the transfer suite and nothing else.
    Transfer,
}

impl Planting {
    /// Those in which every claim is false.
    pub(super) const FALSE: [Self; 4] =
        [Self::Nothing, Self::SharedSkill, Self::DisjointHalves, Self::PermutedPairs];

    /// The name in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "null",
            Self::SharedSkill => "shared skill",
            Self::DisjointHalves => "disjoint halves",
            Self::PermutedPairs => "permuted pairs",
            Self::Transfer => "planted",
        }
    }

    /// The suite whose problems measure `suite`.
    pub(super) fn measures(self, suite: Suite) -> Suite {
        match (self, suite) {
            (Self::DisjointHalves, Suite::Transfer) => Suite::Safety,
            (Self::DisjointHalves, Suite::Safety) => Suite::Transfer,
            (_, suite) => suite,
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
    pub(super) judged: Judged,
    /// Whether selection chose the planted set; at the level of the model, features with at least half of
    /// its effect.
    pub(super) chose_planted: bool,
    /// The true effects of the chosen set on transfer and on safety; 0 where every claim is false, and nobody asks.
    pub(super) truth: [f64; 2],
}
