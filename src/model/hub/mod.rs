//! Models by name from the Hugging Face hub, through the cache that `huggingface_hub` uses, too.
//!
//! `HF_HOME` (or `HF_HUB_CACHE`) places the cache, `HF_TOKEN` (or the token that `hf auth login` saved) opens
//! gated models, `HF_ENDPOINT` names another server, and `HF_HUB_OFFLINE=1` reads the cache only. Where the server
//! cannot be reached, the cache is read, too, with a warning. A name may carry a revision: `Qwen/Qwen2.5-0.5B@main`,
//! and stand for a model or for a PEFT adapter.
//!
//! * `name`: what may be asked for; no name leads out of the cache.
//! * `client`: the hub's protocol, by hf-hub's addresses. The token is sent only to an endpoint that refuses to answer
//!   without, and to nobody that it redirects to.
//! * `blob`: whether a file in the cache is what its name says, asked when it is first used in a process: hubs name
//!   contents by their hashes.
//! * `folder`: a folder inside a repository, such as a dictionary's.
//! * `cache`: where files lie, as hf-hub lays them out. A file gets its place once it is whole, and a revision its name
//!   once all files have theirs, so that nothing half-done is ever read.
//!
//! The endpoint of a gated model learns the token: set `HF_ENDPOINT` to servers that you trust.

mod blob;
mod cache;
mod client;
mod folder;
mod name;
mod part;
mod settings;

pub use folder::{download_folder, find_folder};
pub use settings::Settings;

use crate::error::{At, Error, Result};
use cache::Repository;
use client::Client;
use name::Name;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const CONFIG: &str = "config.json";
const ADAPTER_CONFIG: &str = "adapter_config.json";
const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
/// Read as data where the other is missing.
const ADAPTER_PICKLE: &str = "adapter_model.bin";
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

/// A folder that holds the configuration of a model, as [`find`] finds it; of what the cache does not hold whole,
/// nothing else is downloaded. For an adapter, all that [`find`] brings.
///
/// # Errors
/// As [`find`].
pub fn find_config(name: &str) -> Result<PathBuf> {
    if Path::new(name).is_dir() {
        return find(name);
    }
    match config(name, &Settings::from_environment())? {
        Some(folder) => Ok(folder),
        None => find(name),
    }
}

/// The folder of the hub's model `name` in the cache, with its configuration at least; nothing if the hub has none, or
/// cannot be asked.
///
/// # Errors
/// If the name cannot be one of the hub's, or the download fails.
pub fn config(name: &str, settings: &Settings) -> Result<Option<PathBuf>> {
    let parsed = Name::parse(name)?;
    let repository = Repository::new(&settings.cache, &parsed.repository);
    let is_held = repository.commit(&parsed.revision).is_some_and(|commit| repository.has_model(&commit));
    if is_held || settings.is_offline {
        return Ok(None);
    }
    let place = format!("{name} (no folder here, so from the hub)");
    let client = Client::new(settings, &parsed.repository, repository.stage());
    let mut fetch = Fetch { client, repository, name: parsed, commit: None };
    let _turn = fetch.repository.lock().at(&place)?;
    let found = fetch.get(CONFIG).at(place)?;
    Ok(found.and_then(|file| Some(file.parent()?.to_owned())))
}

/// The folder of the hub's model `name` in the cache, downloaded as needed.
///
/// # Errors
/// If the name cannot be one of the hub's, a download fails, or the cache lacks it offline.
pub fn download(name: &str, settings: &Settings) -> Result<PathBuf> {
    let folder = obtain(name, settings)?;
    for file in files(&folder)?.into_iter().flatten() {
        blob::check(&folder.join(file))?;
    }
    Ok(folder)
}

