//! The catalog at one applied index of the system group: immutable, shared, cheap to replace.

use phantom_base::Map;
use phantom_base::sync::Arc;

use super::descriptor::{Table, TableState};

/// All descriptors as of one applied index.
#[derive(Clone, Debug, Default)]
pub struct CatalogSnapshot {
    version: u64,
    tables: Map<u32, Arc<Table>>,
    names: Map<(String, String), u32>,
}

impl CatalogSnapshot {
    /// The applied index of the system group that it shows; 0 is the empty catalog.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The public table of that name.
    pub fn table(&self, schema: &str, name: &str) -> Option<&Arc<Table>> {
        // Keys own their text, so a look-up owns its too: only plan-cache misses come here.
        let oid = self.names.get(&(schema.to_owned(), name.to_owned()))?;
        self.tables.get(oid)
    }

    /// The table of that OID, in whatever state.
    pub fn table_by_oid(&self, oid: u32) -> Option<&Arc<Table>> {
        self.tables.get(&oid)
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
            if let Some(old) = next.tables.remove(&oid) {
                let key = (old.schema.clone(), old.name.clone());
                if next.names.get(&key) == Some(&oid) {
                    next.names.remove(&key);
                }
            }
            let Some(table) = change else { continue };
            assert_eq!(table.oid, oid, "a descriptor is stored under its own OID");
            if table.state == TableState::Public {
                next.names.insert((table.schema.clone(), table.name.clone()), oid);
            }
            next.tables.insert(oid, Arc::new(table));
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
}
