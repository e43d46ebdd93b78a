//! The node's hybrid logical clock over restarts (R17), and beside other nodes.
//!
//! No stamp above `bound` is issued, and `bound` is durable: a `node` slot of the log, a second
//! ahead, or as far as slow syncs take, extended at half way without waiting. After a restart nothing
//! of the clock is left but the bound, so the node neither votes nor acknowledges nor reads before
//! its clock has passed it: until then some stamp of its former life may lie ahead of it.
//!
//! No wall clock is compared with anything. Physical time (`physical`) begins a little before the
//! bound, at the earliest moment at which the former life can have ended; `peers` says what time a
//! majority has.
//!
//! - Behind a majority: it goes forward, at once.
//! - Ahead of it by more than stamps may be: it *waits*. It is silent as after a restart, with the
//!   majority's time, until that has passed the last of its stamps.
//! - A node whose log knows no time begins at its wall clock and stamps nothing before it has heard
//!   a majority, whose time it takes.

mod peers;
mod physical;
mod promises;

use phantom_base::{Clock, ClockAhead, Hlc, Lsn, Nanos, NodeId, OFFSET_MAX_MS, Timestamp, mark};

pub use peers::ClockReport;
pub use promises::{encode_support, read_support};

use peers::PeerClocks;
use physical::{Physical, Slew};

/// How far ahead the bound is logged at least, in milliseconds: twice what is left of it when the
/// next one is.
const AHEAD_MS: u64 = 1_000;
/// What must be left of the bound is so many hundredths of what the log takes to be durable: a bound
/// may have to wait for the sync before its own.
const SYNCS_LEFT_PERCENT: u64 = 250;
/// Slower syncs than this do not move the bound farther: a restart waits until it is passed.
const SYNC_MAX_NS: Nanos = 2_000_000_000;
/// So far ahead of the majority physical time is slewed back whatever the wall clock says.
const LEAD_MAX_NS: Nanos = 50_000_000;
/// Between two looks at what the peers have told.
const JUDGE_EVERY_NS: Nanos = 50_000_000;
/// A jump forward, or a wait, of less than this is not worth telling.
const TOLD_FROM_NS: Nanos = 1_000_000_000;
const MS: Nanos = 1_000_000;

/// A durable bound: nothing above it was stamped, and nothing more than `slack_ms` below it was when
/// it was logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub at: Timestamp,
    pub slack_ms: u64,
}

impl Bound {
    /// What a release wrote that had one slack only.
    pub const SLACK_MS: u64 = AHEAD_MS;
}

/// What an operator should know of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockNews {
    /// Ahead of a majority: silent for so long.
    Waits {
        /// Until the majority has come so far.
        wait_ns: Nanos,
    },
    /// After a start, until the clock has passed what the former life may have stamped.
    Starts {
        /// For so long, unless the others are farther.
        wait_ns: Nanos,
    },
    /// The log knows no time: the clocks of a majority are waited for.
    Asks,
    /// It stamps.
    Settled,
    /// The others were ahead.
    Forward {
        /// By so much.
        by_ns: Nanos,
    },
}

/// The clock and its durable bound.
#[derive(Debug)]
pub struct Stamps {
    hlc: Hlc,
    physical: Physical,
    slew: Slew,
    peers: PeerClocks,
    next_judgement: Nanos,
    /// Whether the log knows no time, and a majority is still to be heard.
    is_new: bool,
    /// Durable: no stamp above it is issued.
    bound: Timestamp,
    /// Logged, durable from that address on.
    pending: Option<(Lsn, Timestamp)>,
    /// What was perhaps stamped and physical time has not passed.
    former: Option<Timestamp>,
    /// How long the log takes to be durable.
    sync_ns: Nanos,
    news: Vec<ClockNews>,
}

