//! Properties of keys, rows and formats, over values of every type.

use phantom_types::codec::{key, row::RowLayout};
use phantom_types::format::{read_binary, read_text, write_binary, write_text};
use phantom_types::{Column, Datum, NO_TYPMOD, Numeric, Selection, TypeId};
use proptest::prelude::*;

fn numeric() -> impl Strategy<Value = Numeric> {
    let finite =
        ("-?[0-9]{1,45}", "(\\.[0-9]{1,30})?", -40_i32..40).prop_map(|(whole, fraction, e)| {
            Numeric::parse(&format!("{whole}{fraction}e{e}")).unwrap()
        });
    let small = (-2000_i64..2000, 0_u32..4).prop_map(|(n, s)| Numeric::from_i128(n.into(), s));
    let special =
        prop::sample::select(vec![Numeric::NAN, Numeric::INFINITY, Numeric::NEGATIVE_INFINITY]);
    prop_oneof![4 => finite, 4 => small, 1 => special]
}

fn value(ty: TypeId) -> BoxedStrategy<Datum> {
    let value = match ty {
        TypeId::BOOL => any::<bool>().prop_map(Datum::Bool).boxed(),
        TypeId::INT2 => any::<i16>().prop_map(Datum::Int2).boxed(),
        TypeId::INT4 => any::<i32>().prop_map(Datum::Int4).boxed(),
        TypeId::INT8 => prop_oneof![any::<i64>(), -300_i64..300].prop_map(Datum::Int8).boxed(),
        TypeId::FLOAT8 => prop_oneof![any::<f64>(), (-9_i8..9).prop_map(f64::from)]
            .prop_map(Datum::Float8)
            .boxed(),
        TypeId::NUMERIC => numeric().prop_map(Datum::Numeric).boxed(),
        TypeId::DATE => prop_oneof![-2_451_545_i32..2_145_031_949, Just(i32::MAX), Just(i32::MIN)]
            .prop_map(Datum::Date)
            .boxed(),
        TypeId::TIMESTAMPTZ => prop_oneof![
            -211_813_488_000_000_000_i64..9_223_371_331_200_000_000,
            Just(i64::MAX),
            Just(i64::MIN)
        ]
        .prop_map(Datum::TimestampTz)
        .boxed(),
        _ => "[a-c\\x01\u{e9}\u{10ffff}]{0,6}".prop_map(|text| Datum::text(&text)).boxed(),
    };
    prop_oneof![1 => Just(Datum::Null), 9 => value].boxed()
}

fn types() -> impl Strategy<Value = TypeId> {
    prop::sample::select(TypeId::ALL.to_vec())
}

/// Values side by side, of the same types in the same order.
fn two_tuples() -> impl Strategy<Value = (Vec<Datum>, Vec<Datum>)> {
    prop::collection::vec(types(), 1..4).prop_flat_map(|types| {
        let tuple = || types.iter().map(|&ty| value(ty)).collect::<Vec<_>>();
        (tuple(), tuple())
    })
}

fn row() -> impl Strategy<Value = (Vec<TypeId>, Vec<Datum>)> {
    prop::collection::vec(types(), 0..20).prop_flat_map(|types| {
        let values: Vec<_> = types.iter().map(|&ty| value(ty)).collect();
        (Just(types), values)
    })
}

