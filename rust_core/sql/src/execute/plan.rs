//! How the tables of a query are joined: which conditions go where, and in which order.
//!
//! Inner joins, those of ON and of commas alike, are one set of items under one set of conditions
//! (with WHERE). A condition goes to the item whose columns are all that it reads; what remains
//! joins: an equality of two sides becomes a hash key, the rest is checked on pairs. Items are
//! joined in the order of FROM, but one that an equality connects comes before one that none does.
//!
//! A left join is one item. Conditions of ON on its right side alone go there; conditions from
//! above on its left side alone go through to it; others from above stay above.
//!
//! Conditions on the same rows are checked in the order of what they cost, those without columns
//! before all others, then in that of FROM and WHERE.
//!
//! There are no statistics here: the right side of each join is the one that is built.

use phantom_base::{Error, Map, Result, Set, sqlstate};

use super::program::{Source, is_equality, same_keys};
use crate::bound::{Expr, ExprKind, JoinKind, JoinTree, Query};

/// The most tables of a query: operators nest as deep as joins do.
const RELATIONS_MAX: usize = 500;

/// Where the rows of a query come from, before grouping.
#[derive(Debug)]
pub(super) enum Plan<'q> {
    /// One row without columns.
    OneRow,
    /// Rows of a relation under conditions on it alone.
    Scan { relation: u16, conditions: Vec<&'q Expr> },
    /// Pairs of rows.
    Join {
        kind: JoinKind,
        left: Box<Plan<'q>>,
        right: Box<Plan<'q>>,
        /// Equal sides, the left one over the left.
        keys: Vec<(&'q Expr, &'q Expr)>,
        /// What else holds of pairs.
        residual: Vec<&'q Expr>,
    },
    /// Rows under conditions.
    Filter { input: Box<Plan<'q>>, conditions: Vec<&'q Expr> },
}

/// A condition, and the relations that it reads.
#[derive(Clone, Debug)]
struct Condition<'q> {
    expr: &'q Expr,
    relations: Set<u16>,
    /// If it is an equality that keys can stand for, its sides and what each reads. Kept, for joins
    /// of hundreds of tables ask for them again and again.
    sides: Option<[(&'q Expr, Set<u16>); 2]>,
}

/// Something that is joined, not itself an inner join.
struct Item<'q> {
    tree: &'q JoinTree,
    relations: Set<u16>,
    conditions: Vec<Condition<'q>>,
}

/// The plan of FROM and WHERE.
///
/// # Errors
/// `XX000` if FROM names a relation twice or one that is not there; `54001` for too many.
pub(super) fn plan(query: &Query) -> Result<Plan<'_>> {
    check_relations(query)?;
    let (mut items, mut conditions) = (Vec::new(), Vec::new());
    for tree in &query.from {
        flatten(tree, &mut items, &mut conditions);
    }
    split(query.filter.as_ref(), &mut conditions);
    Ok(joined(items, conditions))
}

fn check_relations(query: &Query) -> Result<()> {
    let mut seen = Set::new();
    for tree in &query.from {
        let mut pending = vec![tree];
        while let Some(tree) = pending.pop() {
            match tree {
                JoinTree::Join { left, right, .. } => pending.extend([left.as_ref(), right]),
                JoinTree::Relation(relation) => {
                    let is_there = usize::from(*relation) < query.relations.len();
                    if !is_there || !seen.insert(*relation) {
                        let message = format!("FROM names relation {relation} wrongly");
                        return Err(Error::internal(message));
                    }
                }
            }
        }
    }
    if seen.len() > RELATIONS_MAX {
        let message = "too many tables in one query";
        return Err(Error::new(sqlstate::STATEMENT_TOO_COMPLEX, message)
            .with_detail(format!("A query joins at most {RELATIONS_MAX} tables.")));
    }
    Ok(())
}

/// The conditions that an AND asks for all of.
fn split<'q>(condition: Option<&'q Expr>, into: &mut Vec<Condition<'q>>) {
    let Some(expr) = condition else { return };
    if let ExprKind::And(of) = &expr.kind {
        for operand in of {
            split(Some(operand), into);
        }
        return;
    }
    into.push(Condition { expr, relations: relations_of(expr), sides: sides_of(expr) });
}

fn relations_of(expr: &Expr) -> Set<u16> {
    let sources = Source::of_all([expr]);
    let relation = |source: &Source| match source {
        Source::Column(relation, _) => Some(*relation),
        _ => None,
    };
    sources.iter().filter_map(relation).collect()
}

/// Takes inner joins apart.
fn flatten<'q>(tree: &'q JoinTree, items: &mut Vec<Item<'q>>, conditions: &mut Vec<Condition<'q>>) {
    if let JoinTree::Join { kind: JoinKind::Inner, left, right, on } = tree {
        flatten(left, items, conditions);
        flatten(right, items, conditions);
        split(on.as_ref(), conditions);
        return;
    }
    let mut relations = Set::new();
    let mut pending = vec![tree];
    while let Some(tree) = pending.pop() {
        match tree {
            JoinTree::Join { left, right, .. } => pending.extend([left.as_ref(), right]),
            JoinTree::Relation(relation) => {
                relations.insert(*relation);
            }
        }
    }
    items.push(Item { tree, relations, conditions: Vec::new() });
}

