//! An edit made ready for one receiver: from the activations and the code at a token to the delta.

use super::edit::{Edit, TargetKind};
use super::feature_delta::{Decoders, FeatureDelta};
use super::reference::{CodeBank, Reference};
use crate::error::{Error, Result};
use std::sync::Arc;

/// What is known at one token.
#[derive(Clone, Copy, Debug)]
pub struct Position<'a> {
    /// The activations of all variants at this token, `[variants, d_model]`, in the dictionary's order.
    pub joint: &'a [f32],
    /// Firing features, at least those of the writer's set, in increasing order.
    pub features: &'a [u32],
    /// Their codes, as the readout makes them; for `two_source` the donor's less the receiver's.
    pub values: &'a [f32],
    /// (problem, sample, position): what draws of `resample` are keyed by.
    pub key: [u64; 3],
}

impl<'a> Position<'a> {
    fn codes(&self) -> impl Iterator<Item = (u32, f32)> + 'a {
        self.features.iter().copied().zip(self.values.iter().copied())
    }
}

/// Computes the delta of one edit on one target in one receiver. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer {
    receiver: usize,
    d_model: usize,
    dose: f32,
    features: Arc<[u32]>,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    /// `constant + sum_S f_j w_j`; `weights` is `[features, d_model]`.
    Affine { constant: Arc<[f32]>, weights: Arc<[f32]> },
    /// `sum_S (f'_j - f_j) d_j`.
    Resample { decoders: Arc<[f32]>, bank: CodeBank },
    /// `h_A - h_v`.
    Whole { donor: usize },
    /// `h_A - h_v - sum_j f_j w_j` over every feature.
    Missed { donor: usize, weights: Arc<[f32]> },
    /// `- r r^T h`.
    ProjectOut { direction: Arc<[f32]> },
    /// The norm that another edit has at this token, along a fixed unit direction.
    Borrowed { lender: Arc<Writer>, direction: Arc<[f32]> },
}

/// How a delta moves with the activation that it is made of.
pub(super) enum Slope {
    /// Not at all.
    Nothing,
    /// By the codes of the writer's features, each times its row, `[features, d_model]`.
    Codes(Arc<[f32]>),
    /// By what lies along a unit vector, times a factor, along it.
    Along(Arc<[f32]>, f32),
}

impl Writer {
    /// The writer of a feature edit at a dose, or of one of the two ceilings (which ignore `set`).
    ///
    /// The dose is the level of `clamp` and `steer`, and scales the delta of every other edit.
    ///
    /// # Errors
    /// If a feature or a variant is not in the dictionary, or if the edit is one of a direction.
    pub fn new(
        edit: &Edit,
        dose: f32,
        set: &[u32],
        receiver: &str,
        dictionary: &dyn Decoders,
        reference: &Reference,
        bank: &CodeBank,
    ) -> Result<Self> {
        let receiver = dictionary.variant(receiver)?;
        let donor = edit.donor().map(|donor| dictionary.variant(donor)).transpose()?;
        let features = sorted(set, dictionary.features())?;
        let all: Arc<[u32]> = (0..dictionary.features() as u32).collect();
        let whole = Edit::Transplant(edit.donor().unwrap_or_default().to_owned());
        let delta = |edit: &Edit, dose: f32, feature: u32| {
            FeatureDelta::of(edit, dose, feature, (receiver, donor), dictionary, reference)
        };
        let slopes = |edit: &Edit, dose: f32, features: &[u32]| -> Arc<[f32]> {
            features.iter().flat_map(|feature| delta(edit, dose, *feature).slope).collect()
        };
        let (features, dose, rule) = match (edit, donor) {
            (Edit::ProjectOut | Edit::AddDirection, _) => {
                return Err(Error::request(format!("expected an edit of features, found `{edit}`"))
                    .hint(format!("features take {}", TargetKind::Features.edits())));
            }
            (Edit::Resample, _) => {
                let slopes = slopes(&Edit::Zero, -1.0, &features);
                (features, dose, Rule::Resample { decoders: slopes, bank: bank.clone() })
            }
            (Edit::WholeDifference(_), Some(donor)) => (Arc::from(Vec::new()), dose, Rule::Whole { donor }),
            (Edit::ErrorOnly(_), Some(donor)) => {
                let weights = slopes(&whole, 1.0, &all);
                (all, dose, Rule::Missed { donor, weights })
            }
            _ => {
                let mut constant = vec![0.0; dictionary.d_model()];
                for feature in features.iter() {
                    add(&mut constant, 1.0, &delta(edit, dose, *feature).constant);
                }
                let weights = slopes(edit, dose, &features);
                let features = if weights.is_empty() { Arc::from(Vec::new()) } else { features };
                (features, 1.0, Rule::Affine { constant: constant.into(), weights })
            }
        };
        Ok(Self { receiver, d_model: dictionary.d_model(), dose, features, rule })
    }

