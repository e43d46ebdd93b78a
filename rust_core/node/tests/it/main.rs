//! Replication of several members in one process, on simulated disks, under a seed. Whole nodes are
//! in the reactor's tests.
//!
//! ```text
//! machines    nodes with disks and clocks, and what runs on them; links are what lies between
//! trouble     what goes wrong with machines, drawn by the seed; seeds says which seeds
//! world       machines with replication alone, and their judge: chaos, room and rules are its tests
//! trace       a seed gives the same run in every process
//! threads     the same objects with real threads
//! starts      how long nodes take to serve
//! late        clocks that are wrong and disks that are slow, one case each
//! ```
//!
//! What lies in `kit` is shared with the tests of whole nodes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
#[path = "../kit/clock.rs"]
mod clock;
mod judge;
mod late;
mod links;
mod machines;
mod room;
mod rules;
#[path = "../kit/seeds.rs"]
mod seeds;
mod starts;
mod threads;
#[path = "../kit/trace.rs"]
mod trace;
#[path = "../kit/trouble.rs"]
mod trouble;
mod world;

/// What the trace of a seed is of.
fn traced(seed: u64) -> impl std::fmt::Debug {
    chaos::run(seed)
}
