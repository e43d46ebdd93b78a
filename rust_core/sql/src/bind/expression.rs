//! Expressions: one function for each form of the grammar.

use pg_query::protobuf::a_const::Val;
use pg_query::protobuf::node::Node;
use pg_query::protobuf::{
    self, AExprKind, BoolExprType, BoolTestType, MinMaxOp, NullTestType, SqlValueFunctionOp,
};
use phantom_base::{Result, sqlstate};
use phantom_types::{Datum, NO_TYPMOD, Numeric, TypeId};

use super::coerce::Context;
use super::{Binder, inner, names, strings_of, words};
use crate::bound::{Expr, ExprKind, Test};

impl Binder<'_> {
    /// Binds an expression; literals and parameters without a type yet have type `unknown`. Such a
    /// one has no modifier, and its place in the text instead: where it is wrong is known only once
    /// it gets a type.
    ///
    /// Parameters take their types from what is bound first, so the order in which operands and
    /// clauses are bound is PostgreSQL's, everywhere.
    pub(super) fn expr(&mut self, node: &Node) -> Result<Expr> {
        match node {
            Node::AConst(constant) => self.constant(constant),
            Node::ColumnRef(column) => self.column_reference(column),
            Node::ParamRef(parameter) => self.parameter(parameter.number, parameter.location),
            Node::AExpr(expr) => self.operator_expression(expr),
            Node::BoolExpr(expr) => self.bool_expression(expr),
            Node::TypeCast(cast) => self.type_cast(cast),
            Node::FuncCall(call) => self.function_call(call),
            Node::NullTest(test) => self.null_test(test),
            Node::BooleanTest(test) => self.boolean_test(test),
            Node::CaseExpr(case) => self.case(case),
            Node::CoalesceExpr(coalesce) => {
                let of = self.alike(&coalesce.args, "COALESCE", coalesce.location)?;
                let (ty, typmod) = common_shape(&of);
                Ok(Expr { kind: ExprKind::Coalesce(of), ty, typmod })
            }
            Node::MinMaxExpr(extreme) => {
                let greatest = extreme.op() == MinMaxOp::IsGreatest;
                let context = if greatest { "GREATEST" } else { "LEAST" };
                let of = self.alike(&extreme.args, context, extreme.location)?;
                let (ty, typmod) = common_shape(&of);
                Ok(Expr { kind: ExprKind::Extreme { greatest, of }, ty, typmod })
            }
            Node::SqlvalueFunction(function) => self.sql_value_function(function),
            Node::CollateClause(collate) => self.collate(collate),
            Node::SetToDefault(default) => Err(self.error(
                sqlstate::SYNTAX_ERROR,
                default.location,
                "DEFAULT is not allowed in this context",
            )),
            absent => Err(self.unsupported(location_of(absent), words::of(Some(absent)))),
        }
    }

    /// Binds a child that the grammar always gives.
    pub(super) fn child(&mut self, node: Option<&protobuf::Node>) -> Result<Expr> {
        let node = inner(node).expect("the grammar gives this operand");
        self.expr(node)
    }

    /// Binds an expression that must be boolean: WHERE, ON, HAVING, FILTER.
    pub(super) fn condition(
        &mut self,
        node: &Node,
        clause: &'static str,
        no_aggregates: &'static str,
    ) -> Result<Expr> {
        let outer = self.no_aggregates_in;
        if !no_aggregates.is_empty() {
            self.no_aggregates_in = Some(no_aggregates);
        }
        let bound =
            self.expr(node).and_then(|bound| self.boolean(bound, clause, location_of(node)));
        self.no_aggregates_in = outer;
        bound
    }

    fn constant(&self, constant: &protobuf::AConst) -> Result<Expr> {
        if constant.isnull {
            return Ok(Expr::constant(Datum::Null, TypeId::UNKNOWN));
        }
        Ok(match &constant.val {
            // The grammar leaves 0 out of the message, for it is the default.
            None => Expr::constant(Datum::Int4(0), TypeId::INT4),
            Some(Val::Ival(value)) => Expr::constant(Datum::Int4(value.ival), TypeId::INT4),
            Some(Val::Fval(value)) => self.at(constant.location, number(&value.fval))?,
            Some(Val::Boolval(value)) => Expr::constant(Datum::Bool(value.boolval), TypeId::BOOL),
            Some(Val::Sval(value)) => Expr {
                typmod: constant.location,
                ..Expr::constant(Datum::text(&value.sval), TypeId::UNKNOWN)
            },
            Some(Val::Bsval(_)) => {
                return Err(self.unsupported(constant.location, "a bit string"));
            }
        })
    }

    fn parameter(&mut self, shown: i32, location: i32) -> Result<Expr> {
        let number = usize::try_from(shown).unwrap_or(0);
        if number == 0 || number > crate::bound::PARAMETERS_MAX {
            let message = format!("there is no parameter ${shown}");
            return Err(self.error(sqlstate::UNDEFINED_PARAMETER, location, message));
        }
        if self.parameters.len() < number {
            self.parameters.resize(number, None);
        }
        let index = number - 1;
        let known = self.parameters.get(index).copied().flatten();
        let index = u16::try_from(index).expect("PARAMETERS_MAX fits");
        let (ty, typmod) = known.map_or((TypeId::UNKNOWN, location), |ty| (ty, NO_TYPMOD));
        Ok(Expr { kind: ExprKind::Param(index), ty, typmod })
    }

    /// An operand once more, as if it were bound now: a parameter may have got its type since.
    ///
    /// # Errors
    /// As `copy`.
    pub(super) fn again(&mut self, bound: &Expr) -> Result<Expr> {
        if let ExprKind::Param(index) = bound.kind
            && bound.ty == TypeId::UNKNOWN
            && let Some(ty) = self.parameters.get(usize::from(index)).copied().flatten()
        {
            return Ok(Expr { kind: ExprKind::Param(index), ty, typmod: NO_TYPMOD });
        }
        self.copy(bound)
    }

    fn operator_expression(&mut self, expr: &protobuf::AExpr) -> Result<Expr> {
        let words = strings_of(&expr.name);
        let name = match names::qualified(&words)? {
            (None | Some("pg_catalog"), name) => name.to_owned(),
            (Some(schema), _) => {
                self.at(expr.location, names::check_schema(schema))?;
                return Err(self.no_operator_in(&words.join("."), expr)?);
            }
        };
        match expr.kind() {
            AExprKind::AexprOp | AExprKind::AexprLike | AExprKind::AexprIlike => {
                if expr.lexpr.is_none() {
                    let operand = self.child(expr.rexpr.as_deref())?;
                    return self.unary_operator(&name, operand, expr.location);
                }
                let left = self.child(expr.lexpr.as_deref())?;
                let right = self.child(expr.rexpr.as_deref())?;
                self.binary_operator(&name, left, right, expr.location)
            }
            AExprKind::AexprIn => self.in_list(expr, name == "<>"),
            AExprKind::AexprBetween
            | AExprKind::AexprNotBetween
            | AExprKind::AexprBetweenSym
            | AExprKind::AexprNotBetweenSym => self.between(expr),
            AExprKind::AexprDistinct | AExprKind::AexprNotDistinct => self.distinct(expr),
            AExprKind::AexprNullif => {
                let (equal, left, right) = self.equality(expr)?;
                let (ty, typmod) = (left.ty, left.typmod);
                let kind = ExprKind::NullIf(equal, Box::new(left), Box::new(right));
                Ok(Expr { kind, ty, typmod })
            }
            AExprKind::AexprOpAny | AExprKind::AexprOpAll => {
                Err(self.unsupported(expr.location, "ANY or ALL of an array"))
            }
            AExprKind::AexprSimilar => Err(self.unsupported(expr.location, "SIMILAR TO")),
            AExprKind::Undefined => {
                Err(self.unsupported(expr.location, format!("operator {name}")))
            }
        }
    }

    fn bool_expression(&mut self, expr: &protobuf::BoolExpr) -> Result<Expr> {
        let clause = match expr.boolop() {
            BoolExprType::OrExpr => "OR",
            BoolExprType::NotExpr => "NOT",
            _ => "AND",
        };
        let mut of = Vec::with_capacity(expr.args.len());
        for operand in &expr.args {
            let node = inner(Some(operand)).expect("the grammar gives operands");
            let bound = self.expr(node)?;
            of.push(self.boolean(bound, clause, location_of(node))?);
        }
        Ok(match expr.boolop() {
            BoolExprType::OrExpr => Expr::condition(ExprKind::Or(of)),
            BoolExprType::NotExpr => not(of.pop().expect("NOT has one operand")),
            _ => Expr::condition(ExprKind::And(of)),
        })
    }

    fn type_cast(&mut self, cast: &protobuf::TypeCast) -> Result<Expr> {
        let name = cast.type_name.as_ref().expect("the grammar gives a cast its type");
        let (ty, typmod) = self.type_name(name)?;
        let value = self.child(cast.arg.as_deref())?;
        let location = inner(cast.arg.as_deref()).map_or(cast.location, location_of);
        let location = if value.ty == TypeId::UNKNOWN { location } else { cast.location };
        self.coerce(value, ty, typmod, Context::Explicit, location)
    }

    fn null_test(&mut self, test: &protobuf::NullTest) -> Result<Expr> {
        let is_null = is_null_test(self.child(test.arg.as_deref())?);
        Ok(if test.nulltesttype() == NullTestType::IsNotNull { not(is_null) } else { is_null })
    }

    fn boolean_test(&mut self, test: &protobuf::BooleanTest) -> Result<Expr> {
        let (what, negated, clause) = match test.booltesttype() {
            BoolTestType::IsNotTrue => (Test::True, true, "IS NOT TRUE"),
            BoolTestType::IsFalse => (Test::False, false, "IS FALSE"),
            BoolTestType::IsNotFalse => (Test::False, true, "IS NOT FALSE"),
            BoolTestType::IsUnknown => (Test::Unknown, false, "IS UNKNOWN"),
            BoolTestType::IsNotUnknown => (Test::Unknown, true, "IS NOT UNKNOWN"),
            _ => (Test::True, false, "IS TRUE"),
        };
        let value = self.child(test.arg.as_deref())?;
        let location = inner(test.arg.as_deref()).map_or(test.location, location_of);
        let value = self.boolean(value, clause, location)?;
        let is = Expr::condition(ExprKind::Is(what, Box::new(value)));
        Ok(if negated { not(is) } else { is })
    }

    fn case(&mut self, case: &protobuf::CaseExpr) -> Result<Expr> {
        let subject = match inner(case.arg.as_deref()) {
            None => None,
            Some(node) => {
                let bound = self.expr(node)?;
                let bound = self.settle(bound, location_of(node))?;
                Some(self.case_subject(bound)?)
            }
        };
        let mut conditions = Vec::with_capacity(case.args.len());
        let mut values = Vec::with_capacity(case.args.len() + 1);
        for when in &case.args {
            let Some(Node::CaseWhen(when)) = inner(Some(when)) else {
                return Err(self.unsupported(case.location, words::of(inner(Some(when)))));
            };
            let condition = self.child(when.expr.as_deref())?;
            conditions.push(match &subject {
                None => {
                    let location = inner(when.expr.as_deref()).map_or(when.location, location_of);
                    self.boolean(condition, "CASE/WHEN", location)?
                }
                Some(subject) => {
                    let subject = self.again(subject)?;
                    self.binary_operator("=", subject, condition, when.location)?
                }
            });
            let location = inner(when.result.as_deref()).map_or(when.location, location_of);
            values.push((self.child(when.result.as_deref())?, location));
        }
        let otherwise = match inner(case.defresult.as_deref()) {
            None => Expr::constant(Datum::Null, TypeId::UNKNOWN),
            Some(node) => self.expr(node)?,
        };
        // PostgreSQL asks ELSE for its type first.
        let mut shapes: Vec<(&Expr, i32)> = vec![(&otherwise, case.location)];
        shapes.extend(values.iter().map(|(value, location)| (value, *location)));
        let ty = self.common_type(&shapes, "CASE")?;
        let otherwise = self.coerce(otherwise, ty, NO_TYPMOD, Context::Implicit, case.location)?;
        let mut whens = Vec::with_capacity(values.len());
        for (condition, (value, _)) in conditions.into_iter().zip(values) {
            let value = self.coerce(value, ty, NO_TYPMOD, Context::Implicit, case.location)?;
            whens.push((condition, value));
        }
        let same = whens.iter().all(|(_, value)| value.typmod == otherwise.typmod);
        let typmod = if same { otherwise.typmod } else { NO_TYPMOD };
        let kind = ExprKind::Case { whens, otherwise: Some(Box::new(otherwise)) };
        Ok(Expr { kind, ty, typmod })
    }

    /// Binds expressions of one common type.
    fn alike(
        &mut self,
        nodes: &[protobuf::Node],
        context: &'static str,
        location: i32,
    ) -> Result<Vec<Expr>> {
        let mut bound = Vec::with_capacity(nodes.len());
        let mut locations = Vec::with_capacity(nodes.len());
        for node in nodes {
            bound.push(self.child(Some(node))?);
            locations.push(inner(Some(node)).map_or(location, location_of));
        }
        let shapes: Vec<(&Expr, i32)> = bound.iter().zip(locations).collect();
        let ty = self.common_type(&shapes, context)?;
        let mut of = Vec::with_capacity(bound.len());
        for value in bound {
            of.push(self.coerce(value, ty, NO_TYPMOD, Context::Implicit, location)?);
        }
        Ok(of)
    }

    fn sql_value_function(&mut self, function: &protobuf::SqlValueFunction) -> Result<Expr> {
        use SqlValueFunctionOp as Op;
        let op = function.op();
        Ok(match op {
            Op::SvfopCurrentDate => {
                let now = self.call_by_name(&["now"], Vec::new(), function.location)?;
                self.coerce(now, TypeId::DATE, NO_TYPMOD, Context::Explicit, function.location)?
            }
            Op::SvfopCurrentTimestamp => {
                self.call_by_name(&["now"], Vec::new(), function.location)?
            }
            Op::SvfopCurrentTimestampN => {
                let now = self.call_by_name(&["now"], Vec::new(), function.location)?;
                let typmod = function.typmod;
                self.coerce(now, TypeId::TIMESTAMPTZ, typmod, Context::Explicit, function.location)?
            }
            Op::SvfopCurrentRole | Op::SvfopCurrentUser | Op::SvfopUser | Op::SvfopSessionUser => {
                Expr::constant(Datum::text(self.context.role), TypeId::NAME)
            }
            Op::SvfopCurrentCatalog => Expr::constant(names::DATABASE.into(), TypeId::NAME),
            Op::SvfopCurrentSchema => self.current_schema(),
            other => {
                let what = names::sql_value_function_name(other);
                return Err(self.unsupported(function.location, what));
            }
        })
    }

    /// The schema in which tables are made; NULL if the path names none that exists.
    pub(super) fn current_schema(&self) -> Expr {
        let first = self.context.settings.search_path().first;
        Expr::constant(first.map_or(Datum::Null, Datum::text), TypeId::NAME)
    }
}

