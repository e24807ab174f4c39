//! The hub's protocol: what a file is, and its bytes.
//!
//! The token goes to the endpoint alone, once it refuses to answer without: redirects are followed by hand, and where one
//! leads away from the endpoint nothing of it is sent. What a file is, the endpoint is asked once; where its bytes come
//! from names nothing. Only a file of the stated length, and of the stated hash where the hub names one, leaves the stage.

use super::cache::{make_parent, write_failed};
use super::name::is_hash;
use super::part::{check, settle};
use super::settings::Settings;
use crate::error::{Error, Result};
use hf_hub::{Repo, RepoType};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body};

/// Attempts without a further byte before a download is given up.
const ATTEMPTS: u32 = 4;

/// Redirects within the endpoint: a repository that was renamed, and renamed again.
const REDIRECTS: usize = 5;

/// Enough to learn a size.
const FIRST_BYTE: &str = "bytes=0-0";

/// What the hub says about a file.
pub(super) struct Remote {
    /// The commit that the file is of.
    pub(super) commit: String,
    /// Names its content.
    pub(super) etag: String,
    /// In bytes.
    pub(super) size: u64,
}

/// One repository of the hub.
pub(super) struct Client {
    agent: Agent,
    repository: String,
    stage: PathBuf,
    settings: Settings,
    sends_token: bool,
    is_reached: bool,
}

/// Why an attempt to download failed.
enum Failure {
    /// Another would not mend it: a refusal, silence, or a cache that cannot be written.
    Lasting(Error),
    Passing(String),
}

