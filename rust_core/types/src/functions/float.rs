//! Arithmetic of float8: what overflows or vanishes is 22003, as in PostgreSQL, not infinite or 0.

use phantom_base::{Error, Result, sqlstate};

use super::division_by_zero;
use super::lanes::{Float8, Kind, binary, unary};

binary! {
    FLOAT8PL(Float8, Float8) -> Float8 = |a, b| overflowing(a + b, a.is_finite() && b.is_finite());
    FLOAT8MI(Float8, Float8) -> Float8 = |a, b| overflowing(a - b, a.is_finite() && b.is_finite());
    FLOAT8MUL(Float8, Float8) -> Float8 = |a, b| {
        let product = overflowing(a * b, !a.is_infinite() && !b.is_infinite())?;
        vanishing(product, a != 0.0 && b != 0.0)
    };
    FLOAT8DIV(Float8, Float8) -> Float8 = |a, b| {
        if b == 0.0 && !a.is_nan() {
            return Err(division_by_zero());
        }
        vanishing(overflowing(a / b, !a.is_infinite())?, a != 0.0 && !b.is_infinite())
    };
    DPOW(Float8, Float8) -> Float8 = |a, b| power(a, b);
}

unary! {
    FLOAT8UM(Float8) -> Float8 = |a| Ok(-a);
    FLOAT8UP(Float8) -> Float8 = |a| Ok(a);
    FLOAT8ABS(Float8) -> Float8 = |a| Ok(a.abs());
    DCEIL(Float8) -> Float8 = |a| Ok(a.ceil());
    DFLOOR(Float8) -> Float8 = |a| Ok(a.floor());
    // Half to even, as C's rint.
    DROUND(Float8) -> Float8 = |a| Ok(a.round_ties_even());
    DTRUNC(Float8) -> Float8 = |a| Ok(a.trunc());
    DSIGN(Float8) -> Float8 = |a| Ok(if a > 0.0 { 1.0 } else if a < 0.0 { -1.0 } else { 0.0 });
    DSQRT(Float8) -> Float8 = |a| {
        if a < 0.0 {
            return Err(invalid_power("cannot take square root of a negative number"));
        }
        Ok(a.sqrt())
    };
}

fn overflowing(result: f64, operands_finite: bool) -> Result<f64> {
    if result.is_infinite() && operands_finite {
        return Err(Error::new(
            sqlstate::NUMERIC_VALUE_OUT_OF_RANGE,
            "value out of range: overflow",
        ));
    }
    Ok(result)
}

fn vanishing(result: f64, operands_present: bool) -> Result<f64> {
    if result == 0.0 && operands_present {
        return Err(Error::new(
            sqlstate::NUMERIC_VALUE_OUT_OF_RANGE,
            "value out of range: underflow",
        ));
    }
    Ok(result)
}

pub(crate) fn invalid_power(message: &str) -> Error {
    Error::new(sqlstate::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message)
}

/// POSIX pow(3), which Rust's `powf` follows for NaN and the infinities, with SQL's errors.
fn power(base: f64, exponent: f64) -> Result<f64> {
    if base.is_nan() || exponent.is_nan() {
        return Ok(base.powf(exponent));
    }
    if base == 0.0 && exponent < 0.0 {
        return Err(invalid_power("zero raised to a negative power is undefined"));
    }
    if base < 0.0 && exponent.floor() != exponent {
        return Err(invalid_power(
            "a negative number raised to a non-integer power yields a complex result",
        ));
    }
    let result = base.powf(exponent);
    if base.is_infinite() || exponent.is_infinite() {
        return Ok(result);
    }
    vanishing(overflowing(result, true)?, base != 0.0)
}
