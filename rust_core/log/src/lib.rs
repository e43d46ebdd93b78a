//! The node's one log: frames, segments, group commit, recovery, reclaim.
//!
//! It is the write-ahead log of the storage engine and the entry log of every replicated group at
//! once, so that one fsync serves them all. It knows *streams* of numbered entries with slots of
//! state beside them, and *batches* of operations; it never looks into either.
//!
//! - A record is durable before anybody is told so; what survives a crash is a prefix of the log that
//!   holds everything told (D1, D2).
//! - The first failed write or sync poisons: no later success is ever reported (D7). After a failed
//!   sync the kernel calls lost pages clean, so a second try would lie.
//! - Torn and damaged are told apart by what later frames know to be durable (`recover.rs`).
//! - A segment goes only when nothing needs it (`reclaim.rs`, D6).
//!
//! It performs I/O only in `open`, `Work::run`, `read` and `reclaim`. It must not know replication,
//! tables or SQL.
//!
//! ```text
//! push -> queue.rs (frame.rs, codec.rs) -> Work::run -> done -> tickets
//!      -> index.rs (where entries and slots lie)     open <- recover.rs
//! ```

mod codec;
mod error;
pub mod frame;
pub mod header;
mod index;
mod log;
mod pace;
mod queue;
mod reclaim;
mod record;
mod recover;

use std::sync::Arc;

use phantom_base::Clock;

pub use error::{Error, Result};
pub use log::{Log, RECORD_BYTES_MAX, Work};
pub use pace::Paced;
pub use record::{Bounds, Entries, Entry, Level, Reclaimed, Record, Stream, Ticket};

/// How a log is opened.
#[derive(Clone)]
pub struct LogOptions {
    /// The database that the log belongs to; frames of another never verify.
    pub database: [u8; 16],
    /// Size of a segment in bytes, a multiple of 32 KiB.
    pub segment_bytes: u32,
    /// Memory for entries kept for `read`, in bytes.
    pub entry_cache_bytes: usize,
    /// For `pending_age` and `pace` alone.
    pub clock: Arc<dyn Clock>,
}

impl LogOptions {
    /// Segments of 4 MiB, 32 MiB of entries in memory.
    pub fn new(database: [u8; 16], clock: Arc<dyn Clock>) -> Self {
        Self { database, segment_bytes: 4 << 20, entry_cache_bytes: 32 << 20, clock }
    }
}

/// What recovery found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Bytes of segments read.
    pub bytes: u64,
    /// Bytes cut as a torn tail; none of them was ever acknowledged.
    pub cut_bytes: u64,
}
