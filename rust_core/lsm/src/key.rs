//! Internal keys: a user key and a tag, `seq << 8 | kind`.
//!
//! Order: user keys bytewise, then tags descending, so that of one key the newest write comes first.
//! In a versioned keyspace the user key is `logical key | be64(!timestamp)`: of one logical key the
//! newest timestamp comes first. Filters hash logical keys.

use std::cmp::Ordering;

use xxhash_rust::xxh3::xxh3_64;

use crate::OpKind;

/// Sequence numbers have 56 bits.
pub(crate) const SEQ_MAX: u64 = (1 << 56) - 1;

/// Bytes of a timestamp at the end of a versioned key.
pub(crate) const TIMESTAMP_BYTES: usize = 8;

pub(crate) fn tag(seq: u64, kind: OpKind) -> u64 {
    debug_assert!(seq <= SEQ_MAX, "{seq} has more than 56 bits");
    seq << 8 | kind as u64
}

/// The tag that sorts before all writes up to `seq`: what a read seeks.
pub(crate) fn read_tag(seq: u64) -> u64 {
    seq << 8 | 0xFF
}

pub(crate) fn seq_of(tag: u64) -> u64 {
    tag >> 8
}

pub(crate) fn is_delete(tag: u64) -> bool {
    tag & 0xFF == OpKind::Delete as u64
}

/// The order of internal keys.
pub(crate) fn compare(a: (&[u8], u64), b: (&[u8], u64)) -> Ordering {
    a.0.cmp(b.0).then_with(|| b.1.cmp(&a.1))
}

/// The key without its timestamp, if it has one.
pub(crate) fn logical(key: &[u8], versioned: bool) -> &[u8] {
    if versioned { split(key).0 } else { key }
}

/// A versioned key's logical key and timestamp. Writes refuse shorter keys.
pub(crate) fn split(key: &[u8]) -> (&[u8], u64) {
    match key.split_last_chunk::<TIMESTAMP_BYTES>() {
        Some((logical, ts)) => (logical, !u64::from_be_bytes(*ts)),
        None => (key, 0),
    }
}

/// What filters know a key by.
pub(crate) fn filter_hash(logical: &[u8]) -> u64 {
    xxh3_64(logical)
}

/// A key built for a look-up, on the stack while it is short.
pub(crate) struct Target {
    short: [u8; 120],
    long: Vec<u8>,
    len: usize,
}

impl Target {
    /// `logical | be64(!ts)`.
    pub fn versioned(logical: &[u8], ts: u64) -> Self {
        let len = logical.len() + TIMESTAMP_BYTES;
        let mut target = Self { short: [0; 120], long: Vec::new(), len };
        let ts = (!ts).to_be_bytes();
        match target.short.get_mut(..len) {
            Some(room) => {
                room[..logical.len()].copy_from_slice(logical);
                room[logical.len()..].copy_from_slice(&ts);
            }
            None => target.long = [logical, &ts].concat(),
        }
        target
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.short.get(..self.len).unwrap_or(&self.long)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_writes_and_newer_versions_come_first() {
        let (old, new) = (tag(1, OpKind::Put), tag(2, OpKind::Delete));
        assert_eq!(compare((b"a", new), (b"a", old)), Ordering::Less);
        assert_eq!(compare((b"a", old), (b"b", new)), Ordering::Less);
        assert!(read_tag(2) > new && read_tag(1) < new);
        for logical in [&b"row"[..], &[7; 300]] {
            let (old, new) = (Target::versioned(logical, 5), Target::versioned(logical, 6));
            assert!(new.as_bytes() < old.as_bytes());
            assert_eq!(split(new.as_bytes()), (logical, 6));
        }
    }
}
