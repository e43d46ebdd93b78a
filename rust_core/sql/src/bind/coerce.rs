//! Types of expressions: literals and parameters that take one, casts, the common type of several.

use pg_query::protobuf;
use pg_query::protobuf::a_const::Val;
use pg_query::protobuf::node::Node;
use phantom_base::{Error, Result, sqlstate};
pub(super) use phantom_types::catalog::CastContext as Context;
use phantom_types::catalog::{self, CastHow};
use phantom_types::{Datum, NO_TYPMOD, TypeId, format};

use super::collation::is_collatable;
use super::names::{check_schema, qualified};
use super::{Binder, foreign, inner, strings_of};
use crate::bound::{Expr, ExprKind};

/// How a cast is done.
enum Method {
    /// By a function.
    Call(u32),
    /// By another name for the same bytes.
    Relabel,
    /// By printing and reading.
    ByText,
}

/// Whether a value of one type becomes one of another in a context.
pub(super) fn can_coerce(from: TypeId, to: TypeId, context: Context) -> bool {
    if let Some(takes) = foreign::takes(to, from) {
        return takes;
    }
    from == to
        || from == TypeId::UNKNOWN
        || to == TypeId::ANY
        || method(from, to, context).is_some()
}

/// Whether an explicit cast changes the name of the type alone, or goes by text.
pub(super) fn casts_without_function(from: TypeId, to: TypeId) -> bool {
    from == to
        || matches!(method(from, to, Context::Explicit), Some(Method::Relabel | Method::ByText))
}

fn method(from: TypeId, to: TypeId, context: Context) -> Option<Method> {
    if let Some(row) = catalog::cast(from, to) {
        let method = match row.how {
            CastHow::Binary => Method::Relabel,
            CastHow::Function(oid) => Method::Call(oid),
        };
        return (row.context <= context).then_some(method);
    }
    let needs = catalog::in_out_cast(from, to)?;
    (needs <= context).then_some(Method::ByText)
}

/// Applies a modifier by the type's cast to itself; a type without one has no modifiers.
fn limited(value: Expr, ty: TypeId, typmod: i32, explicit: bool) -> Expr {
    let Some(Method::Call(oid)) = method(ty, ty, Context::Implicit) else { return value };
    let takes = catalog::procedure(oid).map_or(0, |procedure| procedure.args.len());
    let mut arguments = vec![value, Expr::constant(Datum::Int4(typmod), TypeId::INT4)];
    if takes == 3 {
        arguments.push(Expr::constant(Datum::Bool(explicit), TypeId::BOOL));
    }
    Expr { kind: ExprKind::Call(oid, arguments), ty, typmod }
}

