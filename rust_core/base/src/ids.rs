//! Names of nodes, groups, terms, entries and log addresses, as types that cannot be mixed up.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($raw:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $raw);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }
    };
}

id!(
    /// A process of the cluster; 0 is nobody. Never reused.
    NodeId(u32), "n"
);
id!(
    /// A shard's Raft group; 1 is the system group, 2 the first group of rows.
    GroupId(u64), "g"
);
id!(
    /// One copy of a group on one node; a replica that comes back is a new one.
    ReplicaId(u32), "r"
);
id!(
    /// The number of a leadership; 0 is before the first election.
    Term(u64), "t"
);
id!(
    /// The number of an entry in its group's log; 0 is before the first entry.
    LogIndex(u64), "i"
);
id!(
    /// An address in the node's one log, in bytes since its beginning; never used twice.
    Lsn(u64), "@"
);

impl NodeId {
    /// Who is meant where no node is known.
    pub const NONE: Self = Self(0);
}

impl GroupId {
    /// Nodes and catalog.
    pub const SYSTEM: Self = Self(1);
    /// The first group of rows.
    pub const ROWS: Self = Self(2);
}

impl Term {
    /// The term after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(
            self.0
                .checked_add(1)
                .expect("a term is counted by elections, and 2^64 of them never happen"),
        )
    }
}

impl LogIndex {
    /// The index after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(
            self.0
                .checked_add(1)
                .expect("an index is counted by entries, and 2^64 of them never happen"),
        )
    }

    /// The index before this one; of index 0 there is none, so it stays 0.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}
