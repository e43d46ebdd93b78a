//! One state a group: accumulated by batch, combined, sent, finished.

use phantom_base::bytes::{Reader, Truncated};
use phantom_base::{Error, Result, sqlstate};
use phantom_types::codec::row::RowLayout;
use phantom_types::{Column, Datum, Numeric, Selection, TypeId, ValueRef, Values};

use crate::exact::ExactSum;
use crate::registry::{Aggregate, Function};

/// The number of the format of serialized states, their first byte.
pub const STATE_FORMAT: u8 = 1;

/// To which group each row that counts belongs.
#[derive(Clone, Copy, Debug)]
pub enum Groups<'a> {
    /// All to this one.
    One(u32),
    /// One entry a row that counts, in order.
    Each(&'a [u32]),
}

#[derive(Clone, Debug, Default)]
struct IntegerSum {
    count: i64,
    sum: i128,
}

#[derive(Clone, Debug)]
struct NumericSum {
    count: i64,
    sum: Numeric,
}

#[derive(Clone, Debug, Default)]
struct FloatSum {
    count: i64,
    sum: ExactSum,
}

#[derive(Clone, Debug)]
enum Vectors {
    Counts(Vec<i64>),
    Integers(Vec<IntegerSum>),
    Numerics(Vec<NumericSum>),
    Floats(Vec<FloatSum>),
    Extremes(Vec<Datum>),
    Booleans(Vec<Option<bool>>),
}

/// The states of one aggregate, one a group.
#[derive(Clone, Debug)]
pub struct States {
    aggregate: &'static Aggregate,
    vectors: Vectors,
    heap_bytes: usize,
}

impl States {
    /// No group yet.
    pub fn new(aggregate: &'static Aggregate) -> Self {
        let vectors = match aggregate.function {
            Function::CountRows | Function::Count => Vectors::Counts(Vec::new()),
            Function::SumIntegers | Function::AverageIntegers => Vectors::Integers(Vec::new()),
            Function::SumNumerics | Function::AverageNumerics => Vectors::Numerics(Vec::new()),
            Function::SumFloats | Function::AverageFloats => Vectors::Floats(Vec::new()),
            Function::Min | Function::Max => Vectors::Extremes(Vec::new()),
            Function::All | Function::Any => Vectors::Booleans(Vec::new()),
        };
        Self { aggregate, vectors, heap_bytes: 0 }
    }

