//! Handing leadership over while it works (Raft thesis 3.10).
//!
//! A leader that is *leaving* proposes nothing more. What is in flight is answered, a member that
//! misses nothing then becomes the *heir*: it is told to stand at once, and the others not to count
//! on the old leader, whose vote the heir gets too. So the group is without a leader for the time of
//! one vote. Whoever hears the heir's call first needs no word of the old leader: it carries that
//! leader's *permit*, the same word. The old leader leads its term no more, so it reads nothing by
//! lease in it either (R13). Where no heir catches up within an election timeout the leader stays.

use phantom_base::{ReplicaId, Term, Timestamp, mark, mutant};

use super::{Context, Group, Role};
use crate::{Body, LostWhy, Parting, Refused};

impl Group {
    /// Leaves leadership to another member as soon as one misses nothing.
    ///
    /// # Errors
    /// Refused unless this replica leads, and if no member is there to lead in its place.
    pub fn leave(&mut self, cx: &mut Context<'_>) -> Result<(), Refused> {
        if !self.is_leader() {
            return Err(self.not_leader());
        }
        if !self.has_heir(cx) {
            return Err(Refused::NoHeir);
        }
        let Role::Leader(leader) = &mut self.role else { unreachable!("it leads") };
        leader.leaving_since.get_or_insert(cx.now);
        Ok(())
    }

    /// Whether proposals are refused since leadership is about to go.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if leader.leaving_since.is_some())
    }

    /// Goes, if an heir misses nothing by now.
    pub fn go_if_ready(&mut self, cx: &mut Context<'_>) {
        if !self.is_leaving() || !self.may_hand_over(cx) {
            return;
        }
        let last = self.log.last();
        let ready = self.roomy(cx).find(|f| f.matched == last);
        let heir = ready.expect("it may hand over to somebody").member.replica;
        mark!("leadership_handed_over");
        let served = cx.support.hlc();
        self.broadcast(self.term, &Body::Handover { heir, served }, cx);
        if mutant!("lease_kept_after_transfer") {
            let Role::Leader(leader) = &mut self.role else { unreachable!("it leads") };
            leader.leaving_since = None;
            return;
        }
        self.become_follower(self.term, None, LostWhy::Asked, cx);
        // Behind the heir, which should get its chance.
        self.deadline = cx.now + cx.limits.election_max_ns;
    }

    /// Time has passed: a leader that no heir has caught up with goes on.
    pub(super) fn stay_without_heir(&mut self, cx: &Context<'_>) {
        let patience = cx.limits.election_min_ns;
        if let Role::Leader(leader) = &mut self.role
            && leader.leaving_since.is_some_and(|since| cx.now.saturating_sub(since) > patience)
        {
            mark!("no_heir_caught_up");
            leader.leaving_since = None;
        }
    }

    /// The leader of this term has gone and names who should lead next.
    pub(super) fn on_handover(
        &mut self,
        from: ReplicaId,
        heir: ReplicaId,
        served: Timestamp,
        cx: &mut Context<'_>,
    ) {
        if self.is_leader() || self.leader.is_some_and(|leader| leader != from) {
            return;
        }
        self.leave_leader(cx);
        self.heard_at = None;
        self.reset_deadline(cx);
        // An heir whose clock is behind what was served waits for its timer.
        let may_stand = !self.too_far_behind && self.bound_to(cx).is_none();
        if heir == self.me.replica && may_stand {
            self.permit = Parting { term: self.term, served };
            self.stand(cx);
        }
    }

    /// An heir shows the word of the leader that left for it.
    pub(super) fn on_permit(&mut self, permit: Parting, cx: &mut Context<'_>) {
        if permit.term == Term(0) || permit.term != self.term || self.is_leader() {
            return;
        }
        if let Some(leader) = self.leader.or_else(|| self.fortified_in_this_term()) {
            self.part_from(leader, permit);
        }
        self.leave_leader(cx);
        self.heard_at = None;
    }
}
