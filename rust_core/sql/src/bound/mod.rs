//! A statement after binding: typed, without names, overloads or implicit casts.
//!
//! The binder is its only maker. It travels between nodes inside a fragment (`codec`), where
//! it is checked again, for a fragment is input. Column numbers and types are those of the
//! descriptor version that each relation names.
//!
//! In a grouped query (`Query::grouping`) everything above the grouping - targets, HAVING, sort
//! keys - refers to the groups only: by `GroupKey` and `AggregateRef`, never by `Column`.
//!
//! How deep it nests is bounded (`depth`), for whoever walks it recurses.

pub mod codec;
pub mod depth;

use phantom_types::{Datum, TypeId};

use crate::catalog::Collation;

/// The most parameters that a statement can have: the protocol counts them in 16 bits.
pub const PARAMETERS_MAX: usize = 65_535;

/// A bound statement that reads or writes rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What it does.
    pub command: Command,
    /// The range table; `Column::relation` counts into it. A write's target is relation 0.
    pub relations: Vec<Relation>,
    /// What FROM joins; several items are a cross product, none is one row without columns.
    pub from: Vec<JoinTree>,
    /// WHERE; rows for which it is not true are left out.
    pub filter: Option<Expr>,
    /// GROUP BY and aggregates; `Some` also for an aggregate without GROUP BY.
    pub grouping: Option<Grouping>,
    /// The select list, then hidden columns that only sort keys need; of a write, RETURNING.
    pub targets: Vec<Target>,
    /// SELECT DISTINCT, over the targets that are not hidden.
    pub distinct: bool,
    /// ORDER BY.
    pub sort: Vec<SortKey>,
    /// LIMIT: int8; NULL is no limit, a negative one is 2201W.
    pub limit: Option<Expr>,
    /// OFFSET: int8; NULL is 0, a negative one is 2201X.
    pub offset: Option<Expr>,
    /// The types of `$1`, `$2`, ..
    pub parameters: Vec<TypeId>,
}

/// What a query does with the rows that it finds.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Returns them.
    Select,
    /// Writes new rows into relation 0; FROM and WHERE are empty.
    Insert(Insert),
    /// Writes new versions of the rows of relation 0.
    Update {
        /// Column number and new value, over the old row, each column at most once.
        assignments: Vec<(u16, Expr)>,
    },
    /// Removes the rows of relation 0.
    Delete,
}

/// What INSERT writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// Each row: an expression for each column of the table, in its order; they use parameters but
    /// no columns.
    pub rows: Vec<Vec<Expr>>,
    /// ON CONFLICT DO NOTHING: a row whose key is there already is passed over.
    pub skip_conflicts: bool,
}

/// A table that a query uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The table's OID.
    pub table: u32,
    /// The descriptor version that it was bound to.
    pub version: u32,
}

/// How FROM items come together.
#[derive(Clone, Debug, PartialEq)]
pub enum JoinTree {
    /// All rows of a relation.
    Relation(u16),
    /// Pairs of rows for which `on` is true.
    Join {
        /// Inner or left.
        kind: JoinKind,
        /// The preserved side of a left join.
        left: Box<JoinTree>,
        /// The other side.
        right: Box<JoinTree>,
        /// ON, or what USING and NATURAL stand for; `None` is a cross join.
        on: Option<Expr>,
    },
}

/// Which rows without a partner a join keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// None.
    Inner,
    /// Those of the left side, with NULLs on the right.
    Left,
}

/// GROUP BY.
#[derive(Clone, Debug, PartialEq)]
pub struct Grouping {
    /// The keys, over columns; without keys there is exactly one group.
    pub keys: Vec<Expr>,
    /// The aggregates, over columns.
    pub aggregates: Vec<Aggregate>,
    /// HAVING, over keys and aggregates.
    pub having: Option<Expr>,
}

/// One call of an aggregate.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Its OID in `pg_proc`.
    pub procedure: u32,
    /// Its arguments, over columns; empty for `count(*)`.
    pub arguments: Vec<Expr>,
    /// Whether equal arguments count once.
    pub distinct: bool,
    /// FILTER (WHERE ..): rows for which it is not true are left out.
    pub filter: Option<Expr>,
    /// The type of its result.
    pub ty: TypeId,
}

