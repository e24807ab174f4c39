//! From findings to a verdict: the rules, one after the other.

use super::evidence::Case;
use super::rows::Verdict;
use crate::diff::LEAST_F1;
use crate::experiments::EffectRow;

/// What was found about one hypothesis.
pub(super) struct Findings {
    /// The corrected p-value is at most alpha.
    pub(super) significant: bool,
    /// Matched controls, and how many are needed.
    pub(super) controls: (usize, usize),
    /// The declared effect is surely within the margin.
    pub(super) equivalent: bool,
    /// The interval of the declared effect lies on one side of zero.
    pub(super) excludes_zero: bool,
    /// The effect goes surely further than that of the same edit in base, `None` where that was not measured.
    pub(super) exceeds_base: Option<bool>,
    /// Base's part of the set, put in its place, surely moves the receiver as the edit does: what post-training changed
    /// is in the set itself.
    pub(super) transplant_moves: bool,
    /// The whole answers surely move as the effect does, and no less than the declared share of it; `None` where the
    /// declared endpoint reads them anyway, or nothing does.
    pub(super) whole_answer_follows: Option<bool>,
    /// How much less likely a response token is than without the edit, where that is more than allowed, in nats.
    pub(super) damage: Option<f64>,
    pub(super) elsewhere: Elsewhere,
    /// Why nothing can be said about safety in this receiver.
    pub(super) unfit: Option<String>,
    /// Why nothing can be said about absence, or a share of the change.
    pub(super) misses_the_change: Option<String>,
}

/// What the edit does to the other axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Elsewhere {
    NotMeasured,
    /// The receiver no longer works well enough for a statement about its safety.
    NotTestable(String),
    /// Surely next to nothing, and surely less than to the declared one.
    Spared,
    /// Surely next to nothing, but not surely less than to the declared one.
    Equivalent,
    /// It moves beyond its controls, as if the set carried it too.
    Carried,
    /// It moves beyond its controls, but not as if the set carried it.
    Moved,
    Undecided,
}

impl Elsewhere {
    /// Whether the effect is selective; `None` where that cannot be asked.
    pub(super) fn selective(&self) -> Option<bool> {
        match self {
            Self::NotMeasured | Self::NotTestable(_) => None,
            found => Some(*found == Self::Spared),
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::NotMeasured => "the other axis was not measured".into(),
            Self::NotTestable(why) => format!("what it does to safety cannot be tested here: {why}"),
            Self::Spared => "the other axis is equivalent to no change, and moves less".into(),
            Self::Carried => "the other axis moves beyond its controls too".into(),
            Self::Moved => {
                "the other axis moves beyond its controls too, but not as if the set carried it".into()
            }
            Self::Equivalent => {
                "the other axis is equivalent to no change, but that it moves less is not shown".into()
            }
            Self::Undecided => "what it does to the other axis is undecided".into(),
        }
    }
}

/// The verdict, and why.
pub(super) fn verdict(case: &Case<'_>, findings: &Findings) -> (Verdict, String) {
    if let Some(refused) = objection(case, findings) {
        return refused;
    }
    if findings.significant && case.has_declared_sign() {
        return confirmed(case, findings);
    }
    if findings.equivalent && matches!(findings.elsewhere, Elsewhere::Spared | Elsewhere::Equivalent) {
        if let Some(objection) = &findings.misses_the_change {
            return (Verdict::Undecided, objection.clone());
        }
        return (Verdict::Neither, "both axes are equivalent to no change".into());
    }
    let reason = if findings.significant {
        "the effect goes against the declared direction"
    } else {
        "the effect does not stand out from zero and from matched controls after the correction"
    };
    (Verdict::Undecided, reason.into())
}

