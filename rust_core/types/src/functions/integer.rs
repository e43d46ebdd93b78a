//! Arithmetic of whole numbers: overflow is 22003, never a wrap.

use super::lanes::{Int2, Int4, Int8, Kind, binary, unary};
use super::{division_by_zero, out_of_range};

const INT2: &str = "smallint";
const INT4: &str = "integer";
const INT8: &str = "bigint";

/// Sum, difference, product and quotient of two types in the wider one.
macro_rules! four {
    ($a:ident, $b:ident => $r:ident($native:ty, $name:ident),
     $plus:ident $minus:ident $times:ident $divided:ident) => {
        binary! {
            $plus($a, $b) -> $r = |a, b| {
                <$native>::from(a).checked_add(b.into()).ok_or_else(|| out_of_range($name))
            };
            $minus($a, $b) -> $r = |a, b| {
                <$native>::from(a).checked_sub(b.into()).ok_or_else(|| out_of_range($name))
            };
            $times($a, $b) -> $r = |a, b| {
                <$native>::from(a).checked_mul(b.into()).ok_or_else(|| out_of_range($name))
            };
            $divided($a, $b) -> $r = |a, b| match b {
                0 => Err(division_by_zero()),
                _ => <$native>::from(a).checked_div(b.into()).ok_or_else(|| out_of_range($name)),
            };
        }
    };
}

four!(Int2, Int2 => Int2(i16, INT2), INT2PL INT2MI INT2MUL INT2DIV);
four!(Int4, Int4 => Int4(i32, INT4), INT4PL INT4MI INT4MUL INT4DIV);
four!(Int8, Int8 => Int8(i64, INT8), INT8PL INT8MI INT8MUL INT8DIV);
four!(Int2, Int4 => Int4(i32, INT4), INT24PL INT24MI INT24MUL INT24DIV);
four!(Int4, Int2 => Int4(i32, INT4), INT42PL INT42MI INT42MUL INT42DIV);
four!(Int2, Int8 => Int8(i64, INT8), INT28PL INT28MI INT28MUL INT28DIV);
four!(Int8, Int2 => Int8(i64, INT8), INT82PL INT82MI INT82MUL INT82DIV);
four!(Int4, Int8 => Int8(i64, INT8), INT48PL INT48MI INT48MUL INT48DIV);
four!(Int8, Int4 => Int8(i64, INT8), INT84PL INT84MI INT84MUL INT84DIV);

/// Remainder and the signs of one type.
macro_rules! one_type {
    ($kind:ident, $name:ident, $rest:ident $minus:ident $plus:ident $abs:ident) => {
        binary! {
            // The remainder of the least by -1 is 0, though the quotient does not fit.
            $rest($kind, $kind) -> $kind = |a, b| match b {
                0 => Err(division_by_zero()),
                _ => Ok(a.wrapping_rem(b)),
            };
        }
        unary! {
            $minus($kind) -> $kind = |a| a.checked_neg().ok_or_else(|| out_of_range($name));
            $plus($kind) -> $kind = |a| Ok(a);
            $abs($kind) -> $kind = |a| a.checked_abs().ok_or_else(|| out_of_range($name));
        }
    };
}

one_type!(Int2, INT2, INT2MOD INT2UM INT2UP INT2ABS);
one_type!(Int4, INT4, INT4MOD INT4UM INT4UP INT4ABS);
one_type!(Int8, INT8, INT8MOD INT8UM INT8UP INT8ABS);
