//! Edits of attention heads: what is written into `attn.hook_z`, head by head.
//!
//! With z the head's mixed values at a token, m its mean on the selection half, z_A the donor's at the same
//! token and c the dose:
//!
//! | edit | delta |
//! |---|---|
//! | zero | `- c z` |
//! | scale | `(c - 1) z` |
//! | mean | `c (m - z)` |
//! | transplant | `c (z_A - z)` |

use super::edit::{Edit, TargetKind};
use crate::error::{Error, Result};
use crate::model::{BlockPoint, HookPoint};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// An attention head, written as `layer.head`, both from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Head {
    /// The block.
    pub layer: usize,
    /// The head in it.
    pub head: usize,
}

impl fmt::Display for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.layer, self.head)
    }
}

impl FromStr for Head {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed =
            text.split_once('.').and_then(|(layer, head)| Some((layer.parse().ok()?, head.parse().ok()?)));
        let (layer, head) = parsed.ok_or_else(|| {
            Error::request(format!("expected an attention head, found `{text}`"))
                .hint("write layer and head, both from 0, as in \"2.1\"")
        })?;
        Ok(Self { layer, head })
    }
}

impl TryFrom<String> for Head {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Head> for String {
    fn from(head: Head) -> Self {
        head.to_string()
    }
}

/// An edit of heads made ready for one receiver. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HeadWriter {
    receiver: usize,
    donor: Option<usize>,
    /// The delta is `own z + constant + taken z_A`.
    own: f32,
    taken: f32,
    constants: Arc<BTreeMap<Head, Vec<f32>>>,
}

impl HeadWriter {
    /// The writer of an edit of `heads` at a dose. `receiver` and `donor` are indices of variants; `means`
    /// holds the mean of every head's values, and is asked for by `mean` alone.
    ///
    /// # Errors
    /// If the edit is none of heads, or the mean of a head is not known.
    pub fn new(
        edit: &Edit,
        dose: f32,
        heads: &[Head],
        (receiver, donor): (usize, Option<usize>),
        means: &BTreeMap<Head, Vec<f32>>,
    ) -> Result<Self> {
        let (own, taken, mean) = match edit {
            Edit::Zero => (-dose, 0.0, 0.0),
            Edit::Scale => (dose - 1.0, 0.0, 0.0),
            Edit::Mean => (-dose, 0.0, dose),
            Edit::Transplant(_) => (-dose, dose, 0.0),
            _ => {
                return Err(Error::request(format!("expected an edit of heads, found `{edit}`"))
                    .hint(format!("heads take {}", TargetKind::Heads.edits())));
            }
        };
        let constant = |head: &Head| {
            if mean == 0.0 {
                return Ok((*head, Vec::new()));
            }
            let values = means
                .get(head)
                .ok_or_else(|| Error::work(format!("the mean of head {head} is not known")))?;
            Ok((*head, values.iter().map(|x| mean * x).collect()))
        };
        let constants = Arc::new(heads.iter().map(constant).collect::<Result<_>>()?);
        Ok(Self { receiver, donor: donor.filter(|_| taken != 0.0), own, taken, constants })
    }

    /// The same for another receiver.
    #[must_use]
    pub(super) fn for_receiver(self, receiver: usize) -> Self {
        Self { receiver, ..self }
    }

    /// The index of the receiver.
    pub fn receiver(&self) -> usize {
        self.receiver
    }

    /// The index of the variant that is read beside it, if one is.
    pub fn donor(&self) -> Option<usize> {
        self.donor
    }

