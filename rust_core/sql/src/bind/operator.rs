//! Operators, and the choice among overloads (PostgreSQL, "Type Conversion": operators, functions).

use pg_query::protobuf;
use phantom_base::{Error, Result, sqlstate};
use phantom_types::{NO_TYPMOD, TypeId, catalog};

use super::coerce::{Context, can_coerce};
use super::{Binder, foreign};
use crate::bound::{Expr, ExprKind};

/// A binary operator that was chosen, and its operands as it takes them.
pub(super) struct Resolved {
    /// The function behind it.
    pub procedure: u32,
    /// What it returns.
    pub ty: TypeId,
    /// The left operand.
    pub left: Expr,
    /// The right operand.
    pub right: Expr,
}

impl Binder<'_> {
    /// `left name right`.
    pub(super) fn binary_operator(
        &mut self,
        name: &str,
        left: Expr,
        right: Expr,
        location: i32,
    ) -> Result<Expr> {
        let (left, right) = match name {
            "||" => self.printed(left, right, location)?,
            _ => (left, right),
        };
        let bound = self.resolve_binary(name, left, right, location)?;
        let kind = ExprKind::Call(bound.procedure, vec![bound.left, bound.right]);
        Ok(Expr { kind, ty: bound.ty, typmod: NO_TYPMOD })
    }

    /// The operands of `||`: beside a text, a value of any other type is printed.
    fn printed(&mut self, left: Expr, right: Expr, location: i32) -> Result<(Expr, Expr)> {
        let is_text = |ty| matches!(ty, TypeId::TEXT | TypeId::VARCHAR | TypeId::UNKNOWN);
        let (prints_left, prints_right) = (!is_text(left.ty), !is_text(right.ty));
        let mut print =
            |value| self.coerce(value, TypeId::TEXT, NO_TYPMOD, Context::Explicit, location);
        match (prints_left, prints_right) {
            (true, false) => Ok((print(left)?, right)),
            (false, true) => Ok((left, print(right)?)),
            _ => Ok((left, right)),
        }
    }

    /// `name operand`.
    pub(super) fn unary_operator(
        &mut self,
        name: &str,
        operand: Expr,
        location: i32,
    ) -> Result<Expr> {
        let candidates: Vec<_> =
            catalog::operators_named(name).filter(|row| row.left.is_none()).collect();
        let ours = candidates.iter().map(|row| vec![row.right]).collect();
        let signatures = foreign::beside(ours, foreign::prefix(name));
        let chosen = choose(&[operand.ty], &signatures);
        let Some(row) = chosen.and_then(|at| candidates.get(at)) else {
            let why = Unresolved::of(chosen, &[operand.ty], &signatures);
            return Err(self.no_operator(name, &[operand.ty], why, location));
        };
        let operand = self.coerce(operand, row.right, NO_TYPMOD, Context::Implicit, location)?;
        let kind = ExprKind::Call(row.procedure, vec![operand]);
        Ok(Expr { kind, ty: row.ret, typmod: NO_TYPMOD })
    }

    /// Chooses the operator for two operands and brings them to its types.
    pub(super) fn resolve_binary(
        &mut self,
        name: &str,
        left: Expr,
        right: Expr,
        location: i32,
    ) -> Result<Resolved> {
        let candidates: Vec<_> =
            catalog::operators_named(name).filter(|row| row.left.is_some()).collect();
        let mut types = [left.ty, right.ty];
        let exact = exact_types(types);
        let mut chosen =
            candidates.iter().position(|row| (row.left, row.right) == (Some(exact[0]), exact[1]));
        let mut signatures: Vec<Vec<TypeId>> =
            candidates.iter().map(|row| vec![row.left.unwrap_or(row.right), row.right]).collect();
        if chosen.is_none() {
            signatures = foreign::beside(signatures, foreign::infix(name));
            // varchar has no operators of its own; PostgreSQL sees text in it first. Those of name
            // compare as those of text do under name's collation.
            let is_text = |ty| [TypeId::VARCHAR, TypeId::NAME].contains(&ty);
            types = types.map(|ty| if is_text(ty) { TypeId::TEXT } else { ty });
            let exact = exact_types(types);
            chosen = signatures.iter().position(|row| *row == exact);
            chosen = chosen.or_else(|| choose(&types, &signatures));
        }
        let Some(row) = chosen.and_then(|at| candidates.get(at)) else {
            let why = Unresolved::of(chosen, &types, &signatures);
            return Err(self.no_operator(name, &[left.ty, right.ty], why, location));
        };
        let left_type = row.left.expect("binary operators have a left operand");
        let left = self.coerce(left, left_type, NO_TYPMOD, Context::Implicit, location)?;
        let right = self.coerce(right, row.right, NO_TYPMOD, Context::Implicit, location)?;
        Ok(Resolved { procedure: row.procedure, ty: row.ret, left, right })
    }

    /// Operators are in `pg_catalog` alone.
    pub(super) fn no_operator_in(&mut self, shown: &str, expr: &protobuf::AExpr) -> Result<Error> {
        let mut types = Vec::with_capacity(2);
        for operand in [expr.lexpr.as_deref(), expr.rexpr.as_deref()] {
            if operand.is_some() {
                types.push(self.child(operand)?.ty);
            }
        }
        Ok(self.no_operator(shown, &types, Unresolved::Nothing, expr.location))
    }

    fn no_operator(
        &self,
        name: &str,
        given: &[TypeId],
        why: Unresolved<'_>,
        location: i32,
    ) -> Error {
        let with = |types: &[TypeId]| match types {
            [left, right] => format!("{} {name} {}", foreign::shown(*left), foreign::shown(*right)),
            [right, ..] => format!("{name} {}", foreign::shown(*right)),
            [] => name.to_owned(),
        };
        let shown = with(given);
        let error = match why {
            Unresolved::Foreign(types) => Error::unsupported(format!("operator {}", with(types))),
            Unresolved::Ambiguous => {
                Error::new(sqlstate::AMBIGUOUS_FUNCTION, format!("operator is not unique: {shown}"))
                    .with_hint(
                        "Could not choose a best candidate operator. You might need to add explicit type casts.",
                    )
            }
            Unresolved::Nothing => {
                Error::new(sqlstate::UNDEFINED_FUNCTION, format!("operator does not exist: {shown}"))
                    .with_hint(
                        "No operator matches the given name and argument types. You might need to add explicit type casts.",
                    )
            }
        };
        self.located(location, error)
    }
}

