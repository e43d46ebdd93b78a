//! Classic bugs that a test build can bring back, one at a time, to prove that a test catches each.
//!
//! `if mutant!("ack_before_sync") { .. }` is constantly false unless the feature `mutants` is on;
//! the wheel refuses to build with it. With the feature the process environment names the one
//! mutant that lives: `PHANTOM_MUTANT=ack_before_sync`. `NAMES` is the complete list.

/// Every mutant, and nothing else.
pub const NAMES: &[&str] = &[
    "sync_does_nothing",
    "answer_before_sync",
    "older_term_committed_by_count",
    "barrier_skipped",
    "vote_before_sync",
    "released_above_the_flushed_position",
    "lease_kept_after_transfer",
    "support_withdrawn_early",
    "promise_forgotten_at_restart",
    "read_below_an_expired_lease",
    "own_epoch_shared_by_peers",
    "second_poll_has_work",
];

/// Whether the mutant `name` lives in this process.
#[cfg(feature = "mutants")]
pub fn is_alive(name: &str) -> bool {
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<String> = OnceLock::new();
    assert!(NAMES.contains(&name), "{name} is not in the list of mutants");
    let chosen = CHOSEN.get_or_init(|| std::env::var("PHANTOM_MUTANT").unwrap_or_default());
    assert!(chosen.is_empty() || NAMES.contains(&chosen.as_str()), "unknown mutant {chosen}");
    chosen == name
}

/// Whether a mutant lives in this process; never, in a build without the feature `mutants`.
#[cfg(not(feature = "mutants"))]
#[inline]
pub const fn is_alive(_name: &str) -> bool {
    false
}

/// Marks the place where a mutant of that name changes the behaviour.
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        $crate::mutants::is_alive($name)
    };
}