/// One output column.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its value.
    pub expr: Expr,
    /// Its name, as PostgreSQL derives it.
    pub name: String,
    /// Whether it serves a sort key only and is not sent.
    pub hidden: bool,
    /// The table and column number that it shows unchanged; (0, 0) for anything computed.
    pub origin: (u32, u16),
}

/// One ORDER BY key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// Which target, hidden ones included.
    pub target: u16,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST; by default that is what DESC does.
    pub nulls_first: bool,
}

/// A typed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// The type of its value.
    pub ty: TypeId,
    /// The type modifier of its value; -1 is none.
    pub typmod: i32,
}

/// The forms of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A value.
    Const(Datum),
    /// A parameter, counted from 0.
    Param(u16),
    /// A column of a relation of the range table.
    Column {
        /// Index into `Query::relations`.
        relation: u16,
        /// 1-based column number.
        attnum: u16,
    },
    /// A grouping key of this query, by its index.
    GroupKey(u16),
    /// An aggregate of this query, by its index.
    AggregateRef(u16),
    /// A function or the function behind an operator or cast, by its OID in `pg_proc`.
    Call(u32, Vec<Expr>),
    /// A cast through the text form of a value: `OUT` of the source, `IN` of the target.
    CastByText(Box<Expr>),
    /// A change of the type's name alone (text and varchar).
    Relabel(Box<Expr>),
    /// COLLATE. The binder takes it out when it knows what it means for the functions above.
    Collate(Collate, Box<Expr>),
    /// True unless one is false; NULL if none is false and one is NULL.
    And(Vec<Expr>),
    /// False unless one is true; NULL if none is true and one is NULL.
    Or(Vec<Expr>),
    /// Negation.
    Not(Box<Expr>),
    /// IS NULL, IS TRUE and their like.
    Is(Test, Box<Expr>),
    /// IS DISTINCT FROM: the equality function and its two sides; never NULL.
    Distinct(u32, Box<Expr>, Box<Expr>),
    /// The first WHEN that is true decides, else ELSE, else NULL.
    Case {
        /// Conditions and their values.
        whens: Vec<(Expr, Expr)>,
        /// ELSE.
        otherwise: Option<Box<Expr>>,
    },
    /// The first that is not NULL.
    Coalesce(Vec<Expr>),
    /// NULL if the equality function says true of both, else the first.
    NullIf(u32, Box<Expr>, Box<Expr>),
    /// GREATEST or LEAST of what is not NULL; the function is the type's `<`.
    Extreme {
        /// GREATEST, not LEAST.
        greatest: bool,
        /// Its candidates, all of one type.
        of: Vec<Expr>,
    },
    /// `needle IN (..)`: the equality function, and candidates of the needle's type or of one that
    /// the function compares it with.
    In {
        /// The equality function.
        equal: u32,
        /// What is looked for.
        needle: Box<Expr>,
        /// Where.
        list: Vec<Expr>,
    },
    /// One after the other, never empty; the value is that of the last. `depth` makes them of long
    /// chains of operators, which as trees would be as deep as they are long.
    Steps(Vec<Expr>),
    /// The value of the step before, which each of `Steps` but the first reads once.
    Previous,
}

/// What COLLATE says.
#[derive(Clone, Copy, Debug)]
pub struct Collate {
    /// The collation.
    pub collation: Collation,
    /// Where it stands, in bytes of the text; `None` if it is not written there, and not explicit.
    pub location: Option<i32>,
}

impl PartialEq for Collate {
    /// Equal expressions are equal wherever they stand.
    fn eq(&self, other: &Self) -> bool {
        (self.collation, self.location.is_some()) == (other.collation, other.location.is_some())
    }
}

/// What IS asks. The negated forms are `Not` of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// IS NULL.
    Null,
    /// IS TRUE.
    True,
    /// IS FALSE.
    False,
    /// IS UNKNOWN.
    Unknown,
}

impl Expr {
    /// A constant.
    pub fn constant(value: Datum, ty: TypeId) -> Self {
        Self { kind: ExprKind::Const(value), ty, typmod: -1 }
    }

    /// A condition.
    pub fn condition(kind: ExprKind) -> Self {
        Self { kind, ty: TypeId::BOOL, typmod: -1 }
    }