    /// The writer of `project_out` along `direction` (whatever its length) or of `add_direction`, which adds
    /// dose times the direction as it is given.
    ///
    /// `receiver` is the receiver's index in the joint activation.
    ///
    /// # Errors
    /// If the direction is zero or not finite, or if the edit is one of features.
    pub fn along(edit: &Edit, dose: f32, direction: &[f32], receiver: usize) -> Result<Self> {
        let norm = direction.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if !(norm.is_finite() && norm > 0.0) {
            return Err(Error::request(format!(
                "expected a direction of positive length, found length {norm}"
            )));
        }
        let d_model = direction.len();
        let nothing = Arc::<[f32]>::from(Vec::new());
        let rule = match edit {
            Edit::ProjectOut => {
                let unit = direction.iter().map(|x| (f64::from(*x) / norm) as f32).collect();
                Rule::ProjectOut { direction: unit }
            }
            Edit::AddDirection => Rule::Affine { constant: direction.into(), weights: nothing },
            _ => {
                return Err(Error::request(format!("expected an edit of a direction, found `{edit}`"))
                    .hint(format!("a direction takes {}", TargetKind::Direction.edits())));
            }
        };
        Ok(Self { receiver, d_model, dose, features: Arc::from(Vec::new()), rule })
    }

    /// A control for this writer: the same gate and norm at every token, along a fixed direction.
    #[must_use]
    pub fn borrowed_by(&self, unit_direction: &[f32]) -> Self {
        let rule = Rule::Borrowed { lender: Arc::new(self.clone()), direction: unit_direction.into() };
        Self { rule, dose: 1.0, ..self.clone() }
    }

    /// The features whose joint codes a [`Position`] must hold, in increasing order.
    pub fn features(&self) -> &[u32] {
        &self.features
    }

    /// The same for another receiver.
    #[must_use]
    pub(super) fn for_receiver(self, receiver: usize) -> Self {
        Self { receiver, ..self }
    }

    /// The index of the receiver in the joint activation.
    pub fn receiver(&self) -> usize {
        self.receiver
    }

    /// Whether the delta depends on codes.
    pub fn needs_codes(&self) -> bool {
        match &self.rule {
            Rule::Affine { weights, .. } => !weights.is_empty(),
            Rule::Resample { .. } | Rule::Missed { .. } => true,
            Rule::Whole { .. } | Rule::ProjectOut { .. } => false,
            Rule::Borrowed { lender, .. } => lender.needs_codes(),
        }
    }

    /// The index of the variant whose activation is written in, if one is.
    pub fn donor(&self) -> Option<usize> {
        match &self.rule {
            Rule::Whole { donor } | Rule::Missed { donor, .. } => Some(*donor),
            Rule::Borrowed { lender, .. } => lender.donor(),
            _ => None,
        }
    }

    /// The width of the activations.
    pub fn d_model(&self) -> usize {
        self.d_model
    }

    /// How the delta moves with the activation, for gradients.
    pub(super) fn slope(&self) -> Result<Slope> {
        match &self.rule {
            Rule::Affine { weights, .. } if weights.is_empty() || self.dose == 0.0 => Ok(Slope::Nothing),
            Rule::Affine { weights, .. } if self.dose == 1.0 => Ok(Slope::Codes(weights.clone())),
            Rule::ProjectOut { direction } => Ok(Slope::Along(direction.clone(), -self.dose)),
            _ => Err(Error::request("no gradient goes through this intervention yet")
                .hint("those of features by ablate, scale, steer and clamp, and of directions, have one")),
        }
    }

