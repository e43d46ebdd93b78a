//! Function calls: ordinary functions, aggregates, and the few that are constants of a session.

use pg_query::protobuf;
use phantom_base::{Error, Result, sqlstate};
use phantom_types::{Datum, NO_TYPMOD, TypeId, catalog};

use super::coerce::{Context, can_coerce};
use super::expression::location_of;
use super::operator::{choose, chosen_is_ambiguous};
use super::{Binder, builtin, inner, strings_of};
use crate::bound::{Aggregate, Expr, ExprKind};

impl Binder<'_> {
    /// Binds `name(..)`.
    pub(super) fn function_call(&mut self, call: &protobuf::FuncCall) -> Result<Expr> {
        let words = strings_of(&call.funcname);
        let name = match words.as_slice() {
            [name] | ["pg_catalog", name] => (*name).to_owned(),
            ["public", name] => return Err(self.no_function_in_public(name, call)?),
            [schema, ..] => {
                let message = format!("schema \"{schema}\" does not exist");
                return Err(self.error(sqlstate::INVALID_SCHEMA_NAME, call.location, message));
            }
            [] => return Err(self.unsupported(call.location, "a call without a name")),
        };
        if call.over.is_some() {
            return Err(self.unsupported(call.location, "a window function"));
        }
        if call.func_variadic {
            return Err(self.unsupported(call.location, "a VARIADIC argument"));
        }
        if call.agg_within_group {
            return Err(self.unsupported(call.location, "WITHIN GROUP"));
        }
        if builtin::aggregates(&name).next().is_some() {
            return self.aggregate_call(&name, call);
        }
        if call.agg_star
            || call.agg_distinct
            || call.agg_filter.is_some()
            || !call.agg_order.is_empty()
        {
            if call.agg_star {
                self.call_by_name(&name, Vec::new(), call.location)?;
            }
            let clause = if call.agg_star {
                format!("{name}(*) specified, but {name} is not an aggregate function")
            } else if call.agg_distinct {
                format!("DISTINCT specified, but {name} is not an aggregate function")
            } else if call.agg_filter.is_some() {
                format!("FILTER specified, but {name} is not an aggregate function")
            } else {
                format!("ORDER BY specified, but {name} is not an aggregate function")
            };
            return Err(self.error(sqlstate::WRONG_OBJECT_TYPE, call.location, clause));
        }
        let mut arguments = Vec::with_capacity(call.args.len());
        for argument in &call.args {
            arguments.push(self.child(Some(argument))?);
        }
        if name == "substring" && matches!(arguments.as_slice(), [_, what] if is_pattern(what)) {
            return Err(self.unsupported(call.location, "substring by a regular expression"));
        }
        if name == "current_schema" && arguments.is_empty() {
            // There is one schema to be current.
            return Ok(Expr::constant("public".into(), TypeId::NAME));
        }
        self.call_by_name(&name, arguments, call.location)
    }

    /// Users' functions would be in `public`; there are none.
    fn no_function_in_public(&mut self, name: &str, call: &protobuf::FuncCall) -> Result<Error> {
        let mut types = Vec::with_capacity(call.args.len());
        for argument in &call.args {
            types.push(self.child(Some(argument))?.ty);
        }
        Ok(self.no_function(&format!("public.{name}"), &types, false, false, call.location))
    }

    /// Chooses among the functions of a name and brings the arguments to its types.
    pub(super) fn call_by_name(
        &mut self,
        name: &str,
        arguments: Vec<Expr>,
        location: i32,
    ) -> Result<Expr> {
        let types: Vec<TypeId> = arguments.iter().map(|argument| argument.ty).collect();
        let candidates: Vec<_> = catalog::procedures_named(name).collect();
        let signatures: Vec<Vec<TypeId>> =
            candidates.iter().map(|row| builtin::signature(row, types.len())).collect();
        let Some(row) = choose(&types, &signatures).and_then(|at| candidates.get(at)) else {
            if let Some(cast) = self.call_as_cast(name, &arguments, location)? {
                return Ok(cast);
            }
            let ambiguous = chosen_is_ambiguous(&types, &signatures);
            return Err(self.no_function(name, &types, candidates.is_empty(), ambiguous, location));
        };
        let wanted = builtin::signature(row, types.len());
        let mut coerced = Vec::with_capacity(arguments.len());
        for (argument, ty) in arguments.into_iter().zip(wanted) {
            let argument =
                if ty == TypeId::ANY { self.settle(argument, location)? } else { argument };
            coerced.push(self.coerce(argument, ty, NO_TYPMOD, Context::Implicit, location)?);
        }
        let kind = ExprKind::Call(row.oid, coerced);
        Ok(self.fold(Expr { kind, ty: row.ret, typmod: NO_TYPMOD }))
    }

    /// `int4('5')`: a call of a type's name with one argument is a cast.
    fn call_as_cast(
        &mut self,
        name: &str,
        arguments: &[Expr],
        location: i32,
    ) -> Result<Option<Expr>> {
        let [argument] = arguments else { return Ok(None) };
        let Some(ty) = TypeId::from_name(name) else { return Ok(None) };
        if matches!(ty, TypeId::UNKNOWN | TypeId::ANY)
            || !can_coerce(argument.ty, ty, Context::Explicit)
        {
            return Ok(None);
        }
        let argument = self.copy(argument)?;
        self.coerce(argument, ty, NO_TYPMOD, Context::Explicit, location).map(Some)
    }

    fn no_function(
        &self,
        name: &str,
        types: &[TypeId],
        unheard_of: bool,
        ambiguous: bool,
        location: i32,
    ) -> Error {
        if unheard_of && builtin::is_foreign_function(name) {
            return self.unsupported(location, format!("function {name}"));
        }
        let shown: Vec<&str> = types.iter().map(|ty| ty.sql_name()).collect();
        let shown = format!("{name}({})", shown.join(", "));
        let error = if ambiguous {
            Error::new(sqlstate::AMBIGUOUS_FUNCTION, format!("function {shown} is not unique"))
                .with_hint(
                    "Could not choose a best candidate function. You might need to add explicit type casts.",
                )
        } else {
            Error::new(sqlstate::UNDEFINED_FUNCTION, format!("function {shown} does not exist"))
                .with_hint(
                    "No function matches the given name and argument types. You might need to add explicit type casts.",
                )
        };
        self.located(location, error)
    }

    fn aggregate_call(&mut self, name: &str, call: &protobuf::FuncCall) -> Result<Expr> {
        if let Some(clause) = self.no_aggregates_in {
            let message = format!("aggregate functions are not allowed in {clause}");
            return Err(self.error(sqlstate::GROUPING_ERROR, call.location, message));
        }
        if self.inside_aggregate {
            let message = "aggregate function calls cannot be nested";
            return Err(self.error(sqlstate::GROUPING_ERROR, call.location, message));
        }
        if !call.agg_order.is_empty() {
            return Err(self.unsupported(call.location, "ORDER BY in an aggregate"));
        }
        self.inside_aggregate = true;
        let bound = self.aggregate_operands(call);
        self.inside_aggregate = false;
        let (arguments, filter) = bound?;

        let types: Vec<TypeId> = arguments.iter().map(|argument| argument.ty).collect();
        let candidates: Vec<_> = builtin::aggregates(name).collect();
        let signatures: Vec<Vec<TypeId>> = candidates.iter().map(|row| row.args.to_vec()).collect();
        let Some(row) = choose(&types, &signatures).and_then(|at| candidates.get(at)) else {
            if types.is_empty() && name == "count" {
                let message = "count(*) must be used to call a parameterless aggregate function";
                return Err(self.error(sqlstate::WRONG_OBJECT_TYPE, call.location, message));
            }
            let ambiguous = chosen_is_ambiguous(&types, &signatures);
            return Err(self.no_function(name, &types, false, ambiguous, call.location));
        };
        if !call.agg_star && types.is_empty() {
            let message =
                format!("{name}(*) must be used to call a parameterless aggregate function");
            return Err(self.error(sqlstate::WRONG_OBJECT_TYPE, call.location, message));
        }
        let mut coerced = Vec::with_capacity(arguments.len());
        for (argument, ty) in arguments.into_iter().zip(row.args) {
            let argument =
                if *ty == TypeId::ANY { self.settle(argument, call.location)? } else { argument };
            coerced.push(self.coerce(
                argument,
                *ty,
                NO_TYPMOD,
                Context::Implicit,
                call.location,
            )?);
        }
        let aggregate = Aggregate {
            procedure: row.oid,
            arguments: coerced,
            distinct: call.agg_distinct,
            filter,
            ty: row.ret,
        };
        let at = self.aggregates.iter().position(|known| *known == aggregate);
        let at = at.unwrap_or_else(|| {
            self.aggregates.push(aggregate);
            self.aggregates.len() - 1
        });
        let at = u16::try_from(at).map_err(|_| {
            self.error(sqlstate::PROGRAM_LIMIT_EXCEEDED, call.location, "too many aggregates")
        })?;
        Ok(Expr { kind: ExprKind::AggregateRef(at), ty: row.ret, typmod: NO_TYPMOD })
    }

    fn aggregate_operands(
        &mut self,
        call: &protobuf::FuncCall,
    ) -> Result<(Vec<Expr>, Option<Expr>)> {
        let mut arguments = Vec::with_capacity(call.args.len());
        for argument in &call.args {
            arguments.push(self.child(Some(argument))?);
        }
        let filter = match inner(call.agg_filter.as_deref()) {
            None => None,
            Some(node) => {
                let bound = self.expr(node)?;
                Some(self.boolean(bound, "FILTER", location_of(node))?)
            }
        };
        Ok((arguments, filter))
    }
}

/// Whether the second argument of `substring` makes it the form with a regular expression.
fn is_pattern(argument: &Expr) -> bool {
    match argument.ty {
        TypeId::TEXT | TypeId::VARCHAR => true,
        TypeId::UNKNOWN => argument.kind != ExprKind::Const(Datum::Null),
        _ => false,
    }
}
