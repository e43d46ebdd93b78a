//! What the engine counts, and what `Engine::stats` shows of it.

use phantom_base::sync::AtomicU64;

#[derive(Default)]
pub(crate) struct Counters {
    pub flushes: AtomicU64,
    pub compactions: AtomicU64,
    pub table_bytes_written: AtomicU64,
    pub replayed_bytes: AtomicU64,
    pub stalls: AtomicU64,
}

/// Counters and sizes, of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of all tables.
    pub table_bytes: u64,
    /// Tables and bytes of each level, over all keyspaces.
    pub levels: Vec<(usize, u64)>,
    /// Bytes of the memtables, frozen ones included.
    pub memtable_bytes: u64,
    /// Memtables that wait for a flush.
    pub frozen: usize,
    /// Bytes in the block cache.
    pub cache_bytes: u64,
    /// Block look-ups answered by the cache.
    pub cache_hits: u64,
    /// Block look-ups that it did not answer.
    pub cache_misses: u64,
    /// Bytes of pinned filters and indexes.
    pub pinned_bytes: u64,
    /// Flushes done.
    pub flushes: u64,
    /// Compactions done.
    pub compactions: u64,
    /// Bytes written by flushes and compactions.
    pub table_bytes_written: u64,
    /// Bytes of the log's segments.
    pub log_bytes: u64,
    /// Bytes of log records applied to memtables by `open`.
    pub replayed_bytes: u64,
    /// Bytes cut from the log's torn tail by `open`.
    pub cut_bytes: u64,
    /// Writes that waited for work in the background.
    pub stalls: u64,
    /// Whether writes are refused because the disk is nearly full.
    pub read_only: bool,
    /// Whether a failed write or sync ended all writing.
    pub poisoned: bool,
}
