//! Where and how strongly features fire on selection tokens.

use crate::interventions::{FeatureDelta, Part};

/// A group of tokens that is matched by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The suite.
    pub suite: String,
    /// Prompt or response.
    pub part: Part,
}

/// What matching needs to know of one feature beside its firing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureTraits {
    /// Its class (PROTOCOL 8).
    pub class: String,
    /// Whether the class is `shared`, or the like: present in all variants and the same in them.
    pub shared: bool,
    /// Mean code on the receiver's texts less that on the reference variant's texts, same prompts.
    pub shift: f64,
}

/// Firing of all features on the selection tokens of some cells.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    /// The cells.
    pub cells: Vec<Cell>,
    /// The cell of each token.
    pub cell_of_token: Vec<usize>,
    /// Per feature: the tokens where it fires, in order, with its code.
    pub firing: Vec<Vec<(u32, f32)>>,
    /// Per feature: class and shift.
    pub traits: Vec<FeatureTraits>,
}

/// What a set does in one cell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct CellUse {
    /// Share of the cell's tokens at which something is written.
    pub(super) rate: f64,
    /// Mean squared norm of the delta over the cell's tokens.
    pub(super) energy: f64,
}

/// Buffers of [`Stock::footprint`], kept between calls by a thread.
#[derive(Default)]
pub(super) struct Scratch {
    delta: Vec<f32>,
    touched: Vec<bool>,
    tokens: Vec<u32>,
}

