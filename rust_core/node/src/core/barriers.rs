//! Barriers that the node asks for on its own account, not for a request at a group.
//!
//! The control plane wants some, to know that what it reads is the newest; sessions want some of the
//! catalog's group. A barrier without a leader is asked for again until it is given up. What became
//! of one comes out of `next_ended`, together with what it was for; nothing here acts on it.

use std::collections::VecDeque;

use phantom_base::{Error, GroupId, Map, Nanos, sqlstate};
use phantom_raft::{BarrierAnswer, BarrierOutcome};

use crate::gateway::LEADER_WAIT_NS;
use crate::leader::RequestId;
use crate::replication::{Refused, Replication};
use crate::session::CatalogWait;

/// Tokens of these barriers begin here; requests have theirs below.
const FIRST: u64 = 1 << 61;
/// How soon a barrier without a leader is asked for again.
pub const ASK_AGAIN_NS: Nanos = 20_000_000;

/// Who waits for a barrier.
pub enum Purpose {
    /// The control plane, which knows it by this token.
    Control(u64),
    /// Sessions that want the newest catalog.
    Catalog(CatalogWait),
    /// A request at a group that this node leads, which was bound to a newer catalog.
    Request(GroupId, RequestId),
}

struct Barrier {
    group: GroupId,
    give_up: Nanos,
    purpose: Purpose,
}

/// The node's own barriers.
pub struct OwnBarriers {
    open: Map<u64, Barrier>,
    next: u64,
    /// Those to be asked for again, since nobody led.
    again: Vec<u64>,
    ended: VecDeque<(Purpose, Result<(), Error>)>,
}

impl OwnBarriers {
    pub fn new() -> Self {
        Self { open: Map::new(), next: FIRST, again: Vec::new(), ended: VecDeque::new() }
    }

    /// Whether a barrier with that token was asked for here.
    pub fn owns(token: u64) -> bool {
        (FIRST..FIRST << 1).contains(&token)
    }

    /// Asks for a barrier in a group.
    pub fn ask(
        &mut self,
        replication: &mut Replication,
        group: GroupId,
        now: Nanos,
        purpose: Purpose,
    ) {
        let token = self.next;
        self.next += 1;
        self.open.insert(token, Barrier { group, give_up: now + LEADER_WAIT_NS, purpose });
        self.put(replication, token);
    }

    fn put(&mut self, replication: &mut Replication, token: u64) {
        let Some(barrier) = self.open.get(&token) else { return };
        match replication.barrier(barrier.group, token) {
            Ok(None) => {}
            Ok(Some(_)) => self.end(token, Ok(())),
            Err(
                Refused::Starting
                | Refused::Raft(
                    phantom_raft::Refused::NotLeader { .. } | phantom_raft::Refused::Busy,
                ),
            ) => self.again.push(token),
            Err(refused) => {
                let error = Error::new(refused.sqlstate(), refused.to_string());
                self.end(token, Err(error));
            }
        }
    }

    /// Asks again for those that found no leader, or gives them up.
    pub fn ask_again(&mut self, replication: &mut Replication, now: Nanos) {
        for token in std::mem::take(&mut self.again) {
            let Some(barrier) = self.open.get(&token) else { continue };
            if now >= barrier.give_up {
                let message = format!("group {} has no leader", barrier.group.0);
                let error = Error::new(sqlstate::CANNOT_CONNECT_NOW, message);
                self.end(token, Err(error));
            } else {
                self.put(replication, token);
            }
        }
    }

    /// Whether some are to be asked for again.
    pub fn has_waiting(&self) -> bool {
        !self.again.is_empty()
    }

    /// Takes a group's answer.
    pub fn answered(&mut self, answer: &BarrierAnswer) {
        match answer.outcome {
            BarrierOutcome::Open { .. } => self.end(answer.token, Ok(())),
            BarrierOutcome::Refused(_) => self.again.push(answer.token),
        }
    }

    fn end(&mut self, token: u64, result: Result<(), Error>) {
        let Some(barrier) = self.open.remove(&token) else { return };
        self.ended.push_back((barrier.purpose, result));
    }

    /// Whoever waited for a barrier that has ended, and how it did.
    pub fn next_ended(&mut self) -> Option<(Purpose, Result<(), Error>)> {
        self.ended.pop_front()
    }
}
