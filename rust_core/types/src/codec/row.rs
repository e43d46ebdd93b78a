//! Rows: any column can be read without the others.
//!
//! ```text
//! format   u8     1; with bit 7, the ends below are u32 and not u16
//! columns  u16    how many the row was written with, n
//! nulls    (n + 7) / 8 bytes, bit i of byte i / 8 is column i; 1 is NULL
//! fixed    each fixed column in order, 0 if NULL: bool 1 byte, int2 2, int4 and date 4,
//!          int8, float8 and timestamptz 8
//! ends     one a variable column in order: where its bytes end, from the start of `bytes`
//! bytes    text as it is, numeric as `numeric::binary` draws it; none if NULL
//! ```
//!
//! All little endian. Columns are only ever added behind: a row is written with the first n of its
//! table's columns, and those it lacks read as the default that the reader gives. So places follow
//! from the types alone, and a `RowLayout` computes them once a table.

use phantom_base::bytes::Reader;
use phantom_base::{Error, Result, sqlstate};

use crate::{Batch, Column, Datum, Numeric, TypeId, ValueRef};

/// The number of this format, in each row.
pub const FORMAT: u8 = 1;
/// Bytes of the longest row.
pub const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Columns of the widest table, as PostgreSQL's.
pub const COLUMNS_MAX: usize = 1600;

const WIDE: u8 = 0x80;
const HEAD_BYTES: usize = 3;

/// Where a column lies.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Bytes after the first fixed column, and how many.
    Fixed(usize, usize),
    /// Which of the variable columns.
    Variable(usize),
}

/// The columns of a table, and where they lie in its rows.
#[derive(Clone, Debug)]
pub struct RowLayout {
    types: Vec<TypeId>,
    places: Vec<Place>,
    /// By number of columns: bytes of the fixed ones, count of the variable ones.
    sums: Vec<(usize, usize)>,
}

impl RowLayout {
    /// The layout of a table's columns, in order.
    pub fn new(types: &[TypeId]) -> Self {
        assert!(types.len() <= COLUMNS_MAX, "{} columns", types.len());
        let (mut fixed, mut variable) = (0, 0);
        let mut places = Vec::with_capacity(types.len());
        let mut sums = vec![(0, 0)];
        for &ty in types {
            if let Some(width) = fixed_width(ty) {
                places.push(Place::Fixed(fixed, width));
                fixed += width;
            } else {
                places.push(Place::Variable(variable));
                variable += 1;
            }
            sums.push((fixed, variable));
        }
        Self { types: types.to_vec(), places, sums }
    }

    /// The types, in order.
    pub fn types(&self) -> &[TypeId] {
        &self.types
    }

    /// Appends a row, one value a column. 54000 when it is longer than 16 MiB.
    pub fn encode(&self, values: &[Datum], out: &mut Vec<u8>) -> Result<()> {
        assert_eq!(values.len(), self.types.len(), "a value for each column");
        let start = out.len();
        let mut variable = Vec::new();
        let mut ends = Vec::with_capacity(self.sums.last().map_or(0, |sum| sum.1));
        let mut fixed = Vec::with_capacity(self.sums.last().map_or(0, |sum| sum.0));
        let mut nulls = vec![0_u8; values.len().div_ceil(8)];
        for (at, (value, place)) in values.iter().zip(&self.places).enumerate() {
            assert!(value.fits(self.types[at]), "{value:?} in a column of {}", self.types[at]);
            if value.is_null() {
                nulls[at / 8] |= 1 << (at % 8);
            }
            match place {
                Place::Fixed(_, width) => write_fixed(value.into(), *width, &mut fixed),
                Place::Variable(_) => {
                    match value {
                        Datum::Text(text) => variable.extend_from_slice(text.as_bytes()),
                        Datum::Numeric(value) => value.write_stored(&mut variable),
                        _ => {}
                    }
                    ends.push(variable.len());
                }
            }
        }
        let wide = variable.len() > usize::from(u16::MAX);
        out.push(FORMAT | if wide { WIDE } else { 0 });
        out.extend_from_slice(&(values.len() as u16).to_le_bytes());
        out.extend_from_slice(&nulls);
        out.extend_from_slice(&fixed);
        for end in ends {
            if wide {
                out.extend_from_slice(&(end as u32).to_le_bytes());
            } else {
                out.extend_from_slice(&(end as u16).to_le_bytes());
            }
        }
        out.extend_from_slice(&variable);
        let len = out.len() - start;
        if len > ROW_BYTES_MAX {
            return Err(Error::new(
                sqlstate::PROGRAM_LIMIT_EXCEEDED,
                format!("row of {len} bytes is longer than {ROW_BYTES_MAX} bytes"),
            ));
        }
        Ok(())
    }

