//! SELECT, and the parts of it that INSERT, UPDATE and DELETE share: target lists, WHERE.

use pg_query::protobuf::a_const::Val;
use pg_query::protobuf::node::Node;
use pg_query::protobuf::{self, LimitOption, SortByDir, SortByNulls};
use phantom_base::{Error, Result, sqlstate};
use phantom_types::{TypeId, codec};

use super::expression::location_of;
use super::grouping::Keys;
use super::names::column_name;
use super::{Binder, Bound, BoundStatement, inner, strings_of, words};
use crate::bound::{Command, Expr, ExprKind, Grouping, Query, SortKey, Target};
use crate::statement::ResultColumn;

/// The longest target list: its rows travel in the row codec, which has this bound.
const TARGETS_MAX: usize = codec::row::COLUMNS_MAX;
/// The most targets and keys of GROUP BY together: PostgreSQL's bound.
pub(super) const GROUPED_MAX: usize = 1_664;

impl Binder<'_> {
    pub(super) fn select_statement(
        &mut self,
        select: &protobuf::SelectStmt,
    ) -> Result<BoundStatement> {
        refuse_absent_clauses(select)?;
        let from = self.bind_from(&select.from_clause)?;
        let mut targets = self.target_list(&select.target_list)?;
        let filter = match inner(select.where_clause.as_deref()) {
            None => None,
            Some(node) => Some(self.condition(node, "WHERE", "WHERE")?),
        };
        let having = match inner(select.having_clause.as_deref()) {
            None => None,
            Some(node) => Some(self.condition(node, "HAVING", "")?),
        };
        let distinct = !select.distinct_clause.is_empty();
        let mut sort = Vec::new();
        self.sort_clause(&select.sort_clause, distinct, &mut targets, &mut sort)?;
        let group = self.group_clause(&select.group_clause, &mut targets)?;
        if distinct {
            self.settle_targets(&mut targets)?;
        }
        let offset = self.limit(select.limit_offset.as_deref(), "OFFSET")?;
        let limit = self.limit(select.limit_count.as_deref(), "LIMIT")?;
        self.settle_targets(&mut targets)?;
        let (mut from, mut filter, mut having, mut group) = (from, filter, having, group);
        let (mut limit, mut offset) = (limit, offset);
        self.assign_targets(&mut targets, (&sort, distinct), &mut group)?;
        self.assign_joins(&mut from)?;
        let conditions = filter.iter_mut().chain(&mut having);
        self.assign_each(conditions.chain(&mut offset).chain(&mut limit))?;
        let grouped = !group.is_empty() || !self.aggregates.is_empty() || having.is_some();
        let grouping = if grouped { Some(self.group(group, having, &mut targets)?) } else { None };
        let columns = Self::result_columns(&targets);
        let query = Query {
            command: Command::Select,
            relations: std::mem::take(&mut self.relations),
            from,
            filter,
            grouping,
            targets,
            distinct,
            sort,
            limit,
            offset,
            parameters: Vec::new(),
        };
        Ok((Bound::Query(Box::new(query)), columns))
    }

    /// Binds a select list or RETURNING: stars expanded, names given. What has no type yet may get
    /// one from a later clause, so its settling is the caller's, by `settle_targets`.
    pub(super) fn target_list(&mut self, list: &[protobuf::Node]) -> Result<Vec<Target>> {
        let mut targets = Vec::with_capacity(list.len());
        for item in list {
            let Some(Node::ResTarget(item)) = inner(Some(item)) else {
                return Err(Error::unsupported(words::of(inner(Some(item)))));
            };
            let value = inner(item.val.as_deref()).expect("a target has a value");
            if let Node::ColumnRef(column) = value
                && matches!(
                    column.fields.last().and_then(|f| f.node.as_ref()),
                    Some(Node::AStar(_))
                )
            {
                self.star(column, &mut targets)?;
                continue;
            }
            let bound = self.expr(value)?;
            let name = if item.name.is_empty() { column_name(value) } else { item.name.clone() };
            let origin = self.origin(&bound);
            targets.push(Target { expr: bound, name, hidden: false, origin });
        }
        if targets.len() > TARGETS_MAX {
            return Err(too_many_targets(TARGETS_MAX));
        }
        Ok(targets)
    }

    /// Makes text of targets that no clause gave a type.
    ///
    /// # Errors
    /// `42P08` for a parameter that has got another type since it was bound.
    pub(super) fn settle_targets(&mut self, targets: &mut [Target]) -> Result<()> {
        targets.iter_mut().try_for_each(|target| self.settle_target(target))
    }

    fn settle_target(&mut self, target: &mut Target) -> Result<()> {
        if target.expr.ty == TypeId::UNKNOWN {
            target.expr = self.settle(target.expr.clone(), -1)?;
        }
        Ok(())
    }

    fn origin(&self, expr: &Expr) -> (u32, u16) {
        match expr.kind {
            ExprKind::Column { relation, attnum } => {
                (self.scope.item_of(relation).table.oid, attnum)
            }
            _ => (0, 0),
        }
    }

    /// `*` and `table.*`.
    fn star(&mut self, column: &protobuf::ColumnRef, targets: &mut Vec<Target>) -> Result<()> {
        let qualifier = strings_of(&column.fields);
        let mut columns: Vec<(String, Expr)> = Vec::new();
        match qualifier.last() {
            None => {
                if self.scope.items.is_empty() {
                    let message = "SELECT * with no tables specified is not valid";
                    return Err(self.error(sqlstate::SYNTAX_ERROR, column.location, message));
                }
                for visible in &self.scope.visible {
                    columns.push((visible.name.clone(), visible.value.clone()));
                }
            }
            Some(table) => {
                let Some(item) = self.scope.item(table) else {
                    let message = format!("missing FROM-clause entry for table \"{table}\"");
                    return Err(self.error(sqlstate::UNDEFINED_TABLE, column.location, message));
                };
                for (name, attnum) in item.columns.iter().zip(1..) {
                    columns.push((name.clone(), self.scope.column(item.relation, attnum)));
                }
            }
        }
        for (name, expr) in columns {
            if let ExprKind::Column { relation, attnum } = expr.kind {
                self.first_use.entry((relation, attnum)).or_insert(column.location);
            }
            let origin = self.origin(&expr);
            targets.push(Target { expr, name, hidden: false, origin });
        }
        Ok(())
    }

    pub(super) fn result_columns(targets: &[Target]) -> Vec<ResultColumn> {
        targets
            .iter()
            .filter(|target| !target.hidden)
            .map(|target| ResultColumn {
                name: target.name.clone(),
                table: target.origin.0,
                attnum: target.origin.1,
                ty: target.expr.ty,
                typmod: target.expr.typmod,
            })
            .collect()
    }

    fn sort_clause(
        &mut self,
        clause: &[protobuf::Node],
        distinct: bool,
        targets: &mut Vec<Target>,
        sort: &mut Vec<SortKey>,
    ) -> Result<()> {
        for item in clause {
            let Some(Node::SortBy(by)) = inner(Some(item)) else {
                return Err(Error::unsupported(words::of(inner(Some(item)))));
            };
            if by.sortby_dir() == SortByDir::SortbyUsing {
                return Err(self.unsupported(by.location, "ORDER BY USING"));
            }
            let node = inner(by.node.as_deref()).expect("ORDER BY has an expression");
            let at = self.sort_target(node, distinct, targets)?;
            let descending = by.sortby_dir() == SortByDir::SortbyDesc;
            let nulls_first = match by.sortby_nulls() {
                SortByNulls::SortbyNullsFirst => true,
                SortByNulls::SortbyNullsLast => false,
                _ => descending,
            };
            let target = u16::try_from(at).expect("TARGETS_MAX fits");
            if !sort.iter().any(|key| key.target == target) {
                sort.push(SortKey { target, descending, nulls_first });
            }
        }
        Ok(())
    }

    /// The target that an ORDER BY item means: an output name, a position, or an expression that
    /// is added as a hidden target where no target equals it.
    fn sort_target(
        &mut self,
        node: &Node,
        distinct: bool,
        targets: &mut Vec<Target>,
    ) -> Result<usize> {
        let mut found = self.output_name(node, "ORDER BY", targets)?;
        if found.is_none() {
            found = self.output_position(node, "ORDER BY", targets)?;
        }
        let mut bound = None;
        if found.is_none() {
            let expr = self.expr(node)?;
            found = targets.iter().position(|target| is_same(&target.expr, &expr));
            bound = Some(expr);
        }
        if let Some(at) = found {
            self.settle_target(targets.get_mut(at).expect("it was found there"))?;
            return Ok(at);
        }
        let bound = bound.expect("what is no output was bound");
        let bound = self.settle(bound, location_of(node))?;
        if distinct {
            return Err(self.error(
                sqlstate::INVALID_COLUMN_REFERENCE,
                location_of(node),
                "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
            ));
        }
        if targets.len() >= TARGETS_MAX {
            return Err(too_many_targets(TARGETS_MAX));
        }
        targets.push(Target { expr: bound, name: String::new(), hidden: true, origin: (0, 0) });
        Ok(targets.len() - 1)
    }

    fn output_name(&self, node: &Node, clause: &str, targets: &[Target]) -> Result<Option<usize>> {
        let Node::ColumnRef(column) = node else { return Ok(None) };
        let [field] = column.fields.as_slice() else { return Ok(None) };
        let Some(name) = super::string_of(field) else { return Ok(None) };
        let mut found: Option<usize> = None;
        for (at, target) in targets.iter().enumerate() {
            if target.hidden || target.name != name {
                continue;
            }
            let differs = found
                .and_then(|first| targets.get(first))
                .is_some_and(|first| first.expr != target.expr);
            if differs {
                let message = format!("{clause} \"{name}\" is ambiguous");
                return Err(self.error(sqlstate::AMBIGUOUS_COLUMN, column.location, message));
            }
            found = found.or(Some(at));
        }
        Ok(found)
    }

    fn output_position(
        &self,
        node: &Node,
        clause: &str,
        targets: &[Target],
    ) -> Result<Option<usize>> {
        let Node::AConst(constant) = node else { return Ok(None) };
        let position = match &constant.val {
            Some(Val::Ival(value)) => i64::from(value.ival),
            None if !constant.isnull => 0,
            _ => {
                let message = format!("non-integer constant in {clause}");
                return Err(self.error(sqlstate::SYNTAX_ERROR, constant.location, message));
            }
        };
        let visible = targets.iter().filter(|target| !target.hidden).count();
        let at = usize::try_from(position - 1).ok().filter(|at| *at < visible);
        at.map(Some).ok_or_else(|| {
            let message = format!("{clause} position {position} is not in select list");
            self.error(sqlstate::INVALID_COLUMN_REFERENCE, constant.location, message)
        })
    }

    fn group_clause(
        &mut self,
        clause: &[protobuf::Node],
        targets: &mut [Target],
    ) -> Result<Vec<Expr>> {
        let mut keys: Vec<Expr> = Vec::new();
        // A key that is no target counts as one, as PostgreSQL makes it one.
        let mut entries = targets.len();
        for item in clause {
            let node = inner(Some(item)).expect("GROUP BY has an expression");
            if let Node::GroupingSet(set) = node {
                return Err(self.unsupported(set.location, words::of(Some(node))));
            }
            let key = self.group_key(node, targets)?;
            if key.any(&mut |expr| matches!(expr.kind, ExprKind::AggregateRef(_))) {
                return Err(self.error(
                    sqlstate::GROUPING_ERROR,
                    location_of(node),
                    "aggregate functions are not allowed in GROUP BY",
                ));
            }
            if !keys.contains(&key) {
                entries += usize::from(!targets.iter().any(|target| target.expr == key));
                if entries > GROUPED_MAX {
                    return Err(too_many_targets(GROUPED_MAX));
                }
                keys.push(key);
            }
        }
        Ok(keys)
    }

    /// What a GROUP BY item means: a column of FROM before an output name, a position, or an
    /// expression.
    fn group_key(&mut self, node: &Node, targets: &mut [Target]) -> Result<Expr> {
        let is_input = match node {
            Node::ColumnRef(column) => match strings_of(&column.fields).as_slice() {
                [name] => self.scope.bare(name)?.is_some(),
                _ => true,
            },
            _ => false,
        };
        let output = match self.output_position(node, "GROUP BY", targets) {
            Ok(Some(at)) => Some(at),
            Ok(None) if !is_input => self.output_name(node, "GROUP BY", targets)?,
            Ok(None) => None,
            Err(error) => return Err(error),
        };
        if let Some(target) = output.and_then(|at| targets.get_mut(at)) {
            self.settle_target(target)?;
            return self.copy(&target.expr);
        }
        let bound = self.expr(node)?;
        if let Some(target) = targets.iter_mut().find(|target| is_same(&target.expr, &bound)) {
            self.settle_target(target)?;
            return self.copy(&target.expr);
        }
        self.settle(bound, location_of(node))
    }

    /// Puts a grouping between the rows and the targets, which from here on are over groups.
    fn group(
        &mut self,
        group: Vec<Expr>,
        having: Option<Expr>,
        targets: &mut [Target],
    ) -> Result<Grouping> {
        let mut keys: Keys = self.grouping_keys(group);
        for target in targets.iter_mut() {
            let over_rows = target.expr.clone();
            target.expr = self.over_groups(over_rows, &mut keys)?;
        }
        let having = match having {
            None => None,
            Some(having) => Some(self.over_groups(having, &mut keys)?),
        };
        Ok(Grouping { keys: keys.exprs, aggregates: std::mem::take(&mut self.aggregates), having })
    }

    fn limit(
        &mut self,
        node: Option<&protobuf::Node>,
        clause: &'static str,
    ) -> Result<Option<Expr>> {
        let Some(node) = inner(node) else { return Ok(None) };
        if matches!(node, Node::AConst(constant) if constant.isnull) {
            return Ok(None);
        }
        self.no_aggregates_in = Some(clause);
        let bound = self.expr(node);
        self.no_aggregates_in = None;
        let bound = bound?;
        if bound.reads_columns() {
            let message = format!("argument of {clause} must not contain variables");
            return Err(self.error(sqlstate::INVALID_COLUMN_REFERENCE, location_of(node), message));
        }
        self.row_count(bound, clause, location_of(node)).map(Some)
    }
}

