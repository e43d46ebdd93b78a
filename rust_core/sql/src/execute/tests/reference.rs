//! What a SELECT returns, by its definition: nested loops, one row at a time, by `scalar`.

use std::cmp::Ordering;

use phantom_agg::States;
use phantom_base::Result;
use phantom_types::Datum;

use super::{Database, eval};
use crate::bound::{Aggregate, Expr, ExprKind, Grouping, JoinKind, JoinTree, Query};
use crate::execute::layout_of;
use crate::execute::scalar::{Columns, Scope};
use crate::statement::Planned;

/// A row of each relation that has been joined; a relation that a left join left out is `None`.
#[derive(Clone)]
struct Joined(Vec<Option<Vec<Datum>>>);

impl Columns for Joined {
    fn column(&self, relation: u16, attnum: u16) -> Result<Datum> {
        let row = self.0[usize::from(relation)].as_ref();
        Ok(row.map_or(Datum::Null, |row| row[usize::from(attnum) - 1].clone()))
    }
}

/// The visible columns of a SELECT.
pub(super) fn select(database: &Database, planned: &Planned) -> Result<Vec<Vec<Datum>>> {
    let (query, eval) = (&*planned.query, eval());
    let scope = Scope::new(&[], &eval);
    let mut rows = vec![Joined(vec![None; query.relations.len()])];
    for tree in &query.from {
        rows = join(database, planned, scope, tree, rows)?;
    }
    if let Some(filter) = &query.filter {
        rows = keep(scope, filter, rows)?;
    }
    let mut out = match &query.grouping {
        None => rows.iter().map(|row| targets(query, scope, row, &[])).collect::<Result<_>>()?,
        Some(grouping) => groups(query, scope, grouping, &rows)?,
    };
    let visible: Vec<usize> =
        (0..query.targets.len()).filter(|at| !query.targets[*at].hidden).collect();
    if query.distinct {
        let mut kept: Vec<Vec<Datum>> = Vec::new();
        for row in out {
            if !kept.iter().any(|other| visible.iter().all(|at| same(&row[*at], &other[*at]))) {
                kept.push(row);
            }
        }
        out = kept;
    }
    out.sort_by(|a, b| order(query, a, b));
    let offset = count(query.offset.as_ref(), scope)?.unwrap_or(0);
    let limit = count(query.limit.as_ref(), scope)?.unwrap_or(usize::MAX);
    let shown = |row: Vec<Datum>| visible.iter().map(|at| row[*at].clone()).collect();
    Ok(out.into_iter().skip(offset).take(limit).map(shown).collect())
}

fn same(a: &Datum, b: &Datum) -> bool {
    a.compare(b).is_eq()
}

fn count(expr: Option<&Expr>, scope: Scope<'_>) -> Result<Option<usize>> {
    let Some(expr) = expr else { return Ok(None) };
    let value = scope.value(expr, &Joined(Vec::new()))?;
    Ok(value.as_i64().map(|value| usize::try_from(value).unwrap()))
}

fn keep(scope: Scope<'_>, condition: &Expr, rows: Vec<Joined>) -> Result<Vec<Joined>> {
    let mut kept = Vec::new();
    for row in rows {
        if scope.is_true(condition, &row)? {
            kept.push(row);
        }
    }
    Ok(kept)
}

/// Each of `rows` with the rows of a tree.
fn join(
    database: &Database,
    planned: &Planned,
    scope: Scope<'_>,
    tree: &JoinTree,
    rows: Vec<Joined>,
) -> Result<Vec<Joined>> {
    let mut out = Vec::new();
    match tree {
        JoinTree::Relation(relation) => {
            let table = &planned.tables[usize::from(*relation)];
            let layout = layout_of(table);
            for row in rows {
                for stored in database.rows[&table.oid].values() {
                    let mut joined = row.clone();
                    let values = layout.open(&stored.bytes)?.values(&[])?;
                    joined.0[usize::from(*relation)] = Some(values);
                    out.push(joined);
                }
            }
        }
        JoinTree::Join { kind, left, right, on } => {
            for row in join(database, planned, scope, left, rows)? {
                let mut pairs = join(database, planned, scope, right, vec![row.clone()])?;
                if let Some(on) = on {
                    pairs = keep(scope, on, pairs)?;
                }
                if pairs.is_empty() && *kind == JoinKind::Left {
                    pairs.push(row);
                }
                out.extend(pairs);
            }
        }
    }
    Ok(out)
}

fn targets(
    query: &Query,
    scope: Scope<'_>,
    row: &Joined,
    group: &[Vec<Datum>],
) -> Result<Vec<Datum>> {
    let value = |expr: &Expr| scope.value(&over_group(expr, group), row);
    query.targets.iter().map(|target| value(&target.expr)).collect()
}

