//! Reconstructing a batch from its entries, and the slopes of the loss there.

use super::super::super::kinds::{Entry, Side};
use super::super::super::spec::Spec;
use super::OnDevice;
use super::sparse::{Dots, WeightedSums};
use crate::error::Result;
use candle_core::{D, Tensor};

/// What a step's reconstruction depends on, beside the entries.
pub(in crate::dictionaries::fit) struct Task<'a> {
    pub(in crate::dictionaries::fit) spec: &'a Spec,
    /// [tokens, input width] and [tokens, output width].
    pub(in crate::dictionaries::fit) inputs: &'a Tensor,
    pub(in crate::dictionaries::fit) targets: &'a Tensor,
    pub(in crate::dictionaries::fit) decoder_bias: &'a [f32],
    /// [output width, input width], or empty.
    pub(in crate::dictionaries::fit) skip: &'a [f32],
    /// Where each prefix ends.
    pub(in crate::dictionaries::fit) prefixes: &'a [usize],
    pub(in crate::dictionaries::fit) side: Option<Side>,
    /// What a residual of each output counts, and that of the auxiliary task in relation.
    pub(in crate::dictionaries::fit) site_weights: &'a [f32],
    pub(in crate::dictionaries::fit) auxiliary: f32,
}

/// What reconstructing gave.
pub(in crate::dictionaries::fit) struct Reconstructed {
    /// The slope of the loss with each entry's activation, token by token.
    pub(in crate::dictionaries::fit) slopes: Vec<f32>,
    /// Squared error per token and output.
    pub(in crate::dictionaries::fit) errors: Vec<Vec<f32>>,
    /// The slope of the loss with each reconstruction, [tokens, planes, output width].
    pub(in crate::dictionaries::fit) gradients: Tensor,
}

impl OnDevice {
    /// Reconstructs every token from its entries.
    pub(in crate::dictionaries::fit) fn reconstruct(
        &self,
        task: &Task<'_>,
        rows: &[Vec<Entry>],
        plane: impl Fn(&Entry) -> usize,
    ) -> Result<Reconstructed> {
        let (prefixes, width, tokens) = (task.prefixes.len(), task.spec.output_width(), rows.len());
        let planes = prefixes + usize::from(task.side.is_some());
        let mut written = WeightedSums { starts: vec![0], columns: Vec::new(), weights: Vec::new() };
        for row in rows {
            for own in 0..planes {
                for entry in row.iter().filter(|entry| plane(entry) == own) {
                    written.columns.push(entry.feature);
                    written.weights.push(entry.value);
                }
                written.starts.push(written.columns.len() as u32);
            }
        }
        let sums = written.of(&self.decoder.value)?.reshape((tokens, planes, width))?;
        let helped = rows.iter().map(|row| f32::from(row.iter().any(|entry| entry.side)));
        let helped = Tensor::from_iter(helped, &self.device)?.unsqueeze(1)?;
        let (residuals, errors) = self.residuals(task, &sums, &helped)?;
        let gradients = Tensor::stack(&residuals, 1)?;
        let entries =
            || rows.iter().enumerate().flat_map(|(token, row)| row.iter().map(move |entry| (token, entry)));
        let pairs = Dots {
            left: entries().map(|(token, entry)| (token * planes + plane(entry)) as u32).collect(),
            right: entries().map(|(_, entry)| entry.feature).collect(),
        };
        let slopes = pairs.of(&gradients.flatten(0, 1)?, &self.decoder.value)?;
        Ok(Reconstructed { slopes, errors, gradients })
    }

    /// The slopes of the loss at each plane's reconstruction, from the planes' sums of features; and the squared
    /// errors of the last prefix.
    fn residuals(
        &self,
        task: &Task<'_>,
        sums: &Tensor,
        helped: &Tensor,
    ) -> Result<(Vec<Tensor>, Vec<Vec<f32>>)> {
        let (prefixes, width, d) = (task.prefixes.len(), task.spec.output_width(), task.spec.d_out);
        let (target, tokens) = (task.targets, task.targets.dim(0)?);
        let bias = Tensor::from_slice(task.decoder_bias, (1, width), &self.device)?;
        let mut guess = bias.broadcast_as((tokens, width))?;
        if !task.skip.is_empty() {
            let skip = self.rows(task.skip, task.spec.input_width())?;
            guess = (guess + task.inputs.matmul(&skip.t()?)?)?;
        }
        let sum = |plane: usize| sums.narrow(1, plane, 1)?.squeeze(1);
        let mut residuals = Vec::with_capacity(prefixes + 1);
        for plane in 0..prefixes {
            guess = (guess + sum(plane)?)?;
            residuals.push((&guess - target)?);
        }
        let last = (&guess - target)?;
        let squares = last.sqr()?.reshape((tokens, task.spec.outputs.len(), d))?.sum(D::Minus1)?.to_vec2()?;
        // A residual counts 2 w_v / N; that of the auxiliary task 1/32 of it.
        let factor = |weight: &f32| std::iter::repeat_n(2.0 * weight / tokens as f32, d);
        let factors: Vec<f32> = task.site_weights.iter().flat_map(factor).collect();
        let factors = Tensor::from_vec(factors, (1, width), &self.device)?;
        for residual in &mut residuals {
            *residual = residual.broadcast_mul(&factors)?;
        }
        for plane in (1..prefixes).rev() {
            residuals[plane - 1] = (&residuals[plane - 1] + &residuals[plane])?;
        }
        match task.side {
            Some(Side::Residual) => {
                let missed = (last + sum(prefixes)?)?.broadcast_mul(helped)?.broadcast_mul(&factors)?;
                residuals.push((missed * f64::from(task.auxiliary))?);
            }
            Some(Side::Gate) => {
                let seen = (bias.broadcast_sub(target)? + sum(prefixes)?)?;
                residuals.push(seen.broadcast_mul(&factors)?);
            }
            None => {}
        }
        Ok((residuals, squares))
    }
}
