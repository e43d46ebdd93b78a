//! The doors over the simulated network, and the thread over the machine's.
//!
//! ```text
//! cluster    nodes with doors, disks, clocks and a control plane, under a seed
//! client     a client of PostgreSQL's protocol that says and hears bytes
//! doors      what a client may count on
//! links      what a pair of nodes may
//! chaos      drawn trouble: every statement ends, and nothing is held for who has gone
//! sockets    the thread, on the machine's sockets
//! ```

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod client;
mod cluster;
mod doors;
mod links;
mod sockets;
