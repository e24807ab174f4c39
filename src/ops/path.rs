//! Which kernels this processor runs, as part of what names an artifact: bytes are equal only on one path.

use super::simd::{Instructions, LANES};
use std::sync::OnceLock;

/// The columns that the products which are tried sum over: more than any block of candle's matrix product.
const INNER: usize = 5000;

/// The architecture, the vector instructions of the own kernels, and a hash of what the rest comes to here: candle's
/// matrix product (its instructions and blocks follow from the processor and its caches) and the system's functions.
/// These are tried, not asked for: what counts is the bits.
pub(crate) fn path() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let tried = blake3::hash(&tried()).to_hex();
        let tried: String = tried.chars().take(12).collect();
        format!("{} {} {tried}", std::env::consts::ARCH, Instructions::here().name())
    })
}

/// The bytes of products and functions of fixed numbers.
fn tried() -> Vec<u8> {
    let number = |index: usize| ((index * 7919 % 10_007) as f32 / 10_007.0 - 0.5) * 3.7;
    let matrix = |rows: usize, columns: usize| -> candle_core::Result<candle_core::Tensor> {
        let numbers: Vec<f32> = (0..rows * columns).map(number).collect();
        candle_core::Tensor::from_vec(numbers, (rows, columns), &candle_core::Device::Cpu)
    };
    let product = |rows: usize, inner: usize, columns: usize| -> candle_core::Result<Vec<f32>> {
        matrix(rows, inner)?.matmul(&matrix(inner, columns)?)?.flatten_all()?.to_vec1()
    };
    let mut bytes = Vec::new();
    for (rows, inner, columns) in [(1, INNER, 1), (3, 700, 5), (33, INNER, 2 * LANES + 1)] {
        // What cannot be computed here cannot make a difference either.
        let found = product(rows, inner, columns).unwrap_or_default();
        bytes.extend(found.iter().flat_map(|number| number.to_le_bytes()));
    }
    for index in 0..2000 {
        let x = number(index);
        let positive = x.abs() + 0.01;
        let small = [x.exp(), positive.ln(), x.sin(), x.cos(), x.tanh(), positive.powf(x), positive.sqrt()];
        bytes.extend(small.iter().flat_map(|number| number.to_le_bytes()));
        let (x, positive) = (f64::from(x) * 1.1, f64::from(positive) * 1.1);
        let large = [x.exp(), positive.ln(), x.sin(), x.cos(), x.tanh(), positive.powf(x), positive.log10()];
        bytes.extend(large.iter().flat_map(|number| number.to_le_bytes()));
    }
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_path_is_that_of_this_processor() {
        assert_eq!(super::tried(), super::tried());
        assert!(super::path().starts_with(std::env::consts::ARCH), "{}", super::path());
        eprintln!("{}", super::path());
    }
}