/// The inner join of all items under all conditions.
fn joined<'q>(mut items: Vec<Item<'q>>, conditions: Vec<Condition<'q>>) -> Plan<'q> {
    let mut open = Vec::new();
    for condition in conditions {
        // One that reads nothing holds of all rows or of none: the first item checks it.
        let item = items.iter_mut().find(|item| condition.relations.is_subset(&item.relations));
        match item {
            Some(item) => item.conditions.push(condition),
            None => open.push(condition),
        }
    }
    if items.is_empty() {
        return filtered(Plan::OneRow, &open);
    }
    let first = items.remove(0);
    let mut relations = first.relations.clone();
    let mut plan = planned(first);
    let mut items: Map<usize, Item<'q>> = items.into_iter().enumerate().collect();
    let home: Map<u16, usize> =
        items.iter().flat_map(|(at, item)| item.relations.iter().map(|of| (*of, *at))).collect();
    while let Some((first, _)) = items.first_key_value() {
        // Of each condition the one item that it connects, instead of all conditions for each item.
        let item_of = |side: &Set<u16>| {
            let at = home.get(side.first()?)?;
            side.is_subset(&items.get(at)?.relations).then_some(*at)
        };
        let connected = |condition: &Condition<'_>| {
            let [(_, a), (_, b)] = condition.sides.as_ref()?;
            let over = |here: &Set<u16>, there| {
                if here.is_subset(&relations) { item_of(there) } else { None }
            };
            over(a, b).or_else(|| over(b, a))
        };
        let at = open.iter().filter_map(connected).min().unwrap_or(*first);
        let item = items.remove(&at).expect("it is one of them");
        let mut both = relations.clone();
        both.extend(&item.relations);
        let (here, later): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|condition| condition.relations.is_subset(&both));
        open = later;
        let right = item.relations.clone();
        plan = join(JoinKind::Inner, (plan, &relations), (planned(item), &right), here);
        relations = both;
    }
    // What reads a relation that is not in FROM does not compile.
    filtered(plan, &open)
}

fn planned(item: Item<'_>) -> Plan<'_> {
    match item.tree {
        JoinTree::Relation(relation) => {
            Plan::Scan { relation: *relation, conditions: in_order(&item.conditions) }
        }
        JoinTree::Join { left, right, on, .. } => {
            let (mut for_left, mut for_right) = (Vec::new(), Vec::new());
            let (mut left_items, mut right_items) = (Vec::new(), Vec::new());
            flatten(left, &mut left_items, &mut for_left);
            flatten(right, &mut right_items, &mut for_right);
            let all = |items: &[Item<'_>]| -> Set<u16> {
                items.iter().flat_map(|item| item.relations.iter().copied()).collect()
            };
            let (left_relations, right_relations) = (all(&left_items), all(&right_items));
            let (through, above): (Vec<_>, Vec<_>) = item
                .conditions
                .into_iter()
                .partition(|condition| condition.relations.is_subset(&left_relations));
            for_left.extend(through);
            let mut conditions = Vec::new();
            split(on.as_ref(), &mut conditions);
            let (of_right, of_pairs): (Vec<_>, Vec<_>) = conditions
                .into_iter()
                .partition(|condition| condition.relations.is_subset(&right_relations));
            for_right.extend(of_right);
            let left = (joined(left_items, for_left), &left_relations);
            let right = (joined(right_items, for_right), &right_relations);
            filtered(join(JoinKind::Left, left, right, of_pairs), &above)
        }
    }
}

fn join<'q>(
    kind: JoinKind,
    (left, left_relations): (Plan<'q>, &Set<u16>),
    (right, right_relations): (Plan<'q>, &Set<u16>),
    conditions: Vec<Condition<'q>>,
) -> Plan<'q> {
    let (mut keys, mut residual) = (Vec::new(), Vec::new());
    for condition in conditions {
        match equated(&condition, left_relations, right_relations) {
            Some(sides) => keys.push(sides),
            None => residual.push(condition),
        }
    }
    let residual = in_order(&residual);
    Plan::Join { kind, left: Box::new(left), right: Box::new(right), keys, residual }
}

fn filtered<'q>(input: Plan<'q>, conditions: &[Condition<'q>]) -> Plan<'q> {
    if conditions.is_empty() {
        return input;
    }
    Plan::Filter { input: Box::new(input), conditions: in_order(conditions) }
}

/// Conditions in the order in which a row is put to them. It is PostgreSQL's, for it decides whether
/// a row comes to one that fails.
fn in_order<'q>(conditions: &[Condition<'q>]) -> Vec<&'q Expr> {
    let mut exprs: Vec<&Expr> = conditions.iter().map(|condition| condition.expr).collect();
    exprs.sort_by_cached_key(|expr| expr.rank());
    exprs
}

/// The two sides of an equality that keys can stand for, and the relations that each reads.
fn sides_of(expr: &Expr) -> Option<[(&Expr, Set<u16>); 2]> {
    let ExprKind::Call(procedure, sides) = &expr.kind else { return None };
    let [a, b] = sides.as_slice() else { return None };
    if !is_equality(*procedure) || !same_keys(a.ty, b.ty) {
        return None;
    }
    let sides = [a, b].map(|side| (side, relations_of(side)));
    sides.iter().all(|(_, read)| !read.is_empty()).then_some(sides)
}

/// The two sides of an equality between two sets of relations, if keys can stand for it.
fn equated<'q>(
    condition: &Condition<'q>,
    left: &Set<u16>,
    right: &Set<u16>,
) -> Option<(&'q Expr, &'q Expr)> {
    let [(a, of_a), (b, of_b)] = condition.sides.as_ref()?;
    if of_a.is_subset(left) && of_b.is_subset(right) {
        return Some((a, b));
    }
    (of_b.is_subset(left) && of_a.is_subset(right)).then_some((b, a))
}
