//! Rows between storage, workers and gateways; system rows.

use phantom_base::{Error, Result, Timestamp};
use phantom_lsm::Cached;
use phantom_mvcc::key::RelationId;
use phantom_mvcc::{Reader, Reads};
use phantom_sql::catalog::Table;
use phantom_sql::execute::StoredRow;
use phantom_types::codec::row::RowLayout;
use phantom_types::{Batch, Column, Datum, Share, TypeId};

use super::active::{Answer, Job};
use super::commit::Put;
use super::work::{Reply, RowPut, RowSpan, Rows, SystemRows};
use super::{Context, GroupLeader, RequestId};
use crate::catalog::{number_key, schema_row};

/// A part of a result is at least so large, in bytes, where another one follows it. It is larger by
/// less than a row.
const PART_BYTES: usize = 256 << 10;

/// More than this is copied by a worker: 16 MiB of rows take the node's thread some milliseconds.
const HERE_BYTES_MAX: usize = 1 << 20;

/// What is wanted of the rows under some keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Their bytes, of at most so many together.
    Rows(usize),
    /// Their versions alone: is each still what a statement has seen?
    Versions,
}

impl Wanted {
    /// A row as it is wanted.
    fn of(self, row: &phantom_mvcc::Row) -> StoredRow {
        let bytes = match self {
            Self::Rows(_) => row.bytes().to_vec(),
            Self::Versions => Vec::new(),
        };
        StoredRow { bytes, version: row.version }
    }
}

/// Looks keys up if memory has them all, and if they are not too much for the node's thread.
pub(super) fn fetch_cached(
    reader: &Reader,
    keys: &[Vec<u8>],
    wanted: Wanted,
) -> Result<Option<Vec<Option<StoredRow>>>> {
    let mut found = Vec::with_capacity(keys.len());
    let mut bytes = 0;
    for key in keys {
        let Cached::Hit(row) = reader.get_cached(key)? else { return Ok(None) };
        let row = row.as_ref().map(|row| wanted.of(row));
        bytes += row.as_ref().map_or(0, |row| row.bytes.len());
        if bytes > HERE_BYTES_MAX {
            return Ok(None);
        }
        found.push(row);
    }
    Ok(Some(found))
}

/// Looks keys up, waiting for the disk. `memory` holds what it copies.
///
/// # Errors
/// `53200` for rows of more bytes than are wanted, or than the node's account has.
pub(super) fn fetch(
    reader: &Reader,
    keys: &[Vec<u8>],
    wanted: Wanted,
    memory: &mut Share,
) -> Result<Vec<Option<StoredRow>>> {
    let mut found = Vec::with_capacity(keys.len());
    let mut bytes = 0;
    for key in keys {
        let row = reader.get(key)?.as_ref().map(|row| wanted.of(row));
        bytes += row.as_ref().map_or(0, |row| row.bytes.len());
        memory.resize(bytes)?;
        if let Wanted::Rows(bytes_max) = wanted
            && bytes > bytes_max
        {
            return Err(Error::new(phantom_base::sqlstate::OUT_OF_MEMORY, "out of memory")
                .with_detail(format!("The rows that it reads take over {bytes_max} bytes."))
                .with_hint("Read fewer rows at once."));
        }
        found.push(row);
    }
    Ok(found)
}

/// Rows of a result, for this node's own gateway or as they travel.
///
/// # Errors
/// `54000` for a row that is too large to travel.
pub(super) fn rows_for(is_local: bool, batch: Batch) -> Result<Vec<Rows>> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    if is_local { Ok(vec![Rows::Local(batch)]) } else { encode_rows(&batch) }
}

/// In parts: each row its length and the row codec's bytes.
fn encode_rows(batch: &Batch) -> Result<Vec<Rows>> {
    let types: Vec<TypeId> = batch.columns().iter().map(Column::ty).collect();
    let layout = RowLayout::new(&types);
    let mut parts = Vec::new();
    let (mut count, mut out) = (0, Vec::new());
    let mut row = Vec::new();
    for at in batch.selection().iter() {
        row.clear();
        let values: Vec<Datum> = batch.row(at);
        layout.encode(&values, &mut row)?;
        let length = u32::try_from(row.len()).expect("the row codec bounds rows");
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&row);
        count += 1;
        if out.len() >= PART_BYTES {
            let (count, bytes) = (std::mem::take(&mut count), std::mem::take(&mut out));
            parts.push(Rows::Remote { count, bytes });
        }
    }
    if count > 0 {
        parts.push(Rows::Remote { count, bytes: out });
    }
    Ok(parts)
}

fn relation(id: u64) -> RelationId {
    RelationId { set: (id >> 32) as u32, number: (id & 0xFFFF_FFFF) as u32 }
}

fn bounds(span: &RowSpan) -> (Vec<u8>, Vec<u8>) {
    let relation = relation(span.relation);
    match &span.key {
        Some(key) => {
            let start = relation.key(key);
            // Keys are prefix-free, so nothing stands between a key and its successor.
            let mut end = start.clone();
            end.push(0);
            (start, end)
        }
        None => (relation.prefix().to_vec(), relation.end().to_vec()),
    }
}

