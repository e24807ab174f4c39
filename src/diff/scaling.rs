//! Latent scaling of every feature in one stream (Minder, Dumas et al., arXiv 2504.02922).
//!
//! For a feature j, the direction of a variant v and the activations of a variant w, the coefficient
//! beta minimises |y - beta f_j d_j^v|^2 over tokens: beta = sum_t f <d_v, y> / (|d_v|^2 sum_t f^2).
//! The target y is either
//!
//! * the **error** target, what w's reconstruction without j leaves over: y = h_w - b_w - sum_{i != j} f_i d_i^w
//!   = r_w + f_j d_j^w with r_w the full residual, so one residual serves all features; or
//! * the **reconstruction** target, what features write: y = sum_i f_i d_i^w. The paper's includes b_w. No feature
//!   writes that, and where activations are far from zero on average, as in language models, its inner product with
//!   d_v drowns the rest; where they are not, the two agree.
//!
//! nu(w against v) = beta of w / beta of v with the same direction d_v, so denominators cancel and nu is
//! a ratio of two sums over tokens; its standard error is the ratio estimator's, with examples as clusters.

use super::classes::Estimate;
use super::decoders::{Decoders, dot};
use crate::dictionaries::Codes;
use rayon::prelude::*;

/// Sums for all features; feed it blocks of tokens in order.
pub(crate) struct Scaling {
    decoders: Decoders,
    /// `[variants, d_model]`
    biases: Vec<f32>,
    features: Vec<FeatureSums>,
}

/// Which target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    Error,
    Reconstruction,
}

#[derive(Clone)]
struct FeatureSums {
    firings: u64,
    /// Sum of f and of f^2 over tokens.
    strength: f64,
    energy: f64,
    cluster: Option<u32>,
    clusters: u64,
    error: TargetSums,
    reconstruction: TargetSums,
}

/// `[direction v][target w]` sums of f <d_v, y_w>: of the open cluster, over closed clusters, and moments over clusters.
#[derive(Clone)]
struct TargetSums {
    open: Vec<f64>,
    total: Vec<f64>,
    squares: Vec<f64>,
    /// Products with the same direction's own variant, `[v][w]`: a_vw a_vv.
    products: Vec<f64>,
}

impl TargetSums {
    fn new(variants: usize) -> Self {
        let zeros = vec![0.0; variants * variants];
        Self { open: zeros.clone(), total: zeros.clone(), squares: zeros.clone(), products: zeros }
    }

    fn close(&mut self, variants: usize) {
        for v in 0..variants {
            let own = self.open[v * variants + v];
            for w in 0..variants {
                let index = v * variants + w;
                let sum = self.open[index];
                self.total[index] += sum;
                self.squares[index] += sum * sum;
                self.products[index] += sum * own;
            }
        }
        self.open.fill(0.0);
    }

    fn ratio(&self, variants: usize, w: usize, v: usize, clusters: u64) -> Option<Estimate> {
        let (own, here) = (v * variants + v, v * variants + w);
        let denominator = self.total[own];
        if denominator <= 0.0 {
            return None;
        }
        let value = self.total[here] / denominator;
        let spread =
            self.squares[here] - 2.0 * value * self.products[here] + value * value * self.squares[own];
        let standard_error = if clusters > 1 {
            let correction = clusters as f64 / (clusters - 1) as f64;
            (correction * spread.max(0.0)).sqrt() / denominator
        } else {
            f64::INFINITY
        };
        Some(Estimate { value, standard_error })
    }
}

impl FeatureSums {
    fn new(variants: usize) -> Self {
        Self {
            firings: 0,
            strength: 0.0,
            energy: 0.0,
            cluster: None,
            clusters: 0,
            error: TargetSums::new(variants),
            reconstruction: TargetSums::new(variants),
        }
    }

    fn close(&mut self, variants: usize) {
        if self.cluster.take().is_some() {
            self.clusters += 1;
            self.error.close(variants);
            self.reconstruction.close(variants);
        }
    }
}

