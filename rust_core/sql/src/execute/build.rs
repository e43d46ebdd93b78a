//! From a bound query to its operators.
//!
//! SELECT: scans and joins (`plan`), grouping and HAVING, the select list, DISTINCT, ORDER BY,
//! LIMIT. Where nothing sorts, LIMIT comes before the select list, so that rows which are not
//! returned are not computed. Columns are pruned from above: an operator returns those that one
//! above it reads.

use phantom_agg::States;
use phantom_base::sync::Arc;
use phantom_base::{Error, Result, Set, sqlstate};
use phantom_types::{BATCH_ROWS, Batch, Datum, TypeId};

use super::op::{
    Access, Aggregator, Change, Distinct, Filter, HashAggregate, HashJoin, InsertRows, JoinParts,
    Limit, Modify, OneRow, Operator, Project, Scan, ScanParts, Side, Sort, Writer, access,
};
use super::plan::{Plan, plan};
use super::program::{Compiler, Program, Shape, Source, same_form};
use crate::bound::{Aggregate, Command, Expr, Grouping, JoinKind, JoinTree, Query};
use crate::catalog::Table;

/// Makes the operators of one query.
pub(super) struct Builder<'a> {
    pub query: &'a Arc<Query>,
    pub tables: &'a [Arc<Table>],
    pub parameters: &'a Arc<[Datum]>,
    pub compiler: Compiler<'a>,
}

type Built = (Box<dyn Operator>, Shape);

