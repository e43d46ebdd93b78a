//! Whole nodes in one process: statements of clients, in PostgreSQL's bytes, under a seed.
//!
//! `chaos` beside this asks whether replication keeps what it said. Here the same is asked from the
//! outside, of everything that a statement goes through: session, plan cache, gateway, flow, leader,
//! latches, log, tables, and back.
//!
//! ```text
//! client      one connection: messages out, one answer in
//! cluster     nodes, disks and clocks; links between nodes; the control plane's part
//! ```

#![expect(dead_code, reason = "a scenario with trouble uses all of it")]

pub mod client;
pub mod cluster;
pub mod control;
mod damage;
mod links;
