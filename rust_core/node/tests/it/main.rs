//! Replication of several nodes in one process, on simulated disks, under a seed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod judge;
mod room;
mod rules;
mod statements;
mod threads;
mod trace;
mod upgrade;
mod world;