    /// What is computed.
    pub fn aggregate(&self) -> &'static Aggregate {
        self.aggregate
    }

    /// How many groups.
    pub fn groups(&self) -> usize {
        match &self.vectors {
            Vectors::Counts(states) => states.len(),
            Vectors::Integers(states) => states.len(),
            Vectors::Numerics(states) => states.len(),
            Vectors::Floats(states) => states.len(),
            Vectors::Extremes(states) => states.len(),
            Vectors::Booleans(states) => states.len(),
        }
    }

    /// Makes groups `0..groups` be there; new ones are of no rows.
    pub fn grow(&mut self, groups: usize) {
        assert!(groups >= self.groups(), "groups are not taken away");
        match &mut self.vectors {
            Vectors::Counts(states) => states.resize(groups, 0),
            Vectors::Integers(states) => states.resize(groups, IntegerSum::default()),
            Vectors::Numerics(states) => {
                states.resize(groups, NumericSum { count: 0, sum: Numeric::ZERO });
            }
            Vectors::Floats(states) => states.resize(groups, FloatSum::default()),
            Vectors::Extremes(states) => states.resize(groups, Datum::Null),
            Vectors::Booleans(states) => states.resize(groups, None),
        }
    }

    /// Accumulates the rows that count. `argument` is absent for `count(*)` alone. 22003 when a
    /// numeric sum is too long.
    pub fn accumulate(
        &mut self,
        groups: Groups<'_>,
        argument: Option<&Column>,
        selection: Selection<'_>,
    ) -> Result<()> {
        if let Groups::Each(groups) = groups {
            assert_eq!(groups.len(), selection.len(), "a group for each row that counts");
        }
        let Some(column) = argument else {
            self.count_rows(groups, selection);
            return Ok(());
        };
        assert_eq!(column.len(), selection.of(), "a column of the batch");
        let greater = self.aggregate.function == Function::Max;
        let all = self.aggregate.function == Function::All;
        match (&mut self.vectors, column.values()) {
            (Vectors::Counts(states), _) => {
                each_row(groups, column, selection, |group, _| states[group] += 1);
            }
            (Vectors::Integers(states), Values::Int2(values)) => {
                each_row(groups, column, selection, |group, row| {
                    states[group].add(values[row].into());
                });
            }
            (Vectors::Integers(states), Values::Int4(values)) => {
                each_row(groups, column, selection, |group, row| {
                    states[group].add(values[row].into());
                });
            }
            (Vectors::Integers(states), Values::Int8(values)) => {
                each_row(groups, column, selection, |group, row| states[group].add(values[row]));
            }
            (Vectors::Floats(states), Values::Float8(values)) => {
                let heap_bytes = &mut self.heap_bytes;
                each_row(groups, column, selection, |group, row| {
                    *heap_bytes += states[group].add(values[row]);
                });
            }
            (Vectors::Booleans(states), Values::Bool(values)) => {
                each_row(groups, column, selection, |group, row| {
                    add_boolean(&mut states[group], values[row], all);
                });
            }
            (Vectors::Numerics(states), Values::Numeric(values)) => {
                let mut result = Ok(());
                each_row(groups, column, selection, |group, row| {
                    if result.is_ok() {
                        result = states[group].add(&values[row]);
                    }
                });
                return result;
            }
            (Vectors::Extremes(states), _) => {
                let heap_bytes = &mut self.heap_bytes;
                each_row(groups, column, selection, |group, row| {
                    keep_extreme(&mut states[group], column.value(row), greater, heap_bytes);
                });
            }
            _ => panic!("{} of a column of {}", self.aggregate.name, column.ty()),
        }
        Ok(())
    }

    /// Accumulates one value; NULL counts for `count(*)` alone.
    pub fn accumulate_value(&mut self, group: usize, value: &Datum) -> Result<()> {
        if value.is_null() && self.aggregate.function != Function::CountRows {
            return Ok(());
        }
        let greater = self.aggregate.function == Function::Max;
        let all = self.aggregate.function == Function::All;
        match (&mut self.vectors, value) {
            (Vectors::Counts(states), _) => states[group] += 1,
            (Vectors::Integers(states), _) if value.as_i64().is_some() => {
                states[group].add(value.as_i64().unwrap_or(0));
            }
            (Vectors::Numerics(states), Datum::Numeric(value)) => states[group].add(value)?,
            (Vectors::Floats(states), Datum::Float8(value)) => {
                self.heap_bytes += states[group].add(*value);
            }
            (Vectors::Extremes(states), value) => {
                keep_extreme(&mut states[group], value.into(), greater, &mut self.heap_bytes);
            }
            (Vectors::Booleans(states), Datum::Bool(value)) => {
                add_boolean(&mut states[group], *value, all);
            }
            (_, value) => panic!("{} of {value:?}", self.aggregate.name),
        }
        Ok(())
    }

    /// Adds the state of a group of other states of the same aggregate. 22003 as `accumulate`.
    pub fn combine(&mut self, group: usize, other: &Self, other_group: usize) -> Result<()> {
        assert_eq!(self.aggregate, other.aggregate, "states of one aggregate");
        let greater = self.aggregate.function == Function::Max;
        let all = self.aggregate.function == Function::All;
        match (&mut self.vectors, &other.vectors) {
            (Vectors::Counts(to), Vectors::Counts(from)) => {
                to[group] = add_counts(to[group], from[other_group])?;
            }
            (Vectors::Integers(to), Vectors::Integers(from)) => {
                let (to, from) = (&mut to[group], &from[other_group]);
                to.count = add_counts(to.count, from.count)?;
                to.sum = to.sum.checked_add(from.sum).ok_or_else(|| corrupt("is too large"))?;
            }
            (Vectors::Numerics(to), Vectors::Numerics(from)) => {
                let (to, from) = (&mut to[group], &from[other_group]);
                to.count = add_counts(to.count, from.count)?;
                to.sum = to.sum.add(&from.sum)?;
            }
            (Vectors::Floats(to), Vectors::Floats(from)) => {
                let before = to[group].sum.heap_bytes();
                to[group].count = add_counts(to[group].count, from[other_group].count)?;
                to[group].sum.merge(&from[other_group].sum);
                self.heap_bytes += to[group].sum.heap_bytes() - before;
            }
            (Vectors::Extremes(to), Vectors::Extremes(from)) => {
                let from = (&from[other_group]).into();
                keep_extreme(&mut to[group], from, greater, &mut self.heap_bytes);
            }
            (Vectors::Booleans(to), Vectors::Booleans(from)) => {
                if let Some(value) = from[other_group] {
                    add_boolean(&mut to[group], value, all);
                }
            }
            _ => panic!("states of one aggregate are of one kind"),
        }
        Ok(())
    }

    /// Appends the state of a group, as the crate's head draws it. 54000 for a text that is longer
    /// than a row.
    pub fn serialize(&self, group: usize, out: &mut Vec<u8>) -> Result<()> {
        out.push(STATE_FORMAT);
        match &self.vectors {
            Vectors::Counts(states) => out.extend_from_slice(&states[group].to_le_bytes()),
            Vectors::Integers(states) => {
                out.extend_from_slice(&states[group].count.to_le_bytes());
                out.extend_from_slice(&states[group].sum.to_le_bytes());
            }
            Vectors::Numerics(states) => {
                out.extend_from_slice(&states[group].count.to_le_bytes());
                states[group].sum.write_stored(out);
            }
            Vectors::Floats(states) => states[group].write(out),
            Vectors::Extremes(states) => {
                if !states[group].is_null() {
                    let layout = RowLayout::new(&[self.aggregate.ret]);
                    layout.encode(std::slice::from_ref(&states[group]), out)?;
                }
            }
            Vectors::Booleans(states) => out.extend(states[group].map(u8::from)),
        }
        Ok(())
    }

    /// Adds a serialized state of the same aggregate to a group. XX001 when the bytes are none,
    /// 22003 as `accumulate`.
    pub fn combine_bytes(&mut self, group: usize, bytes: &[u8]) -> Result<()> {
        let mut one = Self::new(self.aggregate);
        one.grow(1);
        one.read(bytes)?;
        self.combine(group, &one, 0)
    }

    /// The value of a group. 22003 when it does not fit its type.
    pub fn finish(&self, group: usize) -> Result<Datum> {
        let average = matches!(
            self.aggregate.function,
            Function::AverageIntegers | Function::AverageNumerics | Function::AverageFloats
        );
        match &self.vectors {
            Vectors::Counts(states) => Ok(Datum::Int8(states[group])),
            Vectors::Integers(states) => states[group].finish(average, self.aggregate.ret),
            Vectors::Numerics(states) => states[group].finish(average),
            Vectors::Floats(states) => states[group].finish(average),
            Vectors::Extremes(states) => Ok(states[group].clone()),
            Vectors::Booleans(states) => Ok(states[group].map_or(Datum::Null, Datum::Bool)),
        }
    }

    /// The values of all groups.
    pub fn finish_column(&self) -> Result<Column> {
        let mut out = Column::with_capacity(self.aggregate.ret, self.groups());
        for group in 0..self.groups() {
            out.push(&self.finish(group)?);
        }
        Ok(out)
    }

    /// Bytes of memory, for accounts.
    pub fn size_bytes(&self) -> usize {
        let state = match &self.vectors {
            Vectors::Counts(_) => size_of::<i64>(),
            Vectors::Integers(_) => size_of::<IntegerSum>(),
            Vectors::Numerics(_) => size_of::<NumericSum>(),
            Vectors::Floats(_) => size_of::<FloatSum>(),
            Vectors::Extremes(_) => size_of::<Datum>(),
            Vectors::Booleans(_) => size_of::<Option<bool>>(),
        };
        self.groups() * state + self.heap_bytes
    }

    fn count_rows(&mut self, groups: Groups<'_>, selection: Selection<'_>) {
        let Vectors::Counts(states) = &mut self.vectors else {
            panic!("{} needs an argument", self.aggregate.name)
        };
        match groups {
            Groups::One(group) => states[group as usize] += selection.len() as i64,
            Groups::Each(groups) => {
                for &group in groups {
                    states[group as usize] += 1;
                }
            }
        }
    }

    /// Reads the state of the only group.
    fn read(&mut self, bytes: &[u8]) -> Result<()> {
        let mut reader = Reader::new(bytes);
        let format = reader.u8().map_err(short)?;
        if format != STATE_FORMAT {
            return Err(corrupt(&format!("has format {format}")));
        }
        match &mut self.vectors {
            Vectors::Counts(states) => states[0] = reader.i64().map_err(short)?,
            Vectors::Integers(states) => {
                states[0].count = reader.i64().map_err(short)?;
                states[0].sum = i128::from_le_bytes(reader.array().map_err(short)?);
            }
            Vectors::Numerics(states) => {
                states[0].count = reader.i64().map_err(short)?;
                let sum = reader.take(reader.rest().len()).map_err(short)?;
                states[0].sum =
                    Numeric::read_stored(sum).ok_or_else(|| corrupt("has a sum that is none"))?;
            }
            Vectors::Floats(states) => states[0] = FloatSum::read(&mut reader)?,
            Vectors::Extremes(states) => {
                let row = reader.take(reader.rest().len()).map_err(short)?;
                if !row.is_empty() {
                    let layout = RowLayout::new(&[self.aggregate.ret]);
                    let value = layout.open(row)?.column(0)?;
                    states[0] = value.ok_or_else(|| corrupt("has no value"))?;
                }
            }
            Vectors::Booleans(states) => {
                if !reader.is_empty() {
                    states[0] = Some(reader.u8().map_err(short)? != 0);
                }
            }
        }
        if reader.is_empty() { Ok(()) } else { Err(corrupt("is followed by more bytes")) }
    }
}

