//! One snapshot of a group's versions, at one timestamp.

use phantom_base::sync::Arc;
use phantom_base::{Timestamp, sqlstate};
use phantom_lsm::{Cached, Direction, Engine, Keyspace, Slice, Snapshot, Span, VersionIter};

use crate::key::{DATA, row_of};

/// Reads versions at or below a timestamp from a pinned state of the engine. Cheap to clone; may
/// move to another thread.
#[derive(Clone)]
pub struct Reader {
    engine: Arc<Engine>,
    snapshot: Arc<Snapshot>,
    at: Timestamp,
}

/// A row where it lies, and when it was written.
pub struct Row {
    value: Slice,
    /// Its commit timestamp.
    pub version: Timestamp,
}

impl Row {
    /// The row's bytes.
    pub fn bytes(&self) -> &[u8] {
        row_of(&self.value).expect("flags were checked when the row was read")
    }
}

impl Reader {
    /// Pins the engine's present state. What is committed at or below `at` must be applied.
    pub fn new(engine: Arc<Engine>, at: Timestamp) -> Self {
        let snapshot = Arc::new(engine.snapshot());
        Self { engine, snapshot, at }
    }

    /// The timestamp that it reads at.
    pub fn timestamp(&self) -> Timestamp {
        self.at
    }

    /// The row of a key, waiting for the disk if need be.
    pub fn get(&self, key: &[u8]) -> Result<Option<Row>, phantom_base::Error> {
        let found = self.engine.get_at(&self.snapshot, Keyspace(DATA), key, self.at.0);
        found.map_err(|error| answer(&error))?.map(checked).transpose()
    }

    /// The row of a key if memory has it; never waits for the disk.
    pub fn get_cached(&self, key: &[u8]) -> Result<Cached<Option<Row>>, phantom_base::Error> {
        let found = self.engine.get_at_cached(&self.snapshot, Keyspace(DATA), key, self.at.0);
        Ok(match found.map_err(|error| answer(&error))? {
            Cached::Miss => Cached::Miss,
            Cached::Hit(found) => Cached::Hit(found.map(checked).transpose()?),
        })
    }

    /// All rows from `start`, included, to `end`, not included, in key order.
    pub fn scan(&self, start: &[u8], end: &[u8]) -> Result<RowIter, phantom_base::Error> {
        let span = Span { start: Some(start), end: Some(end) };
        let (at, forward) = (self.at.0, Direction::Forward);
        let iter = self.engine.scan_at(&self.snapshot, Keyspace(DATA), span, at, None, forward);
        Ok(RowIter {
            iter: iter.map_err(|error| answer(&error))?,
            _snapshot: self.snapshot.clone(),
        })
    }
}

/// A row that a scan came to.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its whole key.
    pub key: &'a [u8],
    /// Its bytes.
    pub row: &'a [u8],
    /// Its commit timestamp.
    pub version: Timestamp,
}

/// A scan of rows in key order.
pub struct RowIter {
    iter: VersionIter,
    _snapshot: Arc<Snapshot>,
}

impl RowIter {
    /// The next row.
    #[expect(clippy::should_implement_trait, reason = "it lends what it returns")]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, phantom_base::Error> {
        let Some(version) = self.iter.next().map_err(|error| answer(&error))? else {
            return Ok(None);
        };
        let value = version.value.expect("a scan without `since` shows no tombstones");
        let row = row_of(value).ok_or_else(unknown_flags)?;
        Ok(Some(Entry { key: version.key, row, version: Timestamp(version.timestamp) }))
    }
}

fn checked((version, value): (u64, Slice)) -> Result<Row, phantom_base::Error> {
    if row_of(&value).is_none() {
        return Err(unknown_flags());
    }
    Ok(Row { value, version: Timestamp(version) })
}

fn unknown_flags() -> phantom_base::Error {
    phantom_base::Error::new(sqlstate::DATA_CORRUPTED, "a value has flags of no release")
}

fn answer(error: &phantom_lsm::Error) -> phantom_base::Error {
    phantom_base::Error::new(error.sqlstate(), error.to_string())
}
