//! How much the controls of a set write what other controls write.
//!
//! A set is ranked among its controls as one among equals. It is one only if they resemble each other no more than they
//! resemble it: controls made of the same few strong features do much the same and lie closer together than sets of their
//! kind do, and any other set stands out among them. What is compared is what they write: the cosine of two sets' deltas
//! over all tokens, `sum_t <delta_a, delta_b> / sqrt(E_a E_b)`. Where an endpoint depends on what is written through
//! directions that may be any, effects of sets correlate by just that.
//!
//! The mean cosine of one set with all others needs no pairs: it is the product with the sum of all,
//! `T = sum_a delta_a / sqrt(E_a)`, and `T` is one pass over the tokens with each feature weighted by its sets.

use super::cloud::{Cloud, ControlSet};
use super::footprint::Footprints;
use super::stock::Stock;
use crate::interventions::FeatureDelta;
use crate::stats::Likeness;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;

/// Tokens that are looked at at once.
const CHUNK: usize = 2048;

/// Says of each of `controls` that counts how much it writes what the others write, and what `set` does.
pub(super) fn compare(stock: &Stock, deltas: &[FeatureDelta], set: &[u32], controls: &mut [ControlSet]) {
    let mut counted: Vec<&mut ControlSet> = controls
        .iter_mut()
        .filter(|control| control.matched && control.cloud != Cloud::RandomDirection)
        .collect();
    let footprints = Footprints::new(stock, deltas);
    let length = |set: &[u32]| footprints.energies(set).iter().sum::<f64>().max(f64::MIN_POSITIVE).sqrt();
    let own = length(set);
    let lengths: Vec<f64> = counted
        .iter()
        .map(|control| if control.direction.is_some() { own } else { length(&control.features) })
        .collect();
    let mut all = Together { set: set.to_vec(), ..Together::default() };
    for (control, length) in counted.iter().zip(&lengths) {
        all.add(control, 1.0 / length);
    }
    let products = Pass { stock, deltas, all: &all }.products();
    let others = counted.len().saturating_sub(1).max(1) as f64;
    for (control, length) in counted.iter_mut().zip(lengths) {
        let [with_all, with_set] = products.of(control);
        let among = (with_all / length - 1.0) / others;
        control.likeness = Some(Likeness { among, to_set: with_set / (length * own) });
    }
}

/// All controls as one edit: each with its delta divided by its length.
#[derive(Default)]
struct Together {
    /// Per feature of the controls, what it is multiplied with.
    weights: BTreeMap<u32, f32>,
    /// The sum of the directions that borrow the tested set's norm.
    directions: Vec<f32>,
    set: Vec<u32>,
}

impl Together {
    fn add(&mut self, control: &ControlSet, weight: f64) {
        let weight = weight as f32;
        match &control.direction {
            Some(direction) => {
                self.directions.resize(direction.len(), 0.0);
                self.directions.iter_mut().zip(direction).for_each(|(sum, x)| *sum += weight * x);
            }
            None => control
                .features
                .iter()
                .for_each(|feature| *self.weights.entry(*feature).or_default() += weight),
        }
    }
}

/// Inner products, over all tokens, with the sum of all controls and with the tested set: of what a feature writes, and
/// of a direction that has the set's norm at every token.
#[derive(Default)]
struct Products {
    features: BTreeMap<u32, [f64; 2]>,
    direction: [Vec<f64>; 2],
}

impl Products {
    fn of(&self, control: &ControlSet) -> [f64; 2] {
        let along = |direction: &Vec<f32>, sums: &Vec<f64>| -> f64 {
            direction.iter().zip(sums).map(|(x, sum)| f64::from(*x) * sum).sum()
        };
        let each = |with: usize| match &control.direction {
            Some(direction) => along(direction, &self.direction[with]),
            None => control
                .features
                .iter()
                .filter_map(|feature| self.features.get(feature))
                .map(|sums| sums[with])
                .sum(),
        };
        [each(0), each(1)]
    }

