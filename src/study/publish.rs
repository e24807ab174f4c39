//! Puts a finished report where people look for it: `<out>/report`.

use crate::error::{Result, io};
use std::path::{Path, PathBuf};

const PAGE: &str = "index.html";

/// Copies the report's artifact to `<out>/report` and returns its page. The old report stays until the new
/// one is complete.
pub(super) fn publish(artifact: &Path, out: &Path) -> Result<PathBuf> {
    let (new, old, place) = (out.join(".report.new"), out.join(".report.old"), out.join("report"));
    for leftover in [&new, &old] {
        remove(leftover)?;
    }
    copy(artifact, &new)?;
    if place.exists() {
        std::fs::rename(&place, &old).map_err(|error| io("replace", &place, error))?;
    }
    std::fs::rename(&new, &place).map_err(|error| io("move into place", &place, error))?;
    remove(&old)?;
    Ok(place.join(PAGE))
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("remove", folder, error)),
        _ => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).map_err(|error| io("create", to, error))?;
    for entry in std::fs::read_dir(from).map_err(|error| io("list", from, error))? {
        let source = entry.map_err(|error| io("list", from, error))?.path();
        let Some(name) = source.file_name() else { continue };
        let target = to.join(name);
        if source.is_dir() {
            copy(&source, &target)?;
        } else if name != "manifest.json" {
            std::fs::copy(&source, &target).map_err(|error| io("write", &target, error))?;
        }
    }
    Ok(())
}
