//! Collations of expressions, after PostgreSQL's rules ("Collation Support", "Concepts").
//!
//! COLLATE gives its operand a collation explicitly; a column, a constant, and text that is made of
//! none have the column's or their type's implicitly. Both go up through functions and operators to whatever is
//! text again. Two explicit ones that differ cannot meet (42P21); an explicit one wins over
//! implicit ones, and any over the database's. Two implicit ones that differ may meet, but nothing
//! can be compared then (42P22).
//!
//! All collations that there are order texts alike, so only functions that know the case of
//! letters depend on them: `assign` puts those in place that a collation wants. COLLATE stands in
//! a bound tree until then, for GROUP BY, DISTINCT and ORDER BY see it, and `strip` ends that.

use pg_query::protobuf;
use phantom_base::{Error, Result, sqlstate};
use phantom_types::{TypeId, catalog};

use super::{Binder, builtin, names, strings_of};
use crate::bound::{Aggregate, Collate, Expr, ExprKind, JoinTree, Query, SortKey, Target};
use crate::catalog::Collation;

/// How an expression comes to its collation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Derivation {
    /// It is no text and has none.
    None,
    /// Its type has it, or a column, which stands at this place of the text.
    Implicit(Collation, i32),
    /// Implicit ones that differ have met, the second at this place: it has none that is known.
    Conflict(Collation, Collation, i32),
    /// By COLLATE, which stands at this place of the text.
    Explicit(Collation, i32),
}

/// The collation that values of a type have of themselves.
fn of_type(ty: TypeId) -> Option<Collation> {
    match ty {
        TypeId::NAME => Some(Collation::C),
        ty if ty.is_text() => Some(Collation::Default),
        _ => None,
    }
}

/// Whether values of a type have collations at all.
pub(super) fn is_collatable(ty: TypeId) -> bool {
    of_type(ty).is_some()
}

