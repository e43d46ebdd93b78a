//! Expressions as PostgreSQL's planner leaves them (its `eval_const_expressions`): immutable calls
//! and casts on constants become constants, and what a constant decides is gone.
//!
//! - It is done once the whole statement is bound, for until then expressions are compared as they
//!   were written.
//! - A call that fails makes the statement fail, though no row might reach it: `CASE` and the like
//!   protect only what constants keep from being looked at. That is PostgreSQL's answer, and it comes
//!   when a statement is bound to its values, not when it is described.
//! - What dates and times mean as text depends on the session and on the moment: such casts are done
//!   anew by each execution. So is what costs more than the meter has, or whose value is large: plans
//!   are kept, and nobody can cancel what the parse pool does.
//! - Parameters are no constants. PostgreSQL looks at their values in the first five plans that it
//!   makes of a statement and in no later one, so that an error may come and go; here it is never.

use phantom_base::Result;
use phantom_types::catalog::{self, Volatility};
use phantom_types::{Category, Datum, EvalContext, TypeId};

use crate::bound::{Command, Expr, ExprKind, JoinTree, Query};
use crate::execute::scalar::{NoColumns, Scope};

/// Folds all of a query, which stays valid where that fails.
///
/// # Errors
/// That of the first call on constants that fails.
pub(super) fn fold_query(query: &mut Query, eval: &EvalContext) -> Result<()> {
    let folder = Folder { eval };
    if let Command::Update { assignments } = &mut query.command {
        assignments.iter_mut().try_for_each(|(_, value)| folder.fold(value))?;
    }
    if let Some(grouping) = &mut query.grouping {
        folder.fold_all(&mut grouping.keys)?;
        for aggregate in &mut grouping.aggregates {
            folder.fold_all(&mut aggregate.arguments)?;
            aggregate.filter.iter_mut().try_for_each(|filter| folder.fold(filter))?;
        }
    }
    query.targets.iter_mut().try_for_each(|target| folder.fold(&mut target.expr))?;
    query.from.iter_mut().try_for_each(|tree| folder.join(tree))?;
    folder.condition(&mut query.filter)?;
    if let Some(Expr { kind: ExprKind::And(of), .. }) = &mut query.filter {
        // A row by key is put to its conditions as they stand here; a scan orders its own.
        of.sort_by_cached_key(Expr::rank);
    }
    if let Some(grouping) = &mut query.grouping {
        folder.condition(&mut grouping.having)?;
    }
    query.offset.iter_mut().chain(&mut query.limit).try_for_each(|count| folder.fold(count))?;
    if let Command::Insert(insert) = &mut query.command {
        insert.rows.iter_mut().try_for_each(|row| folder.fold_all(row))?;
    }
    Ok(())
}

struct Folder<'a> {
    eval: &'a EvalContext,
}

