//! How well a dictionary reconstructs: per variant, per difference, and overall.
//!
//! Over tokens t of a range of a store, first tokens left out: FVE = 1 - sum_t ||y_t - y^_t||^2 / sum_t ||y_t - mean y||^2,
//! where y is the activation of a variant, the difference of two, or the activations of all variants joined. Sums
//! are of f64, so that the scale of the activations does not matter. A high FVE per variant can be all shared
//! variance; what a dictionary knows of a change shows in the FVE of the difference.

use super::codes::Codes;
use super::dictionary::Dictionary;
use crate::activations::{ActivationStore, Part};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Tokens read at once.
const BLOCK: usize = 4096;

/// The target of the row over all variants joined, which dictionaries over several have.
pub const OVERALL: &str = "all";

/// The least share of the mean square that counts as variation: what is below it is rounding.
const VARIES: f64 = 1e-12;

/// One row of the table `dictionaries`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DictionaryRow {
    /// The dictionary's kind.
    pub dictionary: String,
    /// The hook point it writes.
    pub hook: String,
    /// What is reconstructed: a variant, the difference of a variant from the first one, or [`OVERALL`].
    pub target: String,
    /// The number of features.
    pub features: usize,
    /// Tokens measured on.
    pub tokens: usize,
    /// Fraction of variance explained.
    pub fve: f64,
    /// Squared error per token, summed over dimensions.
    pub mse: f64,
    /// Mean cosine of target and reconstruction.
    pub cosine: f64,
    /// Mean number of active features per token.
    pub l0: f64,
    /// Mean over tokens of activation times the norm of what it writes to this target.
    pub l1: f64,
    /// Features that never fire.
    pub dead: usize,
    /// Their share of all features.
    pub dead_share: f64,
    /// Features that fire on more than a tenth of the tokens.
    pub dense: usize,
    /// Number of features by firing rate, as a JSON list.
    pub density: String,
    /// Share of lost cross-entropy recovered, if measured.
    pub ce_recovered: Option<f64>,
    /// KL divergence in nats per token, if measured.
    pub kl: Option<f64>,
    /// Mean over the features that fire of the largest cosine with a feature of another fit (MMCS), if there are others.
    pub stability: Option<f64>,
    /// What changes how these numbers are to be read, under `notes`; empty if nothing does.
    #[serde(flatten)]
    pub notes: BTreeMap<String, String>,
}

/// One row of the table `notes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteRow {
    /// The dictionary's kind.
    pub dictionary: String,
    /// The hook point it reads.
    pub hook: String,
    /// What changes how its numbers are to be read.
    pub note: String,
}

impl NoteRow {
    /// Those of a dictionary.
    pub fn of(dictionary: &Dictionary) -> Vec<Self> {
        let row = |note: &String| Self {
            dictionary: dictionary.kind().name().to_owned(),
            hook: dictionary.hook().to_owned(),
            note: note.clone(),
        };
        dictionary.notes().iter().map(row).collect()
    }
}

impl fmt::Display for DictionaryRow {
    /// The row in one line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, fve, l0, dead, dead_share, .. } = self;
        write!(
            formatter,
            "{target:24} FVE {fve:6.3}  L0 {l0:6.1}  dead {dead} ({:.0} %)",
            100.0 * dead_share
        )?;
        match self.ce_recovered.zip(self.kl) {
            Some((recovered, kl)) => write!(formatter, "  CE recovered {recovered:.3}  KL {kl:.4}"),
            None => Ok(()),
        }
    }
}

/// What a row reconstructs.
#[derive(Clone, Copy)]
enum Target {
    Output(usize),
    /// An output minus the first one.
    Difference(usize),
    /// All outputs, joined.
    All,
}

impl Target {
    /// Those of a dictionary with so many outputs.
    fn of(outputs: usize) -> Vec<Self> {
        let mut targets: Vec<Self> = (0..outputs).map(Self::Output).collect();
        targets.extend((1..outputs).map(Self::Difference));
        targets.extend((outputs > 1).then_some(Self::All));
        targets
    }

    fn name(self, outputs: &[String]) -> String {
        match self {
            Self::Output(output) => outputs[output].clone(),
            Self::Difference(output) => format!("{}-{}", outputs[output], outputs[0]),
            Self::All => OVERALL.to_owned(),
        }
    }

    fn pick(self, row: &[f32], d: usize) -> Vec<f64> {
        let own = |output: usize| row[output * d..(output + 1) * d].iter().map(|value| f64::from(*value));
        match self {
            Self::Output(output) => own(output).collect(),
            Self::Difference(output) => own(output).zip(own(0)).map(|(value, first)| value - first).collect(),
            Self::All => row.iter().map(|value| f64::from(*value)).collect(),
        }
    }
}

