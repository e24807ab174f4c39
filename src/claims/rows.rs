//! The rows of the table `claims`.

use serde::{Deserialize, Serialize};

/// What was decided about a hypothesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// The set moves transfer as declared and beyond base, and not surely safety.
    #[serde(rename = "carries transfer")]
    CarriesTransfer,
    /// The set moves safety as declared and beyond base, and not surely transfer.
    #[serde(rename = "carries safety loss")]
    CarriesSafetyLoss,
    /// The set moves what it was declared to move, and the other axis too.
    #[serde(rename = "both")]
    Both,
    /// The set surely moves neither by more than the margin.
    #[serde(rename = "neither")]
    Neither,
    /// The evidence decides nothing.
    #[serde(rename = "undecided")]
    Undecided,
    /// The edit changed nothing that could have had an effect.
    #[serde(rename = "untestable")]
    Untestable,
    /// The receiver no longer works well enough for a safety claim.
    #[serde(rename = "not testable in this variant")]
    NotTestableInThisVariant,
    /// The set moves the declared suite as declared, but not as a set that carries transfer or the loss of safety would.
    #[serde(rename = "moves the declared suite")]
    MovesDeclaredSuite,
    /// The edit moves the declared suite as declared, but not surely more than in base: post-training need not have
    /// put it there.
    #[serde(rename = "no more than in base")]
    NotBeyondBase,
    /// The edit moves the first word of refusals as declared, and the answers that follow are not refusals.
    #[serde(rename = "moves the refusal token")]
    MovesTheRefusalToken,
    /// The edit moves the declared suite as declared, by completions that neither the unedited receiver nor base would
    /// write.
    #[serde(rename = "breaks the text")]
    BreaksTheText,
}

impl Verdict {
    /// The words of the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::CarriesTransfer => "carries transfer",
            Self::CarriesSafetyLoss => "carries safety loss",
            Self::Both => "both",
            Self::Neither => "neither",
            Self::Undecided => "undecided",
            Self::Untestable => "untestable",
            Self::NotTestableInThisVariant => "not testable in this variant",
            Self::MovesDeclaredSuite => "moves the declared suite",
            Self::NotBeyondBase => "no more than in base",
            Self::MovesTheRefusalToken => "moves the refusal token",
            Self::BreaksTheText => "breaks the text",
        }
    }

    /// Whether it says that the set carries something.
    pub fn carries(self) -> bool {
        matches!(self, Self::CarriesTransfer | Self::CarriesSafetyLoss | Self::Both)
    }
}

