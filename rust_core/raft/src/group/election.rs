//! Campaigns, votes and timers (Raft thesis 3.4, 9.6).
//!
//! A timer that runs out only *reports* that an election is due; whoever decides calls `campaign`.
//! The own vote, like any other, counts when it is durable (R2), and nobody leads without it: a
//! leader that forgot its term in a crash could lead the same term twice.

use phantom_base::{LogIndex, ReplicaId, Term, mark};

use super::{Context, Group, Role, Votes};
use crate::machine::Act;
use crate::quorum::majority;
use crate::{Body, Event, LostWhy, Parting, Position, Refused};

impl Group {
    /// Begins an election; with `prevote` the term rises only if a majority would vote for us.
    pub fn campaign(&mut self, prevote: bool, cx: &mut Context<'_>) -> Result<(), Refused> {
        if self.is_leader() {
            return Err(Refused::Leads);
        }
        if self.too_far_behind {
            return Err(Refused::TooFarBehind);
        }
        if self.hears_leader(cx) || self.bound_to(cx).is_some() {
            return Err(Refused::SupportsLeader);
        }
        if self.awaits_candidate(cx) {
            return Err(Refused::SupportsCandidate);
        }
        self.leave_leader(cx);
        self.reset_deadline(cx);
        if prevote && self.members.len() > 1 {
            let granted = [self.me.replica].into();
            self.role = Role::PreCandidate(Votes { granted, ..Votes::default() });
            let last = self.log.last_position();
            self.broadcast(self.term.next(), &Body::PreVote { last }, cx);
        } else {
            self.stand(cx);
        }
        Ok(())
    }

    /// Raises the term, votes for itself and asks the others.
    pub(super) fn stand(&mut self, cx: &mut Context<'_>) {
        assert_eq!(self.bound_to(cx), None, "{}: it has promised to help another (R10)", self.gid);
        self.term = self.term.next();
        self.vote = Some(self.me.replica);
        self.fortified = None;
        self.leader = None;
        self.heard_at = None;
        self.role = Role::Candidate(Votes::default());
        self.fail_barriers(self.not_leader(), cx);
        self.save(self.commit, cx);
        self.voted(cx);
        cx.out.hold(self.needs, Act::OwnVote { gid: self.gid, term: self.term });
        let last = self.log.last_position();
        let is_heir = self.permit.term.next() == self.term;
        let permit = if is_heir { self.permit } else { Parting::default() };
        self.broadcast(self.term, &Body::Vote { last, permit }, cx);
    }

    /// The own vote for `term` is durable: now it counts.
    pub fn own_vote_synced(&mut self, term: Term, cx: &mut Context<'_>) {
        if self.term == term
            && let Role::Candidate(votes) = &mut self.role
        {
            votes.granted.insert(self.me.replica);
            self.count_votes(cx);
        }
    }

    fn count_votes(&mut self, cx: &mut Context<'_>) {
        let needed = majority(self.members.len());
        let (Role::Candidate(votes) | Role::PreCandidate(votes)) = &self.role else { return };
        let has_own = votes.granted.contains(&self.me.replica);
        if votes.granted.len() >= needed && has_own {
            match &self.role {
                Role::PreCandidate(_) => self.stand(cx),
                _ => self.become_leader(cx),
            }
        } else if self.members.len() - votes.refused.len() < needed {
            self.role = Role::Follower;
        }
    }

    /// Whether the leader of this term was heard within an election timeout, or is this replica.
    pub(super) fn hears_leader(&self, cx: &Context<'_>) -> bool {
        let heard = |at| cx.now.saturating_sub(at) < cx.limits.election_min_ns;
        self.is_leader() || (self.leader.is_some() && self.heard_at.is_some_and(heard))
    }

    /// Whether a candidate's call for `term` is as if it had never come (R10).
    pub(super) fn ignores(&self, candidate: ReplicaId, term: Term, cx: &Context<'_>) -> bool {
        let is_bound = self.bound_to(cx).is_some_and(|leader| leader != candidate);
        is_bound || (term > self.term && self.hears_leader(cx))
    }

    /// A vote has been given and is not durable yet: silence is normal until it can be.
    fn voted(&mut self, cx: &mut Context<'_>) {
        self.voted_at = Some(cx.now);
        self.reset_deadline(cx);
        self.deadline += cx.limits.vote_ns();
    }

    /// Whether the vote that it gave may still be on its way into a log: another campaign would end an
    /// election that is about to succeed.
    fn awaits_candidate(&self, cx: &Context<'_>) -> bool {
        let lasts = |at| cx.now.saturating_sub(at) < cx.limits.vote_ns();
        self.leader.is_none() && self.voted_at.is_some_and(lasts)
    }

    fn has_votable_log(&self, candidate: Position) -> bool {
        candidate >= self.log.last_position()
    }

    /// A pre-vote changes no state, whatever the answer (R8).
    pub(super) fn on_pre_vote(
        &mut self,
        from: ReplicaId,
        asked: Term,
        last: Position,
        cx: &mut Context<'_>,
    ) {
        let parting = self.parting(cx);
        if asked <= self.term {
            // The asker is behind: the answer carries our term, which it will adopt.
            return self.answer(from, Body::PreVoteAnswer { granted: false, parting }, cx);
        }
        let is_bound = self.bound_to(cx).is_some_and(|leader| leader != from);
        if is_bound || self.hears_leader(cx) || self.awaits_candidate(cx) {
            mark!("pre_candidate_ignored_while_leader_is_heard");
        } else if self.has_votable_log(last) {
            self.send(from, asked, Body::PreVoteAnswer { granted: true, parting }, cx);
        } else {
            self.answer(from, Body::PreVoteAnswer { granted: false, parting }, cx);
        }
    }

