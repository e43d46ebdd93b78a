//! `numeric`: exact decimals with a display scale, NaN and the infinities.
//!
//! Up to 38 digits a value is an `i128` coefficient and a scale, and its arithmetic is that of the
//! machine; longer ones are base-10^4 digits (`big`), aligned on the point as on PostgreSQL's
//! wire. There is one form for each value and scale: what fits the first form has it.
//!
//! The scale of each result (how many digits are shown after the point) follows PostgreSQL 15
//! to the digit, as do limits (131,072 digits before the point, 16,383 after it) and errors.

mod arithmetic;
mod big;

mod binary;
mod convert;

mod power;
mod round;
mod text;

use std::cmp::Ordering;

use phantom_base::{Error, Result, sqlstate};

use big::Big;

/// Digits after the point that a value can show.
const SCALE_MAX: u32 = 16_383;
/// The highest exponent of 10^4 that a first digit can have.
const WEIGHT_MAX: i32 = 32_767;
/// Digits of a coefficient in the short form.
const SHORT_DIGITS: u32 = 38;

/// 10^n for all n where an `i128` holds it.
const POWERS_OF_TEN: [i128; 39] = {
    let mut powers = [1; 39];
    let mut n = 1;
    while n < 39 {
        powers[n] = powers[n - 1] * 10;
        n += 1;
    }
    powers
};

/// An exact decimal. `==` also compares the display scale; `compare` does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numeric(Form);

/// The coefficient is split in two so that a `Numeric` takes 24 bytes and not 48.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Short { high: i64, low: u64, scale: u16 },
    Long(Box<Big>),
    NegativeInfinity,
    PositiveInfinity,
    NaN,
}

/// A value taken apart, for matching.
#[derive(Clone, Copy, Debug)]
enum Parts<'a> {
    Short(i128, u32),
    Long(&'a Big),
    NegativeInfinity,
    PositiveInfinity,
    NaN,
}

impl Numeric {
    /// 0
    pub const ZERO: Self = Self::short(0, 0);
    /// 1
    pub const ONE: Self = Self::short(1, 0);
    /// Not a number; above all others in order, equal to itself.
    pub const NAN: Self = Self(Form::NaN);
    /// Above all finite values.
    pub const INFINITY: Self = Self(Form::PositiveInfinity);
    /// Below all finite values.
    pub const NEGATIVE_INFINITY: Self = Self(Form::NegativeInfinity);

    const fn short(coefficient: i128, scale: u32) -> Self {
        assert!(coefficient.unsigned_abs() < POWERS_OF_TEN[38] as u128 && scale <= SCALE_MAX);
        Self(Form::Short {
            high: (coefficient >> 64) as i64,
            low: coefficient as u64,
            scale: scale as u16,
        })
    }

    /// `coefficient / 10^scale`; `scale` is at most 16,383.
    pub fn from_i128(coefficient: i128, scale: u32) -> Self {
        if coefficient.unsigned_abs() < POWERS_OF_TEN[38] as u128 {
            return Self::short(coefficient, scale);
        }
        Self(Form::Long(Box::new(Big::from_i128(coefficient, scale))))
    }

    /// The coefficient and the scale, where the value has no more than 38 digits.
    pub fn as_i128(&self) -> Option<(i128, u32)> {
        match self.parts() {
            Parts::Short(coefficient, scale) => Some((coefficient, scale)),
            _ => None,
        }
    }

    /// Whether the value is NaN.
    pub fn is_nan(&self) -> bool {
        self.0 == Form::NaN
    }

    /// Whether the value is neither NaN nor infinite.
    pub fn is_finite(&self) -> bool {
        matches!(self.0, Form::Short { .. } | Form::Long(_))
    }

    /// Digits shown after the point; 0 for NaN and the infinities.
    pub fn scale(&self) -> u32 {
        match self.parts() {
            Parts::Short(_, scale) => scale,
            Parts::Long(big) => big.scale,
            _ => 0,
        }
    }

    /// -1, 0 or 1; 0 for NaN.
    pub fn signum(&self) -> i32 {
        match self.parts() {
            Parts::Short(coefficient, _) => coefficient.signum() as i32,
            Parts::Long(big) if big.negative => -1,
            Parts::Long(_) | Parts::PositiveInfinity => 1,
            Parts::NegativeInfinity => -1,
            Parts::NaN => 0,
        }
    }

