//! NodeCore: storage, replication, requests and sessions of one node behind one object.
//!
//! - `replication` joins the Raft machine, the log, the engine and the clock: groups of replicas
//!   whose committed entries are applied here.
//! - Above it stand `leader`, the work at one group that this node leads; `gateway`, the statements of
//!   this node that leaders carry out; and `session`, its clients. Each knows those below it alone.
//! - `core` moves them all. `catalog` is what this node has applied of tables.
//! - `frame` and `link` are the bytes between nodes; `runtime` is the threads, or, in a simulation,
//!   the queues of jobs in their place.

/// What this release can read that the first could not, a bit each; part of every handshake. Nothing
/// of it is proposed before all members have named it.
///
/// ```text
/// 1    promises between nodes, and leases that rest on them
/// ```
pub const FEATURES: u64 = 1;

mod catalog;
pub mod claim;
pub mod control;
pub mod core;
pub mod frame;
pub mod gateway;
mod kept;
pub mod leader;
pub mod link;
pub mod replication;
pub mod runtime;
#[cfg(test)]
mod scripts;
pub mod session;
