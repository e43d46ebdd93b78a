//! What of a node can be seen without asking the reactor: a picture as of the end of a turn.
//!
//! Nobody who looks holds the reactor up, and the reactor waits for nobody who looks. A picture is at
//! least as new as every event that was told before it is looked at; without events it is at most a
//! few milliseconds older than what it shows.

use std::sync::Arc;

use phantom_base::sync::Mutex;
use phantom_base::{Nanos, Timestamp};
use phantom_node::core::NodeCore;

use crate::doors::Endings;

/// How old a picture may be of which something has changed.
const STALE_NS: Nanos = 5_000_000;
/// How often a node is looked at whose disk does not answer: how long it has not is part of it.
const DISK_NS: Nanos = 100_000_000;

/// Counters of the reactor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Turns, connections, links, by name.
    pub counted: Vec<(&'static str, u64)>,
    /// Connections that have ended, by reason.
    pub endings: Endings,
}

/// A node at the end of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// All groups, as CBOR.
    pub status: Vec<u8>,
    /// Counters and sizes of the core, as CBOR.
    pub stats: Vec<u8>,
    /// Of the reactor.
    pub counters: Counters,
    /// The hybrid clock.
    pub hlc: Timestamp,
}

impl View {
    /// The node as it is now.
    pub fn of(core: &mut NodeCore, counters: Counters) -> Self {
        Self { status: core.status(), stats: core.stats(), counters, hlc: core.replication().hlc() }
    }
}

/// The newest picture. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Window(Arc<Mutex<Option<Arc<View>>>>);

impl Window {
    /// The newest picture, once there is one.
    pub fn look(&self) -> Option<Arc<View>> {
        self.0.lock().clone()
    }

    /// Shows a newer one.
    pub fn show(&self, view: View) {
        *self.0.lock() = Some(Arc::new(view));
    }
}

/// When the next picture is due.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    shown_at: Nanos,
    is_stale: bool,
    disk_waits: bool,
}

impl Pace {
    /// A turn has ended; `moved` if it did anything, `told` if there is something to tell. Whether a
    /// picture is due.
    pub fn turned(&mut self, now: Nanos, moved: bool, told: bool) -> bool {
        self.is_stale |= moved;
        told || now >= self.due_at()
    }

    /// One was made.
    pub fn shown(&mut self, now: Nanos, disk_waits: bool) {
        *self = Self { shown_at: now, is_stale: false, disk_waits };
    }

    /// When one is due if nothing is to be told before.
    pub fn due_at(&self) -> Nanos {
        if self.is_stale {
            self.shown_at + STALE_NS
        } else if self.disk_waits {
            self.shown_at + DISK_NS
        } else {
            Nanos::MAX
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_shown_soon_and_what_is_told_at_once() {
        let mut pace = Pace::default();
        pace.shown(1_000, false);
        assert!(!pace.turned(2_000, false, false));
        assert_eq!(pace.due_at(), Nanos::MAX, "a node at rest is left in peace");
        assert!(!pace.turned(2_000, true, false));
        assert_eq!(pace.due_at(), 1_000 + STALE_NS);
        assert!(pace.turned(1_000 + STALE_NS, false, false));
        assert!(pace.turned(2_000, false, true));
    }

    #[test]
    fn a_disk_that_does_not_answer_is_looked_at_again() {
        let mut pace = Pace::default();
        pace.shown(1_000, true);
        assert!(!pace.turned(1_000 + DISK_NS - 1, false, false));
        assert!(pace.turned(1_000 + DISK_NS, false, false));
    }
}
