//! Values as text: each type's input and output function.

use std::cell::Cell;
use std::fmt::Write as _;

use phantom_base::{Error, Result, sqlstate};

use super::{is_space, parse_float, write_float};
use crate::datetime::{Today, fit_instant, read_date, read_instant, write_date, write_instant};
use crate::functions::cast::{fit_varchar, truncate_name};
use crate::{Datum, EvalContext, Numeric, SessionFormat, TypeId, ValueRef};

const TO_STRING: &str = "a String takes all";

/// Appends a value's text; NULL has none.
pub fn write_text<'a>(value: impl Into<ValueRef<'a>>, format: &SessionFormat, out: &mut String) {
    match value.into() {
        ValueRef::Null => panic!("NULL has no text"),
        ValueRef::Bool(value) => out.push(if value { 't' } else { 'f' }),
        ValueRef::Int2(value) => write!(out, "{value}").expect(TO_STRING),
        ValueRef::Int4(value) => write!(out, "{value}").expect(TO_STRING),
        ValueRef::Int8(value) => write!(out, "{value}").expect(TO_STRING),
        ValueRef::Float8(value) => write_float(value, format.extra_float_digits, out),
        ValueRef::Numeric(value) => value.write(out),
        ValueRef::Text(value) => out.push_str(value),
        ValueRef::Date(days) => write_date(days, format, out),
        ValueRef::TimestampTz(micros) => write_instant(micros, format, out),
    }
}

/// Reads a value of `ty`, and fits it into the modifier as an assignment would.
pub fn read_text(ty: TypeId, typmod: i32, text: &str, cx: &EvalContext) -> Result<Datum> {
    read_literal(ty, typmod, text, cx).map(|(value, _)| value)
}

/// The same, and whether the text speaks of the present (`now`, `today`): it means something else
/// at another time.
pub fn read_literal(
    ty: TypeId,
    typmod: i32,
    text: &str,
    cx: &EvalContext,
) -> Result<(Datum, bool)> {
    let asked = Cell::new(false);
    let today = || Today {
        now: cx.transaction_time,
        asked: &asked,
        zone: &cx.format.time_zone,
        order: cx.format.date_order,
    };
    let value = match ty {
        TypeId::BOOL => Datum::Bool(parse_bool(text)?),
        TypeId::INT2 => Datum::Int2(parse_integer(text, ty)?),
        TypeId::INT4 => Datum::Int4(parse_integer(text, ty)?),
        TypeId::INT8 => Datum::Int8(parse_integer(text, ty)?),
        TypeId::FLOAT8 => Datum::Float8(parse_float(text)?),
        TypeId::NUMERIC => Datum::Numeric(Numeric::parse(text)?.fit(typmod)?),
        TypeId::VARCHAR => Datum::text(fit_varchar(text, typmod, false)?),
        TypeId::NAME => Datum::text(truncate_name(text)),
        TypeId::TEXT | TypeId::UNKNOWN => Datum::text(text),
        TypeId::DATE => Datum::Date(read_date(text, today())?),
        TypeId::TIMESTAMPTZ => {
            Datum::TimestampTz(fit_instant(read_instant(text, today())?, typmod))
        }
        _ => panic!("no value has type {ty}"),
    };
    Ok((value, asked.get()))
}

/// Bytes from a client as text: valid UTF-8 without NUL, else 22021.
pub fn validate_utf8(bytes: &[u8]) -> Result<&str> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => match text.find('\0') {
            None => return Ok(text),
            Some(at) => at,
        },
        Err(error) => {
            let head = &bytes[..error.valid_up_to()];
            head.iter().position(|&byte| byte == 0).unwrap_or(head.len())
        }
    };
    let rest = &bytes[valid..];
    let len = match rest.first() {
        Some(byte) if byte & 0xE0 == 0xC0 => 2,
        Some(byte) if byte & 0xF0 == 0xE0 => 3,
        Some(byte) if byte & 0xF8 == 0xF0 => 4,
        _ => 1,
    };
    let shown: Vec<String> = rest.iter().take(len).map(|byte| format!("0x{byte:02x}")).collect();
    Err(Error::new(
        sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
    ))
}

fn invalid_input(ty: TypeId, text: &str) -> Error {
    Error::new(
        sqlstate::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {}: \"{text}\"", ty.sql_name()),
    )
}

fn parse_bool(text: &str) -> Result<bool> {
    let word = text.trim_matches(is_space).to_ascii_lowercase();
    let begins = |whole: &str, least: usize| word.len() >= least && whole.starts_with(&word);
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || word == "1" {
        return Ok(true);
    }
    if begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0" {
        return Ok(false);
    }
    Err(invalid_input(TypeId::BOOL, text))
}

/// A whole number; what follows the digit that overflows is not looked at.
fn parse_integer<T: TryFrom<i128>>(text: &str, ty: TypeId) -> Result<T> {
    let rest = text.trim_start_matches(is_space);
    let (negative, digits) = match rest.as_bytes().first() {
        Some(b'-') => (true, &rest[1..]),
        Some(b'+') => (false, &rest[1..]),
        _ => (false, rest),
    };
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 {
        return Err(invalid_input(ty, text));
    }
    // Twenty digits are beyond all widths, and an i128 holds many more.
    let magnitude = digits[..count]
        .bytes()
        .fold(0, |sum: i128, digit| (sum * 10 + i128::from(digit - b'0')).min(1 << 100));
    let value = T::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| {
        Error::new(
            sqlstate::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value \"{text}\" is out of range for type {}", ty.sql_name()),
        )
    })?;
    if digits[count..].trim_start_matches(is_space).is_empty() {
        Ok(value)
    } else {
        Err(invalid_input(ty, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_named() {
        assert_eq!(validate_utf8("h\u{e9}".as_bytes()).unwrap(), "h\u{e9}");
        for (bytes, shown) in [
            (&b"a\x00b"[..], "0x00"),
            (b"\xc3", "0xc3"),
            (b"ok\xe2\x82", "0xe2 0x82"),
            (b"\xff\xff", "0xff"),
            (b"\xe2x\x82", "0xe2 0x78 0x82"),
        ] {
            let error = validate_utf8(bytes).unwrap_err();
            assert!(error.message.ends_with(&format!(": {shown}")), "{}", error.message);
        }
    }
}
