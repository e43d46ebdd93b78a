//! Evaluates an expression for one row. Point plans, VALUES and LIMIT use it; a scan has programs
//! over batches.
//!
//! It recurses as deep as the expression is, which `bound::depth` bounds.

use std::cell::Cell;
use std::cmp::Ordering;

use phantom_base::{Error, Result};
use phantom_types::{Datum, EvalContext, NO_TYPMOD, catalog, format};

use crate::bound::{Expr, ExprKind, Test};

/// The row that columns are read from.
pub trait Columns {
    /// The value of a column by relation and 1-based number.
    fn column(&self, relation: u16, attnum: u16) -> Result<Datum>;
}

/// No row: for expressions that the binder has found to read no columns.
pub struct NoColumns;

impl Columns for NoColumns {
    fn column(&self, relation: u16, attnum: u16) -> Result<Datum> {
        Err(Error::internal(format!("column {relation}.{attnum} is read where there is no row")))
    }
}

/// A row of relation 0 as values.
impl Columns for [Datum] {
    fn column(&self, relation: u16, attnum: u16) -> Result<Datum> {
        let value = usize::from(attnum).checked_sub(1).and_then(|at| self.get(at));
        match value {
            Some(value) if relation == 0 => Ok(value.clone()),
            _ => Err(Error::internal(format!("column {relation}.{attnum} is not in the row"))),
        }
    }
}

/// What an expression is evaluated with.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The statement's parameters.
    pub parameters: &'a [Datum],
    /// The statement's time and session.
    pub eval: &'a EvalContext,
    /// The value of the step before, until it is read.
    previous: Option<&'a Cell<Option<Datum>>>,
}

impl<'a> Scope<'a> {
    /// The scope of a statement.
    pub fn new(parameters: &'a [Datum], eval: &'a EvalContext) -> Self {
        Self { parameters, eval, previous: None }
    }
}

