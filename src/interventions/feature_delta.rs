//! How one feature's code becomes its share of a delta.

use super::edit::Edit;
use super::reference::Reference;
use crate::dictionaries::Dictionary;
use crate::error::{Error, Result};

/// What the deltas need of a dictionary. Decoder vectors have `d_model` numbers.
pub trait Decoders {
    /// The number of features.
    fn features(&self) -> usize;
    /// The width of the activations.
    fn d_model(&self) -> usize;
    /// The variants, in the order in which the joint activation holds them.
    fn variants(&self) -> &[String];
    /// The decoder vector of a feature for a variant (by index).
    fn decoder(&self, feature: u32, variant: usize) -> &[f32];

    /// The index of a variant by name.
    ///
    /// # Errors
    /// If the dictionary was not fitted over such a variant.
    fn variant(&self, name: &str) -> Result<usize> {
        self.variants().iter().position(|variant| variant == name).ok_or_else(|| {
            Error::request(format!("expected a variant of the dictionary, found `{name}`"))
                .hint(format!("the dictionary was fitted over {}", self.variants().join(", ")))
        })
    }
}

impl Decoders for Dictionary {
    fn features(&self) -> usize {
        self.features()
    }

    fn d_model(&self) -> usize {
        self.d_model()
    }

    fn variants(&self) -> &[String] {
        self.variants()
    }

    fn decoder(&self, feature: u32, variant: usize) -> &[f32] {
        self.decoder(feature as usize, variant)
    }
}

/// How one feature's code becomes its share of a delta: `constant + code * slope`. Either may be empty,
/// which is zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureDelta {
    /// Written wherever the edit may act.
    pub constant: Vec<f32>,
    /// Written in proportion to the code.
    pub slope: Vec<f32>,
}

impl FeatureDelta {
    /// Of one feature under an edit of features; empty for the others. For `resample` it is what the edit
    /// takes away, not what it puts in its place; for `two_source` the code is the donor's less the
    /// receiver's. `variants` are the indices of receiver and donor.
    ///
    /// # Panics
    /// If the feature or a variant is not in the dictionary.
    pub fn of(
        edit: &Edit,
        dose: f32,
        feature: u32,
        (receiver, donor): (usize, Option<usize>),
        dictionary: &dyn Decoders,
        reference: &Reference,
    ) -> Self {
        let scaled = |scale: f32| dictionary.decoder(feature, receiver).iter().map(|x| scale * x).collect();
        match (edit, donor) {
            (Edit::Zero | Edit::Resample, _) => Self { constant: Vec::new(), slope: scaled(-dose) },
            (Edit::Mean, _) => {
                Self { constant: scaled(dose * reference.mean(feature)), slope: scaled(-dose) }
            }
            (Edit::Scale, _) => Self { constant: Vec::new(), slope: scaled(dose - 1.0) },
            (Edit::TwoSource(_), _) => Self { constant: Vec::new(), slope: scaled(dose) },
            (Edit::Clamp, _) => {
                Self { constant: scaled(dose * reference.percentile(feature)), slope: scaled(-1.0) }
            }
            (Edit::Steer, _) => {
                Self { constant: scaled(dose * reference.percentile(feature)), slope: Vec::new() }
            }
            (Edit::Transplant(_), Some(donor)) => {
                let own = dictionary.decoder(feature, receiver);
                let pairs = dictionary.decoder(feature, donor).iter().zip(own);
                Self { constant: Vec::new(), slope: pairs.map(|(donor, own)| dose * (donor - own)).collect() }
            }
            _ => Self::default(),
        }
    }
}
