//! An encoder of one variant's activations alone, fitted to the joint code: the readout `own`.
//!
//! 1. The joint pre-activation W x + b is linear in the joint activation x, so the best linear guess of it
//!    from h_v alone is W B h_v with B = Cov(x, h_v) (Cov(h_v) + ridge)^-1: one regression serves all features.
//! 2. A guess is shrunk, so each feature gets a gate of its own: the cut with the best F1 against the firing
//!    of the joint code on the fitting tokens.
//! 3. Where both fire, the strength is the least-squares line through the guess.
//!
//! The result is a gated dictionary over that variant. It is a substitute for the joint code only where its
//! fidelity on other tokens says so.

use super::codes::Codes;
use super::dictionary::Dictionary;
use super::matmul::{PackedRows, outer_products};
use super::spec::{Activation, Kind, Site, Spec, TokenScale};
use super::weights::Weights;
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Share of the mean variance that is added to every variance.
const RIDGE: f64 = 1e-4;
/// Features whose guesses are held at once.
const BLOCK: usize = 256;

/// The encoder of `dictionary`'s input number `variant`, fitted on the joint activations `joint`
/// `[tokens, inputs * d_in]`.
///
/// # Errors
/// If the dictionary does not read and write the same variants, scales its inputs token by token, or `joint` holds
/// fewer than two tokens.
pub fn own_encoder(dictionary: &Dictionary, joint: &[f32], variant: usize) -> Result<Dictionary> {
    let (spec, weights) = (dictionary.spec(), dictionary.weights());
    spec.check_positive("an encoder of one variant")?;
    let Some(site) = spec
        .inputs
        .get(variant)
        .filter(|_| spec.inputs == spec.outputs && spec.token_scale == TokenScale::None)
    else {
        return Err(Error::request(format!(
            "an encoder of one variant can be fitted to a dictionary that reads and writes the same variants, \
             found {} -> {}",
            names(&spec.inputs),
            names(&spec.outputs)
        ))
        .hint("use the readout `joint`"));
    };
    let (width, d) = (spec.input_width(), spec.d_in);
    let tokens = joint.len() / width;
    if tokens < 2 {
        return Err(Error::work(format!("expected at least 2 tokens to fit an encoder on, found {tokens}")));
    }
    let codes = dictionary.codes(joint)?;
    let alone = slot(joint, width, variant * d, d);
    let encoder = regressed(&weights.encoder, joint, &alone, (width, variant * d, d));
    let mut firing: Vec<Vec<(usize, f32)>> = vec![Vec::new(); spec.features];
    for token in 0..codes.tokens() {
        codes.token(token).for_each(|(feature, value)| firing[feature].push((token, value)));
    }
    let (mut gates, mut guesses) = (Vec::with_capacity(spec.features), Vec::new());
    for (block, firing) in encoder.chunks(BLOCK * d).zip(firing.chunks(BLOCK)) {
        PackedRows::pack(block, d).pre_activations(&alone, &mut guesses);
        let count = firing.len();
        let guesses = &guesses;
        gates.par_extend(firing.par_iter().enumerate().map(|(column, firing)| {
            Gate::fit(guesses.iter().skip(column).step_by(count).copied().collect(), firing)
        }));
    }
    let outputs = spec.output_width();
    let weights = Weights {
        encoder,
        encoder_bias: gates.iter().map(|gate| -gate.cut).collect(),
        decoder: slot(&weights.decoder, outputs, variant * d, d),
        decoder_bias: slot(&weights.decoder_bias, outputs, variant * d, d),
        threshold: Vec::new(),
        magnitude_scale: gates.iter().map(|gate| gate.slope).collect(),
        magnitude_bias: gates.iter().map(|gate| gate.constant).collect(),
        skip: Vec::new(),
    };
    let spec = Spec {
        kind: Kind::Gated,
        activation: Activation::Gated,
        inputs: vec![site.clone()],
        outputs: vec![site.clone()],
        ..spec.clone()
    };
    Dictionary::new(spec, weights)
}

