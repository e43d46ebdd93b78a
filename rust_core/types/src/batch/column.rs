//! A typed vector and which of its rows are NULL.
//!
//! A NULL row holds some value of the type all the same (zero, empty text), so that a kernel may
//! run over it without looking; only the bit says that it is NULL.

use std::cmp::Ordering;
use std::ops::Range;

use crate::{Datum, Nulls, Numeric, TextVector, TypeId, ValueRef, codec};

/// The values of a column. Text stands for all text types.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// `boolean`
    Bool(Vec<bool>),
    /// `smallint`
    Int2(Vec<i16>),
    /// `integer`
    Int4(Vec<i32>),
    /// `bigint`
    Int8(Vec<i64>),
    /// `double precision`
    Float8(Vec<f64>),
    /// `numeric`
    Numeric(Vec<Numeric>),
    /// `text`, `varchar`, `name`, `unknown`
    Text(TextVector),
    /// `date`, in days since 2000-01-01
    Date(Vec<i32>),
    /// `timestamptz`, in microseconds since 2000-01-01 UTC
    TimestampTz(Vec<i64>),
}

/// Does the same to whatever vector is inside.
macro_rules! each {
    ($values:expr, $v:ident => $body:expr) => {
        match $values {
            Values::Bool($v) => $body,
            Values::Int2($v) => $body,
            Values::Int4($v) | Values::Date($v) => $body,
            Values::Int8($v) | Values::TimestampTz($v) => $body,
            Values::Float8($v) => $body,
            Values::Numeric($v) => $body,
            Values::Text($v) => $body,
        }
    };
}

/// Builds the same variant from what is made of the vector inside; text apart.
macro_rules! map_each {
    ($values:expr, $v:ident => $body:expr, $t:ident => $text:expr) => {
        match $values {
            Values::Bool($v) => Values::Bool($body),
            Values::Int2($v) => Values::Int2($body),
            Values::Int4($v) => Values::Int4($body),
            Values::Date($v) => Values::Date($body),
            Values::Int8($v) => Values::Int8($body),
            Values::TimestampTz($v) => Values::TimestampTz($body),
            Values::Float8($v) => Values::Float8($body),
            Values::Numeric($v) => Values::Numeric($body),
            Values::Text($t) => Values::Text($text),
        }
    };
}

