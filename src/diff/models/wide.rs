//! What can be said of the spectrum of a matrix that is too wide for all of it: exactly how many directions share its
//! energy, and, by block subspace iteration, which ones lead.

use super::spectrum::{Spectrum, spectrum};
use crate::error::Result;
use crate::rng::Stream;
use candle_core::{Device, Tensor};

/// Rounds of the iteration: the error falls by the squared ratio of the singular values after and before the cut in
/// each.
const ROUNDS: usize = 24;

/// ‖A‖⁴ / ‖AAᵀ‖² of a `[rows, columns]` matrix in Frobenius norms, which is (Σσ²)² / Σσ⁴: the number of directions if
/// all were equally strong. One product, at any width. `None` for zero.
///
/// # Errors
/// If the product cannot be taken.
pub(super) fn participation_rank(matrix: &[f32], rows: usize, columns: usize) -> Result<Option<f64>> {
    let matrix = Tensor::from_slice(matrix, (rows, columns), &Device::Cpu)?;
    let gram = matrix.matmul(&matrix.t()?)?.to_vec2::<f32>()?;
    let energy: f64 = gram.iter().enumerate().map(|(place, row)| f64::from(row[place])).sum();
    let squared: f64 = gram.iter().flatten().map(|x| f64::from(*x).powi(2)).sum();
    Ok((squared > 0.0).then(|| energy * energy / squared))
}

/// The `count` leading squared singular values and left singular vectors of a `[rows, columns]` matrix.
///
/// # Errors
/// If a product cannot be taken.
pub(super) fn leading(matrix: &[f32], rows: usize, columns: usize, count: usize) -> Result<Spectrum> {
    // Twice as many vectors as are wanted: what converges slowly are the last ones.
    let width = (2 * count).min(rows);
    let tensor = Tensor::from_slice(matrix, (rows, columns), &Device::Cpu)?;
    let mut stream = Stream::new(0, "subspace", &[rows as u64, columns as u64]);
    let mut block: Vec<Vec<f64>> =
        (0..width).map(|_| (0..rows).map(|_| f64::from(stream.normal())).collect()).collect();
    for _ in 0..ROUNDS {
        orthonormalise(&mut block);
        let across = flat(&block, rows)?.matmul(&tensor)?;
        block = rows_of(&across.matmul(&tensor.t()?)?)?;
    }
    orthonormalise(&mut block);
    let reduced = flat(&block, rows)?.matmul(&tensor)?.flatten_all()?.to_vec1::<f32>()?;
    let within = spectrum(&reduced, width, columns);
    let combine = |weights: &Vec<f64>| {
        let mut vector = vec![0.0; rows];
        for (weight, own) in weights.iter().zip(&block) {
            vector.iter_mut().zip(own).for_each(|(sum, x)| *sum += weight * x);
        }
        vector
    };
    Ok(Spectrum {
        squares: within.squares.iter().take(count).copied().collect(),
        vectors: within.vectors.iter().take(count).map(combine).collect(),
    })
}

fn flat(block: &[Vec<f64>], rows: usize) -> Result<Tensor> {
    let values: Vec<f32> = block.iter().flatten().map(|x| *x as f32).collect();
    Ok(Tensor::from_vec(values, (block.len(), rows), &Device::Cpu)?)
}

fn rows_of(tensor: &Tensor) -> Result<Vec<Vec<f64>>> {
    let rows = tensor.to_vec2::<f32>()?;
    Ok(rows.into_iter().map(|row| row.into_iter().map(f64::from).collect()).collect())
}

/// Gram and Schmidt, twice, which is enough. A vector within the span of those before it becomes zero.
fn orthonormalise(block: &mut [Vec<f64>]) {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    for place in 0..block.len() {
        let (before, rest) = block.split_at_mut(place);
        let Some(own) = rest.first_mut() else { continue };
        let scale = product(own, own).sqrt();
        for _ in 0..2 {
            for other in before.iter() {
                let along = product(other, own);
                own.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
            }
        }
        let length = product(own, own).sqrt();
        let factor = if length > 1e-6 * scale { 1.0 / length } else { 0.0 };
        own.iter_mut().for_each(|x| *x *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_agree_with_the_whole_spectrum() {
        let (rows, columns, count) = (40, 60, 4);
        let mut stream = Stream::new(4, "wide", &[]);
        let matrix: Vec<f32> = (0..rows * columns)
            .map(|place| stream.normal() * if place / columns < 8 { 3.0 } else { 0.5 })
            .collect();
        let whole = spectrum(&matrix, rows, columns);
        let (sum, squares): (f64, f64) =
            (whole.squares.iter().sum(), whole.squares.iter().map(|x| x * x).sum());
        let found = participation_rank(&matrix, rows, columns).unwrap().unwrap();
        assert!((found / (sum * sum / squares) - 1.0).abs() < 1e-4, "{found}");
        let led = leading(&matrix, rows, columns, count).unwrap();
        for place in 0..count {
            assert!((led.squares[place] / whole.squares[place] - 1.0).abs() < 1e-3, "{place}");
            let cosine: f64 = led.vectors[place].iter().zip(&whole.vectors[place]).map(|(a, b)| a * b).sum();
            assert!(cosine.abs() > 0.99, "{place}: {cosine}");
        }
        assert_eq!(participation_rank(&[0.0; 12], 3, 4).unwrap(), None);
        let led = leading(&[0.0; 12], 3, 4, 2).unwrap();
        assert!(led.vectors.iter().flatten().all(|x| x.is_finite()));
    }
}
