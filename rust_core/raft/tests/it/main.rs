//! The machine whole: scripts whose file name is the claim, and clusters under a seed.

mod cluster;
mod leases;
mod lies;
mod random;
mod rules;
mod scripts;
