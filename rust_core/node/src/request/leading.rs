//! Groups that this node leads, as their requests see them.
//!
//! A leader reads its own newest state only once all entries of former leaders are applied here: a
//! barrier of its own tells when, and writes wait for it. What only a leader can go on with is sent
//! away when leadership goes; what is in flight keeps its latches until its end is known.

use phantom_base::{GroupId, NodeId, Term};
use phantom_mvcc::{Admissions, Ticket};
use phantom_raft::{BarrierAnswer, BarrierOutcome, Event};

use super::message::ToGateway;
use super::{Origin, Requests, Stage};
use crate::replication::Replication;

/// Tickets above this are barriers that a new leader asks for itself.
pub(super) const READY_TICKETS: Ticket = 1 << 62;

/// A group as its leader sees its requests. It outlives a leadership: what is in flight holds its
/// latches until its end is known.
#[derive(Default)]
pub(super) struct Leading {
    /// The term in which this node leads; `None` while it does not.
    pub(super) term: Option<Term>,
    /// Whether all entries of former leaders are applied here.
    pub(super) is_ready: bool,
    pub(super) admissions: Admissions,
    /// Writes that wait for that.
    pub(super) waiting: Vec<Ticket>,
}

impl Requests {
    pub(super) fn leads(&self, group: GroupId) -> bool {
        self.term(group).is_some()
    }

    /// The term in which this node leads.
    pub(super) fn term(&self, group: GroupId) -> Option<Term> {
        self.groups.get(&group)?.term
    }

    /// Whether what a write saw under its latches may still be believed.
    pub(super) fn is_in_its_term(&mut self, ticket: Ticket) -> bool {
        let active = self.get(ticket);
        let (group, latched_in) = (active.group, active.latched_in);
        assert!(latched_in.is_some(), "a write looks under its latches");
        self.term(group) == latched_in
    }

    /// Sends a write away that was at a worker while leadership went, and perhaps came back. Nothing
    /// was done: its gateway sends it again.
    pub(super) fn outlived(&mut self, replication: &Replication, ticket: Ticket) {
        phantom_base::mark!("a_write_outlived_its_leadership");
        let active = self.end(ticket);
        self.not_leader(replication, active.origin, active.group);
    }

    /// Takes the machine's news; before its barriers and proposals of the same poll.
    pub fn event(&mut self, replication: &mut Replication, event: &Event) {
        match event {
            Event::BecameLeader { gid, term } => {
                let leading = self.groups.entry(*gid).or_default();
                leading.term = Some(*term);
                leading.is_ready = false;
                let token = READY_TICKETS | gid.0;
                // Refused only where leadership went again, which is an event of its own.
                if let Ok(Some(outcome)) = replication.barrier(*gid, token) {
                    self.became_ready(replication, &BarrierAnswer { token, gid: *gid, outcome });
                }
            }
            Event::LostLeadership { gid, .. } => self.lost(replication, *gid),
            Event::ElectionDue(_) | Event::MemberTooFarBehind { .. } => {}
        }
        self.go_on(replication);
    }

    /// Sends away what only a leader can go on with. Proposals and barriers in flight get answers
    /// of their own; a scan that runs has its snapshot.
    fn lost(&mut self, replication: &mut Replication, group: GroupId) {
        let Some(leading) = self.groups.get_mut(&group) else { return };
        leading.term = None;
        leading.is_ready = false;
        leading.waiting.clear();
        let stranded: Vec<Ticket> = self
            .active
            .iter()
            .filter(|(_, active)| {
                active.group == group
                    && matches!(
                        active.stage,
                        Stage::Ready | Stage::Latches | Stage::InFlight(..) | Stage::Catalog
                    )
            })
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in stranded {
            // Ending one may have ended or moved another.
            if !self.active.contains_key(&ticket) {
                continue;
            }
            let active = self.end(ticket);
            self.not_leader(replication, active.origin, active.group);
        }
    }

    pub(super) fn became_ready(&mut self, replication: &mut Replication, answer: &BarrierAnswer) {
        let BarrierOutcome::Open { term, .. } = answer.outcome else { return };
        let Some(leading) = self.groups.get_mut(&answer.gid) else { return };
        if leading.term != Some(term) {
            return;
        }
        leading.is_ready = true;
        for ticket in std::mem::take(&mut leading.waiting) {
            if self.active.contains_key(&ticket) {
                self.latch(replication, ticket);
            }
        }
    }

    pub(super) fn not_leader(&mut self, replication: &Replication, origin: Origin, group: GroupId) {
        let leader = replication.leader(group);
        // This node's own name would send the gateway round in a circle.
        let leader = if leader == self.node { NodeId::NONE } else { leader };
        self.reply(origin, ToGateway::NotLeader { dispatch: origin.dispatch, leader });
    }
}
