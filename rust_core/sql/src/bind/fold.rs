//! Immutable calls and casts on constants become constants.
//!
//! What dates and times mean as text depends on the session and on the moment: such casts are done
//! anew by each execution.
//! A call that fails stays a call: its error belongs to the rows that reach it, which a CASE may
//! prevent. So does one that costs more than the meter has, or whose value is large: plans are
//! kept, and nobody can cancel what the parse pool does.

use phantom_base::Result;
use phantom_types::catalog::{self, Volatility};
use phantom_types::{Category, Datum, NO_TYPMOD, format};

use super::Binder;
use crate::bound::{Expr, ExprKind};

impl Binder<'_> {
    /// The constant that an expression is, or the expression.
    pub(super) fn fold(&self, expr: Expr) -> Expr {
        let meter = &self.context.eval.meter;
        let held = meter.held();
        let folded = self.folded(&expr);
        meter.settle(held);
        match folded {
            Some(Ok(constant)) => constant,
            Some(Err(_)) | None => expr,
        }
    }

    fn folded(&self, expr: &Expr) -> Option<Result<Expr>> {
        let value = match &expr.kind {
            ExprKind::Call(oid, arguments) => {
                let procedure = catalog::procedure(*oid)?;
                if procedure.volatility != Volatility::Immutable {
                    return None;
                }
                let values: Option<Vec<Datum>> = arguments.iter().map(constant).collect();
                procedure.call(&values?, self.context.eval).and_then(|value| self.small(value))
            }
            ExprKind::Relabel(value) => Ok(constant(value)?),
            ExprKind::CastByText(value) => {
                if [value.ty, expr.ty].iter().any(|ty| ty.category() == Category::DateTime) {
                    return None;
                }
                let value = constant(value)?;
                if value.is_null() {
                    Ok(Datum::Null)
                } else {
                    let mut text = String::new();
                    format::write_text(&value, &self.context.eval.format, &mut text);
                    format::read_text(expr.ty, NO_TYPMOD, &text, self.context.eval)
                        .and_then(|value| self.small(value))
                }
            }
            _ => return None,
        };
        Some(value.map(|value| Expr { kind: ExprKind::Const(value), ..*expr }))
    }

    fn small(&self, value: Datum) -> Result<Datum> {
        self.context.eval.meter.grow(value.heap_bytes())?;
        Ok(value)
    }
}

fn constant(expr: &Expr) -> Option<Datum> {
    match &expr.kind {
        ExprKind::Const(value) => Some(value.clone()),
        _ => None,
    }
}
