//! Aggregates as states that can be merged: what each shard computes and the gathering node joins.
//!
//! A state goes through `accumulate` (rows), `combine` (states of other nodes, as bytes or not) and
//! `finish` (the value). How rows were spread over states, and in which order states were combined,
//! never changes a value: sums are exact until `finish`, floats too.
//!
//! - `AGGREGATES` names them by PostgreSQL's OIDs, with its result types; DISTINCT, FILTER and
//!   ORDER BY are the executor's.
//! - `States` holds one state a group, so that a batch is accumulated in one pass.
//! - Of equal values that look different (1.0 and 1.00, -0 and 0) `min` and `max` keep the one that
//!   came last, as PostgreSQL does; that alone depends on the order.
//!
//! Serialized states begin with `STATE_FORMAT`. Little endian:
//!
//! ```text
//! count     i64
//! integers  count i64 | sum i128
//! numerics  count i64 | sum, as in rows                         (types: numeric/binary)
//! floats    count i64 | flags u8 | first u8 | limb i64 ..       flags: 1 NaN, 2 Infinity,
//!                                                               4 -Infinity, 8 not only -0
//! extremes  nothing, or the value as the one column of a row    (types: codec/row)
//! booleans  nothing, or u8
//! ```

#![allow(
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "arithmetic on representations; ranges are checked beside"
)]

mod exact;
mod registry;
mod states;

pub use exact::ExactSum;
pub use registry::{AGGREGATES, Aggregate, Function, aggregate, aggregates_named};
pub use states::{Groups, STATE_FORMAT, States};
