//! The built-in operators, casts and procedures, under PostgreSQL's OIDs.
//!
//! The binder resolves names, overloads and coercions over these tables as PostgreSQL does over
//! `pg_operator`, `pg_cast` and `pg_proc`; a bound expression then holds a procedure's OID. What
//! PostgreSQL has and these tables lack is 0A000, which is the binder's to say.

mod casts;
mod operators;
mod procedures;

use phantom_base::Result;

use crate::{Argument, Column, Datum, EvalContext, Kernel, Selection, TypeId};

pub use casts::CASTS;
pub use operators::OPERATORS;
pub use procedures::PROCEDURES;

/// What a procedure's result depends on beside its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// Nothing: a call with constant arguments may be folded.
    Immutable,
    /// The statement's settings and time.
    Stable,
    /// Anything; it is called once for each row.
    Volatile,
}

/// A row of `pg_proc`.
#[derive(Clone, Copy, Debug)]
pub struct Procedure {
    /// `oid`
    pub oid: u32,
    /// `proname`
    pub name: &'static str,
    /// `proargtypes`; of a variadic procedure the last stands for one or more of its kind.
    pub args: &'static [TypeId],
    /// `provariadic`
    pub variadic: Option<TypeId>,
    /// `prorettype`
    pub ret: TypeId,
    /// `proisstrict`: NULL in, NULL out, without a call.
    pub strict: bool,
    /// `provolatile`
    pub volatility: Volatility,
    /// What it does.
    pub kernel: Kernel,
}

impl Procedure {
    /// One row.
    pub fn call(&self, arguments: &[Datum], cx: &EvalContext) -> Result<Datum> {
        self.kernel.call(self.strict, arguments, cx)
    }

    /// The rows of `selection`; the column has type `ret` and the length of the batch.
    pub fn evaluate(
        &self,
        arguments: &[Argument<'_>],
        selection: Selection<'_>,
        cx: &EvalContext,
    ) -> Result<Column> {
        self.kernel.evaluate((self.strict, self.ret), arguments, selection, cx)
    }
}

/// A row of `pg_operator`.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    /// `oid`
    pub oid: u32,
    /// `oprname`
    pub name: &'static str,
    /// `oprleft`; a prefix operator has none.
    pub left: Option<TypeId>,
    /// `oprright`
    pub right: TypeId,
    /// `oprresult`
    pub ret: TypeId,
    /// `oprcode`, a procedure's OID
    pub procedure: u32,
    /// `oprcom`: the operator with its sides swapped; 0 is none.
    pub commutator: u32,
    /// `oprnegate`; 0 is none.
    pub negator: u32,
}

/// Where a cast applies without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    /// Anywhere.
    Implicit,
    /// Where a value is assigned to a column.
    Assignment,
    /// Nowhere: only as `CAST` or `::`.
    Explicit,
}

/// How a cast is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastHow {
    /// The value stays as it is.
    Binary,
    /// By this procedure, given the value (and, for a cast of a type to itself, the modifier and
    /// whether it was asked for).
    Function(u32),
}

/// A row of `pg_cast`. Casts through text are not rows: PostgreSQL allows them from any type to a
/// string type (assignment) and back (explicit), see `in_out_cast`.
#[derive(Clone, Copy, Debug)]
pub struct CastRow {
    /// `castsource`
    pub source: TypeId,
    /// `casttarget`; equal to the source for a cast that applies a modifier.
    pub target: TypeId,
    /// `castcontext`
    pub context: CastContext,
    /// `castmethod` and `castfunc`
    pub how: CastHow,
}

/// The procedure with this OID.
pub fn procedure(oid: u32) -> Option<&'static Procedure> {
    PROCEDURES.binary_search_by_key(&oid, |procedure| procedure.oid).ok().map(|at| &PROCEDURES[at])
}

/// What a procedure is under a collation that knows the letters of ASCII alone; `None` if it does
/// not depend on letters. PostgreSQL tells one procedure its collation; these are two, under OIDs
/// that it keeps for development and never gives away.
pub fn of_ascii(oid: u32) -> Option<u32> {
    match oid {
        870 => Some(9001),
        871 => Some(9002),
        1633 => Some(9003),
        1634 => Some(9004),
        _ => None,
    }
}

/// The procedures of this name.
pub fn procedures_named(name: &str) -> impl Iterator<Item = &'static Procedure> {
    PROCEDURES.iter().filter(move |procedure| procedure.name == name)
}

/// The operator with this OID.
pub fn operator(oid: u32) -> Option<&'static Operator> {
    OPERATORS.binary_search_by_key(&oid, |operator| operator.oid).ok().map(|at| &OPERATORS[at])
}

/// The operators of this name.
pub fn operators_named(name: &str) -> impl Iterator<Item = &'static Operator> {
    OPERATORS.iter().filter(move |operator| operator.name == name)
}

/// The cast from one type to another, or of a type to itself by its modifier.
pub fn cast(source: TypeId, target: TypeId) -> Option<&'static CastRow> {
    CASTS.iter().find(|cast| (cast.source, cast.target) == (source, target))
}

/// In which context a value of `source` becomes one of `target` by being printed and read again,
/// where `cast` finds nothing: `format::write_text`, then `format::read_text`.
pub fn in_out_cast(source: TypeId, target: TypeId) -> Option<CastContext> {
    use crate::Category::{Pseudo, String};
    match (source.category(), target.category()) {
        (Pseudo, _) | (_, Pseudo) => None,
        (_, String) => Some(CastContext::Assignment),
        (String, _) => Some(CastContext::Explicit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_oid_and_name() {
        assert!(PROCEDURES.is_sorted_by(|a, b| a.oid < b.oid));
        assert!(OPERATORS.is_sorted_by(|a, b| a.oid < b.oid));
        for row in PROCEDURES {
            assert_eq!(procedure(row.oid).map(|found| found.oid), Some(row.oid));
            assert!(procedures_named(row.name).any(|found| found.oid == row.oid));
            let twin = of_ascii(row.oid).map(|oid| procedure(oid).expect("a row"));
            assert!(twin.is_none_or(|twin| (twin.args, twin.ret) == (row.args, row.ret)));
        }
        assert!(procedure(1).is_none() && operator(1).is_none());
    }

    #[test]
    fn operators_are_procedures_of_their_types() {
        for row in OPERATORS {
            let code = procedure(row.procedure).unwrap();
            let sides: Vec<TypeId> = row.left.into_iter().chain([row.right]).collect();
            assert_eq!((code.args, code.ret), (&sides[..], row.ret), "operator {}", row.oid);
            assert!(operators_named(row.name).any(|found| found.oid == row.oid));
            for other in [row.commutator, row.negator] {
                assert!(other == 0 || operator(other).is_some(), "operator {}", row.oid);
            }
        }
    }

    #[test]
    fn casts_are_procedures_from_source_to_target() {
        for row in CASTS {
            assert!(cast(row.source, row.target).is_some());
            if let CastHow::Function(oid) = row.how {
                let code = procedure(oid).unwrap();
                // A function of text takes varchar too.
                let taken = code.args[0];
                assert!(taken == row.source || taken.is_text() && row.source.is_text());
                assert!(code.ret == row.target || code.ret.is_text() && row.target.is_text());
            }
        }
        assert_eq!(in_out_cast(TypeId::DATE, TypeId::TEXT), Some(CastContext::Assignment));
        assert_eq!(in_out_cast(TypeId::TEXT, TypeId::INT4), Some(CastContext::Explicit));
        assert_eq!(in_out_cast(TypeId::DATE, TypeId::INT4), None);
    }
}
