//! What a read looks at: immutable lists of tables by keyspace and level, and the memtables before
//! them. A change makes a new one; readers keep theirs.

use std::sync::Arc;

use phantom_base::Map;

use crate::memtable::Memtable;
use crate::table::Table;

/// Level 0 and six below it: at ten times the size each, 64 TiB with the defaults.
pub(crate) const LEVELS: usize = 7;

/// The tables of one keyspace.
#[derive(Clone)]
pub(crate) struct Levels {
    /// Level 0 newest first; the others by key, without overlap.
    levels: [Arc<[Arc<Table>]>; LEVELS],
}

impl Levels {
    pub fn new() -> Self {
        Self { levels: std::array::from_fn(|_| Vec::new().into()) }
    }

    pub fn tables(&self, level: usize) -> &Arc<[Arc<Table>]> {
        &self.levels[level]
    }

    pub fn bytes(&self, level: usize) -> u64 {
        self.levels[level].iter().map(|table| table.size).sum()
    }

    /// All tables with their levels.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Arc<Table>)> {
        self.levels.iter().enumerate().flat_map(|(i, level)| level.iter().map(move |t| (i, t)))
    }

    /// The same without some tables and with others.
    pub fn changed(&self, removed: &[(usize, u64)], added: &[(usize, Arc<Table>)]) -> Self {
        let mut levels = self.clone();
        let mut changes: Map<usize, Vec<&Arc<Table>>> = Map::new();
        for (level, _) in removed {
            changes.entry(*level).or_default();
        }
        for (level, table) in added {
            changes.entry(*level).or_default().push(table);
        }
        for (level, new) in changes {
            let stays = |t: &&Arc<Table>| !removed.contains(&(level, t.file));
            let old = self.levels[level].iter().filter(stays);
            let mut tables: Vec<Arc<Table>> = old.chain(new).cloned().collect();
            if level == 0 {
                // Flushed in order, so a larger number is newer.
                tables.sort_by_key(|t| std::cmp::Reverse(t.file));
            } else {
                tables.sort_by(|a, b| a.properties.smallest.cmp(&b.properties.smallest));
                let apart =
                    |pair: &[Arc<Table>]| pair[0].logical_bounds().1 < pair[1].logical_bounds().0;
                assert!(tables.windows(2).all(apart), "tables of level {level} overlap");
            }
            levels.levels[level] = tables.into();
        }
        levels
    }

    /// Whether a level below `level` may have a logical key.
    pub fn is_below(&self, level: usize, logical: &[u8]) -> bool {
        self.levels.iter().skip(level + 1).any(|tables| {
            let at = tables.partition_point(|t| t.logical_bounds().1 < logical);
            tables.get(at).is_some_and(|t| t.logical_bounds().0 <= logical)
        })
    }
}

/// Everything that reads look at, of one moment.
#[derive(Clone)]
pub(crate) struct View {
    pub active: Arc<Memtable>,
    /// Newest first.
    pub frozen: Vec<Arc<Memtable>>,
    /// By the keyspace's place in the options.
    pub levels: Arc<Vec<Levels>>,
}

impl View {
    /// Memtables, newest first.
    pub fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.frozen)
    }
}
