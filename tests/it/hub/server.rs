//! Two servers on the loopback that speak the hub's protocol: an endpoint that knows commits and redirects to the store of
//! large files, as the hub does.

use crate::cli::command;
use crate::goldens::folder;
use deltascope::Result;
use deltascope::model::hub::Settings;
use ring::digest::{SHA256, digest};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(super) const LATER: &str = "89abcdef0123456789abcdef0123456789abcdef";
pub(super) const NAME: &str = "owner/tiny";
/// What the repository was called before.
pub(super) const OLD_NAME: &str = "owner/older";
pub(super) const WEIGHTS: &str = "model.safetensors";

/// How the servers behave, and what they saw.
pub(super) struct Hub {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) commit: String,
    pub(super) etag_of_config: String,
    pub(super) token: Option<String>,
    pub(super) ranges: Ranges,
    /// After how many bytes the next answers with weights are cut off.
    pub(super) cuts: VecDeque<usize>,
    /// One byte of the weights is flipped on the way.
    pub(super) flips: bool,
    /// Etag and commit of the weights from the second time on that the endpoint is asked about them.
    pub(super) lies: Option<(String, String)>,
    /// The endpoint says how large the weights are.
    pub(super) states_size: bool,
    /// Requests get no answer.
    pub(super) is_silent: bool,
    pub(super) seen: Vec<Seen>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Ranges {
    All,
    None,
}

#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) server: &'static str,
    pub(super) path: String,
    pub(super) range: String,
    pub(super) authorization: Option<String>,
}

impl Hub {
    pub(super) fn of(folder: &Path) -> Self {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        });
        Self {
            files: files.collect(),
            commit: COMMIT.to_owned(),
            etag_of_config: "c0ffee".to_owned(),
            token: None,
            ranges: Ranges::All,
            cuts: VecDeque::new(),
            flips: false,
            lies: None,
            states_size: true,
            is_silent: false,
            seen: Vec::new(),
        }
    }

    pub(super) fn tiny() -> Self {
        Self::of(&folder("llama"))
    }

    pub(super) fn gated() -> Self {
        Self { token: Some("secret".to_owned()), ..Self::tiny() }
    }

    pub(super) fn hash(&self, file: &str) -> String {
        digest(&SHA256, &self.files[file]).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Two listening servers, the endpoint and the store of large files.
pub(super) struct Server {
    pub(super) hub: Arc<Mutex<Hub>>,
    pub(super) endpoint: String,
    pub(super) home: tempfile::TempDir,
}

impl Server {
    pub(super) fn start(hub: Hub) -> Self {
        let hub = Arc::new(Mutex::new(hub));
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (front, back) = (listen(), listen());
        let endpoint = format!("http://{}", front.local_addr().unwrap());
        // Another host than the endpoint's.
        let store = format!("http://localhost:{}", back.local_addr().unwrap().port());
        for (name, listener) in [("endpoint", front), ("store", back)] {
            let (hub, store) = (hub.clone(), store.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (hub, store) = (hub.clone(), store.clone());
                    std::thread::spawn(move || serve(name, stream, &hub, &store));
                }
            });
        }
        Self { hub, endpoint, home: tempfile::tempdir().unwrap() }
    }

    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Hub) -> R) -> R {
        work(&mut self.hub.lock().unwrap())
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            cache: self.home.path().join("hub"),
            token: self.with(|hub| hub.token.clone()),
            endpoint: self.endpoint.clone(),
            is_offline: false,
            patience: Duration::from_secs(30),
        }
    }

    pub(super) fn offline(&self) -> Settings {
        Settings { is_offline: true, ..self.settings() }
    }

    pub(super) fn repository(&self) -> PathBuf {
        self.settings().cache.join("models--owner--tiny")
    }

    pub(super) fn snapshot(&self) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT)
    }

    /// Puts `bytes` where an earlier process would have left a part of the weights.
    pub(super) fn left(&self, bytes: &[u8]) {
        let stage = self.repository().join("incomplete");
        std::fs::create_dir_all(&stage).unwrap();
        let hash = self.with(|hub| hub.hash(WEIGHTS));
        std::fs::write(stage.join(hash + ".part"), bytes).unwrap();
    }

    pub(super) fn ranges_of_the_weights(&self) -> Vec<String> {
        let is_weights = |seen: &&Seen| seen.server == "store";
        self.with(|hub| hub.seen.iter().filter(is_weights).map(|seen| seen.range.clone()).collect())
    }

    /// Runs the binary in `place`, with what it needs in its environment.
    pub(super) fn deltascope(&self, place: &Path, arguments: &[&str]) -> Output {
        self.command(place, arguments).output().unwrap()
    }

    pub(super) fn command(&self, place: &Path, arguments: &[&str]) -> Command {
        let mut command = command(place, arguments);
        command
            .env("HF_HOME", self.home.path())
            .env("HF_ENDPOINT", format!("{}/", self.endpoint))
            .env("HF_TOKEN", "secret")
            .env_remove("HF_HUB_CACHE")
            .env_remove("HF_HUB_OFFLINE");
        command
    }
}

