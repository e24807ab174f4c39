//! One question to a chat endpoint, with patience.
//!
//! Nothing is asked of any other address: redirects are not followed, and no proxy is used. The key goes into one
//! header, and is struck out of whatever the server says before anyone sees it.

use super::settings::Settings;
use crate::error::{Error, Result};
use crate::progress::Observer;
use serde_json::Value;
use std::time::{Duration, Instant};
use ureq::http::HeaderValue;
use ureq::{Agent, Body};

/// Longer answers are no verdicts.
const LARGEST: u64 = 1 << 20;

/// The longest that is waited before another attempt, whatever the server asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// What stands in the place of a key.
const STRUCK: &str = "[key]";

/// A key that nothing prints.
struct Key(String);

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(STRUCK)
    }
}

/// What asks.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    key: Option<Key>,
}

/// Why an attempt gave no answer.
enum Failure {
    /// Another might: after so long, where the server says.
    Passing(String, Option<Duration>),
    Lasting(String),
}

impl Client {
    /// Reads the key.
    ///
    /// # Errors
    /// If its environment variable is not set.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let config = Agent::config_builder()
            .user_agent(concat!("deltascope/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_idle_connections_per_host(settings.concurrency)
            .timeout_global(Some(settings.timeout));
        let key = settings.key_name.as_deref().map(key).transpose()?;
        Ok(Self { agent: config.build().into(), key })
    }

    /// The text of the answer; `Err` with a sentence if there is none after all attempts.
    pub(super) fn ask(
        &self,
        settings: &Settings,
        request: &Value,
        observer: &Observer,
    ) -> Result<String, String> {
        let mut attempt = 0;
        loop {
            let (why, wait) = match self.attempt(settings, request) {
                Ok(answer) => return Ok(self.strike(&answer)),
                Err(Failure::Lasting(why)) => return Err(self.strike(&why)),
                Err(Failure::Passing(why, wait)) => (self.strike(&why), wait),
            };
            if attempt == settings.retries {
                return Err(format!("{why}, after {} attempts", attempt + 1));
            }
            let patience = settings.backoff.saturating_mul(1 << attempt.min(16));
            attempt += 1;
            tracing::debug!("the judge: {why}; attempt {} follows", attempt + 1);
            sleep(wait.unwrap_or(patience).min(LONGEST_WAIT), observer)?;
        }
    }

    fn attempt(&self, settings: &Settings, request: &Value) -> Result<String, Failure> {
        let mut post = self.agent.post(&settings.address).header("content-type", "application/json");
        if let Some(Key(key)) = &self.key {
            let header = HeaderValue::from_str(&format!("Bearer {key}"));
            let mut header = header.map_err(|_| Failure::Lasting("the key holds odd letters".to_owned()))?;
            header.set_sensitive(true);
            post = post.header("authorization", header);
        }
        let failed = |error: ureq::Error| match error {
            ureq::Error::Timeout(_) => {
                Failure::Passing(format!("no answer within {:?}", settings.timeout), None)
            }
            ureq::Error::BodyExceedsLimit(_) => Failure::Lasting(format!("more than {LARGEST} bytes")),
            error => Failure::Passing(error.to_string(), None),
        };
        let answer = post.send(request.to_string()).map_err(failed)?;
        let status = answer.status();
        let wait = answer
            .headers()
            .get("retry-after")
            .and_then(|header| header.to_str().ok()?.trim().parse().ok())
            .and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
        if status.is_redirection() {
            return Err(Failure::Lasting(format!(
                "status {}: a redirect, which is not followed",
                status.as_u16()
            )));
        }
        let is_passing = status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 425 | 429);
        let text = text(answer.into_body());
        if !status.is_success() {
            let said = text.ok().and_then(|text| complaint(&serde_json::from_str(&text).ok()?));
            let why = match said {
                Some(said) => format!("status {}: {said}", status.as_u16()),
                None => format!("status {}", status.as_u16()),
            };
            return Err(if is_passing { Failure::Passing(why, wait) } else { Failure::Lasting(why) });
        }
        let value: Option<Value> = serde_json::from_str(&text.map_err(failed)?).ok();
        let Some(value) = value else {
            return Err(Failure::Passing("an answer that is not JSON".to_owned(), wait));
        };
        let ended =
            |how: &str| value.pointer("/choices/0/finish_reason").and_then(Value::as_str) == Some(how);
        match value.pointer("/choices/0/message/content").and_then(Value::as_str) {
            // What was cut off may have gone on otherwise.
            Some(_) if ended("length") => {
                Err(Failure::Lasting("an answer that was cut off: raise `max_tokens`".to_owned()))
            }
            Some(_) if ended("content_filter") => {
                Err(Failure::Lasting("an answer that the server's filter ended".to_owned()))
            }
            Some(content) => Ok(content.to_owned()),
            None => Err(Failure::Passing(
                complaint(&value).unwrap_or_else(|| "JSON without `choices[0].message.content`".to_owned()),
                wait,
            )),
        }
    }

    /// A text of the server without the key.
    fn strike(&self, text: &str) -> String {
        match &self.key {
            Some(Key(key)) => text.replace(key.as_str(), STRUCK),
            None => text.to_owned(),
        }
    }
}

/// The key in the environment variable called `name`.
fn key(name: &str) -> Result<Key> {
    let value = std::env::var(name).unwrap_or_default();
    let value = value.trim();
    if value.is_empty() {
        return Err(Error::request(format!("the judge's key: the environment variable {name} is not set"))
            .hint(format!("export {name}=… before the run")));
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::request(format!("the judge's key: {name} holds spaces or odd letters")));
    }
    Ok(Key(value.to_owned()))
}

fn text(body: Body) -> Result<String, ureq::Error> {
    body.into_with_config().limit(LARGEST).read_to_string()
}

/// What the server says is wrong, in a few words.
fn complaint(value: &Value) -> Option<String> {
    let error = value.get("error")?;
    let message = error.get("message").unwrap_or(error).as_str()?;
    Some(message.chars().take(200).collect())
}

fn sleep(wait: Duration, observer: &Observer) -> Result<(), String> {
    let end = Instant::now() + wait;
    while Instant::now() < end {
        observer.check().map_err(|error| error.to_string())?;
        let left = end.saturating_duration_since(Instant::now());
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    Ok(())
}
