//! The exact sum of floats, whatever their order (a superaccumulator: Kulisch, "Computer Arithmetic
//! and Validity"; Neal, "Fast exact summation using small and large superaccumulators", 2015).
//!
//! A finite float is a whole number of 2^-1074. The sum is kept as such a number in limbs of 32
//! bits, each in an i64, whose upper half takes the carries of 2^30 additions before they must be
//! passed on. Only the limbs that some value touched are there: values of like size take three or
//! four of the 66. NaN and the infinities are flags.

/// Bits of the sum that a limb stands for.
const LIMB_BITS: usize = 32;
const LIMB_MASK: i64 = (1 << LIMB_BITS) - 1;
/// Bits of a float's mantissa without the leading one.
const MANTISSA_BITS: usize = 52;
/// Additions after which carries are passed on: each adds less than 2^32 to a limb.
const ADDITIONS_MAX: u32 = 1 << 30;
/// More limbs than any sum of 2^63 floats needs.
pub(crate) const LIMBS_MAX: usize = 70;

/// A NaN was added.
const NAN: u8 = 1;
/// Infinity was added.
const INFINITY: u8 = 2;
/// -Infinity was added.
const NEGATIVE_INFINITY: u8 = 4;
/// Something other than -0 was added: a sum of nothing but -0 is -0.
const OTHER: u8 = 8;

/// A sum of floats, not rounded yet.
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    /// The place of the first limb: it counts 2^(32 * first - 1074).
    first: usize,
    limbs: Vec<i64>,
    /// Additions since carries were passed on.
    additions: u32,
    /// What was added that limbs do not tell: the bits below.
    pub(crate) flags: u8,
}

impl ExactSum {
    /// Adds a float.
    pub fn add(&mut self, value: f64) {
        let bits = value.to_bits();
        let (negative, exponent) = (bits >> 63 == 1, (bits >> MANTISSA_BITS & 0x7FF) as usize);
        let mantissa = bits & ((1 << MANTISSA_BITS) - 1);
        if exponent == 0x7FF {
            self.flags |= match (mantissa, negative) {
                (0, false) => INFINITY,
                (0, true) => NEGATIVE_INFINITY,
                _ => NAN,
            };
            return;
        }
        if mantissa == 0 && exponent == 0 {
            self.flags |= if negative { 0 } else { OTHER };
            return;
        }
        self.flags |= OTHER;
        let (whole, shift) = match exponent {
            0 => (mantissa, 0),
            _ => (mantissa | 1 << MANTISSA_BITS, exponent - 1),
        };
        let (limb, wide) = (shift / LIMB_BITS, u128::from(whole) << (shift % LIMB_BITS));
        self.reach(limb, limb + 3);
        let at = limb - self.first;
        for (slot, part) in self.limbs[at..at + 3].iter_mut().zip([0, 32, 64]) {
            let part = (wide >> part) as i64 & LIMB_MASK;
            *slot += if negative { -part } else { part };
        }
        self.count_addition(1);
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.flags |= other.flags;
        if other.limbs.is_empty() {
            return;
        }
        self.pass_carries();
        let mut other = other.clone();
        other.pass_carries();
        self.reach(other.first, other.first + other.limbs.len());
        for (at, limb) in other.limbs.iter().enumerate() {
            self.limbs[other.first + at - self.first] += limb;
        }
        // Two sums whose limbs are below 2^33 count as little as two additions each.
        self.count_addition(4);
    }

    /// The sum, rounded once, half to even; infinite when it is beyond the largest float.
    pub fn round(&self) -> f64 {
        match self.flags & (NAN | INFINITY | NEGATIVE_INFINITY) {
            0 => {}
            INFINITY => return f64::INFINITY,
            NEGATIVE_INFINITY => return f64::NEG_INFINITY,
            _ => return f64::NAN,
        }
        let mut whole = self.clone();
        whole.pass_carries();
        // After that the last limb alone has a sign.
        let negative = whole.limbs.last().is_some_and(|&limb| limb < 0);
        if negative {
            for limb in &mut whole.limbs {
                *limb = -*limb;
            }
            whole.pass_carries();
        }
        let magnitude = whole.round_magnitude();
        if negative || magnitude == 0.0 && self.flags & OTHER == 0 { -magnitude } else { magnitude }
    }

    /// Whether nothing but infinities or NaN made the sum infinite or NaN.
    pub(crate) fn is_finite(&self) -> bool {
        self.flags & (NAN | INFINITY | NEGATIVE_INFINITY) == 0
    }

