//! Comparisons: six a pair of types.

use std::cmp::Ordering;

use super::datetime::compare_date_timestamptz;
use super::lanes::{
    Bool, Date, Decimal, Float8, Int2, Int4, Int8, Kind, Text, TimestampTz, binary, map2,
};
use crate::Kernel;
use crate::datum::compare_floats;

macro_rules! six {
    ($a:ident, $b:ident, |$x:ident, $y:ident| $order:expr,
     $eq:ident $ne:ident $lt:ident $le:ident $gt:ident $ge:ident) => {
        binary! {
            $eq($a, $b) -> Bool = |$x, $y| Ok($order == Ordering::Equal);
            $ne($a, $b) -> Bool = |$x, $y| Ok($order != Ordering::Equal);
            $lt($a, $b) -> Bool = |$x, $y| Ok($order == Ordering::Less);
            $le($a, $b) -> Bool = |$x, $y| Ok($order != Ordering::Greater);
            $gt($a, $b) -> Bool = |$x, $y| Ok($order == Ordering::Greater);
            $ge($a, $b) -> Bool = |$x, $y| Ok($order != Ordering::Less);
        }
    };
}

six!(Bool, Bool, |a, b| a.cmp(&b), BOOLEQ BOOLNE BOOLLT BOOLLE BOOLGT BOOLGE);
six!(Int2, Int2, |a, b| a.cmp(&b), INT2EQ INT2NE INT2LT INT2LE INT2GT INT2GE);
six!(Int4, Int4, |a, b| a.cmp(&b), INT4EQ INT4NE INT4LT INT4LE INT4GT INT4GE);
six!(Int8, Int8, |a, b| a.cmp(&b), INT8EQ INT8NE INT8LT INT8LE INT8GT INT8GE);
six!(Int2, Int4, |a, b| i32::from(a).cmp(&b), INT24EQ INT24NE INT24LT INT24LE INT24GT INT24GE);
six!(Int4, Int2, |a, b| a.cmp(&b.into()), INT42EQ INT42NE INT42LT INT42LE INT42GT INT42GE);
six!(Int2, Int8, |a, b| i64::from(a).cmp(&b), INT28EQ INT28NE INT28LT INT28LE INT28GT INT28GE);
six!(Int8, Int2, |a, b| a.cmp(&b.into()), INT82EQ INT82NE INT82LT INT82LE INT82GT INT82GE);
six!(Int4, Int8, |a, b| i64::from(a).cmp(&b), INT48EQ INT48NE INT48LT INT48LE INT48GT INT48GE);
six!(Int8, Int4, |a, b| a.cmp(&b.into()), INT84EQ INT84NE INT84LT INT84LE INT84GT INT84GE);
six!(Float8, Float8, |a, b| compare_floats(a, b),
     FLOAT8EQ FLOAT8NE FLOAT8LT FLOAT8LE FLOAT8GT FLOAT8GE);
six!(Decimal, Decimal, |a, b| a.compare(b),
     NUMERIC_EQ NUMERIC_NE NUMERIC_LT NUMERIC_LE NUMERIC_GT NUMERIC_GE);
six!(Date, Date, |a, b| a.cmp(&b), DATE_EQ DATE_NE DATE_LT DATE_LE DATE_GT DATE_GE);
six!(TimestampTz, TimestampTz, |a, b| a.cmp(&b),
     TIMESTAMP_EQ TIMESTAMP_NE TIMESTAMP_LT TIMESTAMP_LE TIMESTAMP_GT TIMESTAMP_GE);

binary! {
    // Equality of texts looks at lengths first, so it is not made of the order.
    TEXTEQ(Text, Text) -> Bool = |a, b| Ok(a == b);
    TEXTNE(Text, Text) -> Bool = |a, b| Ok(a != b);
    TEXT_LT(Text, Text) -> Bool = |a, b| Ok(a.as_bytes() < b.as_bytes());
    TEXT_LE(Text, Text) -> Bool = |a, b| Ok(a.as_bytes() <= b.as_bytes());
    TEXT_GT(Text, Text) -> Bool = |a, b| Ok(a.as_bytes() > b.as_bytes());
    TEXT_GE(Text, Text) -> Bool = |a, b| Ok(a.as_bytes() >= b.as_bytes());
}

pub(crate) const NAMEEQ: Kernel = TEXTEQ;
pub(crate) const NAMENE: Kernel = TEXTNE;
pub(crate) const NAMELT: Kernel = TEXT_LT;
pub(crate) const NAMELE: Kernel = TEXT_LE;
pub(crate) const NAMEGT: Kernel = TEXT_GT;
pub(crate) const NAMEGE: Kernel = TEXT_GE;

/// A date beside an instant is its midnight in the session's zone.
macro_rules! date_and_instant {
    ($($forward:ident $backward:ident $test:ident;)+) => { $(
        pub(crate) const $forward: Kernel = Kernel::vector(
            |arguments, cx| {
                let (date, instant) = (Date::of(&arguments[0]), TimestampTz::of(&arguments[1]));
                Ok(Bool::datum(compare_date_timestamptz(date, instant, &cx.format).$test()))
            },
            |arguments, selection, cx| {
                map2::<Date, TimestampTz, Bool>(arguments, selection, &cx.meter, |date, instant| {
                    Ok(compare_date_timestamptz(date, instant, &cx.format).$test())
                })
            },
        );
        pub(crate) const $backward: Kernel = Kernel::vector(
            |arguments, cx| {
                let (instant, date) = (TimestampTz::of(&arguments[0]), Date::of(&arguments[1]));
                let order = compare_date_timestamptz(date, instant, &cx.format).reverse();
                Ok(Bool::datum(order.$test()))
            },
            |arguments, selection, cx| {
                map2::<TimestampTz, Date, Bool>(arguments, selection, &cx.meter, |instant, date| {
                    Ok(compare_date_timestamptz(date, instant, &cx.format).reverse().$test())
                })
            },
        );
    )+ };
}

date_and_instant! {
    DATE_EQ_TIMESTAMPTZ TIMESTAMPTZ_EQ_DATE is_eq;
    DATE_NE_TIMESTAMPTZ TIMESTAMPTZ_NE_DATE is_ne;
    DATE_LT_TIMESTAMPTZ TIMESTAMPTZ_LT_DATE is_lt;
    DATE_LE_TIMESTAMPTZ TIMESTAMPTZ_LE_DATE is_le;
    DATE_GT_TIMESTAMPTZ TIMESTAMPTZ_GT_DATE is_gt;
    DATE_GE_TIMESTAMPTZ TIMESTAMPTZ_GE_DATE is_ge;
}
