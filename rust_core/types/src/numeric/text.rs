//! Numeric as text: what PostgreSQL reads and prints.

use std::fmt;

use phantom_base::{Error, Result, sqlstate};

use super::big::{Big, GROUP};
use super::{Numeric, Parts, SCALE_MAX, SHORT_DIGITS, overflow};

/// Exponents beyond this overflow whatever the digits are.
const EXPONENT_MAX: i64 = i32::MAX as i64 / 2;

impl Numeric {
    /// Reads `numeric_in`'s syntax: blanks around, sign, digits, point, exponent; NaN and Infinity
    /// in any case. 22P02 for anything else, 22003 when too long.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || {
            Error::new(
                sqlstate::INVALID_TEXT_REPRESENTATION,
                format!("invalid input syntax for type numeric: \"{text}\""),
            )
        };
        let trimmed = text.trim_matches(crate::format::is_space);
        let (negative, unsigned) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, &trimmed[1..]),
            Some(b'+') => (false, &trimmed[1..]),
            _ => (false, trimmed),
        };
        if unsigned.eq_ignore_ascii_case("infinity") || unsigned.eq_ignore_ascii_case("inf") {
            return Ok(if negative { Self::NEGATIVE_INFINITY } else { Self::INFINITY });
        }
        if trimmed.eq_ignore_ascii_case("nan") {
            return Ok(Self::NAN);
        }
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            None => (unsigned, 0),
            Some(at) => (&unsigned[..at], exponent(&unsigned[at + 1..]).ok_or_else(invalid)?),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return Err(invalid());
        }
        if exponent.abs() >= EXPONENT_MAX {
            return Err(overflow());
        }
        Self::from_decimal(negative, whole, fraction, exponent)
    }

    fn from_decimal(negative: bool, whole: &str, fraction: &str, exponent: i64) -> Result<Self> {
        let scale = (fraction.len() as i64 - exponent).max(0);
        if scale > i64::from(SCALE_MAX) {
            return Err(overflow());
        }
        let whole = whole.trim_start_matches('0');
        if exponent == 0 && whole.len() + fraction.len() <= SHORT_DIGITS as usize {
            let coefficient = whole
                .bytes()
                .chain(fraction.bytes())
                .fold(0, |sum: i128, digit| sum * 10 + i128::from(digit - b'0'));
            return Ok(Self::from_i128(
                if negative { -coefficient } else { coefficient },
                scale as u32,
            ));
        }
        // Padded in front so that groups of four digits are aligned on the point.
        let before = whole.len() as i64 + exponent;
        let weight = before.div_euclid(GROUP) + i64::from(before.rem_euclid(GROUP) > 0) - 1;
        let padding = ((weight + 1) * GROUP - before) as usize;
        let mut padded = vec![b'0'; padding];
        padded.extend_from_slice(whole.as_bytes());
        padded.extend_from_slice(fraction.as_bytes());
        padded.resize(padded.len().next_multiple_of(GROUP as usize), b'0');
        let digits = padded
            .chunks_exact(GROUP as usize)
            .map(|group| group.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
            .collect::<Vec<u16>>();
        if digits.iter().all(|&digit| digit == 0) {
            return Self::from_big(Big::zero(scale as u32));
        }
        let weight = i32::try_from(weight).map_err(|_| overflow())?;
        Self::from_big(Big::new(negative, weight, scale as u32, digits))
    }

    /// Appends the text that PostgreSQL prints.
    pub fn write(&self, out: &mut String) {
        match self.parts() {
            Parts::NaN => out.push_str("NaN"),
            Parts::PositiveInfinity => out.push_str("Infinity"),
            Parts::NegativeInfinity => out.push_str("-Infinity"),
            Parts::Short(coefficient, scale) => write_short(coefficient, scale as usize, out),
            Parts::Long(big) => write_long(big, out),
        }
    }
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

/// Digits with a sign, blanks in front of them as C's `strtol` has it; beyond what decides anything they count as the maximum.
fn exponent(text: &str) -> Option<i64> {
    let text = text.trim_start_matches(crate::format::is_space);
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value = digits
        .bytes()
        .fold(0, |sum: i64, digit| (sum * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX));
    Some(if negative { -value } else { value })
}

fn write_short(coefficient: i128, scale: usize, out: &mut String) {
    let mut digits = [0_u8; 39];
    let mut start = digits.len();
    let mut rest = coefficient.unsigned_abs();
    // Division of 64 bits is several times faster than that of 128.
    while rest > u128::from(u64::MAX) {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let mut rest = rest as u64;
    while rest > 0 {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let digits = std::str::from_utf8(&digits[start..]).expect("digits are ASCII");
    if coefficient < 0 {
        out.push('-');
    }
    let before = digits.len().saturating_sub(scale);
    out.push_str(if before == 0 { "0" } else { &digits[..before] });
    if scale > 0 {
        out.push('.');
        for _ in digits.len()..scale {
            out.push('0');
        }
        out.push_str(&digits[before..]);
    }
}

fn write_long(big: &Big, out: &mut String) {
    if big.negative {
        out.push('-');
    }
    let mut digits = String::new();
    let last = -(big.scale.div_ceil(4) as i32);
    let first = big.weight.max(0);
    for weight in (last..=first).rev() {
        let digit = big.digit(weight);
        for power in [1000, 100, 10, 1] {
            digits.push(char::from(b'0' + (digit / power % 10) as u8));
        }
    }
    let before = (first as usize + 1) * GROUP as usize;
    let whole = digits[..before].trim_start_matches('0');
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if big.scale > 0 {
        out.push('.');
        out.push_str(&digits[before..before + big.scale as usize]);
    }
}
