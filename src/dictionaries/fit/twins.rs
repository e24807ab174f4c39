//! Merging twins: two features that fire together and in proportion.
//!
//! Where f_b = r f_a, the two write f_a (d_a + r d_b): one feature in two places. However they share the work, the
//! reconstruction is the same, so gradient descent stays where it is, and the budget of active features pays twice.
//! On planted data such pairs were most of what a diff got wrong: of one feature it saw two, both rightly classed.
//!
//! Between the end of annealing and the beginning of decay, at a few steps:
//!
//! 1. The partner of each feature is the one whose encoder has the largest cosine with its own.
//! 2. Over the steps before, sums give the Pearson correlation of both activations.
//! 3. Where it exceeds [`TWINS`], the one that writes more takes over what the other writes:
//!    d_a += r d_b, r = sum f_a f_b / sum f_a^2. The other starts anew (see [`super::tidy`]).

use super::super::matmul::PackedRows;
use super::super::vectors::norm;
use super::trainer::Use;
use rayon::prelude::*;

/// Two features with a higher correlation are one.
const TWINS: f64 = 0.9;
/// With fewer common firings, nothing is known of two features.
const FIRINGS: f64 = 8.0;
/// Encoders compared at once.
const BLOCK: usize = 256;

/// What is known of each feature and its partner since the watch began.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Watch {
    /// The partner of each feature; empty while nothing is watched.
    pub(super) partners: Vec<u32>,
    /// Per feature a with partner b: tokens on which both fire, and the sums of
    /// a, b, a^2, b^2 and a b.
    pub(super) sums: Vec<[f64; 6]>,
    pub(super) tokens: u64,
}

/// One feature to be merged into another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Merger {
    pub(super) kept: usize,
    pub(super) merged: usize,
    /// The merged one's activation, in units of the kept one's.
    pub(super) ratio: f64,
}

impl Watch {
    /// Chooses partners by `encoder [features, width]` and begins to watch them.
    pub(super) fn begin(encoder: &[f32], width: usize) -> Self {
        let features = encoder.len() / width.max(1);
        let mut directions = encoder.to_vec();
        directions.par_chunks_exact_mut(width).for_each(|row| {
            let length = norm(row).max(f32::MIN_POSITIVE);
            row.iter_mut().for_each(|value| *value /= length);
        });
        let packed = PackedRows::pack(&directions, width);
        let (mut partners, mut cosines) = (Vec::with_capacity(features), Vec::new());
        for block in directions.chunks(BLOCK * width) {
            packed.pre_activations(block, &mut cosines);
            let first = partners.len();
            let nearest = |(index, row): (usize, &[f32])| {
                let others = row.iter().enumerate().filter(|(other, _)| *other != first + index);
                others.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(other, _)| other as u32)
            };
            partners.par_extend(cosines.par_chunks_exact(features).enumerate().map(nearest));
        }
        Self { partners, sums: vec![[0.0; 6]; features], tokens: 0 }
    }

    /// Adds a batch, whose entries of feature j, in the order of tokens, are `uses[starts[j]..starts[j + 1]]`.
    pub(super) fn add(&mut self, uses: &[Use], starts: &[usize], tokens: usize) {
        let of = |feature: usize| {
            let entries = uses[starts[feature]..starts[feature + 1]].iter();
            entries.filter(|used| !used.entry.side && used.entry.value > 0.0)
        };
        self.tokens += tokens as u64;
        let pairs = self.sums.par_iter_mut().zip(&self.partners).enumerate();
        pairs.for_each(|(feature, (sums, partner))| {
            let mut theirs = of(*partner as usize).peekable();
            for own in of(feature) {
                let a = f64::from(own.entry.value);
                sums[1] += a;
                sums[3] += a * a;
                while theirs.next_if(|their| their.token < own.token).is_some() {}
                if let Some(their) = theirs.next_if(|their| their.token == own.token) {
                    sums[0] += 1.0;
                    sums[5] += a * f64::from(their.entry.value);
                }
            }
            for their in of(*partner as usize) {
                let b = f64::from(their.entry.value);
                sums[2] += b;
                sums[4] += b * b;
            }
        });
    }

    /// Which features are to be merged; none takes part twice. `writes` is the norm of what each one writes at an
    /// activation of 1, and only pairs that are `alike` are considered.
    pub(super) fn mergers(&self, writes: &[f32], alike: impl Fn(usize, usize) -> bool) -> Vec<Merger> {
        let mut taken = vec![false; self.partners.len()];
        let mut found = Vec::new();
        for (feature, (partner, sums)) in self.partners.iter().zip(&self.sums).enumerate() {
            let partner = *partner as usize;
            let [both, a, b, a_squared, b_squared, product] = *sums;
            if taken[feature] || taken[partner] || both < FIRINGS || !alike(feature, partner) {
                continue;
            }
            let count = self.tokens as f64;
            let (spread_a, spread_b) = (a_squared - a * a / count, b_squared - b * b / count);
            if product - a * b / count < TWINS * (spread_a * spread_b).sqrt() {
                continue;
            }
            let mass = |index: usize, squares: f64| squares * f64::from(writes[index]).powi(2);
            let first = mass(feature, a_squared) >= mass(partner, b_squared);
            let (kept, merged, squares) =
                if first { (feature, partner, a_squared) } else { (partner, feature, b_squared) };
            (taken[kept], taken[merged]) = (true, true);
            found.push(Merger { kept, merged, ratio: product / squares });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::kinds::Entry;
    use super::*;

    fn used(feature: u32, token: u32, value: f32) -> Use {
        Use { token, plane: 0, entry: Entry { feature, side: false, value, pre: value }, slope: 0.0 }
    }

    #[test]
    fn twins_are_found_and_companions_are_not() {
        // Encoders: 0 and 1 alike, 2 and 3 alike.
        let encoder = [1.0, 0.0, 0.9, 0.1, 0.0, 1.0, 0.1, 0.9];
        let mut watch = Watch::begin(&encoder, 2);
        assert_eq!(watch.partners, [1, 0, 3, 2]);
        // Feature 1 fires with 0 at half its strength; 3 fires on every third token of 2.
        let strength = |token: u32| 1.0 + (token % 5) as f32;
        let tokens = || (0..100).filter(|token| token % 4 == 0);
        let mut uses: Vec<Use> = tokens().map(|token| used(0, token, strength(token))).collect();
        uses.extend(tokens().map(|token| used(1, token, 0.5 * strength(token))));
        uses.extend(tokens().map(|token| used(2, token, strength(token))));
        uses.extend(tokens().filter(|token| token % 3 == 0).map(|token| used(3, token, strength(token))));
        let mut starts = vec![0; 5];
        for feature in 0..4 {
            starts[feature + 1] = uses.iter().filter(|used| used.entry.feature <= feature as u32).count();
        }
        watch.add(&uses, &starts, 100);
        let found = watch.mergers(&[1.0; 4], |_, _| true);
        assert_eq!(found, [Merger { kept: 0, merged: 1, ratio: 0.5 }]);
        assert_eq!(watch.mergers(&[1.0, 3.0, 1.0, 1.0], |_, _| true)[0].kept, 1, "the one that writes more");
        assert!(watch.mergers(&[1.0; 4], |_, _| false).is_empty());
    }
}
