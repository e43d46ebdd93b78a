//! Coverage marks: `mark!("stale_ack_dropped")` says that a rare branch ran, so that a test can
//! assert that it reached the branch it was written for (after rust-analyzer's `cov-mark`).
//!
//! A mark counts per thread: the simulated runtime is one thread, so tests that run beside each
//! other do not see each other's marks.

use std::cell::RefCell;

use crate::Map;

thread_local! {
    static HITS: RefCell<Map<&'static str, u64>> = const { RefCell::new(Map::new()) };
}

/// Counts one hit of `name` on this thread. Called by `mark!`.
pub fn hit(name: &'static str) {
    HITS.with_borrow_mut(|hits| *hits.entry(name).or_default() += 1);
}

/// How often `name` was hit on this thread since the last `reset`.
pub fn count(name: &str) -> u64 {
    HITS.with_borrow(|hits| hits.get(name).copied().unwrap_or(0))
}

/// Forgets all hits of this thread.
pub fn reset() {
    HITS.with_borrow_mut(Map::clear);
}

/// Says that a rare branch ran; compiled in wherever asserts are, at the cost of one map look-up,
/// so it belongs on rare branches only.
#[macro_export]
macro_rules! mark {
    ($name:literal) => {
        $crate::marks::hit($name)
    };
}
