//! How much sets write the same.
//!
//! A set is ranked among its controls as one among equals. It is one only if they resemble each other no more than they
//! resemble it: controls made of the same few strong features do much the same and lie closer together than sets of their
//! kind do, and any other set stands out among them. What is compared is what they write: the cosine of two sets' deltas
//! over all tokens where the edit acts. Where an endpoint depends on what is written through directions that may be any,
//! effects of sets correlate by just that.
//!
//! All that a set writes has as many numbers as there are tokens times the model's width. It is kept as a [`Sketch`], as in
//! the count sketch of Charikar, Chen and Farach-Colton (2002): every token's vector is added, with a random sign, at a
//! random place of a row of sums. Inner products of sketches are those of what was sketched on the mean, and cosines are
//! off by about `1 / sqrt(SUMS)`.

use super::cloud::ControlSet;
use super::stock::Stock;
use crate::interventions::{FeatureDelta, Positions};
use crate::rng::Stream;
use crate::stats::Likeness;
use rayon::prelude::*;

/// Places of a sketch: cosines to within some .016.
const SUMS: usize = 4096;

/// Tokens whose vectors are held in full at once.
const CHUNK: usize = 512;

/// What a set writes, in short.
#[derive(Clone, Debug)]
pub(super) struct Sketch(Vec<f32>);

impl Sketch {
    /// The cosine of what two sets write; 0 where one of them writes nothing.
    pub(super) fn cosine(&self, other: &Self) -> f64 {
        let dot = |a: &Self, b: &Self| {
            a.0.iter().zip(&b.0).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>()
        };
        let lengths = (dot(self, self) * dot(other, other)).sqrt();
        if lengths > 0.0 { dot(self, other) / lengths } else { 0.0 }
    }
}

/// Makes sketches of what sets write on a stock's tokens.
pub(super) struct Sketcher<'a> {
    stock: &'a Stock,
    deltas: &'a [FeatureDelta],
    /// Numbers of a token's vector.
    pub(super) width: usize,
    /// Per token, the place of its vector and its sign; `None` where the edit does not act.
    places: Vec<Option<(usize, f32)>>,
    /// Per token, the length of what the tested set writes: the length of what borrows it.
    lengths: Vec<f32>,
}

impl<'a> Sketcher<'a> {
    pub(super) fn new(
        stock: &'a Stock,
        deltas: &'a [FeatureDelta],
        set: &[u32],
        positions: Positions,
    ) -> Self {
        let width = deltas.iter().map(|delta| delta.slope.len().max(delta.constant.len())).max().unwrap_or(0);
        let mut stream = Stream::new(0, "sketch", &[]);
        let place = |cell: &usize| {
            let place = (stream.below(SUMS), if stream.below(2) == 0 { 1.0 } else { -1.0 });
            stock.cells.get(*cell).is_some_and(|cell| positions.contain(cell.part)).then_some(place)
        };
        let places = stock.cell_of_token.iter().map(place).collect();
        let mut sketcher = Self { stock, deltas, width, places, lengths: Vec::new() };
        sketcher.lengths = sketcher.lengths_of(set);
        sketcher
    }

    /// Of what a set of features writes.
    pub(super) fn of_features(&self, set: &[u32]) -> Sketch {
        let mut sketch = vec![0.0; SUMS + self.width];
        let constant = self.constant(set);
        if constant.iter().any(|x| *x != 0.0) {
            (0..self.places.len()).for_each(|token| self.add(token, 1.0, &constant, &mut sketch));
        }
        for (feature, delta) in self.of_set(set) {
            for (token, code) in feature {
                self.add(*token as usize, *code, &delta.slope, &mut sketch);
            }
        }
        Sketch(sketch)
    }

    /// Of what a control writes.
    pub(super) fn of(&self, control: &ControlSet) -> Sketch {
        let Some(direction) = &control.direction else { return self.of_features(&control.features) };
        let mut sketch = vec![0.0; SUMS + self.width];
        for (token, length) in self.lengths.iter().enumerate() {
            self.add(token, *length, direction, &mut sketch);
        }
        Sketch(sketch)
    }

    /// Adds `factor` times `vector`, written at a token.
    fn add(&self, token: usize, factor: f32, vector: &[f32], sketch: &mut [f32]) {
        let Some(Some((first, sign))) = self.places.get(token) else { return };
        let sums = sketch.get_mut(*first..).unwrap_or_default();
        sums.iter_mut().zip(vector).for_each(|(sum, x)| *sum += sign * factor * x);
    }

    /// Where the features of a set fire, and what they then write.
    fn of_set(&self, set: &[u32]) -> impl Iterator<Item = (&'a Vec<(u32, f32)>, &'a FeatureDelta)> {
        let (stock, deltas) = (self.stock, self.deltas);
        set.iter().filter_map(|feature| {
            Some((stock.firing.get(*feature as usize)?, deltas.get(*feature as usize)?))
        })
    }

    /// What a set writes wherever it may.
    fn constant(&self, set: &[u32]) -> Vec<f32> {
        let mut sum = vec![0.0; self.width];
        for (_, delta) in self.of_set(set) {
            sum.iter_mut().zip(&delta.constant).for_each(|(sum, x)| *sum += x);
        }
        sum
    }

