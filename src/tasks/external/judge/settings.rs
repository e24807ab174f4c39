//! What a judge's file says. No value of a key that nobody knows is ever repeated in an error: it may be a secret.

use super::verdict::Reading;
use crate::error::{At, Error, Result, nearest};
use crate::foreign;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::Uri;

/// Far beyond any prompt that a person writes.
const LIMIT: u64 = 1 << 20;

const KEYS: [&str; 16] = [
    "address",
    "model",
    "system",
    "prompt",
    "temperature",
    "max_tokens",
    "parameters",
    "concurrency",
    "retries",
    "backoff_seconds",
    "timeout_seconds",
    "api_key_env",
    "allow_plain_http",
    "cache",
    "compare",
    "verdict",
];

/// A judge's file, checked.
#[derive(Debug)]
pub(super) struct Settings {
    /// The whole address that is asked.
    pub(super) address: String,
    /// What goes into every request beside its messages.
    pub(super) body: Map<String, Value>,
    pub(super) system: Option<String>,
    pub(super) prompt: String,
    pub(super) concurrency: usize,
    pub(super) retries: u32,
    pub(super) backoff: Duration,
    pub(super) timeout: Duration,
    /// The environment variable that holds the key.
    pub(super) key_name: Option<String>,
    pub(super) cache: PathBuf,
    /// Whether the word rule judges the same responses, for their agreement.
    pub(super) compares: bool,
    pub(super) reading: Reading,
}

/// The file as it is written.
#[derive(Deserialize)]
struct File {
    address: String,
    model: String,
    system: Option<String>,
    prompt: String,
    #[serde(default)]
    temperature: f64,
    max_tokens: Option<u32>,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default = "concurrency")]
    concurrency: usize,
    #[serde(default = "retries")]
    retries: u32,
    #[serde(default = "backoff")]
    backoff_seconds: f64,
    #[serde(default = "timeout")]
    timeout_seconds: f64,
    api_key_env: Option<String>,
    #[serde(default)]
    allow_plain_http: bool,
    cache: Option<PathBuf>,
    compare: Option<String>,
    verdict: super::verdict::File,
}

fn concurrency() -> usize {
    4
}

fn retries() -> u32 {
    4
}

fn backoff() -> f64 {
    1.0
}

fn timeout() -> f64 {
    60.0
}

impl Settings {
    pub(super) fn load(path: &Path) -> Result<Self> {
        let text = foreign::text(path, LIMIT)?;
        Self::parse(&text, path).at(path.display())
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        // Neither the line nor what stood there is shown: whoever wrote a key into the file would have it in a log.
        let wrong = |error: toml::de::Error| {
            let message = error.message();
            let expected =
                message.split_once(", expected ").map(|(_, expected)| format!("expected {expected}"));
            Error::request(expected.unwrap_or_else(|| message.to_owned())).hint(line_of(text, error.span()))
        };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Error::request("expected TOML").hint(line_of(text, error.span()))
        })?;
        unknown(&table, &KEYS)?;
        if let Some(verdict) = table.get("verdict").and_then(toml::Value::as_table) {
            unknown(verdict, &super::verdict::KEYS).at("section `verdict`")?;
        }
        let file: File = toml::from_str(text).map_err(wrong)?;
        file.check(path)
    }
}

fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let before = span.and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("look at line {}", before.matches('\n').count() + 1)
}

fn unknown(table: &toml::Table, known: &[&str]) -> Result<()> {
    let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let plain = key.to_lowercase().replace(['-', '_'], "");
    let is_secret =
        ["apikey", "key", "token", "authorization", "secret", "headers"].contains(&plain.as_str());
    let hint = match nearest(key, known.iter().copied()) {
        _ if is_secret => "a key comes from an environment variable alone: api_key_env = \"NAME\"".to_owned(),
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the keys are {}", known.join(", ")),
    };
    Err(Error::request(format!("unknown key `{key}`")).hint(hint))
}

