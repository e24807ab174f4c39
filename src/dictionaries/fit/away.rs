//! A fit whose heavy arithmetic is done on a device: what the trainer sends there, and what it keeps.
//!
//! Biases, the kinds' own parameters and the skip path are small: they stay on the host and are updated there.

use super::super::kinds::{Entry, Side, Slopes};
use super::super::spec::Spec;
use super::super::vectors::dot;
use super::adam::Adam;
use super::on_device::{Constraints, Entries, OnDevice, Task};
use super::trainer::{Batch, Token, Trainer};
use crate::error::Result;
use candle_core::{Device, Tensor};
use rayon::prelude::*;

/// The device with the batch of one step.
pub(super) struct Away {
    pub(super) device: OnDevice,
    pub(super) inputs: Tensor,
    targets: Tensor,
}

impl Away {
    pub(super) fn new(device: OnDevice, spec: &Spec, batch: &Batch<'_>) -> Result<Self> {
        let inputs = device.rows(batch.inputs, spec.input_width())?;
        let targets = device.rows(batch.targets, spec.output_width())?;
        Ok(Self { device, inputs, targets })
    }
}

impl Trainer {
    /// Has the heavy arithmetic done on a device from now on.
    pub(super) fn send(&mut self, device: &Device) -> Result<()> {
        self.away = Some(OnDevice::new(&self.state, self.spec.features, device)?);
        Ok(())
    }

    /// Brings encoder and decoder into `state`, if they are on a device; they stay there, too.
    pub(super) fn settle(&mut self) -> Result<()> {
        match &self.away {
            Some(away) => away.bring_back(&mut self.state),
            None => Ok(()),
        }
    }

    /// As [`Trainer::reconstruct`].
    pub(super) fn reconstruct_away(
        &self,
        away: &Away,
        batch: &Batch<'_>,
        rows: &[Vec<Entry>],
    ) -> Result<(Vec<Token>, Tensor)> {
        let task = Task {
            spec: &self.spec,
            inputs: &away.inputs,
            targets: &away.targets,
            decoder_bias: &self.state.decoder_bias.value,
            skip: &self.state.skip.value,
            prefixes: &self.prefixes,
            side: self.recipe.side().filter(|_| self.aside),
            site_weights: &self.site_weights,
            auxiliary: self.settings.auxiliary as f32,
        };
        let found = away.device.reconstruct(&task, rows, |entry| self.plane(entry))?;
        let (width, d) = (self.spec.output_width(), self.spec.d_out);
        let mut slopes = found.slopes.into_iter();
        let parts = rows.iter().zip(found.errors.into_iter().zip(batch.targets.chunks(width)));
        let tokens = parts.map(|(row, (error, target))| Token {
            entries: row.iter().copied().zip(slopes.by_ref()).collect(),
            error: error.into_iter().map(f64::from).collect(),
            total: target.chunks_exact(d).map(|part| f64::from(dot(part, part))).collect(),
        });
        Ok((tokens.collect(), found.gradients))
    }

    /// As [`Trainer::update`].
    pub(super) fn update_away(
        &mut self,
        mut away: Away,
        adam: &Adam,
        gradients: &Tensor,
        entries: &Entries<'_>,
    ) -> Result<()> {
        let Entries { slopes, starts, .. } = *entries;
        let sum = |feature: usize, part: fn(&Slopes) -> f32| -> f32 {
            slopes[starts[feature]..starts[feature + 1]].iter().map(part).sum()
        };
        let sums = |part: fn(&Slopes) -> f32| -> Vec<f32> {
            (0..self.spec.features).into_par_iter().map(|feature| sum(feature, part)).collect()
        };
        let pulls = sums(|slopes| slopes.norm).into_iter().enumerate();
        let pulls: Vec<f32> = pulls.map(|(feature, pull)| pull * self.ease(feature)).collect();
        let constraints = Constraints {
            d: self.spec.d_out,
            roles: &self.roles,
            pulls: &pulls,
            unit: self.recipe.unit_decoder(),
            frozen_side: self.recipe.side() == Some(Side::Gate),
        };
        away.device.update(adam, &away.inputs, gradients, entries, &constraints)?;
        let features = self.spec.features;
        let extras = [sums(|slopes| slopes.extras[0]), sums(|slopes| slopes.extras[1])];
        self.state
            .encoder_bias
            .rows(features)
            .for_each(|mut row| adam.update(&mut row, &sums(|slopes| slopes.bias)));
        for (parameter, gradient) in self.state.extras.iter_mut().zip(&extras) {
            parameter.rows(features).for_each(|mut row| adam.update(&mut row, gradient));
        }
        let first = gradients.narrow(1, 0, 1)?.squeeze(1)?;
        let of_bias: Vec<f32> = first.sum(0)?.to_vec1()?;
        self.state.decoder_bias.rows(of_bias.len()).for_each(|mut row| adam.update(&mut row, &of_bias));
        if !self.state.skip.value.is_empty() {
            let of_skip: Vec<f32> =
                first.t()?.contiguous()?.matmul(&away.inputs)?.flatten_all()?.to_vec1()?;
            self.state.skip.rows(of_skip.len()).for_each(|mut row| adam.update(&mut row, &of_skip));
        }
        self.away = Some(away.device);
        Ok(())
    }
}
