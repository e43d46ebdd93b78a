//! Keys: bytes that sort as the values do.
//!
//! A key is its columns one behind the other. Each column ends itself and none is the beginning of
//! another (prefix-free), so that bytes compare as the tuples of values do. Values that are equal
//! have the same bytes: integers of all widths, numerics of all display scales, -0 and 0. What is
//! lost by that, the row keeps. NULL is `FF`, after everything.
//!
//! ```text
//! integer, date,  80+n or 7F-n | n bytes, big endian     the last n of two's complement, as few as
//! timestamptz                                            tell the value; the second for negatives
//! bool            00 | 01
//! float8          01 | 8 bytes                           sign bit turned; all bits if negative
//! text            bytes | 00                             UTF-8 holds no 00 and no FF
//! numeric         01 -Infinity, 02 negative, 03 zero, 04 positive, 05 Infinity, 06 NaN
//!                 02, 04: exponent as integer | d+1 .. | 00    0.d d d * 100^exponent; base-100
//!                         digits; in 02 each byte of these is turned over
//! ```
//!
//! The format has no byte of its own in each key: a table's descriptor names `FORMAT`.

use phantom_base::{Error, Result, sqlstate};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{Datum, Numeric, ValueRef};

/// The number of this format, for descriptors.
pub const FORMAT: u8 = 1;

/// Bytes of the longest key.
pub const KEY_BYTES_MAX: usize = 8 * 1024;

const NULL: u8 = 0xFF;
const TEXT_END: u8 = 0x00;
const FLOAT: u8 = 0x01;
const FLOAT_SIGN: u64 = 1 << 63;
const NUMERIC_NEGATIVE_INFINITY: u8 = 0x01;
const NUMERIC_NEGATIVE: u8 = 0x02;
const NUMERIC_ZERO: u8 = 0x03;
const NUMERIC_POSITIVE: u8 = 0x04;
const NUMERIC_INFINITY: u8 = 0x05;
const NUMERIC_NAN: u8 = 0x06;
const INTEGER_POSITIVE: u8 = 0x80;
const INTEGER_NEGATIVE: u8 = 0x7F;

/// Appends the columns of a key. 54000 when all of `out` becomes longer than 8 KiB.
pub fn encode<'a>(columns: impl IntoIterator<Item = &'a Datum>, out: &mut Vec<u8>) -> Result<()> {
    for datum in columns {
        encode_column(datum, out);
    }
    if out.len() > KEY_BYTES_MAX {
        return Err(Error::new(
            sqlstate::PROGRAM_LIMIT_EXCEEDED,
            format!("key of {} bytes is longer than {KEY_BYTES_MAX} bytes", out.len()),
        )
        .with_hint("Values of a key are stored twice; use shorter ones, or a hash of them."));
    }
    Ok(())
}

/// The key that rows with these values have; `None` where no row has them: a key is never longer
/// than it may be.
pub fn lookup<'a>(columns: impl IntoIterator<Item = &'a Datum>) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    for datum in columns {
        encode_column(datum, &mut key);
    }
    (key.len() <= KEY_BYTES_MAX).then_some(key)
}

/// Appends one column, whatever its length.
pub fn encode_column<'a>(value: impl Into<ValueRef<'a>>, out: &mut Vec<u8>) {
    match value.into() {
        ValueRef::Null => out.push(NULL),
        ValueRef::Bool(value) => out.push(u8::from(value)),
        ValueRef::Int2(value) => encode_integer(value.into(), out),
        ValueRef::Int4(value) | ValueRef::Date(value) => encode_integer(value.into(), out),
        ValueRef::Int8(value) | ValueRef::TimestampTz(value) => encode_integer(value, out),
        ValueRef::Float8(value) => {
            out.push(FLOAT);
            out.extend_from_slice(&ordered_float_bits(value).to_be_bytes());
        }
        ValueRef::Text(text) => {
            debug_assert!(!text.contains('\0'), "text has no NUL");
            out.extend_from_slice(text.as_bytes());
            out.push(TEXT_END);
        }
        ValueRef::Numeric(value) => encode_numeric(value, out),
    }
}

/// A hash of the value's key: equal values hash equal. NULL hashes too.
pub fn hash<'a>(value: impl Into<ValueRef<'a>>) -> u64 {
    mix(value, 0, &mut Vec::with_capacity(16))
}

/// A hash of the value's key and of a hash before it; `bytes` is empty and is scratch.
pub(crate) fn mix<'a>(value: impl Into<ValueRef<'a>>, seed: u64, bytes: &mut Vec<u8>) -> u64 {
    encode_column(value, bytes);
    xxh3_64_with_seed(bytes, seed)
}

/// The first key after all that begin with `prefix`; `None` if there is none.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|&byte| byte != 0xFF)?;
    let mut out = prefix[..=kept].to_vec();
    out[kept] += 1;
    Some(out)
}

