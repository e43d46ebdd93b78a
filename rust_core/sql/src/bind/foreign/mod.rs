//! What PostgreSQL 15 has and we do not, so that asking for it is "not supported" and not "does not
//! exist": types, operators, functions.
//!
//! Operators and overloads stand for election beside ours: what they win is "not supported", what
//! they make ambiguous is ambiguous. Otherwise `date + $1` would find its only candidate in
//! `date + integer`, and a client would be told another type than PostgreSQL's, or an answer where
//! there is none.
//!
//! The lists are facts of PostgreSQL 15's own catalogs, sorted, and hold what we have as well; so
//! they stay as they are when we learn more of them.
//!
//! - `operators.txt`: a line an operator of `pg_operator`: name, left operand or `none`, right one.
//! - `overloads.txt`: a line a function or aggregate of `pg_proc` whose name has several: name,
//!   arguments. Those that take `internal` are left out, for no statement can call them.
//! - `functions.txt`: the names of all that statements may call.
//! - `relations.txt`: a line a table or view of the system schemas, or a domain: schema, name.

mod types;

use phantom_types::TypeId;

pub(super) use types::is_foreign_type;
use types::{Foreign, TYPES, named};

const OPERATORS: &str = include_str!("operators.txt");
const OVERLOADS: &str = include_str!("overloads.txt");
const FUNCTIONS: &str = include_str!("functions.txt");
const RELATIONS: &str = include_str!("relations.txt");

/// Signatures of infix operators of a name.
pub(super) fn infix(name: &str) -> Vec<Vec<TypeId>> {
    let all = lines(OPERATORS, name).map(|words| words.map(type_named).collect::<Vec<_>>());
    all.filter(|operands| operands.len() == 2 && !operands.contains(&NONE)).collect()
}

/// Signatures of prefix operators of a name.
pub(super) fn prefix(name: &str) -> Vec<Vec<TypeId>> {
    let all = lines(OPERATORS, name).filter_map(|mut words| {
        let is_prefix = words.next() == Some("none");
        is_prefix.then(|| words.map(type_named).collect())
    });
    all.collect()
}

/// Signatures of functions and aggregates of a name that has several.
pub(super) fn overloads(name: &str) -> Vec<Vec<TypeId>> {
    lines(OVERLOADS, name).map(|words| words.map(type_named).collect()).collect()
}

/// Signatures of ours, and behind them those of all that are not.
pub(super) fn beside(mut ours: Vec<Vec<TypeId>>, all: Vec<Vec<TypeId>>) -> Vec<Vec<TypeId>> {
    let foreign: Vec<_> = all.into_iter().filter(|row| !ours.contains(row)).collect();
    ours.extend(foreign);
    ours
}

/// Whether PostgreSQL 15 has a function of that name.
pub(super) fn is_foreign_function(name: &str) -> bool {
    FUNCTIONS.split_whitespace().any(|known| known == name)
}

/// Whether PostgreSQL 15 has a table, a view or a domain of that name in a system schema.
pub(super) fn is_system_relation(schema: &str, name: &str) -> bool {
    RELATIONS.lines().any(|line| line.split_once(' ') == Some((schema, name)))
}

/// What stands where a prefix operator has no left operand.
const NONE: TypeId = TypeId(0);

/// What follows a name in each of the lines that begin with it.
fn lines<'a>(
    text: &'static str,
    name: &'a str,
) -> impl Iterator<Item = std::str::SplitWhitespace<'static>> + use<'a> {
    let of_name = move |line: &'static str| {
        let rest = line.strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with(' ')).then(|| rest.split_whitespace())
    };
    text.lines().filter_map(of_name)
}

fn type_named(name: &str) -> TypeId {
    if name == "none" {
        return NONE;
    }
    let foreign = named(name).map(|foreign| foreign.ty);
    foreign.or_else(|| TypeId::from_name(name)).expect("the lists name types that are known")
}

fn facts(ty: TypeId) -> Option<&'static Foreign> {
    if TypeId::from_oid(ty.0).is_some() {
        return None; // One of ours, as most are.
    }
    TYPES.iter().find(|foreign| foreign.ty == ty)
}

/// Whether a value becomes one of a type that we lack; `None` where we have the type.
pub(super) fn takes(ty: TypeId, from: TypeId) -> Option<bool> {
    facts(ty).map(|foreign| from == TypeId::UNKNOWN || foreign.from.contains(&from))
}

/// The category of a type of ours or a foreign one, and whether it is the preferred one there.
pub(super) fn category(ty: TypeId) -> (char, bool) {
    facts(ty).map_or_else(|| (ty.category().letter(), ty.is_preferred()), |found| found.category)
}

/// The name in messages of a type that we lack; arrays have none here but for a few.
pub(super) fn type_of_oid(oid: u32) -> Option<&'static str> {
    facts(TypeId(oid)).map(|foreign| shown(foreign.ty))
}

/// The name in messages of a type of ours or a foreign one.
pub(super) fn shown(ty: TypeId) -> &'static str {
    facts(ty).map_or_else(|| ty.sql_name(), |foreign| shown_name(foreign.name))
}

/// The name in messages for a name in `pg_type`.
pub(super) fn shown_name(name: &str) -> &str {
    match name {
        "_text" => "text[]",
        "bpchar" => "character",
        "char" => "\"char\"",
        "float4" => "real",
        "time" => "time without time zone",
        "timestamp" => "timestamp without time zone",
        "timetz" => "time with time zone",
        "varbit" => "bit varying",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use phantom_types::catalog;

    use super::*;

    #[test]
    fn the_lists_name_types_that_are_known_and_are_sorted() {
        assert!(TYPES.is_sorted_by(|a, b| a.name < b.name));
        for foreign in TYPES {
            assert!(TypeId::from_oid(foreign.ty.0).is_none(), "{} is ours", foreign.name);
            assert_eq!(facts(foreign.ty).map(|found| found.name), Some(foreign.name));
        }
        for (text, words) in [(OPERATORS, 3..=3), (OVERLOADS, 1..=10)] {
            let split = |line: &'static str| line.split_whitespace().collect::<Vec<_>>();
            for line in text.lines() {
                let row = split(line);
                assert!(words.contains(&row.len()), "{line}");
                for name in row.iter().skip(1) {
                    type_named(name);
                }
            }
            assert!(text.lines().map(split).is_sorted_by(|a, b| a < b), "after {words:?}");
        }
    }

    #[test]
    fn system_relations_are_known_by_schema_and_name() {
        assert!(is_system_relation("pg_catalog", "pg_class"));
        assert!(is_system_relation("information_schema", "sql_identifier"));
        assert!(!is_system_relation("pg_catalog", "tables"));
        assert!(RELATIONS.lines().all(|line| line.split(' ').count() == 2));
    }

    #[test]
    fn the_lists_hold_what_is_ours() {
        for row in catalog::OPERATORS {
            let found = match row.left {
                Some(left) => infix(row.name).contains(&vec![left, row.right]),
                None => prefix(row.name).contains(&vec![row.right]),
            };
            assert!(found, "{row:?}");
        }
        // What has no name cannot be asked for.
        let named = catalog::PROCEDURES.iter().filter(|row| !row.name.is_empty());
        let ours = named.map(|row| (row.name, row.args));
        for (name, args) in
            ours.chain(phantom_agg::AGGREGATES.iter().map(|row| (row.name, row.args)))
        {
            let overloads = overloads(name);
            assert!(overloads.is_empty() || overloads.contains(&args.to_vec()), "{name} {args:?}");
            assert!(is_foreign_function(name), "{name}");
        }
    }
}
