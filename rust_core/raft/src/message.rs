//! What machines say to each other.
//!
//! A `Message` belongs to one group and names the replicas at both ends, so that what was meant
//! for an older replica is dropped (R9). A `Heartbeat` belongs to a pair of nodes and has a line
//! per group: thousands of idle groups cost one message.

use phantom_base::{GroupId, LogIndex, ReplicaId, Term, Timestamp};

use crate::{Entry, Position, Promise};

/// One thing to tell a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parcel {
    /// About one group.
    Group(Message),
    /// About all groups that the sender leads and the receiver has.
    Heartbeat(Heartbeat),
    /// Its answer.
    HeartbeatAnswer(HeartbeatAnswer),
    /// "Count on me." For all groups that the sender leads or will lead.
    SupportAsked(Promise),
    /// What the sender has promised, or that it has withdrawn an epoch.
    SupportGiven(Promise),
}

/// The word of a replica that leads nothing, in `term` or before, and never will: nobody need help
/// it any more who has passed what it served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parting {
    /// 0 says that there is nothing to tell.
    pub term: Term,
    /// No read by lease was above.
    pub served: Timestamp,
}

/// A message between two replicas of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The group.
    pub gid: GroupId,
    /// The sender's replica.
    pub from: ReplicaId,
    /// The receiver's replica.
    pub to: ReplicaId,
    /// The sender's term; in a pre-vote and its grant, the term that is asked for.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Would you vote for me in this term? Changes no state (R8).
    PreVote {
        /// The end of the asker's log.
        last: Position,
    },
    /// The answer.
    PreVoteAnswer {
        /// Yes or no.
        granted: bool,
        /// Whoever waits for the answerer, as its leader, need not.
        parting: Parting,
    },
    /// Vote for me in this term.
    Vote {
        /// The end of the candidate's log.
        last: Position,
        /// The word of a leader that left for this candidate.
        permit: Parting,
    },
    /// The answer; durable (R1).
    VoteAnswer {
        /// Yes or no.
        granted: bool,
    },
    /// Entries after `prev`; none of them is a question whether `prev` matches.
    Append {
        /// The entry before them.
        prev: Position,
        /// The leader's commit index.
        commit: LogIndex,
        /// The entries, without gaps.
        entries: Vec<Entry>,
    },
    /// The sender's log equals the leader's up to `matched`, durably.
    Accepted {
        /// The last equal index.
        matched: LogIndex,
        /// In which epoch the sender has promised to help this leader alone; durable. 0 is none.
        epoch: u64,
    },
    /// The sender's log has no such `prev`.
    Rejected {
        /// The index that was asked for.
        prev: LogIndex,
        /// Where the logs may meet at best.
        hint: Position,
    },
    /// The leader's commit index moved, as far as this follower has matched. Not answered.
    Commit {
        /// At most what the follower has matched.
        index: LogIndex,
    },
    /// The leader steps down: elect another.
    Farewell {
        /// No read by lease was above.
        served: Timestamp,
    },
    /// The leader steps down for a member that misses nothing: that one stands at once.
    Handover {
        /// Who should lead next.
        heir: ReplicaId,
        /// No read by lease was above.
        served: Timestamp,
    },
    /// The leader keeps nothing before `first`, and the receiver needs it.
    TooFarBehind {
        /// The first entry that the leader keeps.
        first: LogIndex,
    },
    /// Am I still your leader? A read-index round (R14).
    Round {
        /// Never used before.
        context: u64,
    },
    /// Yes.
    RoundAnswer {
        /// The round's context.
        context: u64,
    },
    /// A follower asks its leader for a barrier.
    Ask {
        /// The follower's number for it, never used before.
        request: u64,
    },
    /// The round that began after the question was confirmed.
    Answer {
        /// The follower's number.
        request: u64,
        /// Apply up to here before reading.
        index: LogIndex,
        /// The stamp of the round.
        stamp: Timestamp,
    },
}

impl Body {
    /// Whether it belongs to reads; such messages travel in a section of their own.
    pub fn is_barrier(&self) -> bool {
        matches!(
            self,
            Self::Round { .. } | Self::RoundAnswer { .. } | Self::Ask { .. } | Self::Answer { .. }
        )
    }
}

/// "I lead these": resets their election timers, moves their commit indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// How often the sender has started.
    pub incarnation: u32,
    /// A line per group.
    pub lines: Vec<Line>,
}

/// One group of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The group.
    pub gid: GroupId,
    /// The leader's replica.
    pub from: ReplicaId,
    /// The receiver's replica.
    pub to: ReplicaId,
    /// The leader's term.
    pub term: Term,
    /// Its commit index, at most what the receiver has matched.
    pub commit: LogIndex,
    /// All members hold entries up to here durably: they may be released.
    pub all_have: LogIndex,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// Whether the answerer's disk is under its reserve: it is sent entries only where a majority
    /// cannot do without.
    pub short_of_room: bool,
    /// A line per group that the receiver has.
    pub lines: Vec<LineAnswer>,
}

impl HeartbeatAnswer {
    /// Whether any of its lines promises something.
    pub(crate) fn promises(&self) -> bool {
        self.lines.iter().any(|line| line.epoch > 0)
    }
}

/// One group of a heartbeat's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineAnswer {
    /// The group.
    pub gid: GroupId,
    /// The answerer's replica.
    pub from: ReplicaId,
    /// The leader's replica.
    pub to: ReplicaId,
    /// The answerer's term; above the leader's, it ends the leadership.
    pub term: Term,
    /// What the answerer has applied.
    pub applied: LogIndex,
    /// In which epoch it has promised to help this leader alone; durable. 0 is none.
    pub epoch: u64,
}
