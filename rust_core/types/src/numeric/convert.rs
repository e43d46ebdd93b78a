//! Between numeric and the machine's numbers.

use phantom_base::{Error, Result, sqlstate};

use super::{Numeric, Parts};

impl Numeric {
    /// The nearest whole number, half away from zero. `type_name` is what the errors name: 22003
    /// out of range, 0A000 for NaN and the infinities, as PostgreSQL has it.
    pub fn to_i64(&self, type_name: &str) -> Result<i64> {
        let refused = |what| {
            Error::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!("cannot convert {what} to {type_name}"),
            )
        };
        if self.is_nan() {
            return Err(refused("NaN"));
        }
        if !self.is_finite() {
            return Err(refused("infinity"));
        }
        self.round(0)?.as_i128().and_then(|(whole, _)| i64::try_from(whole).ok()).ok_or_else(|| {
            Error::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, format!("{type_name} out of range"))
        })
    }

    /// The nearest float. 22003 when it lies beyond the largest or, other than zero, below the
    /// smallest.
    pub fn to_f64(&self) -> Result<f64> {
        let value = self.to_f64_unchecked();
        if self.is_finite() && (value.is_infinite() || value == 0.0 && self.signum() != 0) {
            return Err(Error::new(
                sqlstate::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("\"{self}\" is out of range for type double precision"),
            ));
        }
        Ok(value)
    }

    /// The nearest float, which may be infinite or zero.
    pub(super) fn to_f64_unchecked(&self) -> f64 {
        match self.parts() {
            Parts::NaN => f64::NAN,
            Parts::PositiveInfinity => f64::INFINITY,
            Parts::NegativeInfinity => f64::NEG_INFINITY,
            Parts::Short(coefficient, 0) => coefficient as f64,
            Parts::Short(..) | Parts::Long(_) => {
                self.to_string().parse().expect("a numeric's text is a float's")
            }
        }
    }

    /// The float to `digits` significant digits, as PostgreSQL casts it: 15 for float8.
    pub fn from_f64(value: f64) -> Result<Self> {
        if value.is_nan() {
            return Ok(Self::NAN);
        }
        if value.is_infinite() {
            return Ok(if value > 0.0 { Self::INFINITY } else { Self::NEGATIVE_INFINITY });
        }
        // `%.15g`: 15 significant digits, trailing zeros dropped.
        let printed = format!("{value:.14e}");
        let (mantissa, exponent) = printed.split_once('e').expect("scientific form");
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        Self::parse(&format!("{mantissa}e{exponent}"))
    }
}