fn names(sites: &[Site]) -> String {
    sites.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Columns `start..start + count` of rows of `width`.
pub(crate) fn slot(rows: &[f32], width: usize, start: usize, count: usize) -> Vec<f32> {
    rows.chunks_exact(width).flat_map(|row| &row[start..start + count]).copied().collect()
}

/// W B: the rows of `encoder` `[features, width]` as the best linear readers of `alone` `[tokens, d]`, which
/// are the columns of `joint` from `start` on.
fn regressed(
    encoder: &[f32],
    joint: &[f32],
    alone: &[f32],
    (width, start, d): (usize, usize, usize),
) -> Vec<f32> {
    let tokens = alone.len() / d;
    let covariance = outer_products(&centred(joint, width), &centred(alone, d), tokens);
    let mut own: Vec<f64> = covariance[start * d..(start + d) * d].iter().map(|x| f64::from(*x)).collect();
    let trace: f64 = (0..d).map(|at| own[at * d + at]).sum();
    (0..d).for_each(|at| own[at * d + at] += (RIDGE * trace / d as f64).max(f64::MIN_POSITIVE));
    // Cov(x, h_v) with the solved system applied to each row; transposed, it meets rows of the encoder.
    let factor = cholesky(own, d);
    let solved: Vec<f32> = covariance.par_chunks_exact(d).flat_map_iter(|row| solve(&factor, row)).collect();
    let columns: Vec<f32> = (0..d).flat_map(|at| solved.iter().skip(at).step_by(d).copied()).collect();
    let mut found = Vec::new();
    PackedRows::pack(&columns, width).pre_activations(encoder, &mut found);
    found
}

fn centred(rows: &[f32], width: usize) -> Vec<f32> {
    let count = (rows.len() / width) as f64;
    let mut means = vec![0.0f64; width];
    rows.chunks_exact(width)
        .for_each(|row| means.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x)));
    let means: Vec<f32> = means.into_iter().map(|sum| (sum / count) as f32).collect();
    rows.chunks_exact(width).flat_map(|row| row.iter().zip(&means).map(|(x, mean)| x - mean)).collect()
}

/// The lower factor L of a positive definite matrix L L^T, row by row.
fn cholesky(mut matrix: Vec<f64>, size: usize) -> Vec<f64> {
    for row in 0..size {
        for column in 0..=row {
            let (a, b) =
                (&matrix[row * size..row * size + column], &matrix[column * size..column * size + column]);
            let rest = matrix[row * size + column] - a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let pivot = matrix[column * size + column];
            matrix[row * size + column] =
                if row == column { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / pivot };
        }
    }
    matrix
}

/// The solution y of L L^T y = `right`.
fn solve(factor: &[f64], right: &[f32]) -> Vec<f32> {
    let size = right.len();
    let mut y: Vec<f64> = right.iter().map(|x| f64::from(*x)).collect();
    for row in 0..size {
        let sum: f64 = (0..row).map(|column| factor[row * size + column] * y[column]).sum();
        y[row] = (y[row] - sum) / factor[row * size + row];
    }
    for row in (0..size).rev() {
        let sum: f64 = (row + 1..size).map(|below| factor[below * size + row] * y[below]).sum();
        y[row] = (y[row] - sum) / factor[row * size + row];
    }
    y.into_iter().map(|x| x as f32).collect()
}

/// When a feature fires, and how strongly.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Gate {
    cut: f32,
    slope: f32,
    constant: f32,
}

