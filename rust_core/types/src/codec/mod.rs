//! Keys and rows as bytes.

pub mod key;
