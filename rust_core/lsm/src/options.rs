//! How an engine is opened: keyspaces and limits, each with its unit and reason.

use std::sync::Arc;
use std::time::Duration;

use phantom_base::Clock;

/// The number of a keyspace, at most 65,535; the caller fixes it for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keyspace(pub u16);

impl Keyspace {
    /// Versions of rows; versioned, fed by streams.
    pub const DATA: Self = Self(1);
    /// Intents.
    pub const INTENTS: Self = Self(2);
    /// Transaction records.
    pub const TRANSACTIONS: Self = Self(3);
    /// What a group knows of itself.
    pub const APPLIED: Self = Self(4);
}

/// By which of the two ways a keyspace is written; never by both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `Engine::write`: batches through the log.
    Batch,
    /// `Engine::apply`: entries that the log already holds.
    Stream,
}

/// A keyspace, declared at open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyspaceOptions {
    /// Its number.
    pub id: Keyspace,
    /// How it is written.
    pub source: Source,
    /// Whether its keys end in `be64(!timestamp)`.
    pub versioned: bool,
}

/// Everything that `Engine::open` is told.
#[derive(Clone)]
pub struct EngineOptions {
    /// The name of a new database; an existing one keeps its own.
    pub database: [u8; 16],
    /// The keyspaces; D, L, T and A by default.
    pub keyspaces: Vec<KeyspaceOptions>,
    /// All memory of the engine in bytes, at least 16 MiB: 3/8 memtables, 1/8 log entries, the rest
    /// filters, indexes and the block cache.
    pub memory_bytes: usize,
    /// Size of a memtable in bytes; 0: `memory_bytes` x 3/32.
    pub memtable_bytes: usize,
    /// Bytes of log after which a memtable is frozen though it is not full: bounds a restart's
    /// replay to four times as much.
    pub memtable_log_bytes: u64,
    /// Block cache in bytes, if it shall not follow from `memory_bytes`.
    pub cache_bytes: Option<usize>,
    /// Raw size of a data block in bytes.
    pub block_bytes: usize,
    /// Size at which a compaction starts its next table.
    pub table_bytes: u64,
    /// Size of level 1 in bytes; each level below is ten times as large.
    pub level_bytes: u64,
    /// Tables of level 0 of a keyspace at which they are compacted.
    pub l0_compact: usize,
    /// Tables of level 0 of a keyspace at which writes wait.
    pub l0_max: usize,
    /// Frozen memtables at which writes wait.
    pub frozen_max: usize,
    /// How long a write may wait for work in the background.
    pub stall_max: Duration,
    /// Whether a write that waits takes the work on itself: where no thread does, or none is free.
    pub writers_work: bool,
    /// Size of a log segment in bytes, a multiple of 32 KiB.
    pub segment_bytes: u32,
    /// Free disk in bytes below which writes are refused; `None`: 2 %, 256 MiB to 4 GiB.
    pub disk_reserve: Option<u64>,
    /// For the log's `pending_age` and `pace` alone: nothing in the engine depends on time.
    pub clock: Arc<dyn Clock>,
}

/// What is kept free on a disk of `total` bytes, unless it is said: room to flush and compact, to
/// remove what is released, to vote. It covers three memtables and their log many times over.
pub fn disk_reserve(said: Option<u64>, total: u64) -> u64 {
    said.unwrap_or_else(|| (total / 50).clamp(256 << 20, 4 << 30))
}

impl EngineOptions {
    /// The defaults, for a database called `database`.
    pub fn new(database: [u8; 16], clock: Arc<dyn Clock>) -> Self {
        let stream = |id, versioned| KeyspaceOptions { id, source: Source::Stream, versioned };
        Self {
            database,
            keyspaces: vec![
                stream(Keyspace::DATA, true),
                stream(Keyspace::INTENTS, false),
                stream(Keyspace::TRANSACTIONS, false),
                stream(Keyspace::APPLIED, false),
            ],
            memory_bytes: 256 << 20,
            memtable_bytes: 0,
            memtable_log_bytes: 15 << 20,
            cache_bytes: None,
            block_bytes: 4 << 10,
            table_bytes: 16 << 20,
            level_bytes: 64 << 20,
            l0_compact: 4,
            l0_max: 12,
            frozen_max: 3,
            stall_max: Duration::from_secs(10),
            writers_work: true,
            segment_bytes: 4 << 20,
            disk_reserve: None,
            clock,
        }
    }
}
