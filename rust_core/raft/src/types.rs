//! What goes into the machine and comes out of it: members, durable state, limits, and `Ready`.
//!
//! Plain values. Durations are nanoseconds of the caller's monotonic clock, sizes are bytes.

use std::sync::Arc;

use phantom_base::{GroupId, LogIndex, Nanos, NodeId, ReplicaId, Term, Timestamp};

use crate::{Entry, Parcel, Refused, SupportState};

/// The caller's name for a proposal or a barrier; comes back in the answer.
pub type Token = u64;

/// Who this machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node; never 0.
    pub node: NodeId,
    /// How often the node has started; makes contexts unique over restarts. Below 2^24.
    pub incarnation: u32,
}

/// One voting copy of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Where it lives.
    pub node: NodeId,
    /// Which copy it is; never reused within the group, never 0.
    pub replica: ReplicaId,
}

/// What a replica must remember over a restart, besides its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The newest term that it has seen.
    pub term: Term,
    /// For whom it voted in that term; replica 0 is nobody.
    pub vote: ReplicaId,
    /// What it knew to be committed; may be behind, and ahead of the entries that survived.
    pub commit: LogIndex,
    /// The leader that it followed in that term, or, with an epoch, that it has promised to help
    /// alone, perhaps in an earlier one; replica 0 is nobody.
    pub lead: ReplicaId,
    /// The epoch of that promise (R10); 0 is none.
    pub lead_epoch: u64,
}

/// A replica as the log remembers it, given to `Machine::add_group`.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The group.
    pub gid: GroupId,
    /// This node's replica.
    pub me: Member,
    /// All voters, this one among them; one to five.
    pub members: Vec<Member>,
    /// The newest durable state; the default for a new group.
    pub hard: HardState,
    /// The last entry whose effects are in durable tables: committed for certain.
    pub applied: LogIndex,
    /// Whether members with full disks are spared its entries while others keep them. A group
    /// without goes on everywhere, from the reserve: its entries must be few and small.
    pub spares_full: bool,
}

/// Durations and bounds. The defaults are those of the design's table of knobs.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Between two heartbeats to a peer.
    pub heartbeat_ns: Nanos,
    /// Shortest silence after which a follower may elect; also how long a leader lives without
    /// contact to a quorum, and for how long a follower ignores rivals of its leader.
    pub election_min_ns: Nanos,
    /// Longest such silence.
    pub election_max_ns: Nanos,
    /// For how long nodes are asked to count on this one: how long a lease lasts.
    pub support_ns: Nanos,
    /// How long logs take to be durable, by the median of the members; 0 while nobody has said.
    pub sync_ns: Nanos,
    /// Entries in one append message, unless a single one is larger.
    pub append_bytes: usize,
    /// Unanswered append messages to a follower of a group.
    pub window_messages: usize,
    /// Bytes in them.
    pub window_bytes: usize,
    /// An entry above this travels alone: nothing follows it before it is answered.
    pub alone_bytes: usize,
    /// Largest entry; beyond it `Refused::TooLarge`.
    pub entry_bytes_max: usize,
    /// Proposed and not yet committed bytes of a group; beyond them `Refused::Busy`.
    pub uncommitted_group_bytes: usize,
    /// The same over all groups of the node.
    pub uncommitted_node_bytes: usize,
    /// Proposals or barriers of one group without an answer; beyond them `Refused::Busy`.
    pub tokens_max: usize,
}

/// A vote takes so many syncs at most: one that is under way, and its own.
const SYNCS_A_VOTE: u64 = 2;

impl Limits {
    /// How long a vote may take to count: who has voted lets nobody else stand meanwhile, and does not
    /// stand itself. Silence is another matter, since no heartbeat waits for a sync.
    pub(crate) fn vote_ns(&self) -> Nanos {
        self.sync_ns.saturating_mul(SYNCS_A_VOTE)
    }
}

impl Default for Limits {
    fn default() -> Self {
        const MS: Nanos = 1_000_000;
        Self {
            heartbeat_ns: 150 * MS,
            election_min_ns: 1_000 * MS,
            election_max_ns: 2_000 * MS,
            support_ns: 1_000 * MS,
            sync_ns: 0,
            append_bytes: 256 << 10,
            window_messages: 256,
            window_bytes: 8 << 20,
            alone_bytes: 512 << 10,
            entry_bytes_max: 20 << 20,
            uncommitted_group_bytes: 16 << 20,
            uncommitted_node_bytes: 256 << 20,
            tokens_max: 65_536,
        }
    }
}

