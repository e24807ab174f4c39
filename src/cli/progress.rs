//! Progress on stderr: a bar with rate and time left on a terminal, else a line now and then.

use crate::foreign::visible;
use crate::progress::{Gauge, Sink};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Seconds between two lines of one phase when stderr is not a terminal.
const LINE_INTERVAL: f64 = 15.0;

/// All bars of the process, one below the other; or none of them.
pub(super) struct Bars {
    display: Display,
    multi: MultiProgress,
    /// How many phases are under way, one within another.
    depth: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Display {
    Nothing,
    Lines,
    Bars,
}

impl Bars {
    pub(super) fn new(quiet: bool) -> Self {
        let display = match (quiet, stderr().is_terminal()) {
            (true, _) => Display::Nothing,
            (false, true) => Display::Bars,
            (false, false) => Display::Lines,
        };
        let target = match display {
            Display::Bars => ProgressDrawTarget::stderr(),
            Display::Lines | Display::Nothing => ProgressDrawTarget::hidden(),
        };
        Self { display, multi: MultiProgress::with_draw_target(target), depth: Arc::default() }
    }

    /// Runs `action` with the bars out of the way, so that what it prints is not overdrawn.
    pub(super) fn suspend<T>(&self, action: impl FnOnce() -> T) -> T {
        self.multi.suspend(action)
    }

    /// Prints one line (or more) on stderr, above the bars.
    pub(super) fn print(&self, text: &str) {
        self.suspend(|| write_line(text));
    }
}

/// A closed stderr must not end the work: there is nobody left to tell.
fn write_line(text: &str) {
    let _ = writeln!(stderr().lock(), "{}", visible(text));
}

impl Sink for Bars {
    fn open(&self, label: &str, total: u64, unit: &str) -> Box<dyn Gauge> {
        match self.display {
            Display::Nothing => Box::new(Hidden),
            Display::Lines => Box::new(Lines::new(label, total, unit, self.depth.clone())),
            Display::Bars => {
                let bar = self.multi.add(ProgressBar::new(total));
                bar.set_style(bar_style(unit));
                bar.set_prefix(visible(label).into_owned());
                bar.enable_steady_tick(Duration::from_millis(500));
                Box::new(Terminal(bar))
            }
        }
    }
}

fn bar_style(unit: &str) -> ProgressStyle {
    // Braces in a unit would be read as placeholders.
    let unit = unit.replace(['{', '}'], "");
    let template = format!(
        "{{prefix:<24}} {{bar:24}} {{pos}}/{{len}} {unit} {{per_sec}} {{eta}} left {{wide_msg:.dim}}"
    );
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

struct Hidden;

impl Gauge for Hidden {
    fn position(&self, _: u64, _: f64) {}
    fn note(&self, _: &str) {}
    fn close(&self) {}
}

struct Terminal(ProgressBar);

impl Gauge for Terminal {
    fn position(&self, done: u64, _: f64) {
        self.0.set_position(done);
    }

    fn note(&self, text: &str) {
        self.0.set_message(visible(text).into_owned());
    }

    fn close(&self) {
        self.0.finish_and_clear();
    }
}

/// Progress as plain lines, for log files. A phase within another says nothing unless it takes long.
struct Lines {
    label: String,
    total: u64,
    unit: String,
    depth: Arc<AtomicUsize>,
    outermost: bool,
    state: Mutex<LineState>,
}

#[derive(Clone, Default)]
struct LineState {
    done: u64,
    seconds: f64,
    printed_at: f64,
    note: String,
}

impl Lines {
    fn new(label: &str, total: u64, unit: &str, depth: Arc<AtomicUsize>) -> Self {
        let outermost = depth.fetch_add(1, Ordering::Relaxed) == 0;
        let (label, unit) = (label.to_owned(), unit.to_owned());
        Self { label, total, unit, depth, outermost, state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn line(&self, state: &LineState) -> String {
        let LineState { done, seconds, note, .. } = state;
        let rate = *done as f64 / seconds.max(1e-9);
        let left = self.total.saturating_sub(*done) as f64 / rate.max(1e-9);
        let Self { label, total, unit, .. } = self;
        let time = if done < total { format!("{left:.0} s left") } else { format!("{seconds:.1} s") };
        let rate = if rate >= 10.0 { format!("{rate:.0}") } else { format!("{rate:.2}") };
        let separator = if note.is_empty() { "" } else { ", " };
        format!("{label}: {done}/{total} {unit}, {rate}/s, {time}{separator}{note}")
    }
}

impl Gauge for Lines {
    fn position(&self, done: u64, seconds: f64) {
        let mut state = self.state();
        state.done = done;
        state.seconds = seconds;
        if seconds - state.printed_at >= LINE_INTERVAL {
            state.printed_at = seconds;
            write_line(&self.line(&state));
        }
    }

    fn note(&self, text: &str) {
        text.clone_into(&mut self.state().note);
    }

    fn close(&self) {
        self.depth.fetch_sub(1, Ordering::Relaxed);
        let state = self.state();
        if state.done > 0 && (self.outermost || state.printed_at > 0.0) {
            write_line(&self.line(&state));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_rate_and_time_left() {
        let lines = Lines::new("sft", 640, "steps", Arc::default());
        lines.position(160, 8.0);
        lines.note("loss 0.42");
        assert_eq!(lines.line(&lines.state().clone()), "sft: 160/640 steps, 20/s, 24 s left, loss 0.42");
        lines.position(640, 32.0);
        assert_eq!(lines.line(&lines.state().clone()), "sft: 640/640 steps, 20/s, 32.0 s, loss 0.42");
    }

    #[test]
    fn a_unit_with_braces_does_not_break_the_bar() {
        bar_style("{}");
    }
}