    /// Writes the delta at a token into `delta` (`d_model` numbers); true if any of it is not zero.
    pub fn delta(&self, at: Position<'_>, delta: &mut [f32]) -> bool {
        delta.fill(0.0);
        match &self.rule {
            Rule::Affine { constant, weights } => {
                add(delta, 1.0, constant);
                self.add_codes(at.codes(), 1.0, weights, delta);
            }
            Rule::Resample { decoders, bank } => {
                self.add_codes(bank.draw(at.key).iter().copied(), 1.0, decoders, delta);
                self.add_codes(at.codes(), -1.0, decoders, delta);
            }
            Rule::Whole { donor } => self.difference(*donor, at, delta),
            Rule::Missed { donor, weights } => {
                self.difference(*donor, at, delta);
                self.add_codes(at.codes(), -1.0, weights, delta);
            }
            Rule::ProjectOut { direction } => {
                let along: f32 =
                    self.hidden(at, self.receiver).iter().zip(direction.iter()).map(|(h, r)| h * r).sum();
                add(delta, -along, direction);
            }
            Rule::Borrowed { lender, direction } => {
                if lender.delta(at, delta) {
                    let norm = delta.iter().map(|x| x * x).sum::<f32>().sqrt();
                    delta.iter_mut().zip(direction.iter()).for_each(|(delta, r)| *delta = norm * r);
                }
            }
        }
        if self.dose != 1.0 {
            delta.iter_mut().for_each(|x| *x *= self.dose);
        }
        delta.iter().any(|x| *x != 0.0)
    }

    fn hidden<'a>(&self, at: Position<'a>, variant: usize) -> &'a [f32] {
        at.joint.get(variant * self.d_model..(variant + 1) * self.d_model).unwrap_or(&[])
    }

    fn difference(&self, donor: usize, at: Position<'_>, delta: &mut [f32]) {
        let pairs = self.hidden(at, donor).iter().zip(self.hidden(at, self.receiver));
        delta.iter_mut().zip(pairs).for_each(|(delta, (donor, own))| *delta = donor - own);
    }

    /// Adds `sign * sum_S f_j w_j`, walking the two sorted lists together.
    fn add_codes(
        &self,
        codes: impl Iterator<Item = (u32, f32)>,
        sign: f32,
        weights: &[f32],
        delta: &mut [f32],
    ) {
        if weights.is_empty() {
            return;
        }
        let mut rows = self.features.iter().zip(weights.chunks_exact(self.d_model)).peekable();
        for (feature, value) in codes {
            while rows.next_if(|(candidate, _)| **candidate < feature).is_some() {}
            if let Some((_, row)) = rows.next_if(|(candidate, _)| **candidate == feature) {
                add(delta, sign * value, row);
            }
        }
    }
}

fn add(delta: &mut [f32], scale: f32, vector: &[f32]) {
    delta.iter_mut().zip(vector).for_each(|(delta, x)| *delta += scale * x);
}

