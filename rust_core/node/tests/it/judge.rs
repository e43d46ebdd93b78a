//! Who sees all nodes at once and says what must be true of them together.

use std::sync::Arc;

use phantom_base::sync::Mutex;
use phantom_base::{GroupId, LogIndex, Map, NodeId, Set, Term, Timestamp};
use phantom_node::replication::{Applied, Mark, Observer};
use phantom_raft::{BarrierAnswer, BarrierOutcome, Done, Event, Outcome};

/// A proposal that was accepted somewhere.
#[derive(Clone, Copy, Debug)]
struct Proposed {
    gid: GroupId,
    index: LogIndex,
    stamp: Timestamp,
}

/// What had been acknowledged when a barrier was asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Acknowledged {
    index: LogIndex,
    stamp: Timestamp,
}

#[derive(Default)]
pub struct Judge {
    leaders: Map<(GroupId, Term), NodeId>,
    /// Applied by anybody: term and token of each entry that was a batch.
    applied: Map<(GroupId, LogIndex), (Term, u64)>,
    hashes: Map<(GroupId, LogIndex), u64>,
    proposed: Map<u64, Proposed>,
    acknowledged: Map<GroupId, Acknowledged>,
    barriers: Map<u64, Acknowledged>,
    /// Tokens of writes that must be readable at the end, by group.
    pub kept: Map<GroupId, Set<u64>>,
    /// Tokens of writes that must not be.
    pub lost: Map<GroupId, Set<u64>>,
    pub barriers_opened: u64,
    pub elections: u64,
    /// The first and the last stamp that was read by lease in each term.
    leases: Map<(GroupId, Term), (Timestamp, Timestamp)>,
    pub lease_reads: u64,
}

/// The token that a batch carries in its transaction id.
pub fn token_of(txn: [u8; 16]) -> u64 {
    u64::from_le_bytes(txn[..8].try_into().unwrap())
}

/// Tells the judge what a node applies.
pub struct Witness(pub Arc<Mutex<Judge>>);

impl Observer for Witness {
    fn applied(&mut self, batch: &Applied<'_>) {
        let seen = (batch.term, token_of(batch.batch.txn));
        let mut judge = self.0.lock();
        let known = *judge.applied.entry((batch.gid, batch.index)).or_insert(seen);
        assert_eq!(known, seen, "{} {} differs between nodes", batch.gid, batch.index);
    }
}

impl Judge {
    pub fn propose(&mut self, token: u64, gid: GroupId, index: LogIndex, stamp: Timestamp) {
        self.proposed.insert(token, Proposed { gid, index, stamp });
    }

    /// Whether a write has no answer yet.
    pub fn awaits(&self, token: u64) -> bool {
        self.proposed.contains_key(&token)
    }

    pub fn ask(&mut self, token: u64, gid: GroupId) {
        self.barriers.insert(token, self.acknowledged.get(&gid).copied().unwrap_or_default());
    }

    pub fn event(&mut self, node: NodeId, event: &Event) {
        if let Event::BecameLeader { gid, term } = event {
            self.elections += 1;
            let leader = *self.leaders.entry((*gid, *term)).or_insert(node);
            assert_eq!(leader, node, "{gid}: two leaders in {term}");
        }
    }

    pub fn done(&mut self, done: &Done) {
        let proposed = self.proposed.remove(&done.token).expect("answered once");
        assert_eq!((proposed.gid, proposed.index), (done.gid, done.index));
        let Proposed { gid, index, stamp } = proposed;
        match done.outcome {
            Outcome::Committed => {
                let (_, token) = self.applied[&(gid, index)];
                assert_eq!(token, done.token, "{gid} {index}: another entry was acknowledged");
                self.kept.entry(gid).or_default().insert(token);
                let newest = self.acknowledged.entry(gid).or_default();
                newest.index = newest.index.max(index);
                newest.stamp = newest.stamp.max(stamp);
            }
            Outcome::Superseded => {
                self.lost.entry(gid).or_default().insert(done.token);
            }
            Outcome::Unknown => {}
        }
    }

    pub fn barrier(&mut self, answer: &BarrierAnswer) {
        let asked = self.barriers.remove(&answer.token).expect("answered once");
        if let BarrierOutcome::Open { applied, stamp, .. } = answer.outcome {
            self.barriers_opened += 1;
            assert!(
                applied >= asked.index,
                "{}: stale barrier: {applied} applied, {} acknowledged",
                answer.gid,
                asked.index
            );
            assert!(
                stamp > asked.stamp,
                "{}: a barrier covers {stamp:?}, {:?} was acknowledged",
                answer.gid,
                asked.stamp
            );
        }
    }

    /// Leases of a group are apart: no other term was read by lease at this stamp.
    pub fn lease(&mut self, gid: GroupId, outcome: BarrierOutcome) {
        let BarrierOutcome::Open { stamp, term, .. } = outcome else { panic!("{outcome:?}") };
        self.lease_reads += 1;
        let own = self.leases.entry((gid, term)).or_insert((stamp, stamp));
        *own = (own.0.min(stamp), own.1.max(stamp));
        for ((group, other), (first, last)) in &self.leases {
            let is_before = *other < term && *last < stamp;
            let is_after = *other > term && stamp < *first;
            let is_apart = *group != gid || *other == term || is_before || is_after;
            assert!(is_apart, "{gid}: {stamp:?} in {term}, {first:?} to {last:?} in {other}");
        }
    }

    pub fn mark(&mut self, node: NodeId, gid: GroupId, mark: Mark) {
        let known = *self.hashes.entry((gid, mark.index)).or_insert(mark.hash);
        assert_eq!(known, mark.hash, "{gid} on {node}: divergence at {}", mark.index);
    }

    /// A node went down: what it still owed nobody will answer.
    pub fn forget(&mut self, tokens: &Set<u64>) {
        self.proposed.retain(|token, _| !tokens.contains(token));
        self.barriers.retain(|token, _| !tokens.contains(token));
    }
}
