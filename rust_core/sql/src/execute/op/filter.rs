//! Filter keeps the rows for which conditions are true; Project computes columns.

use phantom_base::Result;
use phantom_types::Batch;

use super::{Operator, Progress, StepContext};
use crate::execute::program::{Program, narrow};

/// WHERE above a join, and HAVING.
pub(in crate::execute) struct Filter {
    input: Box<dyn Operator>,
    conditions: Vec<Program>,
}

impl Filter {
    /// The rows of `input` for which all conditions are true.
    pub fn new(input: Box<dyn Operator>, conditions: Vec<Program>) -> Self {
        Self { input, conditions }
    }
}

impl Operator for Filter {
    fn step(&mut self, cx: &mut StepContext<'_>) -> Result<Progress> {
        let is_never = |condition: &Program| {
            condition.constant().is_some_and(|value| value.as_bool() != Some(true))
        };
        if self.conditions.iter().any(is_never) {
            return Ok(Progress::Done);
        }
        let held = cx.eval.meter.held();
        loop {
            cx.eval.meter.settle(held);
            let mut batch = match self.input.step(cx)? {
                Progress::Batch(batch) => batch,
                other => return Ok(other),
            };
            let kept = narrow(&mut self.conditions, batch.columns(), batch.rows(), cx.eval)?;
            if let Some(kept) = kept {
                batch.select(kept);
                batch = batch.compact();
            }
            if batch.rows() > 0 {
                return Ok(Progress::Batch(batch));
            }
        }
    }
}

/// The select list.
pub(in crate::execute) struct Project {
    input: Box<dyn Operator>,
    exprs: Vec<Program>,
}

impl Project {
    /// A column for each program.
    pub fn new(input: Box<dyn Operator>, exprs: Vec<Program>) -> Self {
        Self { input, exprs }
    }
}

impl Operator for Project {
    fn step(&mut self, cx: &mut StepContext<'_>) -> Result<Progress> {
        let held = cx.eval.meter.held();
        let batch = match self.input.step(cx)? {
            Progress::Batch(batch) => batch,
            other => return Ok(other),
        };
        let with_input = cx.eval.meter.held();
        let mut columns = Vec::with_capacity(self.exprs.len());
        for expr in &mut self.exprs {
            columns.push(expr.run(batch.columns(), batch.selection(), cx.eval)?);
        }
        cx.eval.meter.settle(held + cx.eval.meter.held() - with_input);
        Ok(Progress::Batch(Batch::new(columns, batch.rows())))
    }
}
