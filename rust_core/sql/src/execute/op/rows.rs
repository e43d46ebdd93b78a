//! Rows that an operator keeps: the columns of many batches, one behind the other.

use phantom_types::{Batch, Column, TypeId, ValueRef};

/// Kept rows, numbered in the order in which they came.
#[derive(Debug)]
pub(super) struct RowStore {
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

impl RowStore {
    /// No rows of these types.
    pub fn new(types: &[TypeId]) -> Self {
        let columns = types.iter().map(|ty| Column::new(*ty)).collect();
        Self { columns, rows: 0, bytes: 0 }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Bytes of memory, for accounts.
    pub fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// Appends all rows of a batch.
    pub fn push(&mut self, batch: &Batch) {
        assert_eq!(batch.columns().len(), self.columns.len(), "batches of one shape");
        for (to, from) in self.columns.iter_mut().zip(batch.columns()) {
            to.append(from);
        }
        self.rows += batch.rows();
        self.bytes += batch.size_bytes();
    }

    /// A batch of the listed rows, in that order.
    pub fn gather(&self, rows: &[u32]) -> Batch {
        let columns = self.columns.iter().map(|column| column.gather(rows)).collect();
        Batch::new(columns, rows.len())
    }

    /// Keeps the listed rows alone, in that order.
    pub fn retain(&mut self, rows: &[u32]) {
        let batch = self.gather(rows);
        self.bytes = batch.size_bytes();
        self.rows = rows.len();
        self.columns = batch.into_columns();
    }
}

/// About how many bytes a value takes, in memory or in a message.
pub(in crate::execute) fn value_bytes(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Null | ValueRef::Bool(_) => 1,
        ValueRef::Int2(_) | ValueRef::Int4(_) | ValueRef::Date(_) => 4,
        ValueRef::Int8(_) | ValueRef::Float8(_) | ValueRef::TimestampTz(_) => 8,
        ValueRef::Numeric(value) => value.size_bytes(),
        ValueRef::Text(text) => text.len() + 4,
    }
}
