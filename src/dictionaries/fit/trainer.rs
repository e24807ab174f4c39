//! The one trainer: a step of any kind, with gradients by hand.
//!
//! 1. Encode the batch and choose the entries ([`super::scan`] and the kind's recipe).
//! 2. Token by token: reconstruct from the entries, take the residual, and the slope of the loss with each
//!    entry's activation, which is the inner product of the residual's slope with the feature's decoder.
//! 3. Sort the entries by feature. Feature by feature: sum the gradients of its encoder and decoder rows over
//!    its entries alone, and update both rows with dense Adam while they are in cache.
//!
//! Loss: mean over tokens of sum_v w_v ||h_v - h^_v||^2 (for Matryoshka, summed over prefixes), plus the kind's
//! penalty, plus the side task. No step depends on the number of threads: sums run in token order within a
//! feature, and biases are summed in fixed chunks. On a GPU the heavy parts are done there ([`super::away`]).

use super::super::kinds::{self, Entry, Recipe, Side, Slopes, View};
use super::super::matmul::{outer_products, pre_activations};
use super::super::spec::Spec;
use super::super::vectors::{add_scaled, dot, norm};
use super::adam::{Adam, Parameter, Row};
use super::away::Away;
use super::on_device::OnDevice;
use super::roles::{Role, role};
use super::scan::{self, Burial};
use super::schedule::Schedule;
use super::settings::FitSettings;
use super::twins::Watch;
use crate::error::Result;
use candle_core::Tensor;
use rayon::prelude::*;

/// Everything that a step changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    pub(super) step: usize,
    pub(super) encoder: Parameter,
    pub(super) encoder_bias: Parameter,
    pub(super) decoder: Parameter,
    pub(super) decoder_bias: Parameter,
    pub(super) skip: Parameter,
    /// The kind's own parameters, per feature.
    pub(super) extras: Vec<Parameter>,
    /// Tokens since each feature last fired.
    pub(super) silent: Vec<u32>,
    /// The last cut, and its running mean since k reached its final value.
    pub(super) cuts: [f32; 2],
    pub(super) averaged: usize,
    /// Features that may be one.
    pub(super) watch: Watch,
}

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

/// What a step saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    /// Squared error and squared target per output, summed over tokens.
    pub(super) error: Vec<f64>,
    pub(super) total: Vec<f64>,
    pub(super) active: usize,
    pub(super) dead: usize,
}

/// A fit under way.
pub(super) struct Trainer {
    pub(super) settings: FitSettings,
    pub(super) spec: Spec,
    pub(super) state: State,
    pub(super) recipe: Box<dyn Recipe>,
    pub(super) site_weights: Vec<f32>,
    pub(super) prefixes: Vec<usize>,
    pub(super) roles: Vec<Role>,
    products: Vec<f32>,
    /// Whether this step has a side task.
    pub(super) aside: bool,
    /// Encoder and decoder, where they are not in `state` but on a device.
    pub(super) away: Option<OnDevice>,
}

/// The tokens of one step, normalised.
pub(super) struct Batch<'a> {
    pub(super) inputs: &'a [f32],
    pub(super) targets: &'a [f32],
}

/// One token's part in the sparse pass.
pub(super) struct Token {
    /// Each entry with the slope of the loss with its activation.
    pub(super) entries: Vec<(Entry, f32)>,
    pub(super) error: Vec<f64>,
    pub(super) total: Vec<f64>,
}

/// The slopes of the loss at the reconstructions, [tokens, planes, output width].
enum Planes {
    Here(Vec<f32>),
    Away(Away, Tensor),
}

/// One entry of a batch, and where its decoder gradient comes from.
pub(super) struct Use {
    pub(super) token: u32,
    pub(super) plane: u32,
    pub(super) entry: Entry,
    pub(super) slope: f32,
}

impl Trainer {
    pub(super) fn new(settings: FitSettings, spec: Spec, state: State) -> Self {
        let sites = spec.outputs.len();
        let weight = |site: usize| settings.weights.get(site).copied().unwrap_or(1.0) as f32;
        Self {
            recipe: kinds::recipe(&settings),
            site_weights: (0..sites).map(weight).collect(),
            prefixes: settings.prefixes(),
            roles: (0..spec.features).map(|feature| role(&settings, sites, feature)).collect(),
            products: Vec::new(),
            aside: false,
            away: None,
            settings,
            spec,
            state,
        }
    }

