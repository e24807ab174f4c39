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
//! feature, and biases are summed in fixed chunks. The heavy arithmetic is in [`super::here`], and for a GPU in
//! [`super::away`].

use super::super::kinds::{self, Entry, Recipe, Side, Slopes, View};
use super::super::spec::Spec;
use super::super::vectors::norm;
use super::adam::{Adam, Parameter};
use super::away::Away;
use super::on_device::{Entries, OnDevice};
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
                let entries = Entries { uses: &uses, slopes: &slopes, starts: &starts };
                self.update_away(away, &adam, &gradients, &entries)?;
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