/// No table has 2^63 rows, so that only wrong bytes add up to more.
fn add_counts(a: i64, b: i64) -> Result<i64> {
    a.checked_add(b).filter(|&sum| sum >= 0).ok_or_else(|| corrupt("has an impossible count"))
}

/// Calls `f(group, row)` for each row that counts and is not NULL.
fn each_row(
    groups: Groups<'_>,
    column: &Column,
    selection: Selection<'_>,
    mut f: impl FnMut(usize, usize),
) {
    let has_nulls = column.nulls().any();
    match (groups, selection) {
        (Groups::One(group), Selection::All(rows)) if !has_nulls => {
            for row in 0..rows {
                f(group as usize, row);
            }
        }
        (Groups::Each(groups), Selection::All(_)) if !has_nulls => {
            for (row, &group) in groups.iter().enumerate() {
                f(group as usize, row);
            }
        }
        _ => {
            for (at, row) in selection.iter().enumerate() {
                if !column.is_null(row) {
                    let group = match groups {
                        Groups::One(group) => group,
                        Groups::Each(groups) => groups[at],
                    };
                    f(group as usize, row);
                }
            }
        }
    }
}

/// Keeps the greater or the lesser; of equal ones the new one. `heap_bytes` counts what is kept.
fn keep_extreme(state: &mut Datum, value: ValueRef<'_>, greater: bool, heap_bytes: &mut usize) {
    if value.is_null() {
        return;
    }
    let order = value.compare(ValueRef::from(&*state));
    let stays = !state.is_null() && if greater { order.is_lt() } else { order.is_gt() };
    if stays {
        return;
    }
    *heap_bytes = *heap_bytes - text_bytes(ValueRef::from(&*state)) + text_bytes(value);
    *state = value.to_datum();
}

