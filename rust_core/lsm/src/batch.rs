//! The packed batch: one form in the log, in memory and on its way between crates.
//!
//! ```text
//! op   kind u8 | flags u8 (0) | keyspace u16 | key_len u32 | value_len u32 | key | value
//! ```
//!
//! Little endian. Kinds: 1 put, 2 delete (without a value). A later operation of a batch wins over
//! an earlier one. In a versioned keyspace the key ends in `be64(!timestamp)` and a delete is the
//! tombstone of that timestamp.

use phantom_base::bytes::{Reader, Truncated};

use crate::{Error, Keyspace, Result};

/// Longest key in bytes, timestamp included.
pub const KEY_BYTES_MAX: usize = u16::MAX as usize;
/// Longest value in bytes.
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// Longest batch in bytes: a record fits a segment of its own.
pub const BATCH_BYTES_MAX: usize = 48 << 20;

/// Bytes of an operation before its key.
pub const OP_HEADER_BYTES: usize = 12;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpKind {
    /// Sets a value.
    Put = 1,
    /// Takes it away.
    Delete = 2,
}

/// One operation of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op<'a> {
    /// What it does.
    pub kind: OpKind,
    /// Where.
    pub keyspace: Keyspace,
    /// The whole key, with its timestamp if versioned.
    pub key: &'a [u8],
    /// The value; empty of a delete.
    pub value: &'a [u8],
}

/// Builds a packed batch.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    count: u32,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a put.
    pub fn put(&mut self, keyspace: Keyspace, key: &[u8], value: &[u8]) -> &mut Self {
        self.push(OpKind::Put, keyspace, key, None, value)
    }

    /// Adds a delete.
    pub fn delete(&mut self, keyspace: Keyspace, key: &[u8]) -> &mut Self {
        self.push(OpKind::Delete, keyspace, key, None, &[])
    }

    /// Adds a version: the key of a versioned keyspace gets its timestamp here.
    pub fn put_at(&mut self, keyspace: Keyspace, key: &[u8], ts: u64, value: &[u8]) -> &mut Self {
        self.push(OpKind::Put, keyspace, key, Some(ts), value)
    }

    /// Adds the tombstone of a timestamp in a versioned keyspace.
    pub fn delete_at(&mut self, keyspace: Keyspace, key: &[u8], ts: u64) -> &mut Self {
        self.push(OpKind::Delete, keyspace, key, Some(ts), &[])
    }

    /// The packed form.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many operations it has.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes everything out and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    fn push(
        &mut self,
        kind: OpKind,
        keyspace: Keyspace,
        key: &[u8],
        ts: Option<u64>,
        value: &[u8],
    ) -> &mut Self {
        let key_len = key.len() + if ts.is_some() { 8 } else { 0 };
        self.bytes.reserve(OP_HEADER_BYTES + key_len + value.len());
        self.bytes.extend_from_slice(&[kind as u8, 0]);
        self.bytes.extend_from_slice(&keyspace.0.to_le_bytes());
        self.bytes.extend_from_slice(&(key_len as u32).to_le_bytes());
        self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(key);
        if let Some(ts) = ts {
            self.bytes.extend_from_slice(&(!ts).to_be_bytes());
        }
        self.bytes.extend_from_slice(value);
        self.count += 1;
        self
    }
}

/// Reads packed operations one by one; bytes of somebody else may be wrong.
#[derive(Clone, Debug)]
pub struct Ops<'a>(Reader<'a>);

impl<'a> Ops<'a> {
    /// Starts at the first operation.
    pub fn new(packed: &'a [u8]) -> Self {
        Self(Reader::new(packed))
    }

    fn read(&mut self) -> std::result::Result<(u8, Op<'a>), Truncated> {
        let [kind, flags] = self.0.array()?;
        let keyspace = Keyspace(self.0.u16()?);
        let (key_len, value_len) = (self.0.u32()?, self.0.u32()?);
        let (key, value) = (self.0.take(key_len as usize)?, self.0.take(value_len as usize)?);
        let code = if flags == 0 { kind } else { 0 };
        let kind = if kind == OpKind::Delete as u8 { OpKind::Delete } else { OpKind::Put };
        Ok((code, Op { kind, keyspace, key, value }))
    }
}

impl<'a> Iterator for Ops<'a> {
    type Item = Result<Op<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let at = self.0.position();
        Some(match self.read() {
            Ok((1, op)) => Ok(op),
            Ok((2, op)) if op.value.is_empty() => Ok(op),
            Ok(_) => Err(Error::Unsupported {
                what: format!("the operation at byte {at} of a batch is of no known kind"),
            }),
            Err(truncated) => Err(Error::InvalidArgument {
                what: format!("a packed batch is cut short: {truncated}"),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_come_back_as_they_were_packed() {
        let mut batch = Batch::new();
        batch.put(Keyspace(9), b"k", b"v").delete_at(Keyspace(1), b"row", 7);
        let ops: Vec<_> = Ops::new(batch.bytes()).collect::<Result<_>>().unwrap();
        assert_eq!(ops[0], Op { kind: OpKind::Put, keyspace: Keyspace(9), key: b"k", value: b"v" });
        assert_eq!(ops[1].key, [b"row".as_slice(), &(!7u64).to_be_bytes()].concat());
        assert_eq!((ops[1].kind, batch.count()), (OpKind::Delete, 2));
    }

    #[test]
    fn damaged_batches_are_refused_and_never_panic() {
        let mut batch = Batch::new();
        batch.put(Keyspace(1), b"key", b"value").delete(Keyspace(1), b"key");
        for cut in 1..batch.bytes().len() {
            let ops = Ops::new(&batch.bytes()[..cut]);
            assert!(ops.clone().any(|op| op.is_err()) || cut == 20, "cut at {cut}");
        }
        let mut unknown = batch.bytes().to_vec();
        unknown[0] = 3;
        assert!(Ops::new(&unknown).any(|op| op.is_err()));
    }
}
