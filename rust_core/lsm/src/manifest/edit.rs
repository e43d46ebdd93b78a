//! Edits: what changes in the set of tables, and the numbers that change with it, in one record.
//!
//! ```text
//! field   tag u8, then
//!   1 next file u64 | 2 last seq u64 | 3 flushed lsn u64 | 4 position: id u64, value u64
//!   5 add table: keyspace u16, level u8, file u64, size u64
//!   6 remove table: keyspace u16, level u8, file u64
//!   7 keyspace: id u16, flags u8 (1 versioned, 2 fed by streams)
//! ```
//!
//! Little endian. A snapshot of the whole state is an edit of the empty state. A position of 0 is the
//! same as none.

use phantom_base::bytes::{Reader, Truncated};
use phantom_base::{Lsn, Map};

use crate::{Keyspace, KeyspaceOptions, Source};

/// A table's place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Placed {
    pub keyspace: u16,
    pub level: u8,
    pub file: u64,
}

/// A change of the state. Absent numbers stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edit {
    pub next_file: Option<u64>,
    pub last_seq: Option<u64>,
    pub flushed_lsn: Option<Lsn>,
    pub positions: Vec<(u64, u64)>,
    pub added: Vec<(Placed, u64)>,
    pub removed: Vec<Placed>,
    pub keyspaces: Vec<KeyspaceOptions>,
}

/// The state that edits build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub next_file: u64,
    pub last_seq: u64,
    pub flushed_lsn: Lsn,
    pub positions: Map<u64, u64>,
    /// With their sizes.
    pub tables: Map<Placed, u64>,
    pub keyspaces: Map<u16, KeyspaceOptions>,
}

impl Edit {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let numbers = [(1, self.next_file), (2, self.last_seq), (3, self.flushed_lsn.map(|l| l.0))];
        for (tag, number) in numbers {
            if let Some(number) = number {
                out.push(tag);
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        for (id, value) in &self.positions {
            out.push(4);
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&value.to_le_bytes());
        }
        for (table, size) in &self.added {
            out.push(5);
            table.encode(&mut out);
            out.extend_from_slice(&size.to_le_bytes());
        }
        for table in &self.removed {
            out.push(6);
            table.encode(&mut out);
        }
        for keyspace in &self.keyspaces {
            out.push(7);
            out.extend_from_slice(&keyspace.id.0.to_le_bytes());
            let stream = keyspace.source == Source::Stream;
            out.push(u8::from(keyspace.versioned) | u8::from(stream) << 1);
        }
        out
    }

    /// Reads an edit; `Ok(None)` if it has a field of a newer release.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, Truncated> {
        let mut edit = Self::default();
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            match reader.u8()? {
                1 => edit.next_file = Some(reader.u64()?),
                2 => edit.last_seq = Some(reader.u64()?),
                3 => edit.flushed_lsn = Some(Lsn(reader.u64()?)),
                4 => edit.positions.push((reader.u64()?, reader.u64()?)),
                5 => edit.added.push((Placed::decode(&mut reader)?, reader.u64()?)),
                6 => edit.removed.push(Placed::decode(&mut reader)?),
                7 => {
                    let (id, flags) = (Keyspace(reader.u16()?), reader.u8()?);
                    let source = if flags & 2 == 0 { Source::Batch } else { Source::Stream };
                    let versioned = flags & 1 == 1;
                    edit.keyspaces.push(KeyspaceOptions { id, source, versioned });
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(edit))
    }
}

impl Placed {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.keyspace.to_le_bytes());
        out.push(self.level);
        out.extend_from_slice(&self.file.to_le_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Truncated> {
        Ok(Self { keyspace: reader.u16()?, level: reader.u8()?, file: reader.u64()? })
    }
}

impl State {
    /// Carries an edit out; `Err` if it removes what is not there.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), &'static str> {
        self.next_file = edit.next_file.unwrap_or(self.next_file);
        self.last_seq = edit.last_seq.unwrap_or(self.last_seq);
        self.flushed_lsn = edit.flushed_lsn.unwrap_or(self.flushed_lsn);
        for (id, value) in &edit.positions {
            self.positions.insert(*id, *value);
        }
        self.positions.retain(|_, value| *value != 0);
        for table in &edit.removed {
            self.tables.remove(table).ok_or("an edit removes a table that is not there")?;
        }
        for (table, size) in &edit.added {
            if self.tables.insert(*table, *size).is_some() {
                return Err("an edit adds a table twice");
            }
        }
        for keyspace in &edit.keyspaces {
            self.keyspaces.insert(keyspace.id.0, *keyspace);
        }
        Ok(())
    }

    /// The edit that makes this state of an empty one.
    pub fn snapshot(&self) -> Edit {
        Edit {
            next_file: Some(self.next_file),
            last_seq: Some(self.last_seq),
            flushed_lsn: Some(self.flushed_lsn),
            positions: self.positions.iter().map(|(id, value)| (*id, *value)).collect(),
            added: self.tables.iter().map(|(table, size)| (*table, *size)).collect(),
            removed: Vec::new(),
            keyspaces: self.keyspaces.values().copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_of_a_state_makes_the_state_again() {
        let placed = |file| Placed { keyspace: 1, level: 2, file };
        let keyspace = KeyspaceOptions { id: Keyspace(1), source: Source::Stream, versioned: true };
        let first = Edit {
            next_file: Some(9),
            last_seq: Some(8),
            flushed_lsn: Some(Lsn(7)),
            positions: vec![(1, 5), (2, 6)],
            added: vec![(placed(3), 100), (placed(4), 200)],
            removed: Vec::new(),
            keyspaces: vec![keyspace],
        };
        let second = Edit {
            positions: vec![(2, 0)],
            added: vec![(placed(5), 1)],
            removed: vec![placed(3)],
            ..Edit::default()
        };
        let mut state = State::default();
        for edit in [&first, &second] {
            assert_eq!(Edit::decode(&edit.encode()).unwrap().as_ref(), Some(edit));
            state.apply(edit).unwrap();
        }
        assert_eq!(state.positions, Map::from([(1, 5)]));
        let mut again = State::default();
        again.apply(&state.snapshot()).unwrap();
        assert_eq!(again, state);
        assert!(state.apply(&Edit { removed: vec![placed(3)], ..Edit::default() }).is_err());
        assert_eq!(Edit::decode(&[99]), Ok(None));
    }
}
