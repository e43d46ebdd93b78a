//! INSERT of rows that are expressions over parameters.
//!
//! The key of each row is looked up among the rows before it and in the snapshot. A key that is
//! taken is 23505, or the row is passed over (ON CONFLICT DO NOTHING).

use phantom_base::sync::Arc;
use phantom_base::{Error, Result};
use phantom_types::codec::row::RowLayout;
use phantom_types::{BATCH_ROWS, Batch, Datum, TypeId};

use super::{Operator, Progress, StepContext, Writer};
use crate::bound::{Command, Insert, Query};
use crate::catalog::Table;
use crate::execute::key_table::KeyTable;
use crate::execute::memory::Reservation;
use crate::execute::program::{Compiler, Program, Shape};
use crate::execute::{RowWrite, Seen, check_not_null, duplicate_key, key_of, layout_of};

/// See the module.
pub(in crate::execute) struct InsertRows {
    query: Arc<Query>,
    parameters: Arc<[Datum]>,
    table: Arc<Table>,
    layout: RowLayout,
    hidden_keys: Vec<[u8; 12]>,
    /// RETURNING, over all columns of the table in order.
    returning: Vec<Program>,
    next: usize,
    keys: KeyTable,
    writes: Vec<RowWrite>,
    written_bytes: usize,
    held: Reservation,
}

impl InsertRows {
    /// The query is an INSERT.
    pub fn new(
        query: Arc<Query>,
        parameters: Arc<[Datum]>,
        table: Arc<Table>,
        hidden_keys: Vec<[u8; 12]>,
        returning: Vec<Program>,
    ) -> Self {
        assert!(matches!(query.command, Command::Insert(_)), "an INSERT");
        Self {
            query,
            parameters,
            layout: layout_of(&table),
            table,
            hidden_keys,
            returning,
            next: 0,
            keys: KeyTable::default(),
            writes: Vec::new(),
            written_bytes: 0,
            held: Reservation::new("Insert"),
        }
    }

    /// Adds row `at` to the writes; its values, unless it was passed over.
    fn insert(
        &mut self,
        insert: &Insert,
        at: usize,
        cx: &mut StepContext<'_>,
    ) -> Result<Option<Vec<Datum>>> {
        let held = cx.eval.meter.held();
        let values = self.values(insert, at, cx)?;
        // The row is of another account as soon as it is encoded.
        cx.eval.meter.settle(held);
        check_not_null(&self.table, &values)?;
        let key = if self.table.primary_key.is_empty() {
            let hidden = self.hidden_keys.get(at).ok_or_else(|| {
                Error::internal("a table without a key needs a hidden key for each row")
            })?;
            hidden.to_vec()
        } else {
            key_of(&self.table, &values)?
        };
        let is_taken =
            self.keys.find(&key).is_some() || cx.storage.get(&self.table, &key)?.is_some();
        if is_taken && insert.skip_conflicts {
            return Ok(None);
        }
        if is_taken {
            return Err(duplicate_key(&self.table, &values));
        }
        let mut row = Vec::new();
        self.layout.encode(&values, &mut row)?;
        cx.memory.add(&mut self.held, 2 * key.len() + row.len() + 2 * size_of::<RowWrite>())?;
        self.written_bytes += key.len() + row.len();
        self.keys.insert(&key);
        let table = self.table.clone();
        self.writes.push(RowWrite { table, key, row: Some(row), seen: Seen::Nothing });
        Ok(Some(values))
    }

    fn values(&self, insert: &Insert, at: usize, cx: &StepContext<'_>) -> Result<Vec<Datum>> {
        let exprs = insert.rows.get(at).expect("the caller counts rows");
        let compiler = Compiler { parameters: &self.parameters, eval: cx.eval };
        let shape = Shape::default();
        let one = Batch::new(Vec::new(), 1);
        let mut values = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let mut program = compiler.compile(expr, &shape)?;
            values.push(match program.constant() {
                Some(value) => value.clone(),
                None => program.run(one.columns(), one.selection(), cx.eval)?.datum(0),
            });
        }
        Ok(values)
    }
}

impl Operator for InsertRows {
    fn step(&mut self, cx: &mut StepContext<'_>) -> Result<Progress> {
        let query = self.query.clone();
        let Command::Insert(insert) = &query.command else { unreachable!("asserted by new") };
        let types: Vec<TypeId> = self.layout.types().to_vec();
        let mut returned = Batch::with_types(if self.returning.is_empty() { &[] } else { &types });
        while self.next < insert.rows.len() && returned.rows() < BATCH_ROWS {
            if cx.take(1) == 0 {
                break;
            }
            let at = self.next;
            self.next += 1;
            if let Some(values) = self.insert(insert, at, cx)?
                && !self.returning.is_empty()
            {
                returned.push_row(&values);
            }
        }
        if returned.rows() > 0 {
            let mut columns = Vec::with_capacity(self.returning.len());
            for program in &mut self.returning {
                columns.push(program.run(returned.columns(), returned.selection(), cx.eval)?);
            }
            return Ok(Progress::Batch(Batch::new(columns, returned.rows())));
        }
        Ok(if self.next < insert.rows.len() { Progress::Yield } else { Progress::Done })
    }
}

impl Writer for InsertRows {
    fn written_bytes(&self) -> usize {
        self.written_bytes
    }

    fn finish(&mut self) -> (u64, Vec<RowWrite>) {
        (self.writes.len() as u64, std::mem::take(&mut self.writes))
    }
}
