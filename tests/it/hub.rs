//! Models by name, against a server on the loopback that speaks the hub's protocol: an endpoint that knows
//! commits and redirects to a second server for the weights, as the hub does.

use crate::cli::{command, text};
use crate::goldens::folder;
use candle_core::Device;
use deltascope::Result;
use deltascope::model::hub::{Settings, config, download};
use deltascope::model::{Config, LlamaShape, Model};
use ring::digest::{SHA256, digest};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const LATER: &str = "89abcdef0123456789abcdef0123456789abcdef";
const NAME: &str = "owner/tiny";
const WEIGHTS: &str = "model.safetensors";
/// What hf-hub asks for to learn a size.
const FIRST_BYTE: &str = "bytes=0-0";

/// How the servers behave, and what they saw.
struct Hub {
    files: BTreeMap<String, Vec<u8>>,
    commit: String,
    etag_of_config: String,
    token: Option<String>,
    ranges: Ranges,
    /// After how many bytes the next answers with weights are cut off.
    cuts: VecDeque<usize>,
    /// One byte of the weights is flipped on the way.
    flips: bool,
    /// Etag and commit of the weights from the second time on that the endpoint is asked about them.
    lies: Option<(String, String)>,
    /// Requests get no answer.
    is_silent: bool,
    seen: Vec<Seen>,
}

#[derive(Clone, Copy, PartialEq)]
enum Ranges {
    All,
    FirstByte,
    None,
}

#[derive(Clone, Debug)]
struct Seen {
    server: &'static str,
    path: String,
    range: String,
    authorization: Option<String>,
}

