//! What a group's entries say: the header that every one has, and the body of a batch.
//!
//! ```text
//! entry  kind u8 | flags u8 (0) | 0 u16 | group_epoch u32 | closed_ts u64 | body
//! batch  txn id 16 B | count u32 | count x (table oid u32, descriptor version u32) | packed ops
//! ```
//!
//! Little endian; the ops are `phantom_lsm`'s packed batch. Entries are final bytes: whoever
//! applies one evaluates nothing. An entry is checked before it is proposed, and a peer's before it
//! is logged, so that one which does not read back is damage and nobody's doing.

use std::sync::Arc;

use phantom_base::bytes::{Reader, Truncated};
use phantom_lsm::Ops;

/// Bytes before an entry's body.
pub const HEADER_BYTES: usize = 16;

/// The epoch of a group that was never split nor merged.
const FIRST_EPOCH: u32 = 0;

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Nothing; a leader begins its term with one.
    Noop,
    /// Writes operations.
    Batch,
}

impl EntryKind {
    /// The features that a release must have to read it. The first release could read these.
    pub fn needs(self) -> u64 {
        match self {
            Self::Noop | Self::Batch => 0,
        }
    }
}

/// The id of a transaction; all zero where there is none.
pub type TxnId = [u8; 16];

/// A table that a batch was bound to, and the version of its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundTable {
    /// The table's oid.
    pub oid: u32,
    /// The version that the writes were made for.
    pub version: u32,
}

/// The body of a batch, as it stands in the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchBody<'a> {
    /// The transaction that wrote it.
    pub txn: TxnId,
    /// The tables that it was bound to.
    pub tables: Vec<BoundTable>,
    /// Packed operations.
    pub ops: &'a [u8],
}

/// An entry taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// Nothing to do.
    Noop,
    /// To be applied.
    Batch(BatchBody<'a>),
}

/// Bytes that are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedEntry {
    /// They end too early.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// A kind, flag or epoch of a newer release.
    #[error("an entry of kind {kind}, flags {flags}, epoch {epoch}")]
    Unknown {
        /// Its kind.
        kind: u8,
        /// Its flags.
        flags: u8,
        /// The epoch of the group that it was proposed in.
        epoch: u32,
    },
    /// The operations of a batch do not read.
    #[error("the operations of a batch are damaged")]
    Ops,
}

/// Puts the header before a body.
pub fn encode_entry(kind: EntryKind, body: &[u8]) -> Arc<[u8]> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    let kind = match kind {
        EntryKind::Noop => 0,
        EntryKind::Batch => 1,
    };
    bytes.extend_from_slice(&[kind, 0, 0, 0]);
    bytes.extend_from_slice(&FIRST_EPOCH.to_le_bytes());
    bytes.extend_from_slice(&0_u64.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes.into()
}

/// The body of a batch.
pub fn encode_batch(txn: TxnId, tables: &[BoundTable], ops: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(20 + tables.len() * 8 + ops.len());
    bytes.extend_from_slice(&txn);
    let count = u32::try_from(tables.len()).expect("a transaction binds a few tables");
    bytes.extend_from_slice(&count.to_le_bytes());
    for table in tables {
        bytes.extend_from_slice(&table.oid.to_le_bytes());
        bytes.extend_from_slice(&table.version.to_le_bytes());
    }
    bytes.extend_from_slice(ops);
    bytes
}

/// Takes an entry apart. Operations are not checked one by one; `check_batch` does.
pub fn decode_entry(bytes: &[u8]) -> Result<Decoded<'_>, MalformedEntry> {
    let mut r = Reader::new(bytes);
    let [kind, flags, _, _] = r.array()?;
    let epoch = r.u32()?;
    let _closed_ts = r.u64()?;
    if flags != 0 || epoch != FIRST_EPOCH {
        return Err(MalformedEntry::Unknown { kind, flags, epoch });
    }
    match kind {
        0 => Ok(Decoded::Noop),
        1 => decode_batch(r.rest()).map(Decoded::Batch),
        _ => Err(MalformedEntry::Unknown { kind, flags, epoch }),
    }
}

/// Checks an entry to its last operation.
pub fn check_entry(bytes: &[u8]) -> Result<(), MalformedEntry> {
    match decode_entry(bytes)? {
        Decoded::Noop => Ok(()),
        Decoded::Batch(batch) => check_ops(batch.ops),
    }
}

/// Takes a batch's body apart.
pub fn decode_batch(body: &[u8]) -> Result<BatchBody<'_>, MalformedEntry> {
    let mut r = Reader::new(body);
    let txn = r.array()?;
    let count = r.u32()?;
    let mut tables = Vec::new();
    for _ in 0..count {
        tables.push(BoundTable { oid: r.u32()?, version: r.u32()? });
    }
    Ok(BatchBody { txn, tables, ops: r.rest() })
}

/// Checks a batch's body to its last operation.
pub fn check_batch(body: &[u8]) -> Result<(), MalformedEntry> {
    check_ops(decode_batch(body)?.ops)
}

fn check_ops(ops: &[u8]) -> Result<(), MalformedEntry> {
    let whole = Ops::new(ops).all(|op| op.is_ok());
    if whole { Ok(()) } else { Err(MalformedEntry::Ops) }
}

#[cfg(test)]
mod tests {
    use phantom_lsm::{Batch, Keyspace};

    use super::*;

    #[test]
    fn a_batch_comes_back_as_it_was_encoded() {
        let mut ops = Batch::new();
        ops.put(Keyspace::INTENTS, b"key", b"value");
        let tables = [BoundTable { oid: 16_384, version: 3 }, BoundTable { oid: 7, version: 1 }];
        let body = encode_batch([9; 16], &tables, ops.bytes());
        assert_eq!(check_batch(&body), Ok(()));
        let entry = encode_entry(EntryKind::Batch, &body);
        let batch = BatchBody { txn: [9; 16], tables: tables.to_vec(), ops: ops.bytes() };
        assert_eq!(decode_entry(&entry), Ok(Decoded::Batch(batch)));
        assert_eq!(decode_entry(&encode_entry(EntryKind::Noop, &[])), Ok(Decoded::Noop));
    }

    #[test]
    fn what_is_cut_or_of_a_newer_release_is_refused() {
        let mut ops = Batch::new();
        ops.put(Keyspace::INTENTS, b"key", b"value");
        let body = encode_batch([9; 16], &[BoundTable { oid: 1, version: 1 }], ops.bytes());
        for cut in 0..body.len() {
            let whole = cut == body.len() - ops.bytes().len();
            assert_eq!(check_batch(&body[..cut]).is_ok(), whole, "cut at {cut}");
        }
        let mut entry = encode_entry(EntryKind::Batch, &body).to_vec();
        entry[0] = 2;
        assert!(matches!(decode_entry(&entry), Err(MalformedEntry::Unknown { kind: 2, .. })));
        entry[0] = 1;
        entry[1] = 1;
        assert!(matches!(decode_entry(&entry), Err(MalformedEntry::Unknown { flags: 1, .. })));
    }
}
