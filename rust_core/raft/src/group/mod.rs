//! One group's replica on this node: its role, term, log and what waits on it.
//!
//! The files below each hold one part of it: `election` (campaigns, votes, timers), `leader`
//! (proposals, appends, commit), `follower` (what a leader says), `belief` (what cannot be true of
//! it), `barrier` (reads), `lease` (reads that ask nobody), `room` (full disks), `handover` (leaders that leave), `check` (what must
//! always be true). All of them act on the outside through `Context` alone.

mod barrier;
mod belief;
mod check;
mod election;
mod follower;
mod handover;
mod leader;
mod lease;
mod room;
mod status;

use std::sync::Arc;

use phantom_base::{GroupId, LogIndex, Map, Nanos, NodeId, Random, ReplicaId, Set, Term, mutant};

use crate::entries::GroupLog;
use crate::machine::{Act, Batch, Out};
use crate::support::Support;
use crate::{
    Body, Contradiction, Done, Entries, HardState, Identity, Limits, LogRecord, LostWhy, Member,
    Message, Outcome, Parcel, Parting, Refused, Restored, Room, Token,
};

use barrier::Barriers;
use leader::Leader;
use lease::Fortified;

pub use status::{GroupStatus, MemberStatus, RoleName};

/// All that a group may see and touch besides itself.
pub struct Context<'a> {
    pub now: Nanos,
    pub identity: Identity,
    pub limits: &'a Limits,
    pub random: &'a mut dyn Random,
    pub noop: &'a Arc<[u8]>,
    /// The last number given to a round or a question of this node.
    pub contexts: &'a mut u64,
    pub room: Room,
    pub support: &'a Support,
    /// How far clocks of other nodes may be ahead of this one's, in milliseconds.
    pub uncertainty_ms: u64,
    pub out: &'a mut Out,
}

impl Context<'_> {
    /// A number that no life of this node has used for a round or a question (R14).
    fn fresh_context(&mut self) -> u64 {
        *self.contexts += 1;
        *self.contexts
    }
}

#[derive(Debug)]
enum Role {
    Follower,
    PreCandidate(Votes),
    Candidate(Votes),
    Leader(Box<Leader>),
}

/// What voters said to a campaign.
#[derive(Debug, Default)]
struct Votes {
    granted: Set<ReplicaId>,
    refused: Set<ReplicaId>,
}

/// A replica.
#[derive(Debug)]
pub struct Group {
    gid: GroupId,
    me: Member,
    /// All voters, in order of their replica ids.
    members: Vec<Member>,
    term: Term,
    vote: Option<ReplicaId>,
    /// Who leads in this term, as far as this replica knows.
    leader: Option<ReplicaId>,
    role: Role,
    log: GroupLog,
    commit: LogIndex,
    /// The commit index of the newest `State` record.
    commit_saved: LogIndex,
    /// Handed out to be applied.
    handed: LogIndex,
    applied: LogIndex,
    /// All members hold entries up to here durably.
    all_have: LogIndex,
    /// Whom it has promised to help alone.
    fortified: Option<Fortified>,
    /// The word of the leader that made it the heir, while it stands for that.
    permit: Parting,
    /// When the leader of this term was last heard.
    heard_at: Option<Nanos>,
    /// When it voted in this term, in this life.
    voted_at: Option<Nanos>,
    /// When silence ends in an election.
    deadline: Nanos,
    /// The batch of the newest record of this group: answers wait for it (R1).
    needs: Batch,
    /// The batch of the newest record that cut entries.
    cut_in: Batch,
    /// This node's proposals, by place.
    proposals: Map<(LogIndex, Term), Token>,
    /// When the fate of proposals of a lost leadership is given up.
    proposals_until: Nanos,
    barriers: Barriers,
    too_far_behind: bool,
    spares_full: bool,
}

