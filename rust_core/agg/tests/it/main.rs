//! Aggregates give PostgreSQL's values, however rows are spread, ordered, sent and combined.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "tests may end where they stand"
)]

use phantom_agg::{AGGREGATES, Aggregate, Groups, States, aggregate};
use phantom_base::{Random, SeededRandom};
use phantom_types::{Column, Datum, Numeric, Selection, TypeId};
use proptest::prelude::*;

/// The value of one group of these rows.
fn value_of(oid: u32, rows: &[Datum]) -> Result<Datum, String> {
    let aggregate = aggregate(oid).unwrap();
    let mut states = States::new(aggregate);
    states.grow(1);
    accumulate(&mut states, Groups::One(0), aggregate, rows);
    states.finish(0).map_err(|error| error.to_string())
}

fn accumulate(states: &mut States, groups: Groups<'_>, aggregate: &Aggregate, rows: &[Datum]) {
    let selection = Selection::All(rows.len());
    match aggregate.args {
        [] => states.accumulate(groups, None, selection).unwrap(),
        [ty] => {
            let ty = if *ty == TypeId::ANY { TypeId::INT4 } else { *ty };
            let column = Column::from_datums(ty, rows);
            states.accumulate(groups, Some(&column), selection).unwrap();
        }
        _ => unreachable!("aggregates of one argument"),
    }
}

fn numeric(text: &str) -> Datum {
    Datum::Numeric(Numeric::parse(text).unwrap())
}

fn numerics(texts: &[&str]) -> Vec<Datum> {
    texts.iter().map(|text| numeric(text)).collect()
}

fn floats(values: &[f64]) -> Vec<Datum> {
    values.iter().copied().map(Datum::Float8).collect()
}

fn shown(datum: &Datum) -> String {
    match datum {
        Datum::Numeric(value) => value.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn values_and_their_scales_are_those_of_postgresql_15() {
    let int4 = [1, 2, 2].map(Datum::Int4);
    let int8 = [i64::MAX, i64::MAX].map(Datum::Int8);
    assert_eq!(shown(&value_of(2101, &int4).unwrap()), "1.6666666666666667");
    assert_eq!(value_of(2108, &int4).unwrap(), Datum::Int8(5));
    assert_eq!(shown(&value_of(2107, &int8).unwrap()), "18446744073709551614");
    assert_eq!(shown(&value_of(2103, &numerics(&["1.50", "2.5"])).unwrap()), "2.0000000000000000");
    assert_eq!(shown(&value_of(2114, &numerics(&["1.50", "2.5"])).unwrap()), "4.00");
    let mixed = numerics(&["1e-20", "1.0000", "100"]);
    assert_eq!(shown(&value_of(2114, &mixed).unwrap()), "101.00000000000000000001");
    assert_eq!(shown(&value_of(2103, &mixed).unwrap()), "33.66666666666666666667");
    let infinite = numerics(&["Infinity", "-Infinity", "1.0"]);
    assert_eq!(shown(&value_of(2114, &infinite).unwrap()), "NaN");
    assert_eq!(value_of(2111, &floats(&[-0.0, -0.0])).unwrap(), Datum::Float8(-0.0));
    assert_eq!(value_of(2105, &floats(&[-0.0, -0.0])).unwrap(), Datum::Float8(0.0));
    assert_eq!(value_of(2136, &floats(&[-0.0, 0.0])).unwrap(), Datum::Float8(0.0));
    assert_eq!(value_of(2130, &numerics(&["1.0", "1.00"])).unwrap(), numeric("1.00"));
    assert_eq!(
        value_of(2120, &floats(&[1.0, f64::NAN, f64::INFINITY])).unwrap(),
        floats(&[f64::NAN])[0]
    );
}

#[test]
fn sums_that_fit_no_type_are_refused() {
    let overflow = value_of(2111, &floats(&[1e308, 1e308])).unwrap_err();
    assert_eq!(overflow, "22003: value out of range: overflow");
    let mut states = States::new(aggregate(2108).unwrap());
    states.grow(1);
    // A state of as many rows as no test has time for.
    let mut bytes = vec![1];
    bytes.extend(3_i64.to_le_bytes());
    bytes.extend((1_i128 << 64).to_le_bytes());
    states.combine_bytes(0, &bytes).unwrap();
    assert_eq!(states.finish(0).unwrap_err().to_string(), "22003: bigint out of range");
}

#[test]
fn no_rows_count_zero_and_sum_to_null() {
    for aggregate in AGGREGATES {
        let expected = if aggregate.name == "count" { Datum::Int8(0) } else { Datum::Null };
        assert_eq!(value_of(aggregate.oid, &[]), Ok(expected), "{}", aggregate.name);
    }
    assert_eq!(value_of(2147, &[Datum::Null, Datum::Int4(1)]), Ok(Datum::Int8(1)));
    assert_eq!(value_of(2803, &[Datum::Null, Datum::Int4(1)]), Ok(Datum::Int8(2)));
}

fn row(ty: TypeId) -> BoxedStrategy<Datum> {
    let value = match ty {
        TypeId::BOOL => any::<bool>().prop_map(Datum::Bool).boxed(),
        TypeId::INT2 => any::<i16>().prop_map(Datum::Int2).boxed(),
        TypeId::INT4 | TypeId::ANY => any::<i32>().prop_map(Datum::Int4).boxed(),
        TypeId::INT8 => any::<i64>().prop_map(Datum::Int8).boxed(),
        // One exponent in ten is extreme, so that sums lose bits but seldom overflow.
        TypeId::FLOAT8 => prop_oneof![
            5 => (-1e6..1e6_f64).prop_map(Datum::Float8),
            3 => (-1.0..1.0_f64, -300..300_i32).prop_map(|(m, e)| Datum::Float8(m * 10_f64.powi(e))),
            1 => prop::sample::select(vec![0.0, -0.0, 5e-324, f64::INFINITY, f64::NAN])
                .prop_map(Datum::Float8),
        ]
        .boxed(),
        TypeId::NUMERIC => "-?[0-9]{1,25}(\\.[0-9]{1,20})?".prop_map(|text| numeric(&text)).boxed(),
        TypeId::DATE => any::<i32>().prop_map(Datum::Date).boxed(),
        TypeId::TIMESTAMPTZ => any::<i64>().prop_map(Datum::TimestampTz).boxed(),
        _ => "[a-c\u{e9}]{0,4}".prop_map(|text| Datum::text(&text)).boxed(),
    };
    prop_oneof![1 => Just(Datum::Null), 6 => value].boxed()
}

fn every_aggregate() -> impl Strategy<Value = &'static Aggregate> {
    (0..AGGREGATES.len()).prop_map(|at| &AGGREGATES[at])
}

fn case() -> impl Strategy<Value = (&'static Aggregate, Vec<Datum>, u64)> {
    every_aggregate().prop_flat_map(|aggregate| {
        let ty = aggregate.args.first().copied().unwrap_or(TypeId::INT4);
        (Just(aggregate), prop::collection::vec(row(ty), 0..60), any::<u64>())
    })
}

/// Equal as SQL has it: of equal values any may be kept.
fn same(a: &Result<Datum, String>, b: &Result<Datum, String>) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => a.compare(b).is_eq(),
        (a, b) => a == b,
    }
}

