//! GROUP BY and aggregates: a number for each key, a state for each number.
//!
//! Rows are absorbed batch by batch: keys are computed and looked up, then each aggregate takes
//! the whole batch with the numbers of its groups. FILTER narrows the rows of one aggregate;
//! DISTINCT narrows them to those whose arguments its group has not seen. Without keys there is
//! one group, also without rows.

use phantom_agg::{Groups, States};
use phantom_base::Result;
use phantom_types::{BATCH_ROWS, Batch, Column, Selection, TypeId, codec};

use super::rows::value_bytes;
use super::{Operator, Progress, StepContext};
use crate::execute::key_table::{KeyTable, row_key};
use crate::execute::memory::Reservation;
use crate::execute::program::Program;

/// One aggregate of a grouping.
pub(in crate::execute) struct Aggregator {
    states: States,
    argument: Option<Program>,
    filter: Option<Program>,
    /// Group and argument of all rows so far, of an aggregate over distinct values.
    seen: Option<KeyTable>,
}

impl Aggregator {
    /// An aggregate of `argument` (none for `count(*)`) over the rows that pass `filter`.
    pub fn new(
        states: States,
        argument: Option<Program>,
        filter: Option<Program>,
        is_distinct: bool,
    ) -> Self {
        Self { states, argument, filter, seen: is_distinct.then(KeyTable::default) }
    }

    /// Accumulates a batch; `groups` has the group of each row, or is empty for the only group.
    fn absorb(&mut self, batch: &Batch, groups: &[u32], cx: &StepContext<'_>) -> Result<()> {
        let rows = batch.rows();
        let mut kept = match &mut self.filter {
            None => None,
            Some(filter) => Some(filter.true_rows(batch.columns(), batch.selection(), cx.eval)?),
        };
        let argument = match &mut self.argument {
            None => None,
            Some(argument) => {
                Some(argument.run(batch.columns(), selection_of(kept.as_deref(), rows), cx.eval)?)
            }
        };
        if let (Some(seen), Some(argument)) = (&mut self.seen, &argument) {
            let selection = selection_of(kept.as_deref(), rows);
            kept = Some(unseen(seen, argument, groups, selection));
        }
        let selection = selection_of(kept.as_deref(), rows);
        let narrowed: Vec<u32>;
        let of = match (&kept, groups) {
            (_, []) => Groups::One(0),
            (None, groups) => Groups::Each(groups),
            (Some(kept), groups) => {
                narrowed =
                    kept.iter().filter_map(|row| groups.get(*row as usize).copied()).collect();
                Groups::Each(&narrowed)
            }
        };
        self.states.accumulate(of, argument.as_ref(), selection)
    }

    fn size_bytes(&self) -> usize {
        self.states.size_bytes() + self.seen.as_ref().map_or(0, KeyTable::size_bytes)
    }
}

fn selection_of(kept: Option<&[u32]>, of: usize) -> Selection<'_> {
    kept.map_or(Selection::All(of), |rows| Selection::Rows { rows, of })
}

/// The rows whose group has not seen their argument.
fn unseen(
    seen: &mut KeyTable,
    argument: &Column,
    groups: &[u32],
    selection: Selection<'_>,
) -> Vec<u32> {
    let mut key = Vec::with_capacity(32);
    let mut kept = Vec::with_capacity(selection.len());
    for row in selection.iter() {
        key.clear();
        key.extend_from_slice(&groups.get(row).copied().unwrap_or(0).to_le_bytes());
        codec::key::encode_column(argument.value(row), &mut key);
        if seen.insert(&key).1 {
            kept.push(row as u32);
        }
    }
    kept
}

/// Groups the rows of `input`. Its columns are the keys, then the aggregates.
pub(in crate::execute) struct HashAggregate {
    input: Box<dyn Operator>,
    keys: Vec<Program>,
    aggregates: Vec<Aggregator>,
    table: KeyTable,
    /// The keys of each group as its first row had them.
    key_columns: Vec<Column>,
    key_bytes: usize,
    groups: usize,
    emitted: usize,
    is_read: bool,
    held: Reservation,
}

impl HashAggregate {
    /// Groups by `keys`; without keys there is exactly one group.
    pub fn new(
        input: Box<dyn Operator>,
        keys: Vec<Program>,
        mut aggregates: Vec<Aggregator>,
    ) -> Self {
        let key_columns = keys.iter().map(|key| Column::new(key.ty())).collect();
        let groups = usize::from(keys.is_empty());
        for aggregate in &mut aggregates {
            aggregate.states.grow(groups);
        }
        Self {
            input,
            keys,
            aggregates,
            table: KeyTable::default(),
            key_columns,
            key_bytes: 0,
            groups,
            emitted: 0,
            is_read: false,
            held: Reservation::new("HashAggregate"),
        }
    }

    fn absorb(&mut self, batch: &Batch, cx: &mut StepContext<'_>) -> Result<()> {
        let groups = self.groups_of(batch, cx)?;
        for aggregate in &mut self.aggregates {
            aggregate.states.grow(self.groups);
            aggregate.absorb(batch, &groups, cx)?;
        }
        let states: usize = self.aggregates.iter().map(Aggregator::size_bytes).sum();
        cx.memory.resize(&mut self.held, self.table.size_bytes() + self.key_bytes + states)
    }

    /// The group of each row; new keys make new groups. Empty if there is one group only.
    fn groups_of(&mut self, batch: &Batch, cx: &StepContext<'_>) -> Result<Vec<u32>> {
        if self.keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut columns = Vec::with_capacity(self.keys.len());
        for key in &mut self.keys {
            columns.push(key.run(batch.columns(), batch.selection(), cx.eval)?);
        }
        let mut groups = Vec::with_capacity(batch.rows());
        let mut key = Vec::with_capacity(64);
        for row in 0..batch.rows() {
            row_key(&columns, row, &mut key);
            let (group, is_new) = self.table.insert(&key);
            if is_new {
                for (to, from) in self.key_columns.iter_mut().zip(&columns) {
                    to.push_from(from, row);
                    self.key_bytes += value_bytes(from.value(row));
                }
            }
            groups.push(group);
        }
        self.groups = self.table.len();
        Ok(groups)
    }

    fn emit(&mut self, rows: usize) -> Result<Batch> {
        let range = self.emitted..self.emitted + rows;
        let mut columns: Vec<Column> =
            self.key_columns.iter().map(|column| column.slice(range.clone())).collect();
        for aggregate in &self.aggregates {
            let ty: TypeId = aggregate.states.aggregate().ret;
            let mut column = Column::with_capacity(ty, rows);
            for group in range.clone() {
                column.push(&aggregate.states.finish(group)?);
            }
            columns.push(column);
        }
        self.emitted += rows;
        Ok(Batch::new(columns, rows))
    }
}

impl Operator for HashAggregate {
    fn step(&mut self, cx: &mut StepContext<'_>) -> Result<Progress> {
        let held = cx.eval.meter.held();
        while !self.is_read {
            cx.eval.meter.settle(held);
            match self.input.step(cx)? {
                Progress::Batch(batch) => self.absorb(&batch, cx)?,
                Progress::Yield => return Ok(Progress::Yield),
                Progress::Done => self.is_read = true,
            }
        }
        let left = self.groups - self.emitted;
        if left == 0 {
            return Ok(Progress::Done);
        }
        match cx.take(left.min(BATCH_ROWS)) {
            0 => Ok(Progress::Yield),
            rows => self.emit(rows).map(Progress::Batch),
        }
    }
}