impl Folder<'_> {
    fn fold_all(&self, exprs: &mut [Expr]) -> Result<()> {
        exprs.iter_mut().try_for_each(|expr| self.fold(expr))
    }

    fn join(&self, tree: &mut JoinTree) -> Result<()> {
        if let JoinTree::Join { left, right, on, .. } = tree {
            self.join(left)?;
            self.join(right)?;
            self.condition(on)?;
        }
        Ok(())
    }

    /// A condition of rows: one that is always true is none.
    fn condition(&self, condition: &mut Option<Expr>) -> Result<()> {
        let Some(expr) = condition else { return Ok(()) };
        self.fold(expr)?;
        without_unknown(expr);
        if is_true(expr) {
            *condition = None;
        }
        Ok(())
    }

    fn fold(&self, expr: &mut Expr) -> Result<()> {
        match &mut expr.kind {
            ExprKind::Const(_)
            | ExprKind::Param(_)
            | ExprKind::Column { .. }
            | ExprKind::GroupKey(_)
            | ExprKind::AggregateRef(_)
            // Chains are cut into steps when constants in them are folded.
            | ExprKind::Steps(_)
            | ExprKind::Previous => Ok(()),
            ExprKind::Call(oid, arguments) => {
                self.fold_all(arguments)?;
                let Some(procedure) = catalog::procedure(*oid) else { return Ok(()) };
                if procedure.strict && arguments.iter().any(is_null) {
                    become_value(expr, Datum::Null);
                    return Ok(());
                }
                let is_settled = procedure.volatility == Volatility::Immutable;
                if is_settled && arguments.iter().all(is_constant) {
                    return self.evaluate(expr);
                }
                Ok(())
            }
            ExprKind::CastByText(of) => {
                self.fold(of)?;
                let of_time = [of.ty, expr.ty].iter().any(|ty| ty.category() == Category::DateTime);
                if is_null(of) {
                    become_value(expr, Datum::Null);
                } else if is_constant(of) && !of_time {
                    return self.evaluate(expr);
                }
                Ok(())
            }
            ExprKind::Relabel(of)
            | ExprKind::Collate(_, of)
            | ExprKind::Not(of)
            | ExprKind::Is(_, of) => {
                self.fold(of)?;
                if is_constant(of) { self.evaluate(expr) } else { Ok(()) }
            }
            ExprKind::And(_) => self.connective(expr, false),
            ExprKind::Or(_) => self.connective(expr, true),
            ExprKind::Distinct(_, left, right) => {
                self.fold(left)?;
                self.fold(right)?;
                if is_constant(left) && is_constant(right) { self.evaluate(expr) } else { Ok(()) }
            }
            ExprKind::NullIf(_, left, right) => {
                self.fold(left)?;
                self.fold(right)?;
                if is_null(left) || is_null(right) {
                    become_operand(expr);
                } else if is_constant(left) && is_constant(right) {
                    return self.evaluate(expr);
                }
                Ok(())
            }
            ExprKind::Case { .. } => self.case(expr),
            ExprKind::Coalesce(_) => self.coalesce(expr),
            ExprKind::Extreme { of, .. } => {
                self.fold_all(of)?;
                if of.iter().all(is_constant) { self.evaluate(expr) } else { Ok(()) }
            }
            ExprKind::In { needle, list, .. } => {
                self.fold(needle)?;
                self.fold_all(list)?;
                let all = is_constant(needle) && list.iter().all(is_constant);
                if all { self.evaluate(expr) } else { Ok(()) }
            }
        }
    }

    /// Makes a constant of what reads none but constants, unless the meter does not allow it.
    fn evaluate(&self, expr: &mut Expr) -> Result<()> {
        let meter = &self.eval.meter;
        let held = meter.held();
        let scope = Scope::new(&[], self.eval);
        let value = scope.value(expr, &NoColumns).and_then(|value| {
            meter.settle(held);
            meter.grow(value.heap_bytes())?;
            Ok(value)
        });
        meter.settle(held);
        match value {
            Ok(value) => become_value(expr, value),
            Err(_) if meter.ran_out() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// AND (`decides` false) and OR (`decides` true). Operands behind a constant that decides are
    /// not looked at.
    fn connective(&self, expr: &mut Expr, decides: bool) -> Result<()> {
        let (ExprKind::And(of) | ExprKind::Or(of)) = &mut expr.kind else {
            unreachable!("the caller matched it");
        };
        let mut pending: Vec<Expr> = std::mem::take(of);
        pending.reverse();
        let mut has_null = false;
        while let Some(mut operand) = pending.pop() {
            let folded = match nested(&mut operand, decides) {
                Some(inner) => {
                    pending.extend(inner.into_iter().rev());
                    continue;
                }
                None => self.fold(&mut operand),
            };
            if let Err(error) = folded {
                of.push(operand);
                return Err(error);
            }
            match &operand.kind {
                ExprKind::Const(Datum::Null) => has_null = true,
                ExprKind::Const(value) if value.as_bool() == Some(decides) => {
                    become_value(expr, Datum::Bool(decides));
                    return Ok(());
                }
                ExprKind::Const(_) => {}
                _ => match nested(&mut operand, decides) {
                    Some(inner) => pending.extend(inner.into_iter().rev()),
                    None => of.push(operand),
                },
            }
        }
        if has_null {
            of.push(Expr::constant(Datum::Null, TypeId::BOOL));
        }
        match of.len() {
            0 => become_value(expr, Datum::Bool(!decides)),
            1 => become_operand(expr),
            _ => {}
        }
        Ok(())
    }

    /// WHENs that are never true go, and so does what stands behind one that always is.
    fn case(&self, expr: &mut Expr) -> Result<()> {
        let ExprKind::Case { whens, otherwise } = &mut expr.kind else {
            unreachable!("the caller matched it");
        };
        let mut at = 0;
        while let Some((condition, value)) = whens.get_mut(at) {
            self.fold(condition)?;
            if is_constant(condition) && !is_true(condition) {
                whens.remove(at);
                continue;
            }
            self.fold(value)?;
            if is_true(condition) {
                *otherwise = Some(Box::new(value.clone()));
                whens.truncate(at);
                if whens.is_empty() {
                    become_operand(expr);
                }
                return Ok(());
            }
            at += 1;
        }
        if let Some(otherwise) = otherwise {
            self.fold(otherwise)?;
        }
        if whens.is_empty() {
            become_operand(expr);
        }
        Ok(())
    }

    /// NULLs go, and so does what stands behind a constant.
    fn coalesce(&self, expr: &mut Expr) -> Result<()> {
        let ExprKind::Coalesce(of) = &mut expr.kind else {
            unreachable!("the caller matched it");
        };
        let mut at = 0;
        while let Some(candidate) = of.get_mut(at) {
            self.fold(candidate)?;
            if is_null(candidate) {
                of.remove(at);
                continue;
            }
            at += 1;
            if is_constant(candidate) {
                of.truncate(at);
            }
        }
        match of.as_slice() {
            [] => become_value(expr, Datum::Null),
            [only] if is_constant(only) => become_operand(expr),
            _ => {}
        }
        Ok(())
    }
}

/// Where NULL leaves a row out as false does, it is false, and may decide.
fn without_unknown(expr: &mut Expr) {
    let (ExprKind::And(of) | ExprKind::Or(of)) = &mut expr.kind else {
        return;
    };
    of.iter_mut().for_each(without_unknown);
    let is_never = |expr: &Expr| is_constant(expr) && !is_true(expr);
    if let ExprKind::And(of) = &expr.kind {
        if of.iter().any(is_never) {
            become_value(expr, Datum::Bool(false));
        }
    } else if let ExprKind::Or(of) = &mut expr.kind {
        of.retain(|operand| !is_never(operand));
        match of.len() {
            0 => become_value(expr, Datum::Bool(false)),
            1 => become_operand(expr),
            _ => {}
        }
    }
}

fn is_constant(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Const(_))
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Const(Datum::Null))
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Const(Datum::Bool(true)))
}

fn become_value(expr: &mut Expr, value: Datum) {
    expr.kind = ExprKind::Const(value);
}

/// Makes an expression its only operand, or its first one.
fn become_operand(expr: &mut Expr) {
    let kind = std::mem::replace(&mut expr.kind, ExprKind::Const(Datum::Null));
    let operand = match kind {
        ExprKind::And(of) | ExprKind::Or(of) | ExprKind::Coalesce(of) => of.into_iter().next(),
        ExprKind::NullIf(_, left, _) => Some(*left),
        ExprKind::Case { otherwise, .. } => otherwise.map(|otherwise| *otherwise),
        other => unreachable!("{other:?} stands for none of its operands"),
    };
    // Without ELSE a CASE is NULL in the end.
    if let Some(operand) = operand {
        expr.kind = operand.kind;
    }
}

/// The operands of an AND in an AND, or of an OR in an OR.
fn nested(operand: &mut Expr, decides: bool) -> Option<Vec<Expr>> {
    match &mut operand.kind {
        ExprKind::And(of) if !decides => Some(std::mem::take(of)),
        ExprKind::Or(of) if decides => Some(std::mem::take(of)),
        _ => None,
    }
}
