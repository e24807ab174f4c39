//! What ends the test: more memory than allowed, or a case that takes too long. Both say which case it was.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The most memory that may be held at once, in bytes.
const MOST: usize = 2_000_000_000;
/// The longest that one case may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Counts what is held.
pub(crate) struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
/// The reader, its case, and when that began, in milliseconds from the start, plus one; zero between cases.
static READER: AtomicUsize = AtomicUsize::new(0);
static CASE: AtomicU64 = AtomicU64::new(0);
static SEED: AtomicU64 = AtomicU64::new(0);
static BEGAN: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        took(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

fn took(size: usize) {
    let held = HELD.fetch_add(size, Ordering::Relaxed).saturating_add(size);
    if held > MOST && BEGAN.load(Ordering::Relaxed) != 0 {
        end("asks for more than 2 GB");
    }
}

/// Says which case it was, without asking for memory, and ends the process.
fn end(what: &str) -> ! {
    let mut line = [0_u8; 160];
    let mut rest = &mut line[..];
    let (reader, case, seed) =
        (READER.load(Ordering::Relaxed), CASE.load(Ordering::Relaxed), SEED.load(Ordering::Relaxed));
    let name = crate::readers::NAMES.get(reader).copied().unwrap_or("?");
    let _ = writeln!(rest, "fuzz: reader `{name}`, seed {seed}, case {case}: {what}");
    let left = rest.len();
    let _ = std::io::stderr().write_all(&line[..160 - left]);
    std::process::abort();
}

/// Starts the clock that watches every case.
pub(crate) fn watch(start: Instant) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let began = BEGAN.load(Ordering::Relaxed);
            let now = start.elapsed().as_millis() as u64 + 1;
            if began != 0 && now.saturating_sub(began) > LIMIT.as_millis() as u64 {
                end("takes longer than 5 s");
            }
        }
    });
}

/// Runs one case under watch.
pub(crate) fn case<T>(start: Instant, reader: usize, seed: u64, case: u64, run: impl FnOnce() -> T) -> T {
    READER.store(reader, Ordering::Relaxed);
    CASE.store(case, Ordering::Relaxed);
    SEED.store(seed, Ordering::Relaxed);
    BEGAN.store(start.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
    let found = run();
    BEGAN.store(0, Ordering::Relaxed);
    found
}
