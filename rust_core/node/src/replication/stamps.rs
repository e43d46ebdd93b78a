//! The node's hybrid logical clock over restarts (R17).
//!
//! No stamp above `bound` is issued, and `bound` is durable: a `node` slot of the log, one second
//! ahead, extended at half way without waiting. After a restart nothing of the clock is left but
//! the bound, so the node neither votes nor acknowledges nor reads before its clock has passed it:
//! until then some stamp of its former life may lie ahead of it.

use phantom_base::{Clock, ClockAhead, Hlc, Lsn, Timestamp};

/// How far ahead the bound is logged, in milliseconds.
const AHEAD_MS: u64 = 1_000;
/// What is left of it when the next bound is logged.
const EXTEND_AT_MS: u64 = 500;

/// The clock and its durable bound.
#[derive(Debug)]
pub struct Stamps {
    hlc: Hlc,
    /// Durable: no stamp above it is issued.
    bound: Timestamp,
    /// Logged, durable from that address on.
    pending: Option<(Lsn, Timestamp)>,
    /// What the former life may have issued; cleared once the clock has passed it.
    former: Option<Timestamp>,
}

/// Milliseconds of wall time.
fn wall_ms(clock: &dyn Clock) -> u64 {
    clock.wall_ns() / 1_000_000
}

impl Stamps {
    /// The clock after a start that found `bound` in the log; 0 of a new node.
    pub fn restore(bound: Timestamp) -> Self {
        Self { hlc: Hlc::default(), bound, pending: None, former: Some(bound) }
    }

    /// Folds physical time in. Returns the bound that should be logged now, if one should;
    /// `extended` tells where it was put.
    pub fn look(&mut self, clock: &dyn Clock, durable: Lsn) -> Option<Timestamp> {
        let now = self.hlc.look(wall_ms(clock));
        if self.former.is_some_and(|former| now > former) {
            self.former = None;
        }
        if let Some((_, bound)) = self.pending.take_if(|(end, _)| *end <= durable) {
            self.bound = self.bound.max(bound);
        }
        let short = self.bound.ms() < now.ms() + EXTEND_AT_MS;
        // A former life's bound stands until the clock is past it.
        let may = self.former.is_none() && self.pending.is_none();
        (short && may).then(|| Timestamp::from_ms(now.ms() + AHEAD_MS))
    }

    /// The bound was pushed into the log and ends at `end`.
    pub fn extended(&mut self, bound: Timestamp, end: Lsn) {
        assert!(bound > self.bound && self.pending.is_none(), "{bound:?} after {:?}", self.bound);
        self.pending = Some((end, bound));
    }

    /// Whether the clock has passed all that a former life may have issued.
    pub fn is_settled(&self) -> bool {
        self.former.is_none()
    }

    /// A stamp above all issued and merged before; `None` while the bound that would cover it is
    /// not durable.
    pub fn tick(&mut self, clock: &dyn Clock) -> Option<Timestamp> {
        self.may_issue(clock).then(|| self.hlc.tick(wall_ms(clock)))
    }

    /// The present stamp, without ticking; `None` while it may not be shown.
    pub fn present(&mut self, clock: &dyn Clock) -> Option<Timestamp> {
        self.may_issue(clock).then(|| self.hlc.last())
    }

    fn may_issue(&mut self, clock: &dyn Clock) -> bool {
        let now = self.hlc.look(wall_ms(clock));
        self.is_settled() && now < self.bound
    }

    /// Merges the stamp of a frame; refuses one too far ahead.
    pub fn merge(&mut self, stamp: Timestamp, clock: &dyn Clock) -> Result<(), ClockAhead> {
        self.hlc.merge(stamp, wall_ms(clock))
    }

    /// The newest stamp issued, merged or looked at.
    pub fn last(&self) -> Timestamp {
        self.hlc.last()
    }
}

#[cfg(test)]
mod tests {
    use phantom_base::Nanos;
    use phantom_base::sync::{AtomicU64, Ordering};

    use super::*;

    struct Set(AtomicU64);

    impl Clock for Set {
        fn wall_ns(&self) -> Nanos {
            self.0.load(Ordering::Relaxed) * 1_000_000
        }
        fn monotonic_ns(&self) -> Nanos {
            0
        }
    }

    #[test]
    fn no_stamp_lies_above_a_durable_bound() {
        let clock = Set(AtomicU64::new(10_000));
        let mut stamps = Stamps::restore(Timestamp::MIN);
        let bound = stamps.look(&clock, Lsn(0)).expect("the first bound");
        assert_eq!(bound, Timestamp::from_ms(11_000));
        stamps.extended(bound, Lsn(5));
        assert_eq!(stamps.tick(&clock), None, "it is logged and not durable");
        assert_eq!(stamps.look(&clock, Lsn(5)), None);
        assert!(stamps.tick(&clock).is_some());
        clock.0.store(10_501, Ordering::Relaxed);
        let next = stamps.look(&clock, Lsn(5)).expect("half of it is used");
        stamps.extended(next, Lsn(9));
        assert!(stamps.tick(&clock).is_some(), "nobody waits for the extension");
        clock.0.store(11_200, Ordering::Relaxed);
        assert_eq!(stamps.look(&clock, Lsn(5)), None);
        assert_eq!(stamps.tick(&clock), None, "the disk is slow: silence");
        stamps.look(&clock, Lsn(9));
        assert!(stamps.tick(&clock).is_some());
    }

    #[test]
    fn a_restart_waits_until_its_clock_has_passed_the_former_bound() {
        let clock = Set(AtomicU64::new(10_000));
        let mut stamps = Stamps::restore(Timestamp::from_ms(10_700));
        assert_eq!(stamps.look(&clock, Lsn(0)), None);
        assert!(!stamps.is_settled());
        clock.0.store(10_701, Ordering::Relaxed);
        let bound = stamps.look(&clock, Lsn(0)).expect("a bound of its own");
        assert!(stamps.is_settled());
        stamps.extended(bound, Lsn(1));
        assert_eq!(stamps.tick(&clock), None);
        stamps.look(&clock, Lsn(1));
        assert!(stamps.tick(&clock).expect("settled and durable") > Timestamp::from_ms(10_700));
    }
}
