//! Where the cache is and how the hub is reached.

use std::path::PathBuf;
use std::time::Duration;

/// How long a server may say nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the cache is and how the hub is reached.
#[derive(Clone)]
pub struct Settings {
    /// The folder that holds `models--owner--name`.
    pub cache: PathBuf,
    /// Sent to an endpoint that refuses to answer without.
    pub token: Option<String>,
    /// The server, without a slash at the end.
    pub endpoint: String,
    /// Whether the cache is all there is.
    pub is_offline: bool,
    /// How long the server may say nothing before it is given up.
    pub patience: Duration,
}

impl Settings {
    /// What the variables of `huggingface_hub` say: `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN` (else the token
    /// that `hf auth login` saved), `HF_ENDPOINT`, `HF_HUB_OFFLINE` and `HF_HUB_DOWNLOAD_TIMEOUT` (seconds).
    pub fn from_environment() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let home = text("HF_HOME").map(PathBuf::from).unwrap_or_else(|| {
            let caches = text("XDG_CACHE_HOME").map(PathBuf::from);
            let caches = caches.or_else(|| Some(std::env::home_dir()?.join(".cache")));
            caches.unwrap_or_default().join("huggingface")
        });
        let cache = text("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from);
        let saved = || std::fs::read_to_string(home.join("token")).ok();
        let token = text("HF_TOKEN").or_else(saved).map(|token| token.trim().to_owned());
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        let is_offline = text("HF_HUB_OFFLINE")
            .is_some_and(|value| !["0", "false", "no", "off"].contains(&value.to_lowercase().as_str()));
        let seconds = text("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|value| value.trim().parse::<u32>().ok());
        let patience =
            seconds.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()));
        Self {
            cache,
            token: token.filter(|token| !token.is_empty()),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            is_offline,
            patience: patience.unwrap_or(PATIENCE),
        }
    }
}
