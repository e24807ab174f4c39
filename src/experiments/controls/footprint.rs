//! What sets of features write, fast enough to try hundreds of thousands of them.
//!
//! The squared delta `‖Σ_i (c_i + f_i d_i)‖²`, summed over a cell's n tokens, is a sum over pairs of features:
//! `n ⟨c_i, c_j⟩ + A_j ⟨c_i, d_j⟩ + A_i ⟨d_i, c_j⟩ + C_ij ⟨d_i, d_j⟩`, with `A_i = Σ f_i` and `C_ij = Σ f_i f_j`. To
//! replace a feature is to replace its pairs. Where features fire is kept as bits, token by token, so that `C_ij` costs
//! as many products as there are tokens where both fire, and the tokens where anything fires are counted a word at a time.

use super::stock::Stock;
use crate::interventions::FeatureDelta;
use std::ops::Range;

/// What a set does in one cell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct CellUse {
    /// Share of the cell's tokens at which something is written.
    pub(super) rate: f64,
    /// Mean squared norm of the delta over the cell's tokens.
    pub(super) energy: f64,
}

/// The squared deltas of a set, summed over the tokens of each cell.
pub(super) type Energies = Vec<f64>;

/// The firing of all features, in the order in which pairs are counted.
pub(super) struct Footprints<'a> {
    deltas: &'a [FeatureDelta],
    cells: Vec<CellPlace>,
    features: Vec<Fired>,
}

/// Where a cell's tokens are.
struct CellPlace {
    words: Range<usize>,
    tokens: usize,
}

/// Where one feature fires: a bit a token, cells one after another, each beginning with a word of its own.
#[derive(Default)]
struct Fired {
    words: Vec<u64>,
    /// Per word, how many bits are set before it.
    before: Vec<u32>,
    /// The codes, in the order of the bits.
    codes: Vec<f32>,
    /// The sum of the codes in each cell.
    sums: Vec<f64>,
}

impl<'a> Footprints<'a> {
    pub(super) fn new(stock: &Stock, deltas: &'a [FeatureDelta]) -> Self {
        let mut sizes = vec![0usize; stock.cells.len()];
        let within: Vec<(usize, usize)> = stock
            .cell_of_token
            .iter()
            .map(|cell| {
                sizes[*cell] += 1;
                (*cell, sizes[*cell] - 1)
            })
            .collect();
        let mut first = 0;
        let mut cells = Vec::with_capacity(sizes.len());
        for tokens in sizes {
            let words = first..first + tokens.div_ceil(64);
            first = words.end;
            cells.push(CellPlace { words, tokens });
        }
        let bit_of = |token: u32| {
            let (cell, place) = within[token as usize];
            64 * cells[cell].words.start + place
        };
        let features = stock.firing.iter().zip(deltas).map(|(firing, delta)| match delta.slope.is_empty() {
            true => Fired::default(),
            false => Fired::new(firing.iter().map(|(token, code)| (bit_of(*token), *code)), &cells),
        });
        let features = features.collect();
        Self { deltas, cells, features }
    }

    /// What `set` does per cell.
    pub(super) fn of(&self, set: &[u32]) -> Vec<CellUse> {
        self.uses(set, &self.energies(set))
    }

    /// The squared deltas of `set`.
    pub(super) fn energies(&self, set: &[u32]) -> Energies {
        let mut energies = vec![0.0; self.cells.len()];
        for (place, feature) in set.iter().enumerate() {
            self.add_pair(*feature, *feature, 1.0, &mut energies);
            for other in &set[..place] {
                self.add_pair(*feature, *other, 2.0, &mut energies);
            }
        }
        energies
    }

    /// The squared deltas of `set`, whose own are `energies`, with `feature` in the place `place`.
    pub(super) fn swapped(&self, set: &[u32], energies: &Energies, place: usize, feature: u32) -> Energies {
        let mut energies = energies.clone();
        let old = set[place];
        self.add_pair(old, old, -1.0, &mut energies);
        self.add_pair(feature, feature, 1.0, &mut energies);
        for (_, other) in set.iter().enumerate().filter(|(other, _)| *other != place) {
            self.add_pair(old, *other, -2.0, &mut energies);
            self.add_pair(feature, *other, 2.0, &mut energies);
        }
        energies
    }