proptest! {
    #[test]
    fn neither_order_nor_placement_changes_a_value((aggregate, mut rows, seed) in case()) {
        let expected = value_of(aggregate.oid, &rows);
        let mut random = SeededRandom::new(seed);
        for at in (1..rows.len()).rev() {
            rows.swap(at, random.below(at as u64 + 1) as usize);
        }
        // Spread over groups, which then travel as bytes into one.
        let groups: Vec<u32> = rows.iter().map(|_| random.below(4) as u32).collect();
        let mut spread = States::new(aggregate);
        spread.grow(4);
        accumulate(&mut spread, Groups::Each(&groups), aggregate, &rows);
        let mut joined = States::new(aggregate);
        joined.grow(1);
        for group in [2, 0, 3, 1] {
            let mut bytes = Vec::new();
            spread.serialize(group, &mut bytes).unwrap();
            joined.combine_bytes(0, &bytes).unwrap();
        }
        let actual = joined.finish(0).map_err(|error| error.to_string());
        prop_assert!(same(&actual, &expected), "{}: {actual:?} {expected:?}", aggregate.name);

        // Value by value.
        let mut single = States::new(aggregate);
        single.grow(1);
        for row in &rows {
            single.accumulate_value(0, row).unwrap();
        }
        prop_assert!(same(&single.finish(0).map_err(|error| error.to_string()), &expected));
    }

    #[test]
    fn an_exact_sum_is_the_rational_one(values in prop::collection::vec(-1e9_f64..1e9, 1..50)) {
        // Rounded to 2^-20 the values are whole multiples of it, and their sum fits an i128.
        let unit = f64::from(1_u32 << 20);
        let wholes: Vec<i64> = values.iter().map(|value| (value * unit) as i64).collect();
        let rows: Vec<Datum> =
            wholes.iter().map(|&whole| Datum::Float8(whole as f64 / unit)).collect();
        let exact: i64 = wholes.iter().sum();
        prop_assert_eq!(value_of(2111, &rows), Ok(Datum::Float8(exact as f64 / unit)));
    }

    #[test]
    fn no_bytes_make_a_state_panic(
        aggregate in every_aggregate(),
        mut bytes in prop::collection::vec(any::<u8>(), 0..40),
        formatted in any::<bool>(),
    ) {
        if formatted && let Some(first) = bytes.first_mut() {
            *first = phantom_agg::STATE_FORMAT;
        }
        let mut states = States::new(aggregate);
        states.grow(1);
        if states.combine_bytes(0, &bytes).is_ok() {
            let _ = states.finish(0);
        }
    }

    #[test]
    fn an_extreme_text_takes_the_bytes_of_one(
        lengths in prop::collection::vec(0..2_000_usize, 1..60),
        greatest in any::<bool>(),
    ) {
        let name = if greatest { "max" } else { "min" };
        let of_text = |of: &&phantom_agg::Aggregate| of.ret == TypeId::TEXT;
        let aggregate = phantom_agg::aggregates_named(name).find(of_text).unwrap();
        let mut states = States::new(aggregate);
        states.grow(1);
        let empty = states.size_bytes();
        for length in &lengths {
            states.accumulate_value(0, &Datum::text(&"x".repeat(*length))).unwrap();
            let Datum::Text(kept) = states.finish(0).unwrap() else { panic!("a text is kept") };
            prop_assert_eq!(states.size_bytes() - empty, kept.len());
        }
    }

    #[test]
    fn rows_that_do_not_count_are_not_accumulated(
        values in prop::collection::vec(any::<i32>(), 1..50),
    ) {
        let datums: Vec<Datum> = values.iter().copied().map(Datum::Int4).collect();
        let column = Column::from_datums(TypeId::INT4, &datums);
        let rows: Vec<u32> = (0..values.len() as u32).step_by(2).collect();
        let mut states = States::new(aggregate(2108).unwrap());
        states.grow(1);
        let selection = Selection::Rows { rows: &rows, of: values.len() };
        states.accumulate(Groups::One(0), Some(&column), selection).unwrap();
        let expected: i64 = values.iter().step_by(2).copied().map(i64::from).sum();
        prop_assert_eq!(states.finish(0).unwrap(), Datum::Int8(expected));
    }
}