fn encode_integer(value: i64, out: &mut Vec<u8>) {
    // -1 has no bytes of magnitude, as 0 has none: the header tells them apart.
    let magnitude = if value < 0 { !value } else { value } as u64;
    let len = (64 - magnitude.leading_zeros()).div_ceil(8) as usize;
    out.push(if value < 0 { INTEGER_NEGATIVE - len as u8 } else { INTEGER_POSITIVE + len as u8 });
    out.extend_from_slice(&value.to_be_bytes()[8 - len..]);
}

fn ordered_float_bits(value: f64) -> u64 {
    // Adding 0 turns -0 into 0; there is one NaN, the positive quiet one, above Infinity.
    let bits = if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() };
    if bits & FLOAT_SIGN == 0 { bits | FLOAT_SIGN } else { !bits }
}

fn encode_numeric(value: &Numeric, out: &mut Vec<u8>) {
    let Some((digits, exponent)) = value.significant_digits() else {
        out.push(match value.signum() {
            0 => NUMERIC_NAN,
            1 => NUMERIC_INFINITY,
            _ => NUMERIC_NEGATIVE_INFINITY,
        });
        return;
    };
    if digits.is_empty() {
        out.push(NUMERIC_ZERO);
        return;
    }
    let negative = value.signum() < 0;
    out.push(if negative { NUMERIC_NEGATIVE } else { NUMERIC_POSITIVE });
    let start = out.len();
    // An odd exponent of ten puts a zero before the first digit.
    let pairs_exponent = exponent.div_euclid(2) + exponent.rem_euclid(2);
    encode_integer(pairs_exponent.into(), out);
    let lead = (exponent.rem_euclid(2) == 1).then_some(0);
    let mut digits = lead.into_iter().chain(digits);
    while let Some(tens) = digits.next() {
        out.push(tens * 10 + digits.next().unwrap_or(0) + 1);
    }
    out.push(TEXT_END);
    if negative {
        for byte in &mut out[start..] {
            *byte = !*byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(datum: &Datum) -> Vec<u8> {
        let mut out = Vec::new();
        encode_column(datum, &mut out);
        out
    }

    fn assert_ordered(values: &[Datum]) {
        for a in values {
            for b in values {
                assert_eq!(key(a).cmp(&key(b)), a.compare(b), "{a:?} and {b:?}");
                let prefix = key(a) != key(b) && key(b).starts_with(&key(a));
                assert!(!prefix, "{a:?} begins {b:?}");
            }
        }
    }

    #[test]
    fn keys_of_integers_sort_as_integers_of_any_width() {
        let mut values = vec![Datum::Null, Datum::Int2(5), Datum::Int4(5), Datum::Int4(-300)];
        for shift in 0..63 {
            let power = 1_i64 << shift;
            for value in [power - 1, power, power + 1, -power - 1, -power, 1 - power] {
                values.push(Datum::Int8(value));
            }
        }
        values.extend([i64::MIN, i64::MAX].map(Datum::Int8));
        assert_ordered(&values);
    }

    #[test]
    fn keys_of_numerics_ignore_the_display_scale() {
        let texts = [
            "-Infinity",
            "-1e100",
            "-100.01",
            "-100",
            "-99.99",
            "-10",
            "-1",
            "-0.5",
            "-0.05",
            "-1e-30",
            "0",
            "0.000",
            "1e-200",
            "0.05",
            "0.10",
            "0.1",
            "0.11",
            "1",
            "1.00",
            "1.5",
            "9.99",
            "10",
            "99",
            "100",
            "100.001",
            "12345678901234567890.5",
            "1e60",
            "1e61",
            "Infinity",
            "NaN",
        ];
        let values: Vec<Datum> =
            texts.map(|text| Datum::Numeric(Numeric::parse(text).unwrap())).into();
        assert_ordered(&values);
    }

    #[test]
    fn keys_of_texts_and_floats_sort_as_values() {
        assert_ordered(&["", "a", "a\u{1}", "ab", "b", "\u{e9}", "\u{10ffff}"].map(Datum::text));
        let floats = [f64::NEG_INFINITY, -1e300, -1.0, -0.0, 0.0, 1e-300, 1.0, f64::INFINITY];
        assert_ordered(&floats.map(Datum::Float8));
        assert_ordered(&[Datum::Float8(f64::NAN), Datum::Float8(f64::INFINITY), Datum::Null]);
        assert_ordered(&[Datum::Bool(false), Datum::Bool(true), Datum::Null]);
    }

    #[test]
    fn a_key_beyond_the_limit_is_refused() {
        let long = Datum::text(&"x".repeat(KEY_BYTES_MAX));
        let error = encode([&long], &mut Vec::new()).unwrap_err();
        assert_eq!(error.sqlstate, sqlstate::PROGRAM_LIMIT_EXCEEDED);
    }

    #[test]
    fn the_end_of_a_prefix_lies_after_all_that_begin_with_it() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(b"a\xFF\xFF"), Some(b"b".to_vec()));
        assert_eq!(after_prefix(b"\xFF"), None);
    }
}
