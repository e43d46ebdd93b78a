//! The catalog at one applied index of the system group: immutable, shared, cheap to replace. A new
//! version shares with the one before it all pieces in which nothing has changed.

use phantom_base::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

use super::descriptor::{Table, TableState};
use super::pieces::Pieces;

/// Bits of an OID that tables of one piece differ in.
const TABLE_BITS: u32 = 6;
/// Pieces of the names, by their hash.
const NAME_PIECES: u64 = 1_024;

/// The piece of a table: OIDs are given out in order, so that each fills up.
fn piece_of(oid: u32) -> u32 {
    oid >> TABLE_BITS
}

/// The piece of a name.
fn name_piece((schema, name): &(String, String)) -> u32 {
    let hash = xxh3_64(name.as_bytes()) ^ xxh3_64(schema.as_bytes()).rotate_left(1);
    (hash % NAME_PIECES) as u32
}

/// All descriptors as of one applied index.
#[derive(Clone, Debug, Default)]
pub struct CatalogSnapshot {
    version: u64,
    tables: Pieces<u32, Arc<Table>>,
    names: Pieces<(String, String), u32>,
}

impl CatalogSnapshot {
    /// The applied index of the system group that it shows; 0 is the empty catalog.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The public table of that name.
    pub fn table(&self, schema: &str, name: &str) -> Option<&Arc<Table>> {
        // Keys own their text, so a look-up owns its too: only plan-cache misses come here.
        let key = (schema.to_owned(), name.to_owned());
        let oid = self.names.get(name_piece(&key), &key)?;
        self.table_by_oid(*oid)
    }

    /// The table of that OID, in whatever state.
    pub fn table_by_oid(&self, oid: u32) -> Option<&Arc<Table>> {
        self.tables.get(piece_of(oid), &oid)
    }

    /// All tables in OID order, in whatever state.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// The snapshot after the descriptors of one applied entry: `None` is a removed row.
    #[must_use]
    pub fn with(&self, version: u64, changes: Vec<(u32, Option<Table>)>) -> Self {
        assert!(version > self.version, "catalog {} was shown after {version}", self.version);
        let mut next = self.clone();
        next.version = version;
        for (oid, change) in changes {
            if let Some(old) = next.tables.remove(piece_of(oid), &oid) {
                let key = (old.schema.clone(), old.name.clone());
                let piece = name_piece(&key);
                if next.names.get(piece, &key) == Some(&oid) {
                    next.names.remove(piece, &key);
                }
            }
            let Some(table) = change else { continue };
            assert_eq!(table.oid, oid, "a descriptor is stored under its own OID");
            if table.state == TableState::Public {
                let key = (table.schema.clone(), table.name.clone());
                next.names.insert(name_piece(&key), key, oid);
            }
            next.tables.insert(piece_of(oid), oid, Arc::new(table));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::super::descriptor::tests::flights;
    use super::*;

    #[test]
    fn a_dropping_table_is_found_by_oid_only() {
        let table = flights();
        let oid = table.oid;
        let public = CatalogSnapshot::default().with(3, vec![(oid, Some(table.clone()))]);
        assert!(public.table("public", "flights").is_some());
        let dropping = Table { state: TableState::Dropping, version: 2, ..table };
        let later = public.with(4, vec![(oid, Some(dropping))]);
        assert!(later.table("public", "flights").is_none());
        assert_eq!(later.table_by_oid(oid).map(|t| t.version), Some(2));
        assert!(later.with(5, vec![(oid, None)]).table_by_oid(oid).is_none());
        assert!(public.table("public", "flights").is_some(), "a snapshot never changes");
    }

    #[test]
    fn a_change_copies_what_is_near_it_and_shares_the_rest() {
        let table = |oid: u32| Table { oid, name: format!("t{oid}"), ..flights() };
        let first = flights().oid;
        let all = (first..first + 1_000).map(|oid| (oid, Some(table(oid)))).collect();
        let before = CatalogSnapshot::default().with(3, all);
        let changes = vec![(first + 7, None), (first + 2_000, Some(table(first + 2_000)))];
        let after = before.with(4, changes);
        assert!(after.tables.own_pieces(&before.tables) <= 2);
        assert!(after.names.own_pieces(&before.names) <= 2);
        assert!(after.table("public", &format!("t{}", first + 7)).is_none());
        assert!(after.table("public", &format!("t{}", first + 2_000)).is_some());
        let oids: Vec<u32> = after.tables().map(|table| table.oid).collect();
        assert_eq!(oids.len(), 1_000);
        assert!(oids.is_sorted(), "in OID order");
        assert_eq!(before.tables().count(), 1_000, "a snapshot never changes");
    }
}