    /// Opens a row. XX001 when its head is none.
    pub fn open<'a>(&'a self, bytes: &'a [u8]) -> Result<Row<'a>> {
        let mut reader = Reader::new(bytes);
        let head = reader.u8().and_then(|format| Ok((format, reader.u16()?)));
        let (format, columns) = head.map_err(|_| corrupt("is shorter than its head"))?;
        let columns = usize::from(columns);
        if format & !WIDE != FORMAT {
            return Err(corrupt(&format!("has format {format}")));
        }
        // More columns than the reader knows: it reads the first, whose places are the same only
        // if it knows the types of all.
        let Some(&(fixed_bytes, variable)) = self.sums.get(columns) else {
            return Err(corrupt(&format!("has {columns} columns, not {}", self.types.len())));
        };
        let wide = format & WIDE != 0;
        let fixed = HEAD_BYTES + columns.div_ceil(8);
        let ends = fixed + fixed_bytes;
        let data = ends + variable * if wide { 4 } else { 2 };
        if data > bytes.len() {
            return Err(corrupt("ends inside its fixed part"));
        }
        Ok(Row { layout: self, bytes, columns, wide, fixed, ends, data })
    }

    /// Decodes the listed columns of many rows. `defaults` has a value for each column of the
    /// table, which rows without that column read as.
    pub fn decode(&self, rows: &[&[u8]], columns: &[usize], defaults: &[Datum]) -> Result<Batch> {
        let opened = rows.iter().map(|bytes| self.open(bytes)).collect::<Result<Vec<_>>>()?;
        let columns = columns
            .iter()
            .map(|&column| self.decode_column(&opened, column, &defaults[column]))
            .collect::<Result<Vec<_>>>()?;
        Ok(Batch::new(columns, rows.len()))
    }

    /// One column of many rows; the type is looked at once.
    fn decode_column(&self, rows: &[Row<'_>], column: usize, default: &Datum) -> Result<Column> {
        let ty = self.types[column];
        let mut out = Column::with_capacity(ty, rows.len());
        for row in rows {
            if column >= row.columns {
                out.push(default);
            } else if row.is_null(column) {
                out.push_null();
            } else if ty.is_text() {
                out.push_str(row.text(column)?);
            } else {
                out.push(&row.present(column)?);
            }
        }
        Ok(out)
    }
}

/// A row that was opened: its columns are read where they lie.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    layout: &'a RowLayout,
    bytes: &'a [u8],
    columns: usize,
    wide: bool,
    fixed: usize,
    ends: usize,
    data: usize,
}

impl<'a> Row<'a> {
    /// How many columns the row was written with.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The value of a column; `None` if the row is older than it. XX001.
    pub fn column(&self, column: usize) -> Result<Option<Datum>> {
        if column >= self.columns {
            return Ok(None);
        }
        if self.is_null(column) {
            return Ok(Some(Datum::Null));
        }
        self.present(column).map(Some)
    }

