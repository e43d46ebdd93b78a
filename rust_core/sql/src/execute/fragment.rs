//! A fragment: a bound query that runs over one snapshot in budgeted steps.

use phantom_base::Result;
use phantom_base::sync::Arc;
use phantom_types::{Batch, Datum, EvalContext};

use super::{RowWrite, StepBudget, Storage};
use crate::bound::Query;
use crate::catalog::Table;

/// What a fragment is made of.
pub struct FragmentInput {
    /// The query.
    pub query: Arc<Query>,
    /// The tables of its range table, in its order.
    pub tables: Vec<Arc<Table>>,
    /// A value for each parameter.
    pub parameters: Vec<Datum>,
    /// What its expressions may know.
    pub eval: EvalContext,
    /// Row ids for an INSERT into a table without a primary key, one a row.
    pub hidden_keys: Vec<[u8; 12]>,
    /// What it may take before it is refused (53200), in bytes.
    pub memory_bytes: usize,
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

/// A query that runs. Moves between threads between two steps.
pub struct Fragment {}

impl Fragment {
    /// Checks a query and makes its operators; reads nothing.
    ///
    /// # Errors
    /// `XX000` for a query that the binder would not make.
    pub fn new(input: FragmentInput) -> Result<Self> {
        let _ = input;
        unimplemented!()
    }

    /// Runs until rows are ready, the budget is used up, or the end.
    ///
    /// # Errors
    /// What its expressions and the storage answer; `53200` beyond its memory.
    pub fn step(&mut self, storage: &dyn Storage, budget: StepBudget) -> Result<Step> {
        let _ = (storage, budget);
        unimplemented!()
    }
}
