//! hf-hub, and what it takes to rely on it.
//!
//! hf-hub asks what a file is and brings it, but calls whole whatever an answer left, goes on at the wrong
//! byte after some failures, and cannot go on from a part that is whole. So it works in a cache of its own,
//! its stage, where nobody reads; it never tries twice by itself; it is watched while it works; and what it leaves is put
//! in order after each attempt. Only a file of the stated length, and of the stated hash where the hub names one, leaves
//! the stage.

use super::cache::{remove, write_failed};
use super::name::is_hash;
use super::settings::Settings;
use super::watched::{Gate, Outcome, Ticks, watched};
use crate::error::{Error, Result, io};
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, Metadata};
use hf_hub::{Cache, Repo, RepoType};
use ring::digest::{Context, SHA256};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Attempts without a further byte before a download is given up.
const ATTEMPTS: u32 = 4;

/// What the hub says about a file.
pub(super) struct Remote {
    /// The commit that the file is of.
    pub(super) commit: String,
    /// Names its content.
    pub(super) etag: String,
    /// In bytes.
    pub(super) size: u64,
    /// The etag as the server wrote it, which names hf-hub's files.
    written: String,
}

/// One repository of the hub.
pub(super) struct Client {
    api: Api,
    repository: String,
    stage: Cache,
    settings: Settings,
    sends_token: bool,
    is_reached: bool,
}

impl Client {
    /// A client that works in the folder `stage`, without the token as long as the endpoint answers.
    pub(super) fn new(settings: &Settings, repository: &str, stage: &Path) -> Result<Self> {
        let stage = Cache::new(stage.to_owned());
        Ok(Self {
            api: connect(settings, &stage, None)?,
            repository: repository.to_owned(),
            stage,
            settings: settings.clone(),
            sends_token: false,
            is_reached: false,
        })
    }

    /// Whether the endpoint has answered, and not only that it is out of order.
    pub(super) fn is_reached(&self) -> bool {
        self.is_reached
    }

    /// Asks what a file is; `None` if there is none.
    pub(super) fn look(&mut self, revision: &str, file: &str) -> Result<Option<Remote>> {
        let mut answer = self.ask(revision, file)?;
        let is_refused = answer.as_ref().is_err_and(|error| matches!(status(error), Some(401 | 403 | 429)));
        if is_refused && !self.sends_token && self.settings.token.is_some() {
            self.api = connect(&self.settings, &self.stage, self.settings.token.clone())?;
            self.sends_token = true;
            answer = self.ask(revision, file)?;
        }
        self.is_reached |= match &answer {
            Ok(_) => true,
            Err(error) => status(error).is_some_and(|status| status < 500),
        };
        let metadata = match answer {
            Ok(metadata) => metadata,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        };
        let (written, commit) = (metadata.etag(), metadata.commit_hash());
        // The mark of a weak etag says nothing about the content.
        let etag = written.strip_prefix("W/").unwrap_or(written);
        // Both become names in the cache: they must not lead out of it.
        for (name, text) in [("x-repo-commit", commit), ("etag", etag)] {
            if !is_hash(text) {
                return Err(self.strange(format!("no header {name} with a hash")));
            }
        }
        if metadata.size() == 0 {
            return Err(self.strange("an empty file".to_owned()));
        }
        Ok(Some(Remote {
            commit: commit.to_owned(),
            etag: etag.to_owned(),
            size: metadata.size() as u64,
            written: written.to_owned(),
        }))
    }

