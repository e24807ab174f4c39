//! The heavy arithmetic of a step on the host, on flat buffers: what [`super::on_device`] does elsewhere.
//!
//! Decoding and the gradients of encoder and decoder rows touch only the features that are active.

use super::super::kinds::{Entry, Side, Slopes};
use super::super::matmul::{PackedRows, outer_products};
use super::super::vectors::{add_scaled, dot, norm};
use super::adam::{Adam, Row};
use super::trainer::{Batch, State, Token, Trainer, Use};
use rayon::prelude::*;

impl State {
    /// The parameters, split by feature.
    fn feature_rows(&mut self, width_in: usize, width_out: usize) -> Vec<FeatureRows<'_>> {
        let mut extras: Vec<_> = self.extras.iter_mut().map(|extra| extra.rows(1)).collect();
        let rows = self.encoder.rows(width_in).zip(self.encoder_bias.rows(1));
        rows.zip(self.decoder.rows(width_out))
            .map(|((encoder, bias), decoder)| {
                let extras = extras.iter_mut().filter_map(Iterator::next).collect();
                FeatureRows { encoder, bias, decoder, extras }
            })
            .collect()
    }
}

impl Trainer {
    fn decoder_row(&self, feature: u32) -> &[f32] {
        let width = self.spec.output_width();
        &self.state.decoder.value[feature as usize * width..(feature as usize + 1) * width]
    }

    /// Fills `gradients [tokens, planes, output width]` with the loss's slope at each plane's reconstruction.
    pub(super) fn reconstruct(
        &self,
        batch: &Batch<'_>,
        rows: Vec<Vec<Entry>>,
        gradients: &mut [f32],
        tokens: usize,
    ) -> Vec<Token> {
        let (width, width_in, d) = (self.spec.output_width(), self.spec.input_width(), self.spec.d_out);
        let planes = self.planes();
        let mut around = Vec::new();
        if !self.state.skip.value.is_empty() {
            PackedRows::pack(&self.state.skip.value, width_in).pre_activations(batch.inputs, &mut around);
        }
        let pairs = rows.into_par_iter().zip(gradients.par_chunks_exact_mut(planes * width));
        pairs
            .enumerate()
            .map(|(index, (row, gradients))| {
                let target = &batch.targets[index * width..(index + 1) * width];
                let mut guess = self.state.decoder_bias.value.clone();
                if let Some(around) = around.get(index * width..(index + 1) * width) {
                    add_scaled(&mut guess, 1.0, around);
                }
                let mut entries = row.iter().filter(|entry| !entry.side).peekable();
                for (plane, end) in self.prefixes.iter().enumerate() {
                    while let Some(entry) = entries.next_if(|entry| (entry.feature as usize) < *end) {
                        add_scaled(&mut guess, entry.value, self.decoder_row(entry.feature));
                    }
                    let residual = &mut gradients[plane * width..(plane + 1) * width];
                    for ((residual, guess), target) in residual.iter_mut().zip(&guess).zip(target) {
                        *residual = guess - target;
                    }
                }
                let last = &gradients[(self.prefixes.len() - 1) * width..self.prefixes.len() * width];
                let squares = |values: &[f32]| -> Vec<f64> {
                    values.chunks_exact(d).map(|part| f64::from(dot(part, part))).collect()
                };
                let (error, total) = (squares(last), squares(target));
                self.side_task(&row, target, gradients);
                self.slopes_of_planes(gradients, tokens);
                let entries = row
                    .into_iter()
                    .map(|entry| {
                        let plane = self.plane(&entry);
                        let slope = dot(
                            &gradients[plane * width..(plane + 1) * width],
                            self.decoder_row(entry.feature),
                        );
                        (entry, slope)
                    })
                    .collect();
                Token { entries, error, total }
            })
            .collect()
    }

    /// Puts the side task's residual into the last plane.
    fn side_task(&self, row: &[Entry], target: &[f32], gradients: &mut [f32]) {
        let width = self.spec.output_width();
        let Some(side) = self.recipe.side().filter(|_| self.aside) else { return };
        let (main, plane) = gradients.split_at_mut(self.prefixes.len() * width);
        match side {
            Side::Residual => {
                if row.iter().all(|entry| !entry.side) {
                    plane.fill(0.0);
                    return;
                }
                plane.copy_from_slice(&main[(self.prefixes.len() - 1) * width..]);
            }
            Side::Gate => {
                plane.copy_from_slice(&self.state.decoder_bias.value);
                add_scaled(plane, -1.0, target);
            }
        }
        for entry in row.iter().filter(|entry| entry.side) {
            add_scaled(plane, entry.value, self.decoder_row(entry.feature));
        }
    }

