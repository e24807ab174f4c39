//! How far each matrix moved, in how many directions, and whether its own directions turned.

use super::rows::WeightRow;
use super::spectrum::{Spectrum, spectrum};
use super::wide;
use crate::error::{Error, Result};
use crate::model::Model;
use candle_core::{Device, Tensor};
use rayon::prelude::*;

/// Directions whose overlap is measured.
const LEADING: usize = 8;
/// Larger matrices (by their smaller side) get no effective rank: their whole spectrum would take minutes.
const LARGEST: usize = 512;

/// Every matrix of every later model against the first model's, with adapters merged into them.
///
/// # Errors
/// If there is no base, or a model has other parameters.
pub fn weights(models: &[(String, Model)]) -> Result<Vec<WeightRow>> {
    let Some(((_, base), others)) = models.split_first() else {
        return Err(Error::request("expected a base and its variants, found no model"));
    };
    let base = base.clone().into_merged()?;
    let mut rows = Vec::new();
    for (variant, model) in others {
        let model = model.clone().into_merged()?;
        let pairs = base
            .parameters()
            .iter()
            .filter(|parameter| parameter.dims().len() == 2)
            .map(|parameter| {
                let name = parameter.name().to_owned();
                let Some(other) = model.parameters().get(&name) else {
                    return Err(Error::request(format!(
                        "`{variant}` has no parameter `{name}`, as base has"
                    )));
                };
                Ok((name, flat(&parameter.value())?, flat(&other.value())?))
            })
            .collect::<Result<Vec<_>>>()?;
        let found: Result<Vec<WeightRow>> =
            pairs.into_par_iter().map(|(name, base, own)| compare(variant, name, &base, &own)).collect();
        rows.extend(found?);
    }
    Ok(rows)
}

/// A matrix with its smaller side first.
struct Matrix {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
}

fn flat(tensor: &Tensor) -> Result<Matrix> {
    let (rows, columns) = tensor.dims2()?;
    let tensor = if rows <= columns { tensor.clone() } else { tensor.t()? };
    let values = tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(Matrix { values, rows: rows.min(columns), columns: rows.max(columns) })
}

fn compare(variant: &str, parameter: String, base: &Matrix, own: &Matrix) -> Result<WeightRow> {
    if base.values.len() != own.values.len() {
        return Err(Error::request(format!(
            "`{parameter}` of `{variant}`: expected {} numbers as in base, found {}",
            base.values.len(),
            own.values.len()
        )));
    }
    let difference: Vec<f32> = own.values.iter().zip(&base.values).map(|(a, b)| a - b).collect();
    let norm = |values: &[f32]| values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let scale = norm(&base.values);
    let participation = |values: &[f32]| wide::participation_rank(values, base.rows, base.columns);
    let mut row = WeightRow {
        variant: variant.to_owned(),
        parameter,
        relative_norm: if scale > 0.0 { norm(&difference) / scale } else { 0.0 },
        effective_rank: None,
        effective_rank_base: None,
        participation_rank: participation(&difference)?,
        participation_rank_base: participation(&base.values)?,
        overlap: None,
    };
    let (before, after) = if base.rows <= LARGEST {
        let of = |values: &[f32]| spectrum(values, base.rows, base.columns);
        let before = of(&base.values);
        row.effective_rank = effective_rank(&of(&difference));
        row.effective_rank_base = effective_rank(&before);
        (before, of(&own.values))
    } else {
        let of = |values: &[f32]| wide::leading(values, base.rows, base.columns, LEADING);
        (of(&base.values)?, of(&own.values)?)
    };
    row.overlap = Some(overlap(&before, &after));
    Ok(row)
}

/// exp of the entropy of the shares of squared singular values (Roy and Vetterli 2007). `None` for zero.
fn effective_rank(spectrum: &Spectrum) -> Option<f64> {
    let total: f64 = spectrum.squares.iter().sum();
    let shares = spectrum.squares.iter().map(|square| square / total).filter(|share| *share > 0.0);
    (total > 0.0).then(|| shares.map(|share| -share * share.ln()).sum::<f64>().exp())
}

/// |U_a^T U_b|^2 / k over the leading k directions: 1 when the spaces are the same.
fn overlap(a: &Spectrum, b: &Spectrum) -> f64 {
    let leading = LEADING.min(a.vectors.len());
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let pairs =
        a.vectors.iter().take(leading).flat_map(|x| b.vectors.iter().take(leading).map(move |y| (x, y)));
    pairs.map(|(x, y)| product(x, y).powi(2)).sum::<f64>() / leading.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(values: &[f32], rows: usize) -> Matrix {
        Matrix { values: values.to_vec(), rows, columns: values.len() / rows }
    }

    #[test]
    fn a_change_of_rank_one_has_effective_rank_one() {
        let base: Vec<f32> = (0..20).map(|i| ((i * 7) % 11) as f32 - 5.0).collect();
        let own: Vec<f32> =
            base.iter().enumerate().map(|(i, x)| x + 0.5 * (i / 5 + 1) as f32 * (i % 5) as f32).collect();
        let row = compare("v", "p".into(), &matrix(&base, 4), &matrix(&own, 4)).unwrap();
        assert!((row.effective_rank.unwrap() - 1.0).abs() < 1e-6, "{row:?}");
        assert!((row.participation_rank.unwrap() - 1.0).abs() < 1e-5, "{row:?}");
        assert!(row.participation_rank_base.unwrap() > 1.2, "{row:?}");
        assert!(row.relative_norm > 0.1 && row.effective_rank_base.unwrap() > 1.5);
        let same = compare("v", "p".into(), &matrix(&base, 4), &matrix(&base, 4)).unwrap();
        assert_eq!((same.relative_norm, same.effective_rank), (0.0, None));
        assert!((same.overlap.unwrap() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_wide_matrix_has_its_rank_and_overlap_too() {
        let side = LARGEST + 1;
        let mut stream = crate::rng::Stream::new(6, "weights", &[]);
        let base: Vec<f32> = (0..side * side)
            .map(|place| if place / side < LEADING { 4.0 * stream.normal() } else { 0.01 * stream.normal() })
            .collect();
        let own: Vec<f32> =
            base.iter().enumerate().map(|(place, x)| x + if place % side == 0 { 1.0 } else { 0.0 }).collect();
        let row = compare("v", "p".into(), &matrix(&base, side), &matrix(&own, side)).unwrap();
        assert!((row.participation_rank.unwrap() - 1.0).abs() < 1e-3, "{row:?}");
        assert!(row.effective_rank.is_none() && row.overlap.unwrap() > 0.99, "{row:?}");
    }
}
