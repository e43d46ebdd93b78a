//! Why a verb was refused, or a peer's message. A refusal has changed nothing.

use phantom_base::{GroupId, LogIndex, NodeId, ReplicaId, SqlState, Term, sqlstate};

/// A message that cannot be true: its sender has a bug, or has lost what it told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// A second replica says that it leads a term.
    #[error("{gid}: replica {other} and replica {leader} both lead term {term}")]
    TwoLeaders {
        /// The group.
        gid: GroupId,
        /// The term.
        term: Term,
        /// Who is known to lead it.
        leader: ReplicaId,
        /// Who says so too.
        other: ReplicaId,
    },
    /// Entries are counted that are not in the log.
    #[error("{gid}: replica {from} counts entries up to {index}, the log ends at {last}")]
    NotHeld {
        /// The group.
        gid: GroupId,
        /// Who counted them.
        from: ReplicaId,
        /// Up to where.
        index: LogIndex,
        /// The last entry here.
        last: LogIndex,
    },
}

/// A typed no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another node leads, or nobody.
    #[error("this node does not lead the group; leader: {leader}")]
    NotLeader {
        /// Who is believed to lead; `NodeId::NONE` if nobody is known.
        leader: NodeId,
    },
    /// Too much is in flight; nothing was queued.
    #[error("too many bytes or requests are in flight in the group or on the node")]
    Busy,
    /// No majority has room on its disks for more entries.
    #[error("too few members of the group have room on their disks")]
    DiskFull,
    /// The entry is over the limit.
    #[error("an entry of {bytes} bytes is over the limit")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// This node has no replica of the group.
    #[error("this node has no replica of the group")]
    NoGroup,
    /// The machine was stopped.
    #[error("the node is stopping")]
    Stopped,
    /// A campaign of the leader itself.
    #[error("this node leads the group already")]
    Leads,
    /// A campaign while the leader is heard.
    #[error("this node hears the leader of the group")]
    SupportsLeader,
    /// A leader that should leave, and nobody who could lead in its place.
    #[error("no other member of the group could lead it now")]
    NoHeir,
    /// A campaign while a vote that it gave may still elect another.
    #[error("this node has just voted for another")]
    SupportsCandidate,
    /// A campaign of a replica that lacks entries which nobody keeps.
    #[error("this replica is too far behind to take part")]
    TooFarBehind,
}

impl Refused {
    /// The code that a client gets where the refusal becomes its answer.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::NotLeader { .. } | Self::NoGroup | Self::Stopped => sqlstate::CANNOT_CONNECT_NOW,
            Self::Busy => sqlstate::INSUFFICIENT_RESOURCES,
            Self::DiskFull => sqlstate::DISK_FULL,
            Self::TooLarge { .. } => sqlstate::PROGRAM_LIMIT_EXCEEDED,
            Self::Leads
            | Self::SupportsLeader
            | Self::NoHeir
            | Self::SupportsCandidate
            | Self::TooFarBehind => sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
        }
    }
}
