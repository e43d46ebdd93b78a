//! What can go wrong in the log, as values.

use std::io;
use std::path::PathBuf;

use phantom_base::{SqlState, sqlstate};

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// An operating error of the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Bytes that were durable are not what was written. Nothing was skipped or cut.
    #[error("{} is damaged at byte {offset}: {what}", file.display())]
    Corruption {
        /// The damaged file.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// Which check failed.
        what: &'static str,
    },
    /// A write or sync failed under this record: it may survive a crash or not. What was
    /// acknowledged before does.
    #[error("outcome unknown: {cause}")]
    UnknownOutcome {
        /// The failed call.
        cause: String,
    },
    /// A write or sync failed earlier; the log takes nothing more until it is opened anew.
    #[error("the log takes no more writes: {cause}")]
    Poisoned {
        /// The failed call.
        cause: String,
    },
    /// A file could not be read, listed or made; nothing was lost by it.
    #[error("{what}: {kind}")]
    Io {
        /// The call and its file.
        what: String,
        /// The system's reason.
        kind: io::ErrorKind,
    },
    /// A record is over the limit.
    #[error("a record of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The file was written by a newer release, or holds a record that this one does not read.
    #[error("{} at byte {offset}: {what}", file.display())]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is not read.
        what: &'static str,
    },
    /// Entries that are asked for were released or never appended.
    #[error("stream {stream} holds entries {first} to {last}, not {asked}")]
    NotHeld {
        /// The stream.
        stream: u64,
        /// What was asked for.
        asked: u64,
        /// The first entry held.
        first: u64,
        /// The last entry held.
        last: u64,
    },
}

impl Error {
    /// Wraps a failed call.
    pub fn io(what: impl Into<String>, error: &io::Error) -> Self {
        Self::Io { what: what.into(), kind: error.kind() }
    }

    /// The code that travels.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Corruption { .. } => sqlstate::DATA_CORRUPTED,
            Self::UnknownOutcome { .. } => sqlstate::STATEMENT_COMPLETION_UNKNOWN,
            Self::Io { kind: io::ErrorKind::StorageFull, .. } => sqlstate::DISK_FULL,
            Self::Poisoned { .. } | Self::Io { .. } => sqlstate::IO_ERROR,
            Self::TooLarge { .. } => sqlstate::PROGRAM_LIMIT_EXCEEDED,
            Self::Unsupported { .. } => sqlstate::FEATURE_NOT_SUPPORTED,
            Self::NotHeld { .. } => sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
        }
    }
}
