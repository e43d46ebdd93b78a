//! Square roots and powers.
//!
//! PostgreSQL fixes how many digits a result shows by estimates of its size; those estimates are
//! followed here to the letter. The digits themselves are computed with some to spare and rounded:
//! powers by squaring, others as `exp(y * ln(x))`, with ln by square roots towards 1 and the
//! series of artanh, exp by halving and Taylor's series.

use phantom_base::{Error, Result, sqlstate};

use super::arithmetic::{DISPLAY_SCALE_MAX, SIGNIFICANT_DIGITS_MIN};
use super::big::{BASE, Big, GROUP};
use super::{Numeric, division_by_zero, overflow};
use crate::Meter;

/// Beyond `exp(6000)` PostgreSQL calls a power an overflow.
const EXPONENT_MAX: f64 = 6000.0;
/// Digits computed beyond the last that is shown.
const GUARD_DIGITS: i64 = 12;

impl Numeric {
    /// The square root, to 16 or so significant digits. 2201F for negatives.
    pub fn sqrt(&self, meter: &Meter) -> Result<Self> {
        if self.is_nan() {
            return Ok(Self::NAN);
        }
        if self.signum() < 0 {
            return Err(power_error("cannot take square root of a negative number"));
        }
        if !self.is_finite() {
            return Ok(Self::INFINITY);
        }
        let (_, weight) = self.leading();
        // The place of the root's first digit, as C divides: towards zero.
        let root_weight = (weight + 1) * GROUP / 2 - 1;
        let scale = (SIGNIFICANT_DIGITS_MIN - root_weight)
            .max(self.scale().into())
            .clamp(0, DISPLAY_SCALE_MAX);
        Self::from_big(square_root(&self.big().expect("finite"), scale, meter)?)
    }

    /// `self ^ exponent`. 2201F where there is no real result, 22003 where it is too long.
    pub fn power(&self, exponent: &Self, meter: &Meter) -> Result<Self> {
        if self.is_nan() {
            return Ok(if exponent.is_finite() && exponent.signum() == 0 {
                Self::ONE
            } else {
                Self::NAN
            });
        }
        if exponent.is_nan() {
            let one = self.is_finite() && self.compare(&Self::ONE).is_eq();
            return Ok(if one { Self::ONE } else { Self::NAN });
        }
        if self.signum() == 0 && exponent.signum() < 0 {
            return Err(power_error("zero raised to a negative power is undefined"));
        }
        if self.signum() < 0 && !exponent.is_integral() {
            return Err(power_error(
                "a negative number raised to a non-integer power yields a complex result",
            ));
        }
        if !self.is_finite() || !exponent.is_finite() {
            return Ok(self.power_infinite(exponent));
        }
        let (base, power) = self.bigs(exponent);
        if power.is_integral()
            && let Some(whole) = exponent.trunc(0)?.as_i128().map(|(whole, _)| whole)
            && let Ok(whole) = i32::try_from(whole)
        {
            let scale = SIGNIFICANT_DIGITS_MIN.max(base.scale.into()).min(DISPLAY_SCALE_MAX);
            return Self::from_big(whole_power(&base, whole, scale, meter)?);
        }
        if base.is_zero() {
            return Ok(Self::short(0, SIGNIFICANT_DIGITS_MIN as u32));
        }
        let odd = power.is_integral() && power.digit(0) % 2 == 1;
        let result = real_power(&Big { negative: false, ..base }, &power, meter)?;
        Self::from_big(if self.signum() < 0 && odd { result.negate() } else { result })
    }

    /// POSIX's rules for pow(3), where a side is infinite and none is NaN.
    fn power_infinite(&self, exponent: &Self) -> Self {
        if self.compare(&Self::ONE).is_eq() || exponent.signum() == 0 {
            return Self::ONE;
        }
        if self.signum() == 0 {
            return Self::ZERO;
        }
        if !exponent.is_finite() {
            return match self.abs().compare(&Self::ONE) {
                std::cmp::Ordering::Equal => Self::ONE,
                order if order.is_gt() == (exponent.signum() > 0) => Self::INFINITY,
                _ => Self::ZERO,
            };
        }
        if exponent.signum() < 0 {
            return Self::ZERO;
        }
        let odd = exponent.is_integral() && exponent.big().is_some_and(|e| e.digit(0) % 2 == 1);
        if self.signum() < 0 && odd { Self::NEGATIVE_INFINITY } else { Self::INFINITY }
    }
}

