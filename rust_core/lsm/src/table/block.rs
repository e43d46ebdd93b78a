//! Blocks of sorted entries: prefix compression with restarts, and their form on disk.
//!
//! ```text
//! entry    varint shared | varint unshared | varint value_len | varint tag | key[shared..] | value
//! block    entries | restart offset u32 * n | n u32
//! on disk  block, as the codec says | codec u8 (0 raw, 1 lz4) | raw_len u32 | crc32c u32
//! ```
//!
//! Little endian. Every eighth entry is a restart and shares nothing. The crc is seeded with the
//! file's number and the block's offset: a stale or misdirected block fails.

use std::cmp::Ordering;
use std::ops::Range;

use crate::key;

/// Going back begins at the restart before: with eight a backward scan is as fast as a forward one,
/// with sixteen it took twice as long.
const RESTART_EVERY: u32 = 8;
const RAW: u8 = 0;
const LZ4: u8 = 1;
/// No block of ours is larger raw: a value of 16 MiB with its key, and room.
const RAW_BYTES_MAX: usize = 64 << 20;

/// Collects entries into a block.
#[derive(Default)]
pub(crate) struct BlockBuilder {
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    since_restart: u32,
    last_key: Vec<u8>,
}

impl BlockBuilder {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes so far, without the restarts.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn add(&mut self, key: &[u8], tag: u64, value: &[u8]) {
        let mut shared = 0;
        if self.restarts.is_empty() || self.since_restart == RESTART_EVERY {
            self.restarts.push(self.bytes.len() as u32);
            self.since_restart = 0;
        } else {
            shared = common_prefix(&self.last_key, key);
        }
        let unshared = &key[shared..];
        for number in [shared as u64, unshared.len() as u64, value.len() as u64, tag] {
            put_varint(&mut self.bytes, number);
        }
        self.bytes.extend_from_slice(unshared);
        self.bytes.extend_from_slice(value);
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(unshared);
        self.since_restart += 1;
    }

    /// Appends the block to `out` in its form on disk and begins the next one.
    pub fn finish(&mut self, out: &mut Vec<u8>, file: u64, offset: u64) {
        for restart in &self.restarts {
            self.bytes.extend_from_slice(&restart.to_le_bytes());
        }
        self.bytes.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
        encode(&self.bytes, out, file, offset);
        self.bytes.clear();
        self.restarts.clear();
        self.since_restart = 0;
        self.last_key.clear();
    }
}

/// Appends `raw` to `out`, compressed if that saves an eighth, with its trailer.
pub(crate) fn encode(raw: &[u8], out: &mut Vec<u8>, file: u64, offset: u64) {
    let start = out.len();
    let packed = lz4_flex::block::compress(raw);
    let codec = if packed.len() < raw.len() - raw.len() / 8 { LZ4 } else { RAW };
    out.extend_from_slice(if codec == LZ4 { &packed } else { raw });
    out.push(codec);
    out.extend_from_slice(&(raw.len() as u32).to_le_bytes());
    let crc = checksum(&out[start..], file, offset);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// Verifies and unpacks what `encode` made; the error says which check failed.
pub(crate) fn decode(mut stored: Vec<u8>, file: u64, offset: u64) -> Result<Vec<u8>, &'static str> {
    let Some((covered, crc)) = stored.split_last_chunk::<4>() else {
        return Err("a block without a trailer");
    };
    if checksum(covered, file, offset).to_le_bytes() != *crc {
        return Err("a block's checksum");
    }
    let Some((packed, [codec, raw_len @ ..])) = covered.split_last_chunk::<5>() else {
        return Err("a block without a trailer");
    };
    let raw_len = u32::from_le_bytes(*raw_len) as usize;
    match *codec {
        RAW if packed.len() == raw_len => {
            stored.truncate(raw_len);
            Ok(stored)
        }
        LZ4 if raw_len <= RAW_BYTES_MAX => {
            let raw = lz4_flex::block::decompress(packed, raw_len);
            raw.ok().filter(|raw| raw.len() == raw_len).ok_or("a block's compression")
        }
        _ => Err("a block's codec or length"),
    }
}