impl Scope<'_> {
    /// The value of an expression for a row.
    ///
    /// # Errors
    /// What a function answers; `XX000` for an expression that the binder would not make.
    pub fn value<C: Columns + ?Sized>(&self, expr: &Expr, row: &C) -> Result<Datum> {
        match &expr.kind {
            ExprKind::Const(value) => Ok(value.clone()),
            ExprKind::Param(index) => {
                self.parameters.get(usize::from(*index)).cloned().ok_or_else(|| {
                    Error::internal(format!("parameter ${} has no value", index + 1))
                })
            }
            ExprKind::Column { relation, attnum } => row.column(*relation, *attnum),
            ExprKind::GroupKey(_) | ExprKind::AggregateRef(_) => {
                Err(Error::internal("a group is read where there is a row"))
            }
            ExprKind::Call(oid, arguments) => {
                let held = self.eval.meter.held();
                let values: Result<Vec<Datum>> =
                    arguments.iter().map(|argument| self.value(argument, row)).collect();
                let value = self.call(*oid, &values?)?;
                self.eval.meter.keep(held, value.heap_bytes())?;
                Ok(value)
            }
            ExprKind::CastByText(value) => self.cast_by_text(value, expr, row),
            ExprKind::Relabel(value) | ExprKind::Collate(_, value) => self.value(value, row),
            ExprKind::And(of) => self.connective(of, row, false),
            ExprKind::Or(of) => self.connective(of, row, true),
            ExprKind::Not(of) => Ok(match self.truth(of, row)? {
                None => Datum::Null,
                Some(value) => Datum::Bool(!value),
            }),
            ExprKind::Is(test, of) => {
                let value = self.value(of, row)?;
                Ok(Datum::Bool(match test {
                    Test::Null | Test::Unknown => value.is_null(),
                    Test::True => value.as_bool() == Some(true),
                    Test::False => value.as_bool() == Some(false),
                }))
            }
            ExprKind::Distinct(equal, left, right) => {
                let (left, right) = (self.value(left, row)?, self.value(right, row)?);
                self.distinct(*equal, left, right)
            }
            ExprKind::Case { whens, otherwise } => {
                for (condition, value) in whens {
                    if self.is_true(condition, row)? {
                        return self.value(value, row);
                    }
                }
                otherwise.as_ref().map_or(Ok(Datum::Null), |value| self.value(value, row))
            }
            ExprKind::Coalesce(of) => {
                for candidate in of {
                    let value = self.value(candidate, row)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Ok(Datum::Null)
            }
            ExprKind::NullIf(equal, left, right) => {
                let (left, right) = (self.value(left, row)?, self.value(right, row)?);
                let same = self.call(*equal, &[left.clone(), right])?;
                Ok(if same.as_bool() == Some(true) { Datum::Null } else { left })
            }
            ExprKind::Extreme { greatest, of } => self.extreme(*greatest, of, row),
            ExprKind::In { equal, needle, list } => self.is_in(*equal, needle, list, row),
            ExprKind::Steps(steps) => self.steps(steps, row),
            ExprKind::Previous => self
                .previous
                .and_then(Cell::take)
                .ok_or_else(|| Error::internal("the value of a step is read where it is not")),
        }
    }

    fn steps<C: Columns + ?Sized>(&self, steps: &[Expr], row: &C) -> Result<Datum> {
        let held = self.eval.meter.held();
        let previous = Cell::new(None);
        let scope = Scope { previous: Some(&previous), ..*self };
        for (at, step) in steps.iter().enumerate() {
            let value = if at == 0 { self.value(step, row)? } else { scope.value(step, row)? };
            self.eval.meter.keep(held, value.heap_bytes())?;
            previous.set(Some(value));
        }
        previous.take().ok_or_else(|| Error::internal("no steps"))
    }

    /// Whether a condition is true: neither false nor NULL.
    pub fn is_true<C: Columns + ?Sized>(&self, condition: &Expr, row: &C) -> Result<bool> {
        Ok(self.truth(condition, row)? == Some(true))
    }

    fn truth<C: Columns + ?Sized>(&self, condition: &Expr, row: &C) -> Result<Option<bool>> {
        Ok(self.value(condition, row)?.as_bool())
    }

    fn call(&self, oid: u32, values: &[Datum]) -> Result<Datum> {
        let procedure = catalog::procedure(oid)
            .ok_or_else(|| Error::internal(format!("function {oid} is not one of ours")))?;
        procedure.call(values, self.eval)
    }

    fn cast_by_text<C: Columns + ?Sized>(
        &self,
        value: &Expr,
        expr: &Expr,
        row: &C,
    ) -> Result<Datum> {
        let datum = self.value(value, row)?;
        if datum.is_null() {
            return Ok(Datum::Null);
        }
        let mut text = String::new();
        format::write_text(&datum, &self.eval.format, &mut text);
        self.eval.meter.spend(text.len())?;
        self.eval.meter.grow(text.len())?;
        format::read_text(expr.ty, NO_TYPMOD, &text, self.eval)
    }

    /// AND (`decides` false) and OR (`decides` true): the first operand that decides, else NULL if
    /// one was NULL.
    fn connective<C: Columns + ?Sized>(
        &self,
        of: &[Expr],
        row: &C,
        decides: bool,
    ) -> Result<Datum> {
        let mut unknown = false;
        for operand in of {
            match self.truth(operand, row)? {
                Some(value) if value == decides => return Ok(Datum::Bool(decides)),
                Some(_) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(!decides) })
    }

    fn distinct(&self, equal: u32, left: Datum, right: Datum) -> Result<Datum> {
        if left.is_null() || right.is_null() {
            return Ok(Datum::Bool(left.is_null() != right.is_null()));
        }
        let same = self.call(equal, &[left, right])?;
        Ok(Datum::Bool(same.as_bool() != Some(true)))
    }

    fn extreme<C: Columns + ?Sized>(&self, greatest: bool, of: &[Expr], row: &C) -> Result<Datum> {
        let wanted = if greatest { Ordering::Greater } else { Ordering::Less };
        let mut best = Datum::Null;
        for candidate in of {
            let value = self.value(candidate, row)?;
            if !value.is_null() && (best.is_null() || value.compare(&best) == wanted) {
                best = value;
            }
        }
        Ok(best)
    }

    fn is_in<C: Columns + ?Sized>(
        &self,
        equal: u32,
        needle: &Expr,
        list: &[Expr],
        row: &C,
    ) -> Result<Datum> {
        let needle = self.value(needle, row)?;
        let mut unknown = false;
        for candidate in list {
            let candidate = self.value(candidate, row)?;
            match self.call(equal, &[needle.clone(), candidate])?.as_bool() {
                Some(true) => return Ok(Datum::Bool(true)),
                Some(false) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(false) })
    }
}