impl Hub {
    fn of(folder: &Path) -> Self {
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
            is_silent: false,
            seen: Vec::new(),
        }
    }

    fn tiny() -> Self {
        Self::of(&folder("llama"))
    }

    fn gated() -> Self {
        Self { token: Some("secret".to_owned()), ..Self::tiny() }
    }

    fn hash(&self, file: &str) -> String {
        digest(&SHA256, &self.files[file]).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Two listening servers, the endpoint and the store of large files.
struct Server {
    hub: Arc<Mutex<Hub>>,
    endpoint: String,
    home: tempfile::TempDir,
}

impl Server {
    fn start(hub: Hub) -> Self {
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

    fn with<R>(&self, work: impl FnOnce(&mut Hub) -> R) -> R {
        work(&mut self.hub.lock().unwrap())
    }

    fn settings(&self) -> Settings {
        Settings {
            cache: self.home.path().join("hub"),
            token: self.with(|hub| hub.token.clone()),
            endpoint: self.endpoint.clone(),
            is_offline: false,
            patience: Duration::from_secs(30),
        }
    }

    fn offline(&self) -> Settings {
        Settings { is_offline: true, ..self.settings() }
    }

    fn repository(&self) -> PathBuf {
        self.settings().cache.join("models--owner--tiny")
    }

    fn snapshot(&self) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT)
    }

    /// The files that hf-hub has half done are `<hash>.part` here, and those that it calls whole `<hash>`.
    fn stage(&self) -> PathBuf {
        self.repository().join("incomplete/models--owner--tiny/blobs")
    }

    /// Puts `bytes` where an earlier process would have left them.
    fn left(&self, extension: &str, bytes: &[u8]) {
        std::fs::create_dir_all(self.stage()).unwrap();
        let hash = self.with(|hub| hub.hash(WEIGHTS));
        std::fs::write(self.stage().join(hash + extension), bytes).unwrap();
    }

    fn ranges_of_the_weights(&self) -> Vec<String> {
        let is_weights = |seen: &&Seen| seen.server == "store" && seen.range != FIRST_BYTE;
        self.with(|hub| hub.seen.iter().filter(is_weights).map(|seen| seen.range.clone()).collect())
    }

    /// Runs the binary in `place`, with what it needs in its environment.
    fn deltascope(&self, place: &Path, arguments: &[&str]) -> Output {
        command(place, arguments)
            .env("HF_HOME", self.home.path())
            .env("HF_ENDPOINT", format!("{}/", self.endpoint))
            .env("HF_TOKEN", "secret")
            .env_remove("HF_HUB_CACHE")
            .env_remove("HF_HUB_OFFLINE")
            .output()
            .unwrap()
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
        let linked = format!("X-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {}\r\n", content.len());
        let location = format!("Location: {store}/blobs/{file}?signature=1\r\n");
        return answer("302 Found", commit + &linked + &location, &[], 0);
    }
    let knows = hub.ranges == Ranges::All || hub.ranges == Ranges::FirstByte && range == FIRST_BYTE;
    let asked = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let first = asked.and_then(|(first, _)| first.parse::<usize>().ok()).filter(|_| knows);
    let last = asked.and_then(|(_, last)| last.parse::<usize>().ok()).unwrap_or(content.len() - 1);
    let from = first.unwrap_or(0);
    if from >= content.len() {
        return answer("416 Range Not Satisfiable", String::new(), &[], 0);
    }
    let mut part = content[from..if first.is_some() { last + 1 } else { content.len() }].to_vec();
    let length = part.len();
    if is_large && range != FIRST_BYTE {
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

fn complaint<T>(outcome: Result<T>) -> String {
    outcome.err().map(|error| error.to_string()).unwrap_or_default()
}

fn assert_whole(found: &Path) {
    let read = |folder: &Path| std::fs::read(folder.join(WEIGHTS)).unwrap();
    assert!(read(found) == read(&folder("llama")), "the weights are not those of the hub");
}

#[test]
fn a_name_becomes_a_folder_in_the_cache_and_is_there_offline() -> Result<()> {
    let server = Server::start(Hub::tiny());
    assert!(complaint(download(NAME, &server.offline())).contains("HF_HUB_OFFLINE"));
    let found = download(NAME, &server.settings())?;
    assert_eq!(found, server.snapshot());
    let reference = Model::load(&folder("llama"), &Device::Cpu)?.weights_hash()?;
    assert_eq!(Model::load(&found, &Device::Cpu)?.weights_hash()?, reference);
    assert_eq!(std::fs::read_to_string(server.repository().join("refs/main")).unwrap(), COMMIT);
    assert!(!server.repository().join("incomplete").exists());
    server.with(|hub| {
        // Only the first question is about the branch; it may move while files are downloaded.
        let of_branch: Vec<&Seen> = hub.seen.iter().filter(|seen| seen.path.contains("/main/")).collect();
        assert_eq!(of_branch.len(), 1, "{of_branch:?}");
        hub.seen.clear();
    });
    assert_eq!(download(NAME, &server.offline())?, found);
    assert_eq!(download(&format!("{NAME}@{COMMIT}"), &server.settings())?, found);
    assert!(server.with(|hub| hub.seen.is_empty()), "a cached commit was asked for again");
    download(&format!("{NAME}@refs/pr/1"), &server.settings())?;
    assert!(server.ranges_of_the_weights().is_empty(), "cached weights were downloaded again");
    assert!(server.with(|hub| hub.seen[0].path.contains("/refs%2Fpr%2F1/")));
    // What another program left out of a commit is asked for.
    std::fs::remove_file(found.join("tokenizer.json")).unwrap();
    download(&format!("{NAME}@{COMMIT}"), &server.settings())?;
    assert!(found.join("tokenizer.json").exists());
    Ok(())
}

#[test]
fn the_token_goes_only_where_it_is_asked_for() -> Result<()> {
    let server = Server::start(Hub::tiny());
    download(NAME, &Settings { token: Some("secret".to_owned()), ..server.settings() })?;
    server.with(|hub| assert!(hub.seen.iter().all(|seen| seen.authorization.is_none()), "{:?}", hub.seen));
    let server = Server::start(Hub::gated());
    download(NAME, &server.settings())?;
    server.with(|hub| {
        let (front, back): (Vec<_>, Vec<_>) = hub.seen.iter().partition(|seen| seen.server == "endpoint");
        let sent: Vec<bool> = front.iter().map(|seen| seen.authorization.is_some()).collect();
        assert!(!sent[0] && sent[1..].iter().all(|sent| *sent), "{front:?}");
        // hf-hub sends it along when it asks the store for a size, but not for the bytes.
        let mut bytes = back.iter().filter(|seen| seen.range != FIRST_BYTE).peekable();
        assert!(bytes.peek().is_some() && bytes.all(|seen| seen.authorization.is_none()), "{back:?}");
    });
    Ok(())
}

#[test]
fn an_interrupted_download_goes_on_where_it_was_cut() -> Result<()> {
    // The second answer brings nothing: hf-hub's own second try would go on from the first byte.
    let server = Server::start(Hub { cuts: [10_000, 0, 10_000].into(), ..Hub::tiny() });
    let found = download(NAME, &server.settings())?;
    let asked = ["bytes=0-", "bytes=10000-", "bytes=10000-", "bytes=20000-"];
    assert_eq!(server.ranges_of_the_weights(), asked);
    assert_whole(&found);
    Ok(())
}

#[test]
fn what_is_not_whole_is_never_in_its_place() -> Result<()> {
    let mut cuts = VecDeque::from([0; 1000]);
    cuts.push_front(5_000);
    let server = Server::start(Hub { cuts, ..Hub::tiny() });
    let first = complaint(download(NAME, &server.settings()));
    assert!(first.contains("interrupted after 5000 of") && first.contains("run the same command"), "{first}");
    assert!(!server.snapshot().join(WEIGHTS).exists());
    assert!(!server.repository().join("refs").exists());
    assert!(complaint(download(NAME, &server.offline())).contains("HF_HUB_OFFLINE"));
    server.with(|hub| {
        hub.cuts.clear();
        hub.seen.clear();
    });
    assert_whole(&download(NAME, &server.settings())?);
    assert_eq!(server.ranges_of_the_weights(), ["bytes=5000-"]);
    Ok(())
}

#[test]
fn what_an_earlier_process_left_is_used_only_if_it_is_right() -> Result<()> {
    let weights = std::fs::read(folder("llama").join(WEIGHTS)).unwrap();
    // A part that is whole, and a file that was whole but not yet checked.
    for extension in [".part", ""] {
        let server = Server::start(Hub::tiny());
        server.left(extension, &weights);
        assert_whole(&download(NAME, &server.settings())?);
        assert!(server.ranges_of_the_weights().is_empty());
    }
    // A part that is too long.
    let server = Server::start(Hub::tiny());
    server.left(".part", &[&weights[..], b"more"].concat());
    assert_whole(&download(NAME, &server.settings())?);
    // Other bytes, of which only the hash can tell.
    for (extension, length) in [(".part", 3_000), ("", weights.len())] {
        let server = Server::start(Hub::tiny());
        server.left(extension, &vec![7; length]);
        assert!(complaint(download(NAME, &server.settings())).contains("does not have the hash"));
        assert!(!server.snapshot().join(WEIGHTS).exists());
        assert_whole(&download(NAME, &server.settings())?);
    }
    Ok(())
}

#[test]
fn a_file_in_the_cache_of_another_length_is_replaced() -> Result<()> {
    let server = Server::start(Hub::tiny());
    let found = download(NAME, &server.settings())?;
    let hash = server.with(|hub| hub.hash(WEIGHTS));
    std::fs::write(server.repository().join("blobs").join(hash), b"cut").unwrap();
    assert_whole(&download(NAME, &server.settings())?);
    // A link to nothing is no file.
    std::fs::remove_file(std::fs::canonicalize(found.join("config.json")).unwrap()).unwrap();
    download(NAME, &server.settings())?;
    assert!(found.join("config.json").is_file());
    Ok(())
}

#[test]
fn servers_that_ignore_ranges_or_garble_are_seen_through() -> Result<()> {
    let server = Server::start(Hub { ranges: Ranges::FirstByte, cuts: [7_000].into(), ..Hub::tiny() });
    assert_whole(&download(NAME, &server.settings())?);

    let server = Server::start(Hub { ranges: Ranges::None, ..Hub::tiny() });
    let found = complaint(download(NAME, &server.settings()));
    assert!(found.contains("Content-Range") && found.contains("HF_ENDPOINT"), "{found}");

    let server = Server::start(Hub { flips: true, ..Hub::tiny() });
    assert!(complaint(download(NAME, &server.settings())).contains("does not have the hash"));
    assert!(!server.snapshot().join(WEIGHTS).exists());
    server.with(|hub| hub.flips = false);
    assert_whole(&download(NAME, &server.settings())?);
    Ok(())
}

#[test]
fn nothing_that_a_server_says_leads_out_of_the_cache() {
    let escapes = [
        Hub { commit: "../../../escaped".to_owned(), ..Hub::tiny() },
        Hub { etag_of_config: "../../escaped".to_owned(), ..Hub::tiny() },
        Hub { etag_of_config: "/escaped".to_owned(), ..Hub::tiny() },
    ];
    for hub in escapes {
        let server = Server::start(hub);
        assert!(complaint(download(NAME, &server.settings())).contains("with a hash"));
        assert!(!server.repository().exists());
    }
    let server = Server::start(Hub::tiny());
    server.with(|hub| {
        let index = br#"{"weight_map": {"a": "../../../../escaped.safetensors"}}"#;
        hub.files.insert("model.safetensors.index.json".to_owned(), index.to_vec());
        hub.files.remove(WEIGHTS);
    });
    assert!(complaint(download(NAME, &server.settings())).contains("expected a file of this folder"));
    let found = complaint(download("owner/../tiny", &server.settings()));
    assert!(found.contains("expected a folder or a model name"), "{found}");
}

#[test]
fn a_file_that_holds_all_comes_before_an_index() -> Result<()> {
    let server = Server::start(Hub::tiny());
    let index = br#"{"weight_map": {"a": "lost.safetensors"}}"#;
    server.with(|hub| hub.files.insert("model.safetensors.index.json".to_owned(), index.to_vec()));
    let found = download(NAME, &server.settings())?;
    assert_whole(&found);
    assert_eq!(download(NAME, &server.offline())?, found);
    // Nor does it count where they lie side by side in a folder.
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", WEIGHTS] {
        std::fs::copy(found.join(file), folder.path().join(file)).unwrap();
    }
    std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    Model::load(folder.path(), &Device::Cpu)?;
    Ok(())
}

#[test]
fn a_name_may_stand_for_an_adapter() -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/adapters/lora-llama");
    let server = Server::start(Hub::of(&folder));
    let found = download(NAME, &server.settings())?;
    assert!(found.join("adapter_config.json").is_file() && found.join("adapter_model.safetensors").is_file());
    server.with(|hub| hub.seen.clear());
    assert_eq!(download(NAME, &server.offline())?, found);
    assert_eq!(download(&format!("{NAME}@{COMMIT}"), &server.settings())?, found);
    assert!(server.with(|hub| hub.seen.is_empty()), "a cached commit was asked for again");
    Ok(())
}

