//! One value of any type, or NULL.
//!
//! `==` is identity of representation (NaN is itself, 1.0 is not 1.00, NULL is NULL): what tests,
//! plan caches and codecs ask. SQL's equality and order are `compare`, SQL's hash is `hash`, and
//! those two agree: what compares equal hashes equal, also across the widths of integers.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::{Numeric, codec, type_id::TypeId};

/// One value. Which text type a `Text` has is the column's or expression's to say.
#[derive(Clone, Debug)]
pub enum Datum {
    /// SQL's NULL, of any type.
    Null,
    /// `boolean`
    Bool(bool),
    /// `smallint`
    Int2(i16),
    /// `integer`
    Int4(i32),
    /// `bigint`
    Int8(i64),
    /// `double precision`
    Float8(f64),
    /// `numeric`
    Numeric(Numeric),
    /// `text`, `varchar`, `name`, `unknown`: UTF-8 without NUL.
    Text(Arc<str>),
    /// `date`: days since 2000-01-01; `i32::MAX` and `i32::MIN` are the infinities.
    Date(i32),
    /// `timestamptz`: microseconds since 2000-01-01 00:00 UTC; `i64::MAX` and `i64::MIN` are the
    /// infinities.
    TimestampTz(i64),
}

/// A value that somebody else holds: what codecs and formats take, from a `Datum` or a `Column`.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// SQL's NULL, of any type.
    Null,
    /// `boolean`
    Bool(bool),
    /// `smallint`
    Int2(i16),
    /// `integer`
    Int4(i32),
    /// `bigint`
    Int8(i64),
    /// `double precision`
    Float8(f64),
    /// `numeric`
    Numeric(&'a Numeric),
    /// All text types.
    Text(&'a str),
    /// `date`
    Date(i32),
    /// `timestamptz`
    TimestampTz(i64),
}

impl<'a> From<&'a Datum> for ValueRef<'a> {
    fn from(datum: &'a Datum) -> Self {
        match datum {
            Datum::Null => Self::Null,
            Datum::Bool(value) => Self::Bool(*value),
            Datum::Int2(value) => Self::Int2(*value),
            Datum::Int4(value) => Self::Int4(*value),
            Datum::Int8(value) => Self::Int8(*value),
            Datum::Float8(value) => Self::Float8(*value),
            Datum::Numeric(value) => Self::Numeric(value),
            Datum::Text(value) => Self::Text(value),
            Datum::Date(value) => Self::Date(*value),
            Datum::TimestampTz(value) => Self::TimestampTz(*value),
        }
    }
}

impl ValueRef<'_> {
    /// Whether this is NULL.
    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// The value, kept.
    pub fn to_datum(self) -> Datum {
        match self {
            Self::Null => Datum::Null,
            Self::Bool(value) => Datum::Bool(value),
            Self::Int2(value) => Datum::Int2(value),
            Self::Int4(value) => Datum::Int4(value),
            Self::Int8(value) => Datum::Int8(value),
            Self::Float8(value) => Datum::Float8(value),
            Self::Numeric(value) => Datum::Numeric(value.clone()),
            Self::Text(value) => Datum::text(value),
            Self::Date(value) => Datum::Date(value),
            Self::TimestampTz(value) => Datum::TimestampTz(value),
        }
    }

    /// The whole number of any width, where this is one.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Self::Int2(value) => Some(value.into()),
            Self::Int4(value) => Some(value.into()),
            Self::Int8(value) => Some(value),
            _ => None,
        }
    }

    /// PostgreSQL's order of two values of one type (integers may differ in width): NaN above all
    /// numbers and equal to itself, -0 equal to 0, text by bytes, NULL after everything.
    pub fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Greater,
            (_, Self::Null) => Ordering::Less,
            (Self::Bool(a), Self::Bool(b)) => a.cmp(&b),
            (Self::Int4(a), Self::Int4(b)) | (Self::Date(a), Self::Date(b)) => a.cmp(&b),
            (Self::Int8(a), Self::Int8(b)) | (Self::TimestampTz(a), Self::TimestampTz(b)) => {
                a.cmp(&b)
            }
            (Self::Float8(a), Self::Float8(b)) => compare_floats(a, b),
            (Self::Numeric(a), Self::Numeric(b)) => a.compare(b),
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            _ => match (self.as_i64(), other.as_i64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => panic!("{self:?} and {other:?} have no common order"),
            },
        }
    }
}