impl File {
    fn check(self, path: &Path) -> Result<Settings> {
        let address = address(&self.address).at("field `address`")?;
        if let Some(name) = &self.api_key_env {
            let is_name = name.starts_with(|first: char| first.is_ascii_uppercase())
                && name
                    .chars()
                    .all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_');
            // What stands there may be the key itself: it is not repeated.
            if !is_name {
                return Err(Error::request(
                    "field `api_key_env`: expected the name of an environment variable, in capitals",
                )
                .hint("the key itself never stands in the file: api_key_env = \"JUDGE_API_KEY\""));
            }
            if !self.allow_plain_http && is_plain(&address) {
                return Err(Error::request(
                    "field `address`: a key is sent by https alone, or to this machine",
                )
                .hint("write https://, or allow_plain_http = true where the network between is yours"));
            }
        }
        if !(1..=256).contains(&self.concurrency) {
            return Err(range("concurrency", "1 to 256", self.concurrency));
        }
        if self.retries > 20 {
            return Err(range("retries", "0 to 20", self.retries));
        }
        if !(0.0..=100.0).contains(&self.temperature) {
            return Err(range("temperature", "0 to 100", self.temperature));
        }
        if self.model.trim().is_empty() {
            return Err(Error::request("field `model`: expected a name, found none"));
        }
        let compares = match self.compare.as_deref() {
            None => false,
            Some("refusal") => true,
            Some(other) => {
                return Err(Error::request(format!("field `compare`: expected `refusal`, found `{other}`"))
                    .hint("the judge's agreement with the word rule is measured"));
            }
        };
        let reading = Reading::new(self.verdict).at("section `verdict`")?;
        if compares && !reading.gives_labels() {
            return Err(Error::request("field `compare`: the word rule tells refuse, comply and evade")
                .hint("section `verdict`: kind = \"refusal\" or \"compliance\""));
        }
        let cache = self.cache.unwrap_or_else(|| {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            PathBuf::from(format!("{stem}.answers"))
        });
        let mut body = self.parameters;
        for taken in ["model", "messages", "stream", "temperature", "max_tokens", "n"] {
            if body.contains_key(taken) {
                return Err(Error::request(format!("section `parameters`: `{taken}` has no place there"))
                    .hint(
                        "model, temperature and max_tokens are keys of the file; one whole answer is read",
                    ));
            }
        }
        body.insert("model".to_owned(), self.model.into());
        body.insert("temperature".to_owned(), self.temperature.into());
        match (self.max_tokens, body.contains_key("max_completion_tokens")) {
            (Some(0), _) => return Err(range("max_tokens", "at least 1", 0)),
            (Some(_), true) => {
                return Err(Error::request(
                    "field `max_tokens`: `max_completion_tokens` among the parameters says the same",
                ));
            }
            (None, true) => {}
            (stated, false) => {
                body.insert("max_tokens".to_owned(), stated.unwrap_or(64).into());
            }
        }
        Ok(Settings {
            address,
            body,
            system: self.system,
            prompt: self.prompt,
            concurrency: self.concurrency,
            retries: self.retries,
            backoff: seconds("backoff_seconds", self.backoff_seconds)?,
            timeout: seconds("timeout_seconds", self.timeout_seconds)?,
            key_name: self.api_key_env,
            cache: path.parent().unwrap_or(Path::new("")).join(cache),
            compares,
            reading,
        })
    }
}

fn range(field: &str, expected: &str, found: impl std::fmt::Display) -> Error {
    Error::request(format!("field `{field}`: expected {expected}, found {found}"))
}

fn seconds(field: &str, value: f64) -> Result<Duration> {
    match (0.001..=3600.0).contains(&value) {
        true => Ok(Duration::from_secs_f64(value)),
        false => Err(range(field, "0.001 to 3600", value)),
    }
}