    fn ask(&self, revision: &str, file: &str) -> Result<Result<Metadata, ApiError>> {
        let (api, url) = (self.api.clone(), self.api.repo(self.repo(revision)).url(file));
        match watched(self.settings.patience, &Ticks::default(), move || api.metadata(&url)) {
            Outcome::Done(answer) => Ok(answer),
            Outcome::Left => Err(self.strange("nothing that hf-hub can read".to_owned())),
            Outcome::Silent => Err(self.silent()),
        }
    }

    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.repository.clone(), RepoType::Model, revision.to_owned())
    }

    /// Brings a file onto the stage, whole, and says where it is. Goes on from what earlier attempts left.
    pub(super) fn download(&self, remote: &Remote, file: &str) -> Result<PathBuf> {
        let stage = self.stage.repo(self.repo(&remote.commit));
        let blob = stage.blob_path(&remote.written);
        let staged = Staged { part: blob.with_extension("part"), blob, remote };
        let mut held = staged.settle()?;
        let (mut most, mut fruitless) = (held, 0);
        while held < remote.size {
            tracing::info!("downloading {file}: {held} of {} bytes are there", remote.size);
            let gate =
                Gate { ticks: Ticks::default(), lock: staged.blob.with_extension("lock"), size: remote.size };
            remove(&gate.lock)?;
            let (ticks, api, name) = (gate.ticks.clone(), self.api.clone(), file.to_owned());
            let repo = self.repo(&remote.commit);
            let work = move || api.repo(repo).download_with_progress(&name, gate);
            let outcome = watched(self.settings.patience, &ticks, work);
            held = staged.settle()?;
            fruitless = if held > most { 0 } else { fruitless + 1 };
            most = most.max(held);
            if held == remote.size {
                break;
            }
            let why = match outcome {
                Outcome::Done(Ok(_)) | Outcome::Left => {
                    "the server did not send what it had stated".to_owned()
                }
                Outcome::Silent => return Err(self.silent()),
                Outcome::Done(Err(error)) => match self.lasting(&error, &staged.part) {
                    Some(error) => return Err(error),
                    None => error.to_string(),
                },
            };
            if fruitless == ATTEMPTS {
                let message = format!("the download was interrupted after {held} of {} bytes", remote.size);
                return Err(Error::work(format!("{message}: {why}"))
                    .hint("run the same command again: it goes on from there"));
            }
            std::thread::sleep(Duration::from_millis(100 << fruitless));
        }
        staged.check()?;
        Ok(staged.blob)
    }

    /// What another attempt would not mend: a refusal, or a cache that cannot be written.
    fn lasting(&self, error: &ApiError, part: &Path) -> Option<Error> {
        match (status(error), error) {
            (Some(408 | 429 | 500..), _) => None,
            (Some(_), _) => Some(self.failed(error)),
            (None, ApiError::IoError(error)) => match error.kind() {
                ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded => Some(write_failed(part, error.kind().into())),
                _ => None,
            },
            (None, _) => None,
        }
    }

    fn failed(&self, error: &ApiError) -> Error {
        let endpoint = &self.settings.endpoint;
        match (status(error), error) {
            (Some(status @ (401 | 403)), _) => {
                Error::request(format!("{endpoint} refuses it (status {status})"))
                    .hint("check the name; for a gated model accept its terms and set HF_TOKEN")
            }
            (Some(status), _) => {
                Error::work(format!("{endpoint} answers with status {status}")).hint("try again later")
            }
            (None, ApiError::RequestError(error)) => Error::work(format!("cannot reach {endpoint}: {error}"))
                .hint("check the name and the network, or set HF_HUB_OFFLINE=1 to use what is in the cache"),
            (None, error) => self.strange(error.to_string()),
        }
    }

    fn silent(&self) -> Error {
        let Settings { endpoint, patience, .. } = &self.settings;
        Error::work(format!("{endpoint} has said nothing for {patience:?}")).hint(
            "run the same command again: a download goes on where it was; HF_HUB_DOWNLOAD_TIMEOUT, in seconds, waits \
             for longer",
        )
    }

    fn strange(&self, what: String) -> Error {
        Error::work(format!("{} answers otherwise than the hub does: {what}", self.settings.endpoint))
            .hint("check HF_ENDPOINT: is this a hub?")
    }
}

/// hf-hub at work in `stage`. It never tries again by itself: it would go on at the wrong byte.
fn connect(settings: &Settings, stage: &Cache, token: Option<String>) -> Result<Api> {
    ApiBuilder::from_cache(stage.clone())
        .with_endpoint(settings.endpoint.clone())
        .with_token(token)
        .with_user_agent("deltascope", env!("CARGO_PKG_VERSION"))
        .with_progress(false)
        .with_retries(0)
        .build()
        .map_err(|error| Error::work(format!("cannot make a client of the hub: {error}")))
}

/// The status that the server answered with, if that is what went wrong.
fn status(error: &ApiError) -> Option<u16> {
    let ApiError::RequestError(error) = error else { return None };
    error.to_string().strip_prefix("http status: ")?.parse().ok()
}

/// What hf-hub has of a file: what it calls whole, or a part.
struct Staged<'a> {
    blob: PathBuf,
    part: PathBuf,
    remote: &'a Remote,
}

impl Staged<'_> {
    /// Puts in order what an attempt left, and says how many bytes the next can build on. A file whose hash
    /// nobody states is never built on: its end could not be told from another's.
    fn settle(&self) -> Result<u64> {
        let size = self.remote.size;
        for path in [&self.blob, &self.part] {
            let length = match path.metadata() {
                Ok(found) => found.len(),
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(io("read", path, error)),
            };
            let target = if length == size { &self.blob } else { &self.part };
            if length > size || (length < size && self.sha256().is_none()) {
                remove(path)?;
                continue;
            }
            fs::rename(path, target).map_err(|error| write_failed(target, error))?;
            return Ok(length);
        }
        Ok(0)
    }

    /// The hash of a large file, which is its etag.
    fn sha256(&self) -> Option<&str> {
        let etag = self.remote.etag.as_str();
        (etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(etag)
    }

    /// Throws a file away that does not have the stated hash.
    fn check(&self) -> Result<()> {
        let Some(stated) = self.sha256() else { return Ok(()) };
        let found = digest(&self.blob).map_err(|error| io("read", &self.blob, error))?;
        if found.eq_ignore_ascii_case(stated) {
            return Ok(());
        }
        remove(&self.blob)?;
        Err(Error::work("what was downloaded does not have the hash that the hub states")
            .hint("run the same command again: it was thrown away"))
    }
}

/// The SHA-256 of a file, in hexadecimal.
fn digest(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Ok(hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}
