//! SELECT DISTINCT: the first row of each key, as rows come.

use phantom_base::Result;

use super::{Operator, Progress, StepContext};
use crate::execute::key_table::{KeyTable, row_key};
use crate::execute::memory::Reservation;

/// Distinct over the first columns; those behind them are carried along.
pub(in crate::execute) struct Distinct {
    input: Box<dyn Operator>,
    /// Places of the columns that are compared.
    over: Vec<usize>,
    seen: KeyTable,
    key: Vec<u8>,
    held: Reservation,
}

impl Distinct {
    /// Compares the columns at `over`.
    pub fn new(input: Box<dyn Operator>, over: Vec<usize>) -> Self {
        let (seen, held) = (KeyTable::default(), Reservation::new("Distinct"));
        Self { input, over, seen, key: Vec::new(), held }
    }
}

impl Operator for Distinct {
    fn step(&mut self, cx: &mut StepContext<'_>) -> Result<Progress> {
        let held = cx.eval.meter.held();
        loop {
            cx.eval.meter.settle(held);
            let mut batch = match self.input.step(cx)? {
                Progress::Batch(batch) => batch,
                other => return Ok(other),
            };
            let mut kept = Vec::with_capacity(batch.rows());
            for row in 0..batch.rows() {
                row_key(self.over.iter().map(|at| batch.column(*at)), row, &mut self.key);
                if self.seen.insert(&self.key).1 {
                    kept.push(row as u32);
                }
            }
            cx.memory.resize(&mut self.held, self.seen.size_bytes())?;
            if !kept.is_empty() {
                batch.select(kept);
                return Ok(Progress::Batch(batch.compact()));
            }
        }
    }
}