/// Where chat completions are asked for: the address of the API, or of its chat endpoint.
fn address(text: &str) -> Result<String> {
    let uri: Uri = text.parse().map_err(|_| {
        Error::request("expected an address").hint("for example address = \"http://127.0.0.1:8000/v1\"")
    })?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(Error::request("expected an address that begins with http:// or https://"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) || uri.query().is_some() {
        return Err(Error::request("expected an address without a user, a password or a query")
            .hint("a key comes from an environment variable: api_key_env = \"NAME\""));
    }
    let plain = text.trim_end_matches('/');
    Ok(match plain.ends_with("/chat/completions") {
        true => plain.to_owned(),
        false => format!("{plain}/chat/completions"),
    })
}

/// Whether what is sent there can be read on the way.
fn is_plain(address: &str) -> bool {
    let uri: Option<Uri> = address.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    !is_here && uri.and_then(|uri| uri.scheme_str().map(str::to_owned)).as_deref() != Some("https")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str =
        "address = \"https://judge.example/v1/\"\nmodel = \"m\"\nprompt = \"{{ response }}\"\n";
    const WORDS: &str = "[verdict]\nkind = \"reward\"\nwords = { yes = 1, no = 0 }\n";

    fn parse(more: &str) -> Result<Settings> {
        Settings::parse(&format!("{SOUND}{more}\n{WORDS}"), Path::new("folder/mine.toml"))
    }

    fn message(more: &str) -> String {
        parse(more).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_said_has_a_default_and_what_is_wrong_is_named() {
        let sound = parse("").unwrap();
        assert_eq!(sound.address, "https://judge.example/v1/chat/completions");
        assert_eq!(sound.cache, Path::new("folder/mine.answers"));
        assert_eq!((sound.body["max_tokens"].as_u64(), sound.body["model"].as_str()), (Some(64), Some("m")));
        let newer = parse("parameters = { max_completion_tokens = 9 }").unwrap();
        assert!(newer.body.get("max_tokens").is_none());
        for (more, expected) in [
            ("retry = 3", "did you mean `retries`?"),
            ("concurrency = 0", "1 to 256"),
            ("temperature = nan", "`temperature`"),
            ("timeout_seconds = 0", "`timeout_seconds`"),
            ("parameters = { stream = true }", "`stream` has no place"),
            ("compare = \"words\"", "expected `refusal`"),
            ("compare = \"refusal\"", "kind = \"refusal\""),
            ("cache = 3", "look at line 4"),
        ] {
            assert!(message(more).contains(expected), "{more}: {}", message(more));
        }
    }

    #[test]
    fn no_error_repeats_what_may_be_a_key() {
        let secret = "sk-test-SECRET0123";
        for more in [
            format!("api_key = \"{secret}\""),
            format!("headers = {{ Authorization = \"Bearer {secret}\" }}"),
            format!("api_key_env = \"{secret}\""),
            format!("api_key_env = {secret}"),
            format!("api_key_env = [\"{secret}\"]"),
            format!("concurrency = \"{secret}\""),
        ] {
            let message = message(&more);
            assert!(!message.contains("SECRET"), "{more}: {message}");
        }
        let with = |address: &str, more: &str| {
            let text = SOUND.replace("https://judge.example/v1/", address);
            Settings::parse(&format!("{text}{more}\n{WORDS}"), Path::new("x.toml"))
        };
        for address in [format!("https://me:{secret}@judge.example"), format!("https://j.example?k={secret}")]
        {
            assert!(!with(&address, "").unwrap_err().to_string().contains("SECRET"));
        }
        let key = "api_key_env = \"JUDGE_KEY\"";
        assert!(with("http://judge.example/v1", key).unwrap_err().to_string().contains("https alone"));
        for sound in
            ["http://127.0.0.1:1/v1", "http://[::1]:1", "http://localhost/v1", "https://judge.example"]
        {
            with(sound, key).unwrap();
        }
        with("http://judge.example/v1", "allow_plain_http = true\napi_key_env = \"JUDGE_KEY\"").unwrap();
    }
}
