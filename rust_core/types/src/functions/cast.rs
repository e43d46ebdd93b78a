//! Casts that are procedures, between numbers, booleans and texts.

use phantom_base::{Error, Result, sqlstate};

use super::lanes::{Bool, Decimal, Float8, Int2, Int4, Int8, Kind, Text, unary};
use super::out_of_range;
use crate::type_id::varchar_typmod;
use crate::{Datum, Kernel, Numeric};

/// Bytes of the longest `name`.
pub(crate) const NAME_BYTES_MAX: usize = 63;

unary! {
    I2TOI4(Int2) -> Int4 = |a| Ok(a.into());
    INT28(Int2) -> Int8 = |a| Ok(a.into());
    INT48(Int4) -> Int8 = |a| Ok(a.into());
    I4TOI2(Int4) -> Int2 = |a| a.try_into().map_err(|_| out_of_range("smallint"));
    INT82(Int8) -> Int2 = |a| a.try_into().map_err(|_| out_of_range("smallint"));
    INT84(Int8) -> Int4 = |a| a.try_into().map_err(|_| out_of_range("integer"));
    I2TOD(Int2) -> Float8 = |a| Ok(a.into());
    I4TOD(Int4) -> Float8 = |a| Ok(a.into());
    I8TOD(Int8) -> Float8 = |a| Ok(a as f64);
    DTOI2(Float8) -> Int2 = |a| whole(a, 32_768.0, "smallint").map(|whole| whole as i16);
    DTOI4(Float8) -> Int4 = |a| whole(a, 2_147_483_648.0, "integer").map(|whole| whole as i32);
    DTOI8(Float8) -> Int8 = |a| {
        whole(a, 9_223_372_036_854_775_808.0, "bigint").map(|whole| whole as i64)
    };
    INT2_NUMERIC(Int2) -> Decimal = |a| Ok(Numeric::from(i64::from(a)));
    INT4_NUMERIC(Int4) -> Decimal = |a| Ok(Numeric::from(i64::from(a)));
    INT8_NUMERIC(Int8) -> Decimal = |a| Ok(Numeric::from(a));
    FLOAT8_NUMERIC(Float8) -> Decimal = |a| Numeric::from_f64(a);
    NUMERIC_INT2(Decimal) -> Int2 = |a| {
        a.to_i64("smallint")?.try_into().map_err(|_| out_of_range("smallint"))
    };
    NUMERIC_INT4(Decimal) -> Int4 = |a| {
        a.to_i64("integer")?.try_into().map_err(|_| out_of_range("integer"))
    };
    NUMERIC_INT8(Decimal) -> Int8 = |a| a.to_i64("bigint");
    NUMERIC_FLOAT8(Decimal) -> Float8 = |a| a.to_f64();
    INT4_BOOL(Int4) -> Bool = |a| Ok(a != 0);
    BOOL_INT4(Bool) -> Int4 = |a| Ok(i32::from(a));
    BOOLTEXT(Bool) -> Text = |a| Ok(if a { "true" } else { "false" }.to_owned());
    NAME_TEXT(Text) -> Text = |a| Ok(a.to_owned());
    TEXT_NAME(Text) -> Text = |a| Ok(truncate_name(a).to_owned());
}

/// `varchar(value, typmod, explicit)`: cut when asked for; otherwise only blanks may go.
pub(crate) const VARCHAR: Kernel = Kernel::scalar(|arguments, _| {
    let text = Text::of(&arguments[0]);
    let fitted = fit_varchar(text, Int4::of(&arguments[1]), Bool::of(&arguments[2]))?;
    Ok(if fitted.len() == text.len() { arguments[0].clone() } else { Datum::text(fitted) })
});

/// The text as a column of `varchar(n)` holds it. 22001 when too long, unless `explicit`.
pub(crate) fn fit_varchar(text: &str, typmod: i32, explicit: bool) -> Result<&str> {
    let Some(length_max) = varchar_typmod(typmod) else { return Ok(text) };
    let Some((cut, _)) = text.char_indices().nth(length_max) else { return Ok(text) };
    if !explicit && text[cut..].bytes().any(|byte| byte != b' ') {
        return Err(Error::new(
            sqlstate::STRING_DATA_RIGHT_TRUNCATION,
            format!("value too long for type character varying({length_max})"),
        ));
    }
    Ok(&text[..cut])
}

/// As much of a text as a `name` holds.
pub(crate) fn truncate_name(text: &str) -> &str {
    let mut end = text.len().min(NAME_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The nearest whole number, half to even, within `-limit..limit`.
fn whole(value: f64, limit: f64, type_name: &str) -> Result<f64> {
    let whole = value.round_ties_even();
    if whole >= -limit && whole < limit { Ok(whole) } else { Err(out_of_range(type_name)) }
}
