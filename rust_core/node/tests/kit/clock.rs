//! Clocks of simulated machines. Time passes only when the test says so.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use phantom_base::sync::{AtomicU64, Ordering};
use phantom_base::{Clock, Nanos};

pub const MS: Nanos = 1_000_000;
/// Wall time at the start: 2024 or so.
const EPOCH_NS: i64 = 1_700_000_000_000_000_000;

/// World time, how far this node's wall clock is off, and how far both its clocks have run ahead.
pub struct NodeClock {
    world: Arc<AtomicU64>,
    ahead_ns: AtomicU64,
    pub offset_ns: AtomicI64,
}

impl NodeClock {
    /// A clock that nobody moves.
    pub fn still() -> Self {
        Self::of(Arc::new(AtomicU64::new(MS)))
    }

    /// One of many that the same time moves.
    pub fn of(world: Arc<AtomicU64>) -> Self {
        Self { world, ahead_ns: AtomicU64::new(0), offset_ns: AtomicI64::new(0) }
    }

    /// Lets more time pass on this machine than elsewhere, as after a day without the others.
    pub fn run_ahead(&self, by: Nanos) {
        self.ahead_ns.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for NodeClock {
    fn wall_ns(&self) -> Nanos {
        let now = self.monotonic_ns().cast_signed();
        (EPOCH_NS + now + self.offset_ns.load(Ordering::Relaxed)).cast_unsigned()
    }

    fn monotonic_ns(&self) -> Nanos {
        self.world.load(Ordering::Relaxed) + self.ahead_ns.load(Ordering::Relaxed)
    }
}
