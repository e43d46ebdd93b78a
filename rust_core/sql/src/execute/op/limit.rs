//! LIMIT and OFFSET. It stops pulling as soon as it has enough.

use phantom_base::Result;

use super::{Operator, Progress, StepContext};

/// The rows after the first `skip`, at most `left` of them.
pub(in crate::execute) struct Limit {
    input: Box<dyn Operator>,
    skip: u64,
    left: Option<u64>,
}

impl Limit {
    /// `limit` `None` is no limit.
    pub fn new(input: Box<dyn Operator>, offset: u64, limit: Option<u64>) -> Self {
        Self { input, skip: offset, left: limit }
    }
}

impl Operator for Limit {
    fn step(&mut self, cx: &mut StepContext<'_>) -> Result<Progress> {
        let held = cx.eval.meter.held();
        loop {
            cx.eval.meter.settle(held);
            if self.left == Some(0) {
                return Ok(Progress::Done);
            }
            let mut batch = match self.input.step(cx)? {
                Progress::Batch(batch) => batch,
                other => return Ok(other),
            };
            let rows = batch.rows() as u64;
            let start = self.skip.min(rows);
            self.skip -= start;
            let end = self.left.map_or(rows, |left| rows.min(start.saturating_add(left)));
            if let Some(left) = &mut self.left {
                *left -= end - start;
            }
            if start == end {
                continue;
            }
            if end - start < rows {
                // A batch numbers its rows in 32 bits.
                batch.select((start as u32..end as u32).collect());
                batch = batch.compact();
            }
            return Ok(Progress::Batch(batch));
        }
    }
}