    fn plus(mut self, other: Self) -> Self {
        for (feature, sums) in other.features {
            let own = self.features.entry(feature).or_default();
            own.iter_mut().zip(sums).for_each(|(own, sum)| *own += sum);
        }
        for (own, sums) in self.direction.iter_mut().zip(other.direction) {
            own.resize(own.len().max(sums.len()), 0.0);
            own.iter_mut().zip(sums).for_each(|(own, sum)| *own += sum);
        }
        self
    }
}

/// One pass over all tokens.
struct Pass<'a> {
    stock: &'a Stock,
    deltas: &'a [FeatureDelta],
    all: &'a Together,
}

impl Pass<'_> {
    fn products(&self) -> Products {
        let tokens = self.stock.cell_of_token.len();
        let starts: Vec<usize> = (0..tokens).step_by(CHUNK).collect();
        let chunk = |start: usize| self.chunk(start..(start + CHUNK).min(tokens));
        let chunks: Vec<Products> = starts.into_par_iter().map(chunk).collect();
        chunks.into_iter().fold(Products::default(), Products::plus)
    }

    fn chunk(&self, tokens: Range<usize>) -> Products {
        let width =
            self.deltas.iter().map(|delta| delta.slope.len().max(delta.constant.len())).max().unwrap_or(0);
        let mut written = [vec![0.0f32; tokens.len() * width], vec![0.0f32; tokens.len() * width]];
        let [all, set] = &mut written;
        for (feature, weight) in &self.all.weights {
            self.write(*feature, *weight, &tokens, all, width);
        }
        for feature in &self.all.set {
            self.write(*feature, 1.0, &tokens, set, width);
        }
        let norms: Vec<f32> =
            set.chunks(width.max(1)).map(|row| row.iter().map(|x| x * x).sum::<f32>().sqrt()).collect();
        for (row, norm) in all.chunks_mut(width.max(1)).zip(&norms) {
            row.iter_mut().zip(&self.all.directions).for_each(|(x, direction)| *x += norm * direction);
        }
        let weighted = |rows: &[f32], weights: &dyn Fn(usize) -> f64| {
            let mut sums = vec![0.0f64; width];
            for (token, row) in rows.chunks(width.max(1)).enumerate() {
                let weight = weights(token);
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * f64::from(*x));
            }
            sums
        };
        let sums = written.each_ref().map(|rows| weighted(rows, &|_| 1.0));
        let product = |feature: &u32| {
            let with = [0, 1].map(|with| self.product(*feature, &tokens, &written[with], &sums[with], width));
            (*feature, with)
        };
        Products {
            features: self.all.weights.keys().map(product).collect(),
            direction: written
                .each_ref()
                .map(|rows| weighted(rows, &|token| norms.get(token).map_or(0.0, |norm| f64::from(*norm)))),
        }
    }

    /// Adds `weight` times what a feature writes.
    fn write(&self, feature: u32, weight: f32, tokens: &Range<usize>, rows: &mut [f32], width: usize) {
        let Some(delta) = self.deltas.get(feature as usize) else { return };
        if !delta.constant.is_empty() {
            for row in rows.chunks_mut(width) {
                row.iter_mut().zip(&delta.constant).for_each(|(x, constant)| *x += weight * constant);
            }
        }
        for (token, code) in self.firing(feature, tokens) {
            let start = (*token as usize - tokens.start) * width;
            let row = rows.get_mut(start..start + width).unwrap_or_default();
            row.iter_mut().zip(&delta.slope).for_each(|(x, slope)| *x += weight * code * slope);
        }
    }

    /// The inner product of what a feature writes with `rows`, whose columns add up to `sums`.
    fn product(&self, feature: u32, tokens: &Range<usize>, rows: &[f32], sums: &[f64], width: usize) -> f64 {
        let Some(delta) = self.deltas.get(feature as usize) else { return 0.0 };
        let mut product: f64 =
            delta.constant.iter().zip(sums).map(|(constant, sum)| f64::from(*constant) * sum).sum();
        for (token, code) in self.firing(feature, tokens) {
            let start = (*token as usize - tokens.start) * width;
            let row = rows.get(start..start + width).unwrap_or_default();
            product +=
                f64::from(code * row.iter().zip(&delta.slope).map(|(x, slope)| x * slope).sum::<f32>());
        }
        product
    }

    /// Where a feature fires among some tokens.
    fn firing(&self, feature: u32, tokens: &Range<usize>) -> &[(u32, f32)] {
        let firing = self.stock.firing.get(feature as usize).map_or(&[][..], Vec::as_slice);
        let place = |token: usize| firing.partition_point(|(at, _)| (*at as usize) < token);
        &firing[place(tokens.start)..place(tokens.end)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::balance::Balance;
    use super::super::draw::random_directions;
    use super::super::stock::tests::random_stock;
    use super::*;

    /// What a control writes at every token, in one row, by the definition.
    fn written(stock: &Stock, deltas: &[FeatureDelta], set: &[u32]) -> Vec<f64> {
        let mut rows = vec![0.0; stock.cell_of_token.len() * 4];
        for feature in set.iter().map(|feature| *feature as usize) {
            for (place, x) in rows.iter_mut().enumerate() {
                *x += deltas[feature].constant.get(place % 4).map_or(0.0, |x| f64::from(*x));
            }
            for (token, code) in &stock.firing[feature] {
                for (place, slope) in deltas[feature].slope.iter().enumerate() {
                    rows[*token as usize * 4 + place] += f64::from(code * slope);
                }
            }
        }
        rows
    }

    fn cosine(a: &[f64], b: &[f64]) -> f64 {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    #[test]
    fn likeness_is_the_mean_cosine_of_what_is_written() {
        for constant in [Vec::new(), vec![0.1, 0.2, 0.0, -0.3]] {
            let (mut stock, mut deltas) = random_stock(40);
            // More tokens than are looked at at once.
            stock.cell_of_token.extend(vec![1; CHUNK]);
            let last = stock.cell_of_token.len() as u32 - 1;
            stock.firing.iter_mut().step_by(3).for_each(|firing| firing.push((last, 2.5)));
            deltas.iter_mut().step_by(2).for_each(|delta| delta.constant.clone_from(&constant));
            let set = [1, 4];
            let direction = random_directions(1, 4, 7, 1).remove(0);
            let control = |features: &[u32], direction: Option<&Vec<f32>>, matched| ControlSet {
                cloud: if direction.is_some() { Cloud::BorrowedSet } else { Cloud::Any },
                draw: 0,
                features: features.to_vec(),
                direction: direction.cloned(),
                balance: Balance { cells: Vec::new(), worst: 0.0 },
                matched,
                likeness: None,
            };
            let mut controls = [
                control(&[5, 6], None, true),
                control(&[6, 7], None, true),
                control(&[9, 10], None, false),
                control(&[20, 21], Some(&direction), true),
            ];
            compare(&stock, &deltas, &set, &mut controls);

            let own = written(&stock, &deltas, &set);
            let borrows: Vec<f64> = own
                .chunks(4)
                .flat_map(|row| {
                    let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
                    direction.iter().map(move |x| norm * f64::from(*x))
                })
                .collect();
            let counted = [written(&stock, &deltas, &[5, 6]), written(&stock, &deltas, &[6, 7]), borrows];
            for (place, control) in [0, 1, 3].into_iter().enumerate() {
                let others = counted.iter().enumerate().filter(|(other, _)| *other != place);
                let among = others.map(|(_, other)| cosine(&counted[place], other)).sum::<f64>() / 2.0;
                let found = controls[control].likeness.unwrap();
                assert!((found.among - among).abs() < 1e-5, "{found:?} {among}");
                assert!((found.to_set - cosine(&counted[place], &own)).abs() < 1e-5, "{found:?}");
            }
            assert_eq!(controls[2].likeness, None, "what does not match does not count");
        }
    }
}