    pub(super) fn recipe(&self) -> &dyn Recipe {
        &*self.recipe
    }

    /// The relative cost of a feature's role.
    pub(super) fn ease(&self, feature: usize) -> f32 {
        if self.roles[feature] == Role::Shared { self.settings.shared_penalty as f32 } else { 1.0 }
    }

    /// What multiplies each activation to give its cost.
    pub(super) fn costs(&self) -> Result<Vec<f32>> {
        let (width, d) = (self.spec.output_width(), self.spec.d_out);
        let norms: Vec<f32> = match &self.away {
            Some(away) => away.decoder_norms(d)?,
            None => {
                let rows = self.state.decoder.value.par_chunks_exact(width);
                rows.map(|row| row.chunks_exact(d).map(norm).sum()).collect()
            }
        };
        Ok(norms.into_iter().enumerate().map(|(feature, norm)| norm * self.ease(feature)).collect())
    }

    /// One optimiser step.
    pub(super) fn step(&mut self, batch: &Batch<'_>) -> Result<Report> {
        let tokens = batch.inputs.len() / self.spec.input_width();
        let width = self.spec.output_width();
        let schedule = Schedule::new(&self.settings, width, self.recipe.usual_penalty());
        let (step, costs) = (self.state.step, self.costs()?);
        let (k, annealed) = (schedule.k(step), schedule.annealed(step));
        let adam = Adam::at(step, schedule.learning_rate(step));
        let penalty = schedule.penalty(step) * self.recipe.penalty_unit(width, k) / tokens as f64;
        let dead: Vec<u32> = match self.recipe.side() {
            Some(Side::Residual) => (0..self.spec.features as u32)
                .filter(|feature| self.state.silent[*feature as usize] as usize >= self.settings.dead_after)
                .collect(),
            _ => Vec::new(),
        };
        self.aside = self.recipe.side() == Some(Side::Gate) || !dead.is_empty();
        let mut products = std::mem::take(&mut self.products);
        let extras = |index: usize| self.state.extras.get(index).map_or(&[][..], |extra| &extra.value[..]);
        let view = View {
            k,
            penalty: penalty as f32,
            bias: &self.state.encoder_bias.value,
            cost: &costs,
            extras: [extras(0), extras(1)],
            last_cut: self.state.cuts[0],
        };
        let burial = Burial { dead: &dead, keep: 2 * self.settings.k };
        let away = self.away.take().map(|away| Away::new(away, &self.spec, batch)).transpose()?;
        let (chosen, buried) = match &away {
            Some(away) => away.device.choose(&*self.recipe, &view, &away.inputs, &burial)?,
            None => scan::choose(
                &*self.recipe,
                &view,
                &self.state.encoder.value,
                batch.inputs,
                self.spec.input_width(),
                &burial,
                &mut products,
            ),
        };
        let rows = chosen.rows.into_iter().zip(buried).map(|(mut row, dead)| {
            row.extend(dead.into_iter().map(|(feature, pre)| Entry { feature, side: true, value: pre, pre }));
            row
        });
        let (reconstructed, planes) = match away {
            Some(away) => {
                let (tokens, gradients) = self.reconstruct_away(&away, batch, &rows.collect::<Vec<_>>())?;
                (tokens, Planes::Away(away, gradients))
            }
            None => {
                let mut gradients = vec![0.0f32; tokens * self.planes() * width];
                (self.reconstruct(batch, rows.collect(), &mut gradients, tokens), Planes::Here(gradients))
            }
        };
        let (report, uses, starts) = self.sort(reconstructed, dead.len());
        let slopes: Vec<Slopes> =
            uses.par_iter().map(|used| self.recipe.slopes(&view, &used.entry, used.slope)).collect();
        self.products = products;
        let watching = schedule.watching(step);
        let gradients = match planes {
            Planes::Here(gradients) => {
                self.update(batch, &adam, &gradients, &uses, &slopes, &starts, tokens);
                gradients
            }
            Planes::Away(away, gradients) => {
                self.update_away(away, &adam, &gradients, (&uses, &slopes), &starts)?;
                if watching.ends { gradients.flatten_all()?.to_vec1()? } else { Vec::new() }
            }
        };
        self.remember(&uses, &starts, tokens, chosen.cut, annealed);
        self.tidy(step, &watching, batch, &uses, &starts, &gradients)?;
        Ok(report)
    }

