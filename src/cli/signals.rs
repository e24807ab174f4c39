//! Ctrl-C, `kill`, and Slurm's warning before a time limit ask the work to save and stop.

use super::progress::Bars;
use crate::progress::Observer;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, exit};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a second signal waits for its last words to be written.
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
            say(&bars, "stopping at the next checkpoint; once more to stop at once");
        }
    });
}

/// Says it on a thread of its own, for a pipe that nobody reads holds up whoever writes to it; the receiver hears when it
/// is said.
fn say(bars: &Arc<Bars>, text: &'static str) -> Receiver<()> {
    let bars = bars.clone();
    let (said, is_said) = channel();
    std::thread::spawn(move || {
        bars.print(text);
        // Nobody may be waiting any more.
        let _ = said.send(());
    });
    is_said
}

/// Ends the process, said or not.
fn end(signal: i32, bars: &Arc<Bars>) {
    let text = "stopped at once: what was done since the last checkpoint is lost; run the same command again to go on";
    // Where nobody reads it, the process ends without a word.
    let _ = say(bars, text).recv_timeout(PATIENCE);
    let _ = emulate_default_handler(signal);
    exit(128 + signal);
}
