//! From a directory to a running engine: lock, CURRENT, manifest, tables, log, and orphans last.
//!
//! Nothing is removed before the state that does not need it is durable; a crash at any point leaves
//! a directory that opens to the same state (D9).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use phantom_base::sync::{AtomicU64, Condvar, Mutex, Ordering};
use phantom_base::{Lsn, Map, Set};
use phantom_log::{Log, LogOptions, Record};
use phantom_vfs::{Lock, Vfs};

use super::{Commit, Inner, SpaceCheck, Tree};
use crate::batch::Ops;
use crate::cache::BlockCache;
use crate::manifest::{self, Manifest, State};
use crate::memtable::Memtable;
use crate::stats::Counters;
use crate::table::{Table, path_of};
use crate::version::{LEVELS, Levels, View};
use crate::{EngineOptions, Error, KeyspaceOptions, Result, key};

const MEMORY_BYTES_MIN: usize = 16 << 20;
const KEYSPACES_MAX: usize = 64;

pub(super) fn open(fs: Arc<dyn Vfs>, dir: &Path, mut options: EngineOptions) -> Result<Inner> {
    check(&mut options)?;
    let (log_dir, tables_dir) = (dir.join("log"), dir.join("tables"));
    make_dir(&*fs, dir)?;
    let lock = lock(&*fs, dir)?;
    let found = manifest::load(&*fs, dir)?;
    if found.is_none() {
        refuse_a_lost_current(&*fs, dir, &[&log_dir, &tables_dir])?;
    }
    make_dir(&*fs, &log_dir)?;
    make_dir(&*fs, &tables_dir)?;
    let (number, database, mut state) =
        found.unwrap_or_else(|| (0, options.database, State { next_file: 1, ..State::default() }));
    check_keyspaces(&mut state, &options)?;
    let levels = open_tables(&*fs, &tables_dir, &state, &options)?;

    let mut replay = Replay::new(&state, &options, levels);
    let log = open_log(&fs, &log_dir, database, &options, &mut replay)?;
    replay.view.active.saved.lock().log_start = log.end();
    let numbers = names(&*fs, dir)?.into_iter().filter_map(|name| manifest_number(&name)).max();
    let number = numbers.unwrap_or(0).max(number) + 1;
    let manifest = Manifest::begin(&*fs, dir, database, number, &state);
    let manifest = manifest.map_err(|e| Error::io("begin a manifest", &e))?;
    remove_orphans(&*fs, dir, &tables_dir, number, &state)?;

    let cache_bytes = options.cache_bytes.unwrap_or(options.memory_bytes / 2);
    let inner = Inner {
        cache: Arc::new(BlockCache::new(cache_bytes as u64)),
        dir: dir.to_owned(),
        tables_dir,
        database,
        log: Arc::new(log),
        visible: AtomicU64::new(replay.last_seq),
        view_change: Mutex::new(()),
        commit: Mutex::new(Commit {
            next_seq: replay.last_seq + 1,
            positions: state.positions.clone(),
        }),
        snapshots: Mutex::new(Map::new()),
        manifest: Mutex::new(manifest),
        next_file: AtomicU64::new(state.next_file),
        tree: Mutex::new(Tree {
            state,
            flushing: false,
            busy: Set::new(),
            refused: Set::new(),
            gc: Map::new(),
            poisoned: None,
        }),
        progress: Condvar::new(),
        space: Mutex::new(SpaceCheck { since: u64::MAX / 2, read_only: false }),
        counters: Counters::default(),
        view: ArcSwap::from_pointee(replay.view),
        fs,
        options,
        _lock: lock,
    };
    inner.counters.replayed_bytes.store(replay.bytes, Ordering::Relaxed);
    inner.size_cache(&inner.view.load_full());
    Ok(inner)
}