fn power_error(message: &str) -> Error {
    Error::new(sqlstate::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message)
}

/// Rounded to `scale` digits after the point, by Newton's iteration from above on whole numbers.
fn square_root(value: &Big, scale: i64, meter: &Meter) -> Result<Big> {
    if value.is_zero() {
        return Ok(Big::zero(scale as u32));
    }
    // The root of value * 10^(2k) is a whole number with k digits after the point; k is a
    // multiple of 4 so that shifting moves whole groups, and one group beyond `scale`.
    let groups = scale.div_euclid(GROUP) + 2;
    let shifted = Big { weight: value.weight + 2 * groups as i32, ..value.clone() }.truncate(0);
    if shifted.is_zero() {
        return Ok(Big::zero(scale as u32));
    }
    let two = Big::from_i128(2, 0);
    let mut root = above_root(&shifted);
    loop {
        let next =
            root.add(&shifted.divide(&root, 0, false, meter)?).divide(&two, 0, false, meter)?;
        if next.compare(&root).is_ge() {
            break;
        }
        root = next;
    }
    // What was cut off cannot be half of the last digit: the root would have had more digits.
    Ok(Big { weight: root.weight - groups as i32, ..root }.round(scale))
}

/// A whole number a little above the root of another, to a float's precision.
fn above_root(value: &Big) -> Big {
    let (mut head, mut weight) = head(value);
    if weight % 2 != 0 {
        head *= f64::from(BASE);
        weight -= 1;
    }
    // The root of the head is below 10^4; with 11 digits behind the point a float has its last one
    // right, and 2 there is more than it can be off.
    let shown = Big::from_i128((head.sqrt() * 1e11) as i128 + 2, 11);
    let root = Big { weight: shown.weight + weight / 2, ..shown };
    root.truncate(0).add(&Big::from_i128(1, 0))
}

fn whole_power(base: &Big, exponent: i32, scale: i64, meter: &Meter) -> Result<Big> {
    match exponent {
        0 => return Ok(Big::from_i128(1, 0).with_scale(scale as u32)),
        1 => return Ok(base.round(scale)),
        -1 if base.is_zero() => return Err(division_by_zero()),
        -1 => return Big::from_i128(1, 0).divide(base, scale as u32, true, meter),
        2 => return Ok(base.multiply(base, meter)?.round(scale)),
        _ if base.is_zero() => return Ok(Big::zero(scale as u32)),
        _ => {}
    }
    let size = f64::from(exponent) * log10(base);
    if size > 3.0 * 32_767.0 * GROUP as f64 {
        return Err(overflow());
    }
    if size + 1.0 < -(scale as f64) || size + 1.0 < -(DISPLAY_SCALE_MAX as f64) {
        return Ok(Big::zero(scale as u32));
    }
    // Each product may lose a unit of its last digit, and there are fewer than 64 products whose
    // errors the exponent multiplies.
    let log = f64::from(exponent).abs().ln() as i64;
    let significant = (1 + scale + size as i64).max(1) + log + GUARD_DIGITS;
    let mut rest = exponent.unsigned_abs();
    let mut square = base.clone();
    let mut product: Option<Big> = None;
    loop {
        if rest & 1 == 1 {
            let next = match product {
                None => square.clone(),
                Some(product) => product.multiply(&square, meter)?,
            };
            product = Some(to_significant(&next, significant));
        }
        rest >>= 1;
        if rest == 0 {
            break;
        }
        square = to_significant(&square.multiply(&square, meter)?, significant);
        if i64::from(square.weight).abs() > 3 * 32_767 {
            // An overflow, or of a negative exponent nothing that is shown.
            return if (square.weight > 0) == (exponent > 0) {
                Err(overflow())
            } else {
                Ok(Big::zero(scale as u32))
            };
        }
    }
    let product = product.expect("an exponent other than 0 has a bit");
    if exponent < 0 {
        return Big::from_i128(1, 0).divide(&product, scale as u32, true, meter);
    }
    Ok(product.round(scale))
}