/// The files of a model in the hub's cache that are ever read, by their names in its folder; nothing of another folder.
///
/// # Errors
/// If the index of its weights cannot be read.
pub fn files(folder: &Path) -> Result<Option<Vec<String>>> {
    let named = |path: Option<&Path>| {
        path.and_then(Path::file_name).and_then(|name| name.to_str()).map(str::to_owned)
    };
    let snapshots = folder.parent();
    let is_snapshot = named(snapshots).is_some_and(|name| name == "snapshots")
        && named(snapshots.and_then(Path::parent)).is_some_and(|name| name.starts_with("models--"));
    if !is_snapshot {
        return Ok(None);
    }
    let fixed = [CONFIG, ADAPTER_CONFIG, ADAPTER_WEIGHTS, INDEX, WEIGHTS].into_iter().chain(OPTIONAL);
    let mut names: Vec<String> =
        fixed.filter(|name| folder.join(name).is_file()).map(str::to_owned).collect();
    if !names.iter().any(|name| name == WEIGHTS) && names.iter().any(|name| name == INDEX) {
        names.extend(crate::model::weights::shards(&folder.join(INDEX))?);
    }
    names.sort();
    names.dedup();
    Ok(Some(names))
}

/// What [`download`] brings, as far as its names and sizes tell.
fn obtain(name: &str, settings: &Settings) -> Result<PathBuf> {
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
        Some(commit)
            if commit == parsed.revision
                && repository.has_all(&commit)
                && is_sound(&repository.snapshot(&commit)) =>
        {
            Ok(repository.snapshot(&commit))
        }
        held => {
            let place = format!("{name} (no folder here, so from the hub)");
            let client = Client::new(settings, &parsed.repository, repository.stage());
            let mut fetch = Fetch { client, repository, name: parsed, commit: None };
            match (fetch.all(), held) {
                // As huggingface_hub does.
                (Err(error), Some(commit)) if !fetch.client.is_reached() => {
                    tracing::warn!("{error}; `{name}` is what the cache holds, commit {commit}");
                    Ok(fetch.repository.snapshot(&commit))
                }
                (outcome, _) => outcome.at(place),
            }
        }
    }
}

/// Whether every file of a snapshot is what its name in the cache says.
fn is_sound(folder: &Path) -> bool {
    let names = files(folder).ok().flatten().unwrap_or_default();
    names.iter().all(|name| blob::check(&folder.join(name)).is_ok())
}

/// What a model is called on the hub, for whoever names it is made from it: `owner/name@commit` of a hub name that was found,
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
    /// Every file, the weights last; the revision is named when all are there. A repository without a configuration
    /// may be one of a PEFT adapter.
    fn all(&mut self) -> Result<PathBuf> {
        let _turn = self.repository.lock()?;
        let is_adapter = self.get(CONFIG)?.is_none();
        if is_adapter {
            if self.get(ADAPTER_CONFIG)?.is_none() {
                return Err(lacking("`config.json` nor `adapter_config.json`"));
            }
            self.repository.note_absent(self.revision(), CONFIG)?;
        }
        for file in OPTIONAL {
            if self.get(file)?.is_none() {
                self.repository.note_absent(self.revision(), file)?;
            }
        }
        match is_adapter {
            true if self.get(ADAPTER_WEIGHTS)?.is_none() => self.required(ADAPTER_PICKLE)?,
            true => {}
            false => self.weights()?,
        }
        self.repository.name_commit(&self.name.revision, self.revision())?;
        self.repository.clear_stage()?;
        Ok(self.repository.snapshot(self.revision()))
    }

    /// By commit from the first answer on, so that all files are of one version even if a branch moves.
    fn revision(&self) -> &str {
        self.commit.as_deref().unwrap_or(&self.name.revision)
    }

    /// One file that holds all, which comes first as where they are read, or the shards of an index.
    fn weights(&mut self) -> Result<()> {
        if self.get(WEIGHTS)?.is_some() {
            return Ok(());
        }
        let Some(index) = self.get(INDEX)? else { return Err(lacking("`model.safetensors`")) };
        crate::model::weights::shards(&index)?.iter().try_for_each(|shard| self.required(shard))
    }

    fn required(&mut self, file: &str) -> Result<()> {
        self.get(file)?.map(|_| ()).ok_or_else(|| lacking(&format!("`{file}`")))
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

fn lacking(files: &str) -> Error {
    Error::request(format!("the hub has no {files} of it"))
        .hint("check the name and the revision; only safetensors are read")
}