/// Sums over tokens for one target.
#[derive(Clone, Default)]
struct Sums {
    error: f64,
    square: f64,
    mean: Vec<f64>,
    cosine: f64,
    l1: f64,
}

/// What [`judge`] finds.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The rows of the table `dictionaries`.
    pub rows: Vec<DictionaryRow>,
    /// How often each feature fires on the tokens judged.
    pub firings: Vec<usize>,
}

/// Judges `dictionary` on tokens `range` of `store`, usually [`ActivationStore::held_out`].
///
/// # Errors
/// If the store lacks a variant, has another width, or the range holds fewer than two tokens.
pub fn metrics(
    dictionary: &Dictionary,
    store: &ActivationStore,
    range: Range<usize>,
) -> Result<Vec<DictionaryRow>> {
    judge(dictionary, store, store, range).map(|judgement| judgement.rows)
}

/// Checks that tokens `range` of `store` are enough to judge a dictionary on: before a fit, that it will not be in vain.
///
/// # Errors
/// If fewer than two are left without first tokens.
pub fn check_judge(store: &ActivationStore, range: Range<usize>) -> Result<()> {
    let tokens = store.parts()[range].iter().filter(|part| **part != Part::First).count();
    if tokens >= 2 {
        return Ok(());
    }
    Err(Error::request(format!(
        "expected at least 2 tokens to judge a dictionary on, first tokens left out, found {tokens}"
    ))
    .hint("a tenth of the tokens is held out: give at least 20"))
}

/// Judges `dictionary`, which reads `store` and writes `target` (for all kinds but transcoders `store` itself), on
/// tokens `range`.
///
/// # Errors
/// As [`metrics`].
pub fn judge(
    dictionary: &Dictionary,
    store: &ActivationStore,
    target: &ActivationStore,
    range: Range<usize>,
) -> Result<Judgement> {
    check_judge(store, range.clone())?;
    let (spec, d) = (dictionary.spec(), dictionary.d_model());
    let outputs = spec.outputs.len();
    let targets = Target::of(outputs);
    let weights: Vec<Vec<f64>> = targets.iter().map(|target| written(dictionary, *target)).collect();
    let mut sums = vec![Sums::default(); targets.len()];
    let (mut fired, mut tokens, mut active) = (vec![0usize; spec.features], 0usize, 0usize);
    for start in range.clone().step_by(BLOCK) {
        let block = start..(start + BLOCK).min(range.end);
        let kept: Vec<bool> = store.parts()[block.clone()].iter().map(|part| *part != Part::First).collect();
        let x = keep(&dictionary.inputs_of(store, &store.read(block.clone())?)?, &kept);
        let y = keep(&dictionary.targets_of(target, &target.read(block)?)?, &kept);
        let codes = dictionary.codes(&x)?;
        let guess = dictionary.reconstruct(&codes, &x)?;
        tokens += codes.tokens();
        active += codes.values.len();
        codes.features.iter().for_each(|feature| fired[*feature as usize] += 1);
        for ((sums, target), weights) in sums.iter_mut().zip(&targets).zip(&weights) {
            add(sums, *target, d * outputs, d, &y, &guess);
            sums.l1 += cost(&codes, weights);
        }
    }
    let rates: Vec<f64> = fired.iter().map(|count| *count as f64 / tokens as f64).collect();
    let dead = fired.iter().filter(|count| **count == 0).count();
    let row = |(target, sums): (&Target, &Sums)| {
        let count = tokens as f64;
        let spread = sums.square - sums.mean.iter().map(|sum| sum * sum / count).sum::<f64>();
        DictionaryRow {
            dictionary: spec.kind.name().to_owned(),
            hook: spec.output_hook.clone(),
            target: target.name(dictionary.variants()),
            features: spec.features,
            tokens,
            // Two equal models have no difference to explain; 0 supports no claim about it.
            fve: if spread > VARIES * sums.square { 1.0 - sums.error / spread } else { 0.0 },
            mse: sums.error / count,
            cosine: sums.cosine / count,
            l0: active as f64 / count,
            l1: sums.l1 / count,
            dead,
            dead_share: dead as f64 / spec.features as f64,
            dense: rates.iter().filter(|rate| **rate > 0.1).count(),
            density: histogram(&rates),
            ce_recovered: None,
            kl: None,
            stability: None,
            notes: noted(dictionary),
        }
    };
    Ok(Judgement { rows: targets.iter().zip(&sums).map(row).collect(), firings: fired })
}

/// The column `notes`, where there are some.
fn noted(dictionary: &Dictionary) -> BTreeMap<String, String> {
    let notes = dictionary.notes();
    (!notes.is_empty()).then(|| ("notes".to_owned(), notes.join("\n"))).into_iter().collect()
}