impl Gate {
    /// The cut of `guesses` (one a token) with the best F1 against `firing`, and the line of strengths.
    fn fit(guesses: Vec<f32>, firing: &[(usize, f32)]) -> Self {
        let highest = guesses.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if firing.is_empty() {
            return Self { cut: highest + highest.abs() + 1.0, slope: 0.0, constant: 0.0 };
        }
        let mut strength = vec![0.0f32; guesses.len()];
        firing.iter().for_each(|(token, value)| strength[*token] = *value);
        let mut order: Vec<usize> = (0..guesses.len()).collect();
        let kept = (4 * firing.len() + 16).min(order.len());
        let descending = |a: &usize, b: &usize| guesses[*b].total_cmp(&guesses[*a]).then(a.cmp(b));
        if kept < order.len() {
            order.select_nth_unstable_by(kept, descending);
        }
        order.truncate(kept);
        order.sort_unstable_by(descending);
        let (mut hits, mut best) = (0.0, (0.0, 1));
        for (index, token) in order.iter().enumerate() {
            hits += f64::from(u8::from(strength[*token] > 0.0));
            let f1 = 2.0 * hits / (index + 1 + firing.len()) as f64;
            if f1 > best.0 {
                best = (f1, index + 1);
            }
        }
        let last = guesses[order[best.1 - 1]];
        let cut =
            order.get(best.1).map_or(last - 1e-6 * last.abs().max(1.0), |next| 0.5 * (last + guesses[*next]));
        let pairs = order[..best.1].iter().filter(|token| strength[**token] > 0.0);
        let (slope, constant) =
            line(pairs.map(|token| (f64::from(guesses[*token]), f64::from(strength[*token]))));
        Self { cut, slope, constant }
    }
}

/// The least-squares line through points; level where they do not spread.
fn line(points: impl Iterator<Item = (f64, f64)>) -> (f32, f32) {
    let points: Vec<(f64, f64)> = points.collect();
    let count = points.len().max(1) as f64;
    let (x, y) =
        points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let together: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let slope = if points.len() > 2 && spread > 0.0 { together / spread } else { 0.0 };
    (slope as f32, (y - slope * x) as f32)
}

/// How well codes stand for the joint code, feature by feature.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fidelity {
    /// F1 of firing; 1 where neither ever fires.
    pub f1: f64,
    /// Share of the variance of the joint code over all tokens that is explained; `None` where it has none.
    pub r2: Option<f64>,
    /// Share of tokens at which the joint code fires.
    pub joint_rate: f64,
    /// Share of tokens at which these codes fire.
    pub rate: f64,
}