impl Stamps {
    /// The clock after a start that found `bound` in the log, in a cluster of so many members.
    pub fn restore(bound: Option<Bound>, members: usize, clock: &dyn Clock) -> Self {
        let begin = bound.map_or_else(
            || clock.wall_ns(),
            |bound| bound.at.ms().saturating_sub(bound.slack_ms).saturating_mul(MS),
        );
        let news = bound.map_or(ClockNews::Asks, |bound| ClockNews::Starts {
            wait_ns: bound.slack_ms.saturating_mul(MS),
        });
        Self {
            hlc: Hlc::default(),
            physical: Physical::starting_at(begin, clock),
            slew: Slew::Hold,
            peers: PeerClocks::new(members),
            next_judgement: 0,
            is_new: bound.is_none(),
            bound: bound.map_or(Timestamp::MIN, |bound| bound.at),
            pending: None,
            former: bound.map(|bound| bound.at),
            sync_ns: 0,
            news: vec![news],
        }
    }

    /// Folds physical time in. Returns the bound that should be logged now, if one should;
    /// `extended` tells where it was put.
    pub fn look(&mut self, clock: &dyn Clock, durable: Lsn) -> Option<Bound> {
        if clock.monotonic_ns() >= self.next_judgement {
            self.judge(clock);
        }
        let physical_ms = self.physical_ms(clock);
        if self.former.is_some_and(|former| physical_ms > former.ms()) {
            self.former = None;
            self.news.push(ClockNews::Settled);
        }
        if let Some((_, bound)) = self.pending.take_if(|(end, _)| *end <= durable) {
            self.bound = self.bound.max(bound);
        }
        if !self.is_settled() || self.pending.is_some() {
            return None;
        }
        let now_ms = self.hlc.look(physical_ms).ms();
        let ahead_ms = self.ahead_ms();
        let short = self.bound.ms() < now_ms + ahead_ms / 2;
        let at = Timestamp::from_ms(now_ms + ahead_ms);
        short.then_some(Bound { at, slack_ms: ahead_ms })
    }

    /// The bound was pushed into the log and ends at `end`.
    pub fn extended(&mut self, bound: Bound, end: Lsn) {
        assert!(self.pending.is_none(), "{bound:?} beside {:?}", self.pending);
        assert!(bound.at > self.bound, "{bound:?} after {:?}", self.bound);
        self.pending = Some((end, bound.at));
    }

    fn ahead_ms(&self) -> u64 {
        let left_ms = self.sync_ns.min(SYNC_MAX_NS) / MS * SYNCS_LEFT_PERCENT / 100;
        AHEAD_MS.max(2 * left_ms)
    }

    /// Says how long the log takes to be durable.
    pub fn set_sync(&mut self, sync_ns: Nanos) {
        self.sync_ns = sync_ns;
    }

    /// How long the logs of all members that are heard take, and this one's.
    pub fn syncs(&self, now: Nanos) -> Vec<Nanos> {
        self.peers.syncs(self.sync_ns, now)
    }

    /// Whether the clock may stamp at all: it has passed whatever was stamped before.
    pub fn is_settled(&self) -> bool {
        self.former.is_none() && !self.is_new
    }

    /// A stamp above all issued and merged before; `None` while the bound that would cover it is
    /// not durable.
    pub fn tick(&mut self, clock: &dyn Clock) -> Option<Timestamp> {
        self.may_issue(clock).then(|| {
            let physical_ms = self.physical_ms(clock);
            self.hlc.tick(physical_ms)
        })
    }

    /// The present stamp, without ticking; `None` while it may not be shown.
    pub fn present(&mut self, clock: &dyn Clock) -> Option<Timestamp> {
        self.may_issue(clock).then(|| self.hlc.last())
    }

    fn may_issue(&mut self, clock: &dyn Clock) -> bool {
        if !self.is_settled() {
            return false;
        }
        let physical_ms = self.physical_ms(clock);
        self.hlc.look(physical_ms) < self.bound
    }

    /// Merges the stamp of a frame; refuses one too far ahead.
    pub fn merge(&mut self, stamp: Timestamp, clock: &dyn Clock) -> Result<(), ClockAhead> {
        let physical_ms = self.physical_ms(clock);
        self.hlc.merge(stamp, physical_ms)
    }

