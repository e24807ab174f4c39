//! Picking what a dictionary reads and writes out of a store's rows.

use super::spec::Site;
use super::vectors::add_scaled;
use crate::activations::ActivationStore;
use crate::error::{Error, Result};

/// Joins the vectors of `sites`: `[tokens, variants, d]` gives `[tokens, sites, d]`.
pub(super) fn gather(sites: &[Site], d: usize, store: &ActivationStore, values: &[f32]) -> Result<Vec<f32>> {
    if store.d_model() != d {
        return Err(Error::request(format!(
            "expected activations of width {d}, found {} in the store",
            store.d_model()
        ))
        .hint("dictionary and store must be of the same models and hook"));
    }
    let places = sites
        .iter()
        .map(|site| {
            let minus = site.minus.as_deref().map(|minus| store.variant(minus)).transpose()?;
            Ok((store.variant(&site.variant)?, minus))
        })
        .collect::<Result<Vec<(usize, Option<usize>)>>>()?;
    if places.iter().enumerate().all(|(index, place)| *place == (index, None))
        && places.len() == store.variants().len()
    {
        return Ok(values.to_vec());
    }
    let row = store.variants().len() * d;
    let mut joined = Vec::with_capacity(values.len() / row * places.len() * d);
    for token in values.chunks_exact(row) {
        for (variant, minus) in &places {
            joined.extend_from_slice(&token[variant * d..(variant + 1) * d]);
            if let Some(minus) = minus {
                let end = joined.len();
                add_scaled(&mut joined[end - d..], -1.0, &token[minus * d..(minus + 1) * d]);
            }
        }
    }
    Ok(joined)
}
