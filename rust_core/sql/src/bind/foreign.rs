//! Overloads that PostgreSQL 15 has beside ours, under names that ours have.
//!
//! They stand for election too: what they win is "not supported", what they make ambiguous is
//! ambiguous. Otherwise `date + $1` would find its only candidate in `date + integer`, and a client
//! would be told another type than PostgreSQL's, or an answer where there is none.
//!
//! Only those are listed that can decide something: where an operand is text the string types win,
//! and where all operands are known ours match exactly.

use phantom_types::TypeId;

/// A type that we lack, as far as the choice of overloads looks at it.
struct Foreign {
    name: &'static str,
    ty: TypeId,
    /// `pg_type.typcategory` and `typispreferred`.
    category: (char, bool),
    /// Our types that become it without being asked to.
    from: &'static [TypeId],
}

const fn foreign(
    name: &'static str,
    oid: u32,
    category: (char, bool),
    from: &'static [TypeId],
) -> Foreign {
    Foreign { name, ty: TypeId(oid), category, from }
}

const TYPES: &[Foreign] = &[
    foreign("bit", 1560, ('V', false), &[]),
    foreign("box", 603, ('G', false), &[]),
    foreign("char", 18, ('Z', false), &[]),
    foreign("circle", 718, ('G', false), &[]),
    foreign(
        "float4",
        700,
        ('N', false),
        &[TypeId::INT2, TypeId::INT4, TypeId::INT8, TypeId::NUMERIC],
    ),
    foreign("inet", 869, ('I', true), &[]),
    foreign("interval", 1186, ('T', true), &[]),
    foreign("jsonb", 3802, ('U', false), &[]),
    foreign("macaddr", 829, ('U', false), &[]),
    foreign("money", 790, ('N', false), &[]),
    foreign("path", 602, ('G', false), &[]),
    foreign("pg_lsn", 3220, ('U', false), &[]),
    foreign("point", 600, ('G', false), &[]),
    foreign("time", 1083, ('D', false), &[]),
    foreign("timestamp", 1114, ('D', false), &[TypeId::DATE]),
    foreign("timetz", 1266, ('D', false), &[]),
    foreign("xml", 142, ('U', false), &[]),
];

/// Operands of infix operators.
#[rustfmt::skip] // Words in lines.
const INFIX: &[(&str, &str)] = &[
    ("+", "date,interval date,time date,timetz float4,float4 float4,float8 float8,float4 inet,int8
        int8,inet interval,date interval,interval interval,time interval,timestamp
        interval,timestamptz interval,timetz money,money numeric,pg_lsn path,path pg_lsn,numeric
        point,point time,date time,interval timestamp,interval timestamptz,interval timetz,date
        timetz,interval"),
    ("-", "date,interval float4,float4 float4,float8 float8,float4 inet,inet inet,int8
        interval,interval jsonb,int4 jsonb,text money,money pg_lsn,numeric pg_lsn,pg_lsn point,point
        time,interval time,time timestamp,interval timestamp,timestamp timestamptz,interval
        timestamptz,timestamptz timetz,interval"),
    ("*", "float4,float4 float4,float8 float4,money float8,float4 float8,interval float8,money
        int2,money int4,money interval,float8 money,float4 money,float8 money,int2 money,int4
        money,int8 point,point"),
    ("/", "float4,float4 float4,float8 float8,float4 interval,float8 money,float4 money,float8
        money,int2 money,int4 money,int8 money,money point,point"),
];

/// Operands of prefix operators.
const PREFIX: &[(&str, &str)] = &[("-", "float4 interval")];

/// Arguments of functions and aggregates.
const FUNCTIONS: &[(&str, &str)] = &[
    ("avg", "float4 interval"),
    ("bool", "jsonb"),
    ("date", "timestamp"),
    ("date_part", "text,interval text,time text,timestamp text,timetz"),
    ("date_trunc", "text,interval text,timestamp"),
    ("extract", "text,interval text,time text,timestamp text,timetz"),
    ("float8", "float4 jsonb"),
    ("int2", "float4 jsonb"),
    ("int4", "bit char float4 jsonb"),
    ("int8", "bit float4 jsonb"),
    ("isfinite", "interval timestamp"),
    ("numeric", "float4 jsonb money"),
    ("substring", "text,text text,text,text"),
    ("sum", "float4 interval money"),
    ("text", "char inet xml"),
    ("timestamptz", "date,time date,timetz timestamp"),
    ("trunc", "macaddr"),
];

/// Signatures of infix operators of a name.
pub(super) fn infix(name: &str) -> Vec<Vec<TypeId>> {
    signatures(INFIX, name)
}

/// Signatures of prefix operators of a name.
pub(super) fn prefix(name: &str) -> Vec<Vec<TypeId>> {
    signatures(PREFIX, name)
}

/// Signatures of functions and aggregates of a name.
pub(super) fn functions(name: &str) -> Vec<Vec<TypeId>> {
    signatures(FUNCTIONS, name)
}

fn signatures(table: &[(&str, &str)], name: &str) -> Vec<Vec<TypeId>> {
    let row = table.iter().find(|(known, _)| *known == name);
    let words = row.map_or("", |(_, words)| words).split_whitespace();
    words.map(|word| word.split(',').map(named).collect()).collect()
}

fn named(name: &str) -> TypeId {
    let foreign = TYPES.iter().find(|foreign| foreign.name == name).map(|foreign| foreign.ty);
    foreign.or_else(|| TypeId::from_name(name)).expect("the tables name types that are known")
}

fn facts(ty: TypeId) -> Option<&'static Foreign> {
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

#[cfg(test)]
mod tests {
    use phantom_types::catalog;

    use super::*;

    #[test]
    fn what_is_foreign_is_none_of_ours() {
        for (name, _) in INFIX {
            let ours =
                catalog::operators_named(name).filter_map(|row| Some([row.left?, row.right]));
            let ours: Vec<[TypeId; 2]> = ours.collect();
            assert!(!ours.is_empty(), "{name}");
            assert!(infix(name).iter().all(|row| ours.iter().all(|ours| row != ours)), "{name}");
        }
        for (name, _) in PREFIX {
            let mut ours = catalog::operators_named(name).filter(|row| row.left.is_none());
            assert!(ours.all(|row| !prefix(name).contains(&vec![row.right])), "{name}");
        }
        for (name, _) in FUNCTIONS {
            let aggregates = phantom_agg::aggregates_named(name).map(|row| row.args);
            let ours: Vec<&[TypeId]> =
                catalog::procedures_named(name).map(|row| row.args).chain(aggregates).collect();
            assert!(!ours.is_empty(), "{name}");
            assert!(functions(name).iter().all(|row| !ours.contains(&row.as_slice())), "{name}");
        }
    }
}
