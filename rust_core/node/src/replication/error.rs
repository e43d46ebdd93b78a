//! What can go wrong in replication: refusals that change nothing, and the errors that end a node.

use phantom_base::{SqlState, sqlstate};

use super::entry::MalformedEntry;

/// The module's result.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the node as a whole. After one from `poll` the process must end: what was
/// acknowledged holds, what was not is unknown (40003).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The engine's or the log's.
    #[error(transparent)]
    Engine(#[from] phantom_lsm::Error),
    /// The directory holds no formed node.
    #[error("the data directory was never formed")]
    NotFormed,
    /// The node has accepted another formation before: a node accepts one in its life.
    #[error("the node is part of cluster {cluster:016x} already")]
    AlreadyFormed {
        /// The cluster that it belongs to.
        cluster: u64,
    },
    /// The directory belongs to another cluster.
    #[error("the data directory belongs to cluster {found:016x}, not {expected:016x}")]
    ForeignDirectory {
        /// What the settings say.
        expected: u64,
        /// What the directory says.
        found: u64,
    },
    /// A formation that cannot be meant.
    #[error("a formation {0}")]
    BadFormation(&'static str),
    /// Durable state that contradicts itself.
    #[error("the data directory is damaged: {0}")]
    Damaged(String),
}

impl From<phantom_log::Error> for Error {
    fn from(error: phantom_log::Error) -> Self {
        Self::Engine(error.into())
    }
}

impl Error {
    /// The code that travels.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Engine(error) => error.sqlstate(),
            Self::NotFormed | Self::AlreadyFormed { .. } | Self::ForeignDirectory { .. } => {
                sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            Self::BadFormation(_) => sqlstate::INVALID_PARAMETER_VALUE,
            Self::Damaged(_) => sqlstate::DATA_CORRUPTED,
        }
    }
}

/// A verb's typed no. It has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The Raft machine's.
    #[error(transparent)]
    Raft(#[from] phantom_raft::Refused),
    /// The node has started and its clock has not passed what it may have promised before.
    #[error("the node is starting")]
    Starting,
    /// Some member's release could not read the entry, or has not said that it can.
    #[error("not all members have said that they can read it (features {missing:#x})")]
    NotNamed {
        /// The features that are missing.
        missing: u64,
    },
    /// The body of an entry does not read.
    #[error(transparent)]
    Malformed(#[from] MalformedEntry),
}

impl Refused {
    /// The code that a client gets where the refusal becomes its answer.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Raft(refused) => refused.sqlstate(),
            Self::Starting => sqlstate::CANNOT_CONNECT_NOW,
            Self::NotNamed { .. } => sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
            Self::Malformed(_) => sqlstate::INTERNAL_ERROR,
        }
    }
}
