//! Arithmetic of numeric: `crate::numeric` under PostgreSQL's names.

use super::lanes::{Decimal, Int4, Kind, binary, unary};

binary! {
    NUMERIC_ADD(Decimal, Decimal) -> Decimal = |a, b| a.add(b);
    NUMERIC_SUB(Decimal, Decimal) -> Decimal = |a, b| a.subtract(b);
    NUMERIC_MUL(Decimal, Decimal) -> Decimal = |a, b, meter| a.multiply_within(b, meter);
    NUMERIC_DIV(Decimal, Decimal) -> Decimal = |a, b, meter| a.divide_within(b, meter);
    NUMERIC_MOD(Decimal, Decimal) -> Decimal = |a, b, meter| a.remainder_within(b, meter);
    NUMERIC_POWER(Decimal, Decimal) -> Decimal = |a, b, meter| a.power(b, meter);
    NUMERIC_ROUND(Decimal, Int4) -> Decimal = |a, scale| a.round(scale);
    NUMERIC_TRUNC(Decimal, Int4) -> Decimal = |a, scale| a.trunc(scale);
    // The cast that applies a modifier.
    NUMERIC(Decimal, Int4) -> Decimal = |a, typmod| a.fit(typmod);
}

unary! {
    NUMERIC_UMINUS(Decimal) -> Decimal = |a| Ok(a.negate());
    NUMERIC_UPLUS(Decimal) -> Decimal = |a| Ok(a.clone());
    NUMERIC_ABS(Decimal) -> Decimal = |a| Ok(a.abs());
    NUMERIC_SIGN(Decimal) -> Decimal = |a| Ok(a.sign());
    NUMERIC_CEIL(Decimal) -> Decimal = |a| a.ceil();
    NUMERIC_FLOOR(Decimal) -> Decimal = |a| a.floor();
    NUMERIC_SQRT(Decimal) -> Decimal = |a, meter| a.sqrt(meter);
    ROUND_TO_WHOLE(Decimal) -> Decimal = |a| a.round(0);
    TRUNC_TO_WHOLE(Decimal) -> Decimal = |a| a.trunc(0);
}