    /// Calls `visit` for each direct operand.
    pub fn for_each_operand<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match &self.kind {
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
            | ExprKind::Extreme { of, .. } => of.iter().for_each(visit),
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
                list.iter().for_each(visit);
            }
        }
    }

    /// Whether this or any operand satisfies `is`.
    pub fn any(&self, is: &mut dyn FnMut(&Expr) -> bool) -> bool {
        if is(self) {
            return true;
        }
        let mut found = false;
        self.for_each_operand(&mut |operand| found = found || operand.any(is));
        found
    }

    /// How many expressions it is made of, itself included.
    pub fn size(&self) -> usize {
        let mut size = 1;
        self.for_each_operand(&mut |operand| size += operand.size());
        size
    }

    /// Where it stands among the conditions of a row: those that no column decides come first, then
    /// the cheap ones.
    pub fn rank(&self) -> (bool, usize) {
        (self.reads_columns(), self.calls())
    }

    /// What evaluating it costs, in calls, as PostgreSQL estimates it.
    fn calls(&self) -> usize {
        let mut of_operands = 0;
        self.for_each_operand(&mut |operand| of_operands += operand.calls());
        let own = match &self.kind {
            ExprKind::Call(..)
            | ExprKind::Distinct(..)
            | ExprKind::NullIf(..)
            | ExprKind::Extreme { .. } => 1,
            ExprKind::CastByText(_) => 2,
            ExprKind::In { list, .. } => list.len().div_ceil(2),
            _ => 0,
        };
        own + of_operands
    }

    /// Whether it reads a column of some relation.
    pub fn reads_columns(&self) -> bool {
        self.any(&mut |expr| matches!(expr.kind, ExprKind::Column { .. }))
    }
}

impl Query {
    /// Calls `visit` for each expression, not for their operands.
    pub fn for_each_expr<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match &self.command {
            Command::Select | Command::Delete => {}
            Command::Insert(insert) => insert.rows.iter().flatten().for_each(&mut *visit),
            Command::Update { assignments } => {
                for (_, value) in assignments {
                    visit(value);
                }
            }
        }
        let mut pending: Vec<&JoinTree> = self.from.iter().collect();
        while let Some(tree) = pending.pop() {
            if let JoinTree::Join { left, right, on, .. } = tree {
                pending.extend([left.as_ref(), right]);
                on.iter().for_each(&mut *visit);
            }
        }
        if let Some(grouping) = &self.grouping {
            grouping.keys.iter().chain(&grouping.having).for_each(&mut *visit);
            for aggregate in &grouping.aggregates {
                aggregate.arguments.iter().chain(&aggregate.filter).for_each(&mut *visit);
            }
        }
        self.targets.iter().for_each(|target| visit(&target.expr));
        self.filter.iter().chain(&self.limit).chain(&self.offset).for_each(visit);
    }

    /// Calls `visit` for each expression, to change it.
    pub fn for_each_expr_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        match &mut self.command {
            Command::Select | Command::Delete => {}
            Command::Insert(insert) => insert.rows.iter_mut().flatten().for_each(&mut *visit),
            Command::Update { assignments } => {
                for (_, value) in assignments {
                    visit(value);
                }
            }
        }
        let mut pending: Vec<&mut JoinTree> = self.from.iter_mut().collect();
        while let Some(tree) = pending.pop() {
            if let JoinTree::Join { left, right, on, .. } = tree {
                pending.extend([left.as_mut(), right]);
                on.iter_mut().for_each(&mut *visit);
            }
        }
        if let Some(grouping) = &mut self.grouping {
            grouping.keys.iter_mut().chain(&mut grouping.having).for_each(&mut *visit);
            for aggregate in &mut grouping.aggregates {
                aggregate.arguments.iter_mut().chain(&mut aggregate.filter).for_each(&mut *visit);
            }
        }
        self.targets.iter_mut().for_each(|target| visit(&mut target.expr));
        self.filter.iter_mut().chain(&mut self.limit).chain(&mut self.offset).for_each(visit);
    }

    /// The targets that are sent.
    pub fn visible_targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(|target| !target.hidden)
    }

    /// Whether it writes.
    pub fn is_write(&self) -> bool {
        !matches!(self.command, Command::Select)
    }
}
