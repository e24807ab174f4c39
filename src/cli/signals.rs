//! Ctrl-C, `kill`, and Slurm's warning before a time limit ask the work to save and stop.

use super::progress::Bars;
use crate::progress::Observer;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The first signal sets the observer's stop flag; a second one ends the process at once.
pub(super) fn listen(observer: &Observer, bars: &Arc<Bars>) {
    let mut signals = match Signals::new([SIGINT, SIGTERM, SIGUSR1]) {
        Ok(signals) => signals,
        Err(error) => {
            tracing::warn!(
                "signals cannot be caught, so a stop loses work since the last checkpoint: {error}"
            );
            return;
        }
    };
    let stop = observer.stop_flag();
    let bars = bars.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if stop.swap(signal, Ordering::Relaxed) != 0 {
                let _ = emulate_default_handler(signal);
            }
            bars.print("stopping at the next checkpoint; once more to stop at once");
        }
    });
}