    /// A grant names the term that was asked for, one above ours.
    pub(super) fn on_pre_vote_granted(
        &mut self,
        from: ReplicaId,
        asked: Term,
        cx: &mut Context<'_>,
    ) {
        if asked == self.term.next()
            && let Role::PreCandidate(votes) = &mut self.role
        {
            votes.granted.insert(from);
            self.count_votes(cx);
        }
    }

    pub(super) fn on_pre_vote_refused(&mut self, from: ReplicaId) {
        if let Role::PreCandidate(votes) = &mut self.role {
            votes.refused.insert(from);
            if self.members.len() - votes.refused.len() < majority(self.members.len()) {
                self.role = Role::Follower;
            }
        }
    }

    pub(super) fn on_vote(&mut self, from: ReplicaId, last: Position, cx: &mut Context<'_>) {
        let free = self.vote.is_none() && self.leader.is_none();
        let granted = self.vote == Some(from) || (free && self.has_votable_log(last));
        if granted && self.vote.is_none() {
            self.vote = Some(from);
            self.fortified = None; // What held has passed, or was for this candidate.
            self.save(self.commit, cx);
            self.voted(cx);
        }
        self.answer(from, Body::VoteAnswer { granted }, cx);
    }

    pub(super) fn on_vote_answer(&mut self, from: ReplicaId, granted: bool, cx: &mut Context<'_>) {
        if let Role::Candidate(votes) = &mut self.role {
            let side = if granted { &mut votes.granted } else { &mut votes.refused };
            side.insert(from);
            self.count_votes(cx);
        }
    }

    /// Follows `leader` in `term`; ends whatever this replica was before.
    pub(super) fn become_follower(
        &mut self,
        term: Term,
        leader: Option<ReplicaId>,
        why: LostWhy,
        cx: &mut Context<'_>,
    ) {
        assert!(term >= self.term, "{}: terms never fall", self.gid);
        if let Role::Leader(led) = &self.role {
            cx.out.uncommitted -= led.uncommitted_bytes();
            if why == LostWhy::NewerTerm {
                self.free_the_fortified(led, cx);
            }
            // Their fate may still be seen here; after a while it is called unknown.
            self.proposals_until = cx.now + cx.limits.election_max_ns;
            cx.out.events.push(Event::LostLeadership { gid: self.gid, term: self.term, why });
        }
        self.role = Role::Follower;
        self.leader = leader;
        self.heard_at = None;
        if term > self.term {
            self.term = term;
            self.vote = None;
            self.voted_at = None;
            self.save(self.commit, cx);
        }
        self.fail_barriers(self.not_leader(), cx);
        self.reset_deadline(cx);
    }

    /// The leader of this term spoke.
    pub(super) fn follow(&mut self, leader: ReplicaId, cx: &mut Context<'_>) {
        assert!(
            !self.is_leader() && self.leader.is_none_or(|known| known == leader),
            "{}: {leader} and {:?} both lead {}",
            self.gid,
            self.leader.unwrap_or(self.me.replica),
            self.term
        );
        if self.leader.is_none() {
            self.role = Role::Follower;
            self.leader = Some(leader);
        }
        self.heard_at = Some(cx.now);
        self.reset_deadline(cx);
        self.fortify(leader, cx);
    }

    /// Counts on the leader of this term no more; nobody else would answer what it was asked.
    pub(super) fn leave_leader(&mut self, cx: &mut Context<'_>) {
        if self.leader.take().is_some() {
            self.fail_barriers(self.not_leader(), cx);
        }
    }

    /// Whether silence has lasted; reports again after another timeout.
    pub(super) fn election_due(&mut self, cx: &mut Context<'_>) -> bool {
        if cx.now < self.deadline {
            return false;
        }
        self.leave_leader(cx);
        if matches!(self.role, Role::PreCandidate(_)) {
            self.role = Role::Follower;
        }
        self.reset_deadline(cx);
        if let Some(leader) = self.bound_to(cx) {
            self.ask_the_silent(leader, cx);
            return false;
        }
        !self.too_far_behind
    }

    pub(super) fn reset_deadline(&mut self, cx: &mut Context<'_>) {
        let spread = cx.limits.election_max_ns - cx.limits.election_min_ns;
        self.deadline = cx.now + cx.limits.election_min_ns + cx.random.below(spread.max(1));
    }

    /// Gives leadership up and tells the followers, who need not wait for their timers.
    pub fn step_down(&mut self, why: LostWhy, cx: &mut Context<'_>) -> Result<(), Refused> {
        if !self.is_leader() {
            return Err(self.not_leader());
        }
        let served = cx.support.hlc();
        self.broadcast(self.term, &Body::Farewell { served }, cx);
        self.become_follower(self.term, None, why, cx);
        // Behind the others, who should get their chance.
        self.deadline = cx.now + cx.limits.election_max_ns;
        Ok(())
    }

    pub(super) fn on_farewell(&mut self, from: ReplicaId, cx: &mut Context<'_>) {
        if self.leader.is_none_or(|leader| leader == from) && !self.is_leader() {
            self.leader = None;
            self.heard_at = None;
            self.fail_barriers(self.not_leader(), cx);
            self.deadline = cx.now;
        }
    }

    pub(super) fn on_too_far_behind(&mut self, first: LogIndex, cx: &mut Context<'_>) {
        if !self.too_far_behind {
            self.too_far_behind = true;
            let (gid, node) = (self.gid, self.me.node);
            cx.out.events.push(Event::MemberTooFarBehind { gid, node, first });
        }
    }
}
