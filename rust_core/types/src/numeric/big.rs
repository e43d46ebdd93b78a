//! Decimals of any length: a sign, base-10^4 digits aligned on the point, and a display scale.
//!
//! Schoolbook algorithms (Knuth, TAOCP 4.3.1); long values are rare and their digits few. Nothing
//! here limits lengths: `Numeric::from_big` does. What takes more than a look at each digit fails
//! where the meter does, and not otherwise.

use std::cmp::Ordering;

use phantom_base::Result;

use super::POWERS_OF_TEN;
use crate::Meter;

pub(super) const BASE: u32 = 10_000;
pub(super) const GROUP: i64 = 4;
/// What a digit of a divisor costs for each digit of a quotient, in steps.
const QUOTIENT_STEPS: usize = 4;

/// The sum of `digits[i] * 10^(4 * (weight - i))`, shown with `scale` digits after the point. No
/// zero stands first or last; zero itself has no digits, weight 0 and no sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Big {
    pub negative: bool,
    pub weight: i32,
    pub scale: u32,
    pub digits: Vec<u16>,
}

impl Big {
    /// From digits that may begin and end with zeros.
    pub fn new(negative: bool, weight: i32, scale: u32, mut digits: Vec<u16>) -> Self {
        let leading = digits.iter().take_while(|&&digit| digit == 0).count();
        digits.drain(..leading);
        let trailing = digits.iter().rev().take_while(|&&digit| digit == 0).count();
        digits.truncate(digits.len() - trailing);
        if digits.is_empty() {
            return Self::zero(scale);
        }
        Self { negative, weight: weight - leading as i32, scale, digits }
    }

    pub fn zero(scale: u32) -> Self {
        Self { negative: false, weight: 0, scale, digits: Vec::new() }
    }

    pub fn from_i128(coefficient: i128, scale: u32) -> Self {
        let mut rest = coefficient.unsigned_abs();
        let mut digits = Vec::with_capacity(11);
        let partial = scale % 4;
        if partial > 0 {
            let power = 10_u128.pow(partial);
            digits.push((rest % power) as u16 * 10_u16.pow(4 - partial));
            rest /= power;
        }
        while rest > 0 {
            digits.push((rest % u128::from(BASE)) as u16);
            rest /= u128::from(BASE);
        }
        digits.reverse();
        let weight = digits.len() as i32 - 1 - scale.div_ceil(4) as i32;
        Self::new(coefficient < 0, weight, scale, digits)
    }

    /// The coefficient at the display scale, if it has no more than 38 digits.
    pub fn to_i128(&self) -> Option<i128> {
        let Some(&first) = self.digits.first() else { return Some(0) };
        let before = i64::from(self.weight) * GROUP + i64::from(first.ilog10()) + 1;
        if before + i64::from(self.scale) > i64::from(super::SHORT_DIGITS) {
            return None;
        }
        let mut coefficient: i128 = 0;
        let partial = self.scale % 4;
        let last = -(self.scale.div_ceil(4) as i32);
        for weight in (last..=self.weight).rev() {
            let digit = self.digit(weight);
            let (power, drop) =
                if weight == last && partial > 0 { (partial, 4 - partial) } else { (4, 0) };
            coefficient =
                coefficient * POWERS_OF_TEN[power as usize] + i128::from(digit / 10_u16.pow(drop));
        }
        Some(if self.negative { -coefficient } else { coefficient })
    }

    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// The digit at this power of 10^4.
    pub fn digit(&self, weight: i32) -> u16 {
        usize::try_from(i64::from(self.weight) - i64::from(weight))
            .ok()
            .and_then(|at| self.digits.get(at).copied())
            .unwrap_or(0)
    }

    /// The power of 10^4 of the last digit.
    fn last_weight(&self) -> i32 {
        self.weight + 1 - self.digits.len() as i32
    }

    /// Whether there are digits behind the point.
    pub fn is_integral(&self) -> bool {
        self.is_zero() || self.last_weight() >= 0
    }

