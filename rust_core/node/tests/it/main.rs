//! Replication, and whole nodes, of several members in one process, on simulated disks, under a seed.
//!
//! ```text
//! machines    nodes with disks and clocks, and what runs on them; links are what lies between
//! trouble     what goes wrong with machines, drawn by the seed; seeds says which seeds
//! world       machines with replication alone, and their judge: chaos, room and rules are its tests
//! statements  machines with whole nodes, and their clients
//! trace       a seed gives the same run in every process
//! threads     the same objects with real threads
//! late        clocks that are wrong and disks that are slow, one case each
//! upgrade     the bytes of former releases
//! ```

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod judge;
mod late;
mod links;
mod machines;
mod room;
mod rules;
mod seeds;
mod statements;
mod threads;
mod trace;
mod trouble;
mod upgrade;
mod world;
