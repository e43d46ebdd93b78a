//! Every procedure over the ends of what its arguments can be: an answer or an error, never a
//! panic, for a panic ends the whole node.

use phantom_types::catalog::{PROCEDURES, Procedure};
use phantom_types::format::{write_binary, write_text};
use phantom_types::{Argument, Column, Datum, NO_TYPMOD, Numeric, Selection, TypeId};

use crate::golden::context;

fn texts() -> Vec<Datum> {
    let long = "a\u{e9}%".repeat(1000);
    ["", "a", "A ", "\u{e9}", "\u{10ffff}x", "%", "\\", "_\\%", "year", "UTC", "numeric", &long]
        .map(Datum::text)
        .into()
}

fn numerics() -> Vec<Datum> {
    let texts = [
        "0",
        "0.000",
        "1",
        "-1",
        "0.5",
        "-2.5",
        "1.000000001",
        "99999999999999999999.5",
        "2147483648",
        "9223372036854775807.5",
        "1e-100",
        "1e100",
        "NaN",
        "Infinity",
        "-Infinity",
    ];
    texts.map(|text| Datum::Numeric(Numeric::parse(text).unwrap())).into()
}

/// Values of a type at its ends, at zero, and around what conversions round to.
fn extremes(ty: TypeId) -> Vec<Datum> {
    match ty {
        TypeId::BOOL => [false, true].map(Datum::Bool).into(),
        TypeId::INT2 => [i16::MIN, -1, 0, 1, 7, i16::MAX].map(Datum::Int2).into(),
        TypeId::INT4 => {
            [i32::MIN, i32::MIN + 1, -1000, -1, 0, 1, 2, 1000, i32::MAX].map(Datum::Int4).into()
        }
        TypeId::INT8 => [i64::MIN, i64::MIN + 1, -1, 0, 1, 10, i64::MAX].map(Datum::Int8).into(),
        TypeId::FLOAT8 => {
            let (max, least) = (f64::MAX, f64::MIN_POSITIVE);
            let ends = [-max, -1.5, -0.0, 0.0, 5e-324, least, 0.5, 2.0, 1e15, 9.3e18, max];
            let others = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
            ends.into_iter().chain(others).map(Datum::Float8).collect()
        }
        TypeId::NUMERIC => numerics(),
        TypeId::DATE => [i32::MIN, -2_451_545, 0, 2_145_031_948, i32::MAX].map(Datum::Date).into(),
        TypeId::TIMESTAMPTZ => {
            [i64::MIN, -211_813_488_000_000_000, 0, 9_223_371_331_199_999_999, i64::MAX]
                .map(Datum::TimestampTz)
                .into()
        }
        _ => texts(),
    }
}

/// All choices of one value for each argument.
fn choices(types: &[TypeId]) -> Vec<Vec<Datum>> {
    types.iter().fold(vec![Vec::new()], |heads, ty| {
        let values = extremes(*ty);
        heads
            .iter()
            .flat_map(|head| {
                values.iter().map(|value| [head.as_slice(), std::slice::from_ref(value)].concat())
            })
            .collect()
    })
}

fn call(procedure: &Procedure, arguments: &[Datum]) {
    let cx = context();
    let alone = procedure.call(arguments, &cx);
    let columns: Vec<Column> = arguments
        .iter()
        .zip(procedure.args)
        .map(|(value, ty)| {
            let ty = if ty.is_pseudo() { TypeId::TEXT } else { *ty };
            Column::from_datums(ty, [value, &Datum::Null, value])
        })
        .collect();
    let batch: Vec<Argument<'_>> = columns.iter().map(Argument::Column).collect();
    let many = procedure.evaluate(&batch, Selection::All(3), &cx);
    match (&alone, &many) {
        (Ok(one), Ok(column)) => assert_eq!(*one, column.datum(0), "{}", procedure.name),
        (one, many) => {
            let code = |failed: Option<&phantom_base::Error>| failed.map(|error| error.sqlstate);
            let (one, many) = (code(one.as_ref().err()), code(many.as_ref().err()));
            assert_eq!(one, many, "{}", procedure.name);
        }
    }
    if let Ok(value) = alone
        && !value.is_null()
    {
        write_text(&value, &cx.format, &mut String::new());
        write_binary(&value, &mut Vec::new());
    }
}

#[test]
fn no_procedure_ends_the_process_at_the_ends_of_its_arguments() {
    for procedure in PROCEDURES {
        for arguments in choices(procedure.args) {
            call(procedure, &arguments);
        }
    }
}

#[test]
fn no_modifier_ends_the_process() {
    let bounds = [i32::MIN, -1000, -1, 0, 1, 6, 7, 1000, 10_485_760, i32::MAX];
    for ty in TypeId::ALL {
        for first in bounds {
            for second in bounds {
                for modifiers in [&[][..], &[first], &[first, second], &[first, second, 1]] {
                    let Ok(typmod) = ty.pack_typmod(modifiers) else { continue };
                    let _ = ty.format(typmod);
                    for text in ["1", "-99999999999.5", "abc", "infinity", "2020-01-01"] {
                        let cx = context();
                        let _ = phantom_types::format::read_text(ty, typmod, text, &cx);
                    }
                }
            }
            let _ = ty.format(first);
        }
        let _ = ty.format(NO_TYPMOD);
    }
}