/// NOT.
pub(super) fn not(of: Expr) -> Expr {
    Expr::condition(ExprKind::Not(Box::new(of)))
}

/// IS NULL, of any type.
pub(super) fn is_null_test(mut value: Expr) -> Expr {
    if value.ty == TypeId::UNKNOWN && matches!(value.kind, ExprKind::Const(_)) {
        value.typmod = NO_TYPMOD;
    }
    Expr::condition(ExprKind::Is(Test::Null, Box::new(value)))
}

/// A literal that is too large for int4, or not whole.
fn number(text: &str) -> Result<Expr> {
    if let Ok(value) = text.parse::<i32>() {
        // A minus sign joined a number that fits only with it.
        return Ok(Expr::constant(Datum::Int4(value), TypeId::INT4));
    }
    if let Ok(value) = text.parse::<i64>() {
        return Ok(Expr::constant(Datum::Int8(value), TypeId::INT8));
    }
    Ok(Expr::constant(Datum::Numeric(Numeric::parse(text)?), TypeId::NUMERIC))
}

/// The type and modifier of a choice among values of one type.
fn common_shape(of: &[Expr]) -> (TypeId, i32) {
    let first = of.first().expect("the grammar wants at least one");
    let same = of.iter().all(|other| other.typmod == first.typmod);
    (first.ty, if same { first.typmod } else { NO_TYPMOD })
}

