//! A folder inside a repository of the hub, such as a dictionary's: `owner/name/sub/folder`, with a revision after the
//! name or at the end, as in `owner/name@main/sub/folder` and `owner/name/sub/folder@refs/pr/1`.

use super::cache::Repository;
use super::client::Client;
use super::name::{Name, is_plain};
use super::{FOUND, Fetch, Settings};
use crate::error::{At, Error, Result};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// The folder that `name` stands for: itself where it is one, else the hub's, downloaded as needed: of the lists of
/// files in `kinds` the first that the hub has all of.
///
/// # Errors
/// If there is no such folder, the name cannot be one of the hub's, or a download fails.
pub fn find_folder(name: &str, kinds: &[&[&str]]) -> Result<PathBuf> {
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(folder) = found.get(name) {
        return Ok(folder.clone());
    }
    let folder = download_folder(name, kinds, &Settings::from_environment())?;
    found.insert(name.to_owned(), folder.clone());
    Ok(folder)
}

/// The folder `name` of the hub in the cache, downloaded as needed: of the lists of files in `kinds` the first that the
/// hub has all of.
///
/// # Errors
/// If the name cannot be one of the hub's, a download fails, the hub has none of the lists, or the cache lacks it offline.
pub fn download_folder(name: &str, kinds: &[&[&str]], settings: &Settings) -> Result<PathBuf> {
    let (parsed, folder) = split(name)?;
    let repository = Repository::new(&settings.cache, &parsed.repository);
    let is_whole = |dir: &PathBuf| kinds.iter().any(|kind| kind.iter().all(|file| dir.join(file).is_file()));
    let commit = repository.commit(&parsed.revision);
    let held = commit.as_ref().map(|commit| repository.snapshot(commit).join(&folder)).filter(is_whole);
    if settings.is_offline {
        return held.ok_or_else(|| {
            let message = format!("`{name}` is neither a folder nor in the cache, and HF_HUB_OFFLINE is set");
            Error::request(message).hint("check the name, or download it once without HF_HUB_OFFLINE")
        });
    }
    if let (Some(held), true) = (&held, commit.as_ref() == Some(&parsed.revision)) {
        // The files of a commit do not change.
        return Ok(held.clone());
    }
    let client = Client::new(settings, &parsed.repository, repository.stage());
    let mut fetch = Fetch { client, repository, name: parsed, commit: None };
    match (fetch.folder(&folder, kinds), held) {
        // As huggingface_hub does.
        (Err(error), Some(held)) if !fetch.client.is_reached() => {
            tracing::warn!("{error}; `{name}` is what the cache holds, {}", held.display());
            Ok(held)
        }
        (outcome, _) => outcome.at(format!("{name} (no folder here, so from the hub)")),
    }
}

impl Fetch {
    /// The files of the first kind that the folder has all of.
    fn folder(&mut self, folder: &str, kinds: &[&[&str]]) -> Result<PathBuf> {
        let _turn = self.repository.lock()?;
        let path =
            |file: &&str| if folder.is_empty() { (*file).to_owned() } else { format!("{folder}/{file}") };
        for kind in kinds {
            let mut has_all = true;
            for file in *kind {
                has_all = has_all && self.get(&path(file))?.is_some();
            }
            if has_all {
                self.repository.name_commit(&self.name.revision, self.revision())?;
                self.repository.clear_stage()?;
                return Ok(self.repository.snapshot(self.revision()).join(folder));
            }
        }
        let known: Vec<String> = kinds.iter().map(|kind| kind.join(" and ")).collect();
        let place = if folder.is_empty() { "at the top".to_owned() } else { format!("in `{folder}`") };
        Err(Error::request(format!("the hub has none of what is read {place} of it"))
            .hint(format!("check name, folder and revision; known are {}", known.join(", or "))))
    }
}

/// The repository with its revision, and the folder inside.
fn split(text: &str) -> Result<(Name, String)> {
    let (before, after) = text.split_once('@').unwrap_or((text, ""));
    let parts: Vec<&str> = before.split('/').collect();
    let mut after: Vec<&str> = after.split('/').filter(|part| !part.is_empty()).collect();
    let (repository, inside): (&[&str], Vec<&str>) = match parts.split_at_checked(2) {
        Some((repository, [])) => {
            // A revision is one part, but for those of pull requests and of converted files.
            let count = if after.first() == Some(&"refs") { 3 } else { 1 };
            let inside = after.split_off(count.min(after.len()));
            (repository, inside)
        }
        Some((repository, inside)) => (repository, inside.to_vec()),
        None => (&parts, Vec::new()),
    };
    if let Some(bad) = inside.iter().find(|part| !is_plain(part)) {
        return Err(Error::request(format!(
            "expected a folder of the hub's `{}`, found `{bad}` in `{text}`",
            repository.join("/")
        ))
        .hint("folders are named by letters, digits, `-`, `_`, `.`, `=` and `+`"));
    }
    let revision = if after.is_empty() { String::new() } else { format!("@{}", after.join("/")) };
    let name = Name::parse(&format!("{}{revision}", repository.join("/")))
        .map_err(|error| error.hint("pass a folder, or one of the hub such as `owner/name/sub/folder`"))?;
    Ok((name, inside.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_a_repository_has_a_name_and_a_revision() {
        let found = |text: &str| {
            let (name, folder) = split(text).unwrap();
            (name.repository, name.revision, folder)
        };
        let expected = |repository: &str, revision: &str, folder: &str| {
            (repository.to_owned(), revision.to_owned(), folder.to_owned())
        };
        assert_eq!(found("a/b"), expected("a/b", "main", ""));
        assert_eq!(found("a/b/c.0/d_e"), expected("a/b", "main", "c.0/d_e"));
        assert_eq!(found("a/b@v1/c/d"), expected("a/b", "v1", "c/d"));
        assert_eq!(found("a/b@refs/pr/1/c"), expected("a/b", "refs/pr/1", "c"));
        assert_eq!(found("a/b/c@refs/pr/1"), expected("a/b", "refs/pr/1", "c"));
        for text in ["a/b/../c", "a/b/.git", "../a", "a/b@../x/c", "a//b", "a/b/c d", "/etc/passwd"] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
