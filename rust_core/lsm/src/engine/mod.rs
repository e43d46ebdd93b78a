//! The engine: one data directory behind one object.
//!
//! ```text
//! directory   LOCK  CURRENT  manifest-N  log/N.log  tables/N.tbl  *.tmp (removed at open)
//! ```
//!
//! Locks, always taken in this order: `manifest` (held over I/O), `commit` (order of writes),
//! `view_change`, `tree`, and last the log's own. Readers take none: they load the view, which a
//! change replaces as a whole.
//!
//! | file | what |
//! | --- | --- |
//! | open.rs | from a directory to a running engine |
//! | write.rs | batches and applied entries; when a write waits or is refused |
//! | read.rs | point reads and scans |
//! | jobs.rs | flush, compaction, edits |
//! | snapshot.rs | which sequence numbers reads use |

mod jobs;
mod open;
mod read;
mod snapshot;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use phantom_base::sync::{AtomicU64, Condvar, Mutex, Ordering};
use phantom_base::{Map, Set, mutant};
use phantom_log::{Level, Log, Reclaimed, Record, Stream};
use phantom_vfs::{Lock, Vfs};

use crate::cache::BlockCache;
use crate::compact::filter::GcRule;
use crate::manifest::{Manifest, State};
use crate::stats::{Counters, Stats};
use crate::version::{LEVELS, Levels, View};
use crate::{EngineOptions, Error, Keyspace, KeyspaceOptions, Result, Span};

pub use jobs::Job;
pub use read::{Cached, Slice};
pub use snapshot::Snapshot;
pub use write::{Durability, Seq};

/// The engine of one data directory. Shared between threads by reference.
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    fs: Arc<dyn Vfs>,
    dir: PathBuf,
    tables_dir: PathBuf,
    options: EngineOptions,
    database: [u8; 16],
    log: Arc<Log>,
    cache: Arc<BlockCache>,
    view: ArcSwap<View>,
    /// Held while the view is replaced.
    view_change: Mutex<()>,
    /// The last write that readers see.
    visible: AtomicU64,
    commit: Mutex<Commit>,
    snapshots: Mutex<Map<u64, usize>>,
    manifest: Mutex<Manifest>,
    tree: Mutex<Tree>,
    /// A job ended or became due; waits with `tree`.
    progress: Condvar,
    next_file: AtomicU64,
    space: Mutex<SpaceCheck>,
    counters: Counters,
    /// Taken for as long as the engine lives.
    _lock: Box<dyn Lock>,
}

/// What writers change, in their order.
struct Commit {
    next_seq: u64,
    positions: Map<u64, u64>,
}

/// What jobs change.
struct Tree {
    /// What the manifest holds.
    state: State,
    flushing: bool,
    /// Keyspaces with a compaction at work.
    busy: Set<usize>,
    /// Damaged tables: never an input.
    refused: Set<u64>,
    gc: Map<usize, Vec<GcRule>>,
    poisoned: Option<String>,
}

struct SpaceCheck {
    /// Bytes written since the disk was asked.
    since: u64,
    read_only: bool,
}