pub(super) fn too_many_targets(entries_max: usize) -> Error {
    let message = format!("target lists can have at most {entries_max} entries");
    Error::new(sqlstate::TOO_MANY_COLUMNS, message)
}

/// Whether two expressions are equal, wherever they stand: without a type, `typmod` is a place.
fn is_same(a: &Expr, b: &Expr) -> bool {
    let are_unknown = a.ty == TypeId::UNKNOWN && b.ty == TypeId::UNKNOWN;
    match (&a.kind, &b.kind) {
        (ExprKind::Collate(a, of_a), ExprKind::Collate(b, of_b)) => a == b && is_same(of_a, of_b),
        _ => a == b || (are_unknown && a.kind == b.kind),
    }
}

fn refuse_absent_clauses(select: &protobuf::SelectStmt) -> Result<()> {
    let absent = if select.with_clause.is_some() {
        "WITH"
    } else if let Some(operation) = words::set_operation(select.op()) {
        operation
    } else if !select.values_lists.is_empty() {
        "VALUES as a query"
    } else if select.into_clause.is_some() {
        "SELECT INTO"
    } else if !select.window_clause.is_empty() {
        "WINDOW"
    } else if let Some(locking) = select.locking_clause.first() {
        words::of(inner(Some(locking)))
    } else if select.distinct_clause.iter().any(|node| node.node.is_some()) {
        "DISTINCT ON"
    } else if select.limit_option() == LimitOption::WithTies {
        "WITH TIES"
    } else if select.group_distinct {
        "GROUP BY DISTINCT"
    } else {
        return Ok(());
    };
    Err(Error::unsupported(absent))
}