#[test]
fn a_configuration_comes_without_weights() -> Result<()> {
    let server = Server::start(Hub::tiny());
    let found = config(NAME, &server.settings())?.unwrap();
    assert_eq!(Config::load(&found)?.hook_points(), Config::load(&folder("llama"))?.hook_points());
    assert!(!found.join(WEIGHTS).exists() && server.ranges_of_the_weights().is_empty());
    assert!(complaint(download(NAME, &server.offline())).contains("HF_HUB_OFFLINE"), "half a model");
    assert_whole(&download(NAME, &server.settings())?);
    let scanned = server.deltascope(server.home.path(), &["capture", "--scan", "--model", NAME]);
    assert!(text(&scanned.stdout).contains("blocks.1.hook_resid_post"), "{}", text(&scanned.stderr));
    Ok(())
}

#[test]
fn where_the_hub_cannot_be_reached_the_cache_is_read() -> Result<()> {
    let server = Server::start(Hub::tiny());
    let found = download(NAME, &server.settings())?;
    let nobody = Settings { endpoint: "http://127.0.0.1:9".to_owned(), ..server.settings() };
    assert_eq!(download(NAME, &nobody)?, found);
    // What it is asked for anew is not there.
    assert!(complaint(download(&format!("{NAME}@other"), &nobody)).contains("cannot reach"));
    // A server that answers is believed.
    server.with(|hub| hub.files.clear());
    assert!(complaint(download(NAME, &server.settings())).contains("config.json"));
    Ok(())
}