impl Engine {
    /// Opens or makes the database in `dir`, whose parent exists. Replays the log; runs no job.
    pub fn open(fs: Arc<dyn Vfs>, dir: &Path, options: EngineOptions) -> Result<Self> {
        let inner = open::open(fs, dir, options)?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The database's one log.
    pub fn log(&self) -> &Arc<Log> {
        &self.inner.log
    }

    /// The database's name.
    pub fn database(&self) -> [u8; 16] {
        self.inner.database
    }

    /// The newest position applied under `id`; after an open, the one that tables hold. 0 is none.
    pub fn position(&self, id: u64) -> u64 {
        self.inner.commit.lock().positions.get(&id).copied().unwrap_or(0)
    }

    /// The position under `id` that tables hold durably.
    pub fn flushed_position(&self, id: u64) -> u64 {
        self.inner.tree.lock().state.positions.get(&id).copied().unwrap_or(0)
    }

    /// Lets log entries up to `index` go, but never past the durable position under `id`; returns
    /// the index released to, if any was.
    pub fn release(&self, stream: Stream, id: u64, index: u64) -> Result<Option<u64>> {
        let mut safe = self.flushed_position(id);
        if mutant!("released_above_the_flushed_position") {
            safe = self.position(id);
        }
        let log = &self.inner.log;
        let bounds = log.bounds(stream);
        let index = index.min(safe).min(bounds.last);
        if index < bounds.first {
            return Ok(None);
        }
        let term = log.term_at(stream, index).expect("an index inside the bounds has a term");
        log.push(&[Record::Release { stream, index, term }])?;
        Ok(Some(index))
    }

    /// Removes log segments that nothing needs.
    pub fn reclaim(&self) -> Result<Reclaimed> {
        self.inner.reclaim()
    }

    /// Compaction of `span` keeps the newest version at or below `below` and all above it. Spans of
    /// one keyspace may overlap; the same span again replaces its timestamp. Not durable: told again
    /// after an open. Not asked for by reads: the caller refuses those below first.
    pub fn set_gc(&self, k: Keyspace, span: Span<'_>, below: u64) -> Result<()> {
        let (keyspace, options) = self.inner.keyspace(k)?;
        if !options.versioned {
            return Err(Error::InvalidArgument { what: format!("{k:?} has no versions") });
        }
        let owned = |key: Option<&[u8]>| key.map(<[u8]>::to_vec);
        let (start, end) = (owned(span.start), owned(span.end));
        let mut tree = self.inner.tree.lock();
        let rules = tree.gc.entry(keyspace).or_default();
        rules.retain(|rule| rule.start != start || rule.end != end);
        rules.push(GcRule { start, end, below });
        Ok(())
    }

    /// Freezes the memtable, so that the next jobs flush it; nothing if it is empty.
    pub fn freeze(&self) {
        let mut commit = self.inner.commit.lock();
        self.inner.rotate(&mut commit);
    }

    /// Freezes the memtable and flushes all frozen ones on this thread.
    pub fn flush(&self) -> Result<()> {
        self.freeze();
        self.inner.flush_all()
    }

    /// A piece of work that is due, flushes first; `None` if all is done or running. At most one
    /// flush, and one compaction a keyspace, run at a time.
    pub fn next_job(&self) -> Option<Job> {
        Inner::next_job(&self.inner)
    }

    /// Waits until a job is due or `timeout` passed; for a worker thread. True if one is due.
    pub fn wait_for_job(&self, timeout: Duration) -> bool {
        self.inner.wait_for_job(timeout)
    }

    /// Runs jobs on this thread until none is due.
    pub fn run_jobs(&self) -> Result<()> {
        while let Some(job) = self.next_job() {
            job.run()?;
        }
        Ok(())
    }

    /// Makes everything written durable and leaves an idle record behind it.
    pub fn sync(&self) -> Result<()> {
        let log = &self.inner.log;
        log.commit(log.end(), Level::Durable)?;
        log.push_idle()?;
        log.commit(log.end(), Level::Durable)?;
        let manifest = self.inner.manifest.lock();
        self.inner.refuse_if_poisoned()?;
        let synced = manifest.sync();
        synced.map_err(|error| self.inner.poison("sync the manifest", &error))
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }
}

impl Inner {
    /// A keyspace's place and options.
    fn keyspace(&self, k: Keyspace) -> Result<(usize, KeyspaceOptions)> {
        let found = self.options.keyspaces.iter().enumerate().find(|(_, options)| options.id == k);
        let (place, options) = found.ok_or(Error::NoSuchKeyspace { keyspace: k.0 })?;
        Ok((place, *options))
    }

    fn refuse_if_poisoned(&self) -> Result<()> {
        match &self.tree.lock().poisoned {
            Some(cause) => Err(Error::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// Ends all writing: what the manifest holds is unknown now.
    fn poison(&self, what: &str, error: &std::io::Error) -> Error {
        let mut tree = self.tree.lock();
        let cause = tree.poisoned.get_or_insert_with(|| format!("{what}: {error}")).clone();
        Error::Poisoned { cause }
    }

    fn reclaim(&self) -> Result<Reclaimed> {
        let mut below = self.tree.lock().state.flushed_lsn;
        if mutant!("released_above_the_flushed_position") {
            below = self.log.end();
        }
        Ok(self.log.reclaim(below)?)
    }

    /// The block cache gets what memtables, log entries and pinned parts leave of the memory.
    fn size_cache(&self, view: &View) {
        if self.options.cache_bytes.is_none() {
            let pinned: u64 =
                view.levels.iter().flat_map(Levels::all).map(|(_, t)| t.pinned_bytes()).sum();
            let half = self.options.memory_bytes as u64 / 2;
            self.cache.resize(half.saturating_sub(pinned).max(half / 4));
        }
    }

    fn stats(&self) -> Stats {
        let view = self.view.load_full();
        let (read_only, poisoned) = {
            let space = self.space.lock();
            (space.read_only, self.tree.lock().poisoned.is_some() || self.log.poisoned().is_some())
        };
        let mut levels = vec![(0, 0); LEVELS];
        let mut pinned_bytes = 0;
        for (level, table) in view.levels.iter().flat_map(Levels::all) {
            levels[level].0 += 1;
            levels[level].1 += table.size;
            pinned_bytes += table.pinned_bytes();
        }
        let (cache_bytes, cache_hits, cache_misses) = self.cache.counts();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            table_bytes: levels.iter().map(|(_, bytes)| bytes).sum(),
            levels,
            memtable_bytes: view.memtables().map(|m| m.bytes() as u64).sum(),
            frozen: view.frozen.len(),
            cache_bytes,
            cache_hits,
            cache_misses,
            pinned_bytes,
            flushes: count(&self.counters.flushes),
            compactions: count(&self.counters.compactions),
            table_bytes_written: count(&self.counters.table_bytes_written),
            log_bytes: self.log.bytes(),
            replayed_bytes: count(&self.counters.replayed_bytes),
            cut_bytes: self.log.recovered().cut_bytes,
            stalls: count(&self.counters.stalls),
            read_only,
            poisoned,
        }
    }
}