    /// The clock now, physical time folded in; not for anybody else's eyes.
    pub fn now(&mut self, clock: &dyn Clock) -> Timestamp {
        let physical_ms = self.physical_ms(clock);
        self.hlc.look(physical_ms)
    }

    /// How far the clocks of other nodes may be ahead of this one: as was measured, and as far as one
    /// may step without being refused by the next.
    pub fn uncertainty_ms(&self, clock: &dyn Clock) -> u64 {
        OFFSET_MAX_MS + self.peers.ahead_at_most(clock.monotonic_ns()).div_ceil(MS)
    }

    /// The bound of a life that ends here, with nothing more to be stamped; `None` if it has stamped
    /// nothing, and the bound that was found holds on.
    pub fn last_bound(&self) -> Option<Bound> {
        self.is_settled().then(|| Bound { at: self.hlc.last(), slack_ms: 0 })
    }

    /// The newest stamp issued, merged or looked at.
    pub fn last(&self) -> Timestamp {
        self.hlc.last()
    }

    /// What happened since the last time.
    pub fn take_news(&mut self) -> Vec<ClockNews> {
        std::mem::take(&mut self.news)
    }

    /// What a peer is told.
    pub fn report(&mut self, to: NodeId, clock: &dyn Clock) -> ClockReport {
        let physical_ns = self.physical.look(clock, self.slew);
        let ahead_ns = self.peers.ahead_of(to, physical_ns, clock.monotonic_ns());
        ClockReport { physical_ns, ahead_ns, sync_ns: self.sync_ns, is_settled: self.is_settled() }
    }

    /// What the peers have told, for whoever keeps the links.
    pub fn peers(&mut self) -> &mut PeerClocks {
        &mut self.peers
    }

    /// Takes what a peer tells, before anything that comes with it.
    pub fn hear(&mut self, peer: NodeId, report: ClockReport, clock: &dyn Clock) {
        self.peers.hear(peer, report, clock.monotonic_ns());
        self.judge(clock);
    }

    fn physical_ms(&mut self, clock: &dyn Clock) -> u64 {
        self.physical.look(clock, self.slew) / MS
    }

    /// Compares the own time with the others'.
    fn judge(&mut self, clock: &dyn Clock) {
        let (own, now) = (self.physical.look(clock, self.slew), clock.monotonic_ns());
        self.next_judgement = now + JUDGE_EVERY_NS;
        if self.is_new {
            let Some(first) = self.peers.first(own, now) else { return };
            self.physical.put(first);
            self.is_new = false;
            self.news.push(ClockNews::Settled);
        }
        let own = self.physical.look(clock, self.slew);
        if let Some(reached) = self.peers.reached(own, now).filter(|reached| *reached > own) {
            mark!("physical_time_goes_forward");
            self.physical.put(reached);
            if reached - own >= TOLD_FROM_NS {
                self.news.push(ClockNews::Forward { by_ns: reached - own });
            }
        }
        if !self.is_settled() {
            return;
        }
        let own = self.physical.look(clock, self.slew);
        self.slew = match self.peers.reached_at_most(own, now) {
            // Alone, nobody would notice how far a wrong wall clock leads.
            None => Slew::Hold,
            Some(reached) if own > reached + OFFSET_MAX_MS * MS => return self.wait(reached),
            Some(reached) if own > reached + LEAD_MAX_NS => Slew::Back,
            Some(_) => Slew::ToWall,
        };
    }

    /// Takes the majority's time, and is silent until that has passed the last stamp.
    fn wait(&mut self, reached: Nanos) {
        mark!("waits_for_the_time_of_a_majority");
        let last = self.hlc.last();
        self.former = Some(last);
        self.slew = Slew::Hold;
        self.physical.put(reached);
        let wait_ns = last.ms().saturating_mul(MS).saturating_sub(reached);
        self.news.push(ClockNews::Waits { wait_ns });
    }
}

#[cfg(test)]
mod tests;
