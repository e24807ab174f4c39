//! Models by name from the Hugging Face hub, through its cache.
//!
//! `HF_HOME` places the cache, `HF_TOKEN` opens gated models, `HF_ENDPOINT` names another server, and
//! `HF_HUB_OFFLINE=1` reads the cache only. A name may carry a revision: `Qwen/Qwen2.5-0.5B@main`.

use crate::error::{Error, Result, io};
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use std::path::{Path, PathBuf};

/// Files that a repository may lack.
const OPTIONAL: [&str; 5] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "special_tokens_map.json",
];
const INDEX: &str = "model.safetensors.index.json";

/// The folder of a model: `name` itself where it is a folder, else the hub's files, downloaded as needed.
///
/// # Errors
/// If there is no such folder, the name cannot be one of the hub's, or a download fails.
pub fn find(name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    let (repository, revision) = name.split_once('@').unwrap_or((name, "main"));
    check_name(repository, revision)
        .map_err(|error| error.hint("pass a folder, or a hub name such as `Qwen/Qwen2.5-0.5B`"))?;
    let repository =
        |revision: &str| Repo::with_revision(repository.to_owned(), RepoType::Model, revision.to_owned());
    let offline = std::env::var("HF_HUB_OFFLINE").is_ok_and(|value| !matches!(value.as_str(), "" | "0"));
    if offline {
        let cached = Cache::from_env().repo(repository(revision)).get("config.json");
        return cached.and_then(|file| file.parent().map(Path::to_owned)).ok_or_else(|| {
            Error::request(format!("`{name}` is not in the cache, and HF_HUB_OFFLINE forbids a download"))
                .hint("download it once without HF_HUB_OFFLINE")
        });
    }
    let mut builder = ApiBuilder::from_env().with_progress(false).with_retries(3);
    if let Ok(token) = std::env::var("HF_TOKEN") {
        builder = builder.with_token(Some(token));
    }
    let api = builder.build().map_err(|error| failed(name, "config.json", &error))?;
    let download = Download { name, repository: api.repo(repository(revision)), api: &api };
    let folder = download.required("config.json")?;
    let folder = folder.parent().map(Path::to_owned).unwrap_or_default();
    // From here on by commit, so that all files are of one version even if a branch moves meanwhile.
    let commit = folder.file_name().and_then(|commit| commit.to_str()).unwrap_or(revision).to_owned();
    let download = Download { repository: api.repo(repository(&commit)), ..download };
    match download.optional(INDEX)? {
        Some(index) => {
            for shard in super::weights::shards(&index)? {
                download.required(&shard)?;
            }
        }
        None => {
            download.required("model.safetensors")?;
        }
    }
    for file in OPTIONAL {
        download.optional(file)?;
    }
    Ok(folder)
}

/// A repository name that cannot leave the cache: `name` or `owner/name`, of letters, digits, `-`, `_`, `.`.
fn check_name(repository: &str, revision: &str) -> Result<()> {
    let is_plain = |part: &str| {
        !part.is_empty()
            && part.len() <= 96
            && !part.starts_with(['.', '-'])
            && !part.contains("..")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if repository.split('/').count() > 2 || !repository.split('/').all(is_plain) {
        return Err(Error::request(format!(
            "expected a folder or a model name of the hub, found `{repository}`"
        )));
    }
    if !revision.split('/').all(is_plain) {
        return Err(Error::request(format!("expected a revision of `{repository}`, found `{revision}`")));
    }
    Ok(())
}

struct Download<'a> {
    name: &'a str,
    repository: ApiRepo,
    api: &'a Api,
}

impl Download<'_> {
    fn required(&self, file: &str) -> Result<PathBuf> {
        self.get(file).map_err(|error| failed(self.name, file, &error))?
    }

    fn optional(&self, file: &str) -> Result<Option<PathBuf>> {
        match self.get(file) {
            Ok(path) => path.map(Some),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(failed(self.name, file, &error)),
        }
    }

    fn get(&self, file: &str) -> Result<Result<PathBuf>, ApiError> {
        // The server's answers become names in the cache: they must not lead out of it.
        let metadata = self.api.metadata(&self.repository.url(file))?;
        let is_plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !is_plain(metadata.etag()) || !is_plain(metadata.commit_hash()) {
            return Ok(Err(Error::work(format!(
                "{}: {file}: the server's etag or commit is not a hash",
                self.name
            ))));
        }
        let path = self.repository.get(file)?;
        match path.metadata() {
            Ok(found) if found.len() == metadata.size() as u64 => Ok(Ok(path)),
            Ok(_) => Ok(self.repository.download(file).map_err(|error| failed(self.name, file, &error))),
            Err(error) => Ok(Err(io("read", &path, error))),
        }
    }
}

fn status(error: &ApiError) -> Option<u16> {
    let text = error.to_string();
    let digits = text.rsplit_once("status: ").or_else(|| text.rsplit_once("status code "));
    digits.and_then(|(_, rest)| rest.get(..3)?.parse().ok())
}

fn failed(name: &str, file: &str, error: &ApiError) -> Error {
    let message = format!("{name}: cannot download {file}: {error}");
    match status(error) {
        Some(401 | 403) => Error::request(message).hint("accept the model's terms and set HF_TOKEN"),
        Some(404) => Error::request(message).hint("check the name and the revision"),
        _ => Error::work(message).hint("run the same command again: what was downloaded is kept"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_cache_are_refused() {
        for (name, revision) in [
            ("../x", "main"),
            ("a/b/c", "main"),
            ("a/..", "main"),
            ("a b/c", "main"),
            ("a/b", "../main"),
            ("a/b", ""),
            ("", "main"),
        ] {
            assert!(check_name(name, revision).is_err(), "{name}@{revision}");
        }
        assert!(check_name("Qwen/Qwen2.5-0.5B", "refs/pr/1").is_ok());
        assert!(check_name("gpt2", "main").is_ok());
    }
}
