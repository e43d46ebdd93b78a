//! NodeCore: storage, replication, requests and sessions of one node behind one object.
