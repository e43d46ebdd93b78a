//! The verbs: wishes that may be refused, and questions.

use std::sync::Arc;

use phantom_base::{GroupId, LogIndex, NodeId, Timestamp};
use phantom_lsm::Engine;
use phantom_raft::Token;

use super::entry::{EntryKind, check_batch, encode_entry};
use super::error::{Refused, Result};
use super::formation::node_slot;
use super::{Barriers, Effects, Formation, Replication, Status};
use crate::FEATURES;

impl Replication {
    /// Proposes an entry in a group that this node leads; returns its index. The body of a batch
    /// is made by `entry::encode_batch`, that of a no-op is empty.
    pub fn propose(
        &mut self,
        gid: GroupId,
        kind: EntryKind,
        body: &[u8],
        token: Token,
    ) -> std::result::Result<LogIndex, Refused> {
        self.refuse_while_starting()?;
        refuse_unnamed(kind.needs(), self.named_by_all())?;
        match kind {
            EntryKind::Noop => assert!(body.is_empty(), "a no-op says nothing"),
            EntryKind::Batch => check_batch(body)?,
        }
        let now = self.clock.monotonic_ns();
        Ok(self.machine.propose(now, gid, encode_entry(kind, body), token)?)
    }

    /// The features that all members name. Whoever was not linked in this life names none.
    pub fn named_by_all(&self) -> u64 {
        let of_member = |node| self.features.get(&node).copied().unwrap_or_default();
        let others = self.formation.members.iter().map(|member| member.node);
        let others = others.filter(|node| *node != self.formation.node);
        others.map(of_member).fold(FEATURES, |all, one| all & one)
    }

    /// Begins elections; an answer per group.
    pub fn campaign(
        &mut self,
        gids: &[GroupId],
        prevote: bool,
    ) -> Vec<std::result::Result<(), Refused>> {
        let now = self.clock.monotonic_ns();
        let begin = |gid: &GroupId| {
            self.refuse_while_starting()?;
            Ok(self.machine.campaign(now, *gid, prevote)?)
        };
        gids.iter().map(begin).collect()
    }

    /// Gives leadership of a group up.
    pub fn step_down(&mut self, gid: GroupId) -> std::result::Result<(), Refused> {
        self.refuse_while_starting()?;
        Ok(self.machine.step_down(self.clock.monotonic_ns(), gid)?)
    }

    /// Hands leadership of a group over as soon as a member misses nothing; nothing is proposed until
    /// then. Where none catches up within an election timeout this node leads on: ask again.
    pub fn leave(&mut self, gid: GroupId) -> std::result::Result<(), Refused> {
        self.refuse_while_starting()?;
        Ok(self.machine.leave(self.clock.monotonic_ns(), gid)?)
    }

    pub(super) fn refuse_while_starting(&self) -> std::result::Result<(), Refused> {
        if self.stamps.is_settled() { Ok(()) } else { Err(Refused::Starting) }
    }

    /// A stamp above all that this node has issued or seen; `None` while the disk is too slow to
    /// cover one.
    pub fn tick_hlc(&mut self) -> Option<Timestamp> {
        self.stamps.tick(&*self.clock)
    }

    /// The newest stamp issued or seen.
    pub fn hlc(&self) -> Timestamp {
        self.stamps.last()
    }

    /// A group's state; `None` if this node has no replica of it.
    pub fn status(&self, gid: GroupId) -> Option<Status> {
        let group = self.machine.status(gid)?;
        Some(Status { group, mark: self.marks.get(&gid).copied().unwrap_or_default() })
    }

    /// Whom this node follows in a group, itself included; `NONE` while nobody is known to lead.
    pub fn leader(&self, gid: GroupId) -> NodeId {
        self.machine.leader(gid)
    }

    /// Broken invariants, in words; empty while all is well.
    pub fn check(&self) -> Vec<String> {
        let mut broken = self.machine.check();
        for gid in self.machine.groups() {
            let first = self.log.bounds(phantom_log::Stream(gid.0)).first;
            let flushed = self.engine.flushed_position(gid.0);
            if first > flushed + 1 {
                broken.push(format!("{gid}: released up to {first}, tables hold {flushed}"));
            }
        }
        broken
    }

    /// What this directory was formed as.
    pub fn formation(&self) -> &Formation {
        &self.formation
    }

    /// The message that founded the cluster, as the control plane gave it; empty without one.
    pub fn charter(&self) -> Vec<u8> {
        self.log.node_state(node_slot::CHARTER).map_or_else(Vec::new, |bytes| bytes.to_vec())
    }

    /// Bytes of entries that this start had to apply, since tables did not hold them.
    pub fn replayed_bytes(&self) -> u64 {
        self.replayed_bytes
    }

    /// How many barriers were asked for.
    pub fn barriers(&self) -> Barriers {
        self.barriers
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.formation.node
    }

    /// How often this node has started; part of every handshake.
    pub fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// The groups of this node.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + use<'_> {
        self.machine.groups()
    }

    /// The engine, for reads. Only the apply worker writes.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Gives up all leaderships and ends everything that waits; what followers should hear is in
    /// `Effects::out`. Nothing is taken any more.
    pub fn stop(&mut self) -> Result<Effects> {
        self.machine.stop(self.clock.monotonic_ns());
        self.poll(0)
    }

    /// Makes everything durable and lets the workers go; the runtime may be closed then.
    pub fn close(mut self) -> Result<()> {
        self.log_last_words()?;
        Ok(self.engine.sync()?)
    }
}

/// Refuses an entry that some member could not read.
fn refuse_unnamed(needs: u64, named: u64) -> std::result::Result<(), Refused> {
    let missing = needs & !named;
    if missing == 0 { Ok(()) } else { Err(Refused::NotNamed { missing }) }
}

impl Drop for Replication {
    /// Ends the services. What was not synced is the next start's to find.
    fn drop(&mut self) {
        self.applier.close();
        self.engine_worker.close();
        self.log.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_needs_what_some_member_does_not_name_is_refused() {
        assert_eq!(refuse_unnamed(0, 0), Ok(()));
        assert_eq!(refuse_unnamed(0b10, 0b11), Ok(()));
        assert_eq!(refuse_unnamed(0b110, 0b11), Err(Refused::NotNamed { missing: 0b100 }));
    }
}
