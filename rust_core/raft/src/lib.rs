//! Many Raft groups of one node as one sans-IO machine.