fn open_log(
    fs: &Arc<dyn Vfs>,
    dir: &Path,
    database: [u8; 16],
    options: &EngineOptions,
    replay: &mut Replay,
) -> Result<Log> {
    let log_options = LogOptions {
        database,
        segment_bytes: options.segment_bytes,
        entry_cache_bytes: options.memory_bytes / 8,
        clock: options.clock.clone(),
    };
    let log = Log::open(fs.clone(), dir, log_options, &mut |end, record| {
        if let Record::Batch { first_seq, ops, .. } = record {
            replay.batch(first_seq, ops, end);
        }
        Ok(())
    })?;
    if log.end() < replay.flushed_lsn {
        let what = "the log ends before what tables hold of it";
        return Err(Error::Corruption { file: dir.to_owned(), offset: 0, what });
    }
    match replay.error.take() {
        Some(error) => Err(error),
        None => Ok(log),
    }
}

fn check(options: &mut EngineOptions) -> Result<()> {
    let refuse = |what: &str| Err(Error::InvalidArgument { what: what.to_owned() });
    if options.memory_bytes < MEMORY_BYTES_MIN {
        return refuse("memory_bytes is below 16 MiB");
    }
    if options.keyspaces.is_empty() || options.keyspaces.len() > KEYSPACES_MAX {
        return refuse("there are 1 to 64 keyspaces");
    }
    let ids: Set<_> = options.keyspaces.iter().map(|k| k.id).collect();
    if ids.len() != options.keyspaces.len() {
        return refuse("a keyspace is declared twice");
    }
    if options.segment_bytes == 0 || !options.segment_bytes.is_multiple_of(32 << 10) {
        return refuse("segment_bytes is not a multiple of 32 KiB");
    }
    if options.block_bytes == 0 || options.table_bytes == 0 || options.l0_compact == 0 {
        return refuse("block_bytes, table_bytes and l0_compact are above 0");
    }
    if options.l0_max < options.l0_compact || options.frozen_max == 0 {
        return refuse("writes would wait for work that is never due");
    }
    if options.memtable_bytes == 0 {
        options.memtable_bytes = options.memory_bytes / 32 * 3;
    }
    Ok(())
}

fn failed<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |error| Error::io(format!("{what} {}", path.display()), &error)
}

/// Makes a directory if it is absent, and its name durable: also of one that a crash may have left
/// with a name that is not.
fn make_dir(fs: &dyn Vfs, dir: &Path) -> Result<()> {
    match fs.make_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("make", dir)(error));
        }
        _ => {}
    }
    match dir.parent() {
        Some(parent) if parent != Path::new("") => {
            fs.sync_dir(parent).map_err(failed("sync", parent))
        }
        _ => fs.sync_dir(Path::new(".")).map_err(failed("sync", dir)),
    }
}

fn lock(fs: &dyn Vfs, dir: &Path) -> Result<Box<dyn Lock>> {
    fs.lock(&dir.join("LOCK")).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::InUse { dir: dir.to_owned() },
        _ => failed("lock", dir)(error),
    })
}

/// CURRENT is durable before the first file of log or tables is made.
fn refuse_a_lost_current(fs: &dyn Vfs, dir: &Path, dirs: &[&PathBuf]) -> Result<()> {
    for other in dirs {
        match fs.list(other) {
            Ok(names) if names.is_empty() => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("list", other)(error)),
            Ok(_) => {
                let what = "CURRENT is missing beside files that it should know";
                return Err(Error::Corruption { file: dir.join("CURRENT"), offset: 0, what });
            }
        }
    }
    Ok(())
}

fn check_keyspaces(state: &mut State, options: &EngineOptions) -> Result<()> {
    for known in state.keyspaces.values() {
        if !options.keyspaces.contains(known) {
            let what = format!("the database has {known:?}, which is not declared so");
            return Err(Error::InvalidArgument { what });
        }
    }
    state.keyspaces = options.keyspaces.iter().map(|k| (k.id.0, *k)).collect();
    Ok(())
}

