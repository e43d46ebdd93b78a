//! The catalog as this node has applied it, and where rows are.
//!
//! Descriptors are rows of the system group, schema keys rows of the tables' groups. The apply
//! worker tells `CatalogWatcher` of every batch; it decodes what concerns the catalog and puts a new
//! snapshot in place before any proposal of that batch is answered. Readers take the snapshot of
//! the moment and keep it as long as they like.

mod placement;

use phantom_base::sync::{Arc, Mutex, RwLock};
use phantom_base::{Error, GroupId, Map};
use phantom_lsm::{Engine, OpKind, Ops};
use phantom_mvcc::Reader;
use phantom_mvcc::key::{DATA, RelationId, row_of};
use phantom_sql::catalog::{CatalogSnapshot, Table};

use crate::replication::{Applied, Observer};

pub use placement::Placement;

/// The newest applied catalog, shared between the apply worker and whoever binds.
#[derive(Clone, Default)]
pub struct Catalog {
    tables: Arc<RwLock<Arc<CatalogSnapshot>>>,
    /// Of each table its descriptor version, as its group's schema key says.
    schema: Arc<Mutex<Map<u32, u32>>>,
    placement: Arc<RwLock<Placement>>,
}

impl Catalog {
    /// The snapshot of this moment.
    pub fn snapshot(&self) -> Arc<CatalogSnapshot> {
        self.tables.read().clone()
    }

    /// The descriptor version that a table's schema key says; `None` if it has none.
    pub fn schema_version(&self, oid: u32) -> Option<u32> {
        self.schema.lock().get(&oid).copied()
    }

    /// Says where rows are from now on.
    pub fn place(&self, placement: Placement) {
        *self.placement.write() = placement;
    }

    /// The group that holds the rows of a colocation set.
    ///
    /// # Errors
    /// `XX000` for a set of which nobody has said where it is.
    pub fn group_of(&self, set: u32) -> phantom_base::Result<GroupId> {
        let group = self.placement.read().group_of(set);
        group.ok_or_else(|| Error::internal(format!("colocation set {set} is in no group")))
    }

    /// Where rows are, as CBOR.
    pub fn encode_placement(&self) -> Vec<u8> {
        self.placement.read().encode()
    }

    /// Reads what the engine holds; once, between open and the first batch. Where rows are has been
    /// said before.
    ///
    /// # Errors
    /// `XX001` for rows that do not decode.
    pub fn load(&self, engine: &Arc<Engine>) -> phantom_base::Result<()> {
        let reader = Reader::new(engine.clone(), phantom_base::Timestamp::MAX);
        let mut changes = Vec::new();
        let tables = RelationId::TABLES;
        let mut rows = reader.scan(&tables.prefix(), &tables.end())?;
        while let Some(entry) = rows.next()? {
            let table = Table::decode(entry.row)?;
            changes.push((table.oid, Some(table)));
        }
        let version = engine.position(GroupId::SYSTEM.0).max(1);
        let loaded = CatalogSnapshot::default().with(version, changes);
        *self.tables.write() = Arc::new(loaded);
        let mut schema = self.schema.lock();
        for set in self.placement.read().sets() {
            let relation = RelationId::schema(set);
            let mut rows = reader.scan(&relation.prefix(), &relation.end())?;
            while let Some(entry) = rows.next()? {
                if let Some((version, oid)) = schema_row(entry.row) {
                    schema.insert(oid, version);
                }
            }
        }
        Ok(())
    }

    /// Shows a table's descriptor, as if its row had been applied.
    #[cfg(test)]
    pub fn show(&self, version: u64, oid: u32, table: Option<Table>) {
        let shown = self.snapshot().with(version, vec![(oid, table)]);
        *self.tables.write() = Arc::new(shown);
    }

    /// Shows what a table's schema key says.
    #[cfg(test)]
    pub fn show_schema(&self, oid: u32, version: u32) {
        self.schema.lock().insert(oid, version);
    }

    /// What the apply worker tells.
    pub fn watcher(&self) -> Box<dyn Observer> {
        Box::new(CatalogWatcher { catalog: self.clone() })
    }
}

struct CatalogWatcher {
    catalog: Catalog,
}

impl Observer for CatalogWatcher {
    fn applied(&mut self, applied: &Applied<'_>) {
        let mut changes: Vec<(u32, Option<Table>)> = Vec::new();
        for op in Ops::new(applied.batch.ops) {
            let op = op.expect("a batch was checked before it was proposed");
            // The last eight bytes of a versioned key are its timestamp.
            let Some(key) = op.key.len().checked_sub(8).and_then(|end| op.key.get(..end)) else {
                continue;
            };
            if op.keyspace.0 != DATA {
                continue;
            }
            let Some((relation, columns)) = RelationId::parse(key) else { continue };
            let row = match op.kind {
                OpKind::Put => row_of(op.value),
                OpKind::Delete => None,
            };
            if relation == RelationId::TABLES {
                match row {
                    Some(row) => {
                        let table = Table::decode(row);
                        let table = table.expect("descriptors are checked before they are written");
                        changes.push((table.oid, Some(table)));
                    }
                    None => changes.extend(key_number(columns).map(|oid| (oid, None))),
                }
            } else if relation.number == RelationId::schema(relation.set).number {
                self.schema_changed(row, columns);
            }
        }
        if !changes.is_empty() {
            let mut tables = self.catalog.tables.write();
            let version = applied.index.0.max(tables.version() + 1);
            *tables = Arc::new(tables.with(version, changes));
        }
    }
}

impl CatalogWatcher {
    fn schema_changed(&self, row: Option<&[u8]>, columns: &[u8]) {
        let mut schema = self.catalog.schema.lock();
        match row {
            Some(row) => {
                if let Some((version, oid)) = schema_row(row) {
                    schema.insert(oid, version);
                }
            }
            None => drop(key_number(columns).and_then(|oid| schema.remove(&oid))),
        }
    }
}

/// The key columns of a row that is found by a number.
pub(crate) fn number_key(number: u32) -> Vec<u8> {
    let mut key = Vec::new();
    phantom_types::codec::key::encode_column(
        &phantom_types::Datum::Int8(i64::from(number)),
        &mut key,
    );
    key
}

/// The number that `number_key` made a key of; `None` for any other key.
fn key_number(columns: &[u8]) -> Option<u32> {
    // As few bytes as tell the number stand behind their count; the way back is checked.
    let (_, bytes) = columns.split_first()?;
    if bytes.len() > 8 {
        return None;
    }
    let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let number = u32::try_from(number).ok()?;
    (number_key(number) == columns).then_some(number)
}

/// Version and OID of a schema key's row.
pub(crate) fn schema_row(row: &[u8]) -> Option<(u32, u32)> {
    let (version, rest) = row.split_first_chunk::<4>()?;
    let oid = rest.first_chunk::<4>()?;
    Some((u32::from_be_bytes(*version), u32::from_be_bytes(*oid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_number_tells_it_and_no_other_does() {
        for number in [0, 1, 255, 256, 16_384, u32::MAX / 2, u32::MAX] {
            assert_eq!(key_number(&number_key(number)), Some(number));
        }
        let mut longer = number_key(7);
        longer.push(0);
        for other in [&[][..], &[0, 0, 0, 7], &longer] {
            assert_eq!(key_number(other), None);
        }
    }
}
