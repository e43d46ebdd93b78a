//! The index of a table: of each data block its last internal key, offset and length.
//!
//! On disk: `[key_len u32 | key | tag u64 | offset u64 | len u32] *`, in the form of a block. In
//! memory: one run of key bytes, and beside it the eight bytes that follow the prefix which all keys
//! have in common, so that a search compares integers and touches a key or two.

use phantom_base::bytes::{Reader, Truncated};
use std::cmp::Ordering;

use crate::key;

/// A data block's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockAt {
    pub offset: u64,
    pub len: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    keys: Vec<u8>,
    /// Where each key ends in `keys`.
    ends: Vec<u32>,
    tags: Vec<u64>,
    blocks: Vec<BlockAt>,
    common: usize,
    prefixes: Vec<u64>,
}

/// Appends an entry in its form on disk.
pub(crate) fn encode_entry(out: &mut Vec<u8>, key: &[u8], tag: u64, block: BlockAt) {
    out.extend_from_slice(&(key.len() as u32).to_le_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(&tag.to_le_bytes());
    out.extend_from_slice(&block.offset.to_le_bytes());
    out.extend_from_slice(&block.len.to_le_bytes());
}

impl Index {
    pub fn decode(bytes: &[u8]) -> Result<Self, Truncated> {
        let mut index = Self::default();
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            let len = reader.u32()?;
            index.keys.extend_from_slice(reader.take(len as usize)?);
            index.ends.push(index.keys.len() as u32);
            index.tags.push(reader.u64()?);
            index.blocks.push(BlockAt { offset: reader.u64()?, len: reader.u32()? });
        }
        index.find_prefixes();
        Ok(index)
    }

    fn find_prefixes(&mut self) {
        let Some(last) = self.blocks.len().checked_sub(1) else { return };
        let common = self.key(0).iter().zip(self.key(last)).take_while(|(a, b)| a == b).count();
        self.common = common;
        self.prefixes = (0..self.blocks.len()).map(|i| prefix(self.key(i), common)).collect();
    }

    /// Memory in bytes.
    pub fn weight(&self) -> u64 {
        (self.keys.len() + self.blocks.len() * 36) as u64
    }

    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    pub fn block(&self, i: usize) -> Option<BlockAt> {
        self.blocks.get(i).copied()
    }

    fn key(&self, i: usize) -> &[u8] {
        let end = self.ends.get(i).map_or(0, |end| *end as usize);
        let start = i.checked_sub(1).and_then(|i| self.ends.get(i)).map_or(0, |end| *end as usize);
        self.keys.get(start..end).unwrap_or_default()
    }

    /// The first block whose last entry is at or behind an internal key: what is looked for is there
    /// or nowhere. The number of blocks if there is none.
    pub fn seek(&self, key: &[u8], tag: u64) -> usize {
        let (mut low, mut high) = (0, self.blocks.len());
        if let (Some(shared), Some(mine)) = (self.key(0).get(..self.common), key.get(..self.common))
            && shared == mine
        {
            let wanted = prefix(key, self.common);
            low = self.prefixes.partition_point(|p| *p < wanted);
            high = low + self.prefixes[low..].partition_point(|p| *p == wanted);
        }
        while low < high {
            let middle = usize::midpoint(low, high);
            let found = (self.key(middle), self.tags.get(middle).copied().unwrap_or(0));
            if key::compare(found, (key, tag)) == Ordering::Less {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Eight bytes behind the common prefix, padded with zeros: ordered as the keys, or equal.
fn prefix(key: &[u8], common: usize) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(key.get(common..).unwrap_or_default()) {
        *to = *from;
    }
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use phantom_base::{Random, SeededRandom, Set};

    use super::*;

    #[test]
    fn a_seek_finds_the_block_that_a_linear_search_finds() {
        let mut random = SeededRandom::new(4);
        for round in 0..60 {
            let head = vec![b'x'; round % 5];
            let key = |random: &mut SeededRandom| -> Vec<u8> {
                let tail = (0..random.below(12)).map(|_| random.below(2) as u8 * 200);
                head.iter().copied().chain(tail).collect()
            };
            let mut keys = Set::new();
            for _ in 0..=random.below(40) {
                keys.insert((key(&mut random), std::cmp::Reverse(random.below(3))));
            }
            let mut bytes = Vec::new();
            for (i, (k, t)) in keys.iter().enumerate() {
                encode_entry(&mut bytes, k, t.0, BlockAt { offset: i as u64, len: 1 });
            }
            let index = Index::decode(&bytes).unwrap();
            for _ in 0..200 {
                let (mut wanted, tag) = (key(&mut random), random.below(4));
                if random.one_in(10) {
                    wanted = vec![b'w' + random.below(3) as u8];
                }
                let linear = keys
                    .iter()
                    .position(|(k, t)| key::compare((k, t.0), (&wanted, tag)) != Ordering::Less);
                assert_eq!(index.seek(&wanted, tag), linear.unwrap_or(keys.len()), "{wanted:?}");
            }
        }
    }
}
