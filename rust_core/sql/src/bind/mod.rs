//! The binder: PostgreSQL's syntax tree to a bound query, after PostgreSQL's rules.
//!
//! - Names are looked up in one catalog snapshot; what it resolved to is recorded by OID and
//!   descriptor version, so that a plan knows what it rests on.
//! - Overloads, implicit casts, unknown literals and parameter types are resolved as PostgreSQL's
//!   parser does (its chapter "Type Conversion"); error texts, codes and positions equal its own.
//! - What the grammar has and this release does not is `0A000` and names the construct.
//! - Binding is pure: text, snapshot and settings in, a statement out. It recurses, so it runs on
//!   the parse pool.

mod builtin;
mod coerce;
mod collation;
mod comparison;
mod ddl;
mod expression;
mod fold;
mod foreign;
mod from;
mod function;
mod grouping;
#[cfg(test)]
mod hostile;
mod names;
mod operator;
mod scope;
mod select;
mod split;
#[cfg(test)]
mod tests;
mod utility;
mod words;
mod write;

use pg_query::protobuf::node::Node;
use phantom_base::sync::Arc;
use phantom_base::{Error, Map, Result, sqlstate};
use phantom_types::{EvalContext, Meter, TypeId};

use crate::bound::{Aggregate, Expr, ExprKind, Query, Relation, depth};
use crate::catalog::CatalogSnapshot;
use crate::parse;
use crate::settings::Settings;
use crate::statement::{Body, Planned, Prepared, ResultColumn};
use scope::Scope;
pub use split::{Piece, Splitter, split};

/// How many parts of expressions one statement may have twice: IN, BETWEEN and CASE repeat operands,
/// and where these repeat theirs a short text would become a tree without end.
const COPIES_MAX: usize = 1 << 18;

/// What binding rests on.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The catalog.
    pub catalog: &'a CatalogSnapshot,
    /// The session's settings.
    pub settings: &'a Settings,
    /// The role that the session runs as.
    pub role: &'a str,
    /// The time of the statement and the formats of the session, for literals.
    pub eval: &'a EvalContext,
}

/// Parses and binds one statement.
///
/// `parameter_types` are the types that the client declared for `$1`, `$2`, ..; 0 is "infer".
///
/// # Errors
/// Everything that PostgreSQL's parser and analyser answer; `42601` for several statements.
pub fn prepare(text: &str, parameter_types: &[u32], context: Context<'_>) -> Result<Prepared> {
    let mut statements = parse::parse(text)?.into_iter();
    let Some(statement) = statements.next() else {
        let parameters = Binder::new(text, parameter_types, context)?.finish_parameters()?;
        return Ok(Prepared::new(text, Body::Empty, parameters, Vec::new()));
    };
    if statements.next().is_some() {
        return Err(Error::new(
            sqlstate::SYNTAX_ERROR,
            "cannot insert multiple commands into a prepared statement",
        ));
    }
    let eval = EvalContext { meter: Meter::folding(), ..context.eval.clone() };
    let context = Context { eval: &eval, ..context };
    let mut binder = Binder::new(text, parameter_types, context)?;
    let (body, columns) = binder.statement(&statement.node)?;
    if let Bound::Query(query) = &body {
        binder.check_parameters(query)?;
    }
    let parameters = binder.finish_parameters()?;
    let mut plan_error = None;
    let body = match body {
        Bound::Query(mut query) => {
            query.parameters.clone_from(&parameters);
            collation::strip(&mut query);
            plan_error = fold::fold_query(&mut query, &eval).err();
            depth::bound(&mut query)?;
            let tables = query.relations.iter().map(|relation| {
                let table = context.catalog.table_by_oid(relation.table);
                table.cloned().expect("the binder found it in this snapshot")
            });
            let tables = tables.collect();
            Body::Query(Arc::new(Planned::new(*query, tables)))
        }
        Bound::Other(body) => body,
    };
    let prepared = Prepared::new(text, body, parameters, columns);
    let search_path = Arc::from(context.settings.search_path_text());
    Ok(Prepared { of_the_moment: binder.of_the_moment, plan_error, search_path, ..prepared })
}

/// A statement that was bound, its parameters perhaps not yet.
enum Bound {
    /// A query.
    Query(Box<Query>),
    /// Anything else.
    Other(Body),
}

/// A statement and the columns of its result.
type BoundStatement = (Bound, Vec<ResultColumn>);

/// The state of binding one statement.
struct Binder<'a> {
    text: &'a str,
    context: Context<'a>,
    /// The types of the parameters that were seen or declared; `None` is not yet known.
    parameters: Vec<Option<TypeId>>,
    relations: Vec<Relation>,
    scope: Scope,
    /// Aggregates of the query, as they are met; equal ones stand once.
    aggregates: Vec<Aggregate>,
    /// Where aggregates may not stand, the clause to name; else `None`.
    no_aggregates_in: Option<&'static str>,
    /// Whether an aggregate's argument is being bound: they do not nest.
    inside_aggregate: bool,
    /// Where each column was first referred to, in bytes, for errors that are found later.
    first_use: Map<(u16, u16), i32>,
    /// Whether a literal was read that speaks of the present.
    of_the_moment: bool,
    /// Parts of expressions that were copied.
    copied: usize,
}

