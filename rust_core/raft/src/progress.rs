//! What a leader knows of one follower, and when it may send it more.
//!
//! A follower is *probed* until the point is found where the logs meet: one append at a time. From
//! then on entries are *replicated*: sent without waiting for answers, within a window. A rejected
//! append, a new connection, or silence where answers are due falls back to probing. (The states
//! are those of etcd's library; its third, sending a snapshot, is here `TooFarBehind`.)

use std::collections::VecDeque;

use phantom_base::{LogIndex, Nanos};

use crate::{Limits, Member};

/// A probe whose answer did not come is repeated after so long: two heartbeats.
const PROBE_AGAIN_NS: Nanos = 300_000_000;

/// The same for an entry that travels in pieces: 20 MiB at 2 MiB/s.
const PROBE_LARGE_AGAIN_NS: Nanos = 10_000_000_000;

#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// One append at a time; the next after `again`, or at once if it is `None`.
    Probe { again: Option<Nanos> },
    /// Appends follow each other.
    Replicate(Window),
    /// It needs entries that are gone.
    TooFarBehind,
}

/// Appends that are not answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The last index and the size of each, in order.
    inflight: VecDeque<(LogIndex, usize)>,
    bytes: usize,
    /// When the oldest of them was sent, or the last answer came.
    since: Nanos,
    /// The newest is so large that nothing may follow it.
    alone: bool,
}

impl Window {
    fn is_open(&self, limits: &Limits) -> bool {
        let few = self.inflight.len() < limits.window_messages;
        !self.alone && few && self.bytes < limits.window_bytes
    }

    fn push(&mut self, last: LogIndex, bytes: usize, now: Nanos, alone: bool) {
        if self.inflight.is_empty() {
            self.since = now;
        }
        self.inflight.push_back((last, bytes));
        self.bytes += bytes;
        self.alone = alone;
    }

    fn answered(&mut self, matched: LogIndex, now: Nanos) {
        while let Some((_, bytes)) = self.inflight.front().filter(|(last, _)| *last <= matched) {
            self.bytes -= bytes;
            self.inflight.pop_front();
            self.since = now;
        }
        self.alone = self.alone && !self.inflight.is_empty();
    }

    /// The last index in it.
    pub fn last(&self) -> Option<LogIndex> {
        self.inflight.back().map(|(last, _)| *last)
    }

    fn is_overdue(&self, now: Nanos, limits: &Limits) -> bool {
        let usual = limits.election_min_ns.max(3 * limits.sync_ns);
        let patience = if self.alone { PROBE_LARGE_AGAIN_NS } else { usual };
        !self.inflight.is_empty() && now.saturating_sub(self.since) > patience
    }
}

/// A follower.
#[derive(Debug)]
pub struct Progress {
    pub member: Member,
    /// Its log equals ours up to here, durably.
    pub matched: LogIndex,
    /// What it is sent next.
    pub next: LogIndex,
    pub state: State,
    /// When it last said anything in this term.
    pub heard_at: Nanos,
    /// In which epoch it has promised to help this leader alone; 0 while it has not said.
    pub epoch: u64,
    /// What it said that it has applied.
    pub applied: LogIndex,
    /// Whether its disk is under its reserve, as it said last in this term; unknown until it has.
    pub short_of_room: Option<bool>,
    /// The newest commit index that it was told, unless the message was lost.
    pub commit_told: LogIndex,
}

impl Progress {
    /// Of a follower that nothing is known of but what it holds at least.
    pub fn new(member: Member, matched: LogIndex, next: LogIndex, now: Nanos) -> Self {
        assert!(matched < next, "{member:?} matches {matched}, and {next} comes next");
        Self {
            member,
            matched,
            next,
            state: State::Probe { again: None },
            heard_at: now,
            epoch: 0,
            applied: LogIndex(0),
            short_of_room: None,
            commit_told: LogIndex(0),
        }
    }

    /// Whether its disk is known to be under its reserve.
    pub fn is_short_of_room(&self) -> bool {
        self.short_of_room == Some(true)
    }

    /// Whether an append may leave now.
    pub fn may_send(&self, now: Nanos, limits: &Limits) -> bool {
        match &self.state {
            State::Probe { again } => again.is_none_or(|at| now >= at),
            State::Replicate(window) => window.is_open(limits),
            State::TooFarBehind => false,
        }
    }

    /// Records an append of `bytes` that ends at `last`; `last` is before `next` in a bare probe.
    pub fn sent(&mut self, last: LogIndex, bytes: usize, now: Nanos, limits: &Limits) {
        let large = bytes > limits.alone_bytes;
        match &mut self.state {
            State::Probe { again } => {
                // An answer waits for a sync, and that perhaps for another.
                let usual = PROBE_AGAIN_NS.max(2 * limits.sync_ns);
                let wait = if large { PROBE_LARGE_AGAIN_NS } else { usual };
                *again = Some(now + wait);
            }
            State::Replicate(window) => {
                assert!(last >= self.next, "replication sends what comes next");
                window.push(last, bytes, now, large);
                self.next = last.next();
            }
            State::TooFarBehind => unreachable!("nothing is sent to who is too far behind"),
        }
    }

