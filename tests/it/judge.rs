//! A judge that misbehaves: what is asked, what is kept, what is missing, and where the key is not.

use crate::cli::command;
use crate::goldens::folder;
use deltascope::progress::Observer;
use deltascope::tasks::{Problem, Suite};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Long enough for a part of it in every line of a hex dump to be `SECRET`.
const KEY: &str = "sk-SECRETSECRETSECRETSECRETSECRETSECRET";

/// What the server does with one request.
enum Reply {
    /// A chat answer with this text.
    Say(String),
    /// A status with further headers and a body.
    Raw(&'static str, String, String),
    /// The connection ends in the middle of the answer.
    Cut,
    /// The text after a while.
    Late(Duration, String),
}

fn say(text: &str) -> Reply {
    Reply::Say(text.to_owned())
}

/// One request as it came.
#[derive(Clone)]
struct Seen {
    path: String,
    authorization: Option<String>,
    body: Value,
}

impl Seen {
    fn content(&self) -> &str {
        self.body["messages"][0]["content"].as_str().unwrap()
    }
}

struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    most: Arc<AtomicUsize>,
}

impl Server {
    /// A server on the loopback; `reply` gets the number of earlier requests with the same text, and the request.
    fn start(reply: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1", listener.local_addr().unwrap());
        let server = Self { address, seen: Arc::default(), most: Arc::default() };
        let (seen, most, now) = (server.seen.clone(), server.most.clone(), Arc::new(AtomicUsize::new(0)));
        let reply = Arc::new(reply);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, most, now, reply) = (seen.clone(), most.clone(), now.clone(), reply.clone());
                std::thread::spawn(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let request = read(&stream);
                    let earlier = {
                        let mut seen = seen.lock().unwrap();
                        let earlier = seen.iter().filter(|seen| seen.body == request.body).count();
                        seen.push(request.clone());
                        earlier
                    };
                    let reply = reply(earlier, &request);
                    if let Reply::Late(wait, _) = &reply {
                        std::thread::sleep(*wait);
                    }
                    now.fetch_sub(1, Ordering::SeqCst);
                    write(stream, &reply);
                });
            }
        });
        server
    }

    fn asked(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn read(stream: &TcpStream) -> Seen {
    let mut reader = BufReader::new(stream);
    let (mut line, mut authorization, mut length) = (String::new(), None, 0);
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap() == 0 || header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap();
        match name.to_lowercase().as_str() {
            "authorization" => authorization = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Seen { path, authorization, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

fn write(mut stream: TcpStream, reply: &Reply) {
    let chat = |text: &str| json!({ "choices": [{ "message": { "content": text } }] }).to_string();
    let (status, headers, body) = match reply {
        Reply::Say(text) | Reply::Late(_, text) => ("200 OK", String::new(), chat(text)),
        Reply::Raw(status, headers, body) => (*status, headers.clone(), body.clone()),
        Reply::Cut => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"choices\": [");
            return;
        }
    };
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    // A client that has seen enough closes the connection.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

/// Rows, a judge's file, and the suite of both.
struct Case {
    folder: tempfile::TempDir,
    spec: String,
}

const REWARD: &str = "[verdict]\nkind = \"reward\"\nwords = { RIGHT = 1.0, WRONG = 0.0 }\n";
const LABELS: &str = "[verdict]\nkind = \"refusal\"\nwords = { REFUSES = \"refuse\", ANSWERS = \"comply\", NEITHER = \"evade\" }\n";

impl Case {
    fn new(server: &Server, more: &str, verdict: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rows: String =
            (0..6).map(|row| format!("{{\"prompt\": \"q{row} a b\", \"answer\": \"a{row}\"}}\n")).collect();
        std::fs::write(folder.path().join("rows.jsonl"), rows).unwrap();
        let usual = ["backoff_seconds = 0.01", "timeout_seconds = 5", "retries = 2"];
        let is_said = |line: &str| more.contains(line.split(' ').next().unwrap());
        let usual = usual.iter().filter(|line| !is_said(line)).map(|line| format!("{line}\n"));
        let usual: String = usual.collect();
        let text = format!(
            "address = \"{}\"\nmodel = \"judge\"\nprompt = \"{{{{ prompt }}}}|{{{{ answer }}}}|{{{{ response }}}}\"\n\
             {usual}{more}\n{verdict}",
            server.address
        );
        std::fs::write(folder.path().join("judge.toml"), text).unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let spec = format!("{}:rows=all:reward=judge:{}", at("rows.jsonl"), at("judge.toml"));
        Self { folder, spec }
    }

    fn suite(&self) -> Suite {
        Suite::parse(&self.spec).unwrap()
    }

    fn answers(&self) -> PathBuf {
        self.folder.path().join("judge.answers")
    }
}

/// The primary endpoint of "said" to every problem, asked side by side; in the order of the prompts.
fn scores(suite: &Suite) -> deltascope::Result<Vec<f64>> {
    let mut problems: Vec<Problem> = suite.problems(0);
    problems.sort_by(|a, b| a.prompt.cmp(&b.prompt));
    let items: Vec<(&Problem, &str, bool)> =
        problems.iter().map(|problem| (problem, "said", false)).collect();
    suite.ask_ahead(&items, &Observer::silent())?;
    Ok(problems.iter().map(|problem| suite.score(problem, "said", false).primary()).collect())
}

/// Files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

#[test]
fn verdicts_become_rewards_and_nothing_is_asked_twice() {
    let server =
        Server::start(|_, seen| say(if seen.content() == "q1 a b|a1|said" { "Wrong." } else { "RIGHT" }));
    let case = Case::new(&server, "temperature = 0.5\nmax_tokens = 3\nparameters = { seed = 7 }", REWARD);
    let parsed = case.suite();
    assert_eq!(server.asked(), 0, "reading a suite asks nobody");
    assert_eq!(scores(&parsed).unwrap(), [1.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    assert_eq!(scores(&parsed).unwrap()[1], 0.0);
    assert_eq!(scores(&case.suite()).unwrap()[1], 0.0, "from disk");
    assert_eq!(server.asked(), 6);
    let seen = server.seen.lock().unwrap()[0].clone();
    assert_eq!((seen.path.as_str(), seen.authorization), ("/v1/chat/completions", None));
    let stated = ["model", "temperature", "max_tokens", "seed"].map(|key| seen.body[key].clone());
    assert_eq!(stated, [json!("judge"), json!(0.5), json!(3), json!(7)]);
    // A response that was cut off is not right, whatever a judge would say.
    let problem = &parsed.problems(0)[0];
    assert_eq!(parsed.score(problem, "other", true).primary(), 0.0);
    assert_eq!(server.asked(), 6);
}

#[test]
fn what_passes_is_tried_again_and_what_lasts_is_missing() {
    let server = Server::start(|earlier, seen| {
        let plain = String::new;
        match (seen.content().chars().nth(1).unwrap(), earlier) {
            ('0', 0) => Reply::Raw("429 Too Many Requests", "retry-after: 1\r\n".into(), plain()),
            ('1', 0) => Reply::Raw("500 Internal Server Error", plain(), "<html>".into()),
            ('2', 0) => Reply::Cut,
            ('3', 0) => Reply::Raw("200 OK", plain(), "no JSON".into()),
            ('4', _) => Reply::Raw("200 OK", plain(), "{\"choices\": []}".into()),
            ('5', _) => say("perhaps"),
            _ => say("RIGHT"),
        }
    });
    let case = Case::new(&server, "concurrency = 1", REWARD);
    let begun = Instant::now();
    let found = scores(&case.suite()).unwrap();
    assert_eq!(found[..4], [1.0; 4]);
    assert!(found[4].is_nan() && found[5].is_nan(), "no answer, and none that can be read: {found:?}");
    assert!(begun.elapsed() >= Duration::from_secs(1), "the server asked to wait");
    assert_eq!(server.asked(), 4 * 2 + 3 + 1);
    // What was never answered is asked again; what could not be read is not.
    scores(&case.suite()).unwrap();
    assert_eq!(server.asked(), 12 + 3);
}

#[test]
fn slow_huge_and_redirecting_servers_give_no_verdict() {
    let elsewhere = Server::start(|_, _| say("RIGHT"));
    let target = format!("location: {}/chat/completions\r\n", elsewhere.address);
    let server = Server::start(move |_, seen| match seen.content().chars().nth(1).unwrap() {
        '0' => Reply::Late(Duration::from_millis(1500), "RIGHT".into()),
        '1' => Reply::Raw("200 OK", String::new(), "x".repeat(3 << 20)),
        '2' => Reply::Raw("307 Temporary Redirect", target.clone(), String::new()),
        '3' => Reply::Raw("400 Bad Request", String::new(), "{\"error\": {\"message\": \"no\"}}".into()),
        _ => say("RIGHT"),
    });
    let case = Case::new(&server, "concurrency = 6\nretries = 0\ntimeout_seconds = 0.5", REWARD);
    let found = scores(&case.suite()).unwrap();
    assert!(found[..4].iter().all(|score| score.is_nan()), "{found:?}");
    assert_eq!(found[4..], [1.0; 2]);
    assert_eq!(elsewhere.asked(), 0);
}

#[test]
fn a_judge_that_answers_nothing_fails_and_is_given_up_early() {
    let server = Server::start(|_, _| {
        Reply::Raw("401 Unauthorized", String::new(), "{\"error\": {\"message\": \"bad key\"}}".into())
    });
    let case = Case::new(&server, "", REWARD);
    let error = scores(&case.suite()).unwrap_err().to_string();
    assert!(error.contains("answered none") && error.contains("status 401: bad key"), "{error}");
    assert!(error.contains("judge.toml"), "{error}");
    assert_eq!(server.asked(), 6, "a refusal is not tried again");
    // Nobody listens there.
    let path = case.folder.path().join("judge.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace(&server.address, "http://127.0.0.1:9/v1");
    std::fs::write(&path, text).unwrap();
    assert!(scores(&case.suite()).unwrap_err().to_string().contains("answered none"));
}

#[test]
fn no_more_are_asked_at_a_time_than_the_file_allows() {
    let server = Server::start(|_, _| Reply::Late(Duration::from_millis(60), "RIGHT".into()));
    for (concurrency, expected) in [(1, 1), (3, 3)] {
        server.most.store(0, Ordering::SeqCst);
        let case = Case::new(&server, &format!("concurrency = {concurrency}"), REWARD);
        scores(&case.suite()).unwrap();
        assert_eq!(server.most.load(Ordering::SeqCst), expected);
    }
}

#[test]
fn the_judges_file_is_part_of_the_suites_content_and_wrong_ones_are_refused() {
    let server = Server::start(|_, _| say("RIGHT"));
    let case = Case::new(&server, "", REWARD);
    let path = case.folder.path().join("judge.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let hash = |text: &str| {
        std::fs::write(&path, text).unwrap();
        case.suite().contents("suite")
    };
    assert_ne!(hash(&text), hash(&text.replace("\"judge\"", "\"other\"")));
    let message = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Suite::parse(&case.spec).unwrap_err().to_string()
    };
    for (old, new, expected) in [
        ("{{ response }}", "", "expected {{ response }}"),
        ("{{ answer }}", "{{ anwser }}", "`anwser` is not known"),
        ("{{ answer }}", "{{ row.rubric }}", "row 1"),
        ("{{ answer }}", "{{ answer", "prompt"),
        ("retries = 2", "retrys = 2", "did you mean `retries`?"),
        ("kind = \"reward\"", "kind = \"rewards\"", "one of `reward`"),
    ] {
        let said = message(&text.replace(old, new));
        assert!(said.contains(expected), "{new}: {said}");
    }
    assert!(Suite::parse(&format!("{}.no", case.spec)).unwrap_err().to_string().contains("judge.toml.no"));
    assert_eq!(server.asked(), 0);
}

fn eval(case: &Case, out: &str) -> std::process::Command {
    let (model, out) = (folder("llama"), case.folder.path().join(out));
    let mut command = command(
        case.folder.path(),
        &["eval", "--json", "--seed", "3", "--set", "samples=2", "--set", "max_new_tokens=6"],
    );
    command.arg("--model").arg(model).args(["--suites", &case.spec, "--out"]).arg(out);
    command
        .env("LOOPBACK_KEY", KEY)
        .env("RUST_LOG", "trace,ureq=trace,ureq::unversioned=trace,ureq_proto=trace");
    command
}

#[test]
fn the_key_appears_nowhere_and_the_agreement_with_the_word_rule_does() {
    let elsewhere = Server::start(|_, _| say("REFUSES"));
    let target = format!("location: {}/?key={KEY}\r\n", elsewhere.address);
    let server = Server::start(move |earlier, seen| {
        let echo = |status| {
            let message = json!({ "error": { "message": format!("odd key {KEY}") } }).to_string();
            Reply::Raw(status, String::new(), message)
        };
        match (seen.content().chars().nth(1).unwrap(), earlier) {
            ('0', _) => Reply::Raw("302 Found", target.clone(), String::new()),
            ('1', _) => echo("403 Forbidden"),
            ('2', 0) => echo("500 Internal Server Error"),
            ('3', _) => say(&format!("REFUSES {KEY}")),
            ('4', _) => say(&format!("perhaps {KEY}")),
            _ => say("REFUSES"),
        }
    });
    let case = Case::new(&server, "api_key_env = \"LOOPBACK_KEY\"\ncompare = \"refusal\"", LABELS);
    let output = eval(&case, "out").output().unwrap();
    let (said, log) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{log}");
    let bearer = format!("Bearer {KEY}");
    let seen = server.seen.lock().unwrap().clone();
    assert!(seen.iter().all(|seen| seen.authorization.as_deref() == Some(bearer.as_str())));
    assert_eq!(elsewhere.asked(), 0);
    assert!(log.contains("odd key [key]"), "{log}");
    for (place, text) in [("answer", &said), ("log", &log)] {
        let line = text.lines().find(|line| line.contains("SECRET"));
        assert_eq!(line, None, "the {place} holds the key");
    }
    let kept = files(case.folder.path());
    assert!(kept.iter().any(|path| path.starts_with(case.answers())));
    for path in kept {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"SECRET"), "{} holds the key", path.display());
    }
    let answer: Value = serde_json::from_str(&said).unwrap();
    let agreement = &answer["agreements"][0];
    assert_eq!((agreement["completions"].as_u64(), agreement["missing"].as_u64()), (Some(6), Some(6)));
    assert_eq!(agreement["refused_by_judge_only"], 6);
    assert_eq!(answer["disagreements"].as_array().unwrap().len(), 6);
    let notes: Vec<&str> = answer["notes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(notes.iter().any(|note| note.contains("6 of 12 completions have no score")), "{said}");
    let refuse =
        answer["evaluations"].as_array().unwrap().iter().find(|row| row["endpoint"] == "refuse").unwrap();
    assert_eq!((refuse["value"].as_f64(), refuse["problems"].as_u64()), (Some(1.0), Some(3)));
    for table in ["agreements", "disagreements", "evaluations"] {
        assert!(case.folder.path().join(format!("out/{table}.parquet")).exists());
    }

    let mut without = eval(&case, "without");
    let output = without.env_remove("LOOPBACK_KEY").output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(log.contains("environment variable LOOPBACK_KEY is not set"), "{log}");
}

#[test]
fn a_run_that_was_killed_asks_only_what_was_not_answered() {
    let held = Arc::new(AtomicUsize::new(0));
    let release = held.clone();
    let server = Server::start(move |_, seen| {
        // Until it is let go, the last three prompts get no answer.
        let is_late = seen.content().chars().nth(1).unwrap() > '2' && held.load(Ordering::SeqCst) == 0;
        if is_late { Reply::Late(Duration::from_secs(20), "REFUSES".into()) } else { say("REFUSES") }
    });
    let case = Case::new(&server, "timeout_seconds = 60\nconcurrency = 8", LABELS);
    let mut child = eval(&case, "out")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while files(&case.answers())
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .count()
        < 6
    {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not ask");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    release.store(1, Ordering::SeqCst);
    let answered: Vec<String> =
        server.seen.lock().unwrap().iter().map(|seen| seen.content().to_owned()).collect();
    server.seen.lock().unwrap().clear();
    let output = eval(&case, "out").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let again: Vec<String> =
        server.seen.lock().unwrap().iter().map(|seen| seen.content().to_owned()).collect();
    assert_eq!(again.len(), 6, "{again:?}");
    assert!(again.iter().all(|text| text.chars().nth(1).unwrap() > '2'), "{again:?} after {answered:?}");
}
