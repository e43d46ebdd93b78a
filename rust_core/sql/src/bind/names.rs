//! Names: the database, system catalogs that are absent, columns, and what PostgreSQL calls a
//! result column that has no name.

use pg_query::protobuf::node::Node;
use pg_query::protobuf::{self, AExprKind, MinMaxOp, SqlValueFunctionOp};
use phantom_base::{Error, Result, sqlstate};

use super::{Binder, foreign, inner, strings_of};
use crate::bound::Expr;

/// The one database.
pub(super) const DATABASE: &str = "postgres";

/// Columns that PostgreSQL gives every table, and this release does not show.
pub(super) const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"];

/// Refuses a relation of a system catalog by its name: it is absent, not empty.
pub(super) fn refuse_system_catalog(schema: &str, name: &str) -> Result<()> {
    // The catalogs stand in front of every search path.
    let schema = if schema == "public" { "pg_catalog" } else { schema };
    let is_storage = (schema == "pg_toast" && name.starts_with("pg_toast_"))
        || (schema == "pg_catalog" && name.starts_with("pg_") && name.ends_with("_index"));
    if is_storage || foreign::is_system_relation(schema, name) {
        return Err(Error::unsupported(format!("system catalog {schema}.{name}")));
    }
    Ok(())
}

/// The schema, if one is written, and the name of what a qualified name means.
///
/// # Errors
/// `0A000` for another database, `42601` for too many names.
pub(super) fn qualified<'a>(words: &[&'a str]) -> Result<(Option<&'a str>, &'a str)> {
    match *words {
        [name] => Ok((None, name)),
        [schema, name] | [DATABASE, schema, name] => Ok((Some(schema), name)),
        [_, _, _] => {
            let shown = words.join(".");
            let message = format!("cross-database references are not implemented: {shown}");
            Err(Error::new(sqlstate::FEATURE_NOT_SUPPORTED, message))
        }
        _ => {
            let shown = words.join(".");
            let message = format!("improper qualified name (too many dotted names): {shown}");
            Err(Error::new(sqlstate::SYNTAX_ERROR, message))
        }
    }
}

/// Whether a schema exists. `3F000` for one that does not.
pub(super) fn check_schema(schema: &str) -> Result<()> {
    if matches!(schema, "pg_catalog" | "information_schema" | "pg_toast" | "public") {
        return Ok(());
    }
    let message = format!("schema \"{schema}\" does not exist");
    Err(Error::new(sqlstate::INVALID_SCHEMA_NAME, message))
}

impl Binder<'_> {
    /// A column by the fields of its reference.
    pub(super) fn column_reference(&mut self, column: &protobuf::ColumnRef) -> Result<Expr> {
        let fields = strings_of(&column.fields);
        if fields.len() != column.fields.len() {
            return Err(self.error(
                sqlstate::SYNTAX_ERROR,
                column.location,
                "row expansion via \"*\" is not supported here",
            ));
        }
        let bound = match fields.as_slice() {
            [name] => self.bare_column(name),
            [table, name] => self.qualified_column(None, table, name),
            [schema, table, name] => self.qualified_column(Some(schema), table, name),
            _ => Err(Error::new(
                sqlstate::SYNTAX_ERROR,
                format!("improper qualified name (too many dotted names): {}", fields.join(".")),
            )),
        };
        let bound = self.at(column.location, bound)?;
        if let crate::bound::ExprKind::Column { relation, attnum } = bound.kind {
            self.first_use.entry((relation, attnum)).or_insert(column.location);
        }
        Ok(bound)
    }

    fn bare_column(&self, name: &str) -> Result<Expr> {
        if let Some(found) = self.scope.bare(name)? {
            return Ok(found);
        }
        if SYSTEM_COLUMNS.contains(&name) && !self.scope.items.is_empty() {
            return Err(Error::unsupported(format!("system column \"{name}\"")));
        }
        if self.scope.item(name).is_some() {
            return Err(Error::unsupported(format!("whole-row reference to \"{name}\"")));
        }
        let message = format!("column \"{name}\" does not exist");
        Err(Error::new(sqlstate::UNDEFINED_COLUMN, message))
    }

    fn qualified_column(&self, schema: Option<&str>, table: &str, name: &str) -> Result<Expr> {
        let item = self.scope.item(table).filter(|item| {
            schema.is_none_or(|schema| schema == item.table.schema && !item.aliased)
        });
        let Some(item) = item else {
            let hidden =
                self.scope.items.iter().find(|item| item.aliased && item.table.name == table);
            return Err(match hidden {
                Some(hidden) => Error::new(
                    sqlstate::UNDEFINED_TABLE,
                    format!("invalid reference to FROM-clause entry for table \"{table}\""),
                )
                .with_hint(format!(
                    "Perhaps you meant to reference the table alias \"{}\".",
                    hidden.name
                )),
                None => Error::new(
                    sqlstate::UNDEFINED_TABLE,
                    format!("missing FROM-clause entry for table \"{table}\""),
                ),
            });
        };
        self.scope.qualified(item, name).ok_or_else(|| {
            if SYSTEM_COLUMNS.contains(&name) {
                return Error::unsupported(format!("system column \"{table}.{name}\""));
            }
            let message = format!("column {table}.{name} does not exist");
            Error::new(sqlstate::UNDEFINED_COLUMN, message)
        })
    }
}

