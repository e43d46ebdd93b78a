//! Reading: point look-ups and scans, without a lock.
//!
//! A look-up takes the view first and what is visible second, so that the view holds everything that
//! it asks for or is an older state as a whole. It goes from the newest source to the oldest: memory,
//! level 0, then one table a level. A plain key ends at the first answer; a version at the first that
//! no later source can better, by the newest timestamp of each. Values are not copied: a `Slice` pins
//! the block or the memtable that it lies in.

use std::ops::Range;
use std::sync::Arc;

use phantom_base::sync::Ordering;

use super::{Engine, Inner, Snapshot};
use crate::iter::{At, Iter, LevelCursor, Merge, Source, VersionIter};
use crate::key::{self, Target};
use crate::memtable::{MemCursor, Memtable, Position};
use crate::table::{Access, Block, Found, Table, TableCursor, Version};
use crate::version::{LEVELS, View};
use crate::{Direction, Error, Keyspace, Result, Span};

/// Bytes of a value, pinned where they lie (a cached block or a memtable).
#[derive(Clone)]
pub struct Slice(Pinned);

#[derive(Clone)]
enum Pinned {
    Block(Arc<Block>, Range<usize>),
    Memtable(Arc<Memtable>, usize, Position),
}

impl std::ops::Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Pinned::Block(block, range) => block.bytes(range.clone()),
            Pinned::Memtable(memtable, keyspace, at) => {
                let entry = memtable.lists[*keyspace].entry(*at);
                entry.expect("a slice stands on an entry").value
            }
        }
    }
}

impl std::fmt::Debug for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", &**self)
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

impl<T> Cached<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Cached<U> {
        match self {
            Self::Hit(answer) => Cached::Hit(f(answer)),
            Self::Miss => Cached::Miss,
        }
    }

    /// Of a read that may wait.
    fn hit(self) -> T {
        match self {
            Self::Hit(answer) => answer,
            Self::Miss => unreachable!("a read that may wait does not miss"),
        }
    }
}

/// A version found: timestamp, and value unless it is a tombstone.
type Newest = Option<(u64, Option<Slice>)>;

impl Engine {
    /// The value of a key of a plain keyspace; of the present state without a snapshot.
    pub fn get(&self, at: Option<&Snapshot>, k: Keyspace, key: &[u8]) -> Result<Option<Slice>> {
        self.inner.get(at, k, key, Access::Fill).map(Cached::hit)
    }

    /// As `get`, without waiting for a disk.
    pub fn get_cached(
        &self,
        at: Option<&Snapshot>,
        k: Keyspace,
        key: &[u8],
    ) -> Result<Cached<Option<Slice>>> {
        self.inner.get(at, k, key, Access::CachedOnly)
    }

    /// The newest version of a key at or below `ts`, with its timestamp; a tombstone is `None`.
    pub fn get_at(
        &self,
        at: &Snapshot,
        k: Keyspace,
        key: &[u8],
        ts: u64,
    ) -> Result<Option<(u64, Slice)>> {
        self.inner.version(at, k, key, ts, Access::Fill).map(|found| existing(found.hit()))
    }

    /// As `get_at`, without waiting for a disk.
    pub fn get_at_cached(
        &self,
        at: &Snapshot,
        k: Keyspace,
        key: &[u8],
        ts: u64,
    ) -> Result<Cached<Option<(u64, Slice)>>> {
        self.inner.version(at, k, key, ts, Access::CachedOnly).map(|found| found.map(existing))
    }

    /// The timestamp of a key's newest version of all, tombstones included: what a write checks.
    pub fn newest(&self, at: &Snapshot, k: Keyspace, key: &[u8]) -> Result<Option<u64>> {
        let found = self.inner.version(at, k, key, u64::MAX, Access::Fill)?.hit();
        Ok(found.map(|(ts, _)| ts))
    }

    /// As `newest`, without waiting for a disk.
    pub fn newest_cached(
        &self,
        at: &Snapshot,
        k: Keyspace,
        key: &[u8],
    ) -> Result<Cached<Option<u64>>> {
        let found = self.inner.version(at, k, key, u64::MAX, Access::CachedOnly)?;
        Ok(found.map(|found| found.map(|(ts, _)| ts)))
    }

