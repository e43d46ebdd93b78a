//! Values as PostgreSQL's text and binary, both ways; what a session sets is an argument.

pub mod binary;
mod float;
mod text;
mod zone;

pub use binary::{read_binary, write_binary};
pub use float::{parse_float, write_float};
pub use text::{read_literal, read_text, validate_utf8, write_text};
pub use zone::{LocalOffset, TimeZone};

/// What a session's settings say about the form of values.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionFormat {
    /// First word of `DateStyle`.
    pub date_output: DateOutput,
    /// Second word of `DateStyle`.
    pub date_order: DateOrder,
    /// `TimeZone`
    pub time_zone: TimeZone,
    /// `extra_float_digits`, -15 to 3; above 0 is the shortest text that reads back equal.
    pub extra_float_digits: i32,
}

impl Default for SessionFormat {
    fn default() -> Self {
        Self {
            date_output: DateOutput::Iso,
            date_order: DateOrder::Mdy,
            time_zone: TimeZone::utc(),
            extra_float_digits: 1,
        }
    }
}

/// How dates are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOutput {
    /// `1997-12-17 07:37:16-08`
    Iso,
    /// `12/17/1997 07:37:16 PST`
    Sql,
    /// `Wed Dec 17 07:37:16 1997 PST`
    Postgres,
    /// `17.12.1997 07:37:16 PST`
    German,
}

/// In which order day, month and year are read where the text leaves a choice, and printed in the
/// styles that have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOrder {
    /// Month, day, year.
    Mdy,
    /// Day, month, year.
    Dmy,
    /// Year, month, day.
    Ymd,
}

/// What C's `isspace` calls a blank in the locale `C`.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}
