//! Logs to stderr: warnings, with `--verbose` more, with `RUST_LOG` whatever it asks for of what we log ourselves.
//!
//! The HTTP client and TLS log by another way (the crate `log`), which is not listened to: at their finest level they write
//! out the headers of a request, and with them the token.

use super::progress::Bars;
use crate::foreign::visible;
use std::io::{IsTerminal, Result, Write, stderr};
use std::sync::Arc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

pub(super) fn start(bars: &Arc<Bars>, quiet: bool, verbose: bool) {
    let default = match (quiet, verbose) {
        (true, _) => "error",
        (_, true) => "warn,deltascope=debug",
        _ => "warn",
    };
    let asked = std::env::var("RUST_LOG").unwrap_or_default();
    let filter = filter(&asked).unwrap_or_else(|| filter(default).unwrap_or_default());
    // Colours are for eyes: a file or a pipe would hold their codes.
    let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_target(verbose)
        .with_writer(AboveBars { bars: bars.clone(), colours })
        .finish();
    // A second call in one process (a library user's, a test's) keeps the first subscriber.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// What is logged; `None` if nothing is asked for, or nothing that can be read.
///
/// The crate that speaks HTTP is silent whatever is asked for: it writes out each byte that it sends, keys and tokens
/// among them.
fn filter(asked: &str) -> Option<EnvFilter> {
    let allowed: Vec<&str> = asked.split(',').filter(|directive| !directive.contains("ureq")).collect();
    let filter = EnvFilter::try_new(allowed.join(",")).ok().filter(|_| !asked.trim().is_empty())?;
    Some(filter.add_directive("ureq=off".parse().ok()?))
}

/// Writes log lines with the progress bars out of the way.
struct AboveBars {
    bars: Arc<Bars>,
    colours: bool,
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

struct Line<'a>(&'a AboveBars);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        // The codes of colours are the formatter's own; it writes out those of a message.
        let shown = if self.0.colours { text } else { visible(&text).into_owned().into() };
        self.0.bars.suspend(|| stderr().lock().write_all(shown.as_bytes()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        stderr().lock().flush()
    }
}
