//! How deep a bound query may nest.
//!
//! Binding, encoding, decoding, compiling, evaluating, cloning and dropping a query recurse, and a
//! thread that runs out of stack takes its node along. The text's own bound (`parse::guard`) is made
//! for the parse pool, whose stacks are large. Everybody else walks what this lets through: at most
//! `DEPTH_MAX` levels, here for what was bound, in `codec` for what a peer sent.
//!
//! What people write long is not deep: AND, OR and IN are lists already, and a chain of operators that
//! nest to the left, `a + b + c ..`, becomes a list of steps (`ExprKind::Steps`) when it is longer than
//! `CHAIN_MIN`. Shorter ones stay trees. Conditions that planners look for (AND, comparisons) end
//! a chain, so that they find them.

use phantom_base::Result;
use phantom_types::TypeId;

use super::{Command, Expr, ExprKind, JoinTree, Query};
use crate::parse;

/// The deepest query that leaves the parse pool. A level takes up to 1 KiB of stack where little is
/// optimised, and the thread of a node has the process's own stack, of 8 MiB as a rule.
pub const DEPTH_MAX: usize = 1_000;

/// The stack of a thread that walks bound queries, in bytes: many times what `DEPTH_MAX` takes, for
/// operators of joins nest too.
pub const STACK_BYTES: usize = 16 << 20;

/// The longest chain that stays a tree.
const CHAIN_MIN: usize = 32;

/// Makes long chains flat, and refuses what is too deep even so. It recurses itself no deeper than
/// that.
///
/// # Errors
/// `54001` past `DEPTH_MAX`.
pub fn bound(query: &mut Query) -> Result<()> {
    match &mut query.command {
        Command::Select | Command::Delete => {}
        Command::Insert(insert) => each(insert.rows.iter_mut().flatten(), 0)?,
        Command::Update { assignments } => {
            each(assignments.iter_mut().map(|(_, value)| value), 0)?;
        }
    }
    for tree in &mut query.from {
        join(tree, 0)?;
    }
    if let Some(grouping) = &mut query.grouping {
        each(&mut grouping.keys, 0)?;
        for aggregate in &mut grouping.aggregates {
            each(aggregate.arguments.iter_mut().chain(&mut aggregate.filter), 0)?;
        }
        each(&mut grouping.having, 0)?;
    }
    each(query.targets.iter_mut().map(|target| &mut target.expr), 0)?;
    each(query.filter.iter_mut().chain(&mut query.limit).chain(&mut query.offset), 0)
}

fn each<'e>(exprs: impl IntoIterator<Item = &'e mut Expr>, depth: usize) -> Result<()> {
    exprs.into_iter().try_for_each(|expr| flatten(expr, depth + 1, CHAIN_MIN))
}

fn join(tree: &mut JoinTree, above: usize) -> Result<()> {
    let depth = above + 1;
    check(depth)?;
    match tree {
        JoinTree::Relation(_) => Ok(()),
        JoinTree::Join { left, right, on, .. } => {
            join(left, depth)?;
            join(right, depth)?;
            each(on, depth)
        }
    }
}

fn check(depth: usize) -> Result<()> {
    if depth <= DEPTH_MAX {
        return Ok(());
    }
    Err(parse::too_complex("The statement nests", DEPTH_MAX))
}

/// Makes chains of more than `chain_min` operators flat, in all of an expression at some depth.
pub(crate) fn flatten(expr: &mut Expr, depth: usize, chain_min: usize) -> Result<()> {
    check(depth)?;
    let mut length = 0;
    let mut end = &*expr;
    while let Some(of) = chained(end) {
        (length, end) = (length + 1, of);
    }
    if length > chain_min {
        take_apart(expr);
    }
    let mut result = Ok(());
    expr.for_each_operand_mut(&mut |operand| {
        if result.is_ok() {
            result = flatten(operand, depth + 1, chain_min);
        }
    });
    result
}

/// Makes the chain that an expression is into steps.
fn take_apart(expr: &mut Expr) {
    let (ty, typmod) = (expr.ty, expr.typmod);
    let previous = |ty, typmod| Expr { kind: ExprKind::Previous, ty, typmod };
    let mut rest = std::mem::replace(expr, previous(ty, typmod));
    let mut steps = Vec::new();
    while let Some(of) = chained_mut(&mut rest) {
        let stand_in = previous(of.ty, of.typmod);
        let below = std::mem::replace(of, stand_in);
        steps.push(std::mem::replace(&mut rest, below));
    }
    steps.push(rest);
    steps.reverse();
    expr.kind = ExprKind::Steps(steps);
}

/// The operand on which an expression is the next operator of a chain.
fn chained(expr: &Expr) -> Option<&Expr> {
    let of = match &expr.kind {
        ExprKind::Call(_, of) if expr.ty != TypeId::BOOL => of.first()?,
        ExprKind::CastByText(of)
        | ExprKind::Relabel(of)
        | ExprKind::Not(of)
        | ExprKind::Is(_, of) => of,
        _ => return None,
    };
    (of.kind != ExprKind::Previous).then_some(of)
}

fn chained_mut(expr: &mut Expr) -> Option<&mut Expr> {
    chained(expr)?;
    match &mut expr.kind {
        ExprKind::Call(_, of) => of.first_mut(),
        ExprKind::CastByText(of)
        | ExprKind::Relabel(of)
        | ExprKind::Not(of)
        | ExprKind::Is(_, of) => Some(of),
        _ => None,
    }
}

impl Expr {
    /// Calls `visit` for each direct operand.
    pub(crate) fn for_each_operand_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        match &mut self.kind {
            ExprKind::Const(_)
            | ExprKind::Param(_)
            | ExprKind::Column { .. }
            | ExprKind::GroupKey(_)
            | ExprKind::AggregateRef(_)
            | ExprKind::Previous => {}
            ExprKind::Call(_, of)
            | ExprKind::And(of)
            | ExprKind::Or(of)
            | ExprKind::Coalesce(of)
            | ExprKind::Steps(of)
            | ExprKind::Extreme { of, .. } => of.iter_mut().for_each(visit),
            ExprKind::CastByText(of)
            | ExprKind::Relabel(of)
            | ExprKind::Collate(_, of)
            | ExprKind::Not(of)
            | ExprKind::Is(_, of) => visit(of),
            ExprKind::Distinct(_, left, right) | ExprKind::NullIf(_, left, right) => {
                visit(left);
                visit(right);
            }
            ExprKind::Case { whens, otherwise } => {
                for (condition, value) in whens {
                    visit(condition);
                    visit(value);
                }
                if let Some(otherwise) = otherwise {
                    visit(otherwise);
                }
            }
            ExprKind::In { needle, list, .. } => {
                visit(needle);
                list.iter_mut().for_each(visit);
            }
        }
    }
}
