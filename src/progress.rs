//! What long work tells the outside while it runs, and how the outside asks it to stop.
//!
//! Work takes an [`Observer`]: it opens a [`Bar`] per phase, advances it, and calls
//! [`Observer::check`] at every point where it could save a checkpoint and return.

use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;

/// Receives progress. The command line draws bars; a library user may pass [`Observer::silent`].
pub trait Sink: Send + Sync {
    /// A phase of `total` units (`unit` names them, in the plural) begins.
    fn open(&self, label: &str, total: u64, unit: &str) -> Box<dyn Gauge>;
}

/// One phase's display.
pub trait Gauge: Send + Sync {
    /// The number of units done so far, and the seconds since the phase began.
    fn position(&self, done: u64, seconds: f64);
    /// A short note beside the bar, such as the current loss.
    fn note(&self, text: &str);
    /// The phase is over.
    fn close(&self);
}

/// A handle to the sink and to the stop flag. Cheap to clone.
#[derive(Clone)]
pub struct Observer {
    sink: Arc<dyn Sink>,
    stop: Arc<AtomicI32>,
}

impl Observer {
    /// An observer that reports to `sink`.
    pub fn new(sink: Arc<dyn Sink>) -> Self {
        Self { sink, stop: Arc::new(AtomicI32::new(0)) }
    }

    /// An observer that shows nothing.
    pub fn silent() -> Self {
        Self::new(Arc::new(Nothing))
    }

    /// The same stop flag, and nothing shown: for work of which there is much, side by side.
    #[must_use]
    pub fn muted(&self) -> Self {
        Self { sink: Arc::new(Nothing), stop: self.stop.clone() }
    }

    /// Opens a phase of `total` units.
    pub fn bar(&self, label: &str, total: u64, unit: &str) -> Bar {
        Bar { gauge: self.sink.open(label, total, unit), done: 0, started: Instant::now() }
    }

    /// The flag that a signal handler sets to the signal's number.
    pub fn stop_flag(&self) -> Arc<AtomicI32> {
        self.stop.clone()
    }

    /// The signal that asked the work to stop, if one has.
    pub fn stop_requested(&self) -> Option<i32> {
        match self.stop.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal),
        }
    }

    /// Returns an `Interrupted` error once a stop was asked for. Call it where nothing would be lost.
    ///
    /// # Errors
    /// If a signal asked the work to stop.
    pub fn check(&self) -> Result<()> {
        self.stop_requested().map_or(Ok(()), |signal| Err(Error::interrupted(signal)))
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Observer")
    }
}

/// One phase of the work; closes its display when dropped.
pub struct Bar {
    gauge: Box<dyn Gauge>,
    done: u64,
    started: Instant,
}

impl Bar {
    /// `units` more are done.
    pub fn advance(&mut self, units: u64) {
        self.done += units;
        self.gauge.position(self.done, self.started.elapsed().as_secs_f64());
    }

    /// Shows a short note beside the bar.
    pub fn note(&self, text: &str) {
        self.gauge.note(text);
    }

    /// Seconds since the phase began.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.gauge.close();
    }
}

struct Nothing;

impl Sink for Nothing {
    fn open(&self, _: &str, _: u64, _: &str) -> Box<dyn Gauge> {
        Box::new(Nothing)
    }
}

impl Gauge for Nothing {
    fn position(&self, _: u64, _: f64) {}
    fn note(&self, _: &str) {}
    fn close(&self) {}
}