impl Group {
    pub fn restore(restored: Restored, entries: &dyn Entries, cx: &mut Context<'_>) -> Self {
        let Restored { gid, me, mut members, hard, applied, spares_full } = restored;
        members.sort_by_key(|member| member.replica);
        assert!((1..=5).contains(&members.len()), "{gid}: {} voters", members.len());
        assert!(members.contains(&me), "{gid}: {me:?} is no voter of {members:?}");
        assert_eq!(me.node, cx.identity.node, "{gid}: a replica of this node");
        let unique: Set<_> = members.iter().map(|member| member.node).collect();
        assert_eq!(unique.len(), members.len(), "{gid}: one replica a node");
        let log = GroupLog::restore(gid, entries);
        assert!(applied <= log.last(), "{gid}: applied {applied}, log ends at {}", log.last());
        assert!(hard.term >= log.last_position().term, "{gid}: a term precedes its entries");
        // A commit index may have been logged ahead of the entries that came with it (R5), and
        // an applied entry was committed whatever the last state says.
        let commit = hard.commit.max(applied).min(log.last());
        let mut group = Self {
            gid,
            me,
            members,
            term: hard.term,
            vote: (hard.vote != ReplicaId(0)).then_some(hard.vote),
            leader: None,
            role: Role::Follower,
            log,
            commit,
            commit_saved: commit,
            handed: applied,
            applied,
            all_have: LogIndex(0),
            fortified: None,
            permit: Parting::default(),
            heard_at: None,
            voted_at: None,
            deadline: 0,
            needs: Batch(0),
            cut_in: Batch(0),
            proposals: Map::new(),
            proposals_until: 0,
            barriers: Barriers::default(),
            too_far_behind: false,
            spares_full,
        };
        group.fortified = group.restored_promise(hard.lead, hard.lead_epoch);
        if group.is_alone() {
            group.deadline = cx.now; // It waits for nobody.
        } else {
            group.reset_deadline(cx);
        }
        group
    }

    /// Whether this replica is the only one.
    pub fn is_alone(&self) -> bool {
        self.members.len() == 1
    }

    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    pub fn member_of(&self, replica: ReplicaId) -> Option<Member> {
        self.members.iter().find(|member| member.replica == replica).copied()
    }

    pub fn leader_node(&self) -> NodeId {
        self.leader.and_then(|r| self.member_of(r)).map_or(NodeId::NONE, |member| member.node)
    }

    fn not_leader(&self) -> Refused {
        Refused::NotLeader { leader: self.leader_node() }
    }