fn checksum(covered: &[u8], file: u64, offset: u64) -> u32 {
    let seed = crc32c::crc32c_append(crc32c::crc32c(&file.to_le_bytes()), &offset.to_le_bytes());
    crc32c::crc32c_append(seed, covered)
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[inline]
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let first = *bytes.get(*at)?;
    *at += 1;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    let mut number = u64::from(first & 0x7F);
    for shift in (7..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// A block in memory, verified.
pub(crate) struct Block {
    bytes: Vec<u8>,
    restarts_at: usize,
    restarts: usize,
}

/// An entry's place in a block.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub shared: usize,
    pub suffix: Range<usize>,
    pub tag: u64,
    pub value: Range<usize>,
}

/// The entry that a search ended at, and how it lies to the target: its key is
/// `target[..entry.shared] | suffix`.
#[derive(Debug)]
pub(crate) struct Hit {
    pub entry: Entry,
}

impl Block {
    /// Takes an unpacked block; `None` if its restarts cannot be.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let (_, count) = bytes.split_last_chunk::<4>()?;
        let restarts = u32::from_le_bytes(*count) as usize;
        let restarts_at = bytes.len().checked_sub(4 + restarts.checked_mul(4)?)?;
        (restarts > 0).then_some(Self { bytes, restarts_at, restarts })
    }

    /// Memory in bytes.
    pub fn weight(&self) -> u64 {
        self.bytes.len() as u64 + 64
    }

    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// The offset behind the last entry.
    pub fn end(&self) -> usize {
        self.restarts_at
    }

    /// The entry at an offset; `None` if the bytes are none.
    #[inline]
    pub fn entry(&self, mut at: usize) -> Option<Entry> {
        let bytes = self.bytes.get(..self.restarts_at)?;
        let shared = varint(bytes, &mut at)? as usize;
        let unshared = varint(bytes, &mut at)? as usize;
        let value_len = varint(bytes, &mut at)? as usize;
        let tag = varint(bytes, &mut at)?;
        let suffix = at..at.checked_add(unshared)?;
        let value = suffix.end..suffix.end.checked_add(value_len)?;
        (value.end <= bytes.len()).then_some(Entry { shared, suffix, tag, value })
    }

    fn restart(&self, i: usize) -> Option<usize> {
        let at = self.restarts_at + i * 4;
        let bytes = self.bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    }

    /// The last restart whose entry is before an internal key, else the first.
    pub fn restart_before(&self, key: &[u8], tag: u64) -> Option<usize> {
        let (mut low, mut high) = (0, self.restarts);
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            let entry = self.entry(self.restart(middle)?)?;
            let found = (self.bytes.get(entry.suffix)?, entry.tag);
            if key::compare(found, (key, tag)) == Ordering::Less {
                low = middle;
            } else {
                high = middle;
            }
        }
        self.restart(low)
    }

    /// The last restart before an offset; the first has none before it.
    pub fn restart_before_offset(&self, at: usize) -> Option<usize> {
        let (mut low, mut high) = (0, self.restarts);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.restart(middle)? < at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.restart(low.checked_sub(1)?)
    }

    /// The first entry at or behind an internal key, without building a key. `Ok(None)`: all are
    /// before it; `Err`: the block's structure is wrong.
    ///
    /// While entries are before the target, only the length of the prefix that the last one has in
    /// common with it counts: an entry that shares more than that with its predecessor is before the
    /// target too.
    pub fn search(&self, key: &[u8], tag: u64) -> Result<Option<Hit>, &'static str> {
        const WRONG: &str = "a block's entry";
        let mut at = self.restart_before(key, tag).ok_or(WRONG)?;
        let mut matched = 0;
        while at < self.restarts_at {
            let entry = self.entry(at).ok_or(WRONG)?;
            at = entry.value.end;
            if entry.shared > matched {
                continue;
            }
            let suffix = self.bytes.get(entry.suffix.clone()).ok_or(WRONG)?;
            let rest = key.get(entry.shared..).ok_or(WRONG)?;
            let common = common_prefix(suffix, rest);
            matched = entry.shared + common;
            let order = match (suffix.get(common), rest.get(common)) {
                (None, None) => tag.cmp(&entry.tag),
                (a, b) => a.cmp(&b),
            };
            if order != Ordering::Less {
                return Ok(Some(Hit { entry }));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use phantom_base::{Random, SeededRandom, Set};

    use super::*;

    fn block_of(keys: &[(Vec<u8>, u64)]) -> Block {
        let (mut builder, mut out) = (BlockBuilder::default(), Vec::new());
        for (key, tag) in keys {
            builder.add(key, *tag, &tag.to_le_bytes());
        }
        builder.finish(&mut out, 7, 100);
        Block::new(decode(out, 7, 100).unwrap()).unwrap()
    }

    #[test]
    fn a_search_finds_the_first_entry_at_or_behind_any_key() {
        let mut random = SeededRandom::new(3);
        let key = |random: &mut SeededRandom| -> Vec<u8> {
            (0..random.below(6)).map(|_| b'a' + random.below(3) as u8).collect()
        };
        for _ in 0..50 {
            let mut keys = Set::new();
            for _ in 0..=random.below(120) {
                keys.insert((key(&mut random), std::cmp::Reverse(random.below(4) << 8 | 1)));
            }
            let keys: Vec<_> = keys.into_iter().map(|(k, t)| (k, t.0)).collect();
            let block = block_of(&keys);
            for _ in 0..100 {
                let (wanted, tag) = (key(&mut random), random.below(5) << 8 | 0xFF);
                let at = keys.partition_point(|(k, t)| {
                    key::compare((k, *t), (&wanted, tag)) == Ordering::Less
                });
                let found = block.search(&wanted, tag).unwrap().map(|hit| {
                    let e = hit.entry;
                    ([&wanted[..e.shared], block.bytes(e.suffix)].concat(), e.tag)
                });
                assert_eq!(found, keys.get(at).cloned(), "{wanted:?} {tag}");
            }
        }
    }

    #[test]
    fn a_block_elsewhere_or_with_a_flipped_bit_fails() {
        for raw in [vec![5; 300], (0..=255).collect::<Vec<u8>>()] {
            let mut out = Vec::new();
            encode(&raw, &mut out, 7, 100);
            assert_eq!(decode(out.clone(), 7, 100).unwrap(), raw);
            assert!(decode(out.clone(), 8, 100).is_err() && decode(out.clone(), 7, 101).is_err());
            for i in 0..out.len() {
                let mut damaged = out.clone();
                damaged[i] ^= 1;
                assert!(decode(damaged, 7, 100).is_err(), "byte {i}");
            }
        }
    }
}
