//! The checksums of published tables: whoever reads one sees that it is what was written.

use crate::error::{Error, Result, io};
use crate::foreign;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The file beside the tables: from their names to the BLAKE3 hashes of their bytes.
const FILE: &str = "checksums.json";

/// Writes the checksums of all files of `folder`.
pub(crate) fn write(folder: &Path) -> Result<()> {
    let mut sums = BTreeMap::new();
    for name in names(folder)? {
        let hash = hash(&folder.join(&name))?;
        sums.insert(name, hash);
    }
    let text = serde_json::to_string_pretty(&sums)
        .map_err(|error| Error::work(format!("the checksums cannot be written as JSON: {error}")))?;
    let path = folder.join(FILE);
    fs::write(&path, text + "\n").map_err(|error| io("write", &path, error))
}

/// Removes the checksums of `folder`, whose files are about to change.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    let path = folder.join(FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("remove", &path, error)),
        _ => Ok(()),
    }
}

/// Holds one file against the checksums beside it, if there are any.
///
/// # Errors
/// If it is another than was published.
pub(crate) fn check(path: &Path) -> Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let Some(sums) = load(folder)? else { return Ok(()) };
    match sums.get(name) {
        // A file that is missing is missed by whoever reads it.
        _ if !path.exists() => Ok(()),
        None => Err(other(path, "was added to a folder of published tables")),
        Some(sum) if hash(path)? != *sum => Err(other(path, "has changed since it was published")),
        Some(_) => Ok(()),
    }
}

/// Holds all files of `folder` against its checksums, if there are any.
///
/// # Errors
/// If one is another than was published, is missing, or was added.
pub(crate) fn check_folder(folder: &Path) -> Result<()> {
    let Some(sums) = load(folder)? else { return Ok(()) };
    if let Some(missing) = sums.keys().find(|name| !folder.join(name).exists()) {
        return Err(other(&folder.join(missing), "is missing from a folder of published tables"));
    }
    names(folder)?.iter().try_for_each(|name| check(&folder.join(name)))
}

fn load(folder: &Path) -> Result<Option<BTreeMap<String, String>>> {
    let path = folder.join(FILE);
    let Some(bytes) = foreign::bytes_if_any(&path, foreign::DOCUMENT)? else { return Ok(None) };
    let sums = serde_json::from_slice(&bytes);
    sums.map(Some).map_err(|error| other(&path, &format!("is not readable ({error})")))
}

/// The tables of `folder`, and the facts beside them.
fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| io("list", folder, error))? {
        let entry = entry.map_err(|error| io("list", folder, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && (name.ends_with(".parquet") || name.ends_with(".json")) && name != FILE {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn hash(path: &Path) -> Result<String> {
    let bytes = foreign::bytes(path, foreign::DATA)?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

fn other(path: &Path, what: &str) -> Error {
    Error::request(format!("{} {what}", path.display())).hint(format!(
        "run the study again to have it as it was; if the change is meant, remove {FILE} beside it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_an_added_and_a_missing_table_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for name in ["claims.parquet", "study.json"] {
            fs::write(place(name), name).unwrap();
        }
        let complaint =
            || check_folder(folder.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(complaint(), "", "nothing is promised yet");
        write(folder.path()).unwrap();
        assert_eq!(complaint(), "");
        fs::write(place("claims.parquet"), "claims.Parquet").unwrap();
        assert!(complaint().contains("claims.parquet has changed"), "{}", complaint());
        assert!(
            crate::tables::read_frame(&place("claims.parquet"))
                .unwrap_err()
                .to_string()
                .contains("has changed")
        );
        fs::write(place("claims.parquet"), "claims.parquet").unwrap();
        fs::write(place("effects.parquet"), "more").unwrap();
        assert!(complaint().contains("effects.parquet was added"), "{}", complaint());
        fs::remove_file(place("effects.parquet")).unwrap();
        fs::remove_file(place("study.json")).unwrap();
        assert!(complaint().contains("study.json is missing"), "{}", complaint());
        fs::write(place("study.json"), "study.json").unwrap();
        fs::write(place(FILE), "{").unwrap();
        assert!(complaint().contains("not readable"), "{}", complaint());
        remove(folder.path()).unwrap();
        assert_eq!(complaint(), "");
    }
}
