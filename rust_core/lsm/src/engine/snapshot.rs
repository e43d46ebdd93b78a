//! Snapshots: sequence numbers that reads use, registered so that compaction keeps what they see.
//!
//! A snapshot is registered and the boundaries of a compaction are taken under one lock: either the
//! compaction sees the snapshot, or the snapshot is at least as new as what was visible then.

use std::sync::Arc;

use phantom_base::sync::Ordering;

use super::{Engine, Inner, Seq};

/// A state of all keyspaces at one sequence number; compaction keeps what it sees until it drops.
pub struct Snapshot {
    seq: u64,
    inner: Arc<Inner>,
}

impl Snapshot {
    /// The last write that it sees.
    pub fn seq(&self) -> Seq {
        Seq(self.seq)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let mut snapshots = self.inner.snapshots.lock();
        if let Some(count) = snapshots.get_mut(&self.seq) {
            *count -= 1;
            if *count == 0 {
                snapshots.remove(&self.seq);
            }
        }
    }
}

impl Engine {
    /// Pins the present state of all keyspaces.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshots = self.inner.snapshots.lock();
        let seq = self.inner.visible.load(Ordering::Acquire);
        *snapshots.entry(seq).or_default() += 1;
        Snapshot { seq, inner: self.inner.clone() }
    }

    /// Pins the present state, and says which position under `id` it holds.
    pub fn snapshot_at_position(&self, id: u64) -> (Snapshot, u64) {
        let commit = self.inner.commit.lock();
        let position = commit.positions.get(&id).copied().unwrap_or(0);
        (self.snapshot(), position)
    }
}

impl Inner {
    /// The sequence numbers that reads use now or will: what is visible, and the snapshots.
    pub(super) fn boundaries(&self) -> Vec<u64> {
        let snapshots = self.snapshots.lock();
        let visible = self.visible.load(Ordering::Acquire);
        let mut boundaries: Vec<u64> = snapshots.keys().copied().collect();
        if boundaries.last() != Some(&visible) {
            boundaries.push(visible);
        }
        boundaries
    }
}