impl Client {
    /// A client that works in the folder `stage`, without the token as long as the endpoint answers.
    pub(super) fn new(settings: &Settings, repository: &str, stage: PathBuf) -> Self {
        let patience = Some(settings.patience);
        let config = Agent::config_builder()
            .user_agent(concat!("deltascope/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(patience)
            .timeout_connect(patience)
            .timeout_recv_response(patience)
            .timeout_per_read(patience);
        Self {
            agent: config.build().into(),
            repository: repository.to_owned(),
            stage,
            settings: settings.clone(),
            sends_token: false,
            is_reached: false,
        }
    }

    /// Whether the endpoint has answered, and not only that it is out of order.
    pub(super) fn is_reached(&self) -> bool {
        self.is_reached
    }

    /// Asks what a file is; `None` if there is none.
    pub(super) fn look(&mut self, revision: &str, file: &str) -> Result<Option<Remote>> {
        let ask =
            |client: &Self| client.ask(revision, file, FIRST_BYTE).map_err(|error| client.failed(&error));
        let mut answer = ask(self)?;
        let is_refused = matches!(answer.status().as_u16(), 401 | 403 | 429);
        if is_refused && !self.sends_token && self.settings.token.is_some() {
            self.sends_token = true;
            answer = ask(self)?;
        }
        let status = answer.status();
        self.is_reached |= !status.is_server_error();
        match status.as_u16() {
            404 => return Ok(None),
            _ if status.is_success() || status.is_redirection() => {}
            status => return Err(self.refused(status)),
        }
        let commit = header(&answer, "x-repo-commit").unwrap_or_default().to_owned();
        let etag = header(&answer, "x-linked-etag").or_else(|| header(&answer, "etag")).unwrap_or_default();
        // The mark of a weak etag says nothing about the content.
        let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_owned();
        // Both become names in the cache: they must not lead out of it.
        for (name, text) in [("x-repo-commit", &commit), ("etag", &etag)] {
            if !is_hash(text) {
                return Err(self.strange(&format!("no header {name} with a hash")));
            }
        }
        let stated = header(&answer, "x-linked-size").and_then(|size| size.parse().ok());
        let size = match stated {
            Some(size) => Some(size),
            None => size(&self.follow(answer, FIRST_BYTE).map_err(|error| self.failed(&error))?),
        };
        match size {
            None => Err(self.strange("no size of a file")),
            Some(0) => Err(self.strange("an empty file")),
            Some(size) => Ok(Some(Remote { commit, etag, size })),
        }
    }

    /// What the endpoint answers about a part of a file: the part, or where it is.
    fn ask(&self, revision: &str, file: &str, range: &str) -> Result<Response<Body>, ureq::Error> {
        let endpoint = &self.settings.endpoint;
        let repo = Repo::with_revision(self.repository.clone(), RepoType::Model, revision.to_owned());
        let mut url = format!("{endpoint}/{}/resolve/{}/{file}", repo.url(), repo.url_revision());
        let token = self.settings.token.as_ref().filter(|_| self.sends_token);
        for _ in 0..REDIRECTS {
            let mut request = self.agent.get(&url).header("Range", range);
            if let Some(token) = token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let answer = request.call()?;
            let target = header(&answer, "location").filter(|_| answer.status().is_redirection());
            url = match target {
                Some(path) if path.starts_with('/') && !path.starts_with("//") => format!("{endpoint}{path}"),
                Some(target) if target.starts_with(&format!("{endpoint}/")) => target.to_owned(),
                _ => return Ok(answer),
            };
        }
        Err(ureq::Error::TooManyRedirects)
    }

    /// The bytes, from the server that the endpoint sends us to, which is told nothing of the token.
    fn follow(&self, answer: Response<Body>, range: &str) -> Result<Response<Body>, ureq::Error> {
        match header(&answer, "location").filter(|_| answer.status().is_redirection()) {
            Some(target) => {
                let request = self.agent.get(target).header("Range", range);
                request.config().max_redirects(REDIRECTS as u32).build().call()
            }
            None => Ok(answer),
        }
    }

    /// Brings a file onto the stage, whole, and says where it is. Goes on from what earlier attempts left.
    pub(super) fn download(&self, remote: &Remote, file: &str) -> Result<PathBuf> {
        let part = self.stage.join(format!("{}.part", remote.etag));
        make_parent(&part)?;
        let mut held = settle(&part, remote)?;
        let (mut most, mut fruitless) = (held, 0);
        while held < remote.size {
            tracing::info!("downloading {file}: {held} of {} bytes are there", remote.size);
            let outcome = self.append(remote, file, &part, held);
            held = settle(&part, remote)?;
            fruitless = if held > most { 0 } else { fruitless + 1 };
            most = most.max(held);
            if held == remote.size {
                break;
            }
            let why = match outcome {
                Ok(()) => "the server did not send what it had stated".to_owned(),
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Passing(why)) => why,
            };
            if fruitless == ATTEMPTS {
                let message = format!("the download was interrupted after {held} of {} bytes", remote.size);
                return Err(Error::work(format!("{message}: {why}"))
                    .hint("run the same command again: it goes on from there"));
            }
            std::thread::sleep(Duration::from_millis(100 << fruitless));
        }
        check(&part, remote)?;
        Ok(part)
    }

    /// Adds to the `held` bytes in `part` what the server sends from there on; writes all anew if it sends all.
    fn append(&self, remote: &Remote, file: &str, part: &Path, held: u64) -> Result<(), Failure> {
        let failed = |error: ureq::Error| match error {
            ureq::Error::Timeout(_) => Failure::Lasting(self.silent()),
            error => Failure::Passing(error.to_string()),
        };
        let range = format!("bytes={held}-");
        let answer = self.ask(&remote.commit, file, &range).and_then(|answer| self.follow(answer, &range));
        let answer = answer.map_err(failed)?;
        let from = match answer.status().as_u16() {
            200 => 0,
            206 if first(&answer) == Some(held) => held,
            206 => return Err(Failure::Passing(format!("the server sent another part than {range}"))),
            status @ (408 | 429 | 500..) => return Err(Failure::Passing(format!("status {status}"))),
            status => return Err(Failure::Lasting(self.refused(status))),
        };
        let unwritable = |error: std::io::Error| Failure::Lasting(write_failed(part, error));
        let mut out = OpenOptions::new().create(true).append(true).open(part).map_err(unwritable)?;
        out.set_len(from).map_err(unwritable)?;
        let mut body = answer.into_body().into_reader().take(remote.size - from);
        let mut buffer = vec![0; 1 << 16];
        loop {
            match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => out.write_all(&buffer[..read]).map_err(unwritable)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
    }

    fn failed(&self, error: &ureq::Error) -> Error {
        match error {
            ureq::Error::Timeout(_) => self.silent(),
            ureq::Error::TooManyRedirects | ureq::Error::Protocol(_) => self.strange(&error.to_string()),
            error => Error::work(format!("cannot reach {}: {error}", self.settings.endpoint))
                .hint("check the name and the network, or set HF_HUB_OFFLINE=1 to use what is in the cache"),
        }
    }

    fn refused(&self, status: u16) -> Error {
        let endpoint = &self.settings.endpoint;
        match status {
            401 | 403 => Error::request(format!("{endpoint} refuses it (status {status})"))
                .hint("check the name; for a gated model accept its terms and set HF_TOKEN"),
            _ => Error::work(format!("{endpoint} answers with status {status}")).hint("try again later"),
        }
    }

    fn silent(&self) -> Error {
        let Settings { endpoint, patience, .. } = &self.settings;
        Error::work(format!("{endpoint} has said nothing for {patience:?}")).hint(
            "run the same command again: a download goes on where it was; HF_HUB_DOWNLOAD_TIMEOUT, in seconds, waits \
             for longer",
        )
    }

    fn strange(&self, what: &str) -> Error {
        Error::work(format!("{} answers otherwise than the hub does: {what}", self.settings.endpoint))
            .hint("check HF_ENDPOINT: is this a hub?")
    }
}

fn header<'a>(answer: &'a Response<Body>, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

/// The place of the first byte of a part.
fn first(answer: &Response<Body>) -> Option<u64> {
    header(answer, "content-range")?.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// The size of the whole file, of which a part or all is sent.
fn size(answer: &Response<Body>) -> Option<u64> {
    match answer.status().as_u16() {
        206 => header(answer, "content-range")?.rsplit_once('/')?.1.parse().ok(),
        200 => header(answer, "content-length")?.parse().ok(),
        _ => None,
    }
}
