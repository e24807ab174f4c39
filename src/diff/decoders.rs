//! Decoder geometry of a dictionary over several variants: norms, shares and cosines.

use crate::dictionaries::Dictionary;

/// The decoders of every feature in every variant, gathered for streaming over features.
#[derive(Clone, Debug)]
pub(crate) struct Decoders {
    variants: usize,
    d_model: usize,
    features: usize,
    /// `[features, variants, d_model]`
    weights: Vec<f32>,
}

impl Decoders {
    /// From `weights` `[features, variants, d_model]`.
    pub(crate) fn new(variants: usize, d_model: usize, weights: Vec<f32>) -> Self {
        let features = weights.len() / (variants * d_model).max(1);
        Self { variants, d_model, features, weights }
    }

    /// The decoders of `dictionary`, in the units of the raw activations.
    pub(crate) fn of(dictionary: &Dictionary) -> Self {
        let (variants, d_model) = (dictionary.variants().len(), dictionary.d_model());
        let mut weights = Vec::with_capacity(dictionary.features() * variants * d_model);
        for feature in 0..dictionary.features() {
            for variant in 0..variants {
                weights.extend_from_slice(dictionary.decoder(feature, variant));
            }
        }
        Self::new(variants, d_model, weights)
    }

    pub(crate) fn variants(&self) -> usize {
        self.variants
    }

    pub(crate) fn d_model(&self) -> usize {
        self.d_model
    }

    pub(crate) fn features(&self) -> usize {
        self.features
    }

    /// The decoder of `feature` in `variant`, `[d_model]`.
    pub(crate) fn row(&self, feature: usize, variant: usize) -> &[f32] {
        let start = (feature * self.variants + variant) * self.d_model;
        &self.weights[start..start + self.d_model]
    }

    /// Euclidean norm.
    pub(crate) fn norm(&self, feature: usize, variant: usize) -> f64 {
        let row = self.row(feature, variant);
        dot(row, row).sqrt()
    }

    /// Cosine of a feature's decoders in two variants; zero when one of them is zero.
    pub(crate) fn cosine(&self, feature: usize, a: usize, b: usize) -> f64 {
        let norms = self.norm(feature, a) * self.norm(feature, b);
        if norms > 0.0 { dot(self.row(feature, a), self.row(feature, b)) / norms } else { 0.0 }
    }

    /// Normalised relative norm of b against a (Shi et al.): |d_b|_1 / (|d_a|_1 + |d_b|_1).
    /// 1 = only in b, .5 = shared, 0 = only in a. `None` when both are zero.
    pub(crate) fn relative_norm(&self, feature: usize, a: usize, b: usize) -> Option<f64> {
        let (a, b) = (sum_of_magnitudes(self.row(feature, a)), sum_of_magnitudes(self.row(feature, b)));
        (a + b > 0.0).then(|| b / (a + b))
    }

    /// Model-attribution shares of the variants (Shi et al.; width correction of arXiv 2609.35210).
    pub(crate) fn shares(&self, feature: usize) -> Option<Vec<f64>> {
        let magnitudes: Vec<(f64, usize)> = (0..self.variants)
            .map(|variant| (sum_of_magnitudes(self.row(feature, variant)), self.d_model))
            .collect();
        attribution_shares(&magnitudes)
    }
}

/// Shares (|d_m|_1 / sqrt(n_m)) / sum over variants, from each variant's |d_m|_1 and width n_m.
/// They sum to 1. `None` when all decoders are zero.
pub(crate) fn attribution_shares(magnitudes: &[(f64, usize)]) -> Option<Vec<f64>> {
    let corrected: Vec<f64> =
        magnitudes.iter().map(|(magnitude, width)| magnitude / (*width as f64).sqrt()).collect();
    let total: f64 = corrected.iter().sum();
    (total > 0.0).then(|| corrected.iter().map(|share| share / total).collect())
}

fn sum_of_magnitudes(row: &[f32]) -> f64 {
    row.iter().map(|x| f64::from(x.abs())).sum()
}

/// Dot product, accumulated in eight lanes of f32 and summed in f64: fixed order, and the compiler vectorises it.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0.0_f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>() + f64::from(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_norms_and_cosines_are_the_published_ones() {
        let decoders = Decoders::new(2, 2, vec![3.0, -4.0, 0.0, 1.0]);
        assert_eq!(decoders.norm(0, 0), 5.0);
        assert_eq!(decoders.cosine(0, 0, 1), -0.8);
        assert_eq!(decoders.relative_norm(0, 0, 1), Some(0.125));
        let shares = decoders.shares(0).unwrap();
        assert!((shares[0] - 0.875).abs() < 1e-12 && (shares[1] - 0.125).abs() < 1e-12);
    }

    #[test]
    fn shares_are_corrected_for_width() {
        // The same per-coordinate magnitude spread over four times the width is twice the norm, not four times.
        let shares = attribution_shares(&[(1.0, 16), (4.0, 64)]).unwrap();
        assert!((shares[1] / shares[0] - 2.0).abs() < 1e-12);
        assert_eq!(attribution_shares(&[(0.0, 4)]), None);
    }

    #[test]
    fn a_zero_decoder_has_no_direction() {
        let decoders = Decoders::new(2, 3, vec![0.0; 6]);
        assert_eq!(decoders.cosine(0, 0, 1), 0.0);
        assert_eq!(decoders.relative_norm(0, 0, 1), None);
    }

    #[test]
    fn the_dot_product_covers_the_tail() {
        let x: Vec<f32> = (0..19).map(|i| i as f32).collect();
        assert_eq!(dot(&x, &x), (0..19).map(|i| f64::from(i * i)).sum::<f64>());
    }
}
