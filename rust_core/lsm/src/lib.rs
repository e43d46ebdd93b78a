//! The storage engine: memtable, tables, manifest, compaction, snapshots.
