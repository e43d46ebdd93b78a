//! Leading: proposals, appends to followers, commit by counting (Raft thesis 3.5, 3.6).

use std::collections::VecDeque;
use std::sync::Arc;

use phantom_base::{LogIndex, Nanos, NodeId, ReplicaId, Timestamp, mark, mutant};

use super::{Context, Group, Role};
use crate::progress::{Progress, State};
use crate::quorum;
use crate::{Body, Entries, Entry, Event, Line, LineAnswer, LostWhy, Position, Refused, Token};

/// What only a leader knows.
#[derive(Debug)]
pub struct Leader {
    /// The first entry of this term; commit by counting begins here (R4).
    pub(super) term_start: LogIndex,
    pub(super) followers: Vec<Progress>,
    /// Entries of this leadership that are not committed, with their sizes.
    uncommitted: VecDeque<(LogIndex, usize)>,
    uncommitted_bytes: usize,
    /// Followers may have to be sent something.
    unsent: bool,
    /// Since when it proposes nothing, to hand over.
    pub(super) leaving_since: Option<Nanos>,
    /// Up to when a majority supports it, as far as was known (R12).
    pub(super) expiry: Timestamp,
}

impl Leader {
    pub fn uncommitted_bytes(&self) -> usize {
        self.uncommitted_bytes
    }

    fn follower(&mut self, replica: ReplicaId) -> Option<&mut Progress> {
        self.followers.iter_mut().find(|f| f.member.replica == replica)
    }
}

impl Group {
    pub(super) fn become_leader(&mut self, cx: &mut Context<'_>) {
        assert_eq!(self.vote, Some(self.me.replica), "{}: a leader voted for itself", self.gid);
        let next = self.log.last().next();
        // What all have, each of them has: an old no of one does not send the search below it, where
        // entries are gone.
        let all_have = self.all_have();
        let progress = |member| Progress::new(member, all_have, next, cx.now);
        let followers = self.others().map(progress).collect();
        self.fortified = None; // Its own majority has passed what was promised to others.
        self.leader = Some(self.me.replica);
        self.role = Role::Leader(Box::new(Leader {
            term_start: next,
            followers,
            uncommitted: VecDeque::new(),
            uncommitted_bytes: 0,
            unsent: true,
            leaving_since: None,
            expiry: Timestamp::MIN,
        }));
        cx.out.events.push(Event::BecameLeader { gid: self.gid, term: self.term });
        // Without an entry of its own term it could commit nothing and open no barrier.
        self.append_own(Arc::clone(cx.noop), cx);
    }

    fn append_own(&mut self, data: Arc<[u8]>, cx: &mut Context<'_>) -> LogIndex {
        let index = self.log.last().next();
        let bytes = data.len();
        self.append(&[Entry { index, term: self.term, data }], self.commit, cx);
        let Role::Leader(leader) = &mut self.role else { unreachable!("only a leader appends") };
        leader.uncommitted.push_back((index, bytes));
        leader.uncommitted_bytes += bytes;
        leader.unsent = true;
        cx.out.uncommitted += bytes;
        index
    }

    /// Appends an entry; `token` comes back with its fate. A refusal has changed nothing.
    pub fn propose(
        &mut self,
        data: Arc<[u8]>,
        token: Token,
        cx: &mut Context<'_>,
    ) -> Result<LogIndex, Refused> {
        let Role::Leader(leader) = &self.role else { return Err(self.not_leader()) };
        if self.is_leaving() {
            return Err(Refused::NotLeader { leader: NodeId::NONE });
        }
        let bytes = data.len();
        if bytes > cx.limits.entry_bytes_max {
            return Err(Refused::TooLarge { bytes });
        }
        if !self.has_room(cx) {
            return Err(Refused::DiskFull);
        }
        // One entry may always be in flight, or one above the bound could never be proposed.
        let group_full = leader.uncommitted_bytes > 0
            && leader.uncommitted_bytes + bytes > cx.limits.uncommitted_group_bytes;
        let node_full =
            cx.out.uncommitted > 0 && cx.out.uncommitted + bytes > cx.limits.uncommitted_node_bytes;
        if group_full || node_full || self.proposals.len() >= cx.limits.tokens_max {
            return Err(Refused::Busy);
        }
        let index = self.append_own(data, cx);
        self.proposals.insert((index, self.term), token);
        Ok(index)
    }

