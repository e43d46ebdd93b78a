//! Operators: what a fragment is made of. Each pulls batches from those below it.
//!
//! - `step` works until it has a batch, until the rows of the step are used up (`Yield`), or until
//!   its end. What it had so far stays in the operator, so that a step may be as small as one row.
//! - Every batch between operators counts all its rows: selections live inside programs only.
//! - An operator that keeps rows reserves memory for them first.
//! - No operator knows plans, threads or clocks.

mod aggregate;
mod distinct;
mod filter;
mod insert;
mod join;
mod limit;
mod modify;
mod range;
mod rows;
mod scan;
mod sort;

pub(super) use aggregate::{Aggregator, HashAggregate};
pub(super) use distinct::Distinct;
pub(super) use filter::{Filter, Project};
pub(super) use insert::InsertRows;
pub(super) use join::{HashJoin, JoinParts, Side};
pub(super) use limit::Limit;
pub(super) use modify::{Change, Modify};
pub(super) use range::{Access, access};
pub(super) use rows::value_bytes;
pub(super) use scan::{Scan, ScanParts};
pub(super) use sort::Sort;

use phantom_base::Result;
use phantom_types::{Batch, EvalContext};

use super::memory::Memory;
use super::{RowWrite, Storage};

/// What a step came to.
pub(super) enum Progress {
    /// Rows, at least one.
    Batch(Batch),
    /// The rows of this step are used up.
    Yield,
    /// There is no more; the operator is not stepped again.
    Done,
}

/// What a step may use.
pub(super) struct StepContext<'a> {
    /// The snapshot.
    pub storage: &'a dyn Storage,
    /// The statement's time and session.
    pub eval: &'a EvalContext,
    /// The fragment's account.
    pub memory: &'a mut Memory,
    /// How many rows may still be examined.
    pub rows: u32,
}

impl StepContext<'_> {
    /// Takes up to `wanted` rows from what this step may examine.
    pub fn take(&mut self, wanted: usize) -> usize {
        let taken = self.rows.min(u32::try_from(wanted).unwrap_or(u32::MAX));
        self.rows -= taken;
        taken as usize
    }

    /// Gives back rows that were taken and not examined.
    pub fn give_back(&mut self, rows: usize) {
        self.rows += u32::try_from(rows).expect("no more than was taken");
    }
}

/// A source of batches.
pub(super) trait Operator: Send {
    /// Works on.
    ///
    /// # Errors
    /// What expressions and storage answer; `53200` beyond the memory.
    fn step(&mut self, cx: &mut StepContext<'_>) -> Result<Progress>;
}

/// Something that writes: an operator whose batches are those of RETURNING.
pub(super) trait Writer: Operator {
    /// Bytes of keys and rows that are to be written so far.
    fn written_bytes(&self) -> usize;

    /// What is to be written, and how many rows that are; after its end.
    fn finish(&mut self) -> (u64, Vec<RowWrite>);
}

/// One row without columns: FROM without a table.
#[derive(Debug, Default)]
pub(super) struct OneRow {
    is_done: bool,
}

impl Operator for OneRow {
    fn step(&mut self, cx: &mut StepContext<'_>) -> Result<Progress> {
        if self.is_done {
            return Ok(Progress::Done);
        }
        if cx.take(1) == 0 {
            return Ok(Progress::Yield);
        }
        self.is_done = true;
        Ok(Progress::Batch(Batch::new(Vec::new(), 1)))
    }
}