fn text_bytes(value: ValueRef<'_>) -> usize {
    if let ValueRef::Text(text) = value { text.len() } else { 0 }
}

fn add_boolean(state: &mut Option<bool>, value: bool, all: bool) {
    *state = Some(match *state {
        None => value,
        Some(before) if all => before && value,
        Some(before) => before || value,
    });
}

impl IntegerSum {
    #[inline]
    fn add(&mut self, value: i64) {
        self.count += 1;
        // 2^63 values of 2^63 fit an i128.
        self.sum += i128::from(value);
    }

    fn finish(&self, average: bool, ret: TypeId) -> Result<Datum> {
        if self.count == 0 {
            return Ok(Datum::Null);
        }
        let sum = Numeric::from_i128(self.sum, 0);
        if average {
            return Ok(Datum::Numeric(sum.divide(&Numeric::from(self.count))?));
        }
        if ret == TypeId::NUMERIC {
            return Ok(Datum::Numeric(sum));
        }
        i64::try_from(self.sum).map(Datum::Int8).map_err(|_| out_of_range("bigint out of range"))
    }
}

impl NumericSum {
    fn add(&mut self, value: &Numeric) -> Result<()> {
        self.count += 1;
        self.sum = self.sum.add(value)?;
        Ok(())
    }

    fn finish(&self, average: bool) -> Result<Datum> {
        if self.count == 0 {
            return Ok(Datum::Null);
        }
        let value =
            if average { self.sum.divide(&Numeric::from(self.count))? } else { self.sum.clone() };
        Ok(Datum::Numeric(value))
    }
}

