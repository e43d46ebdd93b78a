//! Rounding, sign, and fitting a value into `numeric(p,s)`.

use phantom_base::{Error, Result, sqlstate};

use super::big::GROUP;
use super::{Form, Numeric, POWERS_OF_TEN, Parts, SCALE_MAX, WEIGHT_MAX};
use crate::type_id::numeric_typmod;

/// How far `round` and `trunc` look to either side of the point: as far as digits can stand.
const RESULT_SCALE_MAX: i64 = SCALE_MAX as i64;
const RESULT_SCALE_MIN: i64 = -(WEIGHT_MAX as i64 + 1) * GROUP - 1;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    HalfAway,
    Cut,
    Up,
    Down,
}

impl Numeric {
    /// Half away from zero, to `scale` digits after the point (negative: before it). 22003 when
    /// that makes the value too long.
    pub fn round(&self, scale: i32) -> Result<Self> {
        self.to_scale(i64::from(scale).clamp(RESULT_SCALE_MIN, RESULT_SCALE_MAX), Mode::HalfAway)
    }

    /// Towards zero, to `scale` digits after the point.
    pub fn trunc(&self, scale: i32) -> Result<Self> {
        self.to_scale(i64::from(scale).clamp(RESULT_SCALE_MIN, RESULT_SCALE_MAX), Mode::Cut)
    }

    /// The smallest whole number that is not below.
    pub fn ceil(&self) -> Result<Self> {
        self.to_scale(0, Mode::Up)
    }

    /// The greatest whole number that is not above.
    pub fn floor(&self) -> Result<Self> {
        self.to_scale(0, Mode::Down)
    }

    /// Without the sign.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.signum() < 0 { self.negate() } else { self.clone() }
    }

    /// -1, 0, 1 or NaN.
    #[must_use]
    pub fn sign(&self) -> Self {
        if self.is_nan() { Self::NAN } else { Self::from(i64::from(self.signum())) }
    }

    /// With the other sign.
    #[must_use]
    pub fn negate(&self) -> Self {
        match self.parts() {
            Parts::Short(coefficient, scale) => Self::short(-coefficient, scale),
            Parts::Long(big) => Self(Form::Long(Box::new(big.clone().negate()))),
            Parts::NegativeInfinity => Self::INFINITY,
            Parts::PositiveInfinity => Self::NEGATIVE_INFINITY,
            Parts::NaN => Self::NAN,
        }
    }

    /// Whether there is nothing behind the point; infinities count as whole.
    pub(super) fn is_integral(&self) -> bool {
        match self.parts() {
            Parts::Short(coefficient, scale) => {
                POWERS_OF_TEN.get(scale as usize).map_or(coefficient == 0, |p| coefficient % p == 0)
            }
            Parts::Long(big) => big.is_integral(),
            Parts::NegativeInfinity | Parts::PositiveInfinity => true,
            Parts::NaN => false,
        }
    }

    /// The value as a column of `numeric(p,s)` holds it. 22003 when it has too many digits before
    /// the point.
    pub fn fit(&self, typmod: i32) -> Result<Self> {
        let Some((precision, scale)) = numeric_typmod(typmod) else { return Ok(self.clone()) };
        match self.parts() {
            Parts::NaN => return Ok(Self::NAN),
            Parts::NegativeInfinity | Parts::PositiveInfinity => {
                return Err(field_overflow(format!(
                    "A field with precision {precision}, scale {scale} cannot hold an infinite \
                     value."
                )));
            }
            Parts::Short(..) | Parts::Long(_) => {}
        }
        let fitted = self.to_scale(scale.into(), Mode::HalfAway)?;
        let before = match fitted.parts() {
            Parts::Short(0, _) => i32::MIN,
            Parts::Short(value, shown) => value.unsigned_abs().ilog10() as i32 + 1 - shown as i32,
            _ => fitted.significant_digits().map_or(i32::MIN, |(_, exponent)| exponent),
        };
        if before <= precision - scale {
            return Ok(fitted);
        }
        let (power, digits) = match precision - scale {
            0 => ("", 1),
            digits => ("10^", digits),
        };
        Err(field_overflow(format!(
            "A field with precision {precision}, scale {scale} must round to an absolute value \
             less than {power}{digits}."
        )))
    }

    fn to_scale(&self, scale: i64, mode: Mode) -> Result<Self> {
        match self.parts() {
            Parts::Short(coefficient, from) => {
                if let Some(short) = short_to_scale(coefficient, from, scale, mode) {
                    return Ok(short);
                }
            }
            Parts::Long(_) => {}
            _ => return Ok(self.clone()),
        }
        let big = self.big().expect("finite");
        let cut = match mode {
            Mode::HalfAway => big.round(scale),
            Mode::Cut | Mode::Up | Mode::Down => big.truncate(scale),
        };
        let away = mode == Mode::Up && !big.negative || mode == Mode::Down && big.negative;
        if away && cut.compare(&big).is_ne() {
            let one = super::Big::from_i128(if big.negative { -1 } else { 1 }, 0);
            return Self::from_big(cut.add(&one));
        }
        Self::from_big(cut)
    }
}

fn short_to_scale(coefficient: i128, from: u32, scale: i64, mode: Mode) -> Option<Numeric> {
    let shown = scale.max(0) as u32;
    let down = i64::from(from) - scale;
    if down <= 0 {
        let raised = coefficient.checked_mul(*POWERS_OF_TEN.get((-down) as usize)?)?;
        return (raised.unsigned_abs() < POWERS_OF_TEN[38] as u128)
            .then(|| Numeric::short(raised, shown));
    }
    let power = *POWERS_OF_TEN.get(down as usize)?;
    let (quotient, rest) = (coefficient / power, coefficient % power);
    let step = match mode {
        Mode::HalfAway if rest.abs() >= power / 2 => rest.signum(),
        Mode::Up if rest > 0 => 1,
        Mode::Down if rest < 0 => -1,
        _ => 0,
    };
    let back = if scale < 0 { *POWERS_OF_TEN.get((-scale) as usize)? } else { 1 };
    let result = (quotient + step).checked_mul(back)?;
    (result.unsigned_abs() < POWERS_OF_TEN[38] as u128).then(|| Numeric::short(result, shown))
}

fn field_overflow(detail: String) -> Error {
    Error::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").with_detail(detail)
}