/// The rows of `values` that are kept.
fn keep(values: &[f32], kept: &[bool]) -> Vec<f32> {
    let width = values.len() / kept.len().max(1);
    let rows = values.chunks_exact(width.max(1)).zip(kept);
    rows.filter(|(_, kept)| **kept).flat_map(|(row, _)| row).copied().collect()
}

/// The norm of what each feature writes to a target.
fn written(dictionary: &Dictionary, target: Target) -> Vec<f64> {
    let rows = dictionary.weights().decoder.chunks_exact(dictionary.spec().output_width());
    rows.map(|row| square(&target.pick(row, dictionary.d_model())).sqrt()).collect()
}

fn add(sums: &mut Sums, target: Target, width: usize, d: usize, y: &[f32], guess: &[f32]) {
    for (y, guess) in y.chunks_exact(width).zip(guess.chunks_exact(width)) {
        let (y, guess) = (target.pick(y, d), target.pick(guess, d));
        let own = square(&y);
        let both = (square(&guess) * own).sqrt();
        sums.error += y.iter().zip(&guess).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        sums.square += own;
        sums.cosine += if both > 0.0 { dot(&y, &guess) / both } else { 0.0 };
        sums.mean.resize(y.len(), 0.0);
        sums.mean.iter_mut().zip(&y).for_each(|(mean, value)| *mean += value);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn square(vector: &[f64]) -> f64 {
    dot(vector, vector)
}

fn cost(codes: &Codes, weights: &[f64]) -> f64 {
    let entries = codes.features.iter().zip(&codes.values);
    entries.map(|(feature, value)| f64::from(value.abs()) * weights[*feature as usize]).sum()
}

/// Counts by decade of firing rate: 0, then up to 1e-5, 1e-4, ..., 1.
fn histogram(rates: &[f64]) -> String {
    let mut counts = [0usize; 7];
    for rate in rates {
        let decade = if *rate == 0.0 { 0 } else { (6.0 + rate.log10()).ceil().clamp(1.0, 6.0) as usize };
        counts[decade] += 1;
    }
    format!("{counts:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activations::import;
    use crate::dictionaries::{Activation, Kind, Site, Spec, Weights};
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    #[test]
    fn rates_are_counted_by_decade() {
        assert_eq!(histogram(&[0.0, 1e-5, 2e-5, 0.005, 0.1, 0.2, 1.0]), "[1, 1, 1, 0, 1, 1, 2]");
    }

    /// Rows for activations `scale` times a fixed pattern, of which the dictionary explains the first dimension of
    /// each of two variants.
    fn rows(scale: f32, tokens: usize) -> Result<Vec<DictionaryRow>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("activations.safetensors");
        let values = (0..tokens).flat_map(|token| {
            let token = token as f32;
            [1.0 + token, (token * 7.0) % 3.0, 1.0 + 2.0 * token, (token * 5.0) % 4.0]
                .map(|value| value * scale)
        });
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        let view = TensorView::new(Dtype::F32, vec![tokens, 2, 2], &bytes).unwrap();
        safetensors::serialize_to_file([("activations", view)], None, &path).unwrap();
        let store = import(&path, &["base".to_owned(), "rl".to_owned()])?;
        let sites = vec![Site::of("base"), Site::of("rl")];
        let spec = Spec::reconstructing(Kind::Crosscoder, Activation::Relu, sites, 2, 2);
        let weights = Weights {
            encoder: vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            encoder_bias: vec![0.0; 2],
            decoder: vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            decoder_bias: vec![0.0; 4],
            ..Weights::default()
        };
        metrics(&Dictionary::new(spec, weights)?, &store, 0..tokens)
    }

    #[test]
    fn the_row_over_all_variants_joins_those_of_each() {
        let rows = rows(1.0, 50).unwrap();
        let targets: Vec<&str> = rows.iter().map(|row| row.target.as_str()).collect();
        assert_eq!(targets, ["base", "rl", "rl-base", OVERALL]);
        assert!((rows[3].mse - rows[0].mse - rows[1].mse).abs() < 1e-9);
        let spread = |row: &DictionaryRow| row.mse / (1.0 - row.fve);
        assert!((spread(&rows[3]) / (spread(&rows[0]) + spread(&rows[1])) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_scale_of_activations_does_not_matter_and_one_token_is_not_judged() {
        let usual = rows(1.0, 50).unwrap();
        for scale in [1e25, 1e-25] {
            for (usual, row) in usual.iter().zip(rows(scale, 50).unwrap()) {
                assert!((usual.fve - row.fve).abs() < 1e-5, "{scale}: {} {}", usual.fve, row.fve);
                assert!((usual.cosine - row.cosine).abs() < 1e-5, "{scale}");
            }
        }
        assert!(rows(1.0, 1).unwrap_err().to_string().contains("at least 2 tokens"));
    }
}