    /// What a set of these squared deltas does per cell.
    pub(super) fn uses(&self, set: &[u32], energies: &Energies) -> Vec<CellUse> {
        let everywhere = self.writes_everywhere(set);
        let fired: Vec<&Fired> = set
            .iter()
            .filter(|feature| self.slope(**feature).iter().any(|x| *x != 0.0))
            .filter_map(|feature| self.features.get(*feature as usize))
            .collect();
        let share = |cell: &CellPlace| {
            let any = |word: usize| fired.iter().fold(0, |bits, fired| bits | fired.words[word]);
            let acted: u32 = cell.words.clone().map(|word| any(word).count_ones()).sum();
            f64::from(acted) / cell.tokens as f64
        };
        let of_cell = |(cell, energy): (&CellPlace, &f64)| match cell.tokens {
            0 => CellUse::default(),
            tokens => CellUse {
                rate: if everywhere { 1.0 } else { share(cell) },
                // Differences of sums may leave a little less than nothing.
                energy: energy.max(0.0) / tokens as f64,
            },
        };
        self.cells.iter().zip(energies).map(of_cell).collect()
    }

    /// Whether the constants of a set add up to something.
    fn writes_everywhere(&self, set: &[u32]) -> bool {
        let mut sum: Vec<f32> = Vec::new();
        for vector in set.iter().map(|feature| self.constant(*feature)) {
            sum.resize(sum.len().max(vector.len()), 0.0);
            sum.iter_mut().zip(vector).for_each(|(total, x)| *total += x);
        }
        sum.iter().any(|x| *x != 0.0)
    }

    /// Adds what the pair (a, b) contributes to the squared delta, times `factor`.
    fn add_pair(&self, a: u32, b: u32, factor: f64, energies: &mut Energies) {
        let (Some(one), Some(other)) = (self.features.get(a as usize), self.features.get(b as usize)) else {
            return;
        };
        let slopes = dot(self.slope(a), self.slope(b));
        let constants = dot(self.constant(a), self.constant(b));
        let (constant_slope, slope_constant) =
            (dot(self.constant(a), self.slope(b)), dot(self.slope(a), self.constant(b)));
        for (cell, place) in self.cells.iter().enumerate() {
            let mut sum = constants * place.tokens as f64;
            if slopes != 0.0 {
                sum += slopes * one.products(other, place.words.clone());
            }
            sum += constant_slope * other.sum(cell) + slope_constant * one.sum(cell);
            energies[cell] += factor * sum;
        }
    }

    fn slope(&self, feature: u32) -> &[f32] {
        self.deltas.get(feature as usize).map_or(&[], |delta| &delta.slope)
    }

    fn constant(&self, feature: u32) -> &[f32] {
        self.deltas.get(feature as usize).map_or(&[], |delta| &delta.constant)
    }
}

impl Fired {
    /// Of the bits and codes where a feature fires, in any order.
    fn new(fires: impl Iterator<Item = (usize, f32)>, cells: &[CellPlace]) -> Self {
        let mut fires: Vec<(usize, f32)> = fires.collect();
        fires.sort_unstable_by_key(|(bit, _)| *bit);
        let mut words = vec![0u64; cells.last().map_or(0, |cell| cell.words.end)];
        for (bit, _) in &fires {
            words[bit / 64] |= 1 << (bit % 64);
        }
        let count = |before: &mut u32, word: &u64| {
            let found = *before;
            *before += word.count_ones();
            Some(found)
        };
        let before: Vec<u32> = words.iter().scan(0, count).collect();
        let codes: Vec<f32> = fires.iter().map(|(_, code)| *code).collect();
        let begin = |word: usize| before.get(word).map_or(codes.len(), |before| *before as usize);
        let sum = |cell: &CellPlace| {
            let codes = &codes[begin(cell.words.start)..begin(cell.words.end)];
            codes.iter().map(|code| f64::from(*code)).sum()
        };
        let sums = cells.iter().map(sum).collect();
        Self { words, before, codes, sums }
    }

