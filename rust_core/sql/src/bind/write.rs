//! INSERT, UPDATE and DELETE.

use pg_query::protobuf::node::Node;
use pg_query::protobuf::{
    self, OnConflictAction, OverridingKind, SetOperation, SortByDir, SortByNulls,
};
use phantom_base::sync::Arc;
use phantom_base::{Error, Result, Set, sqlstate};
use phantom_types::Datum;

use super::coerce::{Context, can_coerce};
use super::expression::location_of;
use super::names::DATABASE;
use super::scope::Scope;
use super::{Binder, Bound, BoundStatement, inner, strings_of, words};
use crate::bound::{Command, Expr, Insert, JoinTree, Query, Target};
use crate::catalog::{Collation, Table};

impl Binder<'_> {
    pub(super) fn insert_statement(
        &mut self,
        insert: &protobuf::InsertStmt,
    ) -> Result<BoundStatement> {
        if insert.with_clause.is_some() {
            return Err(Error::unsupported("WITH"));
        }
        if matches!(
            insert.r#override(),
            OverridingKind::OverridingUserValue | OverridingKind::OverridingSystemValue
        ) {
            return Err(Error::unsupported("OVERRIDING"));
        }
        let range = insert.relation.as_ref().expect("INSERT names a table");
        let table = self.range_variable(range)?;
        let item = self.scope_item(table.clone(), range)?;
        let wanted = self.insert_columns(&insert.cols, &table)?;
        let rows = match inner(insert.select_stmt.as_deref()) {
            None => vec![Self::default_row(&table)],
            Some(Node::SelectStmt(select)) => self.insert_rows(select, &wanted, &table, insert)?,
            absent => {
                let what = format!("{} in INSERT", words::of(absent));
                return Err(Error::unsupported(what));
            }
        };
        let skip_conflicts = match &insert.on_conflict_clause {
            None => false,
            Some(clause) => self.on_conflict(clause, &table)?,
        };
        self.scope = Scope::of(item);
        let targets = self.returning(insert.returning_clause.as_ref())?;
        let command = Command::Insert(Insert { rows, skip_conflicts });
        self.write_query(command, Vec::new(), None, targets)
    }

    /// The columns that INSERT names, or all.
    fn insert_columns(&self, names: &[protobuf::Node], table: &Table) -> Result<Vec<u16>> {
        if names.is_empty() {
            return Ok((1..).take(table.columns.len()).collect());
        }
        let mut columns: Vec<u16> = Vec::with_capacity(names.len());
        for name in names {
            let Some(Node::ResTarget(target)) = inner(Some(name)) else {
                return Err(Error::unsupported(words::of(inner(Some(name)))));
            };
            let attnum = self.target_column(target, table)?;
            if columns.contains(&attnum) {
                let message = format!("column \"{}\" specified more than once", target.name);
                return Err(self.error(sqlstate::DUPLICATE_COLUMN, target.location, message));
            }
            columns.push(attnum);
        }
        Ok(columns)
    }

    fn target_column(&self, target: &protobuf::ResTarget, table: &Table) -> Result<u16> {
        if !target.indirection.is_empty() {
            return Err(self.unsupported(target.location, "assignment to a part of a column"));
        }
        table.attnum(&target.name).ok_or_else(|| {
            let message =
                format!("column \"{}\" of relation \"{}\" does not exist", target.name, table.name);
            self.error(sqlstate::UNDEFINED_COLUMN, target.location, message)
        })
    }

    fn default_row(table: &Table) -> Vec<Expr> {
        table.columns.iter().map(|column| Expr::constant(Datum::Null, column.ty)).collect()
    }

    fn insert_rows(
        &mut self,
        select: &protobuf::SelectStmt,
        wanted: &[u16],
        table: &Arc<Table>,
        insert: &protobuf::InsertStmt,
    ) -> Result<Vec<Vec<Expr>>> {
        let is_plain = select.with_clause.is_none()
            && matches!(select.op(), SetOperation::SetopNone | SetOperation::Undefined)
            && select.sort_clause.is_empty()
            && select.limit_count.is_none()
            && select.limit_offset.is_none();
        if select.values_lists.is_empty() || !is_plain {
            return Err(Error::unsupported("INSERT from a query"));
        }
        let mut rows = Vec::with_capacity(select.values_lists.len());
        let mut width = None;
        for list in &select.values_lists {
            let Some(Node::List(list)) = inner(Some(list)) else {
                return Err(Error::unsupported(words::of(inner(Some(list)))));
            };
            let location = list.items.first().and_then(|n| inner(Some(n))).map_or(-1, location_of);
            if *width.get_or_insert(list.items.len()) != list.items.len() {
                let message = "VALUES lists must all be the same length";
                return Err(self.error(sqlstate::SYNTAX_ERROR, location, message));
            }
            self.check_width(&list.items, wanted.len(), !insert.cols.is_empty(), insert)?;
            // All of a row are bound before one of them is brought to its column.
            let mut bound = Vec::with_capacity(list.items.len());
            for value in &list.items {
                bound.push(self.assigned(inner(Some(value)), "VALUES")?);
            }
            let mut row = Self::default_row(table);
            for (value, attnum) in bound.into_iter().zip(wanted) {
                let bound = self.assignment(value, table, *attnum)?;
                *row.get_mut(usize::from(*attnum) - 1).expect("a column of the table") = bound;
            }
            rows.push(row);
        }
        Ok(rows)
    }

    fn check_width(
        &self,
        values: &[protobuf::Node],
        wanted: usize,
        columns_named: bool,
        insert: &protobuf::InsertStmt,
    ) -> Result<()> {
        if values.len() > wanted {
            let extra = values.get(wanted).and_then(|node| inner(Some(node)));
            let message = "INSERT has more expressions than target columns";
            return Err(self.error(sqlstate::SYNTAX_ERROR, extra.map_or(-1, location_of), message));
        }
        if columns_named && values.len() < wanted {
            let location = match insert.cols.get(values.len()).and_then(|node| inner(Some(node))) {
                Some(Node::ResTarget(target)) => target.location,
                _ => -1,
            };
            let message = "INSERT has more target columns than expressions";
            return Err(self.error(sqlstate::SYNTAX_ERROR, location, message));
        }
        Ok(())
    }

    /// Binds a value for a column and says where it stands; DEFAULT is none.
    fn assigned(
        &mut self,
        node: Option<&Node>,
        clause: &'static str,
    ) -> Result<Option<(Expr, i32)>> {
        let node = node.expect("a list of values has values");
        if matches!(node, Node::SetToDefault(_)) {
            return Ok(None);
        }
        self.no_aggregates_in = Some(clause);
        let bound = self.expr(node);
        self.no_aggregates_in = None;
        Ok(Some((bound?, location_of(node))))
    }

    /// Brings a value to the type of its column.
    fn assignment(
        &mut self,
        value: Option<(Expr, i32)>,
        table: &Table,
        attnum: u16,
    ) -> Result<Expr> {
        let column = table.column(attnum).expect("the caller looked it up");
        let Some((bound, location)) = value else {
            return Ok(Expr::constant(Datum::Null, column.ty));
        };
        if !can_coerce(bound.ty, column.ty, Context::Assignment) {
            let message = format!(
                "column \"{}\" is of type {} but expression is of type {}",
                column.name,
                column.ty.sql_name(),
                bound.ty.sql_name()
            );
            let error = self
                .error(sqlstate::DATATYPE_MISMATCH, location, message)
                .with_hint("You will need to rewrite or cast the expression.");
            return Err(error);
        }
        self.coerce(bound, column.ty, column.typmod, Context::Assignment, location)
    }

    fn on_conflict(&self, clause: &protobuf::OnConflictClause, table: &Table) -> Result<bool> {
        if clause.action() != OnConflictAction::OnconflictNothing {
            return Err(self.unsupported(clause.location, "ON CONFLICT DO UPDATE"));
        }
        let Some(infer) = &clause.infer else { return Ok(true) };
        if infer.where_clause.is_some() {
            return Err(self.unsupported(clause.location, "ON CONFLICT with a predicate"));
        }
        if !infer.conname.is_empty() {
            if infer.conname == table.primary_key_name {
                return Ok(true);
            }
            let message = format!(
                "constraint \"{}\" for table \"{}\" does not exist",
                infer.conname, table.name
            );
            return Err(Error::new(sqlstate::UNDEFINED_OBJECT, message));
        }
        let mut named: Set<u16> = Set::new();
        let mut fits = true;
        for element in &infer.index_elems {
            let Some(Node::IndexElem(element)) = inner(Some(element)) else { continue };
            let clauses = [
                ("ASC/DESC", element.ordering != SortByDir::SortbyDefault as i32),
                (
                    "NULLS FIRST/LAST",
                    element.nulls_ordering != SortByNulls::SortbyNullsDefault as i32,
                ),
            ];
            if let Some((name, _)) = clauses.iter().find(|(_, is_given)| *is_given) {
                let message = format!("{name} is not allowed in ON CONFLICT clause");
                return Err(self.error(
                    sqlstate::INVALID_COLUMN_REFERENCE,
                    infer.location,
                    message,
                ));
            }
            if element.name.is_empty() {
                return Err(self.unsupported(clause.location, "ON CONFLICT with an expression"));
            }
            let attnum = table.attnum(&element.name).ok_or_else(|| {
                let message = format!("column \"{}\" does not exist", element.name);
                self.error(sqlstate::UNDEFINED_COLUMN, infer.location, message)
            })?;
            if !element.collation.is_empty() {
                let words = strings_of(&element.collation);
                let wanted = self.at(infer.location, Collation::named(&words, DATABASE))?;
                fits &= table.column(attnum).is_some_and(|column| column.collation == wanted);
            }
            if !element.opclass.is_empty() {
                let name = strings_of(&element.opclass).join(".");
                return Err(self.unsupported(infer.location, format!("operator class {name}")));
            }
            named.insert(attnum);
        }
        fits &= !table.primary_key.is_empty();
        if !fits || named != table.primary_key.iter().copied().collect() {
            let message =
                "there is no unique or exclusion constraint matching the ON CONFLICT specification";
            return Err(Error::new(sqlstate::INVALID_COLUMN_REFERENCE, message));
        }
        Ok(true)
    }

    pub(super) fn update_statement(
        &mut self,
        update: &protobuf::UpdateStmt,
    ) -> Result<BoundStatement> {
        if update.with_clause.is_some() {
            return Err(Error::unsupported("WITH"));
        }
        if !update.from_clause.is_empty() {
            return Err(Error::unsupported("UPDATE .. FROM"));
        }
        let range = update.relation.as_ref().expect("UPDATE names a table");
        let table = self.range_variable(range)?;
        self.scope = Scope::of(self.scope_item(table.clone(), range)?);
        // PostgreSQL binds SET last, and all of its values before it brings one to its column.
        let filter = self.write_filter(update.where_clause.as_deref())?;
        let targets = self.returning(update.returning_clause.as_ref())?;
        let mut values = Vec::with_capacity(update.target_list.len());
        for item in &update.target_list {
            let Some(Node::ResTarget(target)) = inner(Some(item)) else {
                return Err(Error::unsupported(words::of(inner(Some(item)))));
            };
            let value = inner(target.val.as_deref());
            if matches!(value, Some(Node::MultiAssignRef(_))) {
                return Err(self.unsupported(target.location, "SET of several columns at once"));
            }
            values.push((target, self.assigned(value, "UPDATE")?));
        }
        let mut assignments: Vec<(u16, Expr)> = Vec::with_capacity(values.len());
        for (target, value) in values {
            let attnum = self.target_column(target, &table)?;
            if assignments.iter().any(|(assigned, _)| *assigned == attnum) {
                let message = format!("multiple assignments to same column \"{}\"", target.name);
                return Err(Error::new(sqlstate::SYNTAX_ERROR, message));
            }
            assignments.push((attnum, self.assignment(value, &table, attnum)?));
        }
        let from = vec![JoinTree::Relation(0)];
        self.write_query(Command::Update { assignments }, from, filter, targets)
    }

    pub(super) fn delete_statement(
        &mut self,
        delete: &protobuf::DeleteStmt,
    ) -> Result<BoundStatement> {
        if delete.with_clause.is_some() {
            return Err(Error::unsupported("WITH"));
        }
        if !delete.using_clause.is_empty() {
            return Err(Error::unsupported("DELETE .. USING"));
        }
        let range = delete.relation.as_ref().expect("DELETE names a table");
        let table = self.range_variable(range)?;
        self.scope = Scope::of(self.scope_item(table, range)?);
        let filter = self.write_filter(delete.where_clause.as_deref())?;
        let targets = self.returning(delete.returning_clause.as_ref())?;
        let from = vec![JoinTree::Relation(0)];
        self.write_query(Command::Delete, from, filter, targets)
    }

    fn write_filter(&mut self, node: Option<&protobuf::Node>) -> Result<Option<Expr>> {
        if let Some(Node::CurrentOfExpr(_)) = inner(node) {
            return Err(Error::unsupported("WHERE CURRENT OF"));
        }
        match inner(node) {
            None => Ok(None),
            Some(node) => self.condition(node, "WHERE", "WHERE").map(Some),
        }
    }

    fn returning(&mut self, clause: Option<&protobuf::ReturningClause>) -> Result<Vec<Target>> {
        let Some(clause) = clause else { return Ok(Vec::new()) };
        if !clause.options.is_empty() {
            return Err(Error::unsupported("RETURNING WITH"));
        }
        self.no_aggregates_in = Some("RETURNING");
        let targets = self.target_list(&clause.exprs);
        self.no_aggregates_in = None;
        let mut targets = targets?;
        self.settle_targets(&mut targets)?;
        Ok(targets)
    }

    fn write_query(
        &mut self,
        mut command: Command,
        from: Vec<JoinTree>,
        mut filter: Option<Expr>,
        mut targets: Vec<Target>,
    ) -> Result<BoundStatement> {
        match &mut command {
            Command::Select | Command::Delete => {}
            Command::Insert(insert) => self.assign_each(insert.rows.iter_mut().flatten())?,
            Command::Update { assignments } => {
                self.assign_each(assignments.iter_mut().map(|(_, value)| value))?;
            }
        }
        self.assign_each(targets.iter_mut().map(|target| &mut target.expr).chain(&mut filter))?;
        let columns = Self::result_columns(&targets);
        let query = Query {
            command,
            relations: std::mem::take(&mut self.relations),
            from,
            filter,
            grouping: None,
            targets,
            distinct: false,
            sort: Vec::new(),
            limit: None,
            offset: None,
            parameters: Vec::new(),
        };
        Ok((Bound::Query(Box::new(query)), columns))
    }
}