    /// All values, those that the row lacks from `defaults` (one a column of the table). XX001.
    pub fn values(&self, defaults: &[Datum]) -> Result<Vec<Datum>> {
        (0..self.layout.types.len())
            .map(|at| Ok(self.column(at)?.unwrap_or_else(|| defaults[at].clone())))
            .collect()
    }

    fn is_null(&self, column: usize) -> bool {
        self.bytes[HEAD_BYTES + column / 8] >> (column % 8) & 1 == 1
    }

    fn present(&self, column: usize) -> Result<Datum> {
        let ty = self.layout.types[column];
        match self.layout.places[column] {
            Place::Fixed(offset, width) => {
                let at = self.fixed + offset;
                Ok(read_fixed(ty, &self.bytes[at..at + width]))
            }
            Place::Variable(index) if ty == TypeId::NUMERIC => {
                Numeric::read_stored(self.variable(index)?)
                    .map(Datum::Numeric)
                    .ok_or_else(|| corrupt("has a numeric that is none"))
            }
            Place::Variable(_) => self.text(column).map(Datum::text),
        }
    }

    fn text(&self, column: usize) -> Result<&'a str> {
        let Place::Variable(index) = self.layout.places[column] else {
            panic!("column {column} is no text")
        };
        std::str::from_utf8(self.variable(index)?).map_err(|_| corrupt("has a text that is none"))
    }

    fn variable(&self, index: usize) -> Result<&'a [u8]> {
        let end = |index: usize| -> usize {
            if self.wide {
                let at = self.ends + index * 4;
                let bytes = self.bytes[at..at + 4].try_into().expect("four bytes");
                u32::from_le_bytes(bytes) as usize
            } else {
                let at = self.ends + index * 2;
                u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]).into()
            }
        };
        let start = if index == 0 { 0 } else { end(index - 1) };
        self.bytes
            .get(self.data + start..self.data + end(index))
            .ok_or_else(|| corrupt("has a column that ends before it begins or beyond the row"))
    }
}

fn fixed_width(ty: TypeId) -> Option<usize> {
    match ty {
        TypeId::BOOL => Some(1),
        TypeId::INT2 => Some(2),
        TypeId::INT4 | TypeId::DATE => Some(4),
        TypeId::INT8 | TypeId::FLOAT8 | TypeId::TIMESTAMPTZ => Some(8),
        TypeId::NUMERIC => None,
        _ if ty.is_text() => None,
        _ => panic!("no column has type {ty}"),
    }
}

fn write_fixed(value: ValueRef<'_>, width: usize, out: &mut Vec<u8>) {
    match value {
        ValueRef::Bool(value) => out.push(u8::from(value)),
        ValueRef::Int2(value) => out.extend_from_slice(&value.to_le_bytes()),
        ValueRef::Int4(value) | ValueRef::Date(value) => {
            out.extend_from_slice(&value.to_le_bytes());
        }
        ValueRef::Int8(value) | ValueRef::TimestampTz(value) => {
            out.extend_from_slice(&value.to_le_bytes());
        }
        ValueRef::Float8(value) => out.extend_from_slice(&value.to_bits().to_le_bytes()),
        ValueRef::Null => out.resize(out.len() + width, 0),
        ValueRef::Numeric(_) | ValueRef::Text(_) => panic!("{value:?} has no fixed width"),
    }
}

