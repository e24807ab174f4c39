//! Where files of the hub lie, as `huggingface_hub` lays them out:
//!
//! ```text
//! models--owner--name/blobs/<etag>                the contents
//!                     snapshots/<commit>/<file>   links to them
//!                     refs/<revision>             the commit that a revision was last
//!                     .no_exist/<commit>/<file>   marks of files that a commit does not have
//!                     incomplete/                 ours: parts of files
//! ```

use super::client::Remote;
use super::{ADAPTER_CONFIG, ADAPTER_PICKLE, ADAPTER_WEIGHTS, CONFIG, INDEX, OPTIONAL, WEIGHTS};
use crate::error::{Error, Result, io};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The files of one model.
pub(super) struct Repository {
    cache: Cache,
    name: String,
    folder: PathBuf,
    lock: PathBuf,
}

impl Repository {
    pub(super) fn new(cache: &Path, repository: &str) -> Self {
        let name = Repo::model(repository.to_owned()).folder_name();
        Self {
            cache: Cache::new(cache.to_owned()),
            name: repository.to_owned(),
            folder: cache.join(&name),
            lock: cache.join(".locks").join(name + ".lock"),
        }
    }

    /// Where the files of a revision are, by hf-hub's account.
    fn laid_out(&self, revision: &str) -> CacheRepo {
        self.cache.repo(Repo::with_revision(self.name.clone(), RepoType::Model, revision.to_owned()))
    }

    /// The folder of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.laid_out(commit).pointer_path(commit)
    }

    /// The commit of a revision, as far as the cache knows: the one it was last, or the commit itself.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        let named = fs::read_to_string(self.folder.join("refs").join(revision)).ok();
        let named =
            named.map(|commit| commit.trim().to_owned()).filter(|commit| super::name::is_hash(commit));
        named.or_else(|| self.snapshot(revision).is_dir().then(|| revision.to_owned()))
    }

    /// Whether a commit has its configuration and all weights, of a model or of an adapter.
    pub(super) fn has_model(&self, commit: &str) -> bool {
        let folder = self.snapshot(commit);
        let has = |file: &str| folder.join(file).is_file();
        if !has(CONFIG) {
            return has(ADAPTER_CONFIG) && (has(ADAPTER_WEIGHTS) || has(ADAPTER_PICKLE));
        }
        let shards = || crate::model::weights::shards(&folder.join(INDEX));
        has(WEIGHTS) || shards().is_ok_and(|shards| shards.iter().all(|shard| has(shard)))
    }

    /// Whether a commit has whatever it has on the hub, so that nothing is left to ask for.
    pub(super) fn has_all(&self, commit: &str) -> bool {
        let is_known =
            |file: &str| self.snapshot(commit).join(file).is_file() || self.absent(commit, file).exists();
        self.has_model(commit) && OPTIONAL.into_iter().chain([CONFIG]).all(is_known)
    }

    fn absent(&self, commit: &str, file: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit).join(file)
    }

    /// Notes that a commit does not have a file.
    pub(super) fn note_absent(&self, commit: &str, file: &str) -> Result<()> {
        write(&self.absent(commit, file), "")
    }

    /// Notes which commit a revision is.
    pub(super) fn name_commit(&self, revision: &str, commit: &str) -> Result<()> {
        if revision == commit {
            return Ok(());
        }
        let failed = |error| write_failed(&self.folder.join("refs").join(revision), error);
        self.laid_out(revision).create_ref(commit).map_err(failed)
    }

    /// Waits for other processes that fetch this model; they wait until what is returned is dropped.
    pub(super) fn lock(&self) -> Result<File> {
        make_parent(&self.lock)?;
        let lock = File::create(&self.lock).map_err(|error| write_failed(&self.lock, error))?;
        if lock.try_lock().is_err() {
            tracing::warn!("another process is downloading the same model; waiting for it");
            lock.lock().map_err(|error| write_failed(&self.lock, error))?;
        }
        Ok(lock)
    }

    /// Where files are until they are whole.
    pub(super) fn stage(&self) -> PathBuf {
        self.folder.join("incomplete")
    }

    /// Removes what was left of downloads, now that all are done.
    pub(super) fn clear_stage(&self) -> Result<()> {
        let stage = self.stage();
        match fs::remove_dir_all(&stage) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", &stage, error)),
            _ => Ok(()),
        }
    }

    /// The place of a file. Unless it is there already, `download` brings it, whole, to another.
    pub(super) fn add(
        &self,
        remote: &Remote,
        file: &str,
        download: impl FnOnce() -> Result<PathBuf>,
    ) -> Result<PathBuf> {
        let place = self.snapshot(&remote.commit).join(file);
        let is_there = |path: &Path| {
            path.metadata().is_ok_and(|found| found.len() == remote.size)
                && super::blob::is_what(path, &remote.etag)
        };
        if is_there(&place) {
            return Ok(place);
        }
        let blob = self.laid_out(&remote.commit).blob_path(&remote.etag);
        if !is_there(&blob) {
            let whole = download()?;
            make_parent(&blob)?;
            fs::rename(&whole, &blob).map_err(|error| write_failed(&blob, error))?;
        }
        make_parent(&place)?;
        remove(&place)?;
        link(&blob, &remote.etag, file, &place).map_err(|error| write_failed(&place, error))?;
        Ok(place)
    }
}

#[cfg(unix)]
fn link(_: &Path, etag: &str, file: &str, place: &Path) -> std::io::Result<()> {
    // Out of the folders that the file lies in, and out of its snapshot.
    let up = "../".repeat(file.split('/').count() + 1);
    std::os::unix::fs::symlink(Path::new(&up).join("blobs").join(etag), place)
}

#[cfg(not(unix))]
fn link(blob: &Path, _: &str, _: &str, place: &Path) -> std::io::Result<()> {
    fs::copy(blob, place).map(|_| ())
}

/// Removes a file or a link, if there is one.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", path, error)),
        _ => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    make_parent(path)?;
    fs::write(path, text).map_err(|error| write_failed(path, error))
}

pub(super) fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|error| write_failed(parent, error))
}

/// Why something in the cache could not be written.
pub(super) fn write_failed(path: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Error::work(format!("cannot write {}: {error}", path.display()))
                .hint("place the cache elsewhere by HF_HOME, or set HF_HUB_OFFLINE=1 to use what is in it")
        }
        _ => io("write", path, error),
    }
}
