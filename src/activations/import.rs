//! Taking in activations that another program captured.

use super::shard::{Reader, element_type};
use super::store::{ActivationStore, Piece};
use crate::error::{Error, Result};
use std::path::Path;

/// Tokens scanned at once.
const SCAN: usize = 8192;

/// Opens a store folder, or a plain `.safetensors` file that holds `activations` of shape
/// `[tokens, variants, d_model]` or `[tokens, d_model]`.
///
/// `variants` names the variants of a plain file; an empty slice names them `variant_0`, `variant_1`, …
/// For a store it must be empty or equal the store's own names.
///
/// Everything is read once: a store is compared with its checksums, the values of a plain file are looked at.
///
/// # Errors
/// If the file is something else or was changed, the names do not fit or cannot name a folder, or a value is NaN,
/// infinite or part of an all-zero vector.
pub fn import(path: &Path, variants: &[String]) -> Result<ActivationStore> {
    if path.is_dir() {
        let store = ActivationStore::open(path)?;
        if !variants.is_empty() && variants != store.variants() {
            return Err(Error::request(format!(
                "expected the variants of the store, {}, found {}",
                store.variants().join(","),
                variants.join(",")
            ))
            .hint("leave --variants out: a store knows its variants (`fit` has --over to read some of them)")
            .at(path.display()));
        }
        store.verify()?;
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
        .hint("--variants a,b,c names the second axis in order, all of it; `fit --over a` reads some of them")
        .at(path.display()));
    }
    check_names(&names)?;
    let piece = Piece { reader, start: 0, tokens, element, plain: true, checksum: None };
    let store = ActivationStore::plain(names, d_model, piece);
    for start in (0..tokens).step_by(SCAN) {
        store.read(start..(start + SCAN).min(tokens))?;
    }
    Ok(store)
}

/// Names become folders and columns.
fn check_names(names: &[String]) -> Result<()> {
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
            return Err(Error::request(format!(
                "`{name}` cannot name a variant: it could not name a folder"
            )));
        }
        if names[..index].contains(name) {
            return Err(Error::request(format!("two variants are named `{name}`")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_names;

    #[test]
    fn names_that_would_leave_the_folder_or_meet_in_it_are_refused() {
        let check =
            |names: &[&str]| check_names(&names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
        assert!(check(&["base", "rl@120"]).is_ok());
        assert!(check(&["base", "../rl"]).unwrap_err().to_string().contains("`../rl`"));
        assert!(check(&["base", ".."]).is_err() && check(&[""]).is_err());
        assert!(check(&["a", "a"]).unwrap_err().to_string().contains("two variants"));
    }
}