/// The name of an unnamed result column (PostgreSQL's `FigureColname`).
pub(super) fn column_name(node: &Node) -> String {
    figure(node).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// A name and whether it is a strong one; a cast gives its type's name only where its operand has
/// no strong one.
fn figure(node: &Node) -> Option<(String, bool)> {
    let strong = |name: &str| Some((name.to_owned(), true));
    match node {
        Node::ColumnRef(column) => strings_of(&column.fields).last().and_then(|name| strong(name)),
        Node::FuncCall(call) => strings_of(&call.funcname).last().and_then(|name| strong(name)),
        Node::AExpr(expr) if expr.kind() == AExprKind::AexprNullif => strong("nullif"),
        Node::TypeCast(cast) => {
            let operand = inner(cast.arg.as_deref()).and_then(figure);
            if operand.as_ref().is_some_and(|(_, strong)| *strong) {
                return operand;
            }
            let names = cast.type_name.as_ref().map(|ty| strings_of(&ty.names)).unwrap_or_default();
            names.last().map(|name| ((*name).to_owned(), false))
        }
        Node::CollateClause(collate) => inner(collate.arg.as_deref()).and_then(figure),
        Node::CaseExpr(case) => {
            let otherwise = inner(case.defresult.as_deref()).and_then(figure);
            if otherwise.as_ref().is_some_and(|(_, strong)| *strong) {
                return otherwise;
            }
            Some(("case".to_owned(), false))
        }
        Node::CoalesceExpr(_) => strong("coalesce"),
        Node::MinMaxExpr(extreme) => {
            strong(if extreme.op() == MinMaxOp::IsGreatest { "greatest" } else { "least" })
        }
        Node::SqlvalueFunction(function) => strong(sql_value_function_name(function.op())),
        _ => None,
    }
}

/// The name of a function that is written without brackets.
pub(super) fn sql_value_function_name(op: SqlValueFunctionOp) -> &'static str {
    match op {
        SqlValueFunctionOp::SvfopCurrentDate => "current_date",
        SqlValueFunctionOp::SvfopCurrentTime | SqlValueFunctionOp::SvfopCurrentTimeN => {
            "current_time"
        }
        SqlValueFunctionOp::SvfopCurrentTimestamp | SqlValueFunctionOp::SvfopCurrentTimestampN => {
            "current_timestamp"
        }
        SqlValueFunctionOp::SvfopLocaltime | SqlValueFunctionOp::SvfopLocaltimeN => "localtime",
        SqlValueFunctionOp::SvfopLocaltimestamp | SqlValueFunctionOp::SvfopLocaltimestampN => {
            "localtimestamp"
        }
        SqlValueFunctionOp::SvfopCurrentRole => "current_role",
        SqlValueFunctionOp::SvfopCurrentUser => "current_user",
        SqlValueFunctionOp::SvfopUser => "user",
        SqlValueFunctionOp::SvfopSessionUser => "session_user",
        SqlValueFunctionOp::SvfopCurrentCatalog => "current_catalog",
        SqlValueFunctionOp::SvfopCurrentSchema => "current_schema",
        SqlValueFunctionOp::SqlvalueFunctionOpUndefined => "?column?",
    }
}