impl Values {
    fn with_capacity(ty: TypeId, rows: usize) -> Self {
        match ty {
            TypeId::BOOL => Self::Bool(Vec::with_capacity(rows)),
            TypeId::INT2 => Self::Int2(Vec::with_capacity(rows)),
            TypeId::INT4 => Self::Int4(Vec::with_capacity(rows)),
            TypeId::INT8 => Self::Int8(Vec::with_capacity(rows)),
            TypeId::FLOAT8 => Self::Float8(Vec::with_capacity(rows)),
            TypeId::NUMERIC => Self::Numeric(Vec::with_capacity(rows)),
            TypeId::DATE => Self::Date(Vec::with_capacity(rows)),
            TypeId::TIMESTAMPTZ => Self::TimestampTz(Vec::with_capacity(rows)),
            _ if ty.is_text() => Self::Text(TextVector::with_capacity(rows)),
            _ => panic!("no column has type {ty}"),
        }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        each!(self, values => values.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push_default(&mut self) {
        match self {
            Self::Bool(values) => values.push(false),
            Self::Int2(values) => values.push(0),
            Self::Int4(values) | Self::Date(values) => values.push(0),
            Self::Int8(values) | Self::TimestampTz(values) => values.push(0),
            Self::Float8(values) => values.push(0.0),
            Self::Numeric(values) => values.push(Numeric::ZERO),
            Self::Text(values) => values.push(""),
        }
    }
}

/// A column of a batch.
#[derive(Clone, Debug)]
pub struct Column {
    ty: TypeId,
    values: Values,
    nulls: Nulls,
}

impl Column {
    /// An empty column.
    pub fn new(ty: TypeId) -> Self {
        Self::with_capacity(ty, 0)
    }

    /// An empty column with room for `rows`.
    pub fn with_capacity(ty: TypeId, rows: usize) -> Self {
        Self { ty, values: Values::with_capacity(ty, rows), nulls: Nulls::none(0) }
    }

    /// A column from its parts, which fit each other.
    pub fn from_parts(ty: TypeId, values: Values, nulls: Nulls) -> Self {
        assert_eq!(values.len(), nulls.len(), "a bit for each value");
        let template = Values::with_capacity(ty, 0);
        assert_eq!(
            std::mem::discriminant(&template),
            std::mem::discriminant(&values),
            "values of type {ty}"
        );
        Self { ty, values, nulls }
    }

    /// A column of these values, each of which fits `ty`.
    pub fn from_datums<'a>(ty: TypeId, datums: impl IntoIterator<Item = &'a Datum>) -> Self {
        let mut out = Self::new(ty);
        for datum in datums {
            out.push(datum);
        }
        out
    }

    /// The same value `rows` times.
    pub fn constant(ty: TypeId, value: &Datum, rows: usize) -> Self {
        let mut out = Self::with_capacity(ty, rows);
        for _ in 0..rows {
            out.push(value);
        }
        out
    }

    /// The type.
    pub fn ty(&self) -> TypeId {
        self.ty
    }

    /// The same values under another type of the same representation (text to varchar).
    #[must_use]
    pub fn relabel(self, ty: TypeId) -> Self {
        Self::from_parts(ty, self.values, self.nulls)
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values; those of NULL rows are unspecified.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Which rows are NULL.
    pub fn nulls(&self) -> &Nulls {
        &self.nulls
    }

    /// Whether the row is NULL.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.get(row)
    }

    /// Value and NULLs by value.
    pub fn into_parts(self) -> (TypeId, Values, Nulls) {
        (self.ty, self.values, self.nulls)
    }

    /// The value of a row.
    pub fn datum(&self, row: usize) -> Datum {
        self.value(row).to_datum()
    }

    /// The value of a row, where it lies.
    #[inline]
    pub fn value(&self, row: usize) -> ValueRef<'_> {
        if self.is_null(row) {
            return ValueRef::Null;
        }
        match &self.values {
            Values::Bool(values) => ValueRef::Bool(values[row]),
            Values::Int2(values) => ValueRef::Int2(values[row]),
            Values::Int4(values) => ValueRef::Int4(values[row]),
            Values::Int8(values) => ValueRef::Int8(values[row]),
            Values::Float8(values) => ValueRef::Float8(values[row]),
            Values::Numeric(values) => ValueRef::Numeric(&values[row]),
            Values::Text(values) => ValueRef::Text(values.get(row)),
            Values::Date(values) => ValueRef::Date(values[row]),
            Values::TimestampTz(values) => ValueRef::TimestampTz(values[row]),
        }
    }

    /// Appends a value that fits the column's type.
    pub fn push(&mut self, datum: &Datum) {
        match (&mut self.values, datum) {
            (_, Datum::Null) => return self.push_null(),
            (Values::Bool(values), Datum::Bool(value)) => values.push(*value),
            (Values::Int2(values), Datum::Int2(value)) => values.push(*value),
            (Values::Int4(values), Datum::Int4(value))
            | (Values::Date(values), Datum::Date(value)) => values.push(*value),
            (Values::Int8(values), Datum::Int8(value))
            | (Values::TimestampTz(values), Datum::TimestampTz(value)) => values.push(*value),
            (Values::Float8(values), Datum::Float8(value)) => values.push(*value),
            (Values::Numeric(values), Datum::Numeric(value)) => values.push(value.clone()),
            (Values::Text(values), Datum::Text(value)) => values.push(value),
            _ => panic!("{datum:?} does not fit a column of {}", self.ty),
        }
        self.nulls.push(false);
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        self.values.push_default();
        self.nulls.push(true);
    }

    /// Appends a text to a text column, without a `Datum` in between.
    pub fn push_str(&mut self, text: &str) {
        let Values::Text(values) = &mut self.values else {
            panic!("text does not fit a column of {}", self.ty)
        };
        values.push(text);
        self.nulls.push(false);
    }