/// Where an expression starts, in bytes of the text; -1 where the grammar does not say.
pub(super) fn location_of(node: &Node) -> i32 {
    let leftmost = |operand: Option<&protobuf::Node>, own: i32| {
        let operand = inner(operand).map_or(-1, location_of);
        if operand >= 0 && (own < 0 || operand < own) { operand } else { own }
    };
    match node {
        Node::AConst(node) => node.location,
        Node::ColumnRef(node) => node.location,
        Node::ParamRef(node) => node.location,
        Node::AExpr(node) => leftmost(node.lexpr.as_deref(), node.location),
        Node::BoolExpr(node) => leftmost(node.args.first(), node.location),
        Node::TypeCast(node) => match inner(node.arg.as_deref()) {
            // Such a literal becomes a constant of the type, at its own place.
            Some(Node::AConst(literal))
                if literal.isnull || matches!(literal.val, Some(Val::Sval(_))) =>
            {
                literal.location
            }
            _ => leftmost(node.arg.as_deref(), node.location),
        },
        Node::FuncCall(node) => node.location,
        Node::NullTest(node) => leftmost(node.arg.as_deref(), node.location),
        Node::BooleanTest(node) => leftmost(node.arg.as_deref(), node.location),
        Node::CaseExpr(node) => node.location,
        Node::CoalesceExpr(node) => node.location,
        Node::MinMaxExpr(node) => node.location,
        Node::SqlvalueFunction(node) => node.location,
        Node::CollateClause(node) => leftmost(node.arg.as_deref(), node.location),
        Node::SubLink(node) => leftmost(node.testexpr.as_deref(), node.location),
        Node::AArrayExpr(node) => node.location,
        Node::RowExpr(node) => node.location,
        Node::GroupingFunc(node) => node.location,
        Node::GroupingSet(node) => node.location,
        Node::XmlExpr(node) => node.location,
        Node::XmlSerialize(node) => node.location,
        Node::NamedArgExpr(node) => leftmost(node.arg.as_deref(), node.location),
        Node::JsonFuncExpr(node) => node.location,
        Node::JsonIsPredicate(node) => leftmost(node.expr.as_deref(), node.location),
        _ => -1,
    }
}
