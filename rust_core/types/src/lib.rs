//! PostgreSQL's types: values, formats, operators, casts, row and key codecs.
//!
//! - `datum` is one value, `batch` many of one type side by side; both know NULL.
//! - `format` turns values into PostgreSQL's text and binary forms and back; what a session can set
//!   (`DateStyle`, `TimeZone`, `extra_float_digits`) is an argument, never a global.
//! - `catalog` lists types, procedures, operators and casts under PostgreSQL's OIDs; the binder
//!   resolves overloads over it and the executor calls the kernels that it names.
//! - `codec` draws keys (bytes that sort as the values do) and rows (any column without the rest).
//! - Errors are answers (`phantom_base::Error`) with PostgreSQL 15's texts and codes. Collation is
//!   `C`, ctype `C.UTF-8`.
//!
//! Nothing here knows tables, plans, storage or time: the time of a statement is an argument too.

#![allow(
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    clippy::similar_names,
    clippy::many_single_char_names,
    reason = "arithmetic on representations is this crate's subject; ranges are checked beside"
)]

mod account;
pub mod batch;
pub mod catalog;
pub mod codec;
mod datetime;
pub mod datum;
pub mod format;
pub mod functions;
pub mod kernel;
mod meter;
pub mod numeric;
mod type_id;

pub use account::{Account, QueryMemory, Share};
pub use batch::{BATCH_ROWS, Batch, Column, Nulls, Selection, TextVector, Values};
pub use datum::{Datum, ValueRef};
pub use format::{DateOrder, DateOutput, SessionFormat, TimeZone};
pub use kernel::{Argument, EvalContext, Kernel};
pub use meter::{Meter, Pace};
pub use numeric::Numeric;
pub use type_id::{Category, NO_TYPMOD, TypeId};
