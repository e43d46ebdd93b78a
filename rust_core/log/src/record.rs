//! What the log holds: records, and the words for their parts.
//!
//! ```text
//! kind       payload (little endian)
//! batch   1  first_seq u64 | count u32 | ops
//! append  2  stream u64 | first index u64 | [term u64 | len u32 | bytes]
//! moved   3  as append, but cuts nothing; not read by this release (0A000)
//! state   4  stream u64 | slot u16 | bytes
//! node    5  slot u64 | bytes
//! release 6  stream u64 | index u64 | term u64 of that entry
//! drop    7  stream u64
//! idle    8  -
//! trailer 9  -
//! ```
//!
//! The log never looks into `ops` or into an entry's bytes.

use phantom_base::Lsn;
use std::sync::Arc;

/// A numbered sequence of entries with slots of state beside it. The caller chooses the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream(pub u64);

/// An entry to append; its index follows from its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The term in which it was proposed.
    pub term: u64,
    /// Its content.
    pub bytes: &'a [u8],
}

/// A record to push, or one that was read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Operations of the engine's plain writes.
    Batch {
        /// The sequence number of the first operation.
        first_seq: u64,
        /// How many operations there are.
        count: u32,
        /// Packed operations.
        ops: &'a [u8],
    },
    /// Entries `first..`. If `first` is at or below the last entry, that one and all after it are
    /// cut first; `first` is never above the last entry plus one, nor at or below what was released.
    Append {
        /// The stream.
        stream: Stream,
        /// The index of the first entry.
        first: u64,
        /// The entries; at least one.
        entries: &'a [Entry<'a>],
    },
    /// The latest value of a stream's slot (term and vote, configuration).
    State {
        /// The stream.
        stream: Stream,
        /// The slot.
        slot: u16,
        /// Its new value.
        bytes: &'a [u8],
    },
    /// The latest value of one of the node's slots.
    Node {
        /// The slot.
        slot: u64,
        /// Its new value.
        bytes: &'a [u8],
    },
    /// Entries up to `index` are not needed any more. An index past the last entry drops all
    /// entries and lets the stream go on behind it (a snapshot was installed).
    Release {
        /// The stream.
        stream: Stream,
        /// The last index to let go.
        index: u64,
        /// The term of the entry at `index`, remembered for `term_at`.
        term: u64,
    },
    /// Forgets a stream: its entries and its slots.
    Drop {
        /// The stream.
        stream: Stream,
    },
}

/// What a stream holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The first index held; `last + 1` when no entry is held.
    pub first: u64,
    /// The last index held; 0 of a stream that never had one.
    pub last: u64,
    /// The term of the entry at `first - 1`; 0 at the beginning.
    pub term_before: u64,
}

/// Entries read back, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// The index of the first of `list`.
    pub first: u64,
    /// Term and content of each.
    pub list: Vec<(u64, Arc<[u8]>)>,
}

/// When a ticket is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// When the record was handed to the operating system.
    Written,
    /// When the record survives a crash.
    Durable,
}

/// The caller's name for something that waits.
pub type Ticket = u64;

/// What `reclaim` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Bytes of removed segments.
    pub freed_bytes: u64,
    /// Slots written again at the head because they alone held the oldest segment.
    pub moved: usize,
    /// Streams whose entries hold the oldest segment.
    pub holders: Vec<Stream>,
    /// Whether plain batches hold the oldest segment: a flush would free it.
    pub held_by_batches: bool,
    /// The oldest address that the log still holds.
    pub oldest: Lsn,
}
