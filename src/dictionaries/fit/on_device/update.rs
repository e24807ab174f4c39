//! Updating encoder and decoder rows on a device.

use super::super::super::kinds::Slopes;
use super::super::adam::Adam;
use super::super::roles::Role;
use super::super::trainer::Use;
use super::roles::Roles;
use super::sparse::WeightedSums;
use super::{OnDevice, norms};
use crate::error::Result;
use candle_core::Tensor;

/// The entries of a batch, sorted by feature: those of feature j are `starts[j]..starts[j + 1]`.
pub(in crate::dictionaries::fit) struct Entries<'a> {
    pub(in crate::dictionaries::fit) uses: &'a [Use],
    pub(in crate::dictionaries::fit) slopes: &'a [Slopes],
    pub(in crate::dictionaries::fit) starts: &'a [usize],
}

/// What the decoder's gradient takes beside the entries.
pub(in crate::dictionaries::fit) struct Constraints<'a> {
    /// The width of one output's decoder.
    pub(in crate::dictionaries::fit) d: usize,
    pub(in crate::dictionaries::fit) roles: &'a [Role],
    /// Per feature: what pulls at the norm of each output's decoder.
    pub(in crate::dictionaries::fit) pulls: &'a [f32],
    /// Whether rows are held at norm 1.
    pub(in crate::dictionaries::fit) unit: bool,
    /// Whether entries of the side task leave the decoder alone.
    pub(in crate::dictionaries::fit) frozen_side: bool,
}

impl OnDevice {
    /// Updates encoder and decoder rows by the entries of the batch.
    pub(in crate::dictionaries::fit) fn update(
        &mut self,
        adam: &Adam,
        inputs: &Tensor,
        gradients: &Tensor,
        entries: &Entries<'_>,
        constraints: &Constraints<'_>,
    ) -> Result<()> {
        let planes = gradients.dim(1)? as u32;
        let frozen = |used: &Use| used.entry.side && constraints.frozen_side;
        let sums = |column: fn(&Use, u32) -> u32, weights| WeightedSums {
            starts: entries.starts.iter().map(|start| *start as u32).collect(),
            columns: entries.uses.iter().map(|used| column(used, planes)).collect(),
            weights,
        };
        let products = entries.slopes.iter().map(|slopes| slopes.product).collect();
        let encoder = sums(|used, _| used.token, products).of(inputs)?;
        let values =
            entries.uses.iter().map(|used| if frozen(used) { 0.0 } else { used.entry.value }).collect();
        let decoder = sums(|used, planes| used.token * planes + used.plane, values);
        let decoder = decoder.of(&gradients.flatten(0, 1)?)?;
        self.encoder.update(adam, &encoder)?;
        self.update_decoder(adam, decoder, constraints)
    }

    fn update_decoder(
        &mut self,
        adam: &Adam,
        mut gradient: Tensor,
        constraints: &Constraints<'_>,
    ) -> Result<()> {
        let (features, width) = gradient.dims2()?;
        let shape = (features, width / constraints.d, constraints.d);
        if constraints.pulls.iter().any(|pull| *pull != 0.0) {
            let pulls = Tensor::from_slice(constraints.pulls, (features, 1, 1), &self.device)?;
            let lengths = norms(&self.decoder.value, constraints.d)?.maximum(f64::from(f32::MIN_POSITIVE))?;
            let pulled = self.decoder.value.reshape(shape)?.broadcast_mul(&pulls)?.broadcast_div(&lengths)?;
            gradient = (gradient + pulled.reshape((features, width))?)?;
        }
        let roles = Roles::new(constraints.roles, shape.1, &self.device)?;
        gradient = roles.constrain(gradient, constraints.d)?;
        if constraints.unit {
            let along = (&gradient * &self.decoder.value)?.sum_keepdim(1)?;
            gradient = (gradient - self.decoder.value.broadcast_mul(&along)?)?;
        }
        self.decoder.update(adam, &gradient)?;
        let mut value = roles.constrain(self.decoder.value.clone(), constraints.d)?;
        if constraints.unit {
            let length = value.sqr()?.sum_keepdim(1)?.sqrt()?.maximum(f64::from(f32::MIN_POSITIVE))?;
            value = value.broadcast_div(&length)?;
        }
        self.decoder.value = value;
        Ok(())
    }
}
