//! Lanes: backward passes that run at the same time, each adding up gradients by itself.
//!
//! A lane belongs to the work, not to the thread: a thread that waits for others may be given work of another
//! lane, or of another model, meanwhile. So whoever hands work to another thread hands the lane over with it
//! ([`super::parallel::on_pool`]).

use std::cell::Cell;

/// Backward passes at the same time at most.
pub(crate) const LANES: usize = 2;

thread_local! {
    static LANE: Cell<usize> = const { Cell::new(0) };
}

/// Calls `work`, whose backward passes add into gradients on lane `lane`.
pub(crate) fn lane<R>(lane: usize, work: impl FnOnce() -> R) -> R {
    let _outer = Restored(LANE.replace(lane % LANES));
    work()
}

/// The lane of what runs on this thread now.
pub(crate) fn current() -> usize {
    LANE.get()
}

/// Gives the thread its former lane back, also when the work panics.
struct Restored(usize);

impl Drop for Restored {
    fn drop(&mut self) {
        LANE.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::parallel::on_pool;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    #[test]
    fn work_keeps_its_lane_on_a_thread_that_is_busy_on_another() {
        let (entered, done) = (AtomicUsize::new(0), AtomicBool::new(false));
        // Every thread of the pool stands on lane 1 and takes up what it is given meanwhile.
        let wait = || {
            lane(1, || {
                entered.fetch_add(1, Ordering::Relaxed);
                while !done.load(Ordering::Relaxed) {
                    rayon::yield_now();
                }
                current()
            })
        };
        let (found, after) = std::thread::scope(|scope| {
            let busy = scope.spawn(|| rayon::broadcast(|_| wait()));
            while entered.load(Ordering::Relaxed) < rayon::current_num_threads() {
                std::thread::yield_now();
            }
            let found = [on_pool(current), lane(1, || on_pool(current))];
            done.store(true, Ordering::Relaxed);
            (found, busy.join().unwrap())
        });
        assert_eq!(found, [0, 1]);
        assert!(after.iter().all(|lane| *lane == 1), "{after:?}");
    }

    #[test]
    fn a_panic_gives_the_thread_its_lane_back() {
        assert!(std::panic::catch_unwind(|| lane(1, || panic!("on purpose"))).is_err());
        assert_eq!(current(), 0);
    }
}
