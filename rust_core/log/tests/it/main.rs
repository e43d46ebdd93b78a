//! The log under crashes, faults and rot, beside a model of it.
#![allow(clippy::unwrap_used, clippy::similar_names)]

mod crash;
mod faults;
mod model;
mod work;
