//! Replication of several nodes in one process, on simulated disks, under a seed.