impl<'a> Binder<'a> {
    fn new(text: &'a str, declared: &[u32], context: Context<'a>) -> Result<Self> {
        let mut parameters = Vec::with_capacity(declared.len());
        for oid in declared {
            parameters.push(declared_type(*oid)?);
        }
        Ok(Self {
            text,
            context,
            parameters,
            relations: Vec::new(),
            scope: Scope::default(),
            aggregates: Vec::new(),
            no_aggregates_in: None,
            inside_aggregate: false,
            first_use: Map::new(),
            of_the_moment: false,
            copied: 0,
        })
    }

    /// Adds field P for a byte offset of the text, unless the error has one.
    fn at<T>(&self, location: i32, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.located(location, error))
    }

    fn located(&self, location: i32, error: Error) -> Error {
        if error.position != 0 {
            return error;
        }
        error.with_position(parse::position_of(self.text, location))
    }

    #[track_caller]
    fn error(
        &self,
        code: phantom_base::SqlState,
        location: i32,
        message: impl Into<String>,
    ) -> Error {
        self.located(location, Error::new(code, message))
    }

    #[track_caller]
    fn unsupported(&self, location: i32, what: impl Into<String>) -> Error {
        self.located(location, Error::unsupported(what))
    }

    /// An operand once more.
    ///
    /// # Errors
    /// `54001` past `COPIES_MAX`.
    fn copy(&mut self, expr: &Expr) -> Result<Expr> {
        self.copied = self.copied.saturating_add(expr.size());
        if self.copied <= COPIES_MAX {
            return Ok(expr.clone());
        }
        let message = "the statement is too complex";
        Err(Error::new(sqlstate::STATEMENT_TOO_COMPLEX, message)
            .with_detail("Its IN, BETWEEN and CASE repeat operands that repeat theirs.")
            .with_hint("Compare columns instead of such expressions."))
    }

    fn statement(&mut self, node: &Node) -> Result<BoundStatement> {
        match node {
            Node::SelectStmt(select) => self.select_statement(select),
            Node::InsertStmt(insert) => self.insert_statement(insert),
            Node::UpdateStmt(update) => self.update_statement(update),
            Node::DeleteStmt(delete) => self.delete_statement(delete),
            Node::CreateStmt(create) => Ok((Bound::Other(self.create_table(create)?), Vec::new())),
            Node::DropStmt(drop) => Ok((Bound::Other(self.drop_table(drop)?), Vec::new())),
            other => Self::utility_statement(other),
        }
    }

    /// Whether each parameter has its type wherever it stands: it may have got one elsewhere, after
    /// it stood where any type does (`$1 IS NULL`).
    fn check_parameters(&self, query: &Query) -> Result<()> {
        let mut untyped = None;
        query.for_each_expr(&mut |expr| {
            expr.any(&mut |expr| {
                if let ExprKind::Param(index) = expr.kind
                    && expr.ty == TypeId::UNKNOWN
                {
                    untyped = untyped.or(Some((index, expr.typmod)));
                }
                untyped.is_some()
            });
        });
        let Some((index, location)) = untyped else { return Ok(()) };
        if self.parameters.get(usize::from(index)).copied().flatten().is_none() {
            return Ok(()); // It has none at all, which is another error.
        }
        let message = format!("could not determine data type of parameter ${}", index + 1);
        Err(self.error(sqlstate::AMBIGUOUS_PARAMETER, location, message))
    }

    /// The types of all parameters, once the statement is bound.
    fn finish_parameters(&mut self) -> Result<Vec<TypeId>> {
        let mut types = Vec::with_capacity(self.parameters.len());
        for (at, ty) in self.parameters.iter().enumerate() {
            types.push(ty.ok_or_else(|| {
                Error::new(
                    sqlstate::INDETERMINATE_DATATYPE,
                    format!("could not determine data type of parameter ${}", at + 1),
                )
            })?);
        }
        Ok(types)
    }
}

/// The type that a client declared for a parameter; `None` is left to the statement.
fn declared_type(oid: u32) -> Result<Option<TypeId>> {
    match TypeId::from_oid(oid) {
        Some(TypeId::UNKNOWN) => Ok(None),
        Some(ty) if ty.is_pseudo() => {
            let message = format!("cannot accept a value of type {}", ty.name());
            Err(Error::new(sqlstate::FEATURE_NOT_SUPPORTED, message))
        }
        Some(ty) => Ok(Some(ty)),
        None if oid == 0 => Ok(None),
        None => Err(Error::unsupported(match foreign::type_of_oid(oid) {
            Some(name) => format!("type {name}"),
            None => format!("type with OID {oid}"),
        })),
    }
}

/// The node inside a boxed child of the tree.
fn inner(node: Option<&pg_query::protobuf::Node>) -> Option<&Node> {
    node.and_then(|node| node.node.as_ref())
}

/// The text of a String node.
fn string_of(node: &pg_query::protobuf::Node) -> Option<&str> {
    match node.node.as_ref()? {
        Node::String(text) => Some(&text.sval),
        _ => None,
    }
}

/// The texts of a list of String nodes; others are left out.
fn strings_of(nodes: &[pg_query::protobuf::Node]) -> Vec<&str> {
    nodes.iter().filter_map(string_of).collect()
}
