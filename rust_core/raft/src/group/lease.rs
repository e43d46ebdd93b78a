//! Leases: whom this replica has promised to help alone, and until when a leader may read without
//! asking anybody.
//!
//! A follower *fortifies* its leader: it remembers, durably, in which epoch its node supports the
//! leader's. While that promise holds it votes for nobody else (R10), whatever term it is in: not
//! before its own clock has passed what was promised and the epoch is withdrawn, or the leader has
//! said that it leads no more. So the time up to which a majority of fortified members supports the
//! leader, the *quorum-supported expiry* (QSE), is a lease:
//!
//! - A later leader was elected by a majority, which shares a member with those supporters. That one
//!   voted when its clock had passed the expiry, and its vote carried that clock: every stamp of the
//!   later leader lies above every read of the earlier one, however far clocks are apart.
//! - Only the order in real time leans on how far they are apart, hence `uncertainty` in R11.
//! - Who hears a leader of a newer term need not keep its promise to an older one: that leader's
//!   majority has passed it.
//! - The leader of a lease that has run out leads on while a majority hears it; it reads by rounds.

use phantom_base::{NodeId, ReplicaId, Term, Timestamp, mark, mutant};

use super::leader::Leader;
use super::{Context, Group, Role};
use crate::machine::Batch;
use crate::{BarrierOutcome, Body, Parting, quorum};

/// Silence of so many heartbeats makes a lapsed promise the end of a leader.
const BEATS: u64 = 3;
const VOTERS_MAX: usize = 5;

/// A follower's promise to help its leader alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fortified {
    pub leader: ReplicaId,
    /// Of the leader's node, towards this one.
    pub epoch: u64,
    /// In which it was promised; after a restart perhaps later than that, never earlier.
    term: Term,
    /// It holds no longer than until this time: the leader leads no more.
    released: Option<Timestamp>,
    /// The batch of its record.
    needs: Batch,
}

impl Group {
    /// What the log says that was promised in a former life.
    pub(super) fn restored_promise(&self, leader: ReplicaId, epoch: u64) -> Option<Fortified> {
        let is_promise = epoch > 0 && leader != self.me.replica;
        let (term, released, needs) = (self.term, None, Batch(0));
        is_promise.then_some(Fortified { leader, epoch, term, released, needs })
    }

    /// The node that this replica has promised something, and the epoch.
    pub fn promised(&self) -> Option<(NodeId, u64)> {
        let fortified = self.fortified.as_ref()?;
        Some((self.member_of(fortified.leader)?.node, fortified.epoch))
    }

    /// The leader of this term, if it was promised something.
    pub(super) fn fortified_in_this_term(&self) -> Option<ReplicaId> {
        self.fortified.filter(|it| it.term == self.term).map(|it| it.leader)
    }

    /// Whom this replica may help alone, if anybody (R10).
    pub(super) fn bound_to(&self, cx: &Context<'_>) -> Option<ReplicaId> {
        let fortified = self.fortified.as_ref()?;
        let node = self.member_of(fortified.leader)?.node;
        let is_released = fortified.released.is_some_and(|served| cx.support.hlc() >= served);
        let is_bound = !is_released && cx.support.binds(node, fortified.epoch);
        is_bound.then_some(fortified.leader)
    }

    /// The leader of this term spoke: counts on it, if this node supports the leader's.
    pub(super) fn fortify(&mut self, leader: ReplicaId, cx: &mut Context<'_>) {
        let member = self.member_of(leader).expect("only members lead");
        let Some(epoch) = cx.support.supported(member.node) else {
            if self.fortified.is_some_and(|it| it.leader != leader) {
                self.fortified = None; // Its majority has passed that promise.
            }
            return;
        };
        let is_same = |it: &Fortified| it.leader == leader && it.term == self.term;
        if self.fortified.is_some_and(|it| is_same(&it) && it.epoch >= epoch) {
            return;
        }
        let (term, needs) = (self.term, cx.out.batch);
        self.fortified = Some(Fortified { leader, epoch, term, released: None, needs });
        self.save(self.commit, cx);
        assert_eq!(self.needs, needs, "the promise is in the record of this batch");
    }

    /// The epoch of what `leader` was promised in this term, or 0. What is not durable counts only
    /// in an answer that `waits` until it is.
    pub(super) fn told_epoch(&self, leader: ReplicaId, waits: bool, cx: &Context<'_>) -> u64 {
        let holds = |it: &Fortified| {
            let is_durable = waits || it.needs <= cx.out.durable;
            it.leader == leader && it.term == self.term && it.released.is_none() && is_durable
        };
        self.fortified.as_ref().filter(|it| holds(it)).map_or(0, |it| it.epoch)
    }

