//! Sum, difference, product, quotient and remainder, with PostgreSQL's result scales.

use phantom_base::Result;

use super::big::{Big, GROUP};
use super::{Numeric, POWERS_OF_TEN, Parts, SCALE_MAX, align, division_by_zero};
use crate::Meter;

/// Digits that a quotient shows at least, counted from its first.
pub(super) const SIGNIFICANT_DIGITS_MIN: i64 = 16;
/// Digits after the point that a quotient, root or power shows at most.
pub(super) const DISPLAY_SCALE_MAX: i64 = 1000;

impl Numeric {
    /// `self + other`; 22003 when too long.
    pub fn add(&self, other: &Self) -> Result<Self> {
        use Parts::{Long, NaN, NegativeInfinity, PositiveInfinity, Short};
        match (self.parts(), other.parts()) {
            (Short(a, s), Short(b, t)) => {
                // Both are below 10^38, so that the sum fits.
                if let Some((a, b, scale)) = align(a, s, b, t)
                    && let Some(sum) = a.checked_add(b)
                {
                    return Ok(Self::from_i128(sum, scale));
                }
                Self::from_big(Big::from_i128(a, s).add(&Big::from_i128(b, t)))
            }
            (NaN, _)
            | (_, NaN)
            | (PositiveInfinity, NegativeInfinity)
            | (NegativeInfinity, PositiveInfinity) => Ok(Self::NAN),
            (PositiveInfinity, _) | (_, PositiveInfinity) => Ok(Self::INFINITY),
            (NegativeInfinity, _) | (_, NegativeInfinity) => Ok(Self::NEGATIVE_INFINITY),
            (Short(..) | Long(_), Short(..) | Long(_)) => {
                let (a, b) = self.bigs(other);
                Self::from_big(a.add(&b))
            }
        }
    }

    /// `self - other`; 22003 when too long.
    pub fn subtract(&self, other: &Self) -> Result<Self> {
        self.add(&other.negate())
    }

    /// `self * other`; 22003 when too long.
    pub fn multiply(&self, other: &Self) -> Result<Self> {
        self.multiply_within(other, &Meter::default())
    }

    /// `multiply` within a meter: digits times digits is what it costs.
    pub fn multiply_within(&self, other: &Self, meter: &Meter) -> Result<Self> {
        if let (Parts::Short(a, s), Parts::Short(b, t)) = (self.parts(), other.parts())
            && s + t <= SCALE_MAX
            && let Some(product) = a.checked_mul(b)
        {
            return Ok(Self::from_i128(product, s + t));
        }
        if self.is_finite() && other.is_finite() {
            let (a, b) = self.bigs(other);
            let product = a.multiply(&b, meter)?;
            // PostgreSQL rounds away what it could not show, and does not refuse.
            let scale = product.scale.min(SCALE_MAX);
            return Self::from_big(product.round(scale.into()));
        }
        Ok(match self.signum() * other.signum() {
            _ if self.is_nan() || other.is_nan() => Self::NAN,
            0 => Self::NAN,
            1 => Self::INFINITY,
            _ => Self::NEGATIVE_INFINITY,
        })
    }

    /// `self / other`, rounded half away from zero to at least 16 significant digits. 22012.
    pub fn divide(&self, other: &Self) -> Result<Self> {
        self.divide_within(other, &Meter::default())
    }

    /// `divide` within a meter: digits times digits is what it costs.
    pub fn divide_within(&self, other: &Self, meter: &Meter) -> Result<Self> {
        if let Some(special) = self.divide_special(other)? {
            return Ok(special);
        }
        let scale = quotient_scale(self, other);
        if let (Parts::Short(a, s), Parts::Short(b, t)) = (self.parts(), other.parts())
            && let Some(quotient) = short_quotient(a, s, b, t, scale)
        {
            return Ok(Self::from_i128(quotient, scale));
        }
        let (a, b) = self.bigs(other);
        Self::from_big(a.divide(&b, scale, true, meter)?)
    }

