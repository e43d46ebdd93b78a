//! The engine beside an oracle: under many options, crashes, faults and rot.
#![allow(clippy::unwrap_used, clippy::similar_names, clippy::needless_range_loop)]

mod crash;
mod faults;
mod oracle;
mod rot;
mod same;
mod threads;
mod verbs;