/// The logarithm of the magnitude, to a float's precision.
fn log10(value: &Big) -> f64 {
    let mut head = 0.0;
    let mut weight = i64::from(value.weight);
    for (at, &digit) in value.digits.iter().take(4).enumerate() {
        head = head * 10_000.0 + f64::from(digit);
        weight = i64::from(value.weight) - at as i64;
    }
    head.log10() + (weight * GROUP) as f64
}

/// The magnitude as `head * 10^(4 * weight)`, the head in `1 .. 10^4` to a float's precision.
fn head(value: &Big) -> (f64, i32) {
    let digits = value.digits.iter().take(5).rev();
    let head = digits.fold(0.0, |rest, &digit| rest / f64::from(BASE) + f64::from(digit));
    (head, value.weight)
}

/// Rounded to so many digits counted from the first.
fn to_significant(value: &Big, digits: i64) -> Big {
    value.round(digits - (i64::from(value.weight) + 1) * GROUP + GROUP - 1)
}

/// `base ^ power` of a positive base, by logarithms.
fn real_power(base: &Big, power: &Big, meter: &Meter) -> Result<Big> {
    let place = ln_place(base);
    let coarse = (8 - place).max(0);
    let estimate = power.multiply(&ln(base, coarse, meter)?, meter)?.round(coarse);
    let estimate = to_float(&estimate);
    if estimate.abs() > EXPONENT_MAX * 1.003_333_333_333_333_4 {
        return if estimate > 0.0 {
            Err(overflow())
        } else {
            Ok(Big::zero(DISPLAY_SCALE_MAX as u32))
        };
    }
    let digits = (estimate * std::f64::consts::LOG10_E) as i64;
    let scale = (SIGNIFICANT_DIGITS_MIN - digits)
        .max(base.scale.into())
        .max(power.scale.into())
        .clamp(0, DISPLAY_SCALE_MAX);
    let significant = (scale + digits).max(0);
    let precise = (significant - place + 8).max(0) + GUARD_DIGITS;
    let precise = precise + i64::from(power.weight.max(0) + 1) * GROUP;
    let argument = ln(base, precise, meter)?.multiply(power, meter)?;
    if to_float(&argument).abs() >= EXPONENT_MAX {
        return if argument.negative { Ok(Big::zero(scale as u32)) } else { Err(overflow()) };
    }
    exp(&argument, scale, digits, meter)
}

/// About where the first digit of `ln(value)` stands: PostgreSQL's estimate.
fn ln_place(value: &Big) -> i64 {
    if is_near_one(value) {
        // ln(1 + x) is about x.
        let x = value.subtract(&Big::from_i128(1, 0));
        return x
            .digits
            .first()
            .map_or(0, |&first| i64::from(x.weight) * GROUP + i64::from(first.ilog10()));
    }
    // To 8 digits of the value, as the original.
    let first = value.digits.first().copied().unwrap_or(1);
    let mut digits = i64::from(first);
    let mut place = i64::from(value.weight) * GROUP;
    if let Some(&second) = value.digits.get(1) {
        digits = digits * 10_000 + i64::from(second);
        place -= GROUP;
    }
    let ln = (digits as f64).ln() + place as f64 * std::f64::consts::LN_10;
    ln.abs().log10() as i64
}

/// Whether a value is in `0.9 ..= 1.1`.
fn is_near_one(value: &Big) -> bool {
    value.compare(&Big::from_i128(9, 1)).is_ge() && value.compare(&Big::from_i128(11, 1)).is_le()
}

fn to_float(value: &Big) -> f64 {
    let mut out = 0.0;
    for (at, &digit) in value.digits.iter().take(6).enumerate() {
        out += f64::from(digit) * 10_000_f64.powi(value.weight - at as i32);
    }
    if value.negative { -out } else { out }
}

