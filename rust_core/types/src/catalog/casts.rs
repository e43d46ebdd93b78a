//! `pg_cast`, as far as our types go.

use super::CastContext::{Assignment, Explicit, Implicit};
use super::CastHow::{Binary, Function};
use super::{CastContext, CastHow, CastRow};
use crate::TypeId as T;

const fn cast(source: T, target: T, context: CastContext, how: CastHow) -> CastRow {
    CastRow { source, target, context, how }
}

/// All casts, by source and target.
#[rustfmt::skip] // A line a row.
pub static CASTS: &[CastRow] = &[
    cast(T::BOOL, T::INT4, Explicit, Function(2558)),
    cast(T::BOOL, T::TEXT, Assignment, Function(2971)),
    cast(T::BOOL, T::VARCHAR, Assignment, Function(2971)),
    cast(T::NAME, T::TEXT, Implicit, Function(406)),
    cast(T::NAME, T::VARCHAR, Assignment, Function(1401)),
    cast(T::INT8, T::INT2, Assignment, Function(714)),
    cast(T::INT8, T::INT4, Assignment, Function(480)),
    cast(T::INT8, T::FLOAT8, Implicit, Function(482)),
    cast(T::INT8, T::NUMERIC, Implicit, Function(1781)),
    cast(T::INT2, T::INT8, Implicit, Function(754)),
    cast(T::INT2, T::INT4, Implicit, Function(313)),
    cast(T::INT2, T::FLOAT8, Implicit, Function(235)),
    cast(T::INT2, T::NUMERIC, Implicit, Function(1782)),
    cast(T::INT4, T::BOOL, Explicit, Function(2557)),
    cast(T::INT4, T::INT8, Implicit, Function(481)),
    cast(T::INT4, T::INT2, Assignment, Function(314)),
    cast(T::INT4, T::FLOAT8, Implicit, Function(316)),
    cast(T::INT4, T::NUMERIC, Implicit, Function(1740)),
    cast(T::TEXT, T::NAME, Implicit, Function(407)),
    cast(T::TEXT, T::VARCHAR, Implicit, Binary),
    cast(T::FLOAT8, T::INT8, Assignment, Function(483)),
    cast(T::FLOAT8, T::INT2, Assignment, Function(237)),
    cast(T::FLOAT8, T::INT4, Assignment, Function(317)),
    cast(T::FLOAT8, T::NUMERIC, Assignment, Function(1743)),
    cast(T::VARCHAR, T::NAME, Implicit, Function(1400)),
    cast(T::VARCHAR, T::TEXT, Implicit, Binary),
    cast(T::VARCHAR, T::VARCHAR, Implicit, Function(669)),
    cast(T::DATE, T::TIMESTAMPTZ, Implicit, Function(1174)),
    cast(T::TIMESTAMPTZ, T::DATE, Assignment, Function(1178)),
    cast(T::TIMESTAMPTZ, T::TIMESTAMPTZ, Implicit, Function(1967)),
    cast(T::NUMERIC, T::INT8, Assignment, Function(1779)),
    cast(T::NUMERIC, T::INT2, Assignment, Function(1783)),
    cast(T::NUMERIC, T::INT4, Assignment, Function(1744)),
    cast(T::NUMERIC, T::FLOAT8, Implicit, Function(1746)),
    cast(T::NUMERIC, T::NUMERIC, Implicit, Function(1703)),
];
