//! The storage engine: memtable, tables, manifest, compaction, snapshots.

mod batch;
mod error;
mod options;

use std::path::Path;
use std::sync::Arc;

use phantom_base::Lsn;
use phantom_log::{Level, Log, Reclaimed, Stream};
use phantom_vfs::Vfs;

pub use batch::{BATCH_BYTES_MAX, Batch, KEY_BYTES_MAX, Op, OpKind, Ops, VALUE_BYTES_MAX};
pub use error::{Error, Result};
pub use options::{EngineOptions, Keyspace, KeyspaceOptions, Source};

/// The number of a write in one engine, 56 bits; never on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(pub u64);

/// The engine of one data directory. Shared between threads by reference.
pub struct Engine {}

/// A state of all keyspaces at one sequence number; compaction keeps what it sees until it drops.
pub struct Snapshot {}

impl Snapshot {
    /// The last write that it sees.
    pub fn seq(&self) -> Seq {
        unimplemented!()
    }
}

/// Bytes of a value, pinned where they lie (a cached block or a memtable).
#[derive(Clone)]
pub struct Slice {}

impl std::ops::Deref for Slice {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        unimplemented!()
    }
}

/// The answer of a read that must not wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cached<T> {
    /// The answer.
    Hit(T),
    /// It takes a disk read: ask again on a thread that may wait.
    Miss,
}

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

/// How long `write` waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Not at all: the caller asks `Log::notify` or `Log::commit`.
    Queued,
    /// Until the operating system has it.
    Os,
    /// Until it survives a crash.
    Disk,
}

/// A scan of a plain keyspace; pins files and memtables until it drops.
pub struct Iter {}

impl Iter {
    /// The next key and its value.
    #[expect(clippy::should_implement_trait, reason = "it lends what it returns")]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        unimplemented!()
    }
}

/// One version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    /// The key without its timestamp.
    pub key: &'a [u8],
    /// When it was written.
    pub timestamp: u64,
    /// Its value; `None` is a tombstone (only shown by scans with `since`).
    pub value: Option<&'a [u8]>,
}

/// A scan of a versioned keyspace at a timestamp: one version a key.
pub struct VersionIter {}

impl VersionIter {
    /// The next key in its newest version at or below the timestamp.
    #[expect(clippy::should_implement_trait, reason = "it lends what it returns")]
    pub fn next(&mut self) -> Result<Option<Version<'_>>> {
        unimplemented!()
    }
}

/// A piece of work in the background: a flush or a compaction.
pub struct Job {}