    /// Reconstructions per token: one per prefix, and the side task's.
    pub(super) fn planes(&self) -> usize {
        self.prefixes.len() + usize::from(self.aside)
    }

    /// The plane of an entry: the first prefix that holds it, or the side task.
    pub(super) fn plane(&self, entry: &Entry) -> usize {
        if entry.side { self.prefixes.len() } else { self.prefix(entry.feature as usize) }
    }

    /// The first prefix that holds a feature.
    pub(super) fn prefix(&self, feature: usize) -> usize {
        self.prefixes.partition_point(|end| *end <= feature)
    }

    fn decoder_row(&self, feature: u32) -> &[f32] {
        let width = self.spec.output_width();
        &self.state.decoder.value[feature as usize * width..(feature as usize + 1) * width]
    }

    /// Fills `gradients [tokens, planes, output width]` with the loss's slope at each plane's reconstruction.
    fn reconstruct(
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
            pre_activations(batch.inputs, &self.state.skip.value, width_in, &mut around);
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

    /// Sorts entries by feature, keeping token order within each.
    fn sort(&self, tokens: Vec<Token>, dead: usize) -> (Report, Vec<Use>, Vec<usize>) {
        let sites = self.spec.outputs.len();
        let mut report = Report { error: vec![0.0; sites], total: vec![0.0; sites], active: 0, dead };
        let mut starts = vec![0usize; self.spec.features + 1];
        for token in &tokens {
            for site in 0..sites {
                report.error[site] += token.error[site];
                report.total[site] += token.total[site];
            }
            for (entry, _) in &token.entries {
                starts[entry.feature as usize + 1] += 1;
                report.active += usize::from(!entry.side && entry.value > 0.0);
            }
        }
        for feature in 0..self.spec.features {
            starts[feature + 1] += starts[feature];
        }
        let mut next = starts.clone();
        let nothing = Entry { feature: 0, side: false, value: 0.0, pre: 0.0 };
        let mut uses: Vec<Use> = Vec::new();
        uses.resize_with(starts[self.spec.features], || Use {
            token: 0,
            plane: 0,
            entry: nothing,
            slope: 0.0,
        });
        for (index, token) in tokens.into_iter().enumerate() {
            for (entry, slope) in token.entries {
                let place = &mut next[entry.feature as usize];
                uses[*place] = Use { token: index as u32, plane: self.plane(&entry) as u32, entry, slope };
                *place += 1;
            }
        }
        (report, uses, starts)
    }

    #[expect(clippy::too_many_arguments, reason = "the pieces of one step, each borrowed apart")]
    fn update(
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

    /// Counts silence, and follows the cut.
    fn remember(&mut self, uses: &[Use], starts: &[usize], tokens: usize, cut: f32, annealed: bool) {
        for (feature, silent) in self.state.silent.iter_mut().enumerate() {
            let fired = uses[starts[feature]..starts[feature + 1]]
                .iter()
                .any(|used| !used.entry.side && used.entry.value > 0.0);
            *silent = if fired { 0 } else { silent.saturating_add(tokens as u32) };
        }
        self.state.cuts[0] = cut;
        if annealed {
            self.state.averaged += 1;
            let rate = (1.0 / self.state.averaged as f32).max(0.01);
            self.state.cuts[1] += rate * (cut - self.state.cuts[1]);
        } else {
            self.state.cuts[1] = cut;
        }
        self.state.step += 1;
    }
}

/// The rows of one feature in all parameters.
struct FeatureRows<'a> {
    encoder: Row<'a>,
    bias: Row<'a>,
    decoder: Row<'a>,
    extras: Vec<Row<'a>>,
}