    /// The float nearest to limbs that have no carries and no sign.
    fn round_magnitude(&self) -> f64 {
        let bit_of = |place: usize| -> u64 {
            let (limb, bit) = (place / LIMB_BITS, place % LIMB_BITS);
            match limb.checked_sub(self.first).and_then(|at| self.limbs.get(at)) {
                Some(limb) => (limb >> bit) as u64 & 1,
                None => 0,
            }
        };
        let Some(top) = self.limbs.iter().rposition(|&limb| limb != 0) else { return 0.0 };
        let top_bits = 64 - (self.limbs[top] as u64).leading_zeros() as usize;
        let len = (self.first + top) * LIMB_BITS + top_bits;
        let dropped = len.saturating_sub(MANTISSA_BITS + 1);
        let kept = (dropped..len).rev().fold(0_u64, |bits, place| bits << 1 | bit_of(place));
        let half = dropped > 0 && bit_of(dropped - 1) == 1;
        let up = half && (kept & 1 == 1 || (0..dropped - 1).any(|place| bit_of(place) == 1));
        if dropped > 2045 {
            return f64::INFINITY;
        }
        // A mantissa with its leading one raises the exponent that stands before it by one; so
        // does a carry out of it.
        let bits = ((dropped as u64) << MANTISSA_BITS) + kept + u64::from(up);
        f64::from_bits(bits)
    }

    /// Makes limbs `from..to` be there.
    fn reach(&mut self, from: usize, to: usize) {
        if self.limbs.is_empty() {
            self.first = from;
        }
        if from < self.first {
            self.limbs.splice(0..0, std::iter::repeat_n(0, self.first - from));
            self.first = from;
        }
        if to - self.first > self.limbs.len() {
            self.limbs.resize(to - self.first, 0);
        }
    }

    fn count_addition(&mut self, count: u32) {
        self.additions += count;
        if self.additions >= ADDITIONS_MAX {
            self.pass_carries();
        }
    }

    /// Brings every limb but the last into `0..2^32`, and the last within 33 bits.
    fn pass_carries(&mut self) {
        self.additions = 0;
        let mut carry = 0;
        let last = self.limbs.len().saturating_sub(1);
        for (at, limb) in self.limbs.iter_mut().enumerate() {
            let value = *limb + carry;
            if at == last {
                *limb = value;
                carry = 0;
            } else {
                *limb = value & LIMB_MASK;
                carry = value >> LIMB_BITS;
            }
        }
        while let Some(&value) = self.limbs.last()
            && !(-1..=LIMB_MASK).contains(&value)
        {
            let at = self.limbs.len() - 1;
            self.limbs[at] = value & LIMB_MASK;
            self.limbs.push(value >> LIMB_BITS);
        }
        assert!(carry == 0 && self.limbs.len() <= LIMBS_MAX, "a sum of 2^63 floats fits");
    }

    /// Bytes of memory beyond the struct.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.limbs.capacity() * size_of::<i64>()
    }

    /// First place and limbs without carries, for bytes.
    pub(crate) fn parts(&self) -> (u8, Vec<i64>) {
        let mut whole = self.clone();
        whole.pass_carries();
        (whole.first as u8, whole.limbs)
    }

    /// From parts; `None` unless `parts` could have made them.
    pub(crate) fn from_parts(first: u8, limbs: Vec<i64>) -> Option<Self> {
        let first = usize::from(first);
        let Some((last, rest)) = limbs.split_last() else { return Some(Self::default()) };
        let sound = first + limbs.len() <= LIMBS_MAX - 2 // Room for sums of many such.
            && rest.iter().all(|limb| (0..=LIMB_MASK).contains(limb))
            && (-1..=LIMB_MASK).contains(last);
        sound.then(|| Self { first, limbs, ..Self::default() })
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exactness is the claim")]
mod tests {
    use super::*;

    fn sum(values: &[f64]) -> f64 {
        let mut sum = ExactSum::default();
        for &value in values {
            sum.add(value);
        }
        sum.round()
    }

    #[test]
    fn what_floats_forget_is_kept() {
        assert_eq!(sum(&[1e300, 1.0, -1e300]), 1.0);
        assert_eq!(sum(&[1e16, 1.0, 1.0, -1e16]), 2.0);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[5e-324, 5e-324]), 1e-323);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(sum(&[-f64::MAX, -f64::MAX]), f64::NEG_INFINITY);
        assert_eq!(sum(&[-1e-300, 1e-310, -2.0, 1.0]), -1.0);
    }

    #[test]
    fn zeros_keep_their_sign_and_specials_win() {
        assert!(sum(&[-0.0, -0.0]).is_sign_negative());
        assert!(sum(&[-0.0, 0.0]).is_sign_positive());
        assert!(sum(&[1.0, -1.0]).is_sign_positive());
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert!(sum(&[f64::NAN, 1.0]).is_nan());
    }

    #[test]
    fn rounding_is_half_to_even() {
        let ulp = f64::EPSILON;
        assert_eq!(sum(&[1.0, ulp / 2.0]), 1.0);
        assert_eq!(sum(&[1.0 + ulp, ulp / 2.0]), 1.0 + 2.0 * ulp);
        assert_eq!(sum(&[1.0, ulp / 2.0, 5e-324]), 1.0 + ulp);
        assert_eq!(sum(&[2.0 - ulp, ulp / 2.0]), 2.0);
    }
}