impl Binder<'_> {
    /// `operand COLLATE name`. The operand may have no type yet: it gets one under the COLLATE.
    pub(super) fn collate(&mut self, clause: &protobuf::CollateClause) -> Result<Expr> {
        let of = self.child(clause.arg.as_deref())?;
        if !is_collatable(of.ty) {
            let message = format!("collations are not supported by type {}", of.ty.sql_name());
            return Err(self.error(sqlstate::DATATYPE_MISMATCH, clause.location, message));
        }
        let collation = self.collation_named(clause)?;
        let (ty, typmod) = (of.ty, of.typmod);
        let collate = Collate { collation, location: Some(clause.location) };
        Ok(Expr { kind: ExprKind::Collate(collate, Box::new(of)), ty, typmod })
    }

    /// The collation that a COLLATE names.
    pub(super) fn collation_named(&self, clause: &protobuf::CollateClause) -> Result<Collation> {
        let found = Collation::named(&strings_of(&clause.collname), names::DATABASE);
        self.at(clause.location, found)
    }

    /// The subject of a CASE, whose collation is implicit for what it is compared with.
    ///
    /// # Errors
    /// `42P21` if it has none itself.
    pub(super) fn case_subject(&mut self, mut subject: Expr) -> Result<Expr> {
        let collation = match self.assign(&mut subject)? {
            Derivation::None | Derivation::Implicit(..) => return Ok(subject),
            Derivation::Explicit(collation, _) => collation,
            // What it is compared with decides, as PostgreSQL has it.
            Derivation::Conflict(..) => Collation::Default,
        };
        let (ty, typmod) = (subject.ty, subject.typmod);
        let collate = Collate { collation, location: None };
        Ok(Expr { kind: ExprKind::Collate(collate, Box::new(subject)), ty, typmod })
    }

    /// Gives each of some expressions its collations; they are not compared with each other.
    ///
    /// # Errors
    /// `42P21` for explicit ones that differ.
    pub(super) fn assign_each<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e mut Expr>,
    ) -> Result<()> {
        exprs.into_iter().try_for_each(|expr| self.assign(expr).map(|_| ()))
    }

    /// Gives targets and keys of GROUP BY their collations.
    ///
    /// # Errors
    /// `42P21` also for what is sorted or grouped by and whose implicit ones differ.
    pub(super) fn assign_targets(
        &mut self,
        targets: &mut [Target],
        (sort, distinct): (&[SortKey], bool),
        group: &mut [Expr],
    ) -> Result<()> {
        for (at, target) in targets.iter_mut().enumerate() {
            let is_sorted = sort.iter().any(|key| usize::from(key.target) == at)
                || (distinct && !target.hidden)
                || group.contains(&target.expr);
            let derived = self.assign(&mut target.expr)?;
            if is_sorted {
                self.check_sorted(derived)?;
            }
        }
        for key in group {
            let derived = self.assign(key)?;
            self.check_sorted(derived)?;
        }
        Ok(())
    }

    fn check_sorted(&self, derived: Derivation) -> Result<()> {
        let Derivation::Conflict(first, second, place) = derived else { return Ok(()) };
        let message = format!(
            "collation mismatch between implicit collations \"{}\" and \"{}\"",
            first.name(),
            second.name()
        );
        let hint = "You can choose the collation by applying the COLLATE clause to one or both expressions.";
        Err(self.error(sqlstate::COLLATION_MISMATCH, place, message).with_hint(hint))
    }

    /// Gives the conditions of joins their collations.
    ///
    /// # Errors
    /// As `assign_each`.
    pub(super) fn assign_joins(&mut self, trees: &mut [JoinTree]) -> Result<()> {
        for tree in trees {
            if let JoinTree::Join { left, right, on, .. } = tree {
                self.assign_joins(std::slice::from_mut(left))?;
                self.assign_joins(std::slice::from_mut(right))?;
                self.assign_each(on)?;
            }
        }
        Ok(())
    }

    fn assign(&mut self, expr: &mut Expr) -> Result<Derivation> {
        let inputs = match &mut expr.kind {
            ExprKind::Collate(collate, of) => {
                self.assign(of)?;
                return Ok(match collate.location {
                    Some(location) => Derivation::Explicit(collate.collation, location),
                    None => Derivation::Implicit(collate.collation, -1),
                });
            }
            ExprKind::Column { relation, attnum } => {
                let (relation, attnum) = (*relation, *attnum);
                let column = self.scope.item_of(relation).table.column(attnum);
                let collation = column.map_or(Collation::Default, |column| column.collation);
                let place = self.first_use.get(&(relation, attnum)).copied().unwrap_or(-1);
                let derived = Derivation::Implicit(collation, place);
                return Ok(if is_collatable(expr.ty) { derived } else { Derivation::None });
            }
            ExprKind::AggregateRef(at) => self.assign_aggregate(usize::from(*at))?,
            _ => self.assign_operands(expr)?,
        };
        let is_ascii = match inputs {
            Derivation::None => false,
            Derivation::Conflict(..) => match compares(expr) {
                Some(what) => return Err(indeterminate(what)),
                None => false,
            },
            Derivation::Implicit(collation, _) | Derivation::Explicit(collation, _) => {
                collation.is_ascii()
            }
        };
        if is_ascii
            && let ExprKind::Call(procedure, _) = &mut expr.kind
            && let Some(of_ascii) = catalog::of_ascii(*procedure)
        {
            *procedure = of_ascii;
        }
        Ok(match (of_type(expr.ty), inputs) {
            (None, _) => Derivation::None,
            (Some(of_type), Derivation::None) => Derivation::Implicit(of_type, -1),
            (Some(_), inputs) => inputs,
        })
    }

    /// What the operands of an expression come to.
    fn assign_operands(&mut self, expr: &mut Expr) -> Result<Derivation> {
        let mut inputs = Ok(Derivation::None);
        expr.for_each_operand_mut(&mut |operand| {
            if let Ok(before) = inputs {
                inputs = self.assign(operand).and_then(|derived| self.met(before, derived));
            }
        });
        inputs
    }

    /// What the arguments of an aggregate come to; its FILTER is a condition of its own.
    fn assign_aggregate(&mut self, at: usize) -> Result<Derivation> {
        let known = self.aggregates.get_mut(at).expect("a reference is to one that was met");
        // Aggregates do not nest: nobody looks at this one meanwhile.
        let mut arguments = std::mem::take(&mut known.arguments);
        let mut filter = known.filter.take();
        let mut inputs = Ok(Derivation::None);
        for argument in &mut arguments {
            if let Ok(before) = inputs {
                inputs = self.assign(argument).and_then(|derived| self.met(before, derived));
            }
        }
        let of_filter = self.assign_each(&mut filter);
        let known: &mut Aggregate = self.aggregates.get_mut(at).expect("it was there");
        (known.arguments, known.filter) = (arguments, filter);
        let (distinct, procedure) = (known.distinct, known.procedure);
        of_filter?;
        let inputs = inputs?;
        if distinct {
            self.check_sorted(inputs)?;
        }
        match inputs {
            Derivation::Conflict(..) if is_extreme(procedure) => {
                Err(indeterminate("string comparison"))
            }
            _ => Ok(inputs),
        }
    }

    /// What two operands come to.
    fn met(&self, before: Derivation, derived: Derivation) -> Result<Derivation> {
        use Derivation::{Conflict, Explicit, Implicit, None};
        Ok(match (before, derived) {
            (Explicit(first, _), Explicit(second, location)) if first != second => {
                let message = format!(
                    "collation mismatch between explicit collations \"{}\" and \"{}\"",
                    first.name(),
                    second.name()
                );
                return Err(self.error(sqlstate::COLLATION_MISMATCH, location, message));
            }
            (Explicit(..), _) | (_, None) | (Conflict(..), Conflict(..) | Implicit(..)) => before,
            (_, Explicit(..) | Conflict(..)) | (None, _) => derived,
            (Implicit(first, _), Implicit(second, place)) => {
                if first == second || second == Collation::Default {
                    before
                } else if first == Collation::Default {
                    derived
                } else {
                    Conflict(first, second, place)
                }
            }
        })
    }
}