impl Datum {
    /// A text value.
    pub fn text(text: &str) -> Self {
        Self::Text(Arc::from(text))
    }

    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Bytes beside the value itself: of a text or a long numeric.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Numeric(value) => value.size_bytes() - size_of::<Numeric>(),
            _ => 0,
        }
    }

    /// Whether the value can stand in a column of `ty`; NULL always can.
    pub fn fits(&self, ty: TypeId) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(_) => ty == TypeId::BOOL,
            Self::Int2(_) => ty == TypeId::INT2,
            Self::Int4(_) => ty == TypeId::INT4,
            Self::Int8(_) => ty == TypeId::INT8,
            Self::Float8(_) => ty == TypeId::FLOAT8,
            Self::Numeric(_) => ty == TypeId::NUMERIC,
            Self::Text(_) => ty.is_text(),
            Self::Date(_) => ty == TypeId::DATE,
            Self::TimestampTz(_) => ty == TypeId::TIMESTAMPTZ,
        }
    }

    /// The text, where this is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The boolean, where this is one; NULL is `None`.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The whole number of any width, where this is one.
    pub fn as_i64(&self) -> Option<i64> {
        ValueRef::from(self).as_i64()
    }

    /// PostgreSQL's order of two values of one type: see `ValueRef::compare`.
    pub fn compare(&self, other: &Self) -> Ordering {
        ValueRef::from(self).compare(ValueRef::from(other))
    }

    /// A hash that equal values share, whatever their width or display scale; the same in every
    /// process and version, for slots of distributed tables rest on it.
    pub fn hash(&self) -> u64 {
        codec::key::hash(self)
    }
}

/// PostgreSQL's order of floats: NaN is the greatest and equals itself, -0 equals 0.
pub fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

impl PartialEq for Datum {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int2(a), Self::Int2(b)) => a == b,
            (Self::Int4(a), Self::Int4(b)) | (Self::Date(a), Self::Date(b)) => a == b,
            (Self::Int8(a), Self::Int8(b)) | (Self::TimestampTz(a), Self::TimestampTz(b)) => a == b,
            (Self::Float8(a), Self::Float8(b)) => {
                a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
            }
            (Self::Numeric(a), Self::Numeric(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Datum {}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_greatest_and_null_is_last() {
        let ordered =
            [f64::NEG_INFINITY, -1.5, 0.0, f64::MAX, f64::INFINITY, f64::NAN].map(Datum::Float8);
        for pair in ordered.windows(2) {
            assert_eq!(pair[0].compare(&pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(Datum::Float8(f64::NAN).compare(&Datum::Null), Ordering::Less);
        assert_eq!(Datum::Float8(f64::NAN).compare(&Datum::Float8(-f64::NAN)), Ordering::Equal);
        assert_eq!(Datum::Float8(-0.0).compare(&Datum::Float8(0.0)), Ordering::Equal);
        assert_ne!(Datum::Float8(-0.0), Datum::Float8(0.0));
    }

    #[test]
    fn equal_values_of_different_forms_hash_equal() {
        assert_eq!(Datum::Int2(-7).hash(), Datum::Int8(-7).hash());
        assert_eq!(Datum::Float8(-0.0).hash(), Datum::Float8(0.0).hash());
        let numeric = |text: &str| Datum::Numeric(Numeric::parse(text).unwrap());
        assert_eq!(numeric("1.0").hash(), numeric("1.000").hash());
        assert_ne!(numeric("1.0").hash(), numeric("10").hash());
    }
}
