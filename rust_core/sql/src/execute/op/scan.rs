//! Scan: rows of a table as batches, with conditions that need no other table.
//!
//! Raw rows are collected first, up to a batch of them; then the columns of the conditions are
//! decoded, then, for the rows that pass, the others. Only columns that somebody reads are decoded.
//! What the key ranges promise is checked again by the conditions. Raw rows outlive steps, so they have
//! a reservation.

use phantom_base::sync::Arc;
use phantom_base::{Result, Timestamp};
use phantom_types::codec::row::RowLayout;
use phantom_types::{BATCH_ROWS, Batch, Column, Datum};

use super::range::Access;
use super::{Operator, Progress, StepContext};
use crate::catalog::Table;
use crate::execute::memory::Reservation;
use crate::execute::program::{Program, narrow};
use crate::execute::{RowSource, layout_of};

/// Bytes of raw rows after which a batch is decoded though it is not full.
const RAW_BYTES: usize = 1 << 20;

/// What a scan is made of. Columns are 0-based.
pub(in crate::execute) struct ScanParts {
    pub table: Arc<Table>,
    pub access: Access,
    /// The columns that the conditions read, in the order of their shape.
    pub filter_columns: Vec<usize>,
    /// Conditions over `filter_columns`.
    pub filter: Vec<Program>,
    /// The columns of its batches.
    pub output: Vec<usize>,
    /// How many rows the first batch need not exceed: a LIMIT above may want no more.
    pub first_rows: usize,
    /// Whether keys and versions are kept for a writer.
    pub with_identity: bool,
}

/// The key and version of a row.
#[derive(Clone, Debug)]
pub(in crate::execute) struct Identity {
    pub key: Vec<u8>,
    pub version: Timestamp,
}

/// Rows as they came, one behind the other.
#[derive(Default)]
struct RawRows {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    identities: Vec<Identity>,
}

/// See the module.
pub(in crate::execute) struct Scan {
    parts: ScanParts,
    layout: RowLayout,
    /// What a column reads as in rows older than it.
    defaults: Vec<Datum>,
    source: Option<Box<dyn RowSource>>,
    next_key: usize,
    is_exhausted: bool,
    raw: RawRows,
    batch_rows: usize,
    identities: Vec<Identity>,
    held: Reservation,
}

impl Scan {
    /// A scan that has not begun.
    pub fn new(parts: ScanParts) -> Self {
        let layout = layout_of(&parts.table);
        let defaults = vec![Datum::Null; parts.table.columns.len()];
        let batch_rows = parts.first_rows.clamp(1, BATCH_ROWS);
        let is_never = |condition: &Program| {
            condition.constant().is_some_and(|value| value.as_bool() != Some(true))
        };
        let is_exhausted = parts.filter.iter().any(is_never);
        Self {
            parts,
            layout,
            defaults,
            source: None,
            next_key: 0,
            is_exhausted,
            raw: RawRows::default(),
            batch_rows,
            identities: Vec::new(),
            held: Reservation::new("Scan"),
        }
    }

    /// The keys and versions of the rows of the last batch, in its order.
    pub fn take_identities(&mut self) -> Vec<Identity> {
        std::mem::take(&mut self.identities)
    }

    fn reserve(&mut self, cx: &mut StepContext<'_>) -> Result<()> {
        cx.memory.resize(&mut self.held, self.raw.size_bytes())
    }

