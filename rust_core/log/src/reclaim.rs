//! Which segments may go, oldest first.
//!
//! A segment goes when it is closed and durable, its batches lie below the flushed address, no
//! stream has an entry in it, and no slot's latest value is in it. Slots that alone hold it are
//! written again at the head, and it goes once the copies are durable. One file at a time, with a
//! sync of the directory each: a gap between segments would read as a lost file.

use std::path::Path;

use phantom_base::Lsn;
use phantom_vfs::Vfs;

use crate::Error;
use crate::index::{Index, Segment};
use crate::queue::Queue;
use crate::record::Stream;
use crate::recover::path_of;

/// What stands in the way of the oldest segment.
pub(crate) enum Oldest {
    /// Nothing: it was taken out of the index.
    Free(Lsn, Segment),
    /// Slots alone: write those in this range again.
    Slots(Lsn, Lsn),
    /// It is still written, or a record that freed it is not durable yet.
    Busy,
    Batches,
    Entries,
}

pub(crate) fn oldest(index: &mut Index, queue: &Queue, batches_below: Lsn) -> Oldest {
    // The newest segment stays, and the one before it until its file is durable: from an empty
    // directory the log would start over, and addresses would be used twice.
    let is_followed = index.segments.values().nth(1).is_some_and(|next| next.file.is_some());
    let Some(first) = index.segments.first_entry() else { return Oldest::Busy };
    let (base, segment) = (*first.key(), first.get());
    if !is_followed || segment.end > queue.durable {
        return Oldest::Busy;
    }
    if segment.batches_end > batches_below {
        return Oldest::Batches;
    }
    if segment.live_entries > 0 {
        return Oldest::Entries;
    }
    if segment.live_slots > 0 {
        return Oldest::Slots(base, segment.end);
    }
    if segment.freed_at > queue.durable {
        return Oldest::Busy;
    }
    let (base, segment) = first.remove_entry();
    Oldest::Free(base, segment)
}

/// The streams with entries in the oldest segment.
pub(crate) fn holders(index: &Index) -> Vec<Stream> {
    let Some(segment) = index.segments.values().next() else { return Vec::new() };
    let held = |first: Option<&crate::index::Slotted>| first.is_some_and(|e| e.lsn < segment.end);
    let streams = index.streams.iter().filter(|(_, state)| held(state.entries.front()));
    streams.map(|(stream, _)| *stream).collect()
}

/// Removes the file of a segment that was taken out of the index.
pub(crate) fn remove(fs: &dyn Vfs, dir: &Path, number: u64) -> std::result::Result<(), Failed> {
    let path = path_of(dir, number);
    fs.remove(&path)
        .map_err(|e| Failed::Remove(Error::io(format!("remove {}", path.display()), &e)))?;
    fs.sync_dir(dir).map_err(|e| Failed::Sync(format!("sync {}: {e}", dir.display())))
}

pub(crate) enum Failed {
    /// The file is still there.
    Remove(Error),
    /// It may come back after a crash, and a gap with it.
    Sync(String),
}