impl Builder<'_> {
    /// The operators of a SELECT; their columns are the targets, hidden ones too.
    ///
    /// # Errors
    /// `XX000` for what the binder would not make; `2201W` and `2201X`; what LIMIT answers.
    pub fn select(&self) -> Result<Box<dyn Operator>> {
        let query = self.query;
        let offset = self.row_count(query.offset.as_ref(), Clause::Offset)?.unwrap_or(0);
        let limit = self.row_count(query.limit.as_ref(), Clause::Limit)?;
        let is_ordered = !query.sort.is_empty();
        let is_streaming = !is_ordered && !query.distinct && query.grouping.is_none();
        let wanted = limit.map(|limit| limit.saturating_add(offset));
        let first_rows = match wanted {
            Some(wanted) if is_streaming => usize::try_from(wanted).unwrap_or(BATCH_ROWS),
            _ => BATCH_ROWS,
        };
        let (mut operator, mut shape) = self.rows(&plan(query)?, &self.needed(), first_rows)?;
        if let Some(grouping) = &query.grouping {
            (operator, shape) = self.group(grouping, operator, &shape)?;
        }
        let cuts_late = is_ordered || query.distinct;
        if !cuts_late {
            operator = limited(operator, offset, limit);
        }
        let exprs = query.targets.iter().map(|target| &target.expr);
        let targets = self.compiler.compile_all(exprs, &shape)?;
        operator = Box::new(Project::new(operator, targets));
        if query.distinct {
            operator = Box::new(Distinct::new(operator, self.visible()));
        }
        if is_ordered {
            let types: Vec<TypeId> = query.targets.iter().map(|target| target.expr.ty).collect();
            if query.sort.iter().any(|key| usize::from(key.target) >= types.len()) {
                return Err(Error::internal("a sort key is no target"));
            }
            let bound = wanted.and_then(|wanted| usize::try_from(wanted).ok());
            operator = Box::new(Sort::new(operator, &types, query.sort.clone(), bound));
        }
        Ok(if cuts_late { limited(operator, offset, limit) } else { operator })
    }

    /// The targets that are sent.
    pub fn visible(&self) -> Vec<usize> {
        let targets = self.query.targets.iter().enumerate();
        targets.filter(|(_, target)| !target.hidden).map(|(at, _)| at).collect()
    }

    /// The operators of a write; their columns are those of RETURNING.
    ///
    /// # Errors
    /// `XX000` for what the binder would not make.
    pub fn write(&self, hidden_keys: Vec<[u8; 12]>) -> Result<Box<dyn Writer>> {
        let query = self.query;
        let is_plain = query.grouping.is_none()
            && !query.distinct
            && query.sort.is_empty()
            && query.limit.is_none()
            && query.offset.is_none()
            && query.targets.iter().all(|target| !target.hidden);
        let is_insert = matches!(query.command, Command::Insert(_));
        let from_fits = match query.from.as_slice() {
            [] => is_insert && query.filter.is_none(),
            [JoinTree::Relation(0)] => !is_insert,
            _ => false,
        };
        let table = self.tables.first().filter(|_| is_plain && from_fits);
        let table = table.ok_or_else(|| Error::internal("a write of this form is not made"))?;
        let all: Vec<u16> = (1..).take(table.columns.len()).collect();
        if let Command::Insert(insert) = &query.command {
            for row in &insert.rows {
                check_row(table, row)?;
            }
            let shape = self.scan_shape(0, &all)?;
            let returning = self.returning(&shape)?;
            let (query, parameters) = (query.clone(), self.parameters.clone());
            let rows = InsertRows::new(query, parameters, table.clone(), hidden_keys, returning);
            return Ok(Box::new(rows));
        }
        let columns = match &query.command {
            Command::Update { .. } => all,
            _ => columns_of(0, &self.needed()),
        };
        let plan = plan(query)?;
        let Plan::Scan { conditions, .. } = &plan else {
            return Err(Error::internal("a write reads its own table"));
        };
        let shape = self.scan_shape(0, &columns)?;
        let scan = self.scan((0, table), conditions, &columns, (BATCH_ROWS, true))?;
        let change = match &query.command {
            Command::Update { assignments } => self.assignments(table, assignments, &shape)?,
            _ => Change::Delete,
        };
        let returning = self.returning(&shape)?;
        Ok(Box::new(Modify::new(table.clone(), scan, change, returning)))
    }

    fn returning(&self, shape: &Shape) -> Result<Vec<Program>> {
        self.compiler.compile_all(self.query.targets.iter().map(|target| &target.expr), shape)
    }

    fn assignments(
        &self,
        table: &Table,
        assignments: &[(u16, Expr)],
        shape: &Shape,
    ) -> Result<Change> {
        let mut seen = Set::new();
        let mut programs = Vec::with_capacity(assignments.len());
        for (attnum, value) in assignments {
            let column = table.column(*attnum).filter(|_| seen.insert(*attnum));
            if !column.is_some_and(|column| same_form(column.ty, value.ty)) {
                return Err(Error::internal(format!("an assignment to column {attnum}")));
            }
            programs.push((usize::from(*attnum) - 1, self.compiler.compile(value, shape)?));
        }
        Ok(Change::Update(programs))
    }

    /// What grouping, or else the targets, read.
    fn needed(&self) -> Set<Source> {
        match &self.query.grouping {
            None => Source::of_all(self.query.targets.iter().map(|target| &target.expr)),
            Some(grouping) => {
                let of_aggregates = grouping
                    .aggregates
                    .iter()
                    .flat_map(|aggregate| aggregate.arguments.iter().chain(&aggregate.filter));
                Source::of_all(grouping.keys.iter().chain(of_aggregates))
            }
        }
    }

    fn rows(&self, plan: &Plan<'_>, needed: &Set<Source>, first_rows: usize) -> Result<Built> {
        match plan {
            Plan::OneRow => Ok((Box::new(OneRow::default()), Shape::default())),
            Plan::Scan { relation, conditions } => {
                let table = self.tables.get(usize::from(*relation));
                let table = table.ok_or_else(|| Error::internal("a relation without a table"))?;
                let columns = columns_of(*relation, needed);
                let shape = self.scan_shape(*relation, &columns)?;
                let how = (first_rows, false);
                let scan = self.scan((*relation, table), conditions, &columns, how)?;
                Ok((Box::new(scan), shape))
            }
            Plan::Filter { input, conditions } => {
                let mut below = Source::of_all(conditions.iter().copied());
                below.extend(needed);
                let (input, shape) = self.rows(input, &below, BATCH_ROWS)?;
                let conditions = self.conditions(conditions, &shape)?;
                Ok((Box::new(Filter::new(input, conditions)), shape))
            }
            Plan::Join { kind, left, right, keys, residual } => {
                self.join(*kind, (left, right), keys, residual, needed)
            }
        }
    }

    fn conditions(&self, conditions: &[&Expr], shape: &Shape) -> Result<Vec<Program>> {
        conditions.iter().map(|condition| self.compiler.condition(condition, shape)).collect()
    }

    fn join(
        &self,
        kind: JoinKind,
        (left, right): (&Plan<'_>, &Plan<'_>),
        keys: &[(&Expr, &Expr)],
        residual: &[&Expr],
        needed: &Set<Source>,
    ) -> Result<Built> {
        let of_pairs = Source::of_all(residual.iter().copied());
        let mut below = Source::of_all(keys.iter().flat_map(|(left, right)| [*left, *right]));
        below.extend(&of_pairs);
        below.extend(needed);
        let (left, left_shape) = self.rows(left, &below, BATCH_ROWS)?;
        let (right, right_shape) = self.rows(right, &below, BATCH_ROWS)?;
        let sides = Sides { left: &left_shape, right: &right_shape };
        let (residual_shape, residual_columns) = sides.of(&of_pairs);
        let (shape, output) = sides.of(needed);
        let left_keys = keys.iter().map(|(left, _)| *left);
        let right_keys = keys.iter().map(|(_, right)| *right);
        let join = HashJoin::new(JoinParts {
            kind,
            left_keys: self.compiler.compile_all(left_keys, &left_shape)?,
            right_keys: self.compiler.compile_all(right_keys, &right_shape)?,
            left,
            right,
            right_types: right_shape.types().to_vec(),
            residual: self.conditions(residual, &residual_shape)?,
            residual_columns,
            output,
        });
        Ok((Box::new(join), shape))
    }

    fn group(&self, grouping: &Grouping, input: Box<dyn Operator>, shape: &Shape) -> Result<Built> {
        let keys = self.compiler.compile_all(&grouping.keys, shape)?;
        let mut groups = Shape::default();
        for (at, key) in (0..).zip(&grouping.keys) {
            groups.push(Source::GroupKey(at), key.ty);
        }
        let mut aggregates = Vec::with_capacity(grouping.aggregates.len());
        for (at, aggregate) in (0..).zip(&grouping.aggregates) {
            groups.push(Source::Aggregate(at), aggregate.ty);
            aggregates.push(self.aggregate(aggregate, shape)?);
        }
        let operator: Box<dyn Operator> = Box::new(HashAggregate::new(input, keys, aggregates));
        let Some(having) = &grouping.having else { return Ok((operator, groups)) };
        let having = vec![self.compiler.condition(having, &groups)?];
        Ok((Box::new(Filter::new(operator, having)), groups))
    }

    fn aggregate(&self, aggregate: &Aggregate, shape: &Shape) -> Result<Aggregator> {
        let row = phantom_agg::aggregate(aggregate.procedure).filter(|row| {
            let takes = |(wanted, given): (&TypeId, &Expr)| {
                *wanted == TypeId::ANY || same_form(*wanted, given.ty)
            };
            row.args.len() == aggregate.arguments.len()
                && row.args.len() <= 1
                && row.args.iter().zip(&aggregate.arguments).all(takes)
                && same_form(row.ret, aggregate.ty)
        });
        let row = row.ok_or_else(|| {
            Error::internal(format!("aggregate {} is not called so", aggregate.procedure))
        })?;
        let argument = match aggregate.arguments.first() {
            None => None,
            Some(argument) => Some(self.compiler.compile(argument, shape)?),
        };
        let filter = match &aggregate.filter {
            None => None,
            Some(filter) => Some(self.compiler.condition(filter, shape)?),
        };
        Ok(Aggregator::new(States::new(row), argument, filter, aggregate.distinct))
    }

    fn scan_shape(&self, relation: u16, columns: &[u16]) -> Result<Shape> {
        let mut shape = Shape::default();
        for attnum in columns {
            let table = self.tables.get(usize::from(relation));
            let column = table.and_then(|table| table.column(*attnum)).ok_or_else(|| {
                Error::internal(format!("relation {relation} has no column {attnum}"))
            })?;
            shape.push(Source::Column(relation, *attnum), column.ty);
        }
        Ok(shape)
    }

    fn scan(
        &self,
        (relation, table): (u16, &Arc<Table>),
        conditions: &[&Expr],
        columns: &[u16],
        (first_rows, with_identity): (usize, bool),
    ) -> Result<Scan> {
        let read = Source::of_all(conditions.iter().copied());
        let filter_columns = columns_of(relation, &read);
        let shape = self.scan_shape(relation, &filter_columns)?;
        let filter = self.conditions(conditions, &shape)?;
        let access: Access = access(table, relation, conditions, &self.compiler);
        let places = |columns: &[u16]| columns.iter().map(|at| usize::from(*at) - 1).collect();
        Ok(Scan::new(ScanParts {
            table: table.clone(),
            access,
            filter_columns: places(&filter_columns),
            filter,
            output: places(columns),
            first_rows,
            with_identity,
        }))
    }

    /// The value of LIMIT or OFFSET; NULL is none.
    fn row_count(&self, expr: Option<&Expr>, clause: Clause) -> Result<Option<u64>> {
        let Some(expr) = expr else { return Ok(None) };
        if expr.ty != TypeId::INT8 {
            return Err(Error::internal("a row count is bigint"));
        }
        let mut program = self.compiler.compile(expr, &Shape::default())?;
        let one = Batch::new(Vec::new(), 1);
        let value = program.run(one.columns(), one.selection(), self.compiler.eval)?.datum(0);
        let Some(count) = value.as_i64() else { return Ok(None) };
        u64::try_from(count).map(Some).map_err(|_| match clause {
            Clause::Limit => Error::new(
                sqlstate::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
                "LIMIT must not be negative",
            ),
            Clause::Offset => Error::new(
                sqlstate::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE,
                "OFFSET must not be negative",
            ),
        })
    }
}

