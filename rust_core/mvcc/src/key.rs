//! Keys and values of the data keyspace.
//!
//! ```text
//! key    colocation set u32 | relation u32 | slot u16 | key columns      big endian, so bytes sort as values do
//! value  flags u8 (0) | row
//! ```
//!
//! The LSM adds the commit timestamp to the key. Key columns are prefix-free (`phantom_types`), so
//! no key of a relation begins another. A key names its colocation set: spans of groups are
//! disjoint by construction, and a split moves no byte.

use std::fmt;

/// The system's own colocation set, in group 1.
pub const SYSTEM_SET: u32 = 0;
/// The first colocation set of users' tables; its first group is group 2.
pub const FIRST_SET: u32 = 1;
/// The slot of a table that is not distributed.
pub const SLOT_WHOLE: u16 = 0;
/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 8 << 10;
/// The keyspace of versions.
pub const DATA: u16 = 1;

const RELATION_BYTES: usize = 8;

/// A relation: a colocation set and a number in it. Numbers below 16,384 are the system's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelationId {
    /// The colocation set.
    pub set: u32,
    /// The relation's number: a table's storage id.
    pub number: u32,
}

impl fmt::Debug for RelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.set, self.number)
    }
}

impl RelationId {
    /// Nodes of the cluster, by node id.
    pub const NODES: Self = Self { set: SYSTEM_SET, number: 1 };
    /// Table descriptors, by OID.
    pub const TABLES: Self = Self { set: SYSTEM_SET, number: 2 };
    /// Counters, by number: 1 is the next OID.
    pub const COUNTERS: Self = Self { set: SYSTEM_SET, number: 3 };

    /// The schema keys of a colocation set: descriptor versions, by OID.
    pub const fn schema(set: u32) -> Self {
        Self { set, number: 4 }
    }

    /// The bytes that all keys of the relation begin with.
    pub fn prefix(self) -> [u8; RELATION_BYTES] {
        (u64::from(self.set) << 32 | u64::from(self.number)).to_be_bytes()
    }

    /// A key: the relation, the whole-table slot, and encoded key columns.
    pub fn key(self, columns: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(RELATION_BYTES + 2 + columns.len());
        key.extend_from_slice(&self.prefix());
        key.extend_from_slice(&SLOT_WHOLE.to_be_bytes());
        key.extend_from_slice(columns);
        key
    }

    /// The first key after all of the relation.
    pub fn end(self) -> [u8; RELATION_BYTES] {
        let id = u64::from(self.set) << 32 | u64::from(self.number);
        // The last relation of the last set is never used.
        id.checked_add(1).expect("relation numbers are allocated from below").to_be_bytes()
    }

    /// The relation and key columns of a key.
    ///
    /// # Errors
    /// `None` if it is too short to be one.
    pub fn parse(key: &[u8]) -> Option<(Self, &[u8])> {
        let (relation, rest) = key.split_first_chunk::<RELATION_BYTES>()?;
        let (_slot, columns) = rest.split_first_chunk::<2>()?;
        let id = u64::from_be_bytes(*relation);
        Some((Self { set: (id >> 32) as u32, number: (id & 0xFFFF_FFFF) as u32 }, columns))
    }
}

/// The value that holds a row.
pub fn value_of(row: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(1 + row.len());
    value.push(0);
    value.extend_from_slice(row);
    value
}

/// The row in a value.
///
/// # Errors
/// `None` for flags that this release does not write: a newer value, or not a value.
pub fn row_of(value: &[u8]) -> Option<&[u8]> {
    match value.split_first() {
        Some((0, row)) => Some(row),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_relation_stand_between_its_prefix_and_its_end() {
        let relation = RelationId { set: 1, number: 16_384 };
        let key = relation.key(&[0xFF; 20]);
        assert!(relation.prefix().as_slice() <= key.as_slice());
        assert!(key.as_slice() < relation.end().as_slice());
        assert_eq!(RelationId::parse(&key), Some((relation, [0xFF; 20].as_slice())));
        assert_eq!(RelationId::parse(&key[..9]), None);
        let next = RelationId { set: 1, number: 16_385 };
        assert_eq!(relation.end(), next.prefix());
    }

    #[test]
    fn a_value_of_unknown_flags_is_no_row() {
        assert_eq!(row_of(&value_of(b"row")), Some(b"row".as_slice()));
        assert_eq!(row_of(&[1, 2]), None);
        assert_eq!(row_of(&[]), None);
    }
}