    fn sum(&self, cell: usize) -> f64 {
        self.sums.get(cell).copied().unwrap_or(0.0)
    }

    /// The sum over some words' tokens of the product of both codes.
    fn products(&self, other: &Self, words: Range<usize>) -> f64 {
        let mut sum = 0.0;
        for word in words {
            let (Some(a), Some(b)) = (self.words.get(word), other.words.get(word)) else { return sum };
            let mut both = a & b;
            while both != 0 {
                let below = (1u64 << both.trailing_zeros()) - 1;
                let one = self.codes[self.before[word] as usize + (a & below).count_ones() as usize];
                let two = other.codes[other.before[word] as usize + (b & below).count_ones() as usize];
                sum += f64::from(one) * f64::from(two);
                both &= both - 1;
            }
        }
        sum
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::stock::tests::{WIDTH, random_stock};
    use super::*;

    /// Token by token, by the definition.
    fn by_definition(stock: &Stock, deltas: &[FeatureDelta], set: &[u32]) -> [(f64, f64); 2] {
        let mut sums = [(0.0, 0.0); 2];
        for (token, cell) in (0..).zip(&stock.cell_of_token) {
            let mut delta = [0.0f64; WIDTH];
            for feature in set.iter().map(|feature| *feature as usize) {
                let delta_of = &deltas[feature];
                delta.iter_mut().zip(&delta_of.constant).for_each(|(sum, x)| *sum += f64::from(*x));
                for (_, code) in stock.firing[feature].iter().filter(|(at, _)| *at == token) {
                    delta.iter_mut().zip(&delta_of.slope).for_each(|(sum, x)| *sum += f64::from(code * x));
                }
            }
            let squared: f64 = delta.iter().map(|x| x * x).sum();
            sums[*cell].0 += f64::from(u8::from(squared > 0.0)) / 400.0;
            sums[*cell].1 += squared / 400.0;
        }
        sums
    }

    fn check(found: &[CellUse], expected: [(f64, f64); 2]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found.rate - expected.0).abs() < 1e-9, "{found:?} {expected:?}");
            assert!((found.energy / expected.1 - 1.0).abs() < 1e-4, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn the_footprint_is_what_the_deltas_say_token_by_token() {
        let (mut stock, mut deltas) = random_stock(8);
        // Cells whose tokens lie among each other, as prompts and responses do.
        stock.cell_of_token = (0..800).map(|token| usize::from(token % 2 == 1)).collect();
        let set = [1, 4, 5];
        check(&Footprints::new(&stock, &deltas).of(&set), by_definition(&stock, &deltas, &set));
        deltas[4].slope = vec![0.0; WIDTH];
        check(&Footprints::new(&stock, &deltas).of(&set), by_definition(&stock, &deltas, &set));
        deltas.iter_mut().for_each(|delta| delta.constant = vec![0.1, 0.2, 0.0, -0.3]);
        check(&Footprints::new(&stock, &deltas).of(&set), by_definition(&stock, &deltas, &set));
        deltas[5] = FeatureDelta { constant: vec![0.5, 0.0, 0.0, 0.1], slope: Vec::new() };
        check(&Footprints::new(&stock, &deltas).of(&set), by_definition(&stock, &deltas, &set));
    }

    #[test]
    fn a_swap_is_the_footprint_of_the_other_set() {
        let (stock, mut deltas) = random_stock(8);
        for constant in [Vec::new(), vec![0.1, 0.2, 0.0, -0.3]] {
            deltas.iter_mut().step_by(2).for_each(|delta| delta.constant.clone_from(&constant));
            let footprints = Footprints::new(&stock, &deltas);
            let set = [1, 4, 5];
            let swapped = footprints.swapped(&set, &footprints.energies(&set), 1, 7);
            let afresh = footprints.energies(&[1, 7, 5]);
            for (swapped, afresh) in swapped.iter().zip(&afresh) {
                assert!((swapped / afresh - 1.0).abs() < 1e-9, "{swapped} {afresh}");
            }
        }
    }
}
