//! What the columns of a batch between two operators stand for.

use phantom_base::{Error, Map, Result, Set};
use phantom_types::TypeId;

use crate::bound::{Expr, ExprKind};

/// What a column of a batch shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::execute) enum Source {
    /// A column of a relation, by its 1-based number.
    Column(u16, u16),
    /// A key of the grouping.
    GroupKey(u16),
    /// An aggregate of the grouping.
    Aggregate(u16),
}

impl Source {
    /// What an expression reads directly.
    pub fn of(expr: &Expr) -> Option<Self> {
        match expr.kind {
            ExprKind::Column { relation, attnum } => Some(Self::Column(relation, attnum)),
            ExprKind::GroupKey(at) => Some(Self::GroupKey(at)),
            ExprKind::AggregateRef(at) => Some(Self::Aggregate(at)),
            _ => None,
        }
    }

    /// All that some expressions read.
    pub fn of_all<'e>(exprs: impl IntoIterator<Item = &'e Expr>) -> Set<Self> {
        let mut sources = Set::new();
        for expr in exprs {
            Self::collect(expr, &mut sources);
        }
        sources
    }

    fn collect(expr: &Expr, into: &mut Set<Self>) {
        if let Some(source) = Self::of(expr) {
            into.insert(source);
        }
        expr.for_each_operand(&mut |operand| Self::collect(operand, into));
    }
}

/// The columns of a batch, in order.
#[derive(Clone, Debug, Default)]
pub(in crate::execute) struct Shape {
    types: Vec<TypeId>,
    places: Map<Source, usize>,
}

impl Shape {
    /// Appends a column.
    pub fn push(&mut self, source: Source, ty: TypeId) {
        let known = self.places.insert(source, self.types.len());
        assert!(known.is_none(), "{source:?} is in the shape once");
        self.types.push(ty);
    }

    /// The columns' types.
    pub fn types(&self) -> &[TypeId] {
        &self.types
    }

    /// Where a source is, and its type.
    ///
    /// # Errors
    /// `XX000` for one that is not there: the query names a column that its FROM lacks.
    pub fn find(&self, source: Source) -> Result<(usize, TypeId)> {
        let at = self.places.get(&source).copied();
        at.and_then(|at| Some((at, *self.types.get(at)?)))
            .ok_or_else(|| Error::internal(format!("{source:?} is read where it is not")))
    }
}
