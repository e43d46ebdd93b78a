//! Types of PostgreSQL 15 that we lack, as far as the choice of overloads looks at them: all of
//! `pg_type` but arrays, of which there are those that a listed operator or function takes.

use phantom_types::TypeId as T;

/// A type that we lack.
pub(super) struct Foreign {
    pub(super) name: &'static str,
    pub(super) ty: T,
    /// `pg_type.typcategory` and `typispreferred`.
    pub(super) category: (char, bool),
    /// Our types that become it without being asked to.
    pub(super) from: &'static [T],
}

const fn foreign(
    name: &'static str,
    oid: u32,
    category: (char, bool),
    from: &'static [T],
) -> Foreign {
    Foreign { name, ty: T(oid), category, from }
}

/// What stands for any type but arrays, of which we have none.
const ANYTHING: &[T] = &T::ALL;

/// All, by name.
#[rustfmt::skip] // A line a row.
pub(super) const TYPES: &[Foreign] = &[
    foreign("_aclitem", 1034, ('A', false), &[]),
    foreign("_daterange", 3913, ('A', false), &[]),
    foreign("_float4", 1021, ('A', false), &[]),
    foreign("_float8", 1022, ('A', false), &[]),
    foreign("_int4", 1007, ('A', false), &[]),
    foreign("_int4range", 3905, ('A', false), &[]),
    foreign("_int8range", 3927, ('A', false), &[]),
    foreign("_numrange", 3907, ('A', false), &[]),
    foreign("_text", 1009, ('A', false), &[]),
    foreign("_tsrange", 3909, ('A', false), &[]),
    foreign("_tstzrange", 3911, ('A', false), &[]),
    foreign("aclitem", 1033, ('U', false), &[]),
    foreign("anyarray", 2277, ('P', false), &[]),
    foreign("anycompatible", 5077, ('P', false), ANYTHING),
    foreign("anycompatiblearray", 5078, ('P', false), &[]),
    foreign("anycompatiblemultirange", 4538, ('P', false), &[]),
    foreign("anycompatiblenonarray", 5079, ('P', false), ANYTHING),
    foreign("anycompatiblerange", 5080, ('P', false), &[]),
    foreign("anyelement", 2283, ('P', false), ANYTHING),
    foreign("anyenum", 3500, ('P', false), &[]),
    foreign("anymultirange", 4537, ('P', false), &[]),
    foreign("anynonarray", 2776, ('P', false), ANYTHING),
    foreign("anyrange", 3831, ('P', false), &[]),
    foreign("bit", 1560, ('V', false), &[]),
    foreign("box", 603, ('G', false), &[]),
    foreign("bpchar", 1042, ('S', false), &[T::TEXT, T::VARCHAR]),
    foreign("bytea", 17, ('U', false), &[]),
    foreign("char", 18, ('Z', false), &[]),
    foreign("cid", 29, ('U', false), &[]),
    foreign("cidr", 650, ('I', false), &[]),
    foreign("circle", 718, ('G', false), &[]),
    foreign("cstring", 2275, ('P', false), &[]),
    foreign("datemultirange", 4535, ('R', false), &[]),
    foreign("daterange", 3912, ('R', false), &[]),
    foreign("event_trigger", 3838, ('P', false), &[]),
    foreign("fdw_handler", 3115, ('P', false), &[]),
    foreign("float4", 700, ('N', false), &[T::INT8, T::INT2, T::INT4, T::NUMERIC]),
    foreign("gtsvector", 3642, ('U', false), &[]),
    foreign("index_am_handler", 325, ('P', false), &[]),
    foreign("inet", 869, ('I', true), &[]),
    foreign("int2vector", 22, ('A', false), &[]),
    foreign("int4multirange", 4451, ('R', false), &[]),
    foreign("int4range", 3904, ('R', false), &[]),
    foreign("int8multirange", 4536, ('R', false), &[]),
    foreign("int8range", 3926, ('R', false), &[]),
    foreign("internal", 2281, ('P', false), &[]),
    foreign("interval", 1186, ('T', true), &[]),
    foreign("json", 114, ('U', false), &[]),
    foreign("jsonb", 3802, ('U', false), &[]),
    foreign("jsonpath", 4072, ('U', false), &[]),
    foreign("language_handler", 2280, ('P', false), &[]),
    foreign("line", 628, ('G', false), &[]),
    foreign("lseg", 601, ('G', false), &[]),
    foreign("macaddr", 829, ('U', false), &[]),
    foreign("macaddr8", 774, ('U', false), &[]),
    foreign("money", 790, ('N', false), &[]),
    foreign("nummultirange", 4532, ('R', false), &[]),
    foreign("numrange", 3906, ('R', false), &[]),
    foreign("oid", 26, ('N', true), &[T::INT8, T::INT2, T::INT4]),
    foreign("oidvector", 30, ('A', false), &[]),
    foreign("path", 602, ('G', false), &[]),
    foreign("pg_brin_bloom_summary", 4600, ('Z', false), &[]),
    foreign("pg_brin_minmax_multi_summary", 4601, ('Z', false), &[]),
    foreign("pg_ddl_command", 32, ('P', false), &[]),
    foreign("pg_dependencies", 3402, ('Z', false), &[]),
    foreign("pg_lsn", 3220, ('U', false), &[]),
    foreign("pg_mcv_list", 5017, ('Z', false), &[]),
    foreign("pg_ndistinct", 3361, ('Z', false), &[]),
    foreign("pg_node_tree", 194, ('Z', false), &[]),
    foreign("pg_snapshot", 5038, ('U', false), &[]),
    foreign("point", 600, ('G', false), &[]),
    foreign("polygon", 604, ('G', false), &[]),
    foreign("record", 2249, ('P', false), &[]),
    foreign("refcursor", 1790, ('U', false), &[]),
    foreign("regclass", 2205, ('N', false), &[T::INT8, T::INT2, T::INT4, T::TEXT, T::VARCHAR]),
    foreign("regcollation", 4191, ('N', false), &[T::INT8, T::INT2, T::INT4]),
    foreign("regconfig", 3734, ('N', false), &[T::INT8, T::INT2, T::INT4]),
    foreign("regdictionary", 3769, ('N', false), &[T::INT8, T::INT2, T::INT4]),
    foreign("regnamespace", 4089, ('N', false), &[T::INT8, T::INT2, T::INT4]),
    foreign("regoper", 2203, ('N', false), &[T::INT8, T::INT2, T::INT4]),
    foreign("regoperator", 2204, ('N', false), &[T::INT8, T::INT2, T::INT4]),
    foreign("regproc", 24, ('N', false), &[T::INT8, T::INT2, T::INT4]),
    foreign("regprocedure", 2202, ('N', false), &[T::INT8, T::INT2, T::INT4]),
    foreign("regrole", 4096, ('N', false), &[T::INT8, T::INT2, T::INT4]),
    foreign("regtype", 2206, ('N', false), &[T::INT8, T::INT2, T::INT4]),
    foreign("table_am_handler", 269, ('P', false), &[]),
    foreign("tid", 27, ('U', false), &[]),
    foreign("time", 1083, ('D', false), &[]),
    foreign("timestamp", 1114, ('D', false), &[T::DATE]),
    foreign("timetz", 1266, ('D', false), &[]),
    foreign("trigger", 2279, ('P', false), &[]),
    foreign("tsm_handler", 3310, ('P', false), &[]),
    foreign("tsmultirange", 4533, ('R', false), &[]),
    foreign("tsquery", 3615, ('U', false), &[]),
    foreign("tsrange", 3908, ('R', false), &[]),
    foreign("tstzmultirange", 4534, ('R', false), &[]),
    foreign("tstzrange", 3910, ('R', false), &[]),
    foreign("tsvector", 3614, ('U', false), &[]),
    foreign("txid_snapshot", 2970, ('U', false), &[]),
    foreign("uuid", 2950, ('U', false), &[]),
    foreign("varbit", 1562, ('V', true), &[]),
    foreign("void", 2278, ('P', false), &[]),
    foreign("xid", 28, ('U', false), &[]),
    foreign("xid8", 5069, ('U', false), &[]),
    foreign("xml", 142, ('U', false), &[]),
];

/// Words that CREATE TABLE takes for a type, and `pg_type` does not have.
const SERIALS: &[&str] = &["bigserial", "serial", "serial2", "serial4", "serial8", "smallserial"];

/// Types that expressions have, and no statement may name yet.
const UNNAMED: &[&str] = &["any", "name", "unknown"];

/// A type that we lack, by its name.
pub(super) fn named(name: &str) -> Option<&'static Foreign> {
    TYPES.binary_search_by(|foreign| foreign.name.cmp(name)).ok().and_then(|at| TYPES.get(at))
}

/// Whether PostgreSQL 15 has a type of that name, or an array of it, and we do not.
pub(in crate::bind) fn is_foreign_type(name: &str) -> bool {
    let element = name.strip_prefix('_').unwrap_or(name);
    let is_array_of_ours = element != name && T::from_name(element).is_some();
    is_array_of_ours
        || UNNAMED.contains(&element)
        || named(element).is_some()
        || SERIALS.contains(&element)
}
