//! Hashes of files and folders by content.

use crate::error::{Error, Result, io};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The BLAKE3 hash of a file's bytes, in hexadecimal.
///
/// # Errors
/// If the file cannot be read.
pub fn hash_file(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(|error| io("open", path, error))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(|error| io("read", path, error))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The hash of all files below a folder: of their relative paths and bytes, not of their dates.
///
/// # Errors
/// If a file cannot be read.
pub fn hash_folder(folder: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for relative in files_below(folder)? {
        hasher.update(relative.as_bytes());
        hasher.update(&[0]);
        hasher.update(hash_file(&folder.join(&relative))?.as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// The relative paths of all files below `folder`, sorted, with `/` between their parts.
pub(super) fn files_below(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(relative) = pending.pop() {
        let current = folder.join(&relative);
        let entries = std::fs::read_dir(&current).map_err(|error| io("list", &current, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| io("list", &current, error))?;
            let relative = relative.join(entry.file_name());
            // Follows links: a hub snapshot is a folder of links into a cache.
            let path = folder.join(&relative);
            let metadata = std::fs::metadata(&path).map_err(|error| io("read", &path, error))?;
            if metadata.is_dir() {
                pending.push(relative);
            } else {
                let text = relative.to_str().ok_or_else(|| {
                    Error::request(format!("the file name {} is not valid UTF-8", path.display()))
                        .hint("rename the file")
                })?;
                files.push(text.replace('\\', "/"));
            }
        }
    }
    files.sort();
    Ok(files)
}
