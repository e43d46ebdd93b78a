//! Keys and rows as bytes. A format, once written, is read for ever: what changes it takes a new
//! number.

pub mod key;
pub mod row;
