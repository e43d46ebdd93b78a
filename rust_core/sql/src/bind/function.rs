//! Function calls: ordinary functions, aggregates, and the few that are constants of a session.

use pg_query::protobuf;
use phantom_base::{Error, Result, sqlstate};
use phantom_types::{NO_TYPMOD, TypeId, catalog};

use super::coerce::{Context, casts_without_function};
use super::expression::location_of;
use super::names::{check_schema, qualified};
use super::operator::{Unresolved, choose};
use super::{Binder, builtin, foreign, inner, strings_of};
use crate::bound::{Aggregate, Expr, ExprKind};

impl Binder<'_> {
    /// Binds `name(..)`.
    pub(super) fn function_call(&mut self, call: &protobuf::FuncCall) -> Result<Expr> {
        let words = strings_of(&call.funcname);
        let name = match self.at(call.location, qualified(&words))? {
            (None | Some("pg_catalog"), name) => name.to_owned(),
            (Some(schema), name) => {
                self.at(call.location, check_schema(schema))?;
                return Err(self.no_function_in(schema, name, call)?);
            }
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
            return self.aggregate_call(&name, &words.join("."), call);
        }
        let mut arguments = Vec::with_capacity(call.args.len());
        for argument in &call.args {
            arguments.push(self.child(Some(argument))?);
        }
        if call.agg_star
            || call.agg_distinct
            || call.agg_filter.is_some()
            || !call.agg_order.is_empty()
        {
            // Whether there is such a function comes first; an aggregate may be absent here.
            self.call_by_name(&words, arguments, call.location)?;
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
        if name == "current_schema" && arguments.is_empty() {
            return Ok(self.current_schema());
        }
        self.call_by_name(&words, arguments, call.location)
    }

    /// Users' functions would be in `public`; there are none. `information_schema` has a few.
    fn no_function_in(
        &mut self,
        schema: &str,
        name: &str,
        call: &protobuf::FuncCall,
    ) -> Result<Error> {
        if schema == "information_schema" && name.starts_with("_pg_") {
            return Ok(self.unsupported(call.location, format!("function {schema}.{name}")));
        }
        let mut types = Vec::with_capacity(call.args.len());
        for argument in &call.args {
            types.push(self.child(Some(argument))?.ty);
        }
        let shown = format!("{schema}.{name}");
        Ok(self.no_function(name, &shown, (&types, Unresolved::Nothing), call.location))
    }

    /// Chooses among the functions of a name, the last of `words`, and brings the arguments to its
    /// types.
    pub(super) fn call_by_name(
        &mut self,
        words: &[&str],
        arguments: Vec<Expr>,
        location: i32,
    ) -> Result<Expr> {
        let name = words.last().copied().unwrap_or_default();
        let types: Vec<TypeId> = arguments.iter().map(|argument| argument.ty).collect();
        let candidates: Vec<_> = catalog::procedures_named(name).collect();
        let ours = candidates.iter().map(|row| builtin::signature(row, types.len())).collect();
        let signatures = foreign::beside(ours, foreign::overloads(name));
        if !signatures.contains(&types)
            && let Some(cast) = self.call_as_cast(name, &arguments, location)?
        {
            return Ok(cast);
        }
        let chosen = choose(&types, &signatures);
        let Some(row) = chosen.and_then(|at| candidates.get(at)) else {
            if name == "substring" && chosen.is_some() {
                return Err(self.unsupported(location, "substring by a regular expression"));
            }
            let why = Unresolved::of(chosen, &types, &signatures);
            return Err(self.no_function(name, &words.join("."), (&types, why), location));
        };
        let wanted = builtin::signature(row, types.len());
        let mut coerced = Vec::with_capacity(arguments.len());
        for (argument, ty) in arguments.into_iter().zip(wanted) {
            let argument = if ty == TypeId::ANY { self.any(argument, location)? } else { argument };
            coerced.push(self.coerce(argument, ty, NO_TYPMOD, Context::Implicit, location)?);
        }
        let kind = ExprKind::Call(row.oid, coerced);
        Ok(Expr { kind, ty: row.ret, typmod: NO_TYPMOD })
    }

    /// An argument of any type. A literal is text there; a parameter gets no type by this.
    fn any(&mut self, argument: Expr, location: i32) -> Result<Expr> {
        match argument.kind {
            ExprKind::Param(_) => Ok(argument),
            _ => self.settle(argument, location),
        }
    }

    /// `int4('5')`: a call of a type's name with one argument is a cast where the argument is a
    /// literal, or becomes that type without a function.
    fn call_as_cast(
        &mut self,
        name: &str,
        arguments: &[Expr],
        location: i32,
    ) -> Result<Option<Expr>> {
        let [argument] = arguments else { return Ok(None) };
        let Some(ty) = TypeId::from_name(name) else { return Ok(None) };
        let is_literal =
            argument.ty == TypeId::UNKNOWN && matches!(argument.kind, ExprKind::Const(_));
        if matches!(ty, TypeId::UNKNOWN | TypeId::ANY)
            || !(is_literal || casts_without_function(argument.ty, ty))
        {
            return Ok(None);
        }
        let argument = self.copy(argument)?;
        self.coerce(argument, ty, NO_TYPMOD, Context::Explicit, location).map(Some)
    }

    fn no_function(
        &self,
        name: &str,
        shown: &str,
        (given, why): (&[TypeId], Unresolved<'_>),
        location: i32,
    ) -> Error {
        let is_unheard_of = catalog::procedures_named(name).next().is_none()
            && builtin::aggregates(name).next().is_none()
            && (!shown.contains('.') || shown.contains("pg_catalog."));
        if is_unheard_of && foreign::is_foreign_function(name) {
            return self.unsupported(location, format!("function {name}"));
        }
        let with = |types: &[TypeId]| {
            let types: Vec<&str> = types.iter().map(|ty| foreign::shown(*ty)).collect();
            format!("{shown}({})", types.join(", "))
        };
        let shown = with(given);
        let error = match why {
            Unresolved::Foreign(types) => Error::unsupported(format!("function {}", with(types))),
            Unresolved::Ambiguous => {
                Error::new(sqlstate::AMBIGUOUS_FUNCTION, format!("function {shown} is not unique"))
                    .with_hint(
                        "Could not choose a best candidate function. You might need to add explicit type casts.",
                    )
            }
            Unresolved::Nothing => {
                Error::new(sqlstate::UNDEFINED_FUNCTION, format!("function {shown} does not exist"))
                    .with_hint(
                        "No function matches the given name and argument types. You might need to add explicit type casts.",
                    )
            }
        };
        self.located(location, error)
    }

    fn aggregate_call(
        &mut self,
        name: &str,
        shown: &str,
        call: &protobuf::FuncCall,
    ) -> Result<Expr> {
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
        let ours = candidates.iter().map(|row| row.args.to_vec()).collect();
        let signatures = foreign::beside(ours, foreign::overloads(name));
        let chosen = choose(&types, &signatures);
        let Some(row) = chosen.and_then(|at| candidates.get(at)) else {
            if types.is_empty() && name == "count" {
                let message = "count(*) must be used to call a parameterless aggregate function";
                return Err(self.error(sqlstate::WRONG_OBJECT_TYPE, call.location, message));
            }
            let why = Unresolved::of(chosen, &types, &signatures);
            return Err(self.no_function(name, shown, (&types, why), call.location));
        };
        if !call.agg_star && types.is_empty() {
            let message =
                format!("{name}(*) must be used to call a parameterless aggregate function");
            return Err(self.error(sqlstate::WRONG_OBJECT_TYPE, call.location, message));
        }
        let mut coerced = Vec::with_capacity(arguments.len());
        for (argument, ty) in arguments.into_iter().zip(row.args) {
            let argument = match *ty {
                // DISTINCT compares, which needs a type.
                TypeId::ANY if call.agg_distinct => self.settle(argument, call.location)?,
                TypeId::ANY => self.any(argument, call.location)?,
                _ => argument,
            };
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
