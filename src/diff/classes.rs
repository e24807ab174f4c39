//! What became of a feature: in which variants it is present, how it changed there, and the class.
//!
//! The rule (PROTOCOL 8). A feature is **absent** in w when its latent scaling says so twice against
//! every variant where it is present: nu_error < .2 (w's error does not ask for it) **and**
//! nu_reconstruction < .5 (w's reconstruction does not hold it by other means), each with a held-out
//! interval below the cut. It is **present** when nu_error lies above its cut, interval included.
//! Everything between is undecided. Over the variants where it is present, a feature is `rotated` if
//! any two decoders have cosine < .9, else `reweighted` if their norms differ by more than 3/2.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The class of a feature over all variants; the first variant is the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Present in every variant.
    Shared,
    /// Absent in base, present elsewhere.
    Specific,
    /// Present in base, absent everywhere else.
    Lost,
    /// Present in base and in some of the others.
    Partial,
    /// In some variant neither present nor absent by the cuts; or the dictionary writes one alone, which leaves
    /// nothing to compare.
    Undecided,
    /// Fired too rarely on the held-out tokens to say anything.
    Dead,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 6] =
        [Self::Shared, Self::Specific, Self::Lost, Self::Partial, Self::Undecided, Self::Dead];

    /// The class of a presence pattern in which every variant is decided.
    pub fn of(present: &[bool]) -> Self {
        match present.split_first() {
            None => Self::Dead,
            Some((true, [])) => Self::Undecided,
            Some((true, others)) if others.iter().all(|here| *here) => Self::Shared,
            Some((true, others)) if others.iter().any(|here| *here) => Self::Partial,
            Some((true, _)) => Self::Lost,
            Some((false, others)) if others.iter().any(|here| *here) => Self::Specific,
            Some((false, _)) => Self::Dead,
        }
    }

    /// The name that tables use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Specific => "specific",
            Self::Lost => "lost",
            Self::Partial => "partial",
            Self::Undecided => "undecided",
            Self::Dead => "dead",
        }
    }
}

/// How a feature's decoders differ over the variants where it is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Same direction, similar norm.
    Same,
    /// Same direction, another norm.
    Reweighted,
    /// Another direction.
    Rotated,
}

impl Change {
    /// The name that tables use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Reweighted => "reweighted",
            Self::Rotated => "rotated",
        }
    }
}

/// Where the lines are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cuts {
    /// Below this nu_error a feature is absent, if nu_reconstruction agrees.
    pub nu_error: f64,
    /// Below this nu_reconstruction a feature is absent, if nu_error agrees.
    pub nu_reconstruction: f64,
    /// Reweighted when the largest norm is more than this many times the smallest.
    pub norm_ratio: f64,
    /// Rotated when two decoders have a smaller cosine.
    pub cosine: f64,
    /// Half-width of the held-out interval, in standard errors.
    pub standard_errors: f64,
    /// Fewer firings than this on the held-out tokens: `dead` at none, else `undecided`.
    pub minimum_firings: u64,
}

impl Default for Cuts {
    fn default() -> Self {
        Self {
            nu_error: 0.2,
            nu_reconstruction: 0.5,
            norm_ratio: 1.5,
            cosine: 0.9,
            standard_errors: 1.96,
            minimum_firings: 10,
        }
    }
}

impl Cuts {
    /// # Errors
    /// If a cut is out of its range; the message names it.
    pub fn check(&self) -> Result<()> {
        let wrong = |field: &str, expected: &str, found: f64| {
            Err(Error::request(format!("`{field}`: expected {expected}, found {found}")))
        };
        match self {
            cuts if !(cuts.nu_error > 0.0 && cuts.nu_error < 1.0) => {
                wrong("nu_error", "a number between 0 and 1", cuts.nu_error)
            }
            cuts if !(cuts.nu_reconstruction > 0.0 && cuts.nu_reconstruction < 1.0) => {
                wrong("nu_reconstruction", "a number between 0 and 1", cuts.nu_reconstruction)
            }
            cuts if !(cuts.norm_ratio > 1.0 && cuts.norm_ratio.is_finite()) => {
                wrong("norm_ratio", "a number above 1", cuts.norm_ratio)
            }
            cuts if !(cuts.cosine > -1.0 && cuts.cosine < 1.0) => {
                wrong("cosine", "a number between -1 and 1", cuts.cosine)
            }
            cuts if !(cuts.standard_errors >= 0.0 && cuts.standard_errors.is_finite()) => {
                wrong("standard_errors", "zero or more", cuts.standard_errors)
            }
            _ => Ok(()),
        }
    }
}

/// An estimate with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Its standard error; infinite when it cannot be known.
    pub standard_error: f64,
}

/// What the decision needs of one feature.
pub(crate) struct Evidence<'a> {
    pub(crate) firings: u64,
    /// Decoder norm of each variant.
    pub(crate) norms: &'a [f64],
    /// Decoder cosine of a pair of variants.
    pub(crate) cosine: &'a dyn Fn(usize, usize) -> f64,
    /// nu_error of w (first) against v (second).
    pub(crate) nu_error: &'a dyn Fn(usize, usize) -> Option<Estimate>,
    /// nu_reconstruction of w (first) against v (second).
    pub(crate) nu_reconstruction: &'a dyn Fn(usize, usize) -> Option<Estimate>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// Per variant: `Some(true)` present, `Some(false)` absent, `None` undecided.
    pub(crate) present: Vec<Option<bool>>,
    pub(crate) change: Option<Change>,
    pub(crate) class: Class,
}