    /// What `/` answers where a side is not finite, or the divisor zero.
    fn divide_special(&self, other: &Self) -> Result<Option<Self>> {
        if self.is_nan() || other.is_nan() {
            return Ok(Some(Self::NAN));
        }
        if other.signum() == 0 {
            return Err(division_by_zero());
        }
        Ok(match (self.is_finite(), other.is_finite()) {
            (true, true) => None,
            (true, false) => Some(Self::ZERO),
            (false, true) if self.signum() == other.signum() => Some(Self::INFINITY),
            (false, true) => Some(Self::NEGATIVE_INFINITY),
            (false, false) => Some(Self::NAN),
        })
    }

    /// What is left of `self` after division by `other`, with the sign of `self`. 22012.
    pub fn remainder(&self, other: &Self) -> Result<Self> {
        self.remainder_within(other, &Meter::default())
    }

    /// `remainder` within a meter: digits times digits is what it costs.
    pub fn remainder_within(&self, other: &Self, meter: &Meter) -> Result<Self> {
        if self.is_nan() || other.is_nan() {
            return Ok(Self::NAN);
        }
        if !self.is_finite() {
            return if other.signum() == 0 { Err(division_by_zero()) } else { Ok(Self::NAN) };
        }
        if !other.is_finite() {
            return Ok(self.clone());
        }
        if other.signum() == 0 {
            return Err(division_by_zero());
        }
        if let (Parts::Short(a, s), Parts::Short(b, t)) = (self.parts(), other.parts())
            && let Some((a, b, scale)) = align(a, s, b, t)
        {
            return Ok(Self::from_i128(a % b, scale));
        }
        let (a, b) = self.bigs(other);
        let whole = a.divide(&b, 0, false, meter)?;
        let scale = a.scale.max(b.scale);
        Self::from_big(a.subtract(&whole.multiply(&b, meter)?).with_scale(scale))
    }

    pub(super) fn bigs(&self, other: &Self) -> (Big, Big) {
        (self.big().expect("finite"), other.big().expect("finite"))
    }

    /// The first base-10^4 digit and the power of 10^4 that it counts; zero is 0 at power 0.
    pub(super) fn leading(&self) -> (u16, i64) {
        let first_of = |big: &Big| (big.digits.first().copied().unwrap_or(0), big.weight.into());
        match self.parts() {
            Parts::Short(0, _) => (0, 0),
            Parts::Short(coefficient, scale) => {
                let magnitude = coefficient.unsigned_abs();
                let weight = (i64::from(magnitude.ilog10()) - i64::from(scale)).div_euclid(GROUP);
                let shift = weight * GROUP + i64::from(scale);
                let digit = if shift >= 0 {
                    magnitude / 10_u128.pow(shift as u32)
                } else {
                    magnitude * 10_u128.pow((-shift) as u32)
                };
                (digit as u16, weight)
            }
            Parts::Long(big) => first_of(big),
            _ => (0, 0),
        }
    }
}

/// How many digits after the point a quotient shows: 16 significant ones by an estimate of its
/// first digit's place, and no fewer than either side shows.
fn quotient_scale(a: &Numeric, b: &Numeric) -> u32 {
    let ((first_a, weight_a), (first_b, weight_b)) = (a.leading(), b.leading());
    let weight = weight_a - weight_b - i64::from(first_a <= first_b);
    (SIGNIFICANT_DIGITS_MIN - weight * GROUP)
        .max(a.scale().into())
        .max(b.scale().into())
        .clamp(0, DISPLAY_SCALE_MAX) as u32
}

fn short_quotient(a: i128, s: u32, b: i128, t: u32, scale: u32) -> Option<i128> {
    // a / 10^s / (b / 10^t) * 10^scale
    let shift = i64::from(scale) + i64::from(t) - i64::from(s);
    let power = *POWERS_OF_TEN.get(usize::try_from(shift).ok()?)?;
    let dividend = a.checked_mul(power)?;
    let (quotient, rest) = match (i64::try_from(dividend), i64::try_from(b)) {
        (Ok(dividend), Ok(b)) => {
            (i128::from(dividend.checked_div(b)?), i128::from(dividend.checked_rem(b)?))
        }
        _ => (dividend.checked_div(b)?, dividend.checked_rem(b)?),
    };
    let twice = rest.unsigned_abs().checked_mul(2)?;
    let away = if (a < 0) == (b < 0) { 1 } else { -1 };
    quotient.checked_add(if twice >= b.unsigned_abs() { away } else { 0 })
}