/// The fidelity of `found` to `joint` for every one of `features` features, on the same tokens.
pub fn fidelity(joint: &Codes, found: &Codes, features: usize) -> Vec<Fidelity> {
    #[derive(Clone, Default)]
    struct Sums {
        joint: f64,
        found: f64,
        both: f64,
        sum: f64,
        squares: f64,
        errors: f64,
    }
    let mut sums = vec![Sums::default(); features];
    for token in 0..joint.tokens() {
        for (feature, value) in joint.token(token) {
            let (sum, value) = (&mut sums[feature], f64::from(value));
            sum.joint += 1.0;
            sum.sum += value;
            sum.squares += value * value;
            // What a code that does not fire here misses; taken back below where it does.
            sum.errors += value * value;
        }
        let mut firing = joint.token(token).peekable();
        for (feature, value) in found.token(token) {
            while firing.next_if(|(other, _)| *other < feature).is_some() {}
            let truth =
                firing.next_if(|(other, _)| *other == feature).map_or(0.0, |(_, value)| f64::from(value));
            let sum = &mut sums[feature];
            sum.found += 1.0;
            sum.both += f64::from(u8::from(truth > 0.0));
            sum.errors += (f64::from(value) - truth).powi(2) - truth * truth;
        }
    }
    let tokens = joint.tokens().max(1) as f64;
    sums.iter()
        .map(|sum| {
            let variance = sum.squares - sum.sum * sum.sum / tokens;
            Fidelity {
                f1: if sum.joint + sum.found > 0.0 { 2.0 * sum.both / (sum.joint + sum.found) } else { 1.0 },
                r2: (variance > 0.0).then(|| 1.0 - sum.errors / variance),
                joint_rate: sum.joint / tokens,
                rate: sum.found / tokens,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    const D: usize = 8;
    const FEATURES: usize = 6;

    /// Two variants with one decoder direction a feature, equal in both but for the last feature, which only
    /// the second variant has; activations with noise, and the dictionary that made them.
    fn world(tokens: usize, noise: f32) -> (Dictionary, Vec<f32>) {
        let mut stream = Stream::new(4, "own", &[]);
        let direction = |feature: usize| (0..D).map(move |at| if at == feature { 1.0f32 } else { 0.0 });
        let decoder: Vec<f32> = (0..FEATURES)
            .flat_map(|feature| {
                let base = if feature == FEATURES - 1 { 0.0 } else { 1.0 };
                direction(feature).map(move |x| base * x).chain(direction(feature))
            })
            .collect();
        let mut joint = Vec::new();
        for _ in 0..tokens {
            let mut row = vec![0.0f32; 2 * D];
            for feature in 0..FEATURES {
                if stream.uniform() < 0.2 {
                    let strength = 1.0 + stream.uniform();
                    let written = &decoder[feature * 2 * D..(feature + 1) * 2 * D];
                    row.iter_mut().zip(written).for_each(|(x, d)| *x += strength * d);
                }
            }
            row.iter_mut().for_each(|x| *x += noise * stream.normal());
            joint.extend(row);
        }
        let encoder = decoder.chunks_exact(2 * D).flat_map(|row| {
            let square: f32 = row.iter().map(|x| x * x).sum();
            row.iter().map(move |x| x / square)
        });
        let sites = vec![Site::of("base"), Site::of("rl")];
        let spec = Spec::reconstructing(Kind::BatchTopkCrosscoder, Activation::Threshold, sites, D, FEATURES);
        let weights = Weights {
            encoder: encoder.collect(),
            encoder_bias: vec![0.0; FEATURES],
            decoder,
            decoder_bias: vec![0.0; 2 * D],
            threshold: vec![0.5; FEATURES],
            ..Weights::default()
        };
        (Dictionary::new(spec, weights).unwrap(), joint)
    }

    #[test]
    fn an_own_encoder_finds_what_its_variant_holds_and_says_what_it_does_not() {
        let (dictionary, joint) = world(3000, 0.05);
        let (fitting, held_out) = joint.split_at(2000 * 2 * D);
        let truth = dictionary.codes(held_out).unwrap();
        for (variant, sees_last) in [(0, false), (1, true)] {
            let own = own_encoder(&dictionary, fitting, variant).unwrap();
            let codes = own.codes(&slot(held_out, 2 * D, variant * D, D)).unwrap();
            let found = fidelity(&truth, &codes, FEATURES);
            for (feature, fidelity) in found.iter().enumerate() {
                let sees = feature < FEATURES - 1 || sees_last;
                assert_eq!(fidelity.f1 > 0.97, sees, "feature {feature} of {variant}: {fidelity:?}");
                assert_eq!(fidelity.r2.unwrap() > 0.95, sees, "feature {feature} of {variant}: {fidelity:?}");
            }
        }
    }

    #[test]
    fn fidelity_is_that_of_the_definition() {
        let codes = |rows: &[&[(u32, f32)]]| {
            let mut codes = Codes::new();
            rows.iter().for_each(|row| codes.push(row.iter().copied()));
            codes
        };
        let joint = codes(&[&[(0, 2.0)], &[], &[(0, 1.0), (1, 1.0)], &[]]);
        let found = fidelity(&joint, &codes(&[&[(0, 1.5)], &[(0, 0.5)], &[(1, 1.0)], &[]]), 3);
        // Firing: one of two found, one of two right. Errors .25 + .25 + 1 of a variance 5 - 9 / 4.
        assert!((found[0].f1 - 0.5).abs() < 1e-12);
        assert!((found[0].r2.unwrap() - (1.0 - 1.5 / 2.75)).abs() < 1e-9);
        assert_eq!((found[1].f1, found[1].r2), (1.0, Some(1.0)));
        assert_eq!((found[2].f1, found[2].r2), (1.0, None));
        assert_eq!((found[0].joint_rate, found[0].rate), (0.5, 0.5));
    }

    #[test]
    fn the_factor_solves_its_system() {
        let factor = cholesky(vec![4.0, 2.0, 2.0, 3.0], 2);
        let found = solve(&factor, &[8.0, 7.0]);
        assert!((found[0] - 1.25).abs() < 1e-6 && (found[1] - 1.5).abs() < 1e-6, "{found:?}");
    }
}
