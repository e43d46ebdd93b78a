//! Which keys a scan must look at, given its conditions.
//!
//! Equalities on the first columns of the primary key are a prefix. If they are the whole key, or
//! IN gives the values of its last column, the rows are looked up key by key; else comparisons of
//! the next column bound the range. Values must be known before any row is read, and their keys
//! must be the column's. The conditions themselves are evaluated all the same.

use phantom_types::{Datum, catalog, codec};

use crate::bound::{Expr, ExprKind};
use crate::catalog::Table;
use crate::execute::program::{Compiler, Shape, is_equality, same_keys};

/// What a scan reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::execute) enum Access {
    /// The rows of these keys, in key order, each once.
    Keys(Vec<Vec<u8>>),
    /// All rows from `start`, included, to `end`, not included.
    Range {
        /// `None` is from the first.
        start: Option<Vec<u8>>,
        /// `None` is to the last.
        end: Option<Vec<u8>>,
    },
}

impl Access {
    fn nothing() -> Self {
        Self::Keys(Vec::new())
    }
}

/// A comparison of a column with a value, the column on the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Comparison {
    fn of(procedure: u32) -> Option<Self> {
        let named =
            |name| catalog::operators_named(name).any(|operator| operator.procedure == procedure);
        let all = [
            ("=", Self::Equal),
            ("<", Self::Less),
            ("<=", Self::LessOrEqual),
            (">", Self::Greater),
            (">=", Self::GreaterOrEqual),
        ];
        all.into_iter().find(|(name, _)| named(name)).map(|(_, comparison)| comparison)
    }

    fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Equal => Self::Equal,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Greater => Self::Less,
        }
    }
}

/// What a scan of `relation` under `conditions`, which compiled, has to read.
pub(in crate::execute) fn access(
    table: &Table,
    relation: u16,
    conditions: &[&Expr],
    compiler: &Compiler<'_>,
) -> Access {
    let finder = Finder { table, relation, conditions, compiler };
    let mut prefix = Vec::new();
    for (at, attnum) in table.primary_key.iter().enumerate() {
        if let Some(value) = finder.equal_to(*attnum) {
            if value.is_null() {
                return Access::nothing();
            }
            codec::key::encode_column(&value, &mut prefix);
            continue;
        }
        let is_last = at + 1 == table.primary_key.len();
        if is_last && let Some(values) = finder.one_of(*attnum) {
            return Access::Keys(keys_under(&prefix, &values));
        }
        return finder.bounded(*attnum, &prefix);
    }
    if table.primary_key.is_empty() {
        return Access::Range { start: None, end: None };
    }
    Access::Keys(vec![prefix])
}

fn keys_under(prefix: &[u8], values: &[Datum]) -> Vec<Vec<u8>> {
    let key = |value: &Datum| {
        let mut key = prefix.to_vec();
        codec::key::encode_column(value, &mut key);
        key
    };
    // Nothing equals NULL.
    let mut keys: Vec<Vec<u8>> = values.iter().filter(|value| !value.is_null()).map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

struct Finder<'a> {
    table: &'a Table,
    relation: u16,
    conditions: &'a [&'a Expr],
    compiler: &'a Compiler<'a>,
}

impl Finder<'_> {
    /// The value that `column = value` gives.
    fn equal_to(&self, attnum: u16) -> Option<Datum> {
        self.conditions.iter().find_map(|condition| {
            let (comparison, value) = self.compared(attnum, condition)?;
            if comparison == Comparison::Equal { self.known(attnum, value) } else { None }
        })
    }

    /// The values that `column IN (..)` gives.
    fn one_of(&self, attnum: u16) -> Option<Vec<Datum>> {
        self.conditions.iter().find_map(|condition| {
            let ExprKind::In { equal, needle, list } = &condition.kind else { return None };
            if !is_equality(*equal) || !self.is_column(needle, attnum) {
                return None;
            }
            list.iter().map(|value| self.known(attnum, value)).collect()
        })
    }

    /// The keys that begin with `prefix` and whose next column is within all its bounds.
    fn bounded(&self, attnum: u16, prefix: &[u8]) -> Access {
        let mut end = codec::key::after_prefix(prefix);
        let mut start = prefix.to_vec();
        for condition in self.conditions {
            let Some((comparison, value)) = self.compared(attnum, condition) else { continue };
            let Some(value) = self.known(attnum, value) else { continue };
            if value.is_null() {
                return Access::nothing();
            }
            let mut bound = prefix.to_vec();
            codec::key::encode_column(&value, &mut bound);
            match comparison {
                Comparison::Equal => {}
                Comparison::GreaterOrEqual => start = start.max(bound),
                Comparison::Greater => match codec::key::after_prefix(&bound) {
                    Some(after) => start = start.max(after),
                    None => return Access::nothing(),
                },
                Comparison::Less => end = earlier(end, Some(bound)),
                Comparison::LessOrEqual => end = earlier(end, codec::key::after_prefix(&bound)),
            }
        }
        if end.as_ref().is_some_and(|end| *end <= start) {
            return Access::nothing();
        }
        Access::Range { start: (!start.is_empty()).then_some(start), end }
    }

    /// A comparison of the column with something.
    fn compared<'e>(&self, attnum: u16, condition: &'e Expr) -> Option<(Comparison, &'e Expr)> {
        let ExprKind::Call(procedure, sides) = &condition.kind else { return None };
        let [left, right] = sides.as_slice() else { return None };
        if self.is_column(left, attnum) {
            return Some((Comparison::of(*procedure)?, right));
        }
        self.is_column(right, attnum).then_some(())?;
        Some((Comparison::of(*procedure)?.turned(), left))
    }

    /// The column, by itself or under its other name (varchar as text).
    fn is_column(&self, expr: &Expr, attnum: u16) -> bool {
        match &expr.kind {
            ExprKind::Relabel(of) => self.is_column(of, attnum),
            ExprKind::Column { relation, attnum: read } => {
                (*relation, *read) == (self.relation, attnum)
            }
            _ => false,
        }
    }

    /// A value that is known before any row is read and whose key is the column's.
    fn known(&self, attnum: u16, value: &Expr) -> Option<Datum> {
        let column = self.table.column(attnum)?;
        if !same_keys(column.ty, value.ty) {
            return None;
        }
        // Over no columns: what reads one does not compile.
        self.compiler.compile(value, &Shape::default()).ok()?.constant().cloned()
    }
}

/// The earlier of two ends; `None` is no end.
fn earlier(a: Option<Vec<u8>>, b: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
