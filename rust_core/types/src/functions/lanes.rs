//! One function over values, two kernels: for a row, and for a batch without a `Datum` in it.
//!
//! A *lane* is a column's vector with its type checked once. `map1` and `map2` run a function over
//! lanes; NULLs and rows that do not count are skipped, so that they raise nothing.

use std::sync::Arc;

use phantom_base::Result;

use crate::kernel::GROWN_BYTES;
use crate::{
    Argument, Column, Datum, Meter, Nulls, Numeric, Selection, TextVector, TypeId, Values,
};

/// A type as kernels see it: how to read it from a datum or a lane, and how to make columns of it.
pub(crate) trait Kind {
    /// A value that is read.
    type Ref<'a>: Copy;
    /// Many of them.
    type Lane<'a>: Copy;
    /// A value that is made.
    type Owned;
    /// Many that are made.
    type Made;

    const TYPE: TypeId;
    /// Whether values have sizes of their own, which a meter wants to know.
    const VARIES: bool = false;

    fn of(datum: &Datum) -> Self::Ref<'_>;
    fn lane(values: &Values) -> Self::Lane<'_>;
    fn at(lane: Self::Lane<'_>, row: usize) -> Self::Ref<'_>;
    fn datum(value: Self::Owned) -> Datum;
    fn made(rows: usize) -> Self::Made;
    fn put(made: &mut Self::Made, value: Self::Owned);
    /// Adds what stands in rows that do not count, until there are so many.
    fn pad(made: &mut Self::Made, rows: usize);
    fn values(made: Self::Made) -> Values;
    fn bytes(_value: &Self::Owned) -> usize {
        0
    }
}

macro_rules! native {
    ($($kind:ident($variant:ident, $native:ty, $type:ident)),+) => { $(
        pub(crate) struct $kind;

        impl Kind for $kind {
            type Ref<'a> = $native;
            type Lane<'a> = &'a [$native];
            type Owned = $native;
            type Made = Vec<$native>;

            const TYPE: TypeId = TypeId::$type;

            fn of(datum: &Datum) -> $native {
                match datum {
                    Datum::$variant(value) => *value,
                    _ => panic!("{datum:?} is no {}", Self::TYPE),
                }
            }

            fn lane(values: &Values) -> &[$native] {
                match values {
                    Values::$variant(values) => values,
                    _ => panic!("a column of another type than {}", Self::TYPE),
                }
            }

            #[inline]
            fn at(lane: Self::Lane<'_>, row: usize) -> Self::Ref<'_> {
                lane[row]
            }

            fn datum(value: $native) -> Datum {
                Datum::$variant(value)
            }

            fn made(rows: usize) -> Vec<$native> {
                Vec::with_capacity(rows)
            }

            #[inline]
            fn put(made: &mut Vec<$native>, value: $native) {
                made.push(value);
            }

            #[inline]
            fn pad(made: &mut Vec<$native>, rows: usize) {
                made.resize(rows, <$native>::default());
            }

            fn values(made: Vec<$native>) -> Values {
                Values::$variant(made)
            }
        }
    )+ };
}

native!(
    Bool(Bool, bool, BOOL),
    Int2(Int2, i16, INT2),
    Int4(Int4, i32, INT4),
    Int8(Int8, i64, INT8),
    Float8(Float8, f64, FLOAT8),
    Date(Date, i32, DATE),
    TimestampTz(TimestampTz, i64, TIMESTAMPTZ)
);

pub(crate) struct Decimal;

impl Kind for Decimal {
    type Ref<'a> = &'a Numeric;
    type Lane<'a> = &'a [Numeric];
    type Owned = Numeric;
    type Made = Vec<Numeric>;

    const TYPE: TypeId = TypeId::NUMERIC;
    const VARIES: bool = true;

    fn of(datum: &Datum) -> &Numeric {
        match datum {
            Datum::Numeric(value) => value,
            _ => panic!("{datum:?} is no numeric"),
        }
    }

    fn lane(values: &Values) -> &[Numeric] {
        match values {
            Values::Numeric(values) => values,
            _ => panic!("a column of another type than numeric"),
        }
    }

    #[inline]
    fn at(lane: Self::Lane<'_>, row: usize) -> Self::Ref<'_> {
        &lane[row]
    }

    fn datum(value: Numeric) -> Datum {
        Datum::Numeric(value)
    }

    fn made(rows: usize) -> Vec<Numeric> {
        Vec::with_capacity(rows)
    }

    fn put(made: &mut Vec<Numeric>, value: Numeric) {
        made.push(value);
    }

    fn pad(made: &mut Vec<Numeric>, rows: usize) {
        made.resize(rows, Numeric::ZERO);
    }

    fn values(made: Vec<Numeric>) -> Values {
        Values::Numeric(made)
    }

    fn bytes(value: &Numeric) -> usize {
        value.size_bytes()
    }
}

pub(crate) struct Text;

impl Kind for Text {
    type Ref<'a> = &'a str;
    type Lane<'a> = &'a TextVector;
    type Owned = String;
    type Made = TextVector;

    const TYPE: TypeId = TypeId::TEXT;
    const VARIES: bool = true;

    fn of(datum: &Datum) -> &str {
        datum.as_str().unwrap_or_else(|| panic!("{datum:?} is no text"))
    }

    fn lane(values: &Values) -> &TextVector {
        match values {
            Values::Text(values) => values,
            _ => panic!("a column of another type than text"),
        }
    }

    #[inline]
    fn at(lane: Self::Lane<'_>, row: usize) -> Self::Ref<'_> {
        lane.get(row)
    }

    fn datum(value: String) -> Datum {
        Datum::Text(Arc::from(value))
    }

    fn made(rows: usize) -> TextVector {
        TextVector::with_capacity(rows)
    }

    fn put(made: &mut TextVector, value: String) {
        made.push(&value);
    }

    fn pad(made: &mut TextVector, rows: usize) {
        while made.len() < rows {
            made.push("");
        }
    }

    fn values(made: TextVector) -> Values {
        Values::Text(made)
    }

    fn bytes(value: &String) -> usize {
        value.len()
    }
}

/// Runs `f` over one argument.
pub(crate) fn map1<A: Kind, R: Kind>(
    arguments: &[Argument<'_>],
    selection: Selection<'_>,
    meter: &Meter,
    f: impl for<'a> Fn(A::Ref<'a>) -> Result<R::Owned>,
) -> Result<Column> {
    let [argument] = arguments else { panic!("one argument, not {}", arguments.len()) };
    match argument {
        Argument::Column(column) => {
            let lane = A::lane(column.values());
            run::<R>(selection, column.nulls().clone(), meter, |row| f(A::at(lane, row)))
        }
        Argument::Constant(Datum::Null) => Ok(all_null::<R>(selection)),
        Argument::Constant(datum) => {
            let value = A::of(datum);
            run::<R>(selection, Nulls::none(selection.of()), meter, |_| f(value))
        }
    }
}

/// Runs `f` over two arguments.
pub(crate) fn map2<A: Kind, B: Kind, R: Kind>(
    arguments: &[Argument<'_>],
    selection: Selection<'_>,
    meter: &Meter,
    f: impl for<'a, 'b> Fn(A::Ref<'a>, B::Ref<'b>) -> Result<R::Owned>,
) -> Result<Column> {
    use Argument::{Column as Col, Constant};
    let [left, right] = arguments else { panic!("two arguments, not {}", arguments.len()) };
    match (left, right) {
        (Constant(Datum::Null), _) | (_, Constant(Datum::Null)) => Ok(all_null::<R>(selection)),
        (Col(left), Col(right)) => {
            let (a, b) = (A::lane(left.values()), B::lane(right.values()));
            let nulls = left.nulls().union(right.nulls());
            run::<R>(selection, nulls, meter, |row| f(A::at(a, row), B::at(b, row)))
        }
        (Col(left), Constant(right)) => {
            let (a, b) = (A::lane(left.values()), B::of(right));
            run::<R>(selection, left.nulls().clone(), meter, |row| f(A::at(a, row), b))
        }
        (Constant(left), Col(right)) => {
            let (a, b) = (A::of(left), B::lane(right.values()));
            run::<R>(selection, right.nulls().clone(), meter, |row| f(a, B::at(b, row)))
        }
        (Constant(left), Constant(right)) => {
            let (a, b) = (A::of(left), B::of(right));
            run::<R>(selection, Nulls::none(selection.of()), meter, |_| f(a, b))
        }
    }
}

fn run<R: Kind>(
    selection: Selection<'_>,
    nulls: Nulls,
    meter: &Meter,
    f: impl Fn(usize) -> Result<R::Owned>,
) -> Result<Column> {
    assert_eq!(nulls.len(), selection.of(), "a column of the batch");
    let mut made = R::made(selection.of());
    let mut grown = 0;
    let mut measured = |value: R::Owned| -> Result<R::Owned> {
        if R::VARIES {
            grown += R::bytes(&value);
            if grown >= GROWN_BYTES {
                meter.spend(grown)?;
                meter.grow(std::mem::take(&mut grown))?;
            }
        }
        Ok(value)
    };
    match selection {
        Selection::All(rows) if !nulls.any() => {
            for row in 0..rows {
                R::put(&mut made, measured(f(row)?)?);
            }
        }
        _ => {
            for row in selection.iter().filter(|&row| !nulls.get(row)) {
                R::pad(&mut made, row);
                R::put(&mut made, measured(f(row)?)?);
            }
            R::pad(&mut made, selection.of());
        }
    }
    meter.grow(grown)?;
    Ok(Column::from_parts(R::TYPE, R::values(made), nulls))
}

fn all_null<R: Kind>(selection: Selection<'_>) -> Column {
    let rows = selection.of();
    let mut made = R::made(rows);
    R::pad(&mut made, rows);
    Column::from_parts(R::TYPE, R::values(made), Nulls::all(rows))
}

/// Defines kernels of one argument: `NAME(Kind) -> Kind = |a| expression;`, or `|a, meter|` where
/// it costs more than a look at the argument.
macro_rules! unary {
    ($($name:ident($a:ident) -> $r:ident = |$x:ident $(, $meter:ident)?| $body:expr;)+) => { $(
        pub(crate) const $name: $crate::Kernel = {
            #[allow(clippy::unnecessary_wraps, reason = "most of its siblings can fail")]
            #[inline]
            fn apply(
                $x: <$a as Kind>::Ref<'_>,
                _spent: &$crate::Meter,
            ) -> phantom_base::Result<<$r as Kind>::Owned> {
                $(let $meter = _spent;)?
                $body
            }
            $crate::Kernel::vector(
                |arguments, cx| Ok($r::datum(apply($a::of(&arguments[0]), &cx.meter)?)),
                |arguments, selection, cx| {
                    use $crate::functions::lanes::map1;
                    map1::<$a, $r>(arguments, selection, &cx.meter, |a| apply(a, &cx.meter))
                },
            )
        };
    )+ };
}

/// Defines kernels of two arguments: `NAME(Kind, Kind) -> Kind = |a, b| expression;`, or
/// `|a, b, meter|`.
macro_rules! binary {
    ($($name:ident($a:ident, $b:ident) -> $r:ident =
       |$x:ident, $y:ident $(, $meter:ident)?| $body:expr;)+) => { $(
        pub(crate) const $name: $crate::Kernel = {
            #[allow(clippy::unnecessary_wraps, reason = "most of its siblings can fail")]
            #[inline]
            fn apply(
                $x: <$a as Kind>::Ref<'_>,
                $y: <$b as Kind>::Ref<'_>,
                _spent: &$crate::Meter,
            ) -> phantom_base::Result<<$r as Kind>::Owned> {
                $(let $meter = _spent;)?
                $body
            }
            $crate::Kernel::vector(
                |arguments, cx| {
                    let (a, b) = ($a::of(&arguments[0]), $b::of(&arguments[1]));
                    Ok($r::datum(apply(a, b, &cx.meter)?))
                },
                |arguments, selection, cx| {
                    use $crate::functions::lanes::map2;
                    let meter = &cx.meter;
                    map2::<$a, $b, $r>(arguments, selection, meter, |a, b| apply(a, b, meter))
                },
            )
        };
    )+ };
}

impl Default for Numeric {
    fn default() -> Self {
        Self::ZERO
    }
}

pub(crate) use {binary, unary};
