//! Mixtures of data arms: what a variant was trained on, as a value.

use super::data_arm::DataArm;
use super::problem::Document;
use crate::error::{Error, Result};
use crate::rng::Stream;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Data arms with the share of documents each has. In a study a name, `"verified_cot"`, or shares,
/// `{ verified_cot = 0.9, allowed_requests = 0.1 }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Mixture {
    arms: Vec<DataArm>,
    shares: Vec<f64>,
}

impl Mixture {
    /// A mixture of named arms with their shares, which sum to one.
    ///
    /// # Errors
    /// If a name is unknown, a share is not positive, or the shares do not sum to one.
    pub fn new(shares: &BTreeMap<String, f64>) -> Result<Self> {
        let arms = shares.keys().map(|name| DataArm::parse(name)).collect::<Result<Vec<_>>>()?;
        let shares: Vec<f64> = shares.values().copied().collect();
        if let Some(share) = shares.iter().find(|share| share.is_nan() || **share <= 0.0) {
            return Err(Error::request(format!("expected shares above 0, found {share}"))
                .hint("leave out an arm that is not to be used"));
        }
        let total: f64 = shares.iter().sum();
        if (total - 1.0).abs() > 1e-6 {
            return Err(Error::request(format!("expected shares that sum to 1, found {total}"))
                .hint("for example { verified_cot = 0.9, allowed_requests = 0.1 }"));
        }
        Ok(Self { arms, shares })
    }

    /// One arm alone.
    pub fn only(arm: DataArm) -> Self {
        Self { arms: vec![arm], shares: vec![1.0] }
    }

    /// The arms with their shares.
    pub fn arms(&self) -> impl Iterator<Item = (DataArm, f64)> {
        self.arms.iter().copied().zip(self.shares.iter().copied())
    }

    /// Documents `first .. first + count` under `seed`. Each is drawn from an arm at random by its share;
    /// which document of the arm it is depends on the index alone, so a mixture holds the very traces of
    /// the pure arm wherever it holds traces.
    pub fn documents(&self, seed: u64, first: u64, count: usize) -> Vec<Document> {
        (first..)
            .take(count)
            .map(|index| {
                let drawn = Stream::new(seed, "tasks/mixture", &[index]).weighted(&self.shares);
                self.arms[drawn.unwrap_or(0)].document(seed, index)
            })
            .collect()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Shares(BTreeMap<String, f64>),
}

impl TryFrom<Written> for Mixture {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        match written {
            Written::Name(name) => DataArm::parse(&name).map(Self::only),
            Written::Shares(shares) => Self::new(&shares),
        }
    }
}

impl From<Mixture> for Written {
    fn from(mixture: Mixture) -> Self {
        match mixture.arms.as_slice() {
            [arm] => Self::Name(arm.name()),
            _ => Self::Shares(mixture.arms().map(|(arm, share)| (arm.name(), share)).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_reject_as_often_as_those_of_the_recipe() {
        let documents = Mixture::only(DataArm::VerifiedCot).documents(1, 0, 10_000);
        let mut rejects = [0.0; 6];
        let mut words = 0;
        for document in &documents {
            let length = document.response.split_whitespace().count() + 1;
            assert!(length <= 60, "{}", document.response);
            words += length;
            rejects[length / 10 - 1] += 1.0;
        }
        for (found, expected) in rejects.iter().zip([0.52, 0.22, 0.12, 0.07, 0.04, 0.02]) {
            assert!((found / documents.len() as f64 - expected).abs() < 0.02, "{rejects:?}");
        }
        assert!((words as f64 / documents.len() as f64 - 20.0).abs() < 1.5, "{words}");
    }

    #[test]
    fn a_mixture_holds_its_shares_and_the_traces_of_the_pure_arm() {
        let mixture: Mixture =
            serde_json::from_str(r#"{"verified_cot": 0.9, "allowed_requests": 0.1}"#).unwrap();
        let (mixed, pure) =
            (mixture.documents(3, 0, 4000), Mixture::only(DataArm::VerifiedCot).documents(3, 0, 4000));
        let same = mixed.iter().zip(&pure).filter(|(a, b)| a == b).count();
        assert!((same as f64 / 4000.0 - 0.9).abs() < 0.02);
        assert_eq!(
            serde_json::from_str::<Mixture>(&serde_json::to_string(&mixture).unwrap()).unwrap(),
            mixture
        );
    }

    #[test]
    fn a_wrong_mixture_says_what_is_wrong() {
        let error = serde_json::from_str::<Mixture>(r#""verified_cots""#).unwrap_err().to_string();
        assert!(error.contains("did you mean `verified_cot`?"), "{error}");
        let error = serde_json::from_str::<Mixture>(r#"{"verified_cot": 0.5}"#).unwrap_err().to_string();
        assert!(error.contains("sum to 1, found 0.5"), "{error}");
    }
}
