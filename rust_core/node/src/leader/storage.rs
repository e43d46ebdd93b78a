//! A fragment's view of a group's rows: one snapshot, keys without their table.

use phantom_base::Result;
use phantom_base::sync::Arc;
use phantom_lsm::Cached;
use phantom_mvcc::key::RelationId;
use phantom_mvcc::{Reader, RowIter};
use phantom_sql::catalog::Table;
use phantom_sql::execute::{Fetch, RowSource, ScannedRow, Storage, StoredRow};

/// The relation of a table's rows.
pub fn relation_of(table: &Table) -> RelationId {
    RelationId { set: table.colocation, number: table.storage_id }
}

/// Rows as `reader` sees them.
pub struct GroupStorage {
    reader: Reader,
}

impl GroupStorage {
    /// Rows as `reader` sees them.
    pub fn over(reader: Reader) -> Arc<dyn Storage> {
        Arc::new(Self { reader })
    }
}

fn stored(row: &phantom_mvcc::Row) -> StoredRow {
    StoredRow { bytes: row.bytes().to_vec(), version: row.version }
}

impl Storage for GroupStorage {
    fn get(&self, table: &Table, key: &[u8]) -> Result<Option<StoredRow>> {
        let row = self.reader.get(&relation_of(table).key(key))?;
        Ok(row.as_ref().map(stored))
    }

    fn get_cached(&self, table: &Table, key: &[u8]) -> Result<Fetch> {
        Ok(match self.reader.get_cached(&relation_of(table).key(key))? {
            Cached::Miss => Fetch::WouldWait,
            Cached::Hit(row) => Fetch::Found(row.as_ref().map(stored)),
        })
    }

    fn scan(
        &self,
        table: &Table,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
    ) -> Result<Box<dyn RowSource>> {
        let relation = relation_of(table);
        let from = start.map_or_else(|| relation.prefix().to_vec(), |key| relation.key(key));
        let to = end.map_or_else(|| relation.end().to_vec(), |key| relation.key(key));
        let prefix = relation.key(&[]).len();
        Ok(Box::new(Scan { rows: self.reader.scan(&from, &to)?, prefix }))
    }
}

struct Scan {
    rows: RowIter,
    /// How long the part of a key is that names the table.
    prefix: usize,
}

impl RowSource for Scan {
    fn next(&mut self) -> Result<Option<ScannedRow<'_>>> {
        let Some(entry) = self.rows.next()? else { return Ok(None) };
        let key = entry.key.get(self.prefix..).unwrap_or_default();
        Ok(Some(ScannedRow { key, bytes: entry.row, version: entry.version }))
    }
}
