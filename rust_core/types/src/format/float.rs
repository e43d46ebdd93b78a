//! float8 as text.
//!
//! With `extra_float_digits` above 0 (the default) the shortest digits that read back as the same
//! value; of those the closest to it. PostgreSQL leaves out digits that lie exactly half way to a
//! neighbour, though these too would read back; so is done here.

use std::fmt::Write as _;

use phantom_base::{Error, Result, sqlstate};

use super::is_space;

const DIGITS: i32 = 15;
/// Decimals of up to 17 digits lie half way between floats only within these magnitudes.
const HALF_WAY_MIN: f64 = 1e15;
const HALF_WAY_MAX: f64 = 1e42;
/// A fraction of more binary digits has more than 17 decimal ones, so none is half way to it.
const FRACTIONS: f64 = 131_072.0;
const TO_STRING: &str = "a String takes all";

/// Reads `float8in`'s syntax. 22P02, 22003 when too large or too small to be told from 0.
pub fn parse_float(text: &str) -> Result<f64> {
    let trimmed = text.trim_matches(is_space);
    let unsigned = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let as_c =
        || c_forms(unsigned).map(|value| if trimmed.starts_with('-') { -value } else { value });
    let Some(value) = trimmed.parse::<f64>().ok().or_else(as_c) else {
        return Err(Error::new(
            sqlstate::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type double precision: \"{text}\""),
        ));
    };
    if unsigned.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok(value);
    }
    let ends: &[char] = if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        &['p', 'P']
    } else {
        &['e', 'E']
    };
    let mantissa = unsigned.split(ends).next().unwrap_or("");
    let is_digit = |c: char| c.is_ascii_hexdigit() && c != '0';
    let vanished = value == 0.0 && mantissa.chars().any(is_digit);
    if value.is_infinite() || vanished {
        return Err(Error::new(
            sqlstate::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("\"{trimmed}\" is out of range for type double precision"),
        ));
    }
    Ok(value)
}

/// What C's `strtod` takes and Rust does not: `0x1f`, `0x1.8p3`, `nan(1)`.
fn c_forms(unsigned: &str) -> Option<f64> {
    let lower = unsigned.to_ascii_lowercase();
    if let Some(note) = lower.strip_prefix("nan(").and_then(|rest| rest.strip_suffix(')')) {
        let is_note = note.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        return is_note.then_some(f64::NAN);
    }
    let hexadecimal = lower.strip_prefix("0x")?;
    let (digits, power) = hexadecimal.split_once('p').unwrap_or((hexadecimal, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut power = exponent(power)?;
    let mut mantissa: u64 = 0;
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = u64::from(digit.to_digit(16)?);
        if mantissa >> 59 == 0 {
            mantissa = mantissa << 4 | digit;
        } else {
            // Too small to count but for rounding: it says that more than a half is left.
            mantissa |= u64::from(digit != 0);
            power = power.saturating_add(4);
        }
    }
    if mantissa == 0 {
        return Some(0.0);
    }
    let places = i32::try_from(fraction.len()).ok()?;
    power = power.saturating_sub(places.checked_mul(4)?);
    // In two steps, for the power alone may be too small for a float.
    let half = power.clamp(-2200, 2200) / 2;
    let rest = power.clamp(-2200, 2200) - half;
    Some(mantissa as f64 * 2f64.powi(half) * 2f64.powi(rest))
}

/// A decimal exponent: a sign and digits, however many.
fn exponent(text: &str) -> Option<i32> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Beyond any float's is as good as far beyond it.
    let size = unsigned.parse().unwrap_or(i32::MAX);
    Some(if text.starts_with('-') { -size } else { size })
}

/// Appends the text of a float.
pub fn write_float(value: f64, extra_float_digits: i32, out: &mut String) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    if extra_float_digits > 0 {
        write_scientific(&shortest(value), DIGITS, out);
    } else {
        let digits = (DIGITS + extra_float_digits).max(1);
        write_scientific(&format!("{value:.*e}", digits as usize - 1), digits, out);
    }
}

