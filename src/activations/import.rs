//! Taking in activations that another program captured.

use super::check;
use super::shard::{Reader, element_type};
use super::store::{ActivationStore, Piece};
use crate::error::{At, Error, Result};
use std::path::Path;

/// Tokens scanned at once.
const SCAN: usize = 8192;

/// Opens a store folder, or a plain `.safetensors` file that holds `activations` of shape
/// `[tokens, variants, d_model]` or `[tokens, d_model]`.
///
/// `variants` names the variants of a plain file; an empty slice names them `variant_0`, `variant_1`, …
/// For a store it must be empty or equal the store's own names.
///
/// # Errors
/// If the file is something else, the names do not fit, or a value is NaN, infinite or part of an
/// all-zero vector.
pub fn import(path: &Path, variants: &[String]) -> Result<ActivationStore> {
    if path.is_dir() {
        let store = ActivationStore::open(path)?;
        if !variants.is_empty() && variants != store.variants() {
            return Err(Error::request(format!(
                "expected the variants of the store, {}, found {}",
                store.variants().join(","),
                variants.join(",")
            ))
            .hint("leave --variants out: a store knows its variants")
            .at(path.display()));
        }
        return Ok(store);
    }
    let reader = Reader::open(path)?;
    let (dtype, shape) = reader.describe("activations")?;
    let Some(element) = element_type(dtype) else {
        return Err(Error::request(format!(
            "expected activations of type F32, BF16 or F16, found {dtype:?}"
        ))
        .at(path.display()));
    };
    let (tokens, count, d_model) = match shape[..] {
        [tokens, count, d_model] => (tokens, count, d_model),
        [tokens, d_model] => (tokens, 1, d_model),
        _ => {
            return Err(Error::request(format!(
                "expected activations [tokens, variants, d_model] or [tokens, d_model], found {shape:?}"
            ))
            .at(path.display()));
        }
    };
    if tokens * count * d_model == 0 {
        return Err(
            Error::request(format!("expected some activations, found shape {shape:?}")).at(path.display())
        );
    }
    let names: Vec<String> = if variants.is_empty() {
        (0..count).map(|index| format!("variant_{index}")).collect()
    } else {
        variants.to_vec()
    };
    if names.len() != count {
        return Err(Error::request(format!(
            "expected {count} variant names for activations {shape:?}, found {}",
            names.len()
        ))
        .hint("--variants a,b,c names the second axis in order")
        .at(path.display()));
    }
    let piece = Piece { reader, start: 0, tokens, element, plain: true, checksum: None };
    let store = ActivationStore::plain(names, d_model, piece);
    for start in (0..tokens).step_by(SCAN) {
        let values = store.read(start..(start + SCAN).min(tokens))?;
        check::finite(&values, store.variants(), d_model, start).at(path.display())?;
    }
    Ok(store)
}