fn open_tables(
    fs: &dyn Vfs,
    dir: &Path,
    state: &State,
    options: &EngineOptions,
) -> Result<Vec<Levels>> {
    let mut levels = Vec::new();
    for keyspace in &options.keyspaces {
        let mut added = Vec::new();
        for (placed, size) in state.tables.iter().filter(|(p, _)| p.keyspace == keyspace.id.0) {
            let table = Table::open(fs, dir, placed.file, *size)?;
            let level = usize::from(placed.level);
            let properties = &table.properties;
            if properties.keyspace != keyspace.id.0
                || properties.versioned != keyspace.versioned
                || level >= LEVELS
            {
                let (file, what) = (path_of(dir, placed.file), "the table's keyspace or level");
                return Err(Error::Corruption { file, offset: 0, what });
            }
            added.push((level, Arc::new(table)));
        }
        levels.push(Levels::new().changed(&[], &added));
    }
    Ok(levels)
}

/// Puts the batches of the log into memtables.
struct Replay {
    keyspaces: Vec<KeyspaceOptions>,
    memtable_bytes: usize,
    /// Batches up to here are in tables.
    flushed_lsn: Lsn,
    view: View,
    last_seq: u64,
    bytes: u64,
    error: Option<Error>,
}

impl Replay {
    fn new(state: &State, options: &EngineOptions, levels: Vec<Levels>) -> Self {
        let active = Memtable::new(options.keyspaces.len(), state.flushed_lsn);
        let view = View { active, frozen: Vec::new(), levels: Arc::new(levels) };
        let keyspaces = options.keyspaces.clone();
        let memtable_bytes = options.memtable_bytes;
        Self {
            keyspaces,
            memtable_bytes,
            flushed_lsn: state.flushed_lsn,
            view,
            last_seq: state.last_seq,
            bytes: 0,
            error: None,
        }
    }

    fn batch(&mut self, first_seq: u64, ops: &[u8], end: Lsn) {
        if end <= self.flushed_lsn {
            return;
        }
        self.bytes += ops.len() as u64;
        for (op, seq) in Ops::new(ops).zip(first_seq..) {
            let placed = op.and_then(|op| {
                let place = self.keyspaces.iter().position(|k| k.id == op.keyspace);
                let place = place.ok_or(Error::NoSuchKeyspace { keyspace: op.keyspace.0 })?;
                Ok((place, op))
            });
            match placed {
                Ok((place, op)) => {
                    let list = &self.view.active.lists[place];
                    if self.keyspaces[place].versioned {
                        list.note_timestamp(key::split(op.key).1);
                    }
                    list.insert(op.key, key::tag(seq, op.kind), op.value);
                    self.last_seq = self.last_seq.max(seq);
                }
                Err(error) => self.error = Some(error),
            }
        }
        {
            let mut saved = self.view.active.saved.lock();
            (saved.batches_end, saved.last_seq) = (end, self.last_seq);
        }
        if self.view.active.bytes() >= self.memtable_bytes {
            let next = Memtable::new(self.keyspaces.len(), end);
            self.view.frozen.insert(0, std::mem::replace(&mut self.view.active, next));
        }
    }
}

fn names(fs: &dyn Vfs, dir: &Path) -> Result<Vec<String>> {
    let names = fs.list(dir).map_err(failed("list", dir))?;
    let mut names: Vec<String> =
        names.iter().filter_map(|n| n.to_str().map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}

fn manifest_number(name: &str) -> Option<u64> {
    name.strip_prefix("manifest-")?.parse().ok()
}

/// Removes what no durable state names: old manifests, temporary files, tables of unfinished jobs.
fn remove_orphans(
    fs: &dyn Vfs,
    dir: &Path,
    tables_dir: &Path,
    manifest: u64,
    state: &State,
) -> Result<()> {
    let remove = |path: &Path| fs.remove(path).map_err(failed("remove", path));
    for name in names(fs, dir)? {
        if manifest_number(&name).is_some_and(|n| n != manifest)
            || name.strip_suffix(".tmp").is_some()
        {
            remove(&dir.join(name))?;
        }
    }
    let known: Set<u64> = state.tables.keys().map(|placed| placed.file).collect();
    for name in names(fs, tables_dir)? {
        let number = name.strip_suffix(".tbl").and_then(|n| n.parse().ok());
        if number.is_some_and(|n| !known.contains(&n)) {
            remove(&tables_dir.join(name))?;
        }
    }
    Ok(())
}