fn read_fixed(ty: TypeId, bytes: &[u8]) -> Datum {
    let mut whole = [0; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    let value = u64::from_le_bytes(whole);
    match ty {
        TypeId::BOOL => Datum::Bool(value != 0),
        TypeId::INT2 => Datum::Int2(value as i16),
        TypeId::INT4 => Datum::Int4(value as i32),
        TypeId::DATE => Datum::Date(value as i32),
        TypeId::INT8 => Datum::Int8(value as i64),
        TypeId::TIMESTAMPTZ => Datum::TimestampTz(value as i64),
        TypeId::FLOAT8 => Datum::Float8(f64::from_bits(value)),
        _ => panic!("{ty} has no fixed width"),
    }
}

fn corrupt(what: &str) -> Error {
    Error::new(sqlstate::DATA_CORRUPTED, format!("stored row {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: [TypeId; 5] =
        [TypeId::INT4, TypeId::TEXT, TypeId::BOOL, TypeId::NUMERIC, TypeId::TIMESTAMPTZ];

    fn row() -> Vec<Datum> {
        vec![
            Datum::Int4(-7),
            Datum::text("h\u{e9}llo"),
            Datum::Null,
            Datum::Numeric(Numeric::parse("-12.50").unwrap()),
            Datum::TimestampTz(i64::MAX),
        ]
    }

    #[test]
    fn the_bytes_are_as_drawn() {
        let mut bytes = Vec::new();
        RowLayout::new(&TYPES).encode(&row(), &mut bytes).unwrap();
        let mut drawn = vec![1, 5, 0, 0b100];
        drawn.extend((-7_i32).to_le_bytes());
        drawn.push(0);
        drawn.extend(i64::MAX.to_le_bytes());
        drawn.extend([6, 0, 10, 0]);
        drawn.extend("h\u{e9}llo".as_bytes());
        drawn.extend([2, 0]);
        drawn.extend((-1250_i16).to_le_bytes());
        assert_eq!(bytes, drawn);
    }

    #[test]
    fn an_older_row_reads_new_columns_as_their_default() {
        let old = RowLayout::new(&TYPES[..2]);
        let mut bytes = Vec::new();
        old.encode(&row()[..2], &mut bytes).unwrap();
        let mut defaults = vec![Datum::Null; 5];
        defaults[2] = Datum::Bool(true);
        let new = RowLayout::new(&TYPES);
        let read = new.open(&bytes).unwrap().values(&defaults).unwrap();
        assert_eq!(read[..2], row()[..2]);
        assert_eq!(read[2..], [Datum::Bool(true), Datum::Null, Datum::Null]);
        assert_eq!(new.open(&bytes).unwrap().column(4).unwrap(), None);
    }

    #[test]
    fn long_texts_get_wide_ends() {
        let layout = RowLayout::new(&[TypeId::TEXT, TypeId::TEXT]);
        let long = [Datum::text(&"x".repeat(70_000)), Datum::text("end")];
        let mut bytes = Vec::new();
        layout.encode(&long, &mut bytes).unwrap();
        assert_eq!(bytes[0], FORMAT | WIDE);
        assert_eq!(layout.open(&bytes).unwrap().values(&[]).unwrap(), long);
    }

    #[test]
    fn a_row_beyond_the_limit_is_refused() {
        let layout = RowLayout::new(&[TypeId::TEXT]);
        let error = layout.encode(&[Datum::text(&"x".repeat(ROW_BYTES_MAX))], &mut Vec::new());
        assert_eq!(error.unwrap_err().sqlstate, sqlstate::PROGRAM_LIMIT_EXCEEDED);
    }

    #[test]
    fn a_damaged_row_is_named_and_never_a_panic() {
        let layout = RowLayout::new(&TYPES);
        let mut bytes = Vec::new();
        layout.encode(&row(), &mut bytes).unwrap();
        let defaults = vec![Datum::Null; TYPES.len()];
        for at in 0..bytes.len() {
            for damaged in [0xFF, 0x00, 0x80, bytes[at] ^ 1] {
                let mut copy = bytes.clone();
                copy[at] = damaged;
                let read = layout.open(&copy).and_then(|row| row.values(&defaults));
                if let Err(error) = read {
                    assert_eq!(error.sqlstate, sqlstate::DATA_CORRUPTED);
                }
            }
            let cut = layout.open(&bytes[..at]).and_then(|row| row.values(&defaults));
            assert_eq!(cut.unwrap_err().sqlstate, sqlstate::DATA_CORRUPTED, "cut at {at}");
        }
    }
}