impl Job {
    /// Does it. An error undoes it; the work is offered again by `next_job`, after what back-off the
    /// caller sees fit.
    pub fn run(self) -> Result<()> {
        unimplemented!()
    }
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
    /// Block look-ups that read the disk.
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

impl Engine {
    /// Opens or makes the database in `dir`, whose parent exists. Replays the log; runs no job.
    pub fn open(fs: Arc<dyn Vfs>, dir: &Path, options: EngineOptions) -> Result<Self> {
        let _ = (fs, dir, options);
        unimplemented!()
    }
    /// The database's one log.
    pub fn log(&self) -> &Arc<Log> {
        unimplemented!()
    }
    /// The database's name.
    pub fn database(&self) -> [u8; 16] {
        unimplemented!()
    }
    /// Writes a batch to keyspaces fed by batches: logged, then in memory, then as durable as asked.
    /// Returns the last sequence number and the log address behind the batch.
    pub fn write(&self, batch: &[u8], durability: Durability) -> Result<(Seq, Lsn)> {
        let _ = (batch, durability);
        unimplemented!()
    }
    /// Applies what committed entries say to keyspaces fed by streams; logs nothing. `positions` are
    /// saved with the flush that saves the batch; `needs` is the address behind the newest entry.
    pub fn apply(&self, batch: &[u8], positions: &[(u64, u64)], needs: Lsn) -> Result<Seq> {
        let _ = (batch, positions, needs);
        unimplemented!()
    }
    /// The newest position applied under `id`; after an open, the one that tables hold. 0 is none.
    pub fn position(&self, id: u64) -> u64 {
        let _ = id;
        unimplemented!()
    }
    /// The position under `id` that tables hold durably.
    pub fn flushed_position(&self, id: u64) -> u64 {
        let _ = id;
        unimplemented!()
    }
    /// Lets log entries up to `index` go, but never past the durable position under `id`; returns
    /// the index released to, if any was.
    pub fn release(&self, stream: Stream, id: u64, index: u64) -> Result<Option<u64>> {
        let _ = (stream, id, index);
        unimplemented!()
    }
    /// Removes log segments that nothing needs.
    pub fn reclaim(&self) -> Result<Reclaimed> {
        unimplemented!()
    }
    /// Pins the present state of all keyspaces.
    pub fn snapshot(&self) -> Snapshot {
        unimplemented!()
    }
    /// Pins the present state, and says which position under `id` it holds.
    pub fn snapshot_at_position(&self, id: u64) -> (Snapshot, u64) {
        let _ = id;
        unimplemented!()
    }
    /// The value of a key of a plain keyspace; of the present state without a snapshot.
    pub fn get(&self, at: Option<&Snapshot>, k: Keyspace, key: &[u8]) -> Result<Option<Slice>> {
        let _ = (at, k, key);
        unimplemented!()
    }
    /// As `get`, without waiting for a disk.
    pub fn get_cached(
        &self,
        at: Option<&Snapshot>,
        k: Keyspace,
        key: &[u8],
    ) -> Result<Cached<Option<Slice>>> {
        let _ = (at, k, key);
        unimplemented!()
    }
    /// The newest version of a key at or below `ts`, with its timestamp; a tombstone is `None`.
    pub fn get_at(
        &self,
        at: &Snapshot,
        k: Keyspace,
        key: &[u8],
        ts: u64,
    ) -> Result<Option<(u64, Slice)>> {
        let _ = (at, k, key, ts);
        unimplemented!()
    }
    /// As `get_at`, without waiting for a disk.
    pub fn get_at_cached(
        &self,
        at: &Snapshot,
        k: Keyspace,
        key: &[u8],
        ts: u64,
    ) -> Result<Cached<Option<(u64, Slice)>>> {
        let _ = (at, k, key, ts);
        unimplemented!()
    }
    /// The timestamp of a key's newest version of all, tombstones included: what a write checks.
    pub fn newest(&self, at: &Snapshot, k: Keyspace, key: &[u8]) -> Result<Option<u64>> {
        let _ = (at, k, key);
        unimplemented!()
    }
    /// Scans a plain keyspace.
    pub fn scan(&self, at: &Snapshot, k: Keyspace, span: Span<'_>, d: Direction) -> Result<Iter> {
        let _ = (at, k, span, d);
        unimplemented!()
    }
    /// Scans a versioned keyspace: of each key the newest version at or below `ts`. With `since`,
    /// only keys whose version is newer than that, tombstones included.
    pub fn scan_at(
        &self,
        at: &Snapshot,
        k: Keyspace,
        span: Span<'_>,
        ts: u64,
        since: Option<u64>,
        direction: Direction,
    ) -> Result<VersionIter> {
        let _ = (at, k, span, ts, since, direction);
        unimplemented!()
    }
    /// Compaction of `span` keeps the newest version at or below `below` and all above it. Not
    /// durable: told again after an open.
    pub fn set_gc(&self, k: Keyspace, span: Span<'_>, below: u64) -> Result<()> {
        let _ = (k, span, below);
        unimplemented!()
    }
    /// Freezes the memtable, so that the next jobs flush it; nothing if it is empty.
    pub fn freeze(&self) {}
    /// Freezes the memtable and flushes all frozen ones on this thread.
    pub fn flush(&self) -> Result<()> {
        unimplemented!()
    }
    /// A piece of work that is due, flushes first; `None` if all is done or running. At most one
    /// flush runs at a time.
    pub fn next_job(self: &Arc<Self>) -> Option<Job> {
        unimplemented!()
    }
    /// Runs jobs on this thread until none is due.
    pub fn run_jobs(self: &Arc<Self>) -> Result<()> {
        unimplemented!()
    }
    /// Makes everything written durable and leaves an idle record behind it.
    pub fn sync(&self) -> Result<()> {
        let _ = Level::Durable;
        unimplemented!()
    }
    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        unimplemented!()
    }
}
