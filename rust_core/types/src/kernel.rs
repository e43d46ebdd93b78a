//! How a procedure is evaluated: one row, or a batch at once.
//!
//! A kernel never sees NULL where its procedure is strict, and never a row outside the selection:
//! an error arises only for a row that counts.

use std::sync::Arc;

use phantom_base::Result;

use crate::{Column, Datum, Meter, Selection, SessionFormat, TypeId};

/// What a call costs beside what it looks at, in steps.
const CALL_STEPS: usize = 32;
/// Bytes of produced values after which the meter is told.
pub(crate) const GROWN_BYTES: usize = 64 << 10;

/// What an expression may know of its statement.
#[derive(Clone, Debug)]
pub struct EvalContext {
    /// `now()`: microseconds since 2000-01-01 UTC.
    pub transaction_time: i64,
    /// `statement_timestamp()`: microseconds since 2000-01-01 UTC.
    pub statement_time: i64,
    /// The session's settings about the form of values.
    pub format: SessionFormat,
    /// `current_database()`
    pub database: Arc<str>,
    /// `version()`
    pub server_version: Arc<str>,
    /// What the evaluation may spend.
    pub meter: Meter,
}

/// An argument of a kernel over a batch.
#[derive(Clone, Copy, Debug)]
pub enum Argument<'a> {
    /// A value a row.
    Column(&'a Column),
    /// The same value for all rows.
    Constant(&'a Datum),
}

impl Argument<'_> {
    /// The value of a row.
    pub fn datum(&self, row: usize) -> Datum {
        match self {
            Self::Column(column) => column.datum(row),
            Self::Constant(datum) => (*datum).clone(),
        }
    }

    /// Whether the value of a row is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Column(column) => column.is_null(row),
            Self::Constant(datum) => datum.is_null(),
        }
    }
}

/// Evaluates one row.
pub type ScalarFn = fn(&[Datum], &EvalContext) -> Result<Datum>;

/// Evaluates the rows of a selection; the column is as long as the batch, and what it holds in
/// rows outside the selection is unspecified. NULL arguments give NULL: only strict procedures
/// have one.
pub type VectorFn = fn(&[Argument<'_>], Selection<'_>, &EvalContext) -> Result<Column>;

/// The code of a procedure.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// One row.
    pub scalar: ScalarFn,
    /// A batch, where that is faster than row by row.
    pub vector: Option<VectorFn>,
}

impl Kernel {
    /// A kernel that is evaluated row by row.
    pub const fn scalar(scalar: ScalarFn) -> Self {
        Self { scalar, vector: None }
    }

    /// A kernel with a faster form for batches.
    pub const fn vector(scalar: ScalarFn, vector: VectorFn) -> Self {
        Self { scalar, vector: Some(vector) }
    }

    /// One row; a strict kernel is not run when an argument is NULL. The meter has the steps then;
    /// the bytes of the value are the caller's to take.
    pub fn call(&self, strict: bool, arguments: &[Datum], cx: &EvalContext) -> Result<Datum> {
        if strict && arguments.iter().any(Datum::is_null) {
            return Ok(Datum::Null);
        }
        let bytes: usize = arguments.iter().map(Datum::heap_bytes).sum();
        cx.meter.spend(CALL_STEPS + bytes)?;
        (self.scalar)(arguments, cx)
    }

    /// The rows of `selection`; the column has type `returns` and the length of the batch. The meter
    /// has its bytes then, where those vary.
    pub fn evaluate(
        &self,
        (strict, returns): (bool, TypeId),
        arguments: &[Argument<'_>],
        selection: Selection<'_>,
        cx: &EvalContext,
    ) -> Result<Column> {
        cx.meter.spend(selection.len())?;
        if let Some(vector) = self.vector {
            let column = vector(arguments, selection, cx)?;
            assert_eq!(column.len(), selection.of(), "a kernel returns a column of the batch");
            return Ok(if column.ty() == returns { column } else { column.relabel(returns) });
        }
        let mut out = Column::with_capacity(returns, selection.of());
        let mut row_arguments = vec![Datum::Null; arguments.len()];
        let mut grown = 0;
        for row in selection.iter() {
            while out.len() < row {
                out.push_null();
            }
            for (slot, argument) in row_arguments.iter_mut().zip(arguments) {
                *slot = argument.datum(row);
            }
            let value = self.call(strict, &row_arguments, cx)?;
            grown += value.heap_bytes();
            if grown >= GROWN_BYTES {
                cx.meter.grow(std::mem::take(&mut grown))?;
            }
            out.push(&value);
        }
        cx.meter.grow(grown)?;
        while out.len() < selection.of() {
            out.push_null();
        }
        Ok(out)
    }
}