/// What a read of system rows touches: from the first span's start to the last one's end.
pub(super) fn reads(spans: &[RowSpan]) -> Reads {
    let bounds: Vec<(Vec<u8>, Vec<u8>)> = spans.iter().map(bounds).collect();
    let start = bounds.iter().map(|(start, _)| start.clone()).min().unwrap_or_default();
    let end = bounds.into_iter().map(|(_, end)| end).max().unwrap_or_default();
    Reads::Span(start, end)
}

/// Refuses a row of the catalog that no replica could apply: what every node decodes must decode.
///
/// # Errors
/// `22023` for a descriptor or schema key that does not read, or stands under another's key.
pub(super) fn check(puts: &[RowPut]) -> Result<()> {
    for put in puts {
        let (relation, Some(value)) = (relation(put.relation), &put.value) else { continue };
        let oid = if relation == RelationId::TABLES {
            Table::decode(value).ok().map(|table| table.oid)
        } else if relation == RelationId::schema(relation.set) {
            schema_row(value).map(|(_, oid)| oid)
        } else {
            continue;
        };
        if oid.is_none_or(|oid| number_key(oid) != put.key) {
            let message = format!("a row of relation {relation:?} is no row of the catalog");
            return Err(Error::new(phantom_base::sqlstate::INVALID_PARAMETER_VALUE, message));
        }
    }
    Ok(())
}

/// The whole keys of rows to be written.
pub(super) fn keys(puts: &[RowPut]) -> Vec<Vec<u8>> {
    puts.iter().map(|put| relation(put.relation).key(&put.key)).collect()
}

impl GroupLeader {
    pub(super) fn system_rows(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        rows: Result<SystemRows>,
    ) {
        match rows {
            Ok(rows) => {
                let active = self.end(request);
                context.reply(active.origin, Reply::SystemRows(rows));
            }
            Err(error) => self.fail(context, request, error),
        }
    }

    /// Compares versions with those that the writer saw, then writes.
    pub(super) fn rows_checked(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        found: &[Option<StoredRow>],
    ) {
        let Job::WriteRows(puts) = &self.get(request).job else {
            unreachable!("the caller matched the job");
        };
        let differs = puts.iter().zip(found).any(|(put, found)| {
            let version = found.as_ref().map_or(Timestamp::MIN, |row| row.version);
            put.seen.is_some_and(|seen| seen != version.0)
        });
        if differs {
            let error = Error::new(
                phantom_base::sqlstate::SERIALIZATION_FAILURE,
                "a system row was changed by somebody else",
            );
            self.prove(context, request, true, Err(error));
            return;
        }
        let writes: Vec<Put> = puts
            .iter()
            .map(|put| Put { key: relation(put.relation).key(&put.key), row: put.value.clone() })
            .collect();
        let answer = Answer { rows: Vec::new(), count: writes.len() as u64 };
        self.propose(context, request, &[], &writes, answer);
    }
}

/// Reads system rows, waiting for the disk.
///
/// # Errors
/// Those of storage.
pub(super) fn scan(reader: &Reader, spans: &[RowSpan]) -> Result<SystemRows> {
    let mut all = Vec::with_capacity(spans.len());
    for span in spans {
        let (start, end) = bounds(span);
        let mut rows = Vec::new();
        let mut iter = reader.scan(&start, &end)?;
        while let Some(entry) = iter.next()? {
            rows.push((entry.row.to_vec(), entry.version.0));
        }
        all.push(rows);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(relation: RelationId, key: u32, value: &[u8]) -> RowPut {
        let relation = u64::from(relation.set) << 32 | u64::from(relation.number);
        RowPut { relation, key: number_key(key), value: Some(value.to_vec()), seen: None }
    }

    #[test]
    fn rows_that_no_replica_could_apply_are_refused_before_they_are_written() {
        let schema = RelationId::schema(phantom_mvcc::key::FIRST_SET);
        let version_1_of_7 = [0, 0, 0, 1, 0, 0, 0, 7];
        assert_eq!(check(&[put(schema, 7, &version_1_of_7)]), Ok(()));
        assert_eq!(check(&[put(RelationId::NODES, 7, b"anything")]), Ok(()));
        for bad in [
            put(RelationId::TABLES, 7, b"no descriptor"),
            put(schema, 8, &version_1_of_7),
            put(schema, 7, &[0, 0, 0, 1]),
        ] {
            assert!(check(&[bad]).is_err());
        }
    }

    #[test]
    fn rows_travel_in_parts_whatever_their_sizes() {
        let texts = [1, PART_BYTES / 2, PART_BYTES, 5, 3 * PART_BYTES, 7].map(|n| "x".repeat(n));
        let mut column = Column::with_capacity(TypeId::TEXT, texts.len());
        for text in &texts {
            column.push(&Datum::text(text));
        }
        let parts = encode_rows(&Batch::new(vec![column], texts.len())).unwrap();
        let counted = |rows: &Rows| match rows {
            Rows::Remote { count, .. } => *count,
            Rows::Local(_) => panic!("it travels"),
        };
        let counts: Vec<u64> = parts.iter().map(counted).collect();
        assert_eq!(counts, [3, 2, 1]);
        let largest = texts.iter().map(String::len).max().unwrap();
        assert!(parts.iter().all(|rows| rows.size_bytes() < PART_BYTES + largest + 64));
        assert!(rows_for(false, Batch::new(vec![], 0)).unwrap().is_empty());
    }
}