proptest! {
    #[test]
    fn keys_sort_as_their_tuples_and_equal_values_share_one((a, b) in two_tuples()) {
        let bytes = |tuple: &[Datum]| {
            let mut out = Vec::new();
            key::encode(tuple, &mut out).unwrap();
            out
        };
        let order = a
            .iter()
            .zip(&b)
            .map(|(a, b)| a.compare(b))
            .find(|order| order.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal);
        let (key_a, key_b) = (bytes(&a), bytes(&b));
        prop_assert_eq!(key_a.cmp(&key_b), order);
        prop_assert!(order.is_eq() || !key_a.starts_with(&key_b) && !key_b.starts_with(&key_a));
        for (a, b) in a.iter().zip(&b) {
            prop_assert_eq!(a.compare(b).is_eq(), a.hash() == b.hash());
        }
    }

    #[test]
    fn rows_give_back_what_was_put_in((types, values) in row(), older in 0_usize..20) {
        let layout = RowLayout::new(&types);
        let mut bytes = Vec::new();
        layout.encode(&values, &mut bytes).unwrap();
        prop_assert_eq!(&layout.open(&bytes).unwrap().values(&[]).unwrap(), &values);

        let older = older.min(types.len());
        let mut old_bytes = Vec::new();
        RowLayout::new(&types[..older]).encode(&values[..older], &mut old_bytes).unwrap();
        let columns: Vec<usize> = (0..types.len()).rev().collect();
        let batch = layout.decode(&[&bytes, &old_bytes], &columns, &values).unwrap();
        for (place, &column) in columns.iter().enumerate() {
            prop_assert_eq!(&batch.column(place).datum(0), &values[column]);
            prop_assert_eq!(&batch.column(place).datum(1), &values[column]);
        }
    }

    #[test]
    fn text_and_binary_read_back_what_they_print((ty, value) in types().prop_flat_map(|ty| {
        (Just(ty), value(ty))
    })) {
        prop_assume!(!value.is_null());
        let cx = crate::golden::context();
        let (mut text, mut binary) = (String::new(), Vec::new());
        write_text(&value, &cx.format, &mut text);
        write_binary(&value, &mut binary);
        prop_assert_eq!(&read_text(ty, NO_TYPMOD, &text, &cx).unwrap(), &value);
        prop_assert_eq!(&read_binary(ty, NO_TYPMOD, &binary, 1).unwrap(), &value);
    }

    #[test]
    fn no_text_or_bytes_make_an_input_function_panic(
        ty in types(),
        text in "[-+0-9a-zA-Z:./ ]{0,24}|\\PC{0,12}",
        bytes in prop::collection::vec(any::<u8>(), 0..24),
    ) {
        let cx = crate::golden::context();
        let _ = read_text(ty, NO_TYPMOD, &text, &cx);
        let _ = read_binary(ty, NO_TYPMOD, &bytes, 1);
    }

    #[test]
    fn columns_move_rows_unchanged((ty, values) in types().prop_flat_map(|ty| {
        (Just(ty), prop::collection::vec(value(ty), 1..150))
    })) {
        let column = Column::from_datums(ty, &values);
        let reversed: Vec<u32> = (0..values.len() as u32).rev().collect();
        let gathered = column.gather(&reversed);
        let mut appended = column.clone();
        appended.append(&gathered);
        let mut hashes = vec![0; values.len()];
        column.hash_rows(Selection::All(values.len()), &mut hashes);
        for (row, value) in values.iter().enumerate() {
            prop_assert_eq!(hashes[row], value.hash());
            prop_assert_eq!(&column.datum(row), value);
            prop_assert_eq!(&gathered.datum(values.len() - 1 - row), value);
            prop_assert_eq!(&appended.datum(2 * values.len() - 1 - row), value);
        }
        prop_assert_eq!(column.slice(1..values.len()).len(), values.len() - 1);
    }

    #[test]
    fn numerics_obey_the_laws_of_arithmetic(a in numeric(), b in numeric(), c in numeric()) {
        let same = |x: Numeric, y: Numeric| x.compare(&y).is_eq();
        prop_assume!(a.is_finite() && b.is_finite() && c.is_finite());
        prop_assert!(same(a.add(&b).unwrap().subtract(&b).unwrap(), a.clone()));
        prop_assert!(same(a.multiply(&b).unwrap(), b.multiply(&a).unwrap()));
        let left = a.multiply(&b.add(&c).unwrap()).unwrap();
        let right = a.multiply(&b).unwrap().add(&a.multiply(&c).unwrap()).unwrap();
        prop_assert!(same(left, right));
        if b.signum() != 0 {
            let quotient = a.divide(&b).unwrap().trunc(0).unwrap();
            let rest = a.remainder(&b).unwrap();
            prop_assert!(rest.abs().compare(&b.abs()).is_lt());
            prop_assert!(rest.signum() * a.signum() >= 0);
            // The quotient is rounded, so that it may cross a whole number upwards.
            let whole = a.subtract(&rest).unwrap();
            let back = quotient.multiply(&b).unwrap().subtract(&whole).unwrap();
            let rounded = quotient.abs().to_string().len() > 15;
            prop_assert!(rounded || back.abs().compare(&b.abs()).is_le());
        }
        let mut stored = Vec::new();
        a.write_stored(&mut stored);
        prop_assert_eq!(Numeric::read_stored(&stored), Some(a));
    }
}
