//! What a replica tells about itself.

use phantom_base::{GroupId, LogIndex, NodeId, ReplicaId, Term, Timestamp};

use super::{Group, Role};
use crate::progress::State;

/// A role, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// Follows, or waits.
    Follower,
    /// Asks whether others would vote for it.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// A replica's state at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// The group.
    pub gid: GroupId,
    /// This node's replica.
    pub replica: ReplicaId,
    /// What it does.
    pub role: RoleName,
    /// Its term.
    pub term: Term,
    /// Who leads in that term; `NodeId::NONE` if it does not know.
    pub leader: NodeId,
    /// Its commit index.
    pub commit: LogIndex,
    /// What it has applied.
    pub applied: LogIndex,
    /// The first entry that it keeps.
    pub first: LogIndex,
    /// Its last entry.
    pub last: LogIndex,
    /// What of it is durable.
    pub durable: LogIndex,
    /// All members hold entries up to here durably, as far as this one knows.
    pub all_have: LogIndex,
    /// Whether it lacks entries that nobody keeps.
    pub too_far_behind: bool,
    /// Up to when the leader of this term had a lease, as far as it was asked; `MIN` elsewhere.
    pub lease_expiry: Timestamp,
    /// On the leader, every voter, itself among them; elsewhere empty.
    pub members: Vec<MemberStatus>,
}

/// A voter as the leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Where it lives.
    pub node: NodeId,
    /// Which replica it is.
    pub replica: ReplicaId,
    /// It holds this much durably.
    pub matched: LogIndex,
    /// It said that it has applied this much.
    pub applied: LogIndex,
    /// Whether entries are streamed to it; else they are probed, or it is too far behind.
    pub replicating: bool,
    /// Whether it lacks entries that the leader no longer keeps.
    pub too_far_behind: bool,
    /// Whether it said that its disk is under its reserve; the leader's own is the caller's to know.
    pub short_of_room: bool,
}

impl Group {
    /// What it is doing now.
    pub fn status(&self) -> GroupStatus {
        let (role, members) = match &self.role {
            Role::Follower => (RoleName::Follower, Vec::new()),
            Role::PreCandidate(_) => (RoleName::PreCandidate, Vec::new()),
            Role::Candidate(_) => (RoleName::Candidate, Vec::new()),
            Role::Leader(leader) => {
                let own = MemberStatus {
                    node: self.me.node,
                    replica: self.me.replica,
                    matched: self.log.durable(),
                    applied: self.applied,
                    replicating: true,
                    too_far_behind: false,
                    short_of_room: false,
                };
                let mut members = vec![own];
                members.extend(leader.followers.iter().map(|f| MemberStatus {
                    node: f.member.node,
                    replica: f.member.replica,
                    matched: f.matched,
                    applied: f.applied,
                    replicating: matches!(f.state, State::Replicate(_)),
                    too_far_behind: f.state == State::TooFarBehind,
                    short_of_room: f.is_short_of_room(),
                }));
                members.sort_by_key(|member| member.replica);
                (RoleName::Leader, members)
            }
        };
        GroupStatus {
            gid: self.gid,
            replica: self.me.replica,
            role,
            term: self.term,
            leader: self.leader_node(),
            commit: self.commit,
            applied: self.applied,
            first: self.log.first(),
            last: self.log.last(),
            durable: self.log.durable(),
            all_have: self.all_have(),
            too_far_behind: self.too_far_behind,
            lease_expiry: self.lease_expiry(),
            members,
        }
    }
}
