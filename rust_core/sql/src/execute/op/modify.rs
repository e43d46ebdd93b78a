//! UPDATE and DELETE: what becomes of the rows that a scan found.
//!
//! Nothing is written here. Each key is in the result at most once, with what was seen under it. A
//! row whose key changes is removed under the old key and written under the new one, which is
//! checked when all rows are known: a key that another row of the statement leaves is free.

use phantom_base::sync::Arc;
use phantom_base::{Map, Result};
use phantom_types::codec::row::RowLayout;
use phantom_types::{Batch, Column, Datum};

use super::scan::{Identity, Scan};
use super::{Operator, Progress, StepContext, Writer};
use crate::catalog::Table;
use crate::execute::memory::Reservation;
use crate::execute::program::Program;
use crate::execute::{RowWrite, Seen, check_not_null, duplicate_key, key_of, layout_of};

/// What a key of the result costs beside its bytes: a node of the map and the write itself.
const WRITE_BYTES: usize = 160;

/// What happens to a row.
pub(in crate::execute) enum Change {
    /// It goes.
    Delete,
    /// Columns (0-based) take new values; the scan returns all columns of the table in order.
    Update(Vec<(usize, Program)>),
}

/// A row that is on its way to another key.
struct Moved {
    key: Vec<u8>,
    values: Vec<Datum>,
    row: Vec<u8>,
}

/// See the module.
pub(in crate::execute) struct Modify {
    table: Arc<Table>,
    layout: RowLayout,
    scan: Scan,
    change: Change,
    /// RETURNING, over the new row, or the old one where it goes.
    returning: Vec<Program>,
    changes_key: bool,
    is_read: bool,
    count: u64,
    writes: Map<Vec<u8>, (Option<Vec<u8>>, Seen)>,
    moved: Vec<Moved>,
    written_bytes: usize,
    held: Reservation,
}

impl Modify {
    /// The scan keeps identities.
    pub fn new(table: Arc<Table>, scan: Scan, change: Change, returning: Vec<Program>) -> Self {
        let is_key = |column: usize| {
            table.primary_key.iter().any(|attnum| usize::from(*attnum) == column + 1)
        };
        let changes_key = match &change {
            Change::Delete => false,
            Change::Update(assignments) => assignments.iter().any(|(column, _)| is_key(*column)),
        };
        Self {
            layout: layout_of(&table),
            table,
            scan,
            change,
            returning,
            changes_key,
            is_read: false,
            count: 0,
            writes: Map::new(),
            moved: Vec::new(),
            written_bytes: 0,
            held: Reservation::new("Modify"),
        }
    }

    /// Changes the rows of a batch; the batch of RETURNING.
    fn change(&mut self, old: Batch, cx: &mut StepContext<'_>) -> Result<Batch> {
        let identities = self.scan.take_identities();
        assert_eq!(identities.len(), old.rows(), "a key and a version for each row");
        self.count += old.rows() as u64;
        let shown = match &mut self.change {
            Change::Delete => {
                let mut bytes = 0;
                for identity in identities {
                    bytes += identity.key.len() + WRITE_BYTES;
                    self.written_bytes += identity.key.len();
                    self.writes.insert(identity.key, (None, Seen::Version(identity.version)));
                }
                cx.memory.add(&mut self.held, bytes)?;
                old
            }
            Change::Update(assignments) => {
                let new = updated(old, assignments, cx)?;
                self.update(&new, identities, cx)?;
                new
            }
        };
        let mut columns = Vec::with_capacity(self.returning.len());
        for program in &mut self.returning {
            columns.push(program.run(shown.columns(), shown.selection(), cx.eval)?);
        }
        Ok(Batch::new(columns, shown.rows()))
    }

    fn update(
        &mut self,
        new: &Batch,
        identities: Vec<Identity>,
        cx: &mut StepContext<'_>,
    ) -> Result<()> {
        for (row, Identity { key, version }) in identities.into_iter().enumerate() {
            let values = new.row(row);
            check_not_null(&self.table, &values)?;
            let mut bytes = Vec::new();
            self.layout.encode(&values, &mut bytes)?;
            cx.memory.add(&mut self.held, key.len() + bytes.len() + WRITE_BYTES)?;
            self.written_bytes += key.len() + bytes.len();
            let seen = Seen::Version(version);
            let new_key = if self.changes_key { key_of(&self.table, &values)? } else { Vec::new() };
            if !self.changes_key || new_key == key {
                self.writes.insert(key, (Some(bytes), seen));
                continue;
            }
            let size = new_key.len() + values.len() * size_of::<Datum>() + WRITE_BYTES;
            cx.memory.add(&mut self.held, size)?;
            self.writes.insert(key, (None, seen));
            self.moved.push(Moved { key: new_key, values, row: bytes });
        }
        Ok(())
    }

    /// Puts a row under its new key.
    fn arrive(&mut self, moved: Moved, cx: &StepContext<'_>) -> Result<()> {
        let seen = match self.writes.get(&moved.key) {
            // The row that was there has gone elsewhere.
            Some((None, seen)) => *seen,
            None if cx.storage.get(&self.table, &moved.key)?.is_none() => Seen::Nothing,
            _ => return Err(duplicate_key(&self.table, &moved.values)),
        };
        self.writes.insert(moved.key, (Some(moved.row), seen));
        Ok(())
    }
}

impl Operator for Modify {
    fn step(&mut self, cx: &mut StepContext<'_>) -> Result<Progress> {
        let held = cx.eval.meter.held();
        while !self.is_read {
            cx.eval.meter.settle(held);
            match self.scan.step(cx)? {
                Progress::Batch(batch) => {
                    let returned = self.change(batch, cx)?;
                    if !self.returning.is_empty() {
                        return Ok(Progress::Batch(returned));
                    }
                }
                Progress::Yield => return Ok(Progress::Yield),
                Progress::Done => self.is_read = true,
            }
        }
        while let Some(moved) = self.moved.pop() {
            if cx.take(1) == 0 {
                self.moved.push(moved);
                return Ok(Progress::Yield);
            }
            self.arrive(moved, cx)?;
        }
        Ok(Progress::Done)
    }
}

impl Writer for Modify {
    fn written_bytes(&self) -> usize {
        self.written_bytes
    }

    fn finish(&mut self) -> (u64, Vec<RowWrite>) {
        assert!(self.is_read && self.moved.is_empty(), "the statement has ended");
        let write = |(key, (row, seen))| RowWrite { table: self.table.clone(), key, row, seen };
        (self.count, std::mem::take(&mut self.writes).into_iter().map(write).collect())
    }
}

/// The rows with new values in the assigned columns; all expressions see the old row.
fn updated(
    old: Batch,
    assignments: &mut [(usize, Program)],
    cx: &StepContext<'_>,
) -> Result<Batch> {
    let mut values: Vec<(usize, Column)> = Vec::with_capacity(assignments.len());
    for (column, program) in assignments {
        values.push((*column, program.run(old.columns(), old.selection(), cx.eval)?));
    }
    let rows = old.rows();
    let mut columns = old.into_columns();
    for (at, value) in values {
        let column = columns.get_mut(at).expect("the scan returns all columns");
        let ty = column.ty();
        *column = if value.ty() == ty { value } else { value.relabel(ty) };
    }
    Ok(Batch::new(columns, rows))
}
