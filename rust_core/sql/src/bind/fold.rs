//! Immutable calls and casts on constants become constants.
//!
//! What dates and times mean as text depends on the session and on the moment: such casts are done
//! anew by each execution.
//! A call that fails stays a call: its error belongs to the rows that reach it, which a CASE may
//! prevent.

use phantom_base::Result;
use phantom_types::catalog::{self, Volatility};
use phantom_types::{Category, Datum, NO_TYPMOD, format};

use super::Binder;
use crate::bound::{Expr, ExprKind};

impl Binder<'_> {
    /// The constant that an expression is, or the expression.
    pub(super) fn fold(&self, expr: Expr) -> Expr {
        match self.folded(&expr) {
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
                procedure.call(&values?, self.context.eval)
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
                }
            }
            _ => return None,
        };
        Some(value.map(|value| Expr { kind: ExprKind::Const(value), ..*expr }))
    }
}

fn constant(expr: &Expr) -> Option<Datum> {
    match &expr.kind {
        ExprKind::Const(value) => Some(value.clone()),
        _ => None,
    }
}
