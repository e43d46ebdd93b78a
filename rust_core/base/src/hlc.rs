//! Hybrid logical clocks (Kulkarni et al., "Logical Physical Clocks", 2014).
//!
//! A timestamp is 48 bits of milliseconds and a counter of 16. The clock ticks when something is
//! stamped and merges what it receives, so causes are stamped below their effects; it stays within
//! the offset bound of physical time because stamps too far ahead are refused.

use std::fmt;

const COUNTER_BITS: u32 = 16;

/// How far ahead of the own physical clock a received stamp may lie, in milliseconds.
pub const OFFSET_MAX_MS: u64 = 250;

/// A point of hybrid logical time: `milliseconds << 16 | counter`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Before everything.
    pub const MIN: Self = Self(0);
    /// After everything.
    pub const MAX: Self = Self(u64::MAX);

    /// The first timestamp of a millisecond since the Unix epoch.
    pub fn from_ms(ms: u64) -> Self {
        assert!(ms < 1 << 48, "{ms} ms is past the year 10889");
        Self(ms << COUNTER_BITS)
    }

    /// Milliseconds since the Unix epoch.
    pub fn ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// The counter within the millisecond.
    pub fn counter(self) -> u16 {
        (self.0 & 0xFFFF) as u16
    }

    /// The timestamp right after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("the last timestamp is never issued"))
    }

    /// The timestamp right before this one; of the first there is none, so it stays.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:04x}ms", self.ms(), self.counter())
    }
}

/// A received stamp lies too far ahead of the own physical clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "stamp {stamp:?} is {ahead_ms} ms ahead of the local clock; at most {OFFSET_MAX_MS} ms are accepted"
)]
pub struct ClockAhead {
    /// What was received.
    pub stamp: Timestamp,
    /// How far ahead it lies.
    pub ahead_ms: u64,
}

/// A node's hybrid logical clock. It reads no clock itself: physical time is given at each look.
#[derive(Clone, Debug, Default)]
pub struct Hlc {
    last: Timestamp,
}

impl Hlc {
    /// A clock that will issue nothing at or below `floor`.
    pub fn starting_after(floor: Timestamp) -> Self {
        Self { last: floor }
    }

    /// The newest stamp issued or merged.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// Folds physical time in (R17: at every look) and returns the clock, without ticking.
    pub fn look(&mut self, physical_ms: u64) -> Timestamp {
        self.last = self.last.max(Timestamp::from_ms(physical_ms));
        self.last
    }

    /// Issues a stamp above all issued and merged before.
    pub fn tick(&mut self, physical_ms: u64) -> Timestamp {
        let before = self.last;
        self.last = self.last.next().max(Timestamp::from_ms(physical_ms));
        assert!(self.last > before, "{:?} was issued after {before:?}", self.last);
        self.last
    }

    /// Merges a received stamp, so that later ticks lie above it; refuses one too far ahead, and
    /// then changes nothing.
    pub fn merge(&mut self, stamp: Timestamp, physical_ms: u64) -> Result<(), ClockAhead> {
        let ahead_ms = stamp.ms().saturating_sub(physical_ms);
        if ahead_ms > OFFSET_MAX_MS {
            return Err(ClockAhead { stamp, ahead_ms });
        }
        self.look(physical_ms);
        self.last = self.last.max(stamp);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_rise_while_the_wall_clock_falls() {
        let mut clock = Hlc::default();
        let mut before = Timestamp::MIN;
        for physical in [1000, 1000, 990, 10, 1001, 1001] {
            let stamp = clock.tick(physical);
            assert!(stamp > before);
            before = stamp;
        }
        assert_eq!(before, Timestamp(Timestamp::from_ms(1001).0 + 1));
    }

    #[test]
    fn a_stamp_too_far_ahead_changes_nothing() {
        let mut clock = Hlc::starting_after(Timestamp::from_ms(1000));
        let stamp = Timestamp::from_ms(1000 + OFFSET_MAX_MS + 1);
        assert_eq!(
            clock.merge(stamp, 1000),
            Err(ClockAhead { stamp, ahead_ms: OFFSET_MAX_MS + 1 })
        );
        assert_eq!(clock.last(), Timestamp::from_ms(1000));
        clock.merge(Timestamp::from_ms(1000 + OFFSET_MAX_MS), 1000).expect("within the bound");
        assert!(clock.tick(1000) > Timestamp::from_ms(1000 + OFFSET_MAX_MS));
    }
}