    /// Scans a plain keyspace.
    pub fn scan(&self, at: &Snapshot, k: Keyspace, span: Span<'_>, d: Direction) -> Result<Iter> {
        let (keyspace, options) = self.inner.keyspace(k)?;
        if options.versioned {
            return Err(Error::InvalidArgument { what: format!("{k:?} is read at a timestamp") });
        }
        let view = self.inner.view.load_full();
        let merge = self.inner.merge(&view, keyspace, span, d);
        Iter::new(merge, at.seq().0, span, d, view)
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
        let keyspace = self.inner.versioned(k)?;
        let view = self.inner.view.load_full();
        let merge = self.inner.merge(&view, keyspace, span, direction);
        let at = At { seq: at.seq().0, ts, since };
        VersionIter::new(merge, at, span, direction, view)
    }
}

fn existing(found: Newest) -> Option<(u64, Slice)> {
    found.and_then(|(ts, value)| Some((ts, value?)))
}

/// A table that the filter lets through, or not.
fn candidate(table: &Table, logical: &[u8], hash: u64) -> bool {
    table.overlaps(logical, logical) && table.may_contain(hash)
}

/// The tables that may have a logical key: all of level 0, then one a level.
fn candidates<'a>(
    view: &'a View,
    keyspace: usize,
    logical: &'a [u8],
    hash: u64,
) -> impl Iterator<Item = &'a Arc<Table>> {
    let levels = &view.levels[keyspace];
    let deeper = (1..LEVELS).filter_map(move |level| {
        let tables = levels.tables(level);
        tables.get(tables.partition_point(|table| table.logical_bounds().1 < logical))
    });
    levels.tables(0).iter().chain(deeper).filter(move |table| candidate(table, logical, hash))
}

impl Inner {
    fn versioned(&self, k: Keyspace) -> Result<usize> {
        let (keyspace, options) = self.keyspace(k)?;
        if !options.versioned {
            return Err(Error::InvalidArgument { what: format!("{k:?} has no versions") });
        }
        Ok(keyspace)
    }

    fn get(
        &self,
        at: Option<&Snapshot>,
        k: Keyspace,
        key: &[u8],
        access: Access,
    ) -> Result<Cached<Option<Slice>>> {
        let (keyspace, options) = self.keyspace(k)?;
        if options.versioned {
            return Err(Error::InvalidArgument { what: format!("{k:?} is read at a timestamp") });
        }
        let view = self.view.load();
        let seq = at.map_or_else(|| self.visible.load(Ordering::Acquire), |at| at.seq().0);
        let tag = key::read_tag(seq);
        for memtable in view.memtables() {
            let list = &memtable.lists[keyspace];
            let position = list.seek(key, tag);
            if let Some(entry) = list.entry(position).filter(|entry| entry.key == key) {
                let pinned = || Pinned::Memtable(memtable.clone(), keyspace, position);
                return Ok(Cached::Hit((!key::is_delete(entry.tag)).then(|| Slice(pinned()))));
            }
        }
        let hash = key::filter_hash(key);
        for table in candidates(&view, keyspace, key, hash) {
            match table.get(&self.cache, (key, tag), access)? {
                Found::Absent => {}
                Found::Miss => return Ok(Cached::Miss),
                Found::Entry(Version { tag, block, value, .. }) => {
                    let slice = Slice(Pinned::Block(block, value));
                    return Ok(Cached::Hit((!key::is_delete(tag)).then_some(slice)));
                }
            }
        }
        Ok(Cached::Hit(None))
    }