    /// Appends one row of a column of the same type.
    pub fn push_from(&mut self, from: &Self, row: usize) {
        assert_eq!(self.ty, from.ty, "rows move between columns of one type");
        if from.is_null(row) {
            return self.push_null();
        }
        if let (Values::Text(to), Values::Text(from)) = (&mut self.values, &from.values) {
            to.push(from.get(row));
            self.nulls.push(false);
        } else {
            self.push(&from.datum(row));
        }
    }

    /// Appends all rows of a column of the same type.
    pub fn append(&mut self, from: &Self) {
        for row in 0..from.len() {
            self.push_from(from, row);
        }
    }

    /// A column of the listed rows, in that order; a row may come more than once.
    #[must_use]
    #[allow(clippy::clone_on_copy, reason = "one line for all types, and numerics are not Copy")]
    pub fn gather(&self, rows: &[u32]) -> Self {
        let values = map_each!(
            &self.values,
            values => rows.iter().map(|&row| values[row as usize].clone()).collect(),
            texts => rows.iter().map(|&row| texts.get(row as usize)).collect()
        );
        let mut nulls = Nulls::none(rows.len());
        if self.nulls.any() {
            for (to, &row) in rows.iter().enumerate() {
                if self.is_null(row as usize) {
                    nulls.set(to);
                }
            }
        }
        Self { ty: self.ty, values, nulls }
    }

    /// A column of the rows in `range`.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.end <= self.len(), "{range:?} of {} rows", self.len());
        let rows: Vec<u32> = range.map(|row| row as u32).collect();
        self.gather(&rows)
    }

    /// Forgets all rows, keeps the memory.
    pub fn clear(&mut self) {
        each!(&mut self.values, values => values.clear());
        self.nulls.clear();
    }

    /// PostgreSQL's order of a row of this column and a row of another of the same type; NULL is
    /// after everything and equal to itself.
    pub fn compare(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        self.value(row).compare(other.value(other_row))
    }

    /// Mixes the rows that count into `hashes`, one entry a row of the batch. From 0, a single
    /// column gives `Datum::hash`; more columns, one after the other, hash as tuples. Equal values
    /// hash equal, NULL too.
    pub fn hash_rows(&self, selection: super::Selection<'_>, hashes: &mut [u64]) {
        assert_eq!(hashes.len(), self.len(), "a hash for each row");
        let mut bytes = Vec::with_capacity(32);
        for row in selection.iter() {
            bytes.clear();
            hashes[row] = codec::key::mix(self.value(row), hashes[row], &mut bytes);
        }
    }

    /// The rows of `selection` where this boolean column is true: what a filter keeps.
    pub fn true_rows(&self, selection: super::Selection<'_>) -> Vec<u32> {
        let Values::Bool(values) = &self.values else {
            panic!("a condition is boolean, not {}", self.ty)
        };
        selection
            .iter()
            .filter(|&row| values[row] && !self.is_null(row))
            .map(|row| row as u32)
            .collect()
    }

    /// Bytes of texts and numerics, whose size varies; of other types none.
    pub fn heap_bytes(&self) -> usize {
        match &self.values {
            Values::Text(_) | Values::Numeric(_) => self.size_bytes(),
            _ => 0,
        }
    }

    /// Bytes of memory that the values take, for accounts.
    pub fn size_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Bool(values) => values.len(),
            Values::Int2(values) => values.len() * 2,
            Values::Int4(values) | Values::Date(values) => values.len() * 4,
            Values::Int8(values) | Values::TimestampTz(values) => values.len() * 8,
            Values::Float8(values) => values.len() * 8,
            Values::Numeric(values) => values.iter().map(Numeric::size_bytes).sum(),
            Values::Text(values) => values.size_bytes(),
        };
        values + self.nulls.size_bytes()
    }
}

impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        self.ty == other.ty
            && self.nulls == other.nulls
            && (0..self.len()).all(|row| self.datum(row) == other.datum(row))
    }
}