    pub(super) fn on_accepted(
        &mut self,
        from: ReplicaId,
        matched: LogIndex,
        epoch: u64,
        cx: &mut Context<'_>,
    ) {
        let last = self.log.last();
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(follower) = leader.follower(from) else { return };
        assert!(matched <= last, "{from} matches {matched}, the log ends at {last}");
        follower.heard_at = cx.now;
        follower.epoch = follower.epoch.max(epoch);
        let news = follower.accepted(matched, cx.now);
        leader.unsent = true;
        if news {
            self.advance_commit(cx);
        }
    }

    pub(super) fn on_rejected(
        &mut self,
        from: ReplicaId,
        prev: LogIndex,
        hint: Position,
        cx: &mut Context<'_>,
    ) {
        let meet = self.log.last_at_or_below(hint.index, hint.term);
        let first = self.log.first();
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(follower) = leader.follower(from) else { return };
        follower.heard_at = cx.now;
        // Where nothing known can match, the search ends before the last released entry.
        let meet = meet.map_or_else(|| first.previous().previous(), |position| position.index);
        if follower.rejected(prev, meet) {
            mark!("fell_back_to_probing");
            leader.unsent = true;
        }
    }

    /// Entries count once they are durable on a majority, this replica among the counted only
    /// with what it has synced (R2); older terms commit only along with one of ours (R4).
    pub(super) fn advance_commit(&mut self, cx: &mut Context<'_>) {
        let durable = self.log.durable();
        let Role::Leader(leader) = &mut self.role else { return };
        let mut matched: Vec<LogIndex> = leader.followers.iter().map(|f| f.matched).collect();
        matched.push(durable);
        let reached = quorum::reached(&mut matched);
        let counts = reached >= leader.term_start || mutant!("older_term_committed_by_count");
        if !counts || reached <= self.commit {
            return;
        }
        self.commit = reached;
        leader.unsent = true;
        while leader.uncommitted.front().is_some_and(|(index, _)| *index <= reached) {
            let (_, bytes) = leader.uncommitted.pop_front().expect("just seen");
            leader.uncommitted_bytes -= bytes;
            cx.out.uncommitted -= bytes;
        }
    }