#[test]
fn a_server_that_says_nothing_is_given_up() -> Result<()> {
    let server = Server::start(Hub::tiny());
    let impatient = Settings { patience: Duration::from_millis(300), ..server.settings() };
    server.with(|hub| hub.is_silent = true);
    let found = complaint(download(NAME, &impatient));
    assert!(found.contains("said nothing for 300ms"), "{found}");
    server.with(|hub| hub.is_silent = false);
    let found = download(NAME, &server.settings())?;
    server.with(|hub| hub.is_silent = true);
    assert_eq!(download(NAME, &impatient)?, found, "the cache is read");
    Ok(())
}

#[test]
fn a_second_answer_that_differs_from_the_first_moves_no_byte() {
    let honest = Hub::tiny().hash(WEIGHTS);
    // The stage's files are four folders below the cache, and its links five.
    for (etag, commit) in
        [("../../../../escaped", COMMIT), (honest.as_str(), "../../../../escaped"), ("c0ffee", COMMIT)]
    {
        let server = Server::start(Hub { lies: Some((etag.to_owned(), commit.to_owned())), ..Hub::tiny() });
        let outcome = download(NAME, &server.settings());
        if etag == honest {
            // Nothing is linked by that answer, and the bytes are those that were stated.
            assert_whole(&outcome.unwrap());
        } else {
            assert!(complaint(outcome).contains("did not send what it had stated"));
            assert!(!server.snapshot().join(WEIGHTS).exists());
        }
        for name in ["escaped", "escaped.part"] {
            let place = server.settings().cache.join(name);
            assert!(place.symlink_metadata().is_err(), "{} was made", place.display());
        }
    }
}

