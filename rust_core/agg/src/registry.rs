//! The aggregates, under PostgreSQL's OIDs.

use phantom_types::TypeId;

/// What an aggregate computes, whatever the width of its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Rows.
    CountRows,
    /// Values that are not NULL.
    Count,
    /// `sum` of whole numbers.
    SumIntegers,
    /// `avg` of whole numbers.
    AverageIntegers,
    /// `sum(numeric)`
    SumNumerics,
    /// `avg(numeric)`
    AverageNumerics,
    /// `sum(float8)`
    SumFloats,
    /// `avg(float8)`
    AverageFloats,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// Whether all are true.
    All,
    /// Whether one is true.
    Any,
}

/// A row of `pg_aggregate` and its `pg_proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// `oid`
    pub oid: u32,
    /// `proname`
    pub name: &'static str,
    /// `proargtypes`; `count(*)` has none.
    pub args: &'static [TypeId],
    /// `prorettype`
    pub ret: TypeId,
    /// What it computes.
    pub function: Function,
}

const fn row(
    oid: u32,
    name: &'static str,
    args: &'static [TypeId],
    (ret, function): (TypeId, Function),
) -> Aggregate {
    Aggregate { oid, name, args, ret, function }
}

use Function as F;
use TypeId as T;

/// All aggregates, by OID.
#[rustfmt::skip] // A line a row.
pub static AGGREGATES: &[Aggregate] = &[
    row(2100, "avg", &[T::INT8], (T::NUMERIC, F::AverageIntegers)),
    row(2101, "avg", &[T::INT4], (T::NUMERIC, F::AverageIntegers)),
    row(2102, "avg", &[T::INT2], (T::NUMERIC, F::AverageIntegers)),
    row(2103, "avg", &[T::NUMERIC], (T::NUMERIC, F::AverageNumerics)),
    row(2105, "avg", &[T::FLOAT8], (T::FLOAT8, F::AverageFloats)),
    row(2107, "sum", &[T::INT8], (T::NUMERIC, F::SumIntegers)),
    row(2108, "sum", &[T::INT4], (T::INT8, F::SumIntegers)),
    row(2109, "sum", &[T::INT2], (T::INT8, F::SumIntegers)),
    row(2111, "sum", &[T::FLOAT8], (T::FLOAT8, F::SumFloats)),
    row(2114, "sum", &[T::NUMERIC], (T::NUMERIC, F::SumNumerics)),
    row(2115, "max", &[T::INT8], (T::INT8, F::Max)),
    row(2116, "max", &[T::INT4], (T::INT4, F::Max)),
    row(2117, "max", &[T::INT2], (T::INT2, F::Max)),
    row(2120, "max", &[T::FLOAT8], (T::FLOAT8, F::Max)),
    row(2122, "max", &[T::DATE], (T::DATE, F::Max)),
    row(2127, "max", &[T::TIMESTAMPTZ], (T::TIMESTAMPTZ, F::Max)),
    row(2129, "max", &[T::TEXT], (T::TEXT, F::Max)),
    row(2130, "max", &[T::NUMERIC], (T::NUMERIC, F::Max)),
    row(2131, "min", &[T::INT8], (T::INT8, F::Min)),
    row(2132, "min", &[T::INT4], (T::INT4, F::Min)),
    row(2133, "min", &[T::INT2], (T::INT2, F::Min)),
    row(2136, "min", &[T::FLOAT8], (T::FLOAT8, F::Min)),
    row(2138, "min", &[T::DATE], (T::DATE, F::Min)),
    row(2143, "min", &[T::TIMESTAMPTZ], (T::TIMESTAMPTZ, F::Min)),
    row(2145, "min", &[T::TEXT], (T::TEXT, F::Min)),
    row(2146, "min", &[T::NUMERIC], (T::NUMERIC, F::Min)),
    row(2147, "count", &[T::ANY], (T::INT8, F::Count)),
    row(2517, "bool_and", &[T::BOOL], (T::BOOL, F::All)),
    row(2518, "bool_or", &[T::BOOL], (T::BOOL, F::Any)),
    row(2519, "every", &[T::BOOL], (T::BOOL, F::All)),
    row(2803, "count", &[], (T::INT8, F::CountRows)),
];

/// The aggregate with this OID.
pub fn aggregate(oid: u32) -> Option<&'static Aggregate> {
    AGGREGATES.binary_search_by_key(&oid, |row| row.oid).ok().map(|at| &AGGREGATES[at])
}

/// The aggregates of this name.
pub fn aggregates_named(name: &str) -> impl Iterator<Item = &'static Aggregate> {
    AGGREGATES.iter().filter(move |row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_oid_is_found_once() {
        assert!(AGGREGATES.is_sorted_by(|a, b| a.oid < b.oid));
        for row in AGGREGATES {
            assert_eq!(aggregate(row.oid), Some(row));
            assert!(aggregates_named(row.name).any(|named| named == row));
        }
        assert_eq!(aggregate(1), None);
    }
}