    /// Adds the next row to the raw ones; whether there was one or may be another.
    fn fetch(&mut self, cx: &StepContext<'_>) -> Result<()> {
        let table = &self.parts.table;
        match &self.parts.access {
            Access::Keys(keys) => {
                let Some(key) = keys.get(self.next_key) else {
                    self.is_exhausted = true;
                    return Ok(());
                };
                self.next_key += 1;
                if let Some(row) = cx.storage.get(table, key)? {
                    let keep = self.parts.with_identity;
                    self.raw.push(&row.bytes, keep.then_some((key.as_slice(), row.version)));
                }
            }
            Access::Range { start, end } => {
                if self.source.is_none() {
                    let source = cx.storage.scan(table, start.as_deref(), end.as_deref())?;
                    self.source = Some(source);
                }
                let source = self.source.as_mut().expect("it was opened");
                match source.next()? {
                    None => self.is_exhausted = true,
                    Some(row) => {
                        let keep = self.parts.with_identity;
                        self.raw.push(row.bytes, keep.then_some((row.key, row.version)));
                    }
                }
            }
        }
        Ok(())
    }

    /// The raw rows that pass the conditions, decoded.
    fn decode(&mut self, cx: &StepContext<'_>) -> Result<Batch> {
        let mut rows = self.raw.slices();
        let parts = &mut self.parts;
        let found = self.layout.decode(&rows, &parts.filter_columns, &self.defaults)?;
        let kept = narrow(&mut parts.filter, found.columns(), rows.len(), cx.eval)?;
        if let Some(kept) = &kept {
            rows = kept.iter().filter_map(|row| rows.get(*row as usize).copied()).collect();
        }
        let is_found = |column: &usize| parts.filter_columns.contains(column);
        let others: Vec<usize> =
            parts.output.iter().copied().filter(|column| !is_found(column)).collect();
        let mut others =
            self.layout.decode(&rows, &others, &self.defaults)?.into_columns().into_iter();
        let columns: Vec<Column> = parts
            .output
            .iter()
            .map(|column| match parts.filter_columns.iter().position(|found| found == column) {
                None => others.next().expect("a column for each that was not decoded yet"),
                Some(at) => match &kept {
                    None => found.column(at).clone(),
                    Some(kept) => found.column(at).gather(kept),
                },
            })
            .collect();
        let batch = Batch::new(columns, rows.len());
        if parts.with_identity {
            let all = std::mem::take(&mut self.raw.identities);
            self.identities = match kept {
                None => all,
                Some(kept) => {
                    kept.iter().filter_map(|row| all.get(*row as usize).cloned()).collect()
                }
            };
        }
        self.raw.clear();
        Ok(batch)
    }
}

impl Operator for Scan {
    fn step(&mut self, cx: &mut StepContext<'_>) -> Result<Progress> {
        loop {
            while !self.is_exhausted
                && self.raw.ends.len() < self.batch_rows
                && self.raw.bytes.len() < RAW_BYTES
            {
                if cx.take(1) == 0 {
                    self.reserve(cx)?;
                    return Ok(Progress::Yield);
                }
                self.fetch(cx)?;
            }
            if self.raw.ends.is_empty() {
                return Ok(Progress::Done);
            }
            self.batch_rows = (self.batch_rows * 2).min(BATCH_ROWS);
            self.reserve(cx)?;
            let batch = self.decode(cx)?;
            if batch.rows() > 0 {
                return Ok(Progress::Batch(batch));
            }
        }
    }
}

impl RawRows {
    fn push(&mut self, bytes: &[u8], identity: Option<(&[u8], Timestamp)>) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
        if let Some((key, version)) = identity {
            self.identities.push(Identity { key: key.to_vec(), version });
        }
    }

    fn slices(&self) -> Vec<&[u8]> {
        let mut start = 0;
        let slice = |end: &usize| {
            let bytes = self.bytes.get(start..*end).expect("ends ascend");
            start = *end;
            bytes
        };
        self.ends.iter().map(slice).collect()
    }

    /// Bytes of memory, for accounts.
    fn size_bytes(&self) -> usize {
        let keys: usize = self.identities.iter().map(|identity| identity.key.capacity()).sum();
        self.bytes.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.identities.capacity() * size_of::<Identity>()
            + keys
    }

    /// Forgets the rows, and the memory that a large one has taken.
    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(2 * RAW_BYTES);
        self.ends.clear();
        self.identities.clear();
    }
}
