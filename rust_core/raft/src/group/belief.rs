//! What of a peer's words cannot be true, as far as this replica knows better.
//!
//! A node answers for itself with asserts, and for nobody else: a peer with a bug, or one that has
//! lost what it told, must not end the nodes that it speaks to. So what `step` would have to assert
//! of a message is looked at here, before the message changes anything. Whoever is contradicted
//! loses its link and is named in the log. Lies that fit what is known here are not found.

use phantom_base::{LogIndex, ReplicaId, Term};

use super::Group;
use crate::{Body, Contradiction, Line};

impl Group {
    /// Why a member's message cannot be true. Of an older term nothing is believed anyway.
    pub(super) fn doubt(
        &self,
        from: ReplicaId,
        term: Term,
        body: &Body,
    ) -> Result<(), Contradiction> {
        match body {
            Body::Append { .. } | Body::TooFarBehind { .. } | Body::Round { .. } => {
                self.doubt_leader(from, term)
            }
            Body::Commit { index } => {
                self.doubt_leader(from, term)?;
                self.doubt_held(from, term, *index)
            }
            // Only a leader reads it, and its own log is what the others hold of it.
            Body::Accepted { matched, .. } if self.is_leader() && term == self.term => {
                self.doubt_held(from, term, *matched)
            }
            _ => Ok(()),
        }
    }

    /// The same for a line of a heartbeat.
    pub(super) fn doubt_line(&self, line: &Line) -> Result<(), Contradiction> {
        self.doubt_leader(line.from, line.term)?;
        self.doubt_held(line.from, line.term, line.commit)
    }

    /// A term has one leader.
    fn doubt_leader(&self, from: ReplicaId, term: Term) -> Result<(), Contradiction> {
        match self.leader {
            Some(leader) if term == self.term && leader != from => {
                Err(Contradiction::TwoLeaders { gid: self.gid, term, leader, other: from })
            }
            _ => Ok(()),
        }
    }

    /// Nobody counts entries that are not there.
    fn doubt_held(
        &self,
        from: ReplicaId,
        term: Term,
        index: LogIndex,
    ) -> Result<(), Contradiction> {
        let last = self.log.last();
        if term >= self.term && index > last {
            return Err(Contradiction::NotHeld { gid: self.gid, from, index, last });
        }
        Ok(())
    }
}
