//! Client protocols as sans-IO sessions: bytes in, bytes and requests out.
//!
//! A session performs no I/O, reads no clock and knows no node. What it needs done it asks for with
//! a `Request` and goes on when it is told the `Outcome`; so the same session runs under a trio
//! loop, under a simulator and in a test that feeds it one byte at a time.

pub mod pg;