impl FloatSum {
    /// Adds a value; bytes of memory that took.
    fn add(&mut self, value: f64) -> usize {
        let before = self.sum.heap_bytes();
        self.count += 1;
        self.sum.add(value);
        self.sum.heap_bytes() - before
    }

    fn finish(&self, average: bool) -> Result<Datum> {
        if self.count == 0 {
            return Ok(Datum::Null);
        }
        let sum = self.sum.round();
        if sum.is_infinite() && self.sum.is_finite() {
            return Err(out_of_range("value out of range: overflow"));
        }
        // PostgreSQL's average begins with 0, which no -0 turns into -0.
        Ok(Datum::Float8(if average { (sum + 0.0) / self.count as f64 } else { sum }))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let (first, limbs) = self.sum.parts();
        out.extend_from_slice(&self.count.to_le_bytes());
        out.push(self.sum.flags);
        out.push(first);
        for limb in limbs {
            out.extend_from_slice(&limb.to_le_bytes());
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let count = reader.i64().map_err(short)?;
        let flags = reader.u8().map_err(short)?;
        let first = reader.u8().map_err(short)?;
        let mut limbs = Vec::new();
        while !reader.is_empty() {
            limbs.push(reader.i64().map_err(short)?);
        }
        let mut sum =
            ExactSum::from_parts(first, limbs).ok_or_else(|| corrupt("has a sum that is none"))?;
        sum.flags = flags;
        Ok(Self { count, sum })
    }
}

fn out_of_range(message: &str) -> Error {
    Error::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

fn corrupt(what: &str) -> Error {
    Error::new(sqlstate::DATA_CORRUPTED, format!("aggregate state {what}"))
}

fn short(_: Truncated) -> Error {
    corrupt("is too short")
}
