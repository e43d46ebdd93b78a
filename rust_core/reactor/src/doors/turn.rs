//! What a turn was like, and what took its time.

use std::fmt;

use phantom_base::{Clock, Nanos};

/// What a turn was like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whether anything was done.
    pub moved: bool,
    /// The next turn comes after so long at the latest; 0 while there is more to do.
    pub sleep_ns: Nanos,
    /// What it took.
    pub laps: Laps,
}

/// How long the parts of a turn took; nothing where nobody times them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Laps {
    ns: [Nanos; Self::NAMES.len()],
    at: Nanos,
    ended: usize,
}

impl Laps {
    const NAMES: [&'static str; 4] = ["verbs", "reading", "the core and its answers", "writing"];

    /// Starts to time, if there is something to time by.
    pub(super) fn begin(clock: Option<&dyn Clock>) -> Self {
        Self { at: clock.map_or(0, Clock::monotonic_ns), ..Self::default() }
    }

    /// A part has ended.
    pub(super) fn end(&mut self, clock: Option<&dyn Clock>) {
        let Some(clock) = clock else { return };
        let now = clock.monotonic_ns();
        if let Some(lap) = self.ns.get_mut(self.ended) {
            *lap = now - self.at;
        }
        (self.at, self.ended) = (now, self.ended + 1);
    }

    /// All of them.
    pub fn total_ns(&self) -> Nanos {
        self.ns.iter().sum()
    }
}

impl fmt::Display for Laps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, ns)) in Self::NAMES.iter().zip(self.ns).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {} ms", ns / 1_000_000)?;
        }
        Ok(())
    }
}
