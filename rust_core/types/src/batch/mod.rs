//! Up to 1,024 rows of several columns, and which of them count.
//!
//! A filter does not move values: it narrows the *selection*, the ascending list of rows that
//! count. What lies in rows that do not count is unspecified and may not raise an error.

mod column;
mod nulls;
mod text;

pub use column::{Column, Values};
pub use nulls::Nulls;
pub use text::TextVector;

use crate::{Datum, TypeId};

/// Rows of a full batch: small enough for the first-level cache, large enough to pay a call.
pub const BATCH_ROWS: usize = 1024;

/// Which rows of a batch count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection<'a> {
    /// All of so many rows.
    All(usize),
    /// The listed ones of `of` rows, ascending.
    Rows {
        /// Row numbers, ascending, each below `of`.
        rows: &'a [u32],
        /// How many rows the columns have.
        of: usize,
    },
}

impl Selection<'_> {
    /// How many rows the columns have, counted or not.
    pub fn of(&self) -> usize {
        match *self {
            Self::All(of) | Self::Rows { of, .. } => of,
        }
    }

    /// How many rows count.
    pub fn len(&self) -> usize {
        match *self {
            Self::All(of) => of,
            Self::Rows { rows, .. } => rows.len(),
        }
    }

    /// Whether no row counts.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows that count, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let (all, rows) = match *self {
            Self::All(of) => (0..of, &[][..]),
            Self::Rows { rows, .. } => (0..0, rows),
        };
        all.chain(rows.iter().map(|&row| row as usize))
    }

    /// The row at position `at` of those that count.
    pub fn row(&self, at: usize) -> usize {
        match *self {
            Self::All(of) => {
                assert!(at < of, "row {at} of {of}");
                at
            }
            Self::Rows { rows, .. } => rows[at] as usize,
        }
    }
}

/// Columns of equal length and a selection.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    columns: Vec<Column>,
    rows: usize,
    selection: Option<Vec<u32>>,
}

impl Batch {
    /// All rows of `columns`; a batch without columns still has `rows`.
    pub fn new(columns: Vec<Column>, rows: usize) -> Self {
        for column in &columns {
            assert_eq!(column.len(), rows, "columns of one batch are equally long");
        }
        Self { columns, rows, selection: None }
    }

    /// An empty batch of these types, to push rows into.
    pub fn with_types(types: &[TypeId]) -> Self {
        Self::new(types.iter().map(|&ty| Column::with_capacity(ty, BATCH_ROWS)).collect(), 0)
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// One column.
    pub fn column(&self, at: usize) -> &Column {
        &self.columns[at]
    }

    /// The columns, by value; the selection is lost, so call `compact` first.
    pub fn into_columns(self) -> Vec<Column> {
        assert!(self.selection.is_none(), "a selection would be lost");
        self.columns
    }

    /// How many rows the columns have, counted or not.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many rows count.
    pub fn len(&self) -> usize {
        self.selection().len()
    }

    /// Whether no row counts.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which rows count.
    pub fn selection(&self) -> Selection<'_> {
        match &self.selection {
            None => Selection::All(self.rows),
            Some(rows) => Selection::Rows { rows, of: self.rows },
        }
    }

    /// Lets only `rows` count: ascending, and each counted before.
    pub fn select(&mut self, rows: Vec<u32>) {
        assert!(rows.last().is_none_or(|&row| (row as usize) < self.rows), "row out of range");
        debug_assert!(rows.is_sorted_by(|a, b| a < b), "a selection ascends");
        self.selection = (rows.len() < self.rows).then_some(rows);
    }

    /// Appends one row; every row must count.
    pub fn push_row(&mut self, row: &[Datum]) {
        assert!(self.selection.is_none(), "rows are pushed before any are deselected");
        assert_eq!(row.len(), self.columns.len(), "a row has a value for each column");
        for (column, value) in self.columns.iter_mut().zip(row) {
            column.push(value);
        }
        self.rows += 1;
    }

    /// One row as values; `row` counts from the first row of the columns.
    pub fn row(&self, row: usize) -> Vec<Datum> {
        self.columns.iter().map(|column| column.datum(row)).collect()
    }

    /// The rows that count, as values.
    pub fn to_rows(&self) -> Vec<Vec<Datum>> {
        self.selection().iter().map(|row| self.row(row)).collect()
    }

    /// The same rows without the ones that do not count.
    #[must_use]
    pub fn compact(self) -> Self {
        match self.selection {
            None => self,
            Some(rows) => Self {
                columns: self.columns.iter().map(|column| column.gather(&rows)).collect(),
                rows: rows.len(),
                selection: None,
            },
        }
    }

    /// Bytes of memory that the values take, for accounts.
    pub fn size_bytes(&self) -> usize {
        self.columns.iter().map(Column::size_bytes).sum::<usize>()
            + self.selection.as_ref().map_or(0, |rows| rows.len() * size_of::<u32>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compacting_keeps_the_rows_that_count() {
        let mut batch = Batch::with_types(&[TypeId::INT4, TypeId::TEXT]);
        for (number, word) in [(1, "one"), (2, "two"), (3, "three")] {
            batch.push_row(&[Datum::Int4(number), Datum::text(word)]);
        }
        batch.push_row(&[Datum::Null, Datum::Null]);
        batch.select(vec![1, 3]);
        let rows = vec![vec![Datum::Int4(2), Datum::text("two")], vec![Datum::Null, Datum::Null]];
        assert_eq!(batch.to_rows(), rows);
        let compact = batch.compact();
        assert_eq!((compact.rows(), compact.to_rows()), (2, rows));
    }

    #[test]
    fn selecting_every_row_is_no_selection() {
        let mut batch = Batch::new(vec![Column::constant(TypeId::BOOL, &Datum::Null, 2)], 2);
        batch.select(vec![0, 1]);
        assert_eq!(batch.selection(), Selection::All(2));
        batch.select(vec![]);
        assert!(batch.is_empty());
    }
}
