//! What the procedures do, a subject a file. Kernels bear PostgreSQL's `prosrc` in capitals.
//!
//! A function here is written once, over values (`fn(a, b) -> Result<r>`); `lanes` makes both its
//! scalar and its batch form. The table that names them is `catalog::procedures`.

pub(crate) mod cast;
pub(crate) mod compare;
pub(crate) mod datetime;
pub(crate) mod float;
pub(crate) mod integer;
mod lanes;
pub(crate) mod like;
pub(crate) mod numeric;
pub(crate) mod session;
pub(crate) mod text;

pub use text::{lower, upper};

use phantom_base::{Error, sqlstate};

fn out_of_range(type_name: &str) -> Error {
    Error::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, format!("{type_name} out of range"))
}

fn division_by_zero() -> Error {
    Error::new(sqlstate::DIVISION_BY_ZERO, "division by zero")
}
