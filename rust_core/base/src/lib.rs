//! The ground that every crate stands on: names of things, time, errors, ordered collections, and
//! the few traits through which the outside world comes in.
//!
//! - Nothing here performs I/O, reads a clock or draws randomness: it only says how others do.
//! - `Error` is the one answer a client can get, with all of PostgreSQL's fields; each crate keeps
//!   an enum of its own and converts at its border.
//! - Collections whose order can be seen are ordered (`Map`, `Set`); `HashIndex` is for look-ups
//!   only and must never be iterated where the order can reach an answer, a file or a message.

pub mod bytes;
mod collections;
mod error;
mod hlc;
mod ids;
pub mod marks;
pub mod mutants;
pub mod sync;
mod world;

pub use collections::{HashIndex, Map, Set, hash_index};
pub use error::{Error, Fields as ErrorFields, Place, Result, Severity, SqlState, sqlstate};
pub use hlc::{ClockAhead, Hlc, OFFSET_MAX_MS, Timestamp};
pub use ids::{GroupId, LogIndex, Lsn, NodeId, ReplicaId, Term};
pub use world::{Clock, Nanos, Random, SeededRandom, Spawner};