    fn others(&self) -> impl Iterator<Item = Member> + use<'_> {
        self.members.iter().copied().filter(|member| *member != self.me)
    }

    /// Takes a message; one for another replica, or from a stranger, is dropped (R9). One that
    /// cannot be true is refused and has changed nothing.
    pub fn step(
        &mut self,
        from: NodeId,
        message: Message,
        cx: &mut Context<'_>,
    ) -> Result<(), Contradiction> {
        let stranger = self.member_of(message.from).is_none_or(|member| member.node != from);
        if message.to != self.me.replica || stranger || message.from == self.me.replica {
            phantom_base::mark!("message_of_another_replica_dropped");
            return Ok(());
        }
        let Message { from, term, body, .. } = message;
        self.doubt(from, term, &body)?;
        self.step_believed(from, term, body, cx);
        Ok(())
    }

    fn step_believed(&mut self, from: ReplicaId, term: Term, body: Body, cx: &mut Context<'_>) {
        match body {
            Body::PreVote { last } => return self.on_pre_vote(from, term, last, cx),
            Body::PreVoteAnswer { granted, parting } => {
                self.part_from(from, parting);
                if granted {
                    return self.on_pre_vote_granted(from, term, cx);
                }
            }
            Body::Vote { permit, .. } => {
                self.on_permit(permit, cx);
                if self.ignores(from, term, cx) {
                    // A rival's term is not adopted: nobody may end a leadership that works (R10).
                    phantom_base::mark!("candidate_ignored_while_leader_is_heard");
                    return;
                }
            }
            Body::Farewell { served } | Body::Handover { served, .. } => {
                self.part_from(from, Parting { term, served });
            }
            _ => {}
        }
        if term > self.term {
            self.become_follower(term, None, LostWhy::NewerTerm, cx);
        }
        if term < self.term {
            return self.on_stale(from, &body, cx);
        }
        self.step_in_term(from, body, cx);
    }

    fn step_in_term(&mut self, from: ReplicaId, body: Body, cx: &mut Context<'_>) {
        match body {
            Body::PreVote { .. } | Body::PreVoteAnswer { granted: true, .. } => {
                unreachable!("pre-votes are handled before terms are compared")
            }
            Body::PreVoteAnswer { granted: false, .. } => self.on_pre_vote_refused(from),
            Body::Vote { last, .. } => self.on_vote(from, last, cx),
            Body::VoteAnswer { granted } => self.on_vote_answer(from, granted, cx),
            Body::Append { prev, commit, entries } => {
                self.follow(from, cx);
                self.on_append(from, prev, commit, &entries, cx);
            }
            Body::Commit { index } => {
                self.follow(from, cx);
                self.learn_commit(index);
            }
            Body::Farewell { .. } => self.on_farewell(from, cx),
            Body::Handover { heir, served } => self.on_handover(from, heir, served, cx),
            Body::TooFarBehind { first } => {
                self.follow(from, cx);
                self.on_too_far_behind(first, cx);
            }
            Body::Round { context } => {
                self.follow(from, cx);
                self.send(from, self.term, Body::RoundAnswer { context }, cx);
            }
            Body::Accepted { matched, epoch } => self.on_accepted(from, matched, epoch, cx),
            Body::Rejected { prev, hint } => self.on_rejected(from, prev, hint, cx),
            Body::RoundAnswer { context } => self.on_round_answer(from, context, cx),
            Body::Ask { request } => self.on_ask(from, request, cx),
            Body::Answer { request, index, stamp } => self.on_answer(request, index, stamp, cx),
        }
    }

    /// A sender behind our term learns of it if it believes that it leads or could; the rest of
    /// what is stale is dropped.
    fn on_stale(&mut self, from: ReplicaId, body: &Body, cx: &mut Context<'_>) {
        match body {
            Body::Vote { .. } => self.answer(from, Body::VoteAnswer { granted: false }, cx),
            Body::Append { prev, .. } => {
                phantom_base::mark!("stale_leader_told");
                let hint = self.log.last_position();
                self.answer(from, Body::Rejected { prev: prev.index, hint }, cx);
            }
            Body::Commit { .. } | Body::Round { .. } | Body::TooFarBehind { .. } => {
                let hint = self.log.last_position();
                self.answer(from, Body::Rejected { prev: LogIndex(0), hint }, cx);
            }
            _ => phantom_base::mark!("stale_message_dropped"),
        }
    }

    /// Sends now. For what relies on nothing of this node's disk.
    fn send(&self, to: ReplicaId, term: Term, body: Body, cx: &mut Context<'_>) {
        let member = self.member_of(to).expect("messages go to members");
        assert_ne!(member, self.me, "nobody writes to itself");
        let message = Message { gid: self.gid, from: self.me.replica, to, term, body };
        cx.out.messages.push((member.node, Parcel::Group(message)));
    }

    /// Sends once all that this group has logged is durable (R1).
    fn answer(&self, to: ReplicaId, body: Body, cx: &mut Context<'_>) {
        let member = self.member_of(to).expect("messages go to members");
        let (gid, from, term) = (self.gid, self.me.replica, self.term);
        let parcel = Parcel::Group(Message { gid, from, to, term, body });
        let is_vote =
            matches!(&parcel, Parcel::Group(m) if matches!(m.body, Body::VoteAnswer { .. }));
        if self.needs <= cx.out.durable || (is_vote && mutant!("vote_before_sync")) {
            cx.out.messages.push((member.node, parcel));
        } else {
            cx.out.hold(self.needs, Act::Send { to: member.node, parcel });
        }
    }

    fn broadcast(&self, term: Term, body: &Body, cx: &mut Context<'_>) {
        for member in self.others() {
            self.send(member.replica, term, body.clone(), cx);
        }
    }

    /// Logs term, vote and commit. `commit` is below the own one where entries that are about
    /// to be cut stand between: a restart must not take those for committed.
    fn save(&mut self, commit: LogIndex, cx: &mut Context<'_>) {
        let none = ReplicaId(0);
        let state = HardState {
            term: self.term,
            vote: self.vote.unwrap_or(none),
            commit,
            lead: self.fortified.map(|it| it.leader).or(self.leader).unwrap_or(none),
            lead_epoch: self.fortified.map_or(0, |it| it.epoch),
        };
        self.commit_saved = commit;
        cx.out.record(LogRecord::State { gid: self.gid, state });
        self.needs = cx.out.batch;
    }

    /// What the log has made durable. Older records than the newest cut say nothing: an entry of
    /// theirs that stands here was cut and came again, and a crash may keep the cut alone.
    pub fn synced(&mut self, upto: crate::Position, cx: &mut Context<'_>) {
        if cx.out.durable < self.cut_in {
            phantom_base::mark!("durable_before_the_newest_cut");
            return;
        }
        self.log.synced(upto);
        if self.is_leader() {
            self.advance_commit(cx);
        }
    }

    /// The range that may be applied now and was not handed out before: committed and durable.
    pub fn take_committed(&mut self) -> Option<(LogIndex, LogIndex)> {
        let upto = self.commit.min(self.log.durable());
        if upto <= self.handed {
            return None;
        }
        let first = self.handed.next();
        self.handed = upto;
        Some((first, upto))
    }

    /// The caller has applied up to `index`: answers proposals and opens barriers.
    pub fn applied(&mut self, index: LogIndex, cx: &mut Context<'_>) {
        assert!(
            index >= self.applied && index <= self.handed,
            "{}: applied {index} after {}, handed out {}",
            self.gid,
            self.applied,
            self.handed
        );
        self.applied = index;
        while let Some(slot) = self.proposals.first_entry() {
            let (at, term) = *slot.key();
            if at > index {
                break;
            }
            let committed = self.log.term_at(at) == Some(term);
            let outcome = if committed { Outcome::Committed } else { Outcome::Superseded };
            let token = slot.remove();
            cx.out.done.push(Done { token, gid: self.gid, index: at, outcome });
        }
        self.open_barriers(cx);
    }

    /// The caller has released entries up to `upto` in the log.
    pub fn released(&mut self, upto: LogIndex) {
        assert!(upto <= self.applied, "{}: only applied entries are released", self.gid);
        self.log.release(upto);
    }

    /// What all members are known to hold durably.
    pub fn all_have(&self) -> LogIndex {
        self.all_have.min(self.commit)
    }

    /// Ends everything that waits.
    pub fn stop(&mut self, cx: &mut Context<'_>) {
        if self.is_leader() {
            let _ = self.step_down(LostWhy::Asked, cx);
        }
        self.give_up_proposals(cx);
        self.stop_barriers(cx);
    }

    fn give_up_proposals(&mut self, cx: &mut Context<'_>) {
        for ((index, _), token) in std::mem::take(&mut self.proposals) {
            let outcome = Outcome::Unknown;
            cx.out.done.push(Done { token, gid: self.gid, index, outcome });
        }
    }

    /// Time has passed: gives up what waited too long, and says whether an election is due.
    pub fn tick(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_leader() {
            self.tick_leader(cx);
            return false;
        }
        if cx.now >= self.proposals_until && !self.proposals.is_empty() {
            phantom_base::mark!("proposal_fate_unknown");
            self.give_up_proposals(cx);
        }
        self.repeat_asks(cx);
        self.election_due(cx)
    }

    /// When `tick` has something to do at the latest.
    pub fn next_tick(&self, cx: &Context<'_>) -> Nanos {
        let beat = cx.now + cx.limits.heartbeat_ns;
        if self.is_leader() {
            beat
        } else if !self.proposals.is_empty() || self.barriers.asking() {
            beat.min(self.deadline)
        } else {
            self.deadline
        }
    }
}
