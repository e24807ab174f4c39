//! How many threads the environment asks for.

use crate::error::{Error, Result};

/// Who reads them: rayon, for all that we compute, and polars, for tables.
const NAMES: [&str; 2] = ["RAYON_NUM_THREADS", "POLARS_MAX_THREADS"];

/// Refuses a number of threads that no machine like this one has: starting them takes minutes, and nothing is answered
/// meanwhile.
///
/// # Errors
/// If one is above eight for each processor, and above 64.
pub(super) fn check() -> Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let most = (8 * processors).max(64);
    for name in NAMES {
        let asked = std::env::var(name).unwrap_or_default();
        // What is no number they ignore, too.
        let digits = asked.trim().trim_start_matches('+');
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && !digits.parse::<usize>().is_ok_and(|threads| threads <= most) {
            return Err(Error::request(format!("{name}: expected at most {most} threads, found {asked}"))
                .hint(format!("unset it to use all {processors} processors")));
        }
    }
    Ok(())
}