fn groups(
    query: &Query,
    scope: Scope<'_>,
    grouping: &Grouping,
    rows: &[Joined],
) -> Result<Vec<Vec<Datum>>> {
    let mut groups: Vec<(Vec<Datum>, Vec<Joined>)> = Vec::new();
    if grouping.keys.is_empty() {
        groups.push((Vec::new(), Vec::new()));
    }
    for row in rows {
        let key: Vec<Datum> =
            grouping.keys.iter().map(|key| scope.value(key, row)).collect::<Result<_>>()?;
        let is_same = |group: &&mut (Vec<Datum>, Vec<Joined>)| {
            group.0.iter().zip(&key).all(|(a, b)| same(a, b))
        };
        match groups.iter_mut().find(is_same) {
            Some(group) => group.1.push(row.clone()),
            None => groups.push((key, vec![row.clone()])),
        }
    }
    let (mut out, none) = (Vec::new(), Joined(Vec::new()));
    for (key, rows) in groups {
        let values = grouping.aggregates.iter().map(|of| aggregate(of, scope, &rows));
        let group = [key, values.collect::<Result<_>>()?];
        let is_kept = match &grouping.having {
            None => true,
            Some(having) => scope.is_true(&over_group(having, &group), &none)?,
        };
        if is_kept {
            out.push(targets(query, scope, &none, &group)?);
        }
    }
    Ok(out)
}

fn aggregate(aggregate: &Aggregate, scope: Scope<'_>, rows: &[Joined]) -> Result<Datum> {
    let mut states = States::new(phantom_agg::aggregate(aggregate.procedure).unwrap());
    states.grow(1);
    let mut seen: Vec<Datum> = Vec::new();
    for row in rows {
        if let Some(filter) = &aggregate.filter
            && !scope.is_true(filter, row)?
        {
            continue;
        }
        let value = match aggregate.arguments.first() {
            None => Datum::Null,
            Some(argument) => scope.value(argument, row)?,
        };
        if aggregate.distinct && seen.iter().any(|other| same(other, &value)) {
            continue;
        }
        states.accumulate_value(0, &value)?;
        seen.push(value);
    }
    states.finish(0)
}

/// The expression with a group's keys and aggregates as constants.
fn over_group(expr: &Expr, group: &[Vec<Datum>]) -> Expr {
    let over = |expr: &Expr| over_group(expr, group);
    let boxed = |expr: &Expr| Box::new(over_group(expr, group));
    let all = |of: &[Expr]| of.iter().map(over).collect::<Vec<Expr>>();
    let kind = match &expr.kind {
        ExprKind::GroupKey(at) => ExprKind::Const(group[0][usize::from(*at)].clone()),
        ExprKind::AggregateRef(at) => ExprKind::Const(group[1][usize::from(*at)].clone()),
        ExprKind::Const(_) | ExprKind::Param(_) | ExprKind::Column { .. } | ExprKind::Previous => {
            expr.kind.clone()
        }
        ExprKind::Steps(of) => ExprKind::Steps(all(of)),
        ExprKind::Call(oid, of) => ExprKind::Call(*oid, all(of)),
        ExprKind::CastByText(of) => ExprKind::CastByText(boxed(of)),
        ExprKind::Relabel(of) => ExprKind::Relabel(boxed(of)),
        ExprKind::Collate(collate, of) => ExprKind::Collate(*collate, boxed(of)),
        ExprKind::And(of) => ExprKind::And(all(of)),
        ExprKind::Or(of) => ExprKind::Or(all(of)),
        ExprKind::Not(of) => ExprKind::Not(boxed(of)),
        ExprKind::Is(test, of) => ExprKind::Is(*test, boxed(of)),
        ExprKind::Distinct(equal, a, b) => ExprKind::Distinct(*equal, boxed(a), boxed(b)),
        ExprKind::NullIf(equal, a, b) => ExprKind::NullIf(*equal, boxed(a), boxed(b)),
        ExprKind::Case { whens, otherwise } => ExprKind::Case {
            whens: whens.iter().map(|(when, then)| (over(when), over(then))).collect(),
            otherwise: otherwise.as_deref().map(boxed),
        },
        ExprKind::Coalesce(of) => ExprKind::Coalesce(all(of)),
        ExprKind::Extreme { greatest, of } => {
            ExprKind::Extreme { greatest: *greatest, of: all(of) }
        }
        ExprKind::In { equal, needle, list } => {
            ExprKind::In { equal: *equal, needle: boxed(needle), list: all(list) }
        }
    };
    Expr { kind, ..expr.clone() }
}

fn order(query: &Query, a: &[Datum], b: &[Datum]) -> Ordering {
    for key in &query.sort {
        let (a, b) = (&a[usize::from(key.target)], &b[usize::from(key.target)]);
        let order = match (a.is_null(), b.is_null()) {
            (false, false) if key.descending => b.compare(a),
            (false, false) => a.compare(b),
            (a, b) if key.nulls_first => b.cmp(&a),
            (a, b) => a.cmp(&b),
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}
