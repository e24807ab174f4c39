//! Keyed random streams: ChaCha8 by (seed, purpose, indices), so that adding a variant or changing a
//! batch size moves no other number.
//!
//! candle's CPU generator cannot be seeded and `rand`'s `StdRng` changes between releases, so neither
//! is used. The key is hashed with BLAKE3; `tests` pins a reference vector.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// One random stream. Equal keys give equal numbers, on every machine and in every release.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `purpose` (what the numbers are for) and `indices` (which draw of it) under `seed`.
    pub fn new(seed: u64, purpose: &str, indices: &[u64]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.update(&(purpose.len() as u64).to_le_bytes());
        hasher.update(purpose.as_bytes());
        for index in indices {
            hasher.update(&index.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform on [0, 1), with 24 random bits.
    pub fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }

    /// Uniform on [0, 1), with 53 random bits.
    pub fn uniform_f64(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform on 0..bound, without bias (Lemire's method).
    ///
    /// # Panics
    /// If `bound` is zero: there is nothing to choose from.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "cannot choose from nothing");
        let bound = bound as u64;
        loop {
            let product = u128::from(self.bits()) * u128::from(bound);
            if (product as u64) >= bound.wrapping_neg() % bound {
                return (product >> 64) as usize;
            }
        }
    }

    /// Standard normal (Box–Muller; one of the pair is thrown away so that draws stay independent of history).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.uniform_f64()).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.uniform_f64();
        (radius * angle.cos()) as f32
    }

    /// The next 32 random bits.
    pub fn word(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Standard Gumbel: the arg-max of logits plus these is a draw from their softmax.
    pub fn gumbel(&mut self) -> f32 {
        gumbel(self.word())
    }

    /// One element, uniformly. `None` from an empty slice.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        (!items.is_empty()).then(|| &items[self.below(items.len())])
    }

    /// An index drawn with probability proportional to its weight. `None` if no weight is positive.
    pub fn weighted(&mut self, weights: &[f64]) -> Option<usize> {
        let total: f64 = weights.iter().sum();
        if total.is_nan() || total <= 0.0 {
            return None;
        }
        let mut left = self.uniform_f64() * total;
        let mut last = None;
        for (index, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            last = Some(index);
            if left < *weight {
                break;
            }
            left -= weight;
        }
        last
    }

    /// Fisher–Yates shuffle in place.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index + 1));
        }
    }
}

/// The places of a list of `length` items that these ascending numbers mean, when the list is gone through in
/// passes, each in an order of its own: number n is in pass n / length, whose order `stream` draws.
pub fn passes(
    length: usize,
    numbers: impl Iterator<Item = u64>,
    stream: impl Fn(u64) -> Stream,
) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    let mut current = None;
    let place = |number: u64| {
        let pass = number.checked_div(length as u64)?;
        if current != Some(pass) {
            current = Some(pass);
            order = (0..length).collect();
            stream(pass).shuffle(&mut order);
        }
        order.get((number % length as u64) as usize).copied()
    };
    numbers.filter_map(place).collect()
}

/// The middle of one of 2^32 equal parts of (0, 1).
#[inline(always)]
pub(crate) fn unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) / 4_294_967_296.0
}

/// The standard Gumbel number of 32 random bits.
pub(crate) fn gumbel(word: u32) -> f32 {
    (-(-unit(word).ln()).ln()) as f32
}

/// A stable 64-bit hash of a name, for keys and splits that must not depend on order.
pub fn stable_hash(text: &str) -> u64 {
    let bytes = blake3::hash(text.as_bytes());
    u64::from_le_bytes(bytes.as_bytes()[..8].try_into().expect("a BLAKE3 hash has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_pinned() {
        let mut stream = Stream::new(7, "test", &[1, 2]);
        let drawn: Vec<u64> = (0..3).map(|_| stream.bits()).collect();
        assert_eq!(drawn, PINNED, "a changed stream changes every published number");
    }

    const PINNED: [u64; 3] =
        [11_940_727_312_396_088_039, 2_481_716_044_545_571_016, 17_778_198_477_220_940_120];

    #[test]
    fn purposes_and_indices_separate_streams() {
        let first = |purpose, indices: &[u64]| Stream::new(7, purpose, indices).bits();
        assert_ne!(first("a", &[]), first("b", &[]));
        assert_ne!(first("a", &[0]), first("a", &[1]));
        assert_ne!(first("a", &[]), first("a", &[0]));
    }

    #[test]
    fn draws_have_the_stated_distributions() {
        let mut stream = Stream::new(1, "moments", &[]);
        let count = 200_000;
        let normals: Vec<f64> = (0..count).map(|_| f64::from(stream.normal())).collect();
        let mean = normals.iter().sum::<f64>() / f64::from(count);
        let variance = normals.iter().map(|x| x * x).sum::<f64>() / f64::from(count);
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        let gumbel = (0..count).map(|_| f64::from(stream.gumbel())).sum::<f64>() / f64::from(count);
        assert!((gumbel - 0.577_215_66).abs() < 0.02, "{gumbel}");
        let drawn = (0..count).filter(|_| stream.weighted(&[1.0, 0.0, 3.0]) == Some(2)).count();
        assert!((drawn as f64 / f64::from(count) - 0.75).abs() < 0.01);
        assert_eq!(stream.weighted(&[0.0]), None);
    }
}