/// What an expression does with its operands that needs a collation, if anything. That of LIKE,
/// `||` and most functions is the same under all.
fn compares(expr: &Expr) -> Option<&'static str> {
    match &expr.kind {
        ExprKind::Call(870, _) => Some("lower() function"),
        ExprKind::Call(871, _) => Some("upper() function"),
        ExprKind::Call(1633 | 1634, _) => Some("ILIKE"),
        ExprKind::Call(procedure, _) => {
            let is_comparison = |name| matches!(name, "=" | "<>" | "<" | "<=" | ">" | ">=");
            let mut rows = catalog::OPERATORS.iter().filter(|row| row.procedure == *procedure);
            let compares = rows.any(|row| is_comparison(row.name)) || searches(*procedure);
            compares.then_some("string comparison")
        }
        ExprKind::Distinct(..)
        | ExprKind::NullIf(..)
        | ExprKind::Extreme { .. }
        | ExprKind::In { .. } => Some("string comparison"),
        _ => None,
    }
}

/// Whether a function looks for a text in another.
fn searches(procedure: u32) -> bool {
    let name = catalog::procedure(procedure).map_or("", |row| row.name);
    matches!(name, "strpos" | "position" | "replace" | "split_part")
}

/// Whether an aggregate is `max` or `min`.
fn is_extreme(procedure: u32) -> bool {
    ["max", "min"].iter().any(|name| builtin::aggregates(name).any(|row| row.oid == procedure))
}

fn indeterminate(what: &str) -> Error {
    let message = format!("could not determine which collation to use for {what}");
    Error::new(sqlstate::INDETERMINATE_COLLATION, message)
        .with_hint("Use the COLLATE clause to set the collation explicitly.")
}

/// Takes COLLATE out of a query: what it says is in the functions that are called.
pub(super) fn strip(query: &mut Query) {
    query.for_each_expr_mut(&mut strip_from);
}

fn strip_from(expr: &mut Expr) {
    while let ExprKind::Collate(_, of) = &mut expr.kind {
        let stand_in = Expr { kind: ExprKind::Previous, ty: of.ty, typmod: of.typmod };
        *expr = std::mem::replace(of, stand_in);
    }
    expr.for_each_operand_mut(&mut strip_from);
}
