//! The storage engine: memtable, tables, manifest, compaction, snapshots.
//!
//! A log-structured merge tree over keyspaces with fixed numbers. A keyspace is fed by plain batches,
//! which go through the node's log, or by streams, whose entries the log already holds; never by
//! both, so a replay needs no order between the two.
//!
//! - What was answered survives; what survives is a prefix (D1, D2, by the log). Files and names are
//!   durable before an edit names them, an edit before what it replaces goes, and the log before a
//!   flush edit that speaks of it (D3-D6).
//! - No unverified byte reaches a reader (D8); damage is `Corruption`, with file and offset.
//! - Readers take no lock and wait for no writer. Reads that must not wait for a disk say so.
//! - Background work is handed out as jobs; nothing here makes a thread, reads a clock or draws
//!   randomness.
//!
//! It must not know replication, transactions or SQL: a versioned key ends in eight bytes that sort
//! the newest first, and that is all.
//!
//! ```text
//! write -> log, memtable/ -> flush (engine/jobs.rs) -> table/ -> compact/ -> table/
//! get   <- memtable/, table/ by way of cache.rs       scan <- iter/       open <- manifest/, log
//! ```

mod batch;
mod cache;
mod compact;
mod engine;
mod error;
mod iter;
mod key;
mod manifest;
mod memtable;
mod options;
mod stats;
mod table;
mod version;

pub use batch::{BATCH_BYTES_MAX, Batch, KEY_BYTES_MAX, Op, OpKind, Ops, VALUE_BYTES_MAX};
pub use engine::{Cached, Durability, Engine, Job, Seq, Slice, Snapshot};
pub use error::{Error, Result};
pub use iter::{Iter, Version, VersionIter};
pub use options::{EngineOptions, Keyspace, KeyspaceOptions, Source, disk_reserve};
pub use stats::Stats;

/// A range of keys: `start` is in it, `end` is not; `None` is unbounded. In a versioned keyspace
/// the keys are without their timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span<'a> {
    /// The first key.
    pub start: Option<&'a [u8]>,
    /// The key after the last.
    pub end: Option<&'a [u8]>,
}

/// The order in which an iterator goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Forward,
    /// Largest key first.
    Backward,
}