/// The natural logarithm of a positive value, to `scale` digits after the point.
fn ln(value: &Big, scale: i64, meter: &Meter) -> Result<Big> {
    let working = scale + GUARD_DIGITS;
    if is_near_one(value) {
        // Taken apart, its logarithm would be the small difference of two large ones.
        return Ok(ln_mantissa(value.clone(), working, meter)?.round(scale));
    }
    // value = mantissa * 10^(4 * weight), the mantissa in 1 .. 10^4.
    let mantissa = Big { weight: 0, ..value.clone() };
    let mut result = ln_mantissa(mantissa, working, meter)?;
    if value.weight != 0 {
        let factor = Big::from_i128(i128::from(value.weight) * i128::from(GROUP), 0);
        let ln_ten = ln_mantissa(Big::from_i128(10, 0), working, meter)?;
        result = result.add(&ln_ten.multiply(&factor, meter)?);
    }
    Ok(result.round(scale))
}

/// ln of a value in `0.9 .. 10^4`.
fn ln_mantissa(mut x: Big, scale: i64, meter: &Meter) -> Result<Big> {
    let one = Big::from_i128(1, 0);
    let near = Big::from_i128(11, 1);
    let mut halvings = 0;
    while x.compare(&near).is_gt() {
        x = square_root(&x, scale + GUARD_DIGITS, meter)?;
        halvings += 1;
    }
    // ln x = 2 artanh z = 2 (z + z^3/3 + z^5/5 ..), z = (x - 1) / (x + 1)
    let shown = (scale + GUARD_DIGITS) as u32;
    let z = x.subtract(&one).divide(&x.add(&one), shown, true, meter)?;
    let square = z.multiply(&z, meter)?.round(scale + GUARD_DIGITS);
    let mut term = z.clone();
    let mut sum = z;
    let mut n = 3;
    while !term.is_zero() {
        term = term.multiply(&square, meter)?.round(scale + GUARD_DIGITS);
        let part = term.divide(&Big::from_i128(n, 0), shown, true, meter)?;
        sum = sum.add(&part);
        n += 2;
    }
    sum.multiply(&Big::from_i128(2_i128 << halvings, 0), meter)
}

/// `e ^ x` to `scale` digits after the point; the result has about `digits` before it. Those that
/// are shown are all that is computed: of a result far below 1 there are few.
fn exp(x: &Big, scale: i64, digits: i64, meter: &Meter) -> Result<Big> {
    let magnitude = Big { negative: false, ..x.clone() };
    let shown = (scale + digits).max(0) + 2 * GUARD_DIGITS;
    // Halved until each term of the series gains so many bits that there are about as many terms as
    // squarings afterwards.
    let bits = (shown as f64 * std::f64::consts::LOG2_10 / 2.0).sqrt().max(7.0);
    let halvings = (to_float(&magnitude).log2() + bits).ceil().max(0.0) as u32;
    // Squaring back doubles the relative error each time.
    let working = shown + i64::from(halvings);
    let halved = Big::from_i128(1 << halvings, 0);
    let small = magnitude.divide(&halved, working as u32, true, meter)?;
    let mut term = Big::from_i128(1, 0);
    let mut result = term.clone();
    let mut n = 1;
    while !term.is_zero() {
        let raised = term.multiply(&small, meter)?.round(working);
        term = raised.divide(&Big::from_i128(n, 0), working as u32, true, meter)?;
        result = result.add(&term);
        n += 1;
    }
    for _ in 0..halvings {
        result = to_significant(&result.multiply(&result, meter)?, working);
    }
    if x.negative {
        return Big::from_i128(1, 0).divide(&result, scale as u32, true, meter);
    }
    Ok(result.round(scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_costs_what_its_digits_cost() {
        let number = |text: &str| Numeric::parse(text).unwrap();
        let base = number("1").subtract(&number("1.5e-1000")).unwrap();
        // 1,000 digits of which 56 are not zero: little enough to be done beside other work.
        let power = base.power(&number("1.45e1003"), &Meter::brief()).unwrap();
        let text = power.to_string();
        assert_eq!(text.len(), 1_002);
        assert!(
            text.ends_with("00025674492065012249693981635727331411559628990723398851768"),
            "{text}"
        );
    }
}
