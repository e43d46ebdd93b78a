//! Numeric as bytes: PostgreSQL's wire form and the form inside rows.
//!
//! ```text
//! wire   digits i16 | weight i16 | sign u16 | scale u16 | digit u16 ..    big endian, base 10^4
//!        sign: 0000 positive, 4000 negative, C000 NaN, D000 Infinity, F000 -Infinity
//! row    head u16 = kind << 14 | scale                                    little endian
//!        kind 0: the coefficient, as few bytes of two's complement as hold it (none for 0)
//!        kind 1, 2 (positive, negative): weight i32 | digit u16 ..        base 10^4
//!        kind 3: scale 0 is NaN, 1 Infinity, 2 -Infinity
//! ```

use phantom_base::bytes::Reader;
use phantom_base::{Error, Result, sqlstate};

use super::big::{BASE, Big};
use super::{Form, Numeric, Parts, SCALE_MAX};

const SIGN_POSITIVE: u16 = 0x0000;
const SIGN_NEGATIVE: u16 = 0x4000;
const SIGN_NAN: u16 = 0xC000;
const SIGN_INFINITY: u16 = 0xD000;
const SIGN_NEGATIVE_INFINITY: u16 = 0xF000;

/// What PostgreSQL sends as the scale of an infinity: a bit of its header's.
const INFINITY_SCALE: u32 = 0x20;

const KIND_SHIFT: u32 = 14;
const KIND_SHORT: u16 = 0;
const KIND_POSITIVE: u16 = 1;
const KIND_NEGATIVE: u16 = 2;
const KIND_SPECIAL: u16 = 3;

impl Numeric {
    /// Appends the wire form.
    pub fn write_binary(&self, out: &mut Vec<u8>) {
        let special = |sign: u16, scale: u32| (sign, Big::zero(scale));
        let (sign, big) = match self.parts() {
            Parts::NaN => special(SIGN_NAN, 0),
            Parts::PositiveInfinity => special(SIGN_INFINITY, INFINITY_SCALE),
            Parts::NegativeInfinity => special(SIGN_NEGATIVE_INFINITY, INFINITY_SCALE),
            Parts::Short(..) | Parts::Long(_) => {
                let big = self.big().expect("finite");
                (if big.negative { SIGN_NEGATIVE } else { SIGN_POSITIVE }, big)
            }
        };
        for head in [big.digits.len() as u16, big.weight as u16, sign, big.scale as u16] {
            out.extend_from_slice(&head.to_be_bytes());
        }
        for digit in &big.digits {
            out.extend_from_slice(&digit.to_be_bytes());
        }
    }

    /// Reads the wire form; digits that the scale hides are cut off. 22P03 for bad fields, 08P01
    /// for too few bytes.
    pub(crate) fn read_binary(reader: &mut Reader<'_>) -> Result<Self> {
        let invalid = |what: &str| {
            Error::new(
                sqlstate::INVALID_BINARY_REPRESENTATION,
                format!("invalid {what} in external \"numeric\" value"),
            )
        };
        let short = |_| crate::format::binary::too_short();
        let count = reader.u16_be().map_err(short)?;
        let weight = reader.i16_be().map_err(short)?;
        let sign = reader.u16_be().map_err(short)?;
        let special = match sign {
            SIGN_NAN => Some(Self::NAN),
            SIGN_INFINITY => Some(Self::INFINITY),
            SIGN_NEGATIVE_INFINITY => Some(Self::NEGATIVE_INFINITY),
            SIGN_POSITIVE | SIGN_NEGATIVE => None,
            _ => return Err(invalid("sign")),
        };
        let scale = reader.u16_be().map_err(short)?;
        if u32::from(scale) > SCALE_MAX {
            return Err(invalid("scale"));
        }
        let mut digits = Vec::new();
        for _ in 0..count {
            let digit = reader.u16_be().map_err(short)?;
            if u32::from(digit) >= BASE {
                return Err(invalid("digit"));
            }
            digits.push(digit);
        }
        if let Some(special) = special {
            return Ok(special);
        }
        let big = Big::new(sign == SIGN_NEGATIVE, weight.into(), scale.into(), digits);
        Self::from_big(big.truncate(scale.into()))
    }

    /// Appends the row form.
    pub fn write_stored(&self, out: &mut Vec<u8>) {
        let head = |kind: u16, scale: u32| (kind << KIND_SHIFT | scale as u16).to_le_bytes();
        match self.parts() {
            Parts::Short(coefficient, scale) => {
                out.extend_from_slice(&head(KIND_SHORT, scale));
                let sign_bits = if coefficient < 0 {
                    coefficient.leading_ones()
                } else {
                    coefficient.leading_zeros()
                };
                // One bit must be left to tell the sign.
                let len = if coefficient == 0 { 0 } else { (129 - sign_bits).div_ceil(8) as usize };
                out.extend_from_slice(&coefficient.to_le_bytes()[..len]);
            }
            Parts::Long(big) => {
                let kind = if big.negative { KIND_NEGATIVE } else { KIND_POSITIVE };
                out.extend_from_slice(&head(kind, big.scale));
                out.extend_from_slice(&big.weight.to_le_bytes());
                for digit in &big.digits {
                    out.extend_from_slice(&digit.to_le_bytes());
                }
            }
            Parts::NaN => out.extend_from_slice(&head(KIND_SPECIAL, 0)),
            Parts::PositiveInfinity => out.extend_from_slice(&head(KIND_SPECIAL, 1)),
            Parts::NegativeInfinity => out.extend_from_slice(&head(KIND_SPECIAL, 2)),
        }
    }

    /// Reads the row form, which ends with the slice; `None` if these bytes are none.
    pub fn read_stored(bytes: &[u8]) -> Option<Self> {
        let (head, body) = bytes.split_first_chunk::<2>()?;
        let head = u16::from_le_bytes(*head);
        let scale = u32::from(head) & SCALE_MAX;
        match head >> KIND_SHIFT {
            KIND_SHORT => {
                let negative = body.last().is_some_and(|byte| byte & 0x80 != 0);
                let mut whole = [if negative { 0xFF } else { 0 }; 16];
                whole.get_mut(..body.len())?.copy_from_slice(body);
                let coefficient = i128::from_le_bytes(whole);
                (coefficient.unsigned_abs() < super::POWERS_OF_TEN[38] as u128)
                    .then(|| Self::short(coefficient, scale))
            }
            KIND_SPECIAL => match (scale, body) {
                (0, []) => Some(Self::NAN),
                (1, []) => Some(Self::INFINITY),
                (2, []) => Some(Self::NEGATIVE_INFINITY),
                _ => None,
            },
            kind => {
                let (weight, digits) = body.split_first_chunk::<4>()?;
                let (digits, []) = digits.as_chunks::<2>() else { return None };
                let digits: Vec<u16> = digits.iter().map(|&two| u16::from_le_bytes(two)).collect();
                let weight = i32::from_le_bytes(*weight);
                let sound = digits.iter().all(|&digit| u32::from(digit) < BASE)
                    && weight.unsigned_abs() <= super::WEIGHT_MAX as u32;
                let big = sound.then(|| Big::new(kind == KIND_NEGATIVE, weight, scale, digits))?;
                big.to_i128().is_none().then(|| Self(Form::Long(Box::new(big))))
            }
        }
    }
}
