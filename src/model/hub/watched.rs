//! hf-hub at work beside us, where we can leave it.
//!
//! It waits without limit for a server that says nothing, and it names and links files by what the endpoint says when
//! it is asked a second time, which nobody has checked. So it works in a thread of its own: one that stays silent for
//! too long is left alone, and a download ends in the two places where hf-hub lets us look on. Before the first byte, if
//! the file is another than the one that was asked about; and after the last, before anything is renamed or linked.

use hf_hub::api::Progress;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// How often a download has moved on.
pub(super) type Ticks = Arc<AtomicU64>;

/// How work in a thread ended.
pub(super) enum Outcome<T> {
    /// With this result.
    Done(T),
    /// [`Gate`] ended it, or it panicked.
    Left,
    /// Nothing moved on for too long. The thread waits on, for nobody.
    Silent,
}

/// Does `work` in a thread, as long as it ends or `ticks` move on within `patience`.
pub(super) fn watched<T: Send + 'static>(
    patience: Duration,
    ticks: &Ticks,
    work: impl FnOnce() -> T + Send + 'static,
) -> Outcome<T> {
    let (sender, receiver) = channel();
    // Nobody may be left to hear it.
    std::thread::spawn(move || drop(sender.send(work())));
    let mut before = 0;
    loop {
        match receiver.recv_timeout(patience) {
            Ok(result) => return Outcome::Done(result),
            Err(RecvTimeoutError::Disconnected) => return Outcome::Left,
            Err(RecvTimeoutError::Timeout) => match ticks.load(Ordering::Relaxed) {
                now if now == before => return Outcome::Silent,
                now => before = now,
            },
        }
    }
}

/// Looks on while hf-hub downloads.
pub(super) struct Gate {
    pub(super) ticks: Ticks,
    /// What hf-hub locks while it downloads the file that was asked about, and not while it downloads another. It must
    /// not be there before.
    pub(super) lock: PathBuf,
    /// In bytes.
    pub(super) size: u64,
}

impl Progress for Gate {
    fn init(&mut self, size: usize, _: &str) {
        if size as u64 != self.size || !self.lock.exists() {
            leave();
        }
    }

    fn update(&mut self, _: usize) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    fn finish(&mut self) {
        leave();
    }
}

/// Ends the thread without a word: hf-hub offers no other way out of a download.
fn leave() -> ! {
    resume_unwind(Box::new(()))
}