    /// The edited heads.
    pub fn heads(&self) -> impl Iterator<Item = Head> + '_ {
        self.constants.keys().copied()
    }

    /// The hook points that are written, in the order of the layers.
    pub fn hook_points(&self) -> Vec<HookPoint> {
        let layers: BTreeSet<usize> = self.heads().map(|head| head.layer).collect();
        layers.into_iter().map(|layer| HookPoint::Block(layer, BlockPoint::Mixed)).collect()
    }

    /// The values of one layer, `[row, position, head, head_dim]`, with the deltas of its heads added. Tracked where
    /// the values are.
    ///
    /// # Errors
    /// If there is no such head, or a donor would have to be read.
    pub(super) fn apply(&self, layer: usize, value: &Tensor) -> Result<Tensor> {
        if self.donor.is_some() {
            return Err(Error::request("expected one model's heads, found a transplant from another model")
                .hint("patch them from the other model's run: `run.patch(\"blocks.0.attn.hook_z\")`"));
        }
        let (_, _, heads, size) = value.dims4()?;
        let mut constants = vec![0.0; heads * size];
        let mut mask = vec![0u8; heads];
        for (head, constant) in self.constants.iter().filter(|(head, _)| head.layer == layer) {
            let slot = mask.get_mut(head.head).ok_or_else(|| {
                Error::request(format!("there is no head {head}"))
                    .hint(format!("the heads of a layer are 0 to {}", heads.saturating_sub(1)))
            })?;
            *slot = 1;
            constants[head.head * size..].iter_mut().zip(constant).for_each(|(to, from)| *to = *from);
        }
        let constants = Tensor::from_vec(constants, (1, 1, heads, size), value.device())?;
        let delta = (value * f64::from(self.own))?.broadcast_add(&constants.to_dtype(value.dtype())?)?;
        let mask = Tensor::from_vec(mask, (1, 1, heads, 1), value.device())?;
        Ok(mask.broadcast_as(value.shape())?.where_cond(&(value + delta)?, value)?)
    }

    /// Writes the delta of one head at one token into `delta`; true if any of it is not zero. `own` and
    /// `donor` are that head's values in the receiver and in the donor, `[head_dim]` each.
    pub fn delta(&self, head: Head, own: &[f32], donor: &[f32], delta: &mut [f32]) -> bool {
        delta.fill(0.0);
        let Some(constant) = self.constants.get(&head) else { return false };
        delta.iter_mut().zip(own).for_each(|(delta, z)| *delta = self.own * z);
        delta.iter_mut().zip(constant).for_each(|(delta, m)| *delta += m);
        delta.iter_mut().zip(donor).for_each(|(delta, z)| *delta += self.taken * z);
        delta.iter().any(|x| *x != 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edit_of_heads_writes_its_delta() {
        let head = Head { layer: 1, head: 0 };
        let means = BTreeMap::from([(head, vec![1.0, 1.0])]);
        let delta = |edit: Edit, dose: f32| {
            let writer = HeadWriter::new(&edit, dose, &[head], (0, Some(1)), &means).unwrap();
            let mut delta = vec![9.0; 2];
            writer.delta(head, &[2.0, 4.0], &[10.0, 20.0], &mut delta);
            delta
        };
        assert_eq!(delta(Edit::Zero, 1.0), [-2.0, -4.0]);
        assert_eq!(delta(Edit::Scale, 1.5), [1.0, 2.0]);
        assert_eq!(delta(Edit::Mean, 1.0), [-1.0, -3.0]);
        assert_eq!(delta(Edit::Transplant("base".into()), 0.5), [4.0, 8.0]);
        assert!(HeadWriter::new(&Edit::Steer, 1.0, &[head], (0, None), &means).is_err());
        let other = HeadWriter::new(&Edit::Zero, 1.0, &[head], (0, None), &means).unwrap();
        assert!(!other.delta(Head { layer: 0, head: 0 }, &[1.0], &[], &mut [0.0]));
    }

    #[test]
    fn heads_are_written_as_layer_and_head() {
        assert_eq!("2.11".parse::<Head>().unwrap(), Head { layer: 2, head: 11 });
        assert_eq!(Head { layer: 2, head: 11 }.to_string(), "2.11");
        assert!("2-1".parse::<Head>().unwrap_err().to_string().contains("layer and head"));
    }
}