    /// `from` leads nothing: whoever has promised to help it alone is free once its clock has passed
    /// what was served.
    pub(super) fn part_from(&mut self, from: ReplicaId, parting: Parting) {
        if let Some(it) = &mut self.fortified
            && it.leader == from
            && it.term <= parting.term
        {
            // Each word is true for ever, so the earliest holds.
            let served = parting.served;
            it.released = Some(it.released.map_or(served, |before| before.min(served)));
        }
    }

    /// A newer term ends this leadership: whoever has promised to help it alone is told.
    pub(super) fn free_the_fortified(&self, leader: &Leader, cx: &mut Context<'_>) {
        let served = cx.support.hlc();
        for follower in leader.followers.iter().filter(|follower| follower.epoch > 0) {
            self.send(follower.member.replica, self.term, Body::Farewell { served }, cx);
        }
    }

    /// What whoever waits for this replica as its leader may be told. A candidate may yet lead its
    /// term; a follower never leads the term that it is in.
    pub(super) fn parting(&self, cx: &Context<'_>) -> Parting {
        match self.role {
            Role::Leader(_) | Role::Candidate(_) => Parting::default(),
            _ => Parting { term: self.term, served: cx.support.hlc() },
        }
    }

    /// Asks the leader that is silent whether it leads: its farewell may be lost.
    pub(super) fn ask_the_silent(&self, leader: ReplicaId, cx: &mut Context<'_>) {
        mark!("silent_leader_asked");
        let last = self.log.last_position();
        self.send(leader, self.term.next(), Body::PreVote { last }, cx);
    }

    /// This node has withdrawn what it promised another: an election need not wait for the timer,
    /// unless the leader there is heard all the same, and only its disk is late.
    pub fn support_lapsed(&mut self, node: NodeId, cx: &mut Context<'_>) {
        let is_of_node = self.promised().is_some_and(|(promised, _)| promised == node);
        let patience = BEATS * cx.limits.heartbeat_ns;
        let is_heard = self.heard_at.is_some_and(|at| cx.now.saturating_sub(at) < patience);
        if is_of_node && !is_heard && !self.is_leader() {
            mark!("election_without_the_timer");
            let spread = cx.limits.heartbeat_ns.max(1);
            self.deadline = self.deadline.min(cx.now + cx.random.below(spread));
        }
    }

    /// Up to when a majority of fortified members supports this leader, as far as is known at `now`.
    fn expiry(&self, now: Timestamp, cx: &Context<'_>) -> Timestamp {
        let Role::Leader(leader) = &self.role else { return Timestamp::MIN };
        let mut untils = [Timestamp::MIN; VOTERS_MAX];
        let mut places = untils.iter_mut();
        *places.next().expect("five places") = cx.support.own(now);
        for (follower, place) in leader.followers.iter().zip(places) {
            let held = cx.support.held(follower.member.node);
            if held.epoch == follower.epoch {
                *place = held.until;
            }
        }
        let (voters, _) = untils.split_at_mut(self.members.len());
        quorum::reached(voters)
    }

    /// Whether this leader may read at `stamp` without asking anybody (R11).
    pub fn has_lease(&mut self, stamp: Timestamp, cx: &Context<'_>) -> bool {
        let expiry = self.expiry(stamp, cx);
        let Role::Leader(leader) = &mut self.role else { return false };
        if self.applied < leader.term_start {
            return false;
        }
        let end = Timestamp(stamp.0.saturating_add(cx.uncertainty_ms << 16));
        // Promises are never shortened, so an expiry that was once known holds (R12).
        leader.expiry = leader.expiry.max(expiry);
        end < leader.expiry || mutant!("read_below_an_expired_lease")
    }

    /// The barrier of a read by lease: all that this leader has acknowledged is applied here.
    pub fn opened(&self, stamp: Timestamp) -> BarrierOutcome {
        BarrierOutcome::Open { applied: self.applied, stamp, term: self.term }
    }

    /// The expiry that was reached in this term, for whoever judges.
    pub(super) fn lease_expiry(&self) -> Timestamp {
        match &self.role {
            Role::Leader(leader) => leader.expiry,
            _ => Timestamp::MIN,
        }
    }
}
