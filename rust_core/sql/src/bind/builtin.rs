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
    FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || FOREIGN_FUNCTIONS.contains(&name)
}

#[rustfmt::skip] // Words in lines.
const FOREIGN_TYPES: &[&str] = &[
    "bit", "box", "bpchar", "bytea", "char", "cid", "cidr", "circle", "daterange", "float4", "inet",
    "int4range", "int8range", "interval", "json", "jsonb", "jsonpath", "line", "lseg", "macaddr",
    "macaddr8", "money", "name", "numrange", "oid", "path", "pg_lsn", "point", "polygon", "record",
    "refcursor", "regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper",
    "regoperator", "regproc", "regprocedure", "regrole", "regtype", "serial", "serial2", "serial4",
    "serial8", "bigserial", "smallserial", "tid", "time", "timestamp", "timetz", "tsquery",
    "tsrange", "tstzrange", "tsvector", "uuid", "varbit", "void", "xid", "xid8", "xml",
];

const FOREIGN_PREFIXES: &[&str] = &[
    "array_",
    "json_",
    "jsonb_",
    "pg_",
    "regexp_",
    "to_",
    "has_",
    "inet",
    "lo_",
    "make_",
    "range_",
    "set_",
    "ts_",
    "txid_",
    "xml",
    "obj_",
    "col_",
    "quote_",
    "bit_",
    "stddev",
    "var_",
    "regr_",
    "covar_",
    "current_s",
    "string_",
    "percentile_",
    "justify_",
    "bool_",
];

#[rustfmt::skip] // Words in lines.
const FOREIGN_FUNCTIONS: &[&str] = &[
    "acos", "age", "ascii", "asin", "atan", "atan2", "cardinality", "cbrt", "chr", "clock_timestamp",
    "concat_ws", "convert_from", "convert_to", "corr", "cos", "cot", "cume_dist", "date_bin",
    "decode", "degrees", "dense_rank", "div", "encode", "every", "exp", "factorial", "first_value",
    "format", "format_type", "gcd", "generate_series", "generate_subscripts", "get_bit", "get_byte",
    "initcap", "isfinite", "lag", "last_value", "lcm", "lead", "ln", "log", "log10", "md5", "mode",
    "min_scale", "nextval", "normalize", "nth_value", "ntile", "num_nonnulls", "num_nulls",
    "octet_length", "overlay", "parse_ident", "pi", "radians", "random", "rank", "row_number",
    "row_to_json", "scale", "setseed", "setval", "currval", "lastval", "sha256", "sin",
    "split_to_table", "starts_with", "statement_timestamp", "tan", "timeofday", "timezone",
    "to_char", "translate", "trim_scale", "unnest", "width_bucket", "xmlagg", "gen_random_uuid",
];
