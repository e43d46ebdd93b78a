//! FROM: tables, joins, and the scope that they make.

use pg_query::protobuf::node::Node;
use pg_query::protobuf::{self, JoinType};
use phantom_base::sync::Arc;
use phantom_base::{Error, Result, sqlstate};
use phantom_types::NO_TYPMOD;

use super::coerce::Context;
use super::scope::{Item, Scope, Visible};
use super::{Binder, inner, string_of, strings_of, words};
use crate::bound::{Expr, ExprKind, JoinKind, JoinTree, Relation};
use crate::catalog::Table;

/// More tables than a query joins; the range table counts in 16 bits.
const RELATIONS_MAX: usize = 1_000;

impl Binder<'_> {
    /// Binds FROM and makes its scope the current one.
    pub(super) fn bind_from(&mut self, items: &[protobuf::Node]) -> Result<Vec<JoinTree>> {
        let mut trees = Vec::with_capacity(items.len());
        let mut scope = Scope::default();
        for item in items {
            let (tree, part) = self.bind_from_item(inner(Some(item)))?;
            scope = scope.beside(part)?;
            trees.push(tree);
        }
        self.scope = scope;
        Ok(trees)
    }

    fn bind_from_item(&mut self, node: Option<&Node>) -> Result<(JoinTree, Scope)> {
        match node {
            Some(Node::RangeVar(range)) => {
                let relation = self.range_variable(range)?;
                let item = self.scope_item(relation, range)?;
                Ok((JoinTree::Relation(item.relation), Scope::of(item)))
            }
            Some(Node::JoinExpr(join)) => self.join(join),
            absent => Err(Error::unsupported(words::of(absent))),
        }
    }

    /// Looks a table up and adds it to the range table.
    pub(super) fn range_variable(&mut self, range: &protobuf::RangeVar) -> Result<Arc<Table>> {
        let table = self.look_up(range)?;
        if self.relations.len() >= RELATIONS_MAX {
            let message = format!("a query can use at most {RELATIONS_MAX} tables");
            return Err(Error::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
        }
        self.relations.push(Relation { table: table.oid, version: table.version });
        Ok(table)
    }

    fn look_up(&self, range: &protobuf::RangeVar) -> Result<Arc<Table>> {
        let shown = if range.schemaname.is_empty() {
            range.relname.clone()
        } else {
            format!("{}.{}", range.schemaname, range.relname)
        };
        if !range.catalogname.is_empty() && range.catalogname != super::names::DATABASE {
            let what = format!(
                "cross-database references are not implemented: \"{}.{shown}\"",
                range.catalogname
            );
            let error = Error::new(sqlstate::FEATURE_NOT_SUPPORTED, what);
            return Err(self.located(range.location, error));
        }
        let schema = if range.schemaname.is_empty() { "public" } else { &range.schemaname };
        super::names::refuse_system_catalog(schema, &range.relname)
            .map_err(|error| self.located(range.location, error))?;
        let is_seen =
            !range.schemaname.is_empty() || self.context.settings.search_path().sees_public;
        let table = self.context.catalog.table(schema, &range.relname).filter(|_| is_seen);
        table.cloned().ok_or_else(|| {
            self.error(
                sqlstate::UNDEFINED_TABLE,
                range.location,
                format!("relation \"{shown}\" does not exist"),
            )
        })
    }

    /// The scope's view of the table that was added to the range table last.
    pub(super) fn scope_item(&self, table: Arc<Table>, range: &protobuf::RangeVar) -> Result<Item> {
        let relation = u16::try_from(self.relations.len() - 1).expect("bounded by RELATIONS_MAX");
        let mut columns: Vec<String> = table.columns.iter().map(|c| c.name.clone()).collect();
        let Some(alias) = &range.alias else {
            return Ok(Item {
                relation,
                name: range.relname.clone(),
                aliased: false,
                table,
                columns,
            });
        };
        let renamed = strings_of(&alias.colnames);
        if renamed.len() > columns.len() {
            let message = format!(
                "table \"{}\" has {} columns available but {} columns specified",
                alias.aliasname,
                columns.len(),
                renamed.len()
            );
            return Err(Error::new(sqlstate::INVALID_COLUMN_REFERENCE, message));
        }
        for (column, name) in columns.iter_mut().zip(renamed) {
            name.clone_into(column);
        }
        Ok(Item { relation, name: alias.aliasname.clone(), aliased: true, table, columns })
    }

    fn join(&mut self, join: &protobuf::JoinExpr) -> Result<(JoinTree, Scope)> {
        let kind = match join.jointype() {
            JoinType::JoinInner => JoinKind::Inner,
            JoinType::JoinLeft => JoinKind::Left,
            JoinType::JoinRight => {
                return Err(Error::unsupported(words::join(JoinType::JoinRight))
                    .with_hint("Write it as a LEFT JOIN with the tables exchanged."));
            }
            absent => return Err(Error::unsupported(words::join(absent))),
        };
        if join.alias.is_some() || join.join_using_alias.is_some() {
            return Err(Error::unsupported("an alias of a join"));
        }
        let (left, left_scope) = self.bind_from_item(inner(join.larg.as_deref()))?;
        let (right, right_scope) = self.bind_from_item(inner(join.rarg.as_deref()))?;
        let merged = if join.is_natural {
            let names = left_scope.visible.iter().map(|visible| visible.name.clone());
            names.filter(|name| right_scope.visible.iter().any(|v| v.name == *name)).collect()
        } else {
            join.using_clause.iter().filter_map(string_of).map(str::to_owned).collect::<Vec<_>>()
        };
        let (on, scope) = if merged.is_empty() {
            let scope = left_scope.beside(right_scope)?;
            match inner(join.quals.as_deref()) {
                None => (None, scope),
                Some(quals) => self.on_clause(quals, scope)?,
            }
        } else {
            self.merge(kind, &merged, (left_scope, right_scope))?
        };
        let tree = JoinTree::Join { kind, left: Box::new(left), right: Box::new(right), on };
        Ok((tree, scope))
    }

    /// Binds ON in the scope of its join, and gives that back: a copy of it for each of many joins
    /// would cost the square of their number.
    fn on_clause(&mut self, quals: &Node, scope: Scope) -> Result<(Option<Expr>, Scope)> {
        let outer = std::mem::replace(&mut self.scope, scope);
        let bound = self.condition(quals, "JOIN/ON", "JOIN conditions");
        let scope = std::mem::replace(&mut self.scope, outer);
        Ok((Some(bound?), scope))
    }

    /// USING and NATURAL: equality of each merged column, which is seen once afterwards.
    fn merge(
        &mut self,
        kind: JoinKind,
        names: &[String],
        (left, right): (Scope, Scope),
    ) -> Result<(Option<Expr>, Scope)> {
        let mut sides = Vec::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            if names.iter().take(at).any(|before| before == name) {
                let message =
                    format!("column name \"{name}\" appears more than once in USING clause");
                return Err(Error::new(sqlstate::DUPLICATE_COLUMN, message));
            }
            sides.push((merged_side(&left, name, "left")?, merged_side(&right, name, "right")?));
        }
        let mut conditions = Vec::with_capacity(names.len());
        for (of_left, of_right) in &sides {
            conditions.push(self.binary_operator("=", of_left.clone(), of_right.clone(), -1)?);
        }
        let mut merged: Vec<Visible> = Vec::with_capacity(names.len());
        for (name, (of_left, of_right)) in names.iter().zip(sides) {
            let value = self.merged(kind, of_left, of_right)?;
            merged.push(Visible { name: name.clone(), value });
        }
        let mut scope = left.beside(right)?;
        scope.visible.retain(|visible| !names.contains(&visible.name));
        scope.visible.splice(0..0, merged);
        let on = if conditions.len() == 1 {
            conditions.pop()
        } else {
            Some(Expr::condition(ExprKind::And(conditions)))
        };
        Ok((on, scope))
    }

    /// The value of a merged column: of the type that both sides come to. That of an inner join is
    /// the side that has the type already, for equal values may look different; that of a left join
    /// is always the left one.
    fn merged(&mut self, kind: JoinKind, left: Expr, right: Expr) -> Result<Expr> {
        let ty = self.common_type(&[(&left, -1), (&right, -1)], "JOIN/USING")?;
        let same = (left.ty, left.typmod) == (right.ty, right.typmod);
        let typmod = if same { left.typmod } else { NO_TYPMOD };
        let is_plain = |side: &Expr| (side.ty, side.typmod) == (ty, typmod);
        let chosen = match kind {
            JoinKind::Inner if !is_plain(&left) && is_plain(&right) => right,
            _ => left,
        };
        if is_plain(&chosen) {
            return Ok(chosen);
        }
        if chosen.ty == ty {
            return Ok(Expr { kind: ExprKind::Relabel(Box::new(chosen)), ty, typmod });
        }
        self.coerce(chosen, ty, NO_TYPMOD, Context::Implicit, -1)
    }
}

/// The column of one side that USING names.
fn merged_side(scope: &Scope, name: &str, side: &str) -> Result<Expr> {
    let mut found = scope.visible.iter().filter(|visible| visible.name == name);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only.value.clone()),
        (Some(_), Some(_)) => {
            let message =
                format!("common column name \"{name}\" appears more than once in {side} table");
            Err(Error::new(sqlstate::AMBIGUOUS_COLUMN, message))
        }
        (None, _) => {
            let message = format!(
                "column \"{name}\" specified in USING clause does not exist in {side} table"
            );
            Err(Error::new(sqlstate::UNDEFINED_COLUMN, message))
        }
    }
}