#[test]
fn errors_say_what_to_do() {
    let server = Server::start(Hub::gated());
    let refused = complaint(download(NAME, &Settings { token: None, ..server.settings() }));
    assert!(refused.contains("401") && refused.contains("HF_TOKEN"), "{refused}");
    let unknown = complaint(download("owner/other", &server.settings()));
    assert!(unknown.contains("config.json") && unknown.contains("check the name"), "{unknown}");
    let nobody = Settings { endpoint: "http://127.0.0.1:9".to_owned(), ..server.settings() };
    let nobody = complaint(download(NAME, &nobody));
    assert!(nobody.contains("cannot reach") && nobody.contains("HF_HUB_OFFLINE"), "{nobody}");
}

#[test]
fn verbs_take_names_of_the_hub_as_the_environment_says() {
    let server = Server::start(Hub::gated());
    let checked = server.deltascope(server.home.path(), &["check", "model", &format!("{NAME}@main")]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(server.snapshot().join(WEIGHTS).exists());
}

const STUDY: &str = r#"
name = "named"

[base]
model = "owner/tiny"

[gate]
in_domain = [0.0, 1.0]
refuses_disallowed = 0.0
refuses_allowed = 1.0

[suites]
in_domain = ["general_points"]

[evaluation]
samples = 1
max_new_tokens = 4
problems = 8

[[variant]]
name = "again"
model = "owner/tiny@refs/pr/1"
"#;

#[test]
fn a_study_by_name_is_of_a_commit() -> Result<()> {
    let place = tempfile::tempdir().unwrap();
    let tokenizer = deltascope::tasks::tokenizer()?;
    let shape = LlamaShape {
        vocabulary: tokenizer.vocabulary(),
        d_model: 16,
        layers: 1,
        heads: 2,
        d_mlp: 16,
        max_positions: 256,
        bos: tokenizer.bos(),
        eos: tokenizer.eos(),
        pad: tokenizer.pad(),
    };
    let model = Model::initialise(&Config::llama(&shape)?, 1, &Device::Cpu)?.with_tokenizer(tokenizer);
    model.save(&place.path().join("model"))?;
    std::fs::write(place.path().join("study.toml"), STUDY).unwrap();
    let server = Server::start(Hub::of(&place.path().join("model")));
    let said = |verb: &str| -> serde_json::Value {
        let output = server.deltascope(place.path(), &[verb, "study.toml", "--json", "--quiet"]);
        assert!(output.status.success(), "{verb}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    said("run");
    let cached = |plan: serde_json::Value| -> Vec<bool> {
        plan["stages"].as_array().unwrap().iter().map(|stage| stage["cached"] == true).collect()
    };
    assert!(cached(said("plan")).iter().all(|cached| *cached));
    let store = std::fs::read_dir(place.path().join("runs/named/store")).unwrap();
    let manifests =
        store.flatten().filter_map(|entry| std::fs::read_to_string(entry.path().join("manifest.json")).ok());
    let named = format!("hub {NAME}@{COMMIT}");
    assert_eq!(manifests.filter(|manifest| manifest.contains(&named)).count(), 2);
    // The branch moves, and with it whatever was made from it.
    server.with(|hub| hub.commit = LATER.to_owned());
    assert!(cached(said("plan")).iter().all(|cached| !*cached));
    Ok(())
}
