//! GROUP BY: what stands above the grouping refers to its keys and aggregates only.

use phantom_base::{Result, Set, sqlstate};

use super::Binder;
use super::select::{GROUPED_MAX, too_many_targets};
use crate::bound::{Expr, ExprKind};

/// The keys of a grouping while targets are rewritten to them.
pub(super) struct Keys {
    /// What is grouped by; grows by columns that the keys determine.
    pub exprs: Vec<Expr>,
    /// Relations whose whole primary key is among the keys: every column of theirs is determined.
    determined: Set<u16>,
}

impl Binder<'_> {
    /// Prepares the keys of GROUP BY.
    pub(super) fn grouping_keys(&self, exprs: Vec<Expr>) -> Keys {
        let columns: Set<(u16, u16)> = exprs
            .iter()
            .filter_map(|key| match key.kind {
                ExprKind::Column { relation, attnum } => Some((relation, attnum)),
                _ => None,
            })
            .collect();
        let determined = self
            .scope
            .items
            .iter()
            .filter(|item| {
                let key = &item.table.primary_key;
                !key.is_empty() && key.iter().all(|at| columns.contains(&(item.relation, *at)))
            })
            .map(|item| item.relation)
            .collect();
        Keys { exprs, determined }
    }

    /// Rewrites an expression over columns to one over groups.
    ///
    /// # Errors
    /// `42803` for a column that is neither grouped nor aggregated.
    pub(super) fn over_groups(&self, expr: Expr, keys: &mut Keys) -> Result<Expr> {
        if let Some(at) = keys.exprs.iter().position(|key| *key == expr) {
            return key_reference(at, &expr);
        }
        let Expr { kind, ty, typmod } = expr;
        let mut each = |of: Vec<Expr>| -> Result<Vec<Expr>> {
            of.into_iter().map(|expr| self.over_groups(expr, keys)).collect()
        };
        let kind = match kind {
            ExprKind::Column { relation, attnum } => {
                return self.determined_column(relation, attnum, keys);
            }
            kind @ (ExprKind::Const(_)
            | ExprKind::Param(_)
            | ExprKind::AggregateRef(_)
            | ExprKind::GroupKey(_)
            | ExprKind::Previous) => kind,
            ExprKind::Call(procedure, of) => ExprKind::Call(procedure, each(of)?),
            ExprKind::And(of) => ExprKind::And(each(of)?),
            ExprKind::Or(of) => ExprKind::Or(each(of)?),
            ExprKind::Coalesce(of) => ExprKind::Coalesce(each(of)?),
            ExprKind::Steps(of) => ExprKind::Steps(each(of)?),
            ExprKind::Extreme { greatest, of } => ExprKind::Extreme { greatest, of: each(of)? },
            ExprKind::CastByText(of) => ExprKind::CastByText(self.boxed_over(of, keys)?),
            ExprKind::Relabel(of) => ExprKind::Relabel(self.boxed_over(of, keys)?),
            ExprKind::Collate(collate, of) => {
                ExprKind::Collate(collate, self.boxed_over(of, keys)?)
            }
            ExprKind::Not(of) => ExprKind::Not(self.boxed_over(of, keys)?),
            ExprKind::Is(test, of) => ExprKind::Is(test, self.boxed_over(of, keys)?),
            ExprKind::Distinct(equal, left, right) => ExprKind::Distinct(
                equal,
                self.boxed_over(left, keys)?,
                self.boxed_over(right, keys)?,
            ),
            ExprKind::NullIf(equal, left, right) => {
                ExprKind::NullIf(equal, self.boxed_over(left, keys)?, self.boxed_over(right, keys)?)
            }
            ExprKind::Case { whens, otherwise } => {
                let mut rewritten = Vec::with_capacity(whens.len());
                for (condition, value) in whens {
                    let condition = self.over_groups(condition, keys)?;
                    rewritten.push((condition, self.over_groups(value, keys)?));
                }
                let otherwise = match otherwise {
                    None => None,
                    Some(value) => Some(self.boxed_over(value, keys)?),
                };
                ExprKind::Case { whens: rewritten, otherwise }
            }
            ExprKind::In { equal, needle, list } => {
                let list = each(list)?;
                ExprKind::In { equal, needle: self.boxed_over(needle, keys)?, list }
            }
        };
        Ok(Expr { kind, ty, typmod })
    }

    #[expect(clippy::boxed_local, reason = "the box is taken apart and made again")]
    fn boxed_over(&self, expr: Box<Expr>, keys: &mut Keys) -> Result<Box<Expr>> {
        self.over_groups(*expr, keys).map(Box::new)
    }

    fn determined_column(&self, relation: u16, attnum: u16, keys: &mut Keys) -> Result<Expr> {
        let column = self.scope.column(relation, attnum);
        if keys.determined.contains(&relation) {
            keys.exprs.push(column.clone());
            return key_reference(keys.exprs.len() - 1, &column);
        }
        let item = self.scope.item_of(relation);
        let name = item.columns.get(usize::from(attnum) - 1).map_or("?", String::as_str);
        let message = format!(
            "column \"{}.{name}\" must appear in the GROUP BY clause or be used in an aggregate function",
            item.name
        );
        let location = self.first_use.get(&(relation, attnum)).copied().unwrap_or(-1);
        Err(self.error(sqlstate::GROUPING_ERROR, location, message))
    }
}

fn key_reference(at: usize, key: &Expr) -> Result<Expr> {
    // Keys are bounded as targets are, but not the columns that they determine.
    let at = u16::try_from(at).map_err(|_| too_many_targets(GROUPED_MAX))?;
    Ok(Expr { kind: ExprKind::GroupKey(at), ty: key.ty, typmod: key.typmod })
}