    pub fn negate(mut self) -> Self {
        self.negative = !self.negative && !self.is_zero();
        self
    }

    pub fn with_scale(mut self, scale: u32) -> Self {
        self.scale = scale;
        self
    }

    pub fn compare(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.compare_magnitude(other),
            (true, true) => other.compare_magnitude(self),
        }
    }

    pub fn compare_magnitude(&self, other: &Self) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (false, false) => {
                self.weight.cmp(&other.weight).then_with(|| self.digits.cmp(&other.digits))
            }
            (a, b) => b.cmp(&a),
        }
    }

    pub fn add(&self, other: &Self) -> Self {
        let scale = self.scale.max(other.scale);
        if self.negative == other.negative {
            return self.combine(other, self.negative, scale, 1);
        }
        match self.compare_magnitude(other) {
            Ordering::Equal => Self::zero(scale),
            Ordering::Greater => self.combine(other, self.negative, scale, -1),
            Ordering::Less => other.combine(self, other.negative, scale, -1),
        }
    }

    pub fn subtract(&self, other: &Self) -> Self {
        self.add(&other.clone().negate())
    }

    /// The magnitudes' sum or, where `self` is the larger, difference.
    fn combine(&self, other: &Self, negative: bool, scale: u32, sign: i32) -> Self {
        if other.is_zero() {
            return Self { negative, ..self.clone() }.with_scale(scale);
        }
        if self.is_zero() {
            return Self { negative, ..other.clone() }.with_scale(scale);
        }
        let top = self.weight.max(other.weight);
        let bottom = self.last_weight().min(other.last_weight());
        let mut digits = Vec::with_capacity((top - bottom) as usize + 2);
        let mut carry = 0;
        for weight in bottom..=top {
            let sum = i32::from(self.digit(weight)) + sign * i32::from(other.digit(weight)) + carry;
            carry = sum.div_euclid(BASE as i32);
            digits.push(sum.rem_euclid(BASE as i32) as u16);
        }
        assert!(carry >= 0, "the smaller magnitude is taken from the larger");
        digits.push(carry as u16);
        digits.reverse();
        Self::new(negative, top + 1, scale, digits)
    }

    /// The exact product; its scale is the sum of both.
    pub fn multiply(&self, other: &Self, meter: &Meter) -> Result<Self> {
        let scale = self.scale + other.scale;
        if self.is_zero() || other.is_zero() {
            return Ok(Self::zero(scale));
        }
        let mut pace = meter.pace();
        // A sum of at most 2^16 products below 10^8 stays below 2^43.
        let mut sums = vec![0_u64; self.digits.len() + other.digits.len()];
        for (i, &a) in self.digits.iter().enumerate() {
            pace.step(other.digits.len())?;
            for (sum, &b) in sums[i + 1..].iter_mut().zip(&other.digits) {
                *sum += u64::from(a) * u64::from(b);
            }
        }
        pace.end()?;
        let mut carry = 0;
        let mut digits = vec![0; sums.len()];
        for (digit, sum) in digits.iter_mut().zip(&sums).rev() {
            carry += sum;
            *digit = (carry % u64::from(BASE)) as u16;
            carry /= u64::from(BASE);
        }
        assert_eq!(carry, 0, "a product has no more digits than its factors");
        let weight = self.weight + other.weight + 1;
        Ok(Self::new(self.negative != other.negative, weight, scale, digits))
    }

    /// The quotient with `scale` digits after the point, rounded half away from zero or cut.
    /// `other` is not zero.
    pub fn divide(&self, other: &Self, scale: u32, round: bool, meter: &Meter) -> Result<Self> {
        assert!(!other.is_zero(), "the caller answers division by zero");
        if self.is_zero() {
            return Ok(Self::zero(scale));
        }
        // One group behind the last wanted digit decides the rounding.
        let last = -(i64::from(scale) / GROUP) - 2;
        let weight = i64::from(self.weight) - i64::from(other.weight);
        let Ok(count @ 1..) = usize::try_from(weight - last + 1) else {
            return Ok(Self::zero(scale));
        };
        let digits = quotient(&self.digits, &other.digits, count, meter)?;
        let exact = Self::new(self.negative != other.negative, weight as i32, scale, digits);
        Ok(exact.cut(i64::from(scale), round))
    }

    /// Half away from zero, to `scale` digits after the point; negative ones stand before it.
    pub fn round(&self, scale: i64) -> Self {
        self.cut(scale, true)
    }

    /// Towards zero, to `scale` digits after the point.
    pub fn truncate(&self, scale: i64) -> Self {
        self.cut(scale, false)
    }

    fn cut(&self, scale: i64, round: bool) -> Self {
        let shown = scale.max(0) as u32;
        let kept = (i64::from(self.weight) + 1) * GROUP + scale;
        if self.is_zero() || kept < 0 {
            return Self::zero(shown);
        }
        let (full, partial) = ((kept / GROUP) as usize, (kept % GROUP) as u32);
        if full >= self.digits.len() {
            return self.clone().with_scale(shown);
        }
        let mut digits: Vec<u16> = vec![0];
        digits.extend_from_slice(&self.digits[..full]);
        let next = self.digits[full];
        let unit = 10_u16.pow(4 - partial); // 10^4 when the cut is between groups
        let up = round && next % unit >= unit / 2;
        if partial > 0 {
            digits.push(next - next % unit);
        }
        if up {
            let mut carry = if partial > 0 { unit } else { 1 };
            for digit in digits.iter_mut().rev() {
                *digit += carry;
                carry = u16::from(u32::from(*digit) >= BASE);
                *digit -= carry * BASE as u16;
            }
            assert_eq!(carry, 0, "there is a zero in front");
        }
        Self::new(self.negative, self.weight + 1, shown, digits)
    }
}

