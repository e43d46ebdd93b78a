//! The memtable: the newest writes of all keyspaces, one skiplist each, frozen and flushed together.
//!
//! Beside the writes it keeps what its flush has to know: where the log's batches in it end, up to
//! where the log must be durable before a table may say so (D5), and the positions that its entries
//! were applied at.

mod arena;
mod skiplist;

use std::sync::Arc;

use phantom_base::sync::Mutex;
use phantom_base::{Lsn, Map};

pub(crate) use skiplist::{Entry, Position, SkipList};

pub(crate) struct Memtable {
    /// By the keyspace's place in the options.
    pub lists: Vec<SkipList>,
    pub saved: Mutex<Saved>,
}

/// What the flush edit says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Saved {
    /// The end of the log when the memtable was begun.
    pub log_start: Lsn,
    /// The address behind its last batch; 0 without one.
    pub batches_end: Lsn,
    /// The log must be durable to here before the flush edit is written.
    pub needs: Lsn,
    pub positions: Map<u64, u64>,
    pub last_seq: u64,
}

impl Memtable {
    pub fn new(keyspaces: usize, log_start: Lsn) -> Arc<Self> {
        Arc::new(Self {
            lists: (0..keyspaces).map(|_| SkipList::new()).collect(),
            saved: Mutex::new(Saved { log_start, ..Saved::default() }),
        })
    }

    pub fn bytes(&self) -> usize {
        self.lists.iter().map(SkipList::bytes).sum()
    }

    /// Whether a flush of it would say nothing.
    pub fn is_empty(&self) -> bool {
        self.lists.iter().all(SkipList::is_empty) && {
            let saved = self.saved.lock();
            saved.positions.is_empty() && saved.batches_end == Lsn(0)
        }
    }
}

/// Walks one list of a memtable, which it keeps alive.
pub(crate) struct MemCursor {
    memtable: Arc<Memtable>,
    keyspace: usize,
    at: Position,
}

impl MemCursor {
    pub fn new(memtable: Arc<Memtable>, keyspace: usize) -> Self {
        let at = memtable.lists[keyspace].first();
        Self { memtable, keyspace, at }
    }

    fn list(&self) -> &SkipList {
        &self.memtable.lists[self.keyspace]
    }

    pub fn entry(&self) -> Option<Entry<'_>> {
        self.list().entry(self.at)
    }

    pub fn seek(&mut self, key: &[u8], tag: u64) {
        self.at = self.list().seek(key, tag);
    }

    pub fn seek_before(&mut self, key: &[u8], tag: u64) {
        self.at = self.list().seek_before(key, tag);
    }

    pub fn seek_last(&mut self) {
        self.at = self.list().last();
    }

    pub fn seek_first(&mut self) {
        self.at = self.list().first();
    }

    pub fn next(&mut self) {
        self.at = self.list().next(self.at);
    }

    pub fn prev(&mut self) {
        if let Some(entry) = self.entry() {
            self.at = self.list().seek_before(entry.key, entry.tag);
        }
    }
}
