//! Whole nodes behind their doors: over the simulated network, under a seed, and on the machine's
//! sockets.
//!
//! ```text
//! cluster     nodes with doors, disks and clocks; control decides for each
//! trouble     what goes wrong with machines, drawn by the seed; seeds says which seeds
//! client      a client of PostgreSQL's protocol that says and hears bytes
//! doors       what a client may count on, whatever it does to its connection
//! encrypted   the same with certificates, and who is let in by them
//! links       what a pair of nodes may
//! chaos       drawn trouble on every socket
//! sockets     the thread, on the machine's sockets
//! statements  what statements are told, at every step and under drawn trouble
//! trace       a seed gives the same run in every process
//! upgrade     the bytes of former releases
//! ```

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod client;
#[path = "../../../node/tests/kit/clock.rs"]
mod clock;
mod cluster;
mod control;
mod doors;
mod encrypted;
mod links;
#[path = "../../../node/tests/kit/seeds.rs"]
mod seeds;
mod sockets;
mod statements;
#[path = "../../../node/tests/kit/trace.rs"]
mod trace;
#[path = "../../../node/tests/kit/trouble.rs"]
mod trouble;
mod upgrade;

/// What the trace of a seed is of.
fn traced(seed: u64) -> impl std::fmt::Debug {
    statements::scenario::run(seed)
}
