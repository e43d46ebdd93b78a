//! Values as PostgreSQL's binary: each type's send and receive function. Big endian.

use phantom_base::bytes::{Reader, Truncated};
use phantom_base::{Error, Result, sqlstate};

use super::text::validate_utf8;
use crate::datetime::{
    DATE_INFINITY, DATE_NEGATIVE_INFINITY, INSTANT_INFINITY, INSTANT_NEGATIVE_INFINITY,
    date_in_range, fit_instant, instant_in_range,
};
use crate::functions::cast::{NAME_BYTES_MAX, fit_varchar};
use crate::{Datum, Numeric, TypeId, ValueRef};

/// Appends a value's bytes, without a length; NULL has none.
pub fn write_binary<'a>(value: impl Into<ValueRef<'a>>, out: &mut Vec<u8>) {
    match value.into() {
        ValueRef::Null => panic!("NULL has no bytes"),
        ValueRef::Bool(value) => out.push(u8::from(value)),
        ValueRef::Int2(value) => out.extend_from_slice(&value.to_be_bytes()),
        ValueRef::Int4(value) | ValueRef::Date(value) => {
            out.extend_from_slice(&value.to_be_bytes());
        }
        ValueRef::Int8(value) | ValueRef::TimestampTz(value) => {
            out.extend_from_slice(&value.to_be_bytes());
        }
        ValueRef::Float8(value) => out.extend_from_slice(&value.to_bits().to_be_bytes()),
        ValueRef::Numeric(value) => value.write_binary(out),
        ValueRef::Text(value) => out.extend_from_slice(value.as_bytes()),
    }
}

/// Reads a value of `ty` that a client sent as bind parameter `parameter` (from 1), and fits it
/// into the modifier. 08P01 when bytes are missing, 22P03 when some are left or are wrong.
pub fn read_binary(ty: TypeId, typmod: i32, bytes: &[u8], parameter: usize) -> Result<Datum> {
    let mut reader = Reader::new(bytes);
    let short = |_: Truncated| too_short();
    let datum = match ty {
        TypeId::BOOL => Datum::Bool(reader.u8().map_err(short)? != 0),
        TypeId::INT2 => Datum::Int2(reader.i16_be().map_err(short)?),
        TypeId::INT4 => Datum::Int4(reader.i32_be().map_err(short)?),
        TypeId::INT8 => Datum::Int8(reader.i64_be().map_err(short)?),
        TypeId::FLOAT8 => Datum::Float8(f64::from_bits(reader.u64_be().map_err(short)?)),
        TypeId::NUMERIC => Datum::Numeric(Numeric::read_binary(&mut reader)?.fit(typmod)?),
        TypeId::DATE => Datum::Date(check_date(reader.i32_be().map_err(short)?)?),
        TypeId::TIMESTAMPTZ => {
            let micros = check_instant(reader.i64_be().map_err(short)?)?;
            Datum::TimestampTz(fit_instant(micros, typmod))
        }
        _ if ty.is_text() => {
            return read_characters(ty, typmod, validate_utf8(bytes)?);
        }
        _ => panic!("no value has type {ty}"),
    };
    if !reader.is_empty() {
        return Err(Error::new(
            sqlstate::INVALID_BINARY_REPRESENTATION,
            format!("incorrect binary data format in bind parameter {parameter}"),
        ));
    }
    Ok(datum)
}

fn read_characters(ty: TypeId, typmod: i32, text: &str) -> Result<Datum> {
    if ty == TypeId::NAME && text.len() > NAME_BYTES_MAX {
        return Err(Error::new(sqlstate::NAME_TOO_LONG, "identifier too long").with_detail(
            format!("Identifier must be less than {} characters.", NAME_BYTES_MAX + 1),
        ));
    }
    let fitted = if ty == TypeId::VARCHAR { fit_varchar(text, typmod, false)? } else { text };
    Ok(Datum::text(fitted))
}

/// What PostgreSQL says when a message ends inside a value.
pub(crate) fn too_short() -> Error {
    Error::new(sqlstate::PROTOCOL_VIOLATION, "insufficient data left in message")
}

fn check_date(days: i32) -> Result<i32> {
    let infinite = matches!(days, DATE_INFINITY | DATE_NEGATIVE_INFINITY);
    if infinite || date_in_range(days.into()) {
        return Ok(days);
    }
    Err(Error::new(sqlstate::DATETIME_FIELD_OVERFLOW, "date out of range"))
}

fn check_instant(micros: i64) -> Result<i64> {
    let infinite = matches!(micros, INSTANT_INFINITY | INSTANT_NEGATIVE_INFINITY);
    if infinite || instant_in_range(micros) {
        return Ok(micros);
    }
    Err(Error::new(sqlstate::DATETIME_FIELD_OVERFLOW, "timestamp out of range"))
}
