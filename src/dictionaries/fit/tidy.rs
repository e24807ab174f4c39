//! Tidying up under way: twins become one, and features that do nothing are born again.
//!
//! A feature is born again with the direction of what a badly reconstructed token lacks, drawn with probability
//! proportional to the squared error (resampling, Bricken et al. 2023).

use super::super::vectors::{add_scaled, dot, norm};
use super::schedule::Watching;
use super::trainer::{Batch, Trainer, Use};
use super::twins::{Merger, Watch};
use crate::error::Result;
use crate::rng::Stream;

impl Trainer {
    /// Watches for twins where the schedule says so, and at the end of a watch merges them. `gradients` are the
    /// slopes of the loss at the reconstructions of the batch, which the end of a watch needs.
    pub(super) fn tidy(
        &mut self,
        step: usize,
        watching: &Watching,
        batch: &Batch<'_>,
        uses: &[Use],
        starts: &[usize],
        gradients: &[f32],
    ) -> Result<()> {
        let (width_in, width) = (self.spec.input_width(), self.spec.output_width());
        let Watching { begins, watches, ends, last } = *watching;
        if !watches || !self.recipe.merges_twins() {
            return Ok(());
        }
        if begins || ends {
            self.settle()?;
        }
        if begins {
            self.state.watch = Watch::begin(&self.state.encoder.value, width_in);
        }
        self.state.watch.add(uses, starts, batch.inputs.len() / width_in);
        if !ends {
            return Ok(());
        }
        let writes: Vec<f32> = self.state.decoder.value.chunks_exact(width).map(norm).collect();
        let alike = |a: usize, b: usize| self.roles[a] == self.roles[b] && self.prefix(a) == self.prefix(b);
        let mergers = self.state.watch.mergers(&writes, alike);
        self.state.watch = Watch::default();
        mergers.iter().for_each(|merger| self.merge(merger));
        let idle = |feature: &usize| self.state.silent[*feature] as usize >= self.settings.dead_after;
        let mut reborn: Vec<usize> = (0..self.spec.features).filter(idle).collect();
        reborn.extend(mergers.iter().map(|merger| merger.merged));
        if !last {
            self.bear(step, &reborn, batch, gradients);
        }
        match self.away.take() {
            Some(away) => self.send(away.device()),
            None => Ok(()),
        }
    }

    /// Lets one feature write what another wrote in its company, and silences that one.
    fn merge(&mut self, merger: &Merger) {
        let (width_in, width) = (self.spec.input_width(), self.spec.output_width());
        let row = merger.merged * width..(merger.merged + 1) * width;
        let written = self.state.decoder.value[row].to_vec();
        let kept = &mut self.state.decoder.value[merger.kept * width..(merger.kept + 1) * width];
        add_scaled(kept, merger.ratio as f32, &written);
        self.state.encoder.restart(merger.merged, &vec![0.0; width_in]);
        self.state.encoder_bias.restart(merger.merged, &[0.0]);
        self.state.decoder.restart(merger.merged, &vec![0.0; width]);
    }

    /// Gives features the directions of what badly reconstructed tokens lack.
    fn bear(&mut self, step: usize, features: &[usize], batch: &Batch<'_>, gradients: &[f32]) {
        let (width_in, width) = (self.spec.input_width(), self.spec.output_width());
        let rows: Vec<&[f32]> =
            gradients.chunks_exact(self.planes() * width).map(|row| &row[..width]).collect();
        let errors: Vec<f64> = rows.iter().map(|row| f64::from(dot(row, row))).collect();
        for feature in features {
            let mut stream = Stream::new(0, "dictionaries.rebirth", &[step as u64, *feature as u64]);
            let Some(token) = stream.weighted(&errors) else { return };
            let length = norm(rows[token]).max(f32::MIN_POSITIVE);
            let mut decoder: Vec<f32> = rows[token].iter().map(|slope| -slope / length).collect();
            self.roles[*feature].constrain(&mut decoder, self.spec.d_out);
            let encoder = if self.spec.inputs == self.spec.outputs && self.spec.hook == self.spec.output_hook
            {
                decoder.clone()
            } else {
                let input = &batch.inputs[token * width_in..(token + 1) * width_in];
                input.iter().map(|value| value / dot(input, input).max(f32::MIN_POSITIVE)).collect()
            };
            self.state.encoder.restart(*feature, &encoder);
            self.state.encoder_bias.restart(*feature, &[0.0]);
            self.state.decoder.restart(*feature, &decoder);
            self.state.silent[*feature] = 0;
        }
    }
}