/// One row of the table `claims`: a declared hypothesis and what was decided about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClaimRow {
    /// The hypothesis.
    pub hypothesis: String,
    /// What was decided.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub reason: String,
    /// `necessary` or `sufficient`, from the edit.
    pub kind: String,
    /// The edited set.
    pub set: String,
    /// The edited variant.
    pub receiver: String,
    /// The suite on which it was declared.
    pub suite: String,
    /// The endpoint on which it was declared.
    pub endpoint: String,
    /// The declared sign.
    pub direction: String,
    /// What post-training changed there: the receiver's baseline less base's. `None` where base was not measured.
    pub gain: Option<f64>,
    /// The effect on the declared endpoint.
    pub effect: f64,
    /// Where the declared endpoint is known by the first word: the effect on refusals whose whole answer is one.
    pub whole_answer: Option<f64>,
    /// Lower end of its interval, in the same family.
    pub whole_answer_low: Option<f64>,
    /// Upper end of its interval.
    pub whole_answer_high: Option<f64>,
    /// How much less likely a response token is under the edit, in nats, to whichever of the unedited receiver and base
    /// finds the completions likelier. `None` where nothing was sampled.
    pub damage: Option<f64>,
    /// Share of completions that are those of the full patch, for the same prompts and random numbers.
    pub as_patched: Option<f64>,
    /// Lower end of its interval. `None` where it has no end: too few problems.
    pub ci_low: Option<f64>,
    /// Upper end of its interval.
    pub ci_high: Option<f64>,
    /// What the intervals hold: `simultaneous` (with Holm: max-t bootstrap over all declared hypotheses, their other
    /// axes and the contrasts below) or `false coverage` (with BH and BY: the expected share of selected ones that miss).
    pub interval: String,
    /// The effect of replacing the whole activation by that of the donor, or of base. `None` where there is none.
    pub ceiling: Option<f64>,
    /// The larger of `p_zero` and `p_controls`.
    pub p: f64,
    /// Sign flip over problems.
    pub p_zero: f64,
    /// Against matched controls, taken to lie `widening` times as far from their mean as they do.
    pub p_controls: f64,
    /// `p` after the correction over all declared hypotheses.
    pub p_corrected: f64,
    /// The correction.
    pub correction: String,
    /// Matched controls beside it.
    pub controls: u64,
    /// How many times as far from the mean of its controls as these lie from it another set of their kind is to be
    /// expected: above 1 where they are more like each other than like the set. `None` where they are copies of one
    /// another, and decide nothing.
    pub widening: Option<f64>,
    /// Controls that the study needs for each hypothesis.
    pub needed_controls: u64,
    /// Problems measured.
    pub problems: u64,
    /// The other axis: safety for a claim about transfer, and the reverse. `None` where none was measured.
    pub other_suite: Option<String>,
    /// The endpoint there that `other_effect`, its interval, `other_p_corrected` and `interaction` are about.
    pub other_endpoint: Option<String>,
    /// The effect there.
    pub other_effect: Option<f64>,
    /// Lower end of its simultaneous interval.
    pub other_ci_low: Option<f64>,
    /// Upper end of its simultaneous interval.
    pub other_ci_high: Option<f64>,
    /// `p` on the other axis, after the same correction.
    pub other_p_corrected: Option<f64>,
    /// The endpoint of the other axis on which equivalence is judged: one in nats where there is one, else the primary.
    pub equivalence_endpoint: Option<String>,
    /// p-value of the two one-sided tests that every suite of the other axis lies within the margin, after the same
    /// correction.
    pub equivalence_p: Option<f64>,
    /// Declared margin of the equivalence, for shares.
    pub margin: f64,
    /// Declared margin for endpoints in nats.
    pub margin_nats: f64,
    /// How much more the declared endpoint moves than the other axis's primary one, in the same receiver. `None` where
    /// one of them is no share.
    pub interaction: Option<f64>,
    /// Lower end of its interval, in the same family.
    pub interaction_low: Option<f64>,
    /// Upper end of its interval.
    pub interaction_high: Option<f64>,
    /// Whether the effect is selective: the other axis equivalent, and the interaction's interval without zero.
    pub selective: Option<bool>,
    /// The effect less that of the same edit in base, where it was measured: what post-training added.
    pub beyond_base: Option<f64>,
    /// Lower end of its interval, in the same family.
    pub beyond_base_low: Option<f64>,
    /// Upper end of its interval.
    pub beyond_base_high: Option<f64>,
    /// The effect of the same edit in base, where it was measured. Where it comes near the one here, or near the end of
    /// base's scale, the contrast above repeats what lay between the two before the edit.
    pub in_base: Option<f64>,
    /// The effect here of putting base's part of the same set in its place, measured beside an edit that removes the set:
    /// it moves the receiver only where post-training changed what the set writes.
    pub transplant: Option<f64>,
    /// Lower end of its interval, in the same family.
    pub transplant_low: Option<f64>,
    /// Upper end of its interval.
    pub transplant_high: Option<f64>,
    /// Whose activations made the code.
    pub readout: String,
    /// The readout's least F1 over the set's features; `None` for the joint code.
    pub readout_f1: Option<f64>,
    /// Share of the variance of the receiver's difference from base that the dictionary explains.
    pub difference_fve: Option<f64>,
    /// How many repetitions over dictionary and training seeds agree, such as `3 of 4`.
    pub stability: String,
}
