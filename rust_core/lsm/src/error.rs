//! What can go wrong in the engine, as values.

use std::io;
use std::path::PathBuf;

use phantom_base::{SqlState, sqlstate};

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// An operating error of the engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The log's.
    #[error(transparent)]
    Log(#[from] phantom_log::Error),
    /// Bytes on disk are not what was written. Nothing was skipped or cut.
    #[error("{} is damaged at byte {offset}: {what}", file.display())]
    Corruption {
        /// The damaged file.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// Which check failed.
        what: &'static str,
    },
    /// The manifest could not be written; the engine takes nothing more until it is opened anew.
    #[error("the engine takes no more writes: {cause}")]
    Poisoned {
        /// The failed call.
        cause: String,
    },
    /// A file could not be read or written; nothing was lost by it.
    #[error("{what}: {kind}")]
    Io {
        /// The call and its file.
        what: String,
        /// The system's reason.
        kind: io::ErrorKind,
    },
    /// The free disk is below the reserve; deletes and compaction go on.
    #[error("{free} bytes are free on the disk, and {reserve} are kept in reserve")]
    DiskFull {
        /// What is free.
        free: u64,
        /// What is kept.
        reserve: u64,
    },
    /// Flushes and compactions are too far behind; nothing was written.
    #[error("writes wait for {frozen} memtables and {l0} tables of level 0")]
    Stalled {
        /// Memtables that wait for a flush.
        frozen: usize,
        /// Tables of level 0, of the worst keyspace.
        l0: usize,
    },
    /// A key, value or batch is over its limit.
    #[error("{what} of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// An argument cannot be meant.
    #[error("{what}")]
    InvalidArgument {
        /// What is wrong with it.
        what: String,
    },
    /// Another process, or another engine of this one, has the directory.
    #[error("{} is in use", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The keyspace was not declared at open.
    #[error("keyspace {keyspace} does not exist")]
    NoSuchKeyspace {
        /// Its number.
        keyspace: u16,
    },
    /// A file of a newer release, or an operation that this one does not have.
    #[error("{what}")]
    Unsupported {
        /// What is not known.
        what: String,
    },
}

impl Error {
    /// Wraps a failed call.
    pub fn io(what: impl Into<String>, error: &io::Error) -> Self {
        Self::Io { what: what.into(), kind: error.kind() }
    }

    /// Whether only room on the disk was missing: nothing was done, and it may be tried again.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::Io { kind: io::ErrorKind::StorageFull, .. })
    }

    /// The code that travels.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Log(error) => error.sqlstate(),
            Self::Corruption { .. } => sqlstate::DATA_CORRUPTED,
            _ if self.is_disk_full() => sqlstate::DISK_FULL,
            Self::Poisoned { .. } | Self::Io { .. } | Self::DiskFull { .. } => sqlstate::IO_ERROR,
            Self::Stalled { .. } => sqlstate::INSUFFICIENT_RESOURCES,
            Self::TooLarge { .. } => sqlstate::PROGRAM_LIMIT_EXCEEDED,
            Self::InvalidArgument { .. } => sqlstate::INVALID_PARAMETER_VALUE,
            Self::InUse { .. } => sqlstate::OBJECT_IN_USE,
            Self::NoSuchKeyspace { .. } => sqlstate::UNDEFINED_OBJECT,
            Self::Unsupported { .. } => sqlstate::FEATURE_NOT_SUPPORTED,
        }
    }
}
