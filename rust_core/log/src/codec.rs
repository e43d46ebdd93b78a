//! The payloads of records (drawn in `record.rs`), to and from bytes.

use phantom_base::bytes::{Reader, Truncated};

use crate::record::{Entry, Record, Stream};

pub(crate) const BATCH: u8 = 1;
pub(crate) const APPEND: u8 = 2;
pub(crate) const MOVED: u8 = 3;
pub(crate) const STATE: u8 = 4;
pub(crate) const NODE: u8 = 5;
pub(crate) const RELEASE: u8 = 6;
pub(crate) const DROP: u8 = 7;
pub(crate) const IDLE: u8 = 8;
pub(crate) const TRAILER: u8 = 9;

/// Bytes of an `append` before its first entry, and of an entry before its content.
pub(crate) const APPEND_HEADER: usize = 16;
pub(crate) const ENTRY_HEADER: usize = 12;

/// Writes the payload of `record` to `out` and returns its kind.
pub(crate) fn encode(record: &Record<'_>, out: &mut Vec<u8>) -> u8 {
    let mut u64 = |n: u64| out.extend_from_slice(&n.to_le_bytes());
    match *record {
        Record::Batch { first_seq, count, ops } => {
            u64(first_seq);
            out.extend_from_slice(&count.to_le_bytes());
            out.extend_from_slice(ops);
            BATCH
        }
        Record::Append { stream, first, entries } => {
            u64(stream.0);
            u64(first);
            for entry in entries {
                out.extend_from_slice(&entry.term.to_le_bytes());
                out.extend_from_slice(&(entry.bytes.len() as u32).to_le_bytes());
                out.extend_from_slice(entry.bytes);
            }
            APPEND
        }
        Record::State { stream, slot, bytes } => {
            u64(stream.0);
            out.extend_from_slice(&slot.to_le_bytes());
            out.extend_from_slice(bytes);
            STATE
        }
        Record::Node { slot, bytes } => {
            u64(slot);
            out.extend_from_slice(bytes);
            NODE
        }
        Record::Release { stream, index, term } => {
            u64(stream.0);
            u64(index);
            u64(term);
            RELEASE
        }
        Record::Drop { stream } => {
            u64(stream.0);
            DROP
        }
    }
}

/// The size of the payload, in bytes.
pub(crate) fn encoded_len(record: &Record<'_>) -> usize {
    match record {
        Record::Batch { ops, .. } => 12 + ops.len(),
        Record::Append { entries, .. } => {
            APPEND_HEADER + entries.iter().map(|e| ENTRY_HEADER + e.bytes.len()).sum::<usize>()
        }
        Record::State { bytes, .. } => 10 + bytes.len(),
        Record::Node { bytes, .. } => 8 + bytes.len(),
        Record::Release { .. } => 24,
        Record::Drop { .. } => 8,
    }
}

/// Reads a payload; `entries` is room for those of an append. `None` is a kind without content.
pub(crate) fn decode<'a>(
    kind: u8,
    payload: &'a [u8],
    entries: &'a mut Vec<Entry<'a>>,
) -> Result<Option<Record<'a>>, Truncated> {
    let mut reader = Reader::new(payload);
    let record = match kind {
        BATCH => {
            Record::Batch { first_seq: reader.u64()?, count: reader.u32()?, ops: reader.rest() }
        }
        APPEND => {
            let (stream, first) = (Stream(reader.u64()?), reader.u64()?);
            while !reader.is_empty() {
                let (term, len) = (reader.u64()?, reader.u32()?);
                entries.push(Entry { term, bytes: reader.take(len as usize)? });
            }
            Record::Append { stream, first, entries }
        }
        STATE => Record::State {
            stream: Stream(reader.u64()?),
            slot: reader.u16()?,
            bytes: reader.rest(),
        },
        NODE => Record::Node { slot: reader.u64()?, bytes: reader.rest() },
        RELEASE => Record::Release {
            stream: Stream(reader.u64()?),
            index: reader.u64()?,
            term: reader.u64()?,
        },
        DROP => Record::Drop { stream: Stream(reader.u64()?) },
        _ => return Ok(None),
    };
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_comes_back_in_the_size_that_was_said() {
        let entries = [Entry { term: 3, bytes: b"abc" }, Entry { term: 4, bytes: b"" }];
        let stream = Stream(7);
        for record in [
            Record::Batch { first_seq: 5, count: 2, ops: b"ops" },
            Record::Append { stream, first: 9, entries: &entries },
            Record::State { stream, slot: 2, bytes: b"vote" },
            Record::Node { slot: 1, bytes: b"epoch" },
            Record::Release { stream, index: 8, term: 3 },
            Record::Drop { stream },
        ] {
            let mut payload = Vec::new();
            let kind = encode(&record, &mut payload);
            assert_eq!(payload.len(), encoded_len(&record));
            let mut room = Vec::new();
            assert_eq!(decode(kind, &payload, &mut room), Ok(Some(record)));
            for cut in 0..8.min(payload.len()) {
                assert!(decode(kind, &payload[..cut], &mut Vec::new()).is_err(), "{record:?}");
            }
        }
    }
}
