//! Tests of whole types: against PostgreSQL's answers, and properties of the codecs.

#![allow(clippy::unwrap_used, clippy::cast_sign_loss, reason = "tests may end where they stand")]

mod codecs;
mod extremes;
mod golden;
mod range;