/// `d.ddde-x` with the fewest digits.
fn shortest(value: f64) -> String {
    let text = format!("{value:e}");
    let magnitude = value.abs();
    // Whole numbers are printed as they are; other long fractions of two are never half way.
    let plain = magnitude < HALF_WAY_MIN && value.fract() == 0.0;
    if plain || magnitude >= HALF_WAY_MAX || (value * FRACTIONS).fract() != 0.0 {
        return text;
    }
    let digits = text.bytes().take_while(|&byte| byte != b'e').filter(u8::is_ascii_digit).count();
    // Of two that are equally close, the even one.
    let even = format!("{value:.*e}", digits - 1);
    let text = if even.parse() == Ok(value) { even } else { text };
    if value.to_bits() & 1 != 0 || magnitude < HALF_WAY_MIN || !is_half_way(&text, value) {
        return text;
    }
    // More digits until they are no longer half way to a neighbour.
    (digits..=17)
        .map(|digits| format!("{value:.digits$e}"))
        .find(|longer| longer.parse() == Ok(value) && !is_half_way(longer, value))
        .unwrap_or(text)
}

/// Whether a little more or a little less than `text` reads as another float than `value`.
fn is_half_way(text: &str, value: f64) -> bool {
    let (mantissa, exponent) = text.split_once('e').expect("scientific form");
    let digits = mantissa.trim_start_matches('-').replace('.', "");
    let exponent: i32 = exponent.parse().expect("an exponent that was printed");
    let scale = exponent - (digits.len() as i32 - 1);
    // Shortest digits do not end in 0, padded ones may: then less begins one digit earlier.
    let whole: u64 = digits.parse().expect("at most 18 digits");
    let zeros = "0".repeat(60);
    let nines = "9".repeat(61);
    let more: f64 = format!("{whole}{zeros}1e{}", scale - 61).parse().expect("a number");
    let less: f64 = format!("{}{nines}e{}", whole - 1, scale - 61).parse().expect("a number");
    more != value.abs() || less != value.abs()
}

/// C's `%g` with so many digits, of a number in scientific form.
fn write_scientific(text: &str, digits_max: i32, out: &mut String) {
    let (mantissa, exponent) = text.split_once('e').expect("scientific form");
    let exponent: i32 = exponent.parse().expect("an exponent that was printed");
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    if negative {
        out.push('-');
    }
    let (first, rest) = mantissa.split_at(1);
    let rest = rest.trim_start_matches('.').trim_end_matches('0');
    if exponent < -4 || exponent >= digits_max {
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "e{sign}{:02}", exponent.abs()).expect(TO_STRING);
    } else if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        out.push_str(first);
        out.push_str(rest);
    } else {
        let before = exponent as usize;
        out.push_str(first);
        out.push_str(&rest[..before.min(rest.len())]);
        out.extend(std::iter::repeat_n('0', before.saturating_sub(rest.len())));
        if rest.len() > before {
            out.push('.');
            out.push_str(&rest[before..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: f64, extra_float_digits: i32) -> String {
        let mut out = String::new();
        write_float(value, extra_float_digits, &mut out);
        out
    }

    #[test]
    fn floats_are_printed_as_postgresql_prints_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1e15, "1e+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e23, "9.999999999999999e+22"),
            (4_611_686_016_279_904_256.0, "4.6116860162799043e+18"),
            (f64::from_bits(0x4309_9999_9999_999a), "900719925474099.2"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(shown(value, 1), text);
        }
        assert_eq!(shown(0.1 + 0.2, 0), "0.3");
        assert_eq!(shown(0.1 + 0.2, 1), "0.30000000000000004");
        assert_eq!(shown(1234.5678, -11), "1235");
        assert_eq!(shown(1234.5678, -15), "1e+03");
    }

    #[test]
    fn what_no_float_holds_is_refused() {
        assert_eq!(parse_float(" 1.5e3 ").unwrap(), 1500.0);
        assert!(parse_float("nan").unwrap().is_nan());
        assert!(parse_float("nan(1_a)").unwrap().is_nan());
        for (text, value) in [
            ("0x10", 16.0),
            ("-0X1F", -31.0),
            ("0x1.8p3", 12.0),
            ("0x.8", 0.5),
            ("0x1p-1074", 5e-324),
            ("0x0p9999", 0.0),
            ("0x1fffffffffffff8", 144_115_188_075_855_864.0),
            ("0x20000000000001000000000001", 2f64.powi(101) + 2f64.powi(49)),
        ] {
            assert_eq!(parse_float(text).unwrap(), value, "{text}");
        }
        for (text, code) in [
            ("1e400", "22003"),
            ("1e-400", "22003"),
            ("", "22P02"),
            ("1x", "22P02"),
            ("0x", "22P02"),
            ("0xg", "22P02"),
            ("0x1p", "22P02"),
            ("0x1p1024", "22003"),
            ("0x1p-1090", "22003"),
            ("nan(-)", "22P02"),
        ] {
            assert_eq!(parse_float(text).unwrap_err().sqlstate.as_str(), code, "{text}");
        }
    }
}