    /// The newest version at or below `ts` that the snapshot sees.
    fn version(
        &self,
        at: &Snapshot,
        k: Keyspace,
        logical: &[u8],
        ts: u64,
        access: Access,
    ) -> Result<Cached<Newest>> {
        let keyspace = self.versioned(k)?;
        let view = self.view.load();
        let seq = at.seq().0;
        let target = Target::versioned(logical, ts);
        let target = (target.as_bytes(), key::read_tag(seq));
        let mut best: Newest = None;
        let beaten =
            |best: &Newest, newest: u64| best.as_ref().is_some_and(|(ts, _)| *ts >= newest);
        for memtable in view.memtables() {
            if beaten(&best, memtable.lists[keyspace].newest()) {
                continue;
            }
            let found = version_in_memory(memtable, keyspace, target, logical, seq);
            if let Some((ts, value)) = found
                && !beaten(&best, ts)
            {
                best = Some((ts, value));
            }
        }
        let hash = key::filter_hash(logical);
        for table in candidates(&view, keyspace, logical, hash) {
            if beaten(&best, table.properties.newest) {
                continue;
            }
            let found = match table.get(&self.cache, target, access)? {
                Found::Absent => None,
                Found::Miss => return Ok(Cached::Miss),
                Found::Entry(found) if key::seq_of(found.tag) <= seq => Some(found),
                // The newest version here is newer than the snapshot: walk on to one that is not.
                Found::Entry(_) if access == Access::CachedOnly => return Ok(Cached::Miss),
                Found::Entry(_) => self.older_version(table, target, logical, seq)?,
            };
            if let Some(found) = found
                && !beaten(&best, found.ts)
            {
                let slice = Slice(Pinned::Block(found.block, found.value));
                best = Some((found.ts, (!key::is_delete(found.tag)).then_some(slice)));
            }
        }
        Ok(Cached::Hit(best))
    }

    fn older_version(
        &self,
        table: &Arc<Table>,
        target: (&[u8], u64),
        logical: &[u8],
        seq: u64,
    ) -> Result<Option<Version>> {
        let mut cursor = TableCursor::new(table.clone(), self.cache.clone(), Access::Fill);
        cursor.seek(target.0, target.1)?;
        while let Some((key, tag, _)) = cursor.entry() {
            let (found, ts) = key::split(key);
            if found != logical {
                break;
            }
            if key::seq_of(tag) <= seq {
                return Ok(cursor.pin().map(|(block, value)| Version { tag, ts, block, value }));
            }
            cursor.next()?;
        }
        Ok(None)
    }

    fn merge(&self, view: &View, keyspace: usize, span: Span<'_>, direction: Direction) -> Merge {
        let mut sources = Vec::new();
        for memtable in view.memtables() {
            if !memtable.lists[keyspace].is_empty() {
                sources.push(Source::Mem(MemCursor::new(memtable.clone(), keyspace)));
            }
        }
        let inside = |table: &&Arc<Table>| {
            let (first, last) = table.logical_bounds();
            span.start.is_none_or(|start| start <= last) && span.end.is_none_or(|end| first < end)
        };
        let levels = &view.levels[keyspace];
        for table in levels.tables(0).iter().filter(inside) {
            let cursor = TableCursor::new(table.clone(), self.cache.clone(), Access::Fill);
            sources.push(Source::Table(cursor));
        }
        for level in 1..LEVELS {
            let tables = levels.tables(level);
            if tables.iter().any(|table| inside(&table)) {
                let cursor = LevelCursor::new(tables.clone(), self.cache.clone(), Access::Fill);
                sources.push(Source::Level(cursor));
            }
        }
        Merge::new(sources, direction)
    }
}

fn version_in_memory(
    memtable: &Arc<Memtable>,
    keyspace: usize,
    target: (&[u8], u64),
    logical: &[u8],
    seq: u64,
) -> Newest {
    let list = &memtable.lists[keyspace];
    let mut position = list.seek(target.0, target.1);
    while let Some(entry) = list.entry(position) {
        let (found, ts) = key::split(entry.key);
        if found != logical {
            return None;
        }
        if key::seq_of(entry.tag) <= seq {
            let pinned = || Pinned::Memtable(memtable.clone(), keyspace, position);
            return Some((ts, (!key::is_delete(entry.tag)).then(|| Slice(pinned()))));
        }
        position = list.next(position);
    }
    None
}
