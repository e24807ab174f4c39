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
    /// Per token, where its entries in `fired` begin; one more than there are tokens.
    starts: Vec<usize>,
    /// Place in the set and code of everything that fires, token by token.
    fired: Vec<(u32, f64)>,
}

impl Scratch {
    /// Sorts the firings of a set by token. A token's stay in the order of the set.
    fn sort(&mut self, firings: &[&[(u32, f32)]], tokens: usize) {
        self.starts.clear();
        self.starts.resize(tokens + 2, 0);
        // Counted one place further on, so that filling moves each start to where it belongs.
        for (token, _) in firings.iter().copied().flatten() {
            self.starts[*token as usize + 2] += 1;
        }
        for token in 2..self.starts.len() {
            self.starts[token] += self.starts[token - 1];
        }
        self.fired.resize(self.starts.last().copied().unwrap_or(0), (0, 0.0));
        for (place, firing) in (0..).zip(firings) {
            for (token, code) in *firing {
                let next = &mut self.starts[*token as usize + 1];
                self.fired[*next] = (place, f64::from(*code));
                *next += 1;
            }
        }
    }

    /// What fires at every token.
    fn tokens(&self) -> impl Iterator<Item = &[(u32, f64)]> {
        self.starts.windows(2).map(|range| &self.fired[range[0]..range[1]])
    }
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
    ///
    /// `‖c + Σ f_j d_j‖² = ‖c‖² + 2 Σ f_j ⟨c, d_j⟩ + Σ f_i f_j ⟨d_i, d_j⟩`: with the inner products at
    /// hand, a token costs the square of the few features that fire there, not the width of the model.
    pub(super) fn footprint(
        &self,
        set: &[u32],
        deltas: &[FeatureDelta],
        scratch: &mut Scratch,
    ) -> Vec<CellUse> {
        let delta_of = |feature: &u32| deltas.get(*feature as usize);
        let slopes: Vec<&[f32]> =
            set.iter().map(|feature| delta_of(feature).map_or(&[][..], |delta| &delta.slope)).collect();
        let constant = sum_of(set.iter().filter_map(delta_of).map(|delta| delta.constant.as_slice()));
        let everywhere = dot(&constant, &constant);
        let with_constant: Vec<f64> = slopes.iter().map(|slope| dot(&constant, slope)).collect();
        let products: Vec<f64> = slopes.iter().flat_map(|a| slopes.iter().map(|b| dot(a, b))).collect();
        let firing = |(feature, slope): (&u32, &&[f32])| match (self.firing.get(*feature as usize), slope) {
            (Some(firing), [_, ..]) => firing.as_slice(),
            _ => &[],
        };
        let firings: Vec<&[(u32, f32)]> = set.iter().zip(&slopes).map(firing).collect();
        scratch.sort(&firings, self.cell_of_token.len());

        let sizes = self.sizes();
        let mut sums: Vec<(f64, f64)> = sizes
            .iter()
            .map(|size| if everywhere > 0.0 { (*size as f64, *size as f64 * everywhere) } else { (0.0, 0.0) })
            .collect();
        for (at_token, cell) in scratch.tokens().zip(&self.cell_of_token) {
            if at_token.is_empty() {
                continue;
            }
            let mut beyond = 0.0;
            for (i, f_i) in at_token {
                beyond += 2.0 * f_i * with_constant[*i as usize];
                for (j, f_j) in at_token {
                    beyond += f_i * f_j * products[*i as usize * slopes.len() + *j as usize];
                }
            }
            if let Some((acted, energy)) = sums.get_mut(*cell) {
                if everywhere == 0.0 && beyond > 0.0 {
                    *acted += 1.0;
                }
                *energy += beyond;
            }
        }
        let mean = |sum: f64, size: usize| if size == 0 { 0.0 } else { sum / size as f64 };
        let pairs = sums.into_iter().zip(sizes);
        pairs
            .map(|((acted, energy), size)| CellUse { rate: mean(acted, size), energy: mean(energy, size) })
            .collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// The sum of vectors of one width; an empty one stands for zero.
fn sum_of<'a>(vectors: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    let mut sum: Vec<f32> = Vec::new();
    for vector in vectors {
        sum.resize(sum.len().max(vector.len()), 0.0);
        sum.iter_mut().zip(vector).for_each(|(total, x)| *total += x);
    }
    sum
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
