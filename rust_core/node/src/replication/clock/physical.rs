//! Physical time: what the hybrid clock takes for the time of day.
//!
//! It runs with the monotonic clock and is slewed, by a twentieth at most, towards the wall clock. A
//! wall clock that is set wrong for two seconds moves it by a tenth of one. It is put elsewhere in
//! two cases only: forward, to the time that a majority has reached, which is always safe, since
//! stamps only grow; and back while nothing has been stamped with it.

use phantom_base::{Clock, Nanos};

/// Of the time that passes, this part at most is added or left out.
const SLEW_PART: u64 = 20;

/// Where physical time is slewed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slew {
    /// It runs as the monotonic clock does.
    Hold,
    /// Towards the wall clock.
    ToWall,
    /// As slowly as it may: it is ahead of the other nodes.
    Back,
}

/// The physical time of one node, in nanoseconds since the Unix epoch.
#[derive(Debug)]
pub struct Physical {
    now_ns: Nanos,
    /// When it was so, by the monotonic clock.
    looked_at: Nanos,
}

impl Physical {
    /// Time that is `now_ns` at this moment.
    pub fn starting_at(now_ns: Nanos, clock: &dyn Clock) -> Self {
        Self { now_ns, looked_at: clock.monotonic_ns() }
    }

    /// The time now.
    pub fn look(&mut self, clock: &dyn Clock, slew: Slew) -> Nanos {
        let monotonic = clock.monotonic_ns();
        let passed = monotonic.saturating_sub(self.looked_at);
        self.looked_at = self.looked_at.max(monotonic);
        let most = passed / SLEW_PART;
        let plain = self.now_ns.saturating_add(passed);
        self.now_ns = match slew {
            Slew::Hold => plain,
            Slew::ToWall => clock.wall_ns().clamp(plain - most, plain.saturating_add(most)),
            Slew::Back => plain - most,
        };
        self.now_ns
    }

    /// Puts it where it has to be.
    pub fn put(&mut self, now_ns: Nanos) {
        self.now_ns = now_ns;
    }
}

/// What a physical time is at least, so much of the monotonic clock later.
pub fn at_least_after(time_ns: Nanos, passed: Nanos) -> Nanos {
    time_ns.saturating_add(passed - passed / SLEW_PART)
}

/// By how much two physical times may have come closer meanwhile.
pub fn closer_after(passed: Nanos) -> Nanos {
    passed / SLEW_PART * 2
}
