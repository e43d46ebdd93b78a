//! The machine's part in promises between nodes: it asks with each heartbeat, logs what must be
//! remembered, withdraws what time has passed, and answers reads that need no round.

use phantom_base::{GroupId, Nanos, NodeId, Timestamp};

use super::{Act, Machine};
use crate::{BarrierOutcome, LogRecord, Parcel, Promise, SupportState};

const MS: Nanos = 1_000_000;

impl Machine {
    /// Tells the clock, and how far the others' may be ahead of it. Before it is told nobody is asked
    /// to count on this node, and no promise passes.
    pub fn look(&mut self, hlc: Timestamp, uncertainty_ms: u64) {
        self.support.look(hlc);
        self.uncertainty_ms = uncertainty_ms;
    }

    /// Says whether the own disk is so late that nobody should count on this node.
    pub fn set_silent(&mut self, is_silent: bool) {
        self.support.is_silent = is_silent;
    }

    /// What of promises a next life has to know if this one ends here, with nothing more to come.
    pub fn last_support(&self) -> SupportState {
        self.support.last_state()
    }

    /// A barrier that needs no round, for a group that this node leads with a lease; `stamp` is a
    /// fresh stamp of its clock (R11).
    pub fn lease(&mut self, now: Nanos, gid: GroupId, stamp: Timestamp) -> Option<BarrierOutcome> {
        self.support.look(stamp);
        let (cx, groups) = self.split(now);
        let group = groups.get_mut(&gid)?;
        group.has_lease(stamp, &cx).then(|| group.opened(stamp))
    }

    /// What `peer` has promised, for whoever judges.
    pub fn held(&self, peer: NodeId) -> Promise {
        self.support.held(peer)
    }

    /// Up to which epoch promises to `peer` are withdrawn, for whoever judges.
    pub fn withdrawn(&self, peer: NodeId) -> u64 {
        self.support.withdrawn(peer)
    }

    pub(super) fn ask_support(&mut self) {
        let wishes = self.support.ask().into_iter();
        self.out.messages.extend(wishes.map(|(peer, wish)| (peer, Parcel::SupportAsked(wish))));
    }

    /// Withdraws promises that time has passed, and logs what has to be.
    pub(super) fn mind_support(&mut self, now: Nanos) {
        if self.stopped {
            return;
        }
        let lapsed = self.support.withdraw();
        if let Some(state) = self.support.take_record() {
            self.out.hold(self.out.batch, Act::Promises { bound: state.bound });
            self.out.record(LogRecord::Support(state));
        }
        if !lapsed.is_empty() {
            let (mut cx, groups) = self.split(now);
            for group in groups.values_mut() {
                for node in &lapsed {
                    group.support_lapsed(*node, &mut cx);
                }
            }
            self.next_tick = self.next_tick.min(now);
        }
    }

    /// When the next promise lapses, if nobody asks again.
    pub(super) fn next_lapse(&self, now: Nanos) -> Nanos {
        self.support.next_lapse_ms().map_or(Nanos::MAX, |ms| now.saturating_add(ms * MS))
    }
}