impl Scaling {
    /// `biases` are what the dictionary writes into each variant without any feature, `[variants, d_model]`.
    pub(crate) fn new(decoders: Decoders, biases: Vec<f32>) -> Self {
        let features = vec![FeatureSums::new(decoders.variants()); decoders.features()];
        Self { decoders, biases, features }
    }

    /// Adds a block: the `codes` of its tokens, their `activations` and `reconstruction` (bias included),
    /// each `[tokens, variants, d_model]`, and each token's cluster. Tokens of a cluster must follow one
    /// another, over block borders too.
    pub(crate) fn add(
        &mut self,
        codes: &Codes,
        activations: &[f32],
        reconstruction: &[f32],
        clusters: &[u32],
    ) {
        let residual: Vec<f32> = activations.iter().zip(reconstruction).map(|(h, y)| h - y).collect();
        let biases = self.biases.iter().cycle();
        let written: Vec<f32> = reconstruction.iter().zip(biases).map(|(y, b)| y - b).collect();
        let by_feature = transpose(codes, self.decoders.features());
        let (decoders, variants) = (&self.decoders, self.decoders.variants());
        let (d_model, width) = (decoders.d_model(), decoders.variants() * decoders.d_model());
        self.features.par_iter_mut().enumerate().for_each(|(feature, sums)| {
            for (token, strength) in by_feature.of(feature) {
                if sums.cluster != Some(clusters[*token]) {
                    sums.close(variants);
                    sums.cluster = Some(clusters[*token]);
                }
                let strength = f64::from(*strength);
                sums.firings += 1;
                sums.strength += strength;
                sums.energy += strength * strength;
                let at = token * width;
                for v in 0..variants {
                    let direction = decoders.row(feature, v);
                    for w in 0..variants {
                        let index = v * variants + w;
                        let part = at + w * d_model..at + (w + 1) * d_model;
                        let own = dot(direction, decoders.row(feature, w));
                        sums.error.open[index] +=
                            strength * (dot(direction, &residual[part.clone()]) + strength * own);
                        sums.reconstruction.open[index] += strength * dot(direction, &written[part]);
                    }
                }
            }
        });
    }

    /// Closes the last clusters. Call once, after the last block.
    pub(crate) fn finish(&mut self) {
        let variants = self.decoders.variants();
        self.features.iter_mut().for_each(|sums| sums.close(variants));
    }

    /// Tokens at which the feature fired.
    pub(crate) fn firings(&self, feature: usize) -> u64 {
        self.features[feature].firings
    }

    /// Mean of the code where it fires; `None` if it never does.
    pub(crate) fn mean_when_active(&self, feature: usize) -> Option<f64> {
        let sums = &self.features[feature];
        (sums.firings > 0).then(|| sums.strength / sums.firings as f64)
    }

    /// beta of `w`'s target along `v`'s decoder. `None` if it never fires or the decoder is zero.
    pub(crate) fn beta(&self, target: Target, feature: usize, w: usize, v: usize) -> Option<f64> {
        let direction = self.decoders.row(feature, v);
        let denominator = dot(direction, direction) * self.features[feature].energy;
        let total = self.sums(target, feature).total[v * self.decoders.variants() + w];
        (denominator > 0.0).then(|| total / denominator)
    }

    /// nu of `w` against `v`. `None` if v's own target does not ask for the feature.
    pub(crate) fn nu(&self, target: Target, feature: usize, w: usize, v: usize) -> Option<Estimate> {
        let clusters = self.features[feature].clusters;
        self.sums(target, feature).ratio(self.decoders.variants(), w, v, clusters)
    }

    fn sums(&self, target: Target, feature: usize) -> &TargetSums {
        match target {
            Target::Error => &self.features[feature].error,
            Target::Reconstruction => &self.features[feature].reconstruction,
        }
    }
}

/// Codes by feature.
pub(crate) struct ByFeature {
    starts: Vec<usize>,
    entries: Vec<(usize, f32)>,
}

impl ByFeature {
    /// The number of features.
    pub(crate) fn features(&self) -> usize {
        self.starts.len() - 1
    }

