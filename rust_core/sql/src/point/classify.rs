//! Which statements are point plans.

use phantom_base::sync::Arc;
use phantom_types::codec::row::RowLayout;
use phantom_types::{TypeId, catalog};

use super::{KEYS_MAX, PointPlan, ROWS_MAX};
use crate::bound::{Command, Expr, ExprKind, JoinTree, Query};
use crate::catalog::Table;
use crate::execute::layout_of;

/// The point plan of a query over the tables of its range table; `None` if it is not one.
pub fn classify(query: &Arc<Query>, tables: &[Arc<Table>]) -> Option<PointPlan> {
    let plain = query.grouping.is_none()
        && !query.distinct
        && query.limit.is_none()
        && query.offset.is_none();
    if !plain {
        return None;
    }
    let made = |table: Option<&Arc<Table>>, keys| PointPlan {
        query: query.clone(),
        table: table.cloned(),
        keys,
        layout: table.map_or_else(|| RowLayout::new(&[]), |table| layout_of(table)),
    };
    match &query.command {
        Command::Insert(insert) => {
            let table = tables.first()?;
            let fits = insert.rows.len() <= ROWS_MAX;
            fits.then(|| made(Some(table), Vec::new()))
        }
        Command::Select if query.from.is_empty() => {
            query.sort.is_empty().then(|| made(None, Vec::new()))
        }
        Command::Select | Command::Update { .. } | Command::Delete => {
            let [JoinTree::Relation(0)] = query.from.as_slice() else { return None };
            let table = tables.first()?;
            // A key that changes is a second key, which is not known before the row is read.
            if let Command::Update { assignments } = &query.command
                && assignments.iter().any(|(attnum, _)| table.primary_key.contains(attnum))
            {
                return None;
            }
            let keys = keys(table, query.filter.as_ref()?)?;
            let ordered = query.sort.is_empty() || keys.len() == 1;
            ordered.then(|| made(Some(table), keys))
        }
    }
}

/// The keys that a filter confines a table to.
fn keys(table: &Table, filter: &Expr) -> Option<Vec<Vec<Expr>>> {
    if table.primary_key.is_empty() {
        return None;
    }
    let conjuncts = match &filter.kind {
        ExprKind::And(of) => of.iter().collect(),
        _ => vec![filter],
    };
    if let [attnum] = table.primary_key.as_slice()
        && let Some(values) = conjuncts.iter().find_map(|conjunct| one_of(table, *attnum, conjunct))
    {
        return Some(values.into_iter().map(|value| vec![value]).collect());
    }
    let mut key = Vec::with_capacity(table.primary_key.len());
    for attnum in &table.primary_key {
        key.push(conjuncts.iter().find_map(|conjunct| equal_to(table, *attnum, conjunct))?);
    }
    Some(vec![key])
}

/// The value that `column = value` gives a column.
fn equal_to(table: &Table, attnum: u16, conjunct: &Expr) -> Option<Expr> {
    let ExprKind::Call(procedure, sides) = &conjunct.kind else { return None };
    let [left, right] = sides.as_slice() else { return None };
    if !is_equality(*procedure) {
        return None;
    }
    if is_column(left, attnum) {
        return key_value(table, attnum, right);
    }
    is_column(right, attnum).then(|| key_value(table, attnum, left))?
}

/// The values that `column IN (..)` gives a column.
fn one_of(table: &Table, attnum: u16, conjunct: &Expr) -> Option<Vec<Expr>> {
    let ExprKind::In { equal, needle, list } = &conjunct.kind else { return None };
    if !is_equality(*equal) || !is_column(needle, attnum) || list.len() > KEYS_MAX {
        return None;
    }
    list.iter().map(|value| key_value(table, attnum, value)).collect()
}

fn is_equality(procedure: u32) -> bool {
    catalog::operators_named("=").any(|operator| operator.procedure == procedure)
}

/// A column of relation 0, by itself or under its other name (varchar as text).
fn is_column(expr: &Expr, wanted: u16) -> bool {
    match &expr.kind {
        ExprKind::Column { relation: 0, attnum } => *attnum == wanted,
        ExprKind::Relabel(of) => is_column(of, wanted),
        _ => false,
    }
}

/// A value that can be encoded as the column's key: known before any row is read, and of a type
/// whose keys are the column's.
fn key_value(table: &Table, attnum: u16, value: &Expr) -> Option<Expr> {
    let column = table.column(attnum)?.ty;
    let same = column == value.ty
        || (column.is_integer() && value.ty.is_integer())
        || (is_text(column) && is_text(value.ty));
    (same && !value.reads_columns()).then(|| value.clone())
}

fn is_text(ty: TypeId) -> bool {
    matches!(ty, TypeId::TEXT | TypeId::VARCHAR)
}
