//! SQL inside one node: text to a bound tree, a bound tree to rows.
//!
//! - `parse` is PostgreSQL's grammar; `bind` turns its tree into `bound`: no names, no overloads,
//!   no implicit casts left; `point` runs statements by key; `execute` runs everything else in
//!   budgeted steps over batches.
//! - Storage comes in through the traits of `execute`; the catalog is an immutable snapshot.
//! - Nothing here knows which node it runs on, networks, other shards, clocks or threads.

pub mod bind;
pub mod bound;
pub mod catalog;
pub mod execute;
pub mod parse;
pub mod point;
pub mod settings;
pub mod statement;

pub use bind::{prepare, split};