    /// The tokens at which a feature fires, in order, with its activation there.
    pub(crate) fn of(&self, feature: usize) -> &[(usize, f32)] {
        &self.entries[self.starts[feature]..self.starts[feature + 1]]
    }
}

/// Turns codes by token into codes by feature.
pub(crate) fn transpose(codes: &Codes, features: usize) -> ByFeature {
    let mut starts = vec![0; features + 1];
    for feature in &codes.features {
        starts[*feature as usize + 1] += 1;
    }
    for feature in 0..features {
        starts[feature + 1] += starts[feature];
    }
    let mut next = starts.clone();
    let mut entries = vec![(0, 0.0); codes.features.len()];
    for token in 0..codes.starts.len().saturating_sub(1) {
        for entry in codes.starts[token]..codes.starts[token + 1] {
            let slot = &mut next[codes.features[entry] as usize];
            entries[*slot] = (token, codes.values[entry]);
            *slot += 1;
        }
    }
    ByFeature { starts, entries }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    const VARIANTS: usize = 3;
    const D_MODEL: usize = 10;
    const FEATURES: usize = 6;
    const TOKENS: usize = 40;

    struct World {
        decoders: Decoders,
        biases: Vec<f32>,
        codes: Codes,
        activations: Vec<f32>,
    }

    fn world() -> World {
        let mut stream = Stream::new(1, "scaling test", &[]);
        let mut normals = |count: usize| (0..count).map(|_| stream.normal()).collect::<Vec<f32>>();
        let decoders = Decoders::new(VARIANTS, D_MODEL, normals(FEATURES * VARIANTS * D_MODEL));
        let biases = normals(VARIANTS * D_MODEL);
        let activations = normals(TOKENS * VARIANTS * D_MODEL);
        let mut codes = Codes { starts: vec![0], features: vec![], values: vec![] };
        for _ in 0..TOKENS {
            for feature in 0..FEATURES as u32 {
                if stream.uniform() < 0.5 {
                    codes.features.push(feature);
                    codes.values.push(stream.uniform() + 0.1);
                }
            }
            codes.starts.push(codes.features.len());
        }
        World { decoders, biases, codes, activations }
    }

    fn reconstruction(world: &World, codes: &Codes) -> Vec<f32> {
        let one = |token| {
            let mut sum = world.biases.clone();
            for (feature, value) in codes.token(token) {
                for variant in 0..VARIANTS {
                    let part = &mut sum[variant * D_MODEL..(variant + 1) * D_MODEL];
                    let row = world.decoders.row(feature, variant);
                    part.iter_mut().zip(row).for_each(|(x, d)| *x += value * d);
                }
            }
            sum
        };
        (0..codes.tokens()).flat_map(one).collect()
    }

    /// The definition, with the feature taken out of the reconstruction token by token.
    fn beta_by_definition(world: &World, target: Target, feature: usize, w: usize, v: usize) -> f64 {
        let direction = world.decoders.row(feature, v);
        let (mut numerator, mut energy) = (0.0, 0.0);
        for token in 0..TOKENS {
            let active: Vec<(usize, f32)> = world.codes.token(token).collect();
            let strength = active.iter().find(|(j, _)| *j == feature).map_or(0.0, |(_, f)| f64::from(*f));
            let bias = &world.biases[w * D_MODEL..];
            for x in 0..D_MODEL {
                let mut without = f64::from(bias[x]);
                let mut with = 0.0;
                for (j, f) in &active {
                    let term = f64::from(*f) * f64::from(world.decoders.row(*j, w)[x]);
                    with += term;
                    without += if *j == feature { 0.0 } else { term };
                }
                let h = f64::from(world.activations[(token * VARIANTS + w) * D_MODEL + x]);
                let y = if target == Target::Error { h - without } else { with };
                numerator += y * strength * f64::from(direction[x]);
            }
            energy += strength * strength;
        }
        numerator / (energy * dot(direction, direction))
    }

    fn stream_through(world: &World, block: usize) -> Scaling {
        let mut scaling = Scaling::new(world.decoders.clone(), world.biases.clone());
        for start in (0..TOKENS).step_by(block) {
            let end = (start + block).min(TOKENS);
            let from = world.codes.starts[start];
            let codes = Codes {
                starts: world.codes.starts[start..=end].iter().map(|x| x - from).collect(),
                features: world.codes.features[from..world.codes.starts[end]].to_vec(),
                values: world.codes.values[from..world.codes.starts[end]].to_vec(),
            };
            let width = VARIANTS * D_MODEL;
            let clusters: Vec<u32> = (start..end).map(|token| token as u32 / 4).collect();
            let reconstruction = reconstruction(world, &codes);
            scaling.add(&codes, &world.activations[start * width..end * width], &reconstruction, &clusters);
        }
        scaling.finish();
        scaling
    }

    #[test]
    fn one_stream_gives_the_defined_coefficients_for_every_feature_and_pair() {
        let world = world();
        let scaling = stream_through(&world, TOKENS);
        for target in [Target::Error, Target::Reconstruction] {
            for feature in 0..FEATURES {
                for w in 0..VARIANTS {
                    for v in 0..VARIANTS {
                        let found = scaling.beta(target, feature, w, v).unwrap();
                        let expected = beta_by_definition(&world, target, feature, w, v);
                        assert!(
                            (found - expected).abs() < 1e-4 * (1.0 + expected.abs()),
                            "{found} {expected}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn blocks_do_not_matter() {
        let world = world();
        let (whole, parts) = (stream_through(&world, TOKENS), stream_through(&world, 7));
        for feature in 0..FEATURES {
            for (w, v) in [(0, 1), (1, 0), (2, 1)] {
                let (a, b) = (whole.nu(Target::Error, feature, w, v), parts.nu(Target::Error, feature, w, v));
                assert_eq!(a, b, "feature {feature}");
            }
        }
    }

    #[test]
    fn nu_is_one_against_itself_with_no_error() {
        let scaling = stream_through(&world(), TOKENS);
        for feature in 0..FEATURES {
            if let Some(nu) = scaling.nu(Target::Error, feature, 1, 1) {
                assert!((nu.value - 1.0).abs() < 1e-12 && nu.standard_error < 1e-6);
            }
        }
    }

    #[test]
    fn the_standard_error_is_near_that_of_a_jackknife_over_clusters() {
        let world = world();
        let scaling = stream_through(&world, TOKENS);
        let (feature, w, v) = (0, 1, 0);
        let found = scaling.nu(Target::Reconstruction, feature, w, v).expect("feature 0 fires");
        // Per cluster, from the definition: sums along d_v of w's and of v's target.
        let reconstruction = reconstruction(&world, &world.codes);
        let mut clusters = [(0.0, 0.0); TOKENS / 4];
        for token in 0..TOKENS {
            for (_, strength) in world.codes.token(token).filter(|(active, _)| *active == feature) {
                let along = |variant: usize| {
                    let start = (token * VARIANTS + variant) * D_MODEL;
                    let bias = &world.biases[variant * D_MODEL..];
                    let target = reconstruction[start..start + D_MODEL].iter().zip(bias);
                    let target: Vec<f32> = target.map(|(y, b)| y - b).collect();
                    f64::from(strength) * dot(world.decoders.row(feature, v), &target)
                };
                clusters[token / 4].0 += along(w);
                clusters[token / 4].1 += along(v);
            }
        }
        let (above, below) = clusters.iter().fold((0.0, 0.0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
        let without: Vec<f64> = clusters.iter().map(|c| (above - c.0) / (below - c.1)).collect();
        let mean = without.iter().sum::<f64>() / without.len() as f64;
        let count = without.len() as f64;
        let jackknife =
            ((count - 1.0) / count * without.iter().map(|x| (x - mean).powi(2)).sum::<f64>()).sqrt();
        assert!((found.value - above / below).abs() < 1e-6);
        assert!((found.standard_error / jackknife - 1.0).abs() < 0.35, "{found:?} {jackknife}");
    }
}