    /// The length of what a set writes at every token.
    fn lengths_of(&self, set: &[u32]) -> Vec<f32> {
        let (constant, tokens) = (self.constant(set), self.places.len());
        let of_chunk = |first: usize| {
            let last = (first + CHUNK).min(tokens);
            let mut rows: Vec<f32> = constant.repeat(last - first);
            for (firing, delta) in self.of_set(set) {
                let place = |token: usize| firing.partition_point(|(at, _)| (*at as usize) < token);
                for (token, code) in &firing[place(first)..place(last)] {
                    let start = (*token as usize - first) * self.width;
                    let row = rows.get_mut(start..start + self.width).unwrap_or_default();
                    row.iter_mut().zip(&delta.slope).for_each(|(x, slope)| *x += code * slope);
                }
            }
            let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
            rows.chunks(self.width.max(1)).map(length).collect::<Vec<f32>>()
        };
        (0..tokens).step_by(CHUNK).flat_map(of_chunk).collect()
    }
}

/// Says of each of `controls` how much it writes what the others write, and what `set` does.
pub(super) fn compare(sketcher: &Sketcher<'_>, set: &[u32], controls: &mut [ControlSet]) {
    let sketches: Vec<Sketch> = controls.par_iter().map(|control| sketcher.of(control)).collect();
    let own = sketcher.of_features(set);
    let others = sketches.len().saturating_sub(1).max(1) as f64;
    let likeness = |(place, sketch): (usize, &Sketch)| {
        let others_of = sketches.iter().enumerate().filter(|(other, _)| *other != place);
        let among = others_of.map(|(_, other)| sketch.cosine(other)).sum::<f64>() / others;
        Likeness { among, to_set: sketch.cosine(&own) }
    };
    let found: Vec<Likeness> = sketches.par_iter().enumerate().map(likeness).collect();
    controls.iter_mut().zip(found).for_each(|(control, likeness)| control.likeness = Some(likeness));
}

#[cfg(test)]
mod tests {
    use super::super::balance::Balance;
    use super::super::cloud::Cloud;
    use super::super::draw::random_directions;
    use super::super::stock::tests::{WIDTH, random_stock};
    use super::*;

    /// What a set writes at every token of a part, in one row, by the definition.
    fn written(stock: &Stock, deltas: &[FeatureDelta], set: &[u32], positions: Positions) -> Vec<f64> {
        let mut rows = vec![0.0; stock.cell_of_token.len() * WIDTH];
        for feature in set.iter().map(|feature| *feature as usize) {
            for (place, x) in rows.iter_mut().enumerate() {
                *x += deltas[feature].constant.get(place % WIDTH).map_or(0.0, |x| f64::from(*x));
            }
            for (token, code) in &stock.firing[feature] {
                for (place, slope) in deltas[feature].slope.iter().enumerate() {
                    rows[*token as usize * WIDTH + place] += f64::from(code * slope);
                }
            }
        }
        for (place, x) in rows.iter_mut().enumerate() {
            if !positions.contain(stock.cells[stock.cell_of_token[place / WIDTH]].part) {
                *x = 0.0;
            }
        }
        rows
    }

    fn cosine(a: &[f64], b: &[f64]) -> f64 {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    fn control(features: &[u32], direction: Option<&Vec<f32>>) -> ControlSet {
        ControlSet {
            cloud: if direction.is_some() { Cloud::BorrowedSet } else { Cloud::Any },
            draw: 0,
            features: features.to_vec(),
            direction: direction.cloned(),
            balance: Balance { cells: Vec::new(), worst: 0.0 },
            matched: true,
            likeness: None,
        }
    }

    #[test]
    fn likeness_is_the_mean_cosine_of_what_is_written_where_the_edit_acts() {
        let set = [1, 4];
        let direction = random_directions(1, WIDTH, 7, 1).remove(0);
        for (constant, positions) in [
            (Vec::new(), Positions::All),
            (vec![0.1, 0.2, 0.0, -0.3], Positions::All),
            (vec![0.1, 0.2, 0.0, -0.3], Positions::Response),
        ] {
            let (stock, mut deltas) = random_stock(40);
            deltas.iter_mut().step_by(2).for_each(|delta| delta.constant.clone_from(&constant));
            let mut controls =
                [control(&[5, 6], None), control(&[6, 7], None), control(&[20, 21], Some(&direction))];
            compare(&Sketcher::new(&stock, &deltas, &set, positions), &set, &mut controls);

            let own = written(&stock, &deltas, &set, positions);
            let borrows: Vec<f64> = own
                .chunks(WIDTH)
                .flat_map(|row| {
                    let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
                    direction.iter().map(move |x| length * f64::from(*x))
                })
                .collect();
            let of = |set: &[u32]| written(&stock, &deltas, set, positions);
            let all = [of(&[5, 6]), of(&[6, 7]), borrows];
            for (place, control) in controls.iter().enumerate() {
                let others = all.iter().enumerate().filter(|(other, _)| *other != place);
                let among = others.map(|(_, other)| cosine(&all[place], other)).sum::<f64>() / 2.0;
                let found = control.likeness.unwrap();
                assert!((found.among - among).abs() < 0.04, "{found:?} {among}");
                assert!((found.to_set - cosine(&all[place], &own)).abs() < 0.06, "{found:?}");
            }
        }
    }

    #[test]
    fn what_writes_nothing_is_like_nothing() {
        let (mut stock, deltas) = random_stock(10);
        stock.firing[3].clear();
        let mut controls =
            [control(&[3], None), control(&[5], None), control(&[6], Some(&vec![0.25; WIDTH]))];
        compare(&Sketcher::new(&stock, &deltas, &[3], Positions::All), &[3], &mut controls);
        assert!(controls.iter().all(|control| control.likeness == Some(Likeness::default())), "{controls:?}");
    }
}
