//! Arithmetic of numeric: `crate::numeric` under PostgreSQL's names.

use super::lanes::{Decimal, Int4, Kind, binary, unary};

binary! {
    NUMERIC_ADD(Decimal, Decimal) -> Decimal = |a, b| a.add(b);
    NUMERIC_SUB(Decimal, Decimal) -> Decimal = |a, b| a.subtract(b);
    NUMERIC_MUL(Decimal, Decimal) -> Decimal = |a, b| a.multiply(b);
    NUMERIC_DIV(Decimal, Decimal) -> Decimal = |a, b| a.divide(b);
    NUMERIC_MOD(Decimal, Decimal) -> Decimal = |a, b| a.remainder(b);
    NUMERIC_POWER(Decimal, Decimal) -> Decimal = |a, b| a.power(b);
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
    NUMERIC_SQRT(Decimal) -> Decimal = |a| a.sqrt();
    ROUND_TO_WHOLE(Decimal) -> Decimal = |a| a.round(0);
    TRUNC_TO_WHOLE(Decimal) -> Decimal = |a| a.trunc(0);
}