    /// Records that the follower matches up to `matched`; whether that was news.
    pub fn accepted(&mut self, matched: LogIndex, now: Nanos) -> bool {
        let news = matched > self.matched;
        self.matched = self.matched.max(matched);
        self.next = self.next.max(self.matched.next());
        match &mut self.state {
            State::Probe { .. } => {
                self.next = self.matched.next();
                self.state = State::Replicate(Window::default());
            }
            State::Replicate(window) => window.answered(matched, now),
            State::TooFarBehind => {}
        }
        news
    }

    /// Records that the follower has no entry that equals ours at `prev`; `meet` is the last
    /// index at which the logs may be equal. Stale rejections change nothing and return false.
    pub fn rejected(&mut self, prev: LogIndex, meet: LogIndex) -> bool {
        let stale = match &self.state {
            State::Probe { .. } => prev.next() != self.next,
            State::Replicate(_) => prev <= self.matched,
            State::TooFarBehind => true,
        };
        if stale || prev <= self.matched {
            return false;
        }
        self.next = match &self.state {
            // What is known to match need not be searched.
            State::Replicate(_) => self.matched.next(),
            _ => meet.min(prev.previous()).max(self.matched).next(),
        };
        self.state = State::Probe { again: None };
        self.commit_told = LogIndex(0);
        true
    }

    /// Starts again from what is known to match: answers in flight may be lost. Who was too far
    /// behind is told again, for that message may be lost too.
    pub fn probe(&mut self) {
        if matches!(self.state, State::Replicate(_)) {
            self.next = self.matched.next();
        }
        self.state = State::Probe { again: None };
        self.commit_told = LogIndex(0);
    }

    /// Falls back to probing if answers are overdue.
    pub fn suspect_loss(&mut self, now: Nanos, limits: &Limits) {
        if matches!(&self.state, State::Replicate(window) if window.is_overdue(now, limits)) {
            phantom_base::mark!("append_answers_overdue");
            self.probe();
        }
    }
}

#[cfg(test)]
mod tests {
    use phantom_base::{NodeId, ReplicaId};

    use super::*;

    fn replicating() -> Progress {
        let member = Member { node: NodeId(2), replica: ReplicaId(2) };
        let mut progress = Progress::new(member, LogIndex(0), LogIndex(10), 0);
        progress.sent(LogIndex(9), 0, 0, &Limits::default());
        assert!(progress.accepted(LogIndex(9), 0));
        progress
    }

    #[test]
    fn a_probe_waits_for_its_answer() {
        let member = Member { node: NodeId(2), replica: ReplicaId(2) };
        let limits = Limits::default();
        let mut progress = Progress::new(member, LogIndex(0), LogIndex(10), 0);
        assert!(progress.may_send(0, &limits));
        progress.sent(LogIndex(9), 0, 0, &limits);
        assert!(!progress.may_send(PROBE_AGAIN_NS - 1, &limits));
        assert!(progress.may_send(PROBE_AGAIN_NS, &limits), "its answer may be lost");
    }

    #[test]
    fn the_window_closes_by_count_and_by_bytes() {
        let limits = Limits { window_messages: 2, window_bytes: 100, ..Limits::default() };
        let mut progress = replicating();
        progress.sent(LogIndex(10), 10, 0, &limits);
        assert!(progress.may_send(0, &limits));
        progress.sent(LogIndex(11), 10, 0, &limits);
        assert!(!progress.may_send(0, &limits));
        progress.accepted(LogIndex(11), 0);
        progress.sent(LogIndex(12), 100, 0, &limits);
        assert!(!progress.may_send(0, &limits));
    }

    #[test]
    fn nothing_follows_a_large_entry_before_its_answer() {
        let limits = Limits { alone_bytes: 50, ..Limits::default() };
        let mut progress = replicating();
        progress.sent(LogIndex(10), 51, 0, &limits);
        assert!(!progress.may_send(0, &limits));
        progress.accepted(LogIndex(10), 0);
        assert!(progress.may_send(0, &limits));
    }

    #[test]
    fn a_late_rejection_changes_nothing() {
        let mut progress = replicating();
        assert!(!progress.rejected(LogIndex(5), LogIndex(2)), "it matches up to 9 since");
        assert!(matches!(progress.state, State::Replicate(_)));
        assert!(progress.rejected(LogIndex(12), LogIndex(10)));
        assert_eq!(progress.next, LogIndex(10), "what matches is not searched again");
    }
}