fn serve(server: &'static str, mut stream: TcpStream, hub: &Mutex<Hub>, store: &str) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(std::result::Result::ok);
    let Some(request) = lines.next() else { return };
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let mut hub = hub.lock().unwrap();
    let range = headers.get("range").cloned().unwrap_or_default();
    let authorization = headers.get("authorization").cloned();
    let wanted = hub.token.as_ref().map(|token| format!("Bearer {token}"));
    let is_welcome = server == "store" || wanted.is_none() || authorization == wanted;
    hub.seen.push(Seen { server, path: path.clone(), range: range.clone(), authorization });
    if hub.is_silent {
        drop(hub);
        return std::thread::sleep(Duration::from_secs(20));
    }
    let file = path.rsplit('/').next().and_then(|file| file.split('?').next()).unwrap_or_default().to_owned();
    let is_known = path.starts_with(&format!("/{NAME}/resolve/")) || server == "store";
    let mut answer = |status: &str, headers: String, body: &[u8], length: usize| {
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    };
    if let Some(rest) = path.strip_prefix(&format!("/{OLD_NAME}/")) {
        return answer("307 Temporary Redirect", format!("Location: /{NAME}/{rest}\r\n"), &[], 0);
    }
    let Some(content) = hub.files.get(&file).cloned().filter(|_| is_known) else {
        return answer("404 Not Found", String::new(), &[], 0);
    };
    if !is_welcome {
        return answer("401 Unauthorized", String::new(), &[], 0);
    }
    let is_large = file.ends_with(".safetensors");
    let etag = if is_large { hub.hash(&file) } else { hub.etag_of_config.clone() + &file.len().to_string() };
    let asked_before =
        hub.seen.iter().filter(|seen| seen.server == "endpoint" && seen.path == path).count() > 1;
    let lie = hub.lies.clone().filter(|_| is_large && asked_before);
    let (etag, commit) = lie.unwrap_or((etag, hub.commit.clone()));
    let commit = format!("X-Repo-Commit: {commit}\r\n");
    if is_large && server == "endpoint" {
        let size =
            if hub.states_size { format!("X-Linked-Size: {}\r\n", content.len()) } else { String::new() };
        let linked = format!("X-Linked-Etag: \"{etag}\"\r\n{size}");
        let location = format!("Location: {store}/blobs/{file}?signature=1\r\n");
        return answer("302 Found", commit + &linked + &location, &[], 0);
    }
    let knows = hub.ranges == Ranges::All;
    let asked = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let first = asked.and_then(|(first, _)| first.parse::<usize>().ok()).filter(|_| knows);
    let last = asked.and_then(|(_, last)| last.parse::<usize>().ok()).unwrap_or(content.len() - 1);
    let from = first.unwrap_or(0);
    if from >= content.len() {
        return answer("416 Range Not Satisfiable", String::new(), &[], 0);
    }
    let mut part = content[from..if first.is_some() { last + 1 } else { content.len() }].to_vec();
    let length = part.len();
    if is_large {
        if hub.flips {
            part[length - 1] ^= 1;
        }
        if let Some(cut) = hub.cuts.pop_front() {
            part.truncate(cut);
        }
    }
    let headers = commit + &format!("ETag: \"{etag}\"\r\n");
    match first {
        Some(first) => {
            let range = format!("Content-Range: bytes {first}-{last}/{}\r\n", content.len());
            answer("206 Partial Content", headers + &range, &part, length);
        }
        None => answer("200 OK", headers, &part, length),
    }
}

pub(super) fn complaint<T>(outcome: Result<T>) -> String {
    outcome.err().map(|error| error.to_string()).unwrap_or_default()
}

pub(super) fn assert_whole(found: &Path) {
    let read = |folder: &Path| std::fs::read(folder.join(WEIGHTS)).unwrap();
    assert!(read(found) == read(&folder("llama")), "the weights are not those of the hub");
}