#[derive(Clone, Copy)]
enum Clause {
    Limit,
    Offset,
}

/// The two shapes of a join.
struct Sides<'a> {
    left: &'a Shape,
    right: &'a Shape,
}

impl Sides<'_> {
    /// The columns of a set of sources; what neither side has is left to the compiler to refuse.
    fn of(&self, wanted: &Set<Source>) -> (Shape, Vec<Side>) {
        let (mut shape, mut columns) = (Shape::default(), Vec::new());
        for source in wanted {
            if let Ok((at, ty)) = self.left.find(*source) {
                shape.push(*source, ty);
                columns.push(Side::Left(at));
            } else if let Ok((at, ty)) = self.right.find(*source) {
                shape.push(*source, ty);
                columns.push(Side::Right(at));
            }
        }
        (shape, columns)
    }
}

/// The columns of a relation that are read, in order.
fn columns_of(relation: u16, needed: &Set<Source>) -> Vec<u16> {
    let column = |source: &Source| match source {
        Source::Column(of, attnum) if *of == relation => Some(*attnum),
        _ => None,
    };
    needed.iter().filter_map(column).collect()
}

fn limited(input: Box<dyn Operator>, offset: u64, limit: Option<u64>) -> Box<dyn Operator> {
    if offset == 0 && limit.is_none() {
        return input;
    }
    Box::new(Limit::new(input, offset, limit))
}

fn check_row(table: &Table, row: &[Expr]) -> Result<()> {
    let fits = row.len() == table.columns.len()
        && row.iter().zip(&table.columns).all(|(expr, column)| same_form(expr.ty, column.ty));
    if fits { Ok(()) } else { Err(Error::internal("a row of INSERT does not fit its table")) }
}
