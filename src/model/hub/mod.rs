//! Models by name from the Hugging Face hub, through the cache that `huggingface_hub` uses, too.
//!
//! `HF_HOME` (or `HF_HUB_CACHE`) places the cache, `HF_TOKEN` (or the token that `hf auth login` saved) opens
//! gated models, `HF_ENDPOINT` names another server, and `HF_HUB_OFFLINE=1` reads the cache only. A name may
//! carry a revision: `Qwen/Qwen2.5-0.5B@main`.
//!
//! * `name`: what may be asked for; no name leads out of the cache.
//! * `client`: hf-hub, and what it takes to rely on it.
//! * `cache`: where files lie. A file gets its place once it is whole, and a revision its name once all
//!   files have theirs, so that nothing half-done is ever read.
//!
//! Three things are hf-hub's, and cannot be changed through what it offers:
//!
//! 1. The token. It is sent only to an endpoint that refuses to answer without. From then on hf-hub sends it
//!    also to the server that the endpoint redirects to when it asks there for the size of a large file; for
//!    the bytes themselves it does not.
//! 2. It asks the endpoint a second time before each download, and names its own, half-done files by that
//!    answer. What we checked is the first: an endpoint that lies the second time could name a file outside
//!    of the cache. Set `HF_ENDPOINT` to servers that you trust.
//! 3. It waits without limit for a server that says nothing. Stop it, and run the same command again.

mod cache;
mod client;
mod name;
mod settings;

pub use settings::Settings;

use crate::error::{At, Error, Result};
use cache::Repository;
use client::Client;
use name::Name;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const CONFIG: &str = "config.json";
const INDEX: &str = "model.safetensors.index.json";
const WEIGHTS: &str = "model.safetensors";

/// Files that a repository may lack.
const OPTIONAL: [&str; 5] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "special_tokens_map.json",
];

/// What names have become in this process: a branch that moves meanwhile moves no model of a run.
static FOUND: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());

/// The folder of a model: `name` itself where it is a folder, else the hub's files, downloaded as needed.
/// Within one process a name stays the revision that it was at first.
///
/// # Errors
/// If there is no such folder, the name cannot be one of the hub's, or a download fails.
pub fn find(name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(folder) = found.get(name) {
        return Ok(folder.clone());
    }
    let folder = download(name, &Settings::from_environment())?;
    found.insert(name.to_owned(), folder.clone());
    Ok(folder)
}

/// The folder of the hub's model `name` in the cache, downloaded as needed.
///
/// # Errors
/// If the name cannot be one of the hub's, a download fails, or the cache lacks it offline.
pub fn download(name: &str, settings: &Settings) -> Result<PathBuf> {
    let parsed = Name::parse(name)?;
    let repository = Repository::new(&settings.cache, &parsed.repository);
    let held = repository.commit(&parsed.revision).filter(|commit| repository.has_model(commit));
    if settings.is_offline {
        return held.map(|commit| repository.snapshot(&commit)).ok_or_else(|| {
            let message = format!("`{name}` is neither a folder nor in the cache, and HF_HUB_OFFLINE is set");
            Error::request(message).hint("check the name, or download it once without HF_HUB_OFFLINE")
        });
    }
    match held {
        // The files of a commit do not change.
        Some(commit) if commit == parsed.revision && repository.has_all(&commit) => {
            Ok(repository.snapshot(&commit))
        }
        _ => {
            let place = format!("{name} (no folder here, so from the hub)");
            let client = Client::new(settings, &parsed.repository, &repository.stage()).at(&place)?;
            Fetch { client, repository, name: parsed, commit: None }.all().at(place)
        }
    }
}

/// What a model is, for the id of what is made from it: `owner/name@commit` of a hub name that was found,
/// nothing of a folder.
pub fn identity(name: &str) -> Option<String> {
    let found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let commit = found.get(name)?.file_name()?.to_str()?;
    let repository = name.split('@').next()?;
    Some(format!("{repository}@{commit}"))
}

/// One model on its way into the cache.
struct Fetch {
    client: Client,
    repository: Repository,
    name: Name,
    /// Of all files, once the first answer has told which.
    commit: Option<String>,
}

impl Fetch {
    /// Every file, the weights last; the revision is named when all are there.
    fn all(mut self) -> Result<PathBuf> {
        let _turn = self.repository.lock()?;
        self.required(CONFIG)?;
        let index = self.get(INDEX)?;
        for file in OPTIONAL {
            if self.get(file)?.is_none() {
                self.repository.note_absent(self.revision(), file)?;
            }
        }
        match index {
            Some(index) => {
                for shard in crate::model::weights::shards(&index)? {
                    self.required(&shard)?;
                }
            }
            None => self.required(WEIGHTS)?,
        }
        self.repository.name_commit(&self.name.revision, self.revision())?;
        self.repository.clear_stage()?;
        Ok(self.repository.snapshot(self.revision()))
    }

    /// By commit from the first answer on, so that all files are of one version even if a branch moves.
    fn revision(&self) -> &str {
        self.commit.as_deref().unwrap_or(&self.name.revision)
    }

    fn required(&mut self, file: &str) -> Result<()> {
        match self.get(file)? {
            Some(_) => Ok(()),
            None => Err(Error::request(format!("the hub has no `{file}` of it"))
                .hint("check the name and the revision; only safetensors are read")),
        }
    }

    /// The place of a file; nothing if the repository lacks it.
    fn get(&mut self, file: &str) -> Result<Option<PathBuf>> {
        let revision = self.revision().to_owned();
        let Some(remote) = self.client.look(&revision, file).at(file)? else { return Ok(None) };
        if self.commit.as_ref().is_some_and(|commit| *commit != remote.commit) {
            let message = format!("asked for commit {revision}, the hub answers with {}", remote.commit);
            return Err(Error::work(message).at(file));
        }
        let place = self.repository.add(&remote, file, || self.client.download(&remote, file)).at(file)?;
        self.commit = Some(remote.commit);
        Ok(Some(place))
    }
}