fn sorted(set: &[u32], count: usize) -> Result<Arc<[u32]>> {
    let mut features = set.to_vec();
    features.sort_unstable();
    features.dedup();
    match features.last() {
        Some(last) if *last as usize >= count => Err(Error::request(format!(
            "expected a feature below {count} (the dictionary's size), found feature {last}"
        ))),
        _ => Ok(features.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two variants, three features, d_model 2.
    struct Small {
        variants: Vec<String>,
        decoders: Vec<[[f32; 2]; 2]>,
    }

    impl Decoders for Small {
        fn features(&self) -> usize {
            self.decoders.len()
        }
        fn d_model(&self) -> usize {
            2
        }
        fn variants(&self) -> &[String] {
            &self.variants
        }
        fn decoder(&self, feature: u32, variant: usize) -> &[f32] {
            &self.decoders[feature as usize][variant]
        }
    }

    fn small() -> Small {
        Small {
            variants: vec!["base".into(), "rl".into()],
            decoders: vec![[[1.0, 0.0], [2.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]], [[0.0, 0.0], [1.0, 1.0]]],
        }
    }

    fn delta(edit: Edit, dose: f32, set: &[u32], receiver: &str) -> (Vec<f32>, bool) {
        let reference = Reference { means: vec![0.5; 3], percentiles: vec![2.0; 3] };
        let bank = CodeBank::new(1, vec![vec![(0, 4.0)]]);
        let writer = Writer::new(&edit, dose, set, receiver, &small(), &reference, &bank).unwrap();
        let mut delta = vec![9.0; 2];
        let at = Position {
            joint: &[1.0, 2.0, 10.0, 20.0],
            features: &[0, 2],
            values: &[3.0, 1.0],
            key: [1, 2, 3],
        };
        let acted = writer.delta(at, &mut delta);
        (delta, acted)
    }

    #[test]
    fn every_edit_writes_the_delta_of_the_protocol() {
        assert_eq!(delta(Edit::Zero, 1.0, &[0, 1], "rl"), (vec![-6.0, 0.0], true));
        assert_eq!(delta(Edit::Zero, 1.0, &[1], "rl"), (vec![0.0, 0.0], false));
        assert_eq!(delta(Edit::Zero, 0.5, &[2, 0], "rl"), (vec![-3.5, -0.5], true));
        assert_eq!(delta(Edit::Scale, 3.0, &[0, 1], "rl"), (vec![12.0, 0.0], true));
        assert_eq!(delta(Edit::TwoSource("base".into()), 1.0, &[0], "rl"), (vec![6.0, 0.0], true));
        assert_eq!(delta(Edit::Mean, 1.0, &[0, 1], "rl"), (vec![1.0 - 6.0, 0.5], true));
        assert_eq!(delta(Edit::Clamp, 0.5, &[1], "rl"), (vec![0.0, 1.0], true));
        assert_eq!(delta(Edit::Steer, 2.0, &[0], "rl"), (vec![8.0, 0.0], true));
        assert_eq!(delta(Edit::Resample, 1.0, &[0], "rl"), (vec![2.0, 0.0], true));
        assert_eq!(delta(Edit::Transplant("base".into()), 1.0, &[0], "rl"), (vec![-3.0, 0.0], true));
        assert_eq!(delta(Edit::Transplant("rl".into()), 1.0, &[2], "base"), (vec![1.0, 1.0], true));
        assert_eq!(delta(Edit::WholeDifference("base".into()), 1.0, &[], "rl"), (vec![-9.0, -18.0], true));
    }

    #[test]
    fn all_features_and_the_error_make_the_whole_difference() {
        let features = delta(Edit::Transplant("base".into()), 1.0, &[0, 1, 2], "rl").0;
        let error = delta(Edit::ErrorOnly("base".into()), 1.0, &[], "rl").0;
        let whole = delta(Edit::WholeDifference("base".into()), 1.0, &[], "rl").0;
        let sum: Vec<f32> = features.iter().zip(&error).map(|(a, b)| a + b).collect();
        assert_eq!(sum, whole);
    }

    #[test]
    fn a_dose_of_zero_and_a_transplant_from_oneself_write_nothing() {
        assert!(!delta(Edit::Zero, 0.0, &[0, 1, 2], "rl").1);
        assert!(!delta(Edit::Transplant("rl".into()), 1.0, &[0, 1, 2], "rl").1);
        assert!(!delta(Edit::WholeDifference("rl".into()), 1.0, &[], "rl").1);
    }

    #[test]
    fn a_borrowed_direction_has_the_gate_and_the_norm_of_its_lender() {
        let nothing = CodeBank::new(1, Vec::new());
        let set = |features: &[u32]| {
            Writer::new(&Edit::Zero, 1.0, features, "rl", &small(), &Reference::default(), &nothing).unwrap()
        };
        let at = Position { joint: &[0.0; 4], features: &[0], values: &[3.0], key: [0; 3] };
        let mut delta = vec![0.0; 2];
        assert!(set(&[0]).borrowed_by(&[0.0, 1.0]).delta(at, &mut delta));
        assert_eq!(delta, [0.0, 6.0]);
        assert!(!set(&[1]).borrowed_by(&[0.0, 1.0]).delta(at, &mut delta));
        assert_eq!(set(&[0]).borrowed_by(&[0.0, 1.0]).features(), [0], "the lender's codes are needed");
    }

    #[test]
    fn a_projection_leaves_nothing_along_its_direction_and_an_added_one_keeps_its_length() {
        let at = Position { joint: &[3.0, 4.0], features: &[], values: &[], key: [0; 3] };
        let mut delta = vec![0.0; 2];
        Writer::along(&Edit::ProjectOut, 1.0, &[0.0, 5.0], 0).unwrap().delta(at, &mut delta);
        assert_eq!(delta, [0.0, -4.0]);
        Writer::along(&Edit::AddDirection, 2.0, &[0.0, 5.0], 0).unwrap().delta(at, &mut delta);
        assert_eq!(delta, [0.0, 10.0]);
        assert!(Writer::along(&Edit::ProjectOut, 1.0, &[0.0, 0.0], 0).is_err());
    }

    #[test]
    fn what_is_not_in_the_dictionary_is_refused_by_name() {
        let nothing = (Reference::default(), CodeBank::new(1, Vec::new()));
        let writer = |edit: Edit, set: &[u32], receiver: &str| {
            Writer::new(&edit, 1.0, set, receiver, &small(), &nothing.0, &nothing.1).unwrap_err().to_string()
        };
        assert!(writer(Edit::Zero, &[3], "rl").contains("feature 3"));
        assert!(
            writer(Edit::Zero, &[0], "sft").contains("`sft`\nhint: the dictionary was fitted over base, rl")
        );
        assert!(writer(Edit::Transplant("sft".into()), &[0], "rl").contains("`sft`"));
        assert!(writer(Edit::ProjectOut, &[0], "rl").contains("expected an edit of features"));
    }
}