/// Why none of our candidates was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unresolved<'a> {
    /// None fits.
    Nothing,
    /// Several fit equally.
    Ambiguous,
    /// PostgreSQL's choice is one that we lack: that of these types.
    Foreign(&'a [TypeId]),
}

impl<'a> Unresolved<'a> {
    /// The reason, given what was chosen among ours and foreign ones.
    pub fn of(chosen: Option<usize>, given: &[TypeId], signatures: &'a [Vec<TypeId>]) -> Self {
        match chosen.and_then(|at| signatures.get(at)) {
            Some(types) => Self::Foreign(types),
            None if signatures.iter().any(|wanted| matches(given, wanted)) => Self::Ambiguous,
            None => Self::Nothing,
        }
    }
}

/// An unknown operand is first taken to have the other's type.
fn exact_types(types: [TypeId; 2]) -> [TypeId; 2] {
    match types {
        [TypeId::UNKNOWN, known] | [known, TypeId::UNKNOWN] => [known, known],
        other => other,
    }
}

fn matches(given: &[TypeId], wanted: &[TypeId]) -> bool {
    given.len() == wanted.len()
        && given.iter().zip(wanted).all(|(from, to)| can_coerce(*from, *to, Context::Implicit))
}

/// The index of the best of `signatures` for operands of the `given` types, if there is one.
pub(super) fn choose(given: &[TypeId], signatures: &[Vec<TypeId>]) -> Option<usize> {
    let mut left: Vec<usize> = Vec::new();
    for (at, wanted) in signatures.iter().enumerate() {
        if given == wanted.as_slice() {
            return Some(at);
        }
        if matches(given, wanted) {
            left.push(at);
        }
    }
    let wanted = |at: &usize| signatures.get(*at).expect("an index of signatures");
    keep_best(&mut left, |at| {
        given.iter().zip(wanted(at)).filter(|(g, w)| g == w && **g != TypeId::UNKNOWN).count()
    });
    if left.len() > 1 {
        keep_best(&mut left, |at| {
            let fits = |(g, w): &(&TypeId, &TypeId)| {
                let (given, (category, preferred)) =
                    (foreign::category(**g).0, foreign::category(**w));
                **g != TypeId::UNKNOWN && (g == w || (preferred && category == given))
            };
            given.iter().zip(wanted(at)).filter(fits).count()
        });
    }
    if left.len() > 1 && given.contains(&TypeId::UNKNOWN) {
        left = by_unknown_categories(given, left, signatures);
    }
    if left.len() > 1 {
        left = as_if_all_alike(given, left, signatures);
    }
    match left.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

/// Keeps the candidates with the highest score.
fn keep_best(candidates: &mut Vec<usize>, score: impl Fn(&usize) -> usize) {
    let best = candidates.iter().map(&score).max().unwrap_or(0);
    candidates.retain(|at| score(at) == best);
}

/// The category of text.
const STRING: char = 'S';

/// Unknown operands: a position takes the category string if any candidate does, else the one that
/// all share; then candidates of that category stay, the preferred type of it before others.
fn by_unknown_categories(
    given: &[TypeId],
    candidates: Vec<usize>,
    signatures: &[Vec<TypeId>],
) -> Vec<usize> {
    let mut wanted: Vec<Option<(char, bool)>> = Vec::with_capacity(given.len());
    for (position, ty) in given.iter().enumerate() {
        if *ty != TypeId::UNKNOWN {
            wanted.push(None);
            continue;
        }
        let categories: Vec<(char, bool)> = candidates
            .iter()
            .filter_map(|at| signatures.get(*at)?.get(position))
            .map(|ty| foreign::category(*ty))
            .collect();
        let Some((first, _)) = categories.first() else { return candidates };
        let category = if categories.iter().any(|(category, _)| *category == STRING) {
            STRING
        } else if categories.iter().all(|(category, _)| category == first) {
            *first
        } else {
            return candidates;
        };
        wanted.push(Some((category, categories.contains(&(category, true)))));
    }
    let fits = |at: &usize| {
        let signature = signatures.get(*at).expect("an index of signatures");
        signature.iter().zip(&wanted).all(|(ty, wanted)| {
            wanted.is_none_or(|(wanted, preferred)| {
                let (category, is_preferred) = foreign::category(*ty);
                category == wanted && (!preferred || is_preferred)
            })
        })
    };
    let kept: Vec<usize> = candidates.iter().copied().filter(|at| fits(at)).collect();
    if kept.is_empty() { candidates } else { kept }
}

/// If all known operands have one type, the unknown ones are taken to have it too.
fn as_if_all_alike(
    given: &[TypeId],
    candidates: Vec<usize>,
    signatures: &[Vec<TypeId>],
) -> Vec<usize> {
    let mut known = given.iter().filter(|ty| **ty != TypeId::UNKNOWN);
    let Some(first) = known.next() else { return candidates };
    if !given.contains(&TypeId::UNKNOWN) || known.any(|ty| ty != first) {
        return candidates;
    }
    let alike = vec![*first; given.len()];
    let kept: Vec<usize> = candidates
        .iter()
        .copied()
        .filter(|at| signatures.get(*at).is_some_and(|wanted| matches(&alike, wanted)))
        .collect();
    if kept.len() == 1 { kept } else { candidates }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUS: [[TypeId; 2]; 5] = [
        [TypeId::INT4, TypeId::INT4],
        [TypeId::INT8, TypeId::INT8],
        [TypeId::INT4, TypeId::INT8],
        [TypeId::NUMERIC, TypeId::NUMERIC],
        [TypeId::FLOAT8, TypeId::FLOAT8],
    ];

    fn chosen(given: [TypeId; 2]) -> Option<[TypeId; 2]> {
        let signatures: Vec<Vec<TypeId>> = PLUS.iter().map(|row| row.to_vec()).collect();
        choose(&given, &signatures).map(|at| PLUS[at])
    }

    #[test]
    fn exact_matches_win_and_preferred_types_break_ties() {
        assert_eq!(chosen([TypeId::INT4, TypeId::INT8]), Some([TypeId::INT4, TypeId::INT8]));
        assert_eq!(chosen([TypeId::INT4, TypeId::NUMERIC]), Some([TypeId::NUMERIC; 2]));
        assert_eq!(chosen([TypeId::NUMERIC, TypeId::FLOAT8]), Some([TypeId::FLOAT8; 2]));
        assert_eq!(chosen([TypeId::TEXT, TypeId::INT4]), None);
    }
}
