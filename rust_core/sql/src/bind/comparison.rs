//! Comparisons that the grammar has words for: IN, BETWEEN, IS DISTINCT FROM, and equality of two.
//!
//! An operand that stands in several comparisons is bound once. A parameter among them has in each the
//! type that is known by then, as if it were written there.

use pg_query::protobuf::node::Node;
use pg_query::protobuf::{self, AExprKind};
use phantom_base::Result;
use phantom_types::{NO_TYPMOD, TypeId};

use super::coerce::{Context, can_coerce};
use super::expression::{is_null_test, not};
use super::{Binder, inner, words};
use crate::bound::{Expr, ExprKind};

impl Binder<'_> {
    pub(super) fn distinct(&mut self, expr: &protobuf::AExpr) -> Result<Expr> {
        let negated = expr.kind() == AExprKind::AexprNotDistinct;
        let sides = [expr.lexpr.as_deref(), expr.rexpr.as_deref()];
        let is_null = |side| matches!(inner(side), Some(Node::AConst(constant)) if constant.isnull);
        // Beside a NULL that is written there it is IS NOT NULL, and no type is asked for.
        let other = match sides {
            [other, null] | [null, other] if is_null(null) => other,
            _ => {
                let (equal, left, right) = self.equality(expr)?;
                let distinct = ExprKind::Distinct(equal, Box::new(left), Box::new(right));
                let distinct = Expr::condition(distinct);
                return Ok(if negated { not(distinct) } else { distinct });
            }
        };
        let value = self.child(other)?;
        let is_null = is_null_test(value);
        Ok(if negated { is_null } else { not(is_null) })
    }

    /// The equality function of two operands, and the operands as it takes them.
    pub(super) fn equality(&mut self, expr: &protobuf::AExpr) -> Result<(u32, Expr, Expr)> {
        let left = self.child(expr.lexpr.as_deref())?;
        let right = self.child(expr.rexpr.as_deref())?;
        self.equal(left, right, expr.location)
    }

    fn equal(&mut self, left: Expr, right: Expr, location: i32) -> Result<(u32, Expr, Expr)> {
        let bound = self.resolve_binary("=", left, right, location)?;
        Ok((bound.procedure, bound.left, bound.right))
    }

    pub(super) fn in_list(&mut self, expr: &protobuf::AExpr, negated: bool) -> Result<Expr> {
        let Some(Node::List(list)) = inner(expr.rexpr.as_deref()) else {
            return Err(self.unsupported(expr.location, "IN with a subquery"));
        };
        let needle = self.child(expr.lexpr.as_deref())?;
        let mut bound = Vec::with_capacity(list.items.len());
        for item in &list.items {
            bound.push(self.child(Some(item))?);
        }
        // Several values without columns are one set; all else is compared one by one.
        let is_value = |expr: &Expr| !self.reads_columns(expr);
        let mut conditions = Vec::with_capacity(bound.len());
        let mut needle = needle;
        if let Some(common) = self.type_of_set(&needle, bound.iter().filter(|e| is_value(e))) {
            let (values, others) = bound.into_iter().partition(is_value);
            conditions.push(self.in_set(&needle, values, (common, negated), expr.location)?);
            needle = self.again(&needle)?;
            bound = others;
        }
        let name = if negated { "<>" } else { "=" };
        for other in bound {
            let needle = self.copy(&needle)?;
            conditions.push(self.binary_operator(name, needle, other, expr.location)?);
        }
        Ok(match conditions.len() {
            1 => conditions.pop().expect("one"),
            _ if negated => Expr::condition(ExprKind::And(conditions)),
            _ => Expr::condition(ExprKind::Or(conditions)),
        })
    }

    /// The type of a set of several values that a needle is looked for in, if they come to one.
    fn type_of_set<'e>(
        &self,
        needle: &'e Expr,
        values: impl Iterator<Item = &'e Expr>,
    ) -> Option<TypeId> {
        let all: Vec<(&Expr, i32)> =
            std::iter::once(needle).chain(values).map(|value| (value, -1)).collect();
        if all.len() <= 2 {
            return None;
        }
        let common = self.common_type(&all, "IN").ok()?;
        let takes = |(value, _): &(&Expr, i32)| can_coerce(value.ty, common, Context::Implicit);
        all.iter().all(takes).then_some(common)
    }

    /// Whether an expression reads columns, aggregates' arguments included.
    fn reads_columns(&self, expr: &Expr) -> bool {
        expr.any(&mut |expr| match expr.kind {
            ExprKind::Column { .. } => true,
            ExprKind::AggregateRef(at) => {
                let aggregate = self.aggregates.get(usize::from(at));
                aggregate.is_some_and(|aggregate| {
                    let mut read = aggregate.arguments.iter().chain(&aggregate.filter);
                    read.any(Expr::reads_columns)
                })
            }
            _ => false,
        })
    }

    fn in_set(
        &mut self,
        needle: &Expr,
        values: Vec<Expr>,
        (common, negated): (TypeId, bool),
        location: i32,
    ) -> Result<Expr> {
        let mut list = Vec::with_capacity(values.len());
        for value in values {
            list.push(self.coerce(value, common, NO_TYPMOD, Context::Implicit, location)?);
        }
        let stand_in = list.first().cloned().expect("values are not empty");
        let mut needle = needle.clone();
        if negated {
            // What compares is the opposite of equality, but an error names what was asked for.
            self.resolve_binary("<>", needle.clone(), stand_in.clone(), location)?;
            needle = self.again(&needle)?;
        }
        let bound = self.resolve_binary("=", needle, stand_in, location)?;
        let wanted = bound.right.ty;
        let mut coerced = Vec::with_capacity(list.len());
        for value in list {
            coerced.push(self.coerce(value, wanted, NO_TYPMOD, Context::Implicit, location)?);
        }
        let found = Expr::condition(ExprKind::In {
            equal: bound.procedure,
            needle: Box::new(bound.left),
            list: coerced,
        });
        Ok(if negated { not(found) } else { found })
    }

    pub(super) fn between(&mut self, expr: &protobuf::AExpr) -> Result<Expr> {
        let Some(Node::List(bounds)) = inner(expr.rexpr.as_deref()) else {
            return Err(self.unsupported(expr.location, words::of(inner(expr.rexpr.as_deref()))));
        };
        let [low, high] = bounds.items.as_slice() else {
            unreachable!("BETWEEN has two bounds");
        };
        let negated =
            matches!(expr.kind(), AExprKind::AexprNotBetween | AExprKind::AexprNotBetweenSym);
        let symmetric =
            matches!(expr.kind(), AExprKind::AexprBetweenSym | AExprKind::AexprNotBetweenSym);
        let (from, to) = if negated { ("<", ">") } else { (">=", "<=") };
        let within = |pair: Vec<Expr>| {
            Expr::condition(if negated { ExprKind::Or(pair) } else { ExprKind::And(pair) })
        };
        let value = self.child(expr.lexpr.as_deref())?;
        let low = self.child(Some(low))?;
        let low_again = symmetric.then(|| low.clone());
        let first = self.copy(&value)?;
        let above = self.binary_operator(from, first, low, expr.location)?;
        // As if it were bound here, before the other end is.
        let second = self.again(&value)?;
        let high = self.child(Some(high))?;
        let high_again = symmetric.then(|| high.clone());
        let below = self.binary_operator(to, second, high, expr.location)?;
        let straight = within(vec![above, below]);
        let (Some(low), Some(high)) = (low_again, high_again) else {
            return Ok(straight);
        };
        let above = self.compared_again(from, (&value, &high), expr.location)?;
        let below = self.compared_again(to, (&value, &low), expr.location)?;
        let both = vec![straight, within(vec![above, below])];
        Ok(Expr::condition(if negated { ExprKind::And(both) } else { ExprKind::Or(both) }))
    }

    /// A comparison of operands that stand in others too.
    fn compared_again(
        &mut self,
        name: &str,
        (left, right): (&Expr, &Expr),
        location: i32,
    ) -> Result<Expr> {
        let (left, right) = (self.again(left)?, self.again(right)?);
        self.binary_operator(name, left, right, location)
    }
}