impl Stock {
    /// Tokens per cell.
    pub(super) fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.cells.len()];
        for cell in &self.cell_of_token {
            if let Some(size) = sizes.get_mut(*cell) {
                *size += 1;
            }
        }
        sizes
    }

    /// What `set` does per cell, when the delta of feature `j` is `deltas[j]`.
    pub(super) fn footprint(
        &self,
        set: &[u32],
        deltas: &[FeatureDelta],
        scratch: &mut Scratch,
    ) -> Vec<CellUse> {
        let width = deltas.iter().map(|delta| delta.slope.len().max(delta.constant.len())).max().unwrap_or(0);
        let mut constant = vec![0.0f32; width];
        scratch.delta.resize(self.cell_of_token.len() * width, 0.0);
        scratch.touched.resize(self.cell_of_token.len(), false);
        for feature in set {
            let Some(delta) = deltas.get(*feature as usize) else { continue };
            constant.iter_mut().zip(&delta.constant).for_each(|(sum, x)| *sum += x);
            let firing = self.firing.get(*feature as usize).map_or(&[][..], Vec::as_slice);
            if delta.slope.is_empty() {
                continue;
            }
            for (token, code) in firing {
                let token_index = *token as usize;
                if let Some(row) = scratch.delta.get_mut(token_index * width..(token_index + 1) * width) {
                    row.iter_mut().zip(&delta.slope).for_each(|(sum, x)| *sum += code * x);
                    if !std::mem::replace(&mut scratch.touched[token_index], true) {
                        scratch.tokens.push(*token);
                    }
                }
            }
        }
        let everywhere: f64 = constant.iter().map(|x| f64::from(*x).powi(2)).sum();
        let sizes = self.sizes();
        let mut sums: Vec<(f64, f64)> = sizes
            .iter()
            .map(|size| if everywhere > 0.0 { (*size as f64, *size as f64 * everywhere) } else { (0.0, 0.0) })
            .collect();
        scratch.tokens.sort_unstable();
        for token in scratch.tokens.drain(..) {
            let token = token as usize;
            let row = &mut scratch.delta[token * width..(token + 1) * width];
            let squared: f64 = row.iter().zip(&constant).map(|(x, c)| f64::from(x + c).powi(2)).sum();
            row.fill(0.0);
            scratch.touched[token] = false;
            if let Some((acted, energy)) = self.cell_of_token.get(token).and_then(|cell| sums.get_mut(*cell))
            {
                if everywhere == 0.0 && squared > 0.0 {
                    *acted += 1.0;
                }
                *energy += squared - everywhere;
            }
        }
        let mean = |sum: f64, size: usize| if size == 0 { 0.0 } else { sum / size as f64 };
        let pairs = sums.into_iter().zip(sizes);
        pairs
            .map(|((acted, energy), size)| CellUse { rate: mean(acted, size), energy: mean(energy, size) })
            .collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rng::Stream;

    /// A stock of `features` features on two cells of 400 tokens, with rates and strengths that vary.
    pub(in crate::experiments::controls) fn random_stock(features: usize) -> (Stock, Vec<FeatureDelta>) {
        let cell = |part| Cell { suite: "suite".into(), part };
        let cell_of_token: Vec<usize> = (0..800).map(|token| usize::from(token >= 400)).collect();
        let mut stream = Stream::new(1, "stock", &[]);
        let mut deltas = Vec::new();
        let mut firing = Vec::new();
        let mut traits = Vec::new();
        for feature in 0..features {
            let (rate, strength) = (0.02 + 0.2 * stream.uniform(), 0.5 + stream.uniform());
            let fires = (0..800).filter(|_| stream.uniform() < rate).collect::<Vec<u32>>();
            firing
                .push(fires.into_iter().map(|token| (token, strength * (0.5 + stream.uniform()))).collect());
            deltas.push(FeatureDelta {
                constant: Vec::new(),
                slope: (0..4).map(|_| stream.normal()).collect(),
            });
            let class = if feature % 2 == 0 { "shared" } else { "specific" };
            traits.push(FeatureTraits {
                class: class.into(),
                shared: feature % 2 == 0,
                shift: f64::from(stream.normal()),
            });
        }
        (
            Stock { cells: vec![cell(Part::Prompt), cell(Part::Response)], cell_of_token, firing, traits },
            deltas,
        )
    }

    #[test]
    fn the_footprint_is_what_the_deltas_say_token_by_token() {
        let (stock, mut deltas) = random_stock(6);
        let set = [1, 4, 5];
        let mut scratch = Scratch::default();
        let check = |deltas: &[FeatureDelta], footprint: &[CellUse]| {
            let mut sums = [(0.0, 0.0); 2];
            for token in 0..800u32 {
                let mut delta = [0.0f64; 4];
                for feature in set {
                    let delta_of = &deltas[feature];
                    delta.iter_mut().zip(&delta_of.constant).for_each(|(sum, x)| *sum += f64::from(*x));
                    for (_, code) in stock.firing[feature].iter().filter(|(at, _)| *at == token) {
                        delta
                            .iter_mut()
                            .zip(&delta_of.slope)
                            .for_each(|(sum, x)| *sum += f64::from(code * x));
                    }
                }
                let squared: f64 = delta.iter().map(|x| x * x).sum();
                let cell = &mut sums[usize::from(token >= 400)];
                cell.0 += f64::from(u8::from(squared > 0.0)) / 400.0;
                cell.1 += squared / 400.0;
            }
            for (found, expected) in footprint.iter().zip(sums) {
                assert!((found.rate - expected.0).abs() < 1e-9, "{found:?} {expected:?}");
                assert!((found.energy / expected.1 - 1.0).abs() < 1e-4, "{found:?} {expected:?}");
            }
        };
        let wanted: Vec<u32> = set.iter().map(|feature| *feature as u32).collect();
        check(&deltas, &stock.footprint(&wanted, &deltas, &mut scratch));
        let first = stock.footprint(&wanted, &deltas, &mut scratch);
        assert_eq!(first, stock.footprint(&wanted, &deltas, &mut scratch), "the scratch is left clean");
        deltas.iter_mut().for_each(|delta| delta.constant = vec![0.1, 0.2, 0.0, -0.3]);
        check(&deltas, &stock.footprint(&wanted, &deltas, &mut scratch));
    }
}
