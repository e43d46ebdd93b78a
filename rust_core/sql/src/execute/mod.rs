//! What runs bound queries: the storage that it reads through, and the writes that it hands back.
//!
//! Nothing here writes: a fragment reads one snapshot and returns the rows that it wants to write
//! together with the version of each that it saw. Whoever leads the group checks those versions
//! under its latches, and commits or has the statement run again.

mod build;
mod fragment;
mod key_table;
mod memory;
mod merge_sort;
mod op;
mod plan;
mod program;
pub mod scalar;
#[cfg(test)]
mod tests;

pub use fragment::{Finished, Fragment, FragmentInput, Step};

use phantom_base::sync::Arc;
use phantom_base::{Error, Result, Timestamp, sqlstate};
use phantom_types::codec::row::RowLayout;
use phantom_types::{Datum, TypeId, codec};

use crate::catalog::Table;

/// One snapshot of the rows of a group's tables. Keys are encoded key columns, without the table.
pub trait Storage: Send + Sync {
    /// The row of a key, waiting for a disk if need be.
    fn get(&self, table: &Table, key: &[u8]) -> Result<Option<StoredRow>>;

    /// The row of a key if it can be had without waiting for a disk.
    fn get_cached(&self, table: &Table, key: &[u8]) -> Result<Fetch>;

    /// All rows from `start`, included, to `end`, not included; `None` is unbounded. In key order.
    fn scan(
        &self,
        table: &Table,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
    ) -> Result<Box<dyn RowSource>>;
}

/// A row as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Its bytes, of the row codec.
    pub bytes: Vec<u8>,
    /// When it was written.
    pub version: Timestamp,
}

/// The answer of a look-up that must not wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// The row, or that there is none.
    Found(Option<StoredRow>),
    /// It takes a disk read: ask again where waiting is allowed.
    WouldWait,
}

/// A scan.
pub trait RowSource: Send {
    /// The next row.
    fn next(&mut self) -> Result<Option<ScannedRow<'_>>>;
}

/// A row that a scan came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScannedRow<'a> {
    /// Its encoded key columns.
    pub key: &'a [u8],
    /// Its bytes, of the row codec.
    pub bytes: &'a [u8],
    /// When it was written.
    pub version: Timestamp,
}

/// A row that a statement wants to write.
#[derive(Clone, Debug)]
pub struct RowWrite {
    /// The table.
    pub table: Arc<Table>,
    /// The encoded key columns.
    pub key: Vec<u8>,
    /// The new row; `None` removes it.
    pub row: Option<Vec<u8>>,
    /// What the statement saw under the key.
    pub seen: Seen,
}

/// What a statement saw under a key that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// No row.
    Nothing,
    /// A row of this version.
    Version(Timestamp),
}

/// How many rows a step may examine before it lets others run: counted, not timed, so that a
/// simulation replays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepBudget {
    /// Rows.
    pub rows: u32,
}

impl StepBudget {
    /// What a SQL worker gives a fragment before the next one in line.
    pub const WORKER: Self = Self { rows: 8_192 };
}

/// Refuses NULL in a column that does not take it, as PostgreSQL does.
///
/// # Errors
/// `23502` with the row in DETAIL.
pub fn check_not_null(table: &Table, row: &[Datum]) -> Result<()> {
    for (column, value) in table.columns.iter().zip(row) {
        if column.not_null && value.is_null() {
            let message = format!(
                "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                column.name, table.name
            );
            return Err(Error::new(sqlstate::NOT_NULL_VIOLATION, message)
                .with_detail(format!("Failing row contains ({}).", shown_row(row)))
                .with_table(&table.schema, &table.name)
                .with_column(&column.name));
        }
    }
    Ok(())
}

/// The error for a key that is taken.
pub fn duplicate_key(table: &Table, row: &[Datum]) -> Error {
    let key = &table.primary_key;
    let names: Vec<&str> = key
        .iter()
        .filter_map(|attnum| table.column(*attnum).map(|column| column.name.as_str()))
        .collect();
    let values: Vec<String> = key
        .iter()
        .filter_map(|attnum| row.get(usize::from(*attnum) - 1).map(shown_value))
        .collect();
    let message =
        format!("duplicate key value violates unique constraint \"{}\"", table.primary_key_name);
    Error::new(sqlstate::UNIQUE_VIOLATION, message)
        .with_detail(format!("Key ({})=({}) already exists.", names.join(", "), values.join(", ")))
        .with_table(&table.schema, &table.name)
        .with_constraint(&table.primary_key_name)
        .with_routine("_bt_check_unique")
}

/// Where a table's columns lie in its rows.
pub fn layout_of(table: &Table) -> RowLayout {
    RowLayout::new(&table.columns.iter().map(|column| column.ty).collect::<Vec<TypeId>>())
}

/// The encoded key of a row of a table with a primary key.
///
/// # Errors
/// `54000` for a key over 8 KiB.
pub fn key_of(table: &Table, row: &[Datum]) -> Result<Vec<u8>> {
    assert!(!table.primary_key.is_empty(), "{} has no key columns", table.name);
    let columns = table.primary_key.iter().map(|attnum| {
        row.get(usize::from(*attnum) - 1).expect("a row has all columns of its table")
    });
    let mut key = Vec::new();
    codec::key::encode(columns, &mut key)?;
    Ok(key)
}

fn shown_row(row: &[Datum]) -> String {
    /// PostgreSQL cuts the values that it shows.
    const SHOWN_BYTES_MAX: usize = 64;
    let show = |value: &Datum| {
        let text = shown_value(value);
        if text.len() <= SHOWN_BYTES_MAX {
            return text;
        }
        let mut end = SHOWN_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}...", text.get(..end).unwrap_or_default())
    };
    row.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn shown_value(value: &Datum) -> String {
    if value.is_null() {
        return "null".into();
    }
    let mut text = String::new();
    let plain = phantom_types::SessionFormat::default();
    phantom_types::format::write_text(value, &plain, &mut text);
    text
}
