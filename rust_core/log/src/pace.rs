//! How long the log takes to be durable, as its callers see it.
//!
//! A *turn* begins when something is wanted durable and nothing was, or when the turn before it
//! ended and something still is; it ends with a sync. So on a busy log a turn is one sync, and on an
//! idle one a write and its sync.
//!
//! Where syncs are slow, the next one waits a little after one has ended: whoever was answered by that
//! one is about to push again, and would else wait for two.

use std::collections::VecDeque;

use phantom_base::Nanos;

/// So many turns are remembered: a median that one slow sync does not move, and five do.
const TURNS: usize = 9;
/// So many of them are recent.
const RECENT: usize = 3;

/// Quicker syncs than this are waited for without a pause between them.
const PAUSE_FROM_NS: Nanos = 50_000_000;
/// A pause is so small a part of a turn, and never longer than `PAUSE_MAX_NS`.
const PAUSE_PART: u64 = 25;
const PAUSE_MAX_NS: Nanos = 40_000_000;

/// What `Log::pace` tells, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paced {
    /// The median of the last turns.
    pub usual: Nanos,
    /// The longest of the very last ones and the present one: where it was slow a moment ago.
    pub recent: Nanos,
    /// How long the present turn takes already; 0 if nothing is wanted.
    pub pending: Nanos,
}

#[derive(Debug, Default)]
pub(crate) struct Pace {
    turns: VecDeque<Nanos>,
    since: Option<Nanos>,
    ended_at: Nanos,
}

impl Pace {
    /// Something is wanted durable.
    pub fn wanted(&mut self, now: Nanos) {
        self.since.get_or_insert(now);
    }

    /// A sync has ended.
    pub fn synced(&mut self, now: Nanos) {
        self.ended_at = now;
        if let Some(since) = self.since.take() {
            self.turns.push_back(now.saturating_sub(since));
            if self.turns.len() > TURNS {
                self.turns.pop_front();
            }
        }
    }

    /// For how long nothing should be begun: a sync has just ended.
    pub fn pause(&self, now: Nanos) -> Nanos {
        let usual = self.usual();
        if usual < PAUSE_FROM_NS {
            return 0;
        }
        let until = self.ended_at + (usual / PAUSE_PART).min(PAUSE_MAX_NS);
        until.saturating_sub(now)
    }

    pub fn told(&self, now: Nanos) -> Paced {
        let pending = self.since.map_or(0, |since| now.saturating_sub(since));
        let last = self.turns.iter().rev().take(RECENT).copied().max().unwrap_or_default();
        Paced { usual: self.usual(), recent: last.max(pending), pending }
    }

    fn usual(&self) -> Nanos {
        let mut turns: Vec<_> = self.turns.iter().copied().collect();
        turns.sort_unstable();
        turns.get(turns.len() / 2).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_sync_is_pending_and_not_usual_and_five_are_usual() {
        let mut pace = Pace::default();
        let mut now = 0;
        let mut turn = |pace: &mut Pace, takes: Nanos| {
            pace.wanted(now);
            pace.wanted(now + takes / 2);
            now += takes;
            let pending = pace.told(now).pending;
            pace.synced(now);
            pending
        };
        assert!((0..TURNS).all(|_| turn(&mut pace, 2) == 2));
        assert_eq!(turn(&mut pace, 500), 500, "it began with what was wanted first");
        assert_eq!(pace.told(9_999), Paced { usual: 2, recent: 500, pending: 0 });
        assert!((0..4).all(|_| turn(&mut pace, 500) == 500));
        assert_eq!(pace.told(9_999), Paced { usual: 500, recent: 500, pending: 0 });
    }

    #[test]
    fn there_is_a_pause_behind_slow_syncs_and_none_behind_quick_ones() {
        const MS: Nanos = 1_000_000;
        let mut pace = Pace::default();
        for (takes, pause) in
            [(MS, 0), (50 * MS, 2 * MS), (500 * MS, 20 * MS), (9_000 * MS, 40 * MS)]
        {
            for _ in 0..TURNS {
                pace.wanted(0);
                pace.synced(takes);
            }
            assert_eq!(pace.pause(takes), pause);
            assert_eq!(pace.pause(takes + pause), 0);
        }
    }
}