    /// PostgreSQL's order: -Infinity, finite, Infinity, NaN; display scale does not count.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self.parts(), other.parts()) {
            (Parts::Short(a, s), Parts::Short(b, t)) => compare_short(a, s, b, t),
            (a, b) => a.rank().cmp(&b.rank()).then_with(|| match (self.big(), other.big()) {
                (Some(a), Some(b)) => a.compare(&b),
                _ => Ordering::Equal,
            }),
        }
    }

    /// Bytes of memory, for accounts.
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + match &self.0 {
                Form::Long(big) => size_of::<Big>() + big.digits.len() * size_of::<u16>(),
                _ => 0,
            }
    }

    fn parts(&self) -> Parts<'_> {
        match &self.0 {
            Form::Short { high, low, scale } => {
                Parts::Short(i128::from(*high) << 64 | i128::from(*low), (*scale).into())
            }
            Form::Long(big) => Parts::Long(big),
            Form::NegativeInfinity => Parts::NegativeInfinity,
            Form::PositiveInfinity => Parts::PositiveInfinity,
            Form::NaN => Parts::NaN,
        }
    }

    /// The long form of a finite value.
    fn big(&self) -> Option<Big> {
        match self.parts() {
            Parts::Short(coefficient, scale) => Some(Big::from_i128(coefficient, scale)),
            Parts::Long(big) => Some(big.clone()),
            _ => None,
        }
    }

    /// The one form of a value; 22003 when it is longer than PostgreSQL's longest.
    fn from_big(big: Big) -> Result<Self> {
        if big.scale > SCALE_MAX || big.weight > WEIGHT_MAX {
            return Err(overflow());
        }
        Ok(match big.to_i128() {
            Some(coefficient) => Self::short(coefficient, big.scale),
            None => Self(Form::Long(Box::new(big))),
        })
    }

    /// Decimal digits without leading or trailing zeros, and the exponent `e` of
    /// `0.d1d2d3.. * 10^e`, whatever the display scale; `None` unless finite. What keys are made
    /// of.
    pub(crate) fn significant_digits(&self) -> Option<(Vec<u8>, i32)> {
        let big = self.big()?;
        let mut digits: Vec<u8> = Vec::with_capacity(big.digits.len() * 4);
        for &group in &big.digits {
            for power in [1000, 100, 10, 1] {
                digits.push((group / power % 10) as u8);
            }
        }
        let leading = digits.iter().take_while(|&&digit| digit == 0).count();
        let trailing = digits.iter().rev().take_while(|&&digit| digit == 0).count();
        if leading == digits.len() {
            return Some((Vec::new(), 0));
        }
        let kept = digits[leading..digits.len() - trailing].to_vec();
        Some((kept, (big.weight + 1) * 4 - leading as i32))
    }
}

impl Parts<'_> {
    fn rank(&self) -> u8 {
        match self {
            Self::NegativeInfinity => 0,
            Self::Short(..) | Self::Long(_) => 1,
            Self::PositiveInfinity => 2,
            Self::NaN => 3,
        }
    }
}

impl From<i64> for Numeric {
    fn from(value: i64) -> Self {
        Self::short(value.into(), 0)
    }
}

fn compare_short(a: i128, s: u32, b: i128, t: u32) -> Ordering {
    if s == t {
        return a.cmp(&b);
    }
    if a.signum() != b.signum() || a == 0 {
        return a.cmp(&b);
    }
    match align(a, s, b, t) {
        Some((a, b, _)) => a.cmp(&b),
        None => Big::from_i128(a, s).compare(&Big::from_i128(b, t)),
    }
}

/// Both coefficients at the larger scale, unless one does not fit.
fn align(a: i128, s: u32, b: i128, t: u32) -> Option<(i128, i128, u32)> {
    let raise = |value: i128, by: u32| {
        POWERS_OF_TEN.get(by as usize).and_then(|power| value.checked_mul(*power))
    };
    match s.cmp(&t) {
        Ordering::Equal => Some((a, b, s)),
        Ordering::Less => raise(a, t - s).map(|a| (a, b, t)),
        Ordering::Greater => raise(b, s - t).map(|b| (a, b, s)),
    }
}

fn overflow() -> Error {
    Error::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

fn division_by_zero() -> Error {
    Error::new(sqlstate::DIVISION_BY_ZERO, "division by zero")
}
