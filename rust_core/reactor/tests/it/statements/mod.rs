//! Whole nodes in one process: statements of clients, in PostgreSQL's bytes, under a seed.
//!
//! `chaos` in the node's tests asks whether replication keeps what it said. Here the same is asked from
//! the outside, of everything that a statement goes through: session, plan cache, gateway, flow, leader,
//! latches, log, tables, and back.
//!
//! ```text
//! scenario    clients under trouble, and what must hold when it has ended
//! workload    clients that insert, add, read and scan, and are told what became of it
//! cancels     what was cancelled answers nothing that comes after it
//! checker     what may be read after what was told; knows no node
//! client      one connection: messages out, one answer in
//! control     the rows that make a table
//! costly      statements that take long by what they compute
//! damage      every byte of a node's files flipped, asked through the same door
//! returns     a leader is left, and comes back to lead
//! resets      a link goes at every step of a statement
//! verbs       what a test asks of a cluster in one call
//! ```

mod cancels;
mod checker;
pub mod client;
pub mod control;
mod costly;
mod damage;
mod resets;
mod returns;
pub mod scenario;
mod verbs;
mod workload;
