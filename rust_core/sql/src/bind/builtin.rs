//! Names that PostgreSQL has: signatures of its functions, and what it has that we do not, so that
//! asking for it is "not supported" and not "does not exist".

use phantom_types::TypeId;
use phantom_types::catalog::Procedure;

/// The types that a procedure takes for so many arguments; of a variadic one the last repeats.
pub(super) fn signature(procedure: &Procedure, arguments: usize) -> Vec<TypeId> {
    let mut types = procedure.args.to_vec();
    if let Some(repeated) = procedure.variadic
        && arguments >= types.len()
    {
        types.pop();
        while types.len() < arguments {
            types.push(repeated);
        }
    }
    types
}

/// The aggregates of a name.
pub(super) fn aggregates(name: &str) -> impl Iterator<Item = &'static phantom_agg::Aggregate> {
    phantom_agg::aggregates_named(name)
}

/// Whether PostgreSQL 15 has a type of that name that we lack.
pub(super) fn is_foreign_type(name: &str) -> bool {
    let element = name.strip_prefix('_').unwrap_or(name);
    FOREIGN_TYPES.contains(&element)
}

/// Whether PostgreSQL 15 has an operator of that name for our types, and we have none of the name.
pub(super) fn is_foreign_operator(name: &str) -> bool {
    const NAMES: &[&str] =
        &["&", "|", "#", "~", "<<", ">>", "||/", "~*", "!~", "!~*", "^@", "~<~", "~>~"];
    NAMES.contains(&name)
}

/// Whether PostgreSQL 15 has a function of that name that we lack.
pub(super) fn is_foreign_function(name: &str) -> bool {
    FOREIGN_FUNCTIONS.split_whitespace().any(|known| known == name)
}

#[rustfmt::skip] // Words in lines.
const FOREIGN_TYPES: &[&str] = &[
    "aclitem", "any", "anyarray", "anycompatible", "anycompatiblearray", "anycompatiblemultirange",
    "anycompatiblenonarray", "anycompatiblerange", "anyelement", "anyenum", "anymultirange",
    "anynonarray", "anyrange", "bigserial", "bit", "box", "bpchar", "bytea", "char", "cid", "cidr",
    "circle", "cstring", "datemultirange", "daterange", "event_trigger", "fdw_handler", "float4",
    "gtsvector", "index_am_handler", "inet", "int2vector", "int4multirange", "int4range",
    "int8multirange", "int8range", "internal", "interval", "json", "jsonb", "jsonpath",
    "language_handler", "line", "lseg", "macaddr", "macaddr8", "money", "name", "nummultirange",
    "numrange", "oid", "oidvector", "path", "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary",
    "pg_ddl_command", "pg_dependencies", "pg_lsn", "pg_mcv_list", "pg_ndistinct", "pg_node_tree",
    "pg_snapshot", "point", "polygon", "record", "refcursor", "regclass", "regcollation",
    "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator", "regproc",
    "regprocedure", "regrole", "regtype", "serial", "serial2", "serial4", "serial8", "smallserial",
    "table_am_handler", "tid", "time", "timestamp", "timetz", "trigger", "tsm_handler",
    "tsmultirange", "tsquery", "tsrange", "tstzmultirange", "tstzrange", "tsvector",
    "txid_snapshot", "uuid", "varbit", "void", "xid", "xid8", "xml",
];

/// The functions of PostgreSQL 15 that statements may call, ours among them.
const FOREIGN_FUNCTIONS: &str = include_str!("functions.txt");
