//! The node's one log: frames, segments, group commit, recovery, reclaim.

mod error;
mod record;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use phantom_base::{Clock, Lsn, Nanos};
use phantom_vfs::Vfs;

pub use error::{Error, Result};
pub use record::{Bounds, Entries, Entry, Level, Reclaimed, Record, Stream, Ticket};

/// How a log is opened.
#[derive(Clone)]
pub struct LogOptions {
    /// The database that the log belongs to; frames of another never verify.
    pub database: [u8; 16],
    /// Size of a segment in bytes, a multiple of 32 KiB; 4 MiB by default.
    pub segment_bytes: u32,
    /// Memory for entries kept for `read`, in bytes.
    pub entry_cache_bytes: usize,
    /// For `pending_age` alone.
    pub clock: Arc<dyn Clock>,
}

/// The log. Shared between threads by reference; no method but `commit` waits for a disk.
pub struct Log {}

/// A write or a sync that the log wants done, by whichever thread has time for it.
pub struct Work {}

impl Work {
    /// Performs it: the only place where the log waits for a disk after it was opened.
    pub fn run(&mut self) -> io::Result<()> {
        unimplemented!()
    }
}

/// What recovery found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Bytes of segments read.
    pub bytes: u64,
    /// Bytes cut as a torn tail; none of them was ever acknowledged.
    pub cut_bytes: u64,
}

impl Log {
    /// Opens or makes the log in `dir` (which exists). Batches are handed to `sink` with the
    /// address of their end, in order; streams and slots are kept here.
    pub fn open(
        fs: Arc<dyn Vfs>,
        dir: &Path,
        options: LogOptions,
        sink: &mut dyn FnMut(Lsn, Record<'_>) -> Result<()>,
    ) -> Result<Self> {
        let _ = (fs, dir, options, sink);
        unimplemented!()
    }
    /// What recovery found when the log was opened.
    pub fn recovered(&self) -> Recovered {
        unimplemented!()
    }
    /// Queues records, in order and adjacent; returns the address of their end.
    pub fn push(&self, records: &[Record<'_>]) -> Result<Lsn> {
        let _ = records;
        unimplemented!()
    }
    /// The end of what was handed to the operating system.
    pub fn written(&self) -> Lsn {
        unimplemented!()
    }
    /// The end of what survives a crash.
    pub fn durable(&self) -> Lsn {
        unimplemented!()
    }
    /// The end of what was pushed.
    pub fn end(&self) -> Lsn {
        unimplemented!()
    }
    /// Answers `ticket` once everything below `at` has reached `level`; `Durable` asks for a sync.
    pub fn notify(&self, at: Lsn, level: Level, ticket: Ticket) {
        let _ = (at, level, ticket);
    }
    /// Takes the tickets answered since the last call, in the order of their addresses.
    pub fn take_completed(&self) -> Vec<(Ticket, Result<()>)> {
        unimplemented!()
    }
    /// Asks for one step of work; `None` while another step runs or nothing is wanted.
    pub fn work(&self) -> Option<Work> {
        unimplemented!()
    }
    /// Says how a step ended. The first failure poisons the log.
    pub fn done(&self, work: Work, result: io::Result<()>) {
        let _ = (work, result);
    }
    /// Waits until there is work, `timeout` passed or the log was closed; for a worker thread.
    /// Returns false once the log was closed and nothing is left to do.
    pub fn wait_for_work(&self, timeout: Duration) -> bool {
        let _ = timeout;
        unimplemented!()
    }
    /// Performs work on this thread, or waits for whoever does, until all below `at` is at `level`.
    pub fn commit(&self, at: Lsn, level: Level) -> Result<()> {
        let _ = (at, level);
        unimplemented!()
    }
    /// Writes an idle record if everything is durable and none stands at the end yet, so that
    /// damage in the last group cannot pass for a torn tail. Call it after 100 ms without a push.
    pub fn push_idle(&self) -> Result<()> {
        unimplemented!()
    }
    /// Age of the oldest unsynced record that somebody wants durable; over 1 s is a disk stall.
    pub fn pending_age(&self, now: Nanos) -> Nanos {
        let _ = now;
        unimplemented!()
    }
    /// What the stream holds; zeros for an unknown one (`first` is then 1).
    pub fn bounds(&self, stream: Stream) -> Bounds {
        let _ = stream;
        unimplemented!()
    }
    /// The term of an entry held, or of the one right before the first.
    pub fn term_at(&self, stream: Stream, index: u64) -> Option<u64> {
        let _ = (stream, index);
        unimplemented!()
    }
    /// Entries from `from` on, up to `bytes_max` but at least one; none if `from` is past the last.
    pub fn read(&self, stream: Stream, from: u64, bytes_max: usize) -> Result<Entries> {
        let _ = (stream, from, bytes_max);
        unimplemented!()
    }
    /// The latest value of a stream's slot.
    pub fn state(&self, stream: Stream, slot: u16) -> Option<Arc<[u8]>> {
        let _ = (stream, slot);
        unimplemented!()
    }
    /// The latest value of one of the node's slots.
    pub fn node_state(&self, slot: u64) -> Option<Arc<[u8]>> {
        let _ = slot;
        unimplemented!()
    }
    /// The streams that hold anything, in order.
    pub fn streams(&self) -> Vec<Stream> {
        unimplemented!()
    }
    /// Removes the oldest segments that nothing needs: batches below `batches_below` are in tables.
    pub fn reclaim(&self, batches_below: Lsn) -> Result<Reclaimed> {
        let _ = batches_below;
        unimplemented!()
    }
    /// Ends `wait_for_work` once everything wanted is done.
    pub fn close(&self) {}
}
