//! What the allocator does with the large buffers that every kernel takes and gives back.

/// Asks glibc to keep freed memory for the next buffer, in one heap for each thread that computes.
///
/// By default it hands buffers of this size back to the system at once, and a training step then spends a tenth
/// of its time on page faults. The peak of memory stays the same; what is free is not returned before the end.
/// With fewer heaps threads wait for each other's buffers, a seventh of the time of sampling; with the default, eight a
/// processor, what one thread freed is rarely there for the next.
/// Call it before other threads begin: the heaps that they already have remain.
pub(crate) fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::sync::Once;
        static ONCE: Once = Once::new();
        const TRIM_THRESHOLD: i32 = -1;
        const MMAP_THRESHOLD: i32 = -3;
        const ARENA_MAX: i32 = -8;
        unsafe extern "C" {
            fn mallopt(parameter: i32, value: i32) -> i32;
        }
        // One a worker and one for the thread that starts them.
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let heaps = i32::try_from(workers + 1).unwrap_or(i32::MAX);
        // SAFETY: glibc's own function for this; it takes its lock, and refuses values that it cannot use.
        ONCE.call_once(|| unsafe {
            mallopt(ARENA_MAX, heaps);
            mallopt(TRIM_THRESHOLD, i32::MAX);
            mallopt(MMAP_THRESHOLD, 1 << 30);
        });
    }
}