impl Binder<'_> {
    /// Brings a value to a type and modifier.
    ///
    /// # Errors
    /// `42846` if no cast does in this context; the input function's error for a bad literal, at
    /// `location`.
    pub(super) fn coerce(
        &mut self,
        value: Expr,
        ty: TypeId,
        typmod: i32,
        context: Context,
        location: i32,
    ) -> Result<Expr> {
        if let ExprKind::Collate(collate, of) = value.kind {
            // What is cast is its operand, which may have had no type yet.
            let of = self.coerce(*of, ty, typmod, context, location)?;
            if !is_collatable(of.ty) {
                return Ok(of);
            }
            let (ty, typmod) = (of.ty, of.typmod);
            return Ok(Expr { kind: ExprKind::Collate(collate, Box::new(of)), ty, typmod });
        }
        let typed = match (&value.kind, value.ty) {
            (_, from) if from == ty || ty == TypeId::ANY => value,
            (ExprKind::Const(_), TypeId::UNKNOWN) => self.literal(value, ty, location)?,
            (ExprKind::Param(index), TypeId::UNKNOWN) => {
                self.typed_parameter(*index, ty, value.typmod)?
            }
            (_, from) => {
                let Some(method) = method(from, ty, context) else {
                    let message =
                        format!("cannot cast type {} to {}", from.sql_name(), ty.sql_name());
                    return Err(self.error(sqlstate::CANNOT_COERCE, location, message));
                };
                let kind = match method {
                    Method::Call(oid) => ExprKind::Call(oid, vec![value]),
                    Method::Relabel => ExprKind::Relabel(Box::new(value)),
                    Method::ByText => ExprKind::CastByText(Box::new(value)),
                };
                Expr { kind, ty, typmod: NO_TYPMOD }
            }
        };
        if typed.typmod == typmod || (typmod == NO_TYPMOD && context != Context::Explicit) {
            return Ok(typed);
        }
        if typmod == NO_TYPMOD {
            // A cast to the type alone forgets the modifier.
            return Ok(Expr { kind: ExprKind::Relabel(Box::new(typed)), ty, typmod });
        }
        Ok(limited(typed, ty, typmod, context == Context::Explicit))
    }

    /// Gives an unknown value the type that PostgreSQL falls back to: text.
    ///
    /// # Errors
    /// `42P08`, at `location`, for a parameter that has got another type since it was bound.
    pub(super) fn settle(&mut self, value: Expr, location: i32) -> Result<Expr> {
        if value.ty != TypeId::UNKNOWN {
            return Ok(value);
        }
        self.coerce(value, TypeId::TEXT, NO_TYPMOD, Context::Implicit, location)
    }

    fn literal(&mut self, value: Expr, ty: TypeId, location: i32) -> Result<Expr> {
        let location = if value.typmod >= 0 { value.typmod } else { location };
        let ExprKind::Const(datum) = value.kind else { unreachable!("the caller matched it") };
        let Datum::Text(text) = datum else { return Ok(Expr::constant(Datum::Null, ty)) };
        let parsed = format::read_literal(ty, NO_TYPMOD, &text, self.context.eval);
        let (datum, of_the_moment) = self.at(location, parsed)?;
        self.of_the_moment |= of_the_moment;
        Ok(Expr::constant(datum, ty))
    }

    /// Gives a parameter that had no type when it was met, at `location`, this one.
    fn typed_parameter(&mut self, index: u16, ty: TypeId, location: i32) -> Result<Expr> {
        let slot =
            self.parameters.get_mut(usize::from(index)).expect("binding a parameter made its slot");
        match slot {
            Some(known) if *known != ty => {
                let known = *known;
                let error = Error::new(
                    sqlstate::AMBIGUOUS_PARAMETER,
                    format!("inconsistent types deduced for parameter ${}", index + 1),
                )
                .with_detail(format!(
                    "{} versus {}",
                    known.sql_name(),
                    ty.sql_name()
                ));
                Err(self.located(location, error))
            }
            slot => {
                *slot = Some(ty);
                Ok(Expr { kind: ExprKind::Param(index), ty, typmod: NO_TYPMOD })
            }
        }
    }

    /// Brings a condition to boolean, naming the clause that wants it.
    pub(super) fn boolean(&mut self, value: Expr, clause: &str, location: i32) -> Result<Expr> {
        if !can_coerce(value.ty, TypeId::BOOL, Context::Implicit) {
            let message = format!(
                "argument of {clause} must be type boolean, not type {}",
                value.ty.sql_name()
            );
            return Err(self.error(sqlstate::DATATYPE_MISMATCH, location, message));
        }
        self.coerce(value, TypeId::BOOL, NO_TYPMOD, Context::Implicit, location)
    }

    /// Brings LIMIT and OFFSET to int8.
    pub(super) fn row_count(&mut self, value: Expr, clause: &str, location: i32) -> Result<Expr> {
        if !can_coerce(value.ty, TypeId::INT8, Context::Assignment) {
            let message = format!(
                "argument of {clause} must be type bigint, not type {}",
                value.ty.sql_name()
            );
            return Err(self.error(sqlstate::DATATYPE_MISMATCH, location, message));
        }
        self.coerce(value, TypeId::INT8, NO_TYPMOD, Context::Assignment, location)
    }

    /// The one type that values of several types come to (CASE, COALESCE, IN, ..).
    ///
    /// # Errors
    /// `42804` at the place of the first value that does not fit those before it.
    pub(super) fn common_type(&self, values: &[(&Expr, i32)], context: &str) -> Result<TypeId> {
        let types = values.iter().map(|(value, location)| (value.ty, *location));
        let mut known = types.filter(|(ty, _)| *ty != TypeId::UNKNOWN);
        let Some((mut chosen, _)) = known.next() else { return Ok(TypeId::TEXT) };
        for (ty, location) in known {
            if ty == chosen {
                continue;
            }
            if ty.category() != chosen.category() {
                let message = format!(
                    "{context} types {} and {} cannot be matched",
                    chosen.sql_name(),
                    ty.sql_name()
                );
                return Err(self.error(sqlstate::DATATYPE_MISMATCH, location, message));
            }
            if !chosen.is_preferred()
                && can_coerce(chosen, ty, Context::Implicit)
                && !can_coerce(ty, chosen, Context::Implicit)
            {
                chosen = ty;
            }
        }
        Ok(chosen)
    }

    /// The type and modifier that a type's name means.
    pub(super) fn type_name(&mut self, name: &protobuf::TypeName) -> Result<(TypeId, i32)> {
        let words = strings_of(&name.names);
        let (schema, word) = qualified(&words)?;
        if let Some(schema) = schema {
            self.at(name.location, check_schema(schema))?;
        }
        let in_catalog = matches!(schema, None | Some("pg_catalog"));
        let found = TypeId::from_name(word)
            .filter(|_| in_catalog)
            .filter(|ty| !matches!(*ty, TypeId::UNKNOWN | TypeId::ANY | TypeId::NAME));
        let is_foreign = in_catalog && foreign::is_foreign_type(word)
            || foreign::is_system_relation(schema.unwrap_or("pg_catalog"), word);
        let shown = match found {
            Some(ty) => ty.sql_name(),
            None => foreign::shown_name(word),
        };
        let (before, behind) = match name {
            _ if name.pct_type => ("", "%TYPE"),
            _ if name.setof => ("SETOF ", ""),
            _ if !name.array_bounds.is_empty() => ("", "[]"),
            _ => ("", ""),
        };
        let is_of_type = !before.is_empty() || !behind.is_empty();
        match found {
            Some(ty) if !is_of_type => Ok((ty, self.type_modifier(ty, name)?)),
            None if !is_foreign && !name.pct_type => {
                let message = format!("type \"{}{behind}\" does not exist", words.join("."));
                Err(self.error(sqlstate::UNDEFINED_OBJECT, name.location, message))
            }
            _ => Err(self.unsupported(name.location, format!("type {before}{shown}{behind}"))),
        }
    }

    /// What stands in brackets behind a type's name: numbers, or texts and names, which are read as
    /// numbers.
    fn type_modifier(&mut self, ty: TypeId, name: &protobuf::TypeName) -> Result<i32> {
        let mut modifiers = Vec::with_capacity(name.typmods.len());
        for modifier in &name.typmods {
            let text = match inner(Some(modifier)) {
                Some(Node::AConst(constant)) if !constant.isnull => match &constant.val {
                    None => Some("0".to_owned()),
                    Some(Val::Ival(value)) => Some(value.ival.to_string()),
                    Some(Val::Fval(value)) => Some(value.fval.clone()),
                    Some(Val::Sval(value)) => Some(value.sval.clone()),
                    Some(Val::Boolval(_) | Val::Bsval(_)) => None,
                },
                Some(Node::ColumnRef(column)) => match strings_of(&column.fields).as_slice() {
                    [word] if column.fields.len() == 1 => Some((*word).to_owned()),
                    _ => None,
                },
                _ => None,
            };
            let Some(text) = text else {
                let message = "type modifiers must be simple constants or identifiers";
                return Err(self.error(sqlstate::SYNTAX_ERROR, name.location, message));
            };
            modifiers.push(text);
        }
        // A type without modifiers refuses them before it looks at them.
        let are_read = matches!(ty, TypeId::NUMERIC | TypeId::VARCHAR | TypeId::TIMESTAMPTZ);
        let mut numbers = Vec::with_capacity(modifiers.len());
        for text in modifiers {
            let number = if are_read {
                let read = format::read_literal(TypeId::INT4, NO_TYPMOD, &text, self.context.eval);
                self.at(name.location, read)?.0
            } else {
                Datum::Int4(0)
            };
            let Datum::Int4(number) = number else { unreachable!("an int4 was read") };
            numbers.push(number);
        }
        self.at(name.location, ty.pack_typmod(&numbers))
    }
}