/// Applies the rule of the module to one feature.
///
/// Presence starts from the variant with the largest decoder, which a live feature must be in, and goes
/// down by norm, so that "against every variant where it is present" is well defined.
pub(crate) fn decide(evidence: &Evidence<'_>, cuts: &Cuts) -> Verdict {
    let variants = evidence.norms.len();
    if evidence.firings == 0 {
        return Verdict { present: vec![None; variants], change: None, class: Class::Dead };
    }
    let mut order: Vec<usize> = (0..variants).collect();
    order.sort_by(|a, b| evidence.norms[*b].total_cmp(&evidence.norms[*a]));
    let mut present = vec![None; variants];
    let mut against: Vec<usize> = Vec::new();
    for (rank, here) in order.into_iter().enumerate() {
        present[here] = if rank == 0 { Some(true) } else { presence(evidence, cuts, here, &against) };
        if present[here] == Some(true) {
            against.push(here);
        }
    }
    let change = change(evidence, cuts, &against);
    let decided: Option<Vec<bool>> = present.iter().copied().collect();
    let class = match decided {
        Some(pattern) if evidence.firings >= cuts.minimum_firings => Class::of(&pattern),
        _ => Class::Undecided,
    };
    Verdict { present, change: Some(change), class }
}

fn presence(evidence: &Evidence<'_>, cuts: &Cuts, here: usize, against: &[usize]) -> Option<bool> {
    let low = |estimate: &Estimate| estimate.value - cuts.standard_errors * estimate.standard_error;
    let high = |estimate: &Estimate| estimate.value + cuts.standard_errors * estimate.standard_error;
    let mut absent = true;
    let mut present = false;
    for reference in against {
        let error = (evidence.nu_error)(here, *reference)?;
        let reconstruction = (evidence.nu_reconstruction)(here, *reference)?;
        absent &= high(&error) < cuts.nu_error && high(&reconstruction) < cuts.nu_reconstruction;
        present |= low(&error) > cuts.nu_error;
    }
    match (absent, present) {
        (true, _) => Some(false),
        (false, true) => Some(true),
        (false, false) => None,
    }
}

fn change(evidence: &Evidence<'_>, cuts: &Cuts, present: &[usize]) -> Change {
    let pairs =
        || present.iter().enumerate().flat_map(|(index, a)| present[index + 1..].iter().map(|b| (*a, *b)));
    if pairs().any(|(a, b)| (evidence.cosine)(a, b) < cuts.cosine) {
        return Change::Rotated;
    }
    let outside = |a: f64, b: f64| a.max(b) > cuts.norm_ratio * a.min(b);
    if pairs().any(|(a, b)| outside(evidence.norms[a], evidence.norms[b])) {
        return Change::Reweighted;
    }
    Change::Same
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certain(value: f64) -> Option<Estimate> {
        Some(Estimate { value, standard_error: 0.01 })
    }

    fn judge(norms: &[f64], cosine: f64, error: f64, reconstruction: f64) -> Verdict {
        let evidence = Evidence {
            firings: 100,
            norms,
            cosine: &|_, _| cosine,
            nu_error: &|w, _| certain(if w == 0 { error } else { 1.0 }),
            nu_reconstruction: &|w, _| certain(if w == 0 { reconstruction } else { 1.0 }),
        };
        decide(&evidence, &Cuts::default())
    }

    #[test]
    fn patterns_have_the_protocols_classes() {
        let class = |pattern: &[u8]| Class::of(&pattern.iter().map(|bit| *bit == 1).collect::<Vec<_>>());
        assert_eq!(class(&[1, 1, 1]), Class::Shared);
        assert_eq!(class(&[0, 1, 0]), Class::Specific);
        assert_eq!(class(&[0, 1, 1]), Class::Specific);
        assert_eq!(class(&[1, 0, 0]), Class::Lost);
        assert_eq!(class(&[1, 0, 1]), Class::Partial);
    }

    #[test]
    fn absence_needs_both_scalings_below_their_cuts() {
        let norms = [0.9, 1.0, 1.0];
        assert_eq!(judge(&norms, 1.0, 0.05, 0.1).class, Class::Specific);
        assert_eq!(judge(&norms, 1.0, 0.05, 0.8).class, Class::Undecided, "decoupled, not absent");
        assert_eq!(judge(&norms, 1.0, 0.9, 0.1).class, Class::Shared);
        assert_eq!(judge(&norms, 1.0, 0.195, 0.1).class, Class::Undecided, "the interval holds the cut");
    }

    #[test]
    fn change_is_read_over_the_present_variants_only() {
        assert_eq!(judge(&[1.0, 1.0, 1.0], 1.0, 1.0, 1.0).change, Some(Change::Same));
        assert_eq!(judge(&[0.5, 1.0, 1.0], 1.0, 0.5, 0.5).change, Some(Change::Reweighted));
        assert_eq!(judge(&[0.5, 1.0, 1.0], 1.0, 0.01, 0.01).change, Some(Change::Same));
        assert_eq!(judge(&[0.5, 1.0, 1.0], 0.6, 0.5, 0.5).change, Some(Change::Rotated));
    }

    #[test]
    fn a_feature_that_hardly_fires_gets_no_class() {
        let evidence = |firings| Evidence {
            firings,
            norms: &[1.0, 1.0],
            cosine: &|_, _| 1.0,
            nu_error: &|_, _| certain(1.0),
            nu_reconstruction: &|_, _| certain(1.0),
        };
        assert_eq!(decide(&evidence(0), &Cuts::default()).class, Class::Dead);
        assert_eq!(decide(&evidence(9), &Cuts::default()).class, Class::Undecided);
        assert_eq!(decide(&evidence(10), &Cuts::default()).class, Class::Shared);
    }

    #[test]
    fn a_cut_out_of_range_is_refused_by_name() {
        let cuts = Cuts { cosine: 2.0, ..Cuts::default() };
        assert!(cuts.check().unwrap_err().to_string().contains("`cosine`"));
    }
}
