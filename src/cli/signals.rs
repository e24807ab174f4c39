//! Ctrl-C, `kill`, and Slurm's warning before a time limit ask the work to save and stop.

use super::progress::Bars;
use crate::progress::Observer;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long a second signal waits for a checkpoint that is being written.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The first signal sets the observer's stop flag; a second one ends the process within two seconds, and says so.
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
                end(signal, &bars);
            }
            bars.print("stopping at the next checkpoint; once more to stop at once");
        }
    });
}

/// Ends the process. Neither a bar that is being drawn nor a pipe that nobody reads can hold it up.
fn end(signal: i32, bars: &Arc<Bars>) {
    let bars = bars.clone();
    let (said, is_said) = channel();
    std::thread::spawn(move || {
        bars.print("stopped at once; what was done since the last checkpoint is lost, the same command goes on from there");
        // Nobody may be waiting any more.
        let _ = said.send(());
    });
    // It may take forever; then the process ends without a word.
    let _ = is_said.recv_timeout(PATIENCE);
    let _ = emulate_default_handler(signal);
    std::process::exit(128 + signal);
}