    /// Whether an entry of the own term is committed: from then on the commit index is known to
    /// be the newest (R11, R14).
    pub(super) fn has_committed_own(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if self.commit >= leader.term_start)
    }

    /// Sends each follower what its window allows. Called when all else of a step is done, so
    /// that what was proposed together travels together.
    pub fn send_appends(&mut self, entries: &dyn Entries, cx: &mut Context<'_>) {
        let now = cx.now;
        let needs_all = !(self.spares_full && self.can_spare_the_short(cx));
        let Role::Leader(leader) = &mut self.role else { return };
        if !std::mem::take(&mut leader.unsent) {
            return;
        }
        let mut followers = std::mem::take(&mut leader.followers);
        for follower in &mut followers {
            if follower.is_short_of_room() {
                self.send_to_the_short(follower, needs_all, entries, cx);
            } else {
                while self.send_append(follower, Some(entries), cx) {}
            }
            let commit = self.commit.min(follower.matched);
            let replicates = matches!(follower.state, State::Replicate(_));
            if replicates && commit > follower.commit_told {
                follower.commit_told = commit;
                self.send(follower.member.replica, self.term, Body::Commit { index: commit }, cx);
            }
        }
        assert_eq!(now, cx.now);
        if let Role::Leader(leader) = &mut self.role {
            leader.followers = followers;
        }
    }

    /// Sends one append, without entries if there is no `source`; whether another may follow.
    pub(super) fn send_append(
        &self,
        follower: &mut Progress,
        source: Option<&dyn Entries>,
        cx: &mut Context<'_>,
    ) -> bool {
        let probing = matches!(follower.state, State::Probe { .. });
        let nothing_new = follower.next > self.log.last();
        if !follower.may_send(cx.now, cx.limits) || (nothing_new && !probing) {
            return false;
        }
        let to = follower.member.replica;
        let prev = follower.next.previous();
        let Some(prev_term) = self.log.term_at(prev) else {
            mark!("member_too_far_behind");
            let (gid, first) = (self.gid, self.log.first());
            follower.state = State::TooFarBehind;
            self.send(to, self.term, Body::TooFarBehind { first }, cx);
            let node = follower.member.node;
            cx.out.events.push(Event::MemberTooFarBehind { gid, node, first });
            return false;
        };
        let mut entries = Vec::new();
        if let Some(source) = source.filter(|_| !nothing_new) {
            entries = self.log.read(self.gid, follower.next, cx.limits.append_bytes, source);
            if entries.is_empty() && !probing {
                return false; // The log cannot give them now; a heartbeat's answer tries again.
            }
        }
        let bytes = entries.iter().map(|entry| entry.data.len()).sum();
        let last = entries.last().map_or(prev, |entry| entry.index);
        let commit = self.commit.min(last);
        follower.commit_told = follower.commit_told.max(commit);
        follower.sent(last, bytes, cx.now, cx.limits);
        let prev = Position { index: prev, term: prev_term };
        self.send(to, self.term, Body::Append { prev, commit, entries }, cx);
        !probing
    }

    /// This group's line for each peer's heartbeat.
    pub fn lines(&self) -> Vec<(NodeId, Line)> {
        let Role::Leader(leader) = &self.role else { return Vec::new() };
        let all_have = self.all_have();
        let line = |follower: &Progress| Line {
            gid: self.gid,
            from: self.me.replica,
            to: follower.member.replica,
            term: self.term,
            commit: self.commit.min(follower.matched),
            all_have,
        };
        leader.followers.iter().map(|f| (f.member.node, line(f))).collect()
    }

    /// A line of a heartbeat's answer.
    pub fn on_line_answer(
        &mut self,
        from: NodeId,
        line: &LineAnswer,
        short_of_room: bool,
        cx: &mut Context<'_>,
    ) {
        let stranger = self.member_of(line.from).is_none_or(|member| member.node != from);
        if stranger || line.to != self.me.replica {
            return;
        }
        if line.term > self.term {
            mark!("stale_leader_told");
            return self.become_follower(line.term, None, LostWhy::NewerTerm, cx);
        }
        if line.term < self.term {
            return;
        }
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(follower) = leader.follower(line.from) else { return };
        follower.heard_at = cx.now;
        follower.applied = follower.applied.max(line.applied);
        follower.epoch = follower.epoch.max(line.epoch);
        follower.short_of_room = Some(short_of_room);
        follower.suspect_loss(cx.now, cx.limits);
        leader.unsent = true;
    }

    /// A link to `node` is new: what was on the old one may be lost.
    pub fn on_connected(&mut self, node: NodeId) {
        if let Role::Leader(leader) = &mut self.role {
            leader.followers.iter_mut().filter(|f| f.member.node == node).for_each(Progress::probe);
            leader.unsent = true;
        }
    }

    /// Steps down without contact to a quorum, so that clients are not held by who cannot serve.
    pub(super) fn tick_leader(&mut self, cx: &mut Context<'_>) {
        self.update_all_have();
        let Role::Leader(leader) = &mut self.role else { return };
        let mut heard: Vec<Nanos> = leader.followers.iter().map(|f| f.heard_at).collect();
        heard.push(cx.now);
        let quorum_heard = quorum::reached(&mut heard);
        if cx.now.saturating_sub(quorum_heard) > cx.limits.election_min_ns {
            mark!("leader_without_quorum_stepped_down");
            let led = self.step_down(LostWhy::NoQuorum, cx);
            assert_eq!(led, Ok(()), "{}: a leader can step down", self.gid);
            return;
        }
        self.stay_without_heir(cx);
        self.repeat_round(cx);
    }

    /// Proposed here and not yet committed, in bytes.
    pub fn uncommitted_bytes(&self) -> usize {
        match &self.role {
            Role::Leader(leader) => leader.uncommitted_bytes,
            _ => 0,
        }
    }

    fn update_all_have(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let followers = leader.followers.iter().map(|f| f.matched);
        let all_have = followers.chain([self.log.durable()]).min();
        self.all_have = self.all_have.max(all_have.unwrap_or_default());
    }
}