/// Why the evidence cannot be weighed at all.
fn objection(case: &Case<'_>, findings: &Findings) -> Option<(Verdict, String)> {
    let declared = case.declared;
    if declared.untestable {
        let reason =
            "no feature of the set fired, or the edit wrote next to nothing, so no effect could show";
        return Some((Verdict::Untestable, reason.into()));
    }
    if let Some(unfit) = findings.unfit.as_ref().filter(|_| case.safety_is_declared()) {
        return Some((Verdict::NotTestableInThisVariant, unfit.clone()));
    }
    // A class says in which variants a feature is absent.
    if let Some(objection) =
        findings.misses_the_change.as_ref().filter(|_| declared.set.starts_with("class:"))
    {
        return Some((Verdict::Undecided, objection.clone()));
    }
    if let Some(f1) = unreadable(declared) {
        let reason = format!(
            "the readout `{}` finds a feature of the set with F1 {f1:.2} only; {LEAST_F1} is needed for a claim",
            declared.readout
        );
        return Some((Verdict::Undecided, reason));
    }
    let (controls, needed) = findings.controls;
    (controls < needed).then(|| {
        let reason = format!("{controls} matched controls, {needed} are needed: without a match no claim");
        (Verdict::Undecided, reason)
    })
}

/// The F1 of a row's readout where it is too low for a claim.
fn unreadable(row: &EffectRow) -> Option<f64> {
    row.readout_f1.filter(|f1| !(*f1 >= LEAST_F1))
}

/// Why a contrast with base may say nothing of the set.
const BASE_FALLS: &str = "base falls to its floor under the same edit, so the contrast may only repeat the gain that was there before";

/// The effect stands out and has the declared sign.
fn confirmed(case: &Case<'_>, findings: &Findings) -> (Verdict, String) {
    let carried = case.confirmed();
    if carried == Verdict::MovesDeclaredSuite {
        let reason = match case.declared.axis.as_str() {
            "transfer" | "safety" if !case.bears_on_its_axis() => {
                "the effect has the declared sign, but more or less of this endpoint is not in itself more or less of what the suite stands for"
            }
            "transfer" | "safety" => {
                "the effect has the declared sign, but not that of a set which carries what post-training did"
            }
            _ => "the declared suite is on neither of the two axes",
        };
        return (carried, reason.into());
    }
    // The page shows the interval beside the verdict: what it leaves open is not claimed, whatever the p-value.
    if !findings.excludes_zero {
        let reason = "the effect stands out by its p-value, but its interval, which holds together with all others of \
                      the family, includes zero";
        return (Verdict::Undecided, reason.into());
    }
    if !case.has_a_change_to_carry() {
        let reason = "exchanging the whole activation does not surely move the endpoint that way: there is no change that \
                      the set could carry";
        return (Verdict::Undecided, reason.into());
    }
    if case.must_exceed_base() {
        match findings.exceeds_base {
            None => {
                let reason = "the same edit in base was not measured, so the effect may be base's own";
                return (Verdict::Undecided, reason.into());
            }
            Some(false) => {
                let reason = "the edit does not surely do more here than in base: what it removes, base had";
                return (Verdict::NotBeyondBase, reason.into());
            }
            Some(true) if case.in_base.is_some_and(|base| unreadable(base).is_some()) => {
                let reason = format!(
                    "in base the readout `{}` finds a feature of the set with F1 below {LEAST_F1}: the contrast with base \
                     is between two edits",
                    case.declared.readout
                );
                return (Verdict::Undecided, reason);
            }
            Some(true) if case.base_falls_too() && !findings.transplant_moves => {
                let reason = match case.transplant {
                    Some(_) => format!(
                        "{BASE_FALLS}, and base's part of the set in its place does not surely move the receiver"
                    ),
                    None => BASE_FALLS.into(),
                };
                return (Verdict::Undecided, reason);
            }
            Some(true) => {}
        }
    }
    if let Some(damage) = findings.damage {
        let reason = format!(
            "the edit breaks the text: a response token is {damage:.1} nats less likely than without it, to the unedited \
             receiver and to base"
        );
        return (Verdict::BreaksTheText, reason);
    }
    if carried == Verdict::CarriesSafetyLoss && findings.whole_answer_follows == Some(false) {
        let reason =
            "the first word is that of a refusal, and the answer that follows is not the one that base gives";
        return (Verdict::MovesTheRefusalToken, reason.into());
    }
    let verdict = if findings.elsewhere == Elsewhere::Carried { Verdict::Both } else { carried };
    (verdict, findings.elsewhere.sentence())
}
