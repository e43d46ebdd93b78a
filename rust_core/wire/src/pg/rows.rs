//! Rows and their descriptions, as the backend writes them.

use std::ops::Range;

use phantom_base::Error;
use phantom_sql::statement::Prepared;
use phantom_types::{Batch, format};

use super::codec::{write_error, write_message, write_text};
use super::extended::format_of;
use super::session::PgSession;

impl PgSession {
    /// RowDescription, or NoData for a statement without rows.
    pub(super) fn row_description(&mut self, statement: &Prepared, formats: &[i16]) {
        if !statement.returns_rows() {
            write_message(&mut self.out, b'n', |_| {});
            return;
        }
        write_message(&mut self.out, b'T', |out| {
            write_count(out, statement.columns.len());
            for (at, column) in statement.columns.iter().enumerate() {
                write_text(out, &column.name);
                out.extend_from_slice(&column.table.to_be_bytes());
                out.extend_from_slice(&column.attnum.to_be_bytes());
                out.extend_from_slice(&column.ty.0.to_be_bytes());
                out.extend_from_slice(&column.ty.length().to_be_bytes());
                out.extend_from_slice(&column.typmod.to_be_bytes());
                out.extend_from_slice(&format_of(formats, at).to_be_bytes());
            }
        });
    }

    /// ParameterDescription.
    pub(super) fn parameter_description(&mut self, statement: &Prepared) {
        write_message(&mut self.out, b't', |out| {
            write_count(out, statement.parameters.len());
            for ty in &statement.parameters {
                out.extend_from_slice(&ty.0.to_be_bytes());
            }
        });
    }

    /// DataRow for each row of a batch.
    pub(super) fn data_rows(&mut self, batch: &Batch, formats: &[i16], statement: &Prepared) {
        self.data_row_range(batch, 0..batch.len(), formats, statement);
    }

    /// DataRow for some rows of a batch.
    pub(super) fn data_row_range(
        &mut self,
        batch: &Batch,
        rows: Range<usize>,
        formats: &[i16],
        statement: &Prepared,
    ) {
        assert_eq!(
            batch.columns().len(),
            statement.columns.len(),
            "a batch has the result's columns"
        );
        let session = self.settings.format().clone();
        let mut text = String::new();
        for row in rows {
            write_message(&mut self.out, b'D', |out| {
                write_count(out, statement.columns.len());
                for (at, column) in batch.columns().iter().enumerate() {
                    if column.is_null(row) {
                        out.extend_from_slice(&(-1_i32).to_be_bytes());
                        continue;
                    }
                    let length_at = out.len();
                    out.extend_from_slice(&[0; 4]);
                    if format_of(formats, at) == 1 {
                        format::write_binary(column.value(row), out);
                    } else {
                        text.clear();
                        format::write_text(column.value(row), &session, &mut text);
                        out.extend_from_slice(text.as_bytes());
                    }
                    close_value(out, length_at);
                }
            });
        }
    }

    /// A DataRow of texts; text looks the same in both formats.
    pub(super) fn text_row(&mut self, values: &[String], _formats: &[i16]) {
        write_message(&mut self.out, b'D', |out| {
            write_count(out, values.len());
            for value in values {
                let length_at = out.len();
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(value.as_bytes());
                close_value(out, length_at);
            }
        });
    }

    /// CommandComplete.
    pub(super) fn command_complete(&mut self, statement: &Prepared, rows: u64) {
        let tag = statement.tag(rows);
        write_message(&mut self.out, b'C', |out| write_text(out, &tag));
    }

    /// NoticeResponses.
    pub(super) fn notices(&mut self, notices: &[Error]) {
        for notice in notices.iter().filter(|notice| self.settings.wants(notice.severity)) {
            write_error(&mut self.out, notice);
        }
    }
}

fn write_count(out: &mut Vec<u8>, count: usize) {
    let count = u16::try_from(count).expect("columns and parameters are bounded below 2^16");
    out.extend_from_slice(&count.to_be_bytes());
}

/// Fills in the length of a value that ends where `out` ends.
fn close_value(out: &mut [u8], length_at: usize) {
    let length = u32::try_from(out.len() - length_at - 4).expect("a value is under 4 GiB");
    out.get_mut(length_at..length_at + 4)
        .expect("the length was pushed before the value")
        .copy_from_slice(&length.to_be_bytes());
}
