//! A fragment: a bound query that runs over one snapshot in budgeted steps.

use phantom_base::sync::Arc;
use phantom_base::{Error, Result};
use phantom_types::{BATCH_ROWS, Batch, Datum, EvalContext, QueryMemory};

use super::build::Builder;
use super::memory::{Memory, Reservation};
use super::op::{Operator, Progress, StepContext, Writer, value_bytes};
use super::program::Compiler;
use super::{RowWrite, StepBudget, Storage};
use crate::bound::Query;
use crate::catalog::Table;

/// Bytes of a batch of the result, unless one row is larger.
const RESULT_BYTES: usize = 256 << 10;

/// What a fragment is made of.
pub struct FragmentInput {
    /// The query.
    pub query: Arc<Query>,
    /// The tables of its range table, in its order.
    pub tables: Vec<Arc<Table>>,
    /// A value for each parameter.
    pub parameters: Vec<Datum>,
    /// What its expressions may know. Their meter gets the fragment's memory.
    pub eval: EvalContext,
    /// Row ids for an INSERT into a table without a primary key, one a row.
    pub hidden_keys: Vec<[u8; 12]>,
    /// What it may take before it is refused (53200).
    pub memory: QueryMemory,
}

/// What a step came to.
pub enum Step {
    /// Rows of the result (of a write: of RETURNING), visible targets only; step again.
    Batch(Batch),
    /// The budget is used up; step again.
    Yield,
    /// There is no more.
    Done(Finished),
}

/// What a fragment did.
#[derive(Debug)]
pub struct Finished {
    /// Rows returned by SELECT, else rows written.
    pub count: u64,
    /// Rows to be written, each key once, with what was seen under it; in no order.
    pub writes: Vec<RowWrite>,
}

enum Root {
    Read(Box<dyn Operator>),
    Write(Box<dyn Writer>),
}

/// A query that runs. Moves between threads between two steps.
pub struct Fragment {
    root: Root,
    eval: EvalContext,
    memory: Memory,
    /// The columns that are sent, if some are not.
    visible: Option<Vec<usize>>,
    /// A batch that is sent in parts, and how many of its rows have been.
    pending: Option<(Batch, usize)>,
    /// What the pending batch takes, while it outlives a step.
    sending: Reservation,
    returned: u64,
    has_ended: bool,
}

impl Fragment {
    /// Checks a query and makes its operators; reads nothing. It recurses as deep as the query is
    /// nested, as decoding it does: not for a small stack.
    ///
    /// # Errors
    /// `XX000` for a query that the binder would not make; `54001` for one that joins too many
    /// tables; `2201W`, `2201X` and whatever else LIMIT and OFFSET answer. They may take long: it is
    /// for a worker.
    pub fn new(input: FragmentInput) -> Result<Self> {
        let FragmentInput { query, tables, parameters, eval, hidden_keys, memory } = input;
        let is_bound = tables.len() == query.relations.len()
            && tables.iter().zip(&query.relations).all(|(table, of)| table.oid == of.table);
        if !is_bound {
            return Err(Error::internal("a query comes with the tables that it was bound to"));
        }
        let parameters: Arc<[Datum]> = parameters.into();
        let mut memory = Memory::new(&memory);
        eval.meter.begin(memory.free());
        let builder = Builder {
            query: &query,
            tables: &tables,
            parameters: &parameters,
            compiler: Compiler { parameters: &parameters, eval: &eval },
        };
        let root = if query.is_write() {
            Root::Write(builder.write(hidden_keys)?)
        } else {
            Root::Read(builder.select()?)
        };
        let visible = builder.visible();
        let visible = (visible.len() < query.targets.len()).then_some(visible);
        // The constants of its programs live as long as it does.
        memory.resize(&mut Reservation::new("Constants"), eval.meter.held())?;
        let (pending, returned, has_ended) = (None, 0, false);
        let sending = Reservation::new("The result");
        Ok(Self { root, eval, memory, visible, pending, sending, returned, has_ended })
    }

    /// Runs until rows are ready, the budget is used up, or the end. After the end or an error it
    /// is not stepped again.
    ///
    /// # Errors
    /// What its expressions and the storage answer; `53200` beyond its memory.
    pub fn step(&mut self, storage: &dyn Storage, budget: StepBudget) -> Result<Step> {
        if let Some(batch) = self.next_part() {
            self.reserve_pending()?;
            return Ok(Step::Batch(batch));
        }
        assert!(!self.has_ended, "a fragment ends once");
        self.eval.meter.begin(self.memory.free());
        let mut cx = StepContext {
            storage,
            eval: &self.eval,
            memory: &mut self.memory,
            rows: budget.rows.max(1),
        };
        let progress = match &mut self.root {
            Root::Read(root) => root.step(&mut cx),
            Root::Write(root) => root.step(&mut cx),
        };
        // Whatever outlives a step has a reservation: values that expressions made do not.
        self.eval.meter.begin(0);
        match progress.inspect_err(|_| self.has_ended = true)? {
            Progress::Yield => Ok(Step::Yield),
            Progress::Batch(batch) => {
                self.returned += batch.rows() as u64;
                self.pending = Some((self.shown(batch), 0));
                let part = self.next_part();
                self.reserve_pending().inspect_err(|_| self.has_ended = true)?;
                Ok(part.map_or(Step::Yield, Step::Batch))
            }
            Progress::Done => {
                self.has_ended = true;
                let (count, writes) = match &mut self.root {
                    Root::Read(_) => (self.returned, Vec::new()),
                    Root::Write(root) => root.finish(),
                };
                Ok(Step::Done(Finished { count, writes }))
            }
        }
    }

    /// Bytes of keys and rows that it wants to write so far: whoever bounds a write need not wait
    /// for all of it.
    pub fn written_bytes(&self) -> usize {
        match &self.root {
            Root::Read(_) => 0,
            Root::Write(root) => root.written_bytes(),
        }
    }

    fn reserve_pending(&mut self) -> Result<()> {
        let bytes = self.pending.as_ref().map_or(0, |(batch, _)| batch.size_bytes());
        self.memory.resize(&mut self.sending, bytes)
    }

    /// The batch without hidden columns.
    fn shown(&self, batch: Batch) -> Batch {
        let Some(visible) = &self.visible else { return batch };
        let rows = batch.rows();
        let is_shown = |(at, column)| visible.contains(&at).then_some(column);
        let columns = batch.into_columns().into_iter().enumerate().filter_map(is_shown).collect();
        Batch::new(columns, rows)
    }

    /// What is sent next of the pending batch.
    fn next_part(&mut self) -> Option<Batch> {
        let (batch, start) = self.pending.take()?;
        let rows = batch.rows();
        if start == 0 && rows <= BATCH_ROWS && batch.size_bytes() <= RESULT_BYTES {
            return Some(batch);
        }
        let (mut end, mut bytes) = (start, 0);
        while end < rows && end - start < BATCH_ROWS {
            bytes += batch.columns().iter().map(|of| value_bytes(of.value(end))).sum::<usize>();
            if bytes > RESULT_BYTES && end > start {
                break;
            }
            end += 1;
        }
        let columns = batch.columns().iter().map(|column| column.slice(start..end)).collect();
        if end < rows {
            self.pending = Some((batch, end));
        }
        Some(Batch::new(columns, end - start))
    }
}
