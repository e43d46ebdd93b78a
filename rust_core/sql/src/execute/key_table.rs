//! Distinct keys under dense numbers: what grouping, DISTINCT, joins and IN look values up in.
//!
//! Open addressing with linear probing over a power of two of slots, at most half of them taken;
//! keys lie one behind the other in one allocation. A key is the encoding of its values
//! (`codec::key`), so equal values are one key whatever their width, scale or sign of zero, and
//! NULL is a value. The hash has a fixed seed: numbers follow from the order of insertion alone.

use phantom_types::{Column, codec};
use xxhash_rust::xxh3::xxh3_64;

const SLOTS_MIN: usize = 16;

/// Keys, numbered from 0 in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    hashes: Vec<u64>,
    /// 1 + number of a key, or 0.
    slots: Vec<u32>,
}

impl KeyTable {
    /// How many keys.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The number of a key, and whether it is new.
    pub fn insert(&mut self, key: &[u8]) -> (u32, bool) {
        if (self.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let hash = xxh3_64(key);
        match self.probe(hash, key) {
            Ok(number) => (number, false),
            Err(slot) => {
                let number = u32::try_from(self.len()).expect("memory ends before numbers do");
                self.bytes.extend_from_slice(key);
                self.ends.push(self.bytes.len());
                self.hashes.push(hash);
                *self.slots.get_mut(slot).expect("a probe stays in the table") = number + 1;
                (number, true)
            }
        }
    }

    /// The number of a key that was inserted.
    pub fn find(&self, key: &[u8]) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        self.probe(xxh3_64(key), key).ok()
    }

    /// Bytes of memory, for accounts.
    pub fn size_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.hashes.capacity() * size_of::<u64>()
            + self.slots.capacity() * size_of::<u32>()
    }

    /// The number of the key, or the free slot where it belongs.
    fn probe(&self, hash: u64, key: &[u8]) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let Some(number) = self.slots.get(slot).and_then(|taken| taken.checked_sub(1)) else {
                return Err(slot);
            };
            let at = number as usize;
            if self.hashes.get(at) == Some(&hash) && self.key(at) == key {
                return Ok(number);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn key(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        let end = self.ends.get(at).copied().unwrap_or(0);
        self.bytes.get(start.unwrap_or(0)..end).expect("ends ascend")
    }

    fn grow(&mut self) {
        let len = (self.slots.len() * 2).max(SLOTS_MIN);
        let mask = len - 1;
        let mut slots = vec![0_u32; len];
        for (number, hash) in (1..).zip(&self.hashes) {
            let mut slot = *hash as usize & mask;
            while slots.get(slot).is_some_and(|taken| *taken != 0) {
                slot = (slot + 1) & mask;
            }
            *slots.get_mut(slot).expect("masked") = number;
        }
        self.slots = slots;
    }
}

/// Writes the key of a row over `columns` into `out`; whether one of its values is NULL.
pub(super) fn row_key<'a>(
    columns: impl IntoIterator<Item = &'a Column>,
    row: usize,
    out: &mut Vec<u8>,
) -> bool {
    out.clear();
    let mut has_null = false;
    for column in columns {
        let value = column.value(row);
        has_null |= value.is_null();
        codec::key::encode_column(value, out);
    }
    has_null
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_numbered_in_the_order_in_which_they_come() {
        let mut table = KeyTable::default();
        assert_eq!(table.find(b"x"), None);
        for number in 0..5_000_u32 {
            let key = format!("key {}", number / 2);
            let wanted = (number / 2, number % 2 == 0);
            assert_eq!(table.insert(key.as_bytes()), wanted);
        }
        assert_eq!(table.len(), 2_500);
        assert_eq!(table.find(b"key 17"), Some(17));
        assert_eq!(table.find(b"key 2500"), None);
        assert_eq!(table.insert(b""), (2_500, true));
        assert_eq!(table.find(b""), Some(2_500));
    }
}