/// The first `count` base-10^4 digits of `a / b`, both read as `d.ddd` (Knuth's algorithm D).
fn quotient(a: &[u16], b: &[u16], count: usize, meter: &Meter) -> Result<Vec<u16>> {
    let base = i64::from(BASE);
    // Normalised so that the first digit is at least base / 2 and estimates are off by at most 2.
    let factor = base / (i64::from(b[0]) + 1);
    let scaled = |digits: &[u16], len: usize| -> Vec<i64> {
        let mut out = vec![0; len];
        let mut carry = 0;
        for (at, slot) in out.iter_mut().enumerate().rev() {
            let product = i64::from(digits.get(at).copied().unwrap_or(0)) * factor + carry;
            *slot = product % base;
            carry = product / base;
        }
        out.insert(0, carry);
        out
    };
    let mut divisor = scaled(b, b.len());
    assert_eq!(divisor.remove(0), 0, "normalising keeps the length");
    let second = divisor.get(1).copied().unwrap_or(0);
    let mut rest = scaled(a, count + b.len());
    let mut digits = Vec::with_capacity(count);
    let mut pace = meter.pace();
    for at in 0..count {
        pace.step(QUOTIENT_STEPS * divisor.len())?;
        let window = &mut rest[at..=at + divisor.len()];
        let head = window[0] * base + window[1];
        let mut guess = (head / divisor[0]).min(base - 1);
        let third = window.get(2).copied().unwrap_or(0);
        while guess * second > (head - guess * divisor[0]) * base + third {
            guess -= 1;
        }
        if subtract_multiple(window, &divisor, guess) {
            guess -= 1;
            assert!(!subtract_multiple(window, &divisor, -1), "the guess was one too high");
        }
        digits.push(guess as u16);
    }
    pace.end()?;
    Ok(digits)
}

/// Takes `factor * divisor` from `window`, which is one digit longer; whether that left a debt.
fn subtract_multiple(window: &mut [i64], divisor: &[i64], factor: i64) -> bool {
    let base = i64::from(BASE);
    let mut carry = 0;
    for (slot, digit) in window[1..].iter_mut().zip(divisor).rev() {
        let value = *slot - factor * digit + carry;
        *slot = value.rem_euclid(base);
        carry = value.div_euclid(base);
    }
    window[0] += carry;
    window[0] < 0
}