/// How much room the node's disk has. What a term or a vote takes is always taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Almost none: no entry of a group that spares full members is taken, nor acknowledged.
    None,
    /// Under the reserve: nothing is proposed, leaders are told, and another member should lead.
    Short,
    /// For all that comes.
    #[default]
    Enough,
}

/// One record for the log. The order of a `Ready`'s records is part of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRecord {
    /// Replaces the group's durable state.
    State {
        /// The group.
        gid: GroupId,
        /// Its state from here on.
        state: HardState,
    },
    /// Appends entries without gaps; cuts everything at and after the first one's index.
    Append {
        /// The group.
        gid: GroupId,
        /// At least one entry, indexes rising by one.
        entries: Vec<Entry>,
    },
    /// Replaces what the node must remember of its promises.
    Support(SupportState),
}

/// Entries that are committed and durable here, to be applied in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The group.
    pub gid: GroupId,
    /// First index of the range.
    pub first: LogIndex,
    /// Last index of the range.
    pub last: LogIndex,
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is committed and applied here.
    Committed,
    /// Another entry was committed at its index: it is lost for certain.
    Superseded,
    /// Leadership went first; it may still be committed.
    Unknown,
}

/// The answer to a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The caller's token.
    pub token: Token,
    /// The group.
    pub gid: GroupId,
    /// Where the entry was put.
    pub index: LogIndex,
    /// What became of it.
    pub outcome: Outcome,
}

/// How a barrier ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarrierOutcome {
    /// Open: what this replica has applied holds everything that was acknowledged before the
    /// barrier was asked for.
    Open {
        /// Applied here; at least the leader's commit index when the round began.
        applied: LogIndex,
        /// The stamp of the round: reads up to it are covered (R14).
        stamp: Timestamp,
        /// The term in which leadership was confirmed; compare before a row is read.
        term: Term,
    },
    /// Not open and never will be: ask again.
    Refused(Refused),
}

/// The answer to a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierAnswer {
    /// The caller's token.
    pub token: Token,
    /// The group.
    pub gid: GroupId,
    /// How it ended.
    pub outcome: BarrierOutcome,
}

/// Why a leadership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostWhy {
    /// A newer term was seen.
    NewerTerm,
    /// No quorum answered for an election timeout.
    NoQuorum,
    /// `step_down` was called.
    Asked,
}

/// Something rare that whoever decides should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// These groups heard of no leader for their timeout; repeated while it stays so.
    ElectionDue(Vec<GroupId>),
    /// This node leads the group now.
    BecameLeader {
        /// The group.
        gid: GroupId,
        /// Its leadership's number.
        term: Term,
    },
    /// This node led the group and no longer does.
    LostLeadership {
        /// The group.
        gid: GroupId,
        /// The term that it led.
        term: Term,
        /// Why it ended.
        why: LostWhy,
    },
    /// The member lacks entries that nobody keeps any more, and stays out.
    MemberTooFarBehind {
        /// The group.
        gid: GroupId,
        /// Whose replica it is; may be this node.
        node: NodeId,
        /// The first entry that the leader still keeps.
        first: LogIndex,
    },
}

/// Everything that is to be done now. The caller first pushes `records` into the log, in order,
/// and calls `Machine::pushed`; the rest may happen in any order.
#[derive(Debug, Default)]
pub struct Ready {
    /// For the log, in order.
    pub records: Vec<LogRecord>,
    /// For peers. None of them relies on a record that is not durable.
    pub messages: Vec<(NodeId, Parcel)>,
    /// To be applied; `Machine::applied` reports back.
    pub committed: Vec<Committed>,
    /// Proposals that ended.
    pub done: Vec<Done>,
    /// Barriers that ended.
    pub barriers: Vec<BarrierAnswer>,
    /// What happened.
    pub events: Vec<Event>,
}

impl Ready {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.messages.is_empty()
            && self.committed.is_empty()
            && self.done.is_empty()
            && self.barriers.is_empty()
            && self.events.is_empty()
    }
}

/// The body of the entry that a new leader appends; what it means is the caller's business.
pub(crate) type Noop = Arc<[u8]>;