    /// Turns residuals into slopes: 2 w_v r / N, times 1/32 for the auxiliary task, and summed over the
    /// prefixes that a feature takes part in.
    fn slopes_of_planes(&self, gradients: &mut [f32], tokens: usize) {
        let (width, d) = (self.spec.output_width(), self.spec.d_out);
        for (plane, values) in gradients.chunks_exact_mut(width).enumerate() {
            let auxiliary = plane == self.prefixes.len() && self.recipe.side() == Some(Side::Residual);
            let factor = if auxiliary { self.settings.auxiliary as f32 } else { 1.0 } * 2.0 / tokens as f32;
            for (values, weight) in values.chunks_exact_mut(d).zip(&self.site_weights) {
                values.iter_mut().for_each(|value| *value *= factor * weight);
            }
        }
        for plane in (1..self.prefixes.len()).rev() {
            let (before, after) = gradients.split_at_mut(plane * width);
            add_scaled(&mut before[(plane - 1) * width..], 1.0, &after[..width]);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the pieces of one step, each borrowed apart")]
    pub(super) fn update(
        &mut self,
        batch: &Batch<'_>,
        adam: &Adam,
        gradients: &[f32],
        uses: &[Use],
        slopes: &[Slopes],
        starts: &[usize],
        tokens: usize,
    ) {
        let (width_in, width, d) = (self.spec.input_width(), self.spec.output_width(), self.spec.d_out);
        let planes = self.planes();
        let frozen = self.recipe.side() == Some(Side::Gate);
        let unit = self.recipe.unit_decoder();
        let eases: Vec<f32> = (0..self.spec.features).map(|feature| self.ease(feature)).collect();
        let mut rows = self.state.feature_rows(width_in, width);
        rows.par_iter_mut().enumerate().with_min_len(8).for_each_init(
            || (vec![0.0f32; width_in], vec![0.0f32; width]),
            |(encoder, decoder), (feature, rows)| {
                encoder.fill(0.0);
                decoder.fill(0.0);
                let (mut bias, mut extra, mut pull) = (0.0f32, [0.0f32; 2], 0.0f32);
                let range = starts[feature]..starts[feature + 1];
                for (used, slopes) in uses[range.clone()].iter().zip(&slopes[range]) {
                    let token = used.token as usize;
                    if slopes.product != 0.0 {
                        let input = &batch.inputs[token * width_in..(token + 1) * width_in];
                        add_scaled(encoder, slopes.product, input);
                    }
                    if used.entry.value != 0.0 && !(used.entry.side && frozen) {
                        let start = (token * planes + used.plane as usize) * width;
                        add_scaled(decoder, used.entry.value, &gradients[start..start + width]);
                    }
                    bias += slopes.bias;
                    extra[0] += slopes.extras[0];
                    extra[1] += slopes.extras[1];
                    pull += slopes.norm;
                }
                if pull != 0.0 {
                    let parts = rows.decoder.value.chunks_exact(d).zip(decoder.chunks_exact_mut(d));
                    for (row, gradient) in parts {
                        let length = norm(row).max(f32::MIN_POSITIVE);
                        add_scaled(gradient, pull * eases[feature] / length, row);
                    }
                }
                let role = self.roles[feature];
                role.constrain(decoder, d);
                if unit {
                    let along = dot(decoder, rows.decoder.value);
                    add_scaled(decoder, -along, rows.decoder.value);
                }
                adam.update(&mut rows.encoder, encoder);
                adam.update(&mut rows.bias, &[bias]);
                adam.update(&mut rows.decoder, decoder);
                for (row, gradient) in rows.extras.iter_mut().zip(extra) {
                    adam.update(row, &[gradient]);
                }
                role.constrain(rows.decoder.value, d);
                if unit {
                    let length = norm(rows.decoder.value).max(f32::MIN_POSITIVE);
                    rows.decoder.value.iter_mut().for_each(|value| *value /= length);
                }
            },
        );
        self.update_shared(batch, adam, gradients, tokens);
    }

    /// Updates what all tokens share: the decoder's bias and the skip path.
    fn update_shared(&mut self, batch: &Batch<'_>, adam: &Adam, gradients: &[f32], tokens: usize) {
        let (width, planes) = (self.spec.output_width(), self.planes());
        let first_planes = || gradients.par_chunks(64 * planes * width);
        let partial: Vec<Vec<f32>> = first_planes()
            .map(|chunk| {
                let mut sum = vec![0.0; width];
                chunk.chunks_exact(planes * width).for_each(|row| add_scaled(&mut sum, 1.0, &row[..width]));
                sum
            })
            .collect();
        let mut gradient = vec![0.0; width];
        partial.iter().for_each(|part| add_scaled(&mut gradient, 1.0, part));
        self.state.decoder_bias.rows(width).for_each(|mut row| adam.update(&mut row, &gradient));
        if !self.state.skip.value.is_empty() {
            let first: Vec<f32> =
                gradients.chunks_exact(planes * width).flat_map(|row| &row[..width]).copied().collect();
            let gradient = outer_products(&first, batch.inputs, tokens);
            let whole = gradient.len();
            self.state.skip.rows(whole).for_each(|mut row| adam.update(&mut row, &gradient));
        }
    }
}

/// The rows of one feature in all parameters.
struct FeatureRows<'a> {
    encoder: Row<'a>,
    bias: Row<'a>,
    decoder: Row<'a>,
    extras: Vec<Row<'a>>,
}
