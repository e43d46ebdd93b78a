//! Writing: batches through the log, and committed entries that the log already holds.
//!
//! - `write`: checked and admitted outside all locks; under the commit lock it gets its sequence
//!   numbers, is pushed to the log and put into the memtable, and becomes visible; then it waits for
//!   as much as was asked. A crash may undo a batch that somebody has read and nobody was promised; so
//!   may a failed write of the log, after which reads go on as before and every write is refused.
//! - `apply`: logs nothing. Its positions are saved by the flush that saves its writes, and that flush
//!   waits until the log is durable up to `needs`.
//!
//! Writes wait while flushes or compactions are too far behind. The writer takes a job itself if one
//! is due, so that a runtime without threads never waits for nobody; unless it is told not to, for a
//! whole compaction may take far longer than what it waits for.

use std::sync::Arc;
use std::time::Duration;

use phantom_base::sync::Ordering;
use phantom_base::{Lsn, mark};
use phantom_log::{Level, Record};

use super::{Commit, Engine, Inner};
use crate::batch::{BATCH_BYTES_MAX, KEY_BYTES_MAX, Ops, VALUE_BYTES_MAX};
use crate::memtable::Memtable;
use crate::options::disk_reserve;
use crate::version::View;
use crate::{Error, Result, Source, key};

/// How often a waiting writer looks again.
const STALL_STEP: Duration = Duration::from_millis(20);
/// Bytes written between two looks at the disk's room.
const SPACE_STEP: u64 = 1 << 20;

/// The number of a write in one engine, 56 bits; never on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(pub u64);

/// How long `write` waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Not at all: the caller asks `Log::notify` or `Log::commit`.
    Queued,
    /// Until the operating system has it.
    Os,
    /// Until it survives a crash.
    Disk,
}

impl Engine {
    /// Writes a batch to keyspaces fed by batches: logged, then in memory, then as durable as asked.
    /// Returns the last sequence number and the log address behind the batch. Refused whole, or of
    /// unknown outcome (40003) if the log fails under it.
    pub fn write(&self, batch: &[u8], durability: Durability) -> Result<(Seq, Lsn)> {
        let inner = &self.inner;
        let count = inner.check(batch, Source::Batch)?;
        if count == 0 {
            let seq = inner.visible.load(Ordering::Acquire);
            return Ok((Seq(seq), inner.log.durable()));
        }
        inner.admit_space(batch.len() as u64)?;
        Inner::admit_debt(inner)?;
        inner.refuse_if_poisoned()?;
        let (seq, lsn) = {
            let mut commit = inner.commit.lock();
            let first_seq = commit.next_seq;
            let lsn = inner.log.push(&[Record::Batch { first_seq, count, ops: batch }])?;
            let seq = inner.insert(&mut commit, batch, |saved| saved.batches_end = lsn);
            inner.rotate_if_full(&mut commit, lsn);
            (seq, lsn)
        };
        match durability {
            Durability::Queued => {}
            Durability::Os => inner.log.commit(lsn, Level::Written)?,
            Durability::Disk => inner.log.commit(lsn, Level::Durable)?,
        }
        Ok((seq, lsn))
    }

    /// Applies what committed entries say to keyspaces fed by streams; logs nothing. `positions` are
    /// saved with the flush that saves the batch (0 forgets one); `needs` is the address behind the
    /// newest entry. The writes of one key in a versioned keyspace come in the order of timestamps.
    pub fn apply(&self, batch: &[u8], positions: &[(u64, u64)], needs: Lsn) -> Result<Seq> {
        let inner = &self.inner;
        inner.check(batch, Source::Stream)?;
        Inner::admit_debt(inner)?;
        inner.refuse_if_poisoned()?;
        let mut commit = inner.commit.lock();
        let seq = inner.insert(&mut commit, batch, |saved| {
            saved.positions.extend(positions.iter().copied());
            saved.needs = saved.needs.max(needs);
        });
        for (id, value) in positions {
            commit.positions.insert(*id, *value);
        }
        inner.rotate_if_full(&mut commit, needs);
        Ok(seq)
    }
}

impl Inner {
    /// Checks a batch of the caller's; returns how many operations it has.
    fn check(&self, batch: &[u8], source: Source) -> Result<u32> {
        let too_large = |what, bytes, limit| Err(Error::TooLarge { what, bytes, limit });
        if batch.len() > BATCH_BYTES_MAX {
            return too_large("a batch", batch.len(), BATCH_BYTES_MAX);
        }
        let mut count = 0;
        for op in Ops::new(batch) {
            let op = op?;
            let (_, options) = self.keyspace(op.keyspace)?;
            if options.source != source {
                let what = format!("{:?} is fed by {:?}", op.keyspace, options.source);
                return Err(Error::InvalidArgument { what });
            }
            if op.key.len() > KEY_BYTES_MAX {
                return too_large("a key", op.key.len(), KEY_BYTES_MAX);
            }
            if op.value.len() > VALUE_BYTES_MAX {
                return too_large("a value", op.value.len(), VALUE_BYTES_MAX);
            }
            if options.versioned && op.key.len() < key::TIMESTAMP_BYTES {
                let what = format!("a key of {:?} has no timestamp", op.keyspace);
                return Err(Error::InvalidArgument { what });
            }
            count += 1;
        }
        Ok(count)
    }

    /// Puts a checked batch into the memtable and makes it visible.
    pub(super) fn insert(
        &self,
        commit: &mut Commit,
        batch: &[u8],
        note: impl FnOnce(&mut crate::memtable::Saved),
    ) -> Seq {
        let view = self.view.load();
        let mut seq = commit.next_seq;
        for op in Ops::new(batch) {
            let op = op.expect("the batch was checked");
            let (place, options) = self.keyspace(op.keyspace).expect("the batch was checked");
            let list = &view.active.lists[place];
            if options.versioned {
                list.note_timestamp(key::split(op.key).1);
            }
            list.insert(op.key, key::tag(seq, op.kind), op.value);
            seq += 1;
        }
        assert!(seq <= key::SEQ_MAX, "56 bits of sequence numbers are used up");
        commit.next_seq = seq;
        let last = seq - 1;
        let mut saved = view.active.saved.lock();
        saved.last_seq = last;
        note(&mut saved);
        self.visible.store(last, Ordering::Release);
        Seq(last)
    }

    pub(super) fn rotate_if_full(&self, commit: &mut Commit, log_end: Lsn) {
        let active = self.view.load().active.clone();
        let logged = log_end.0.saturating_sub(active.saved.lock().log_start.0);
        if active.bytes() >= self.options.memtable_bytes
            || logged >= self.options.memtable_log_bytes
        {
            self.rotate(commit);
        }
    }

    /// Freezes the memtable unless it is empty. The commit lock keeps writers out.
    pub(super) fn rotate(&self, _: &mut Commit) {
        let changing = self.view_change.lock();
        let view = self.view.load_full();
        if view.active.is_empty() {
            return;
        }
        let mut frozen = vec![view.active.clone()];
        frozen.extend(view.frozen.iter().cloned());
        let active = Memtable::new(self.options.keyspaces.len(), self.log.end());
        self.view.store(Arc::new(View { active, frozen, levels: view.levels.clone() }));
        drop(changing);
        let _tree = self.tree.lock();
        self.progress.notify_all();
    }

    /// How far behind the work is, in thousandths of what makes writes wait; with what it counts.
    fn debt(&self) -> (usize, usize, usize) {
        let view = self.view.load();
        let frozen = view.frozen.len();
        let l0 = view.levels.iter().map(|levels| levels.tables(0).len()).max().unwrap_or(0);
        let of = |n: usize, max: usize| n * 1_000 / max.max(1);
        (of(frozen, self.options.frozen_max).max(of(l0, self.options.l0_max)), frozen, l0)
    }

    /// Waits, working if it may, until flushes and compactions have caught up; `Stalled` after `stall_max`.
    fn admit_debt(inner: &Arc<Self>) -> Result<()> {
        let mut left = inner.options.stall_max;
        let mut stalled = false;
        loop {
            let (debt, frozen, l0) = inner.debt();
            if debt < 1_000 {
                return Ok(());
            }
            if !stalled {
                inner.counters.stalls.fetch_add(1, Ordering::Relaxed);
                stalled = true;
            }
            let job = if inner.options.writers_work { Self::next_job(inner) } else { None };
            if let Some(job) = job {
                match job.run() {
                    Ok(()) => continue,
                    // It was undone and waits for room; so does this write, as long as it may.
                    Err(error) if error.is_disk_full() => {}
                    Err(error) => return Err(error),
                }
            }
            if left.is_zero() {
                return Err(Error::Stalled { frozen, l0 });
            }
            let step = left.min(STALL_STEP);
            let mut tree = inner.tree.lock();
            inner.progress.wait_for(&mut tree, step);
            left -= step;
        }
    }

    /// Refuses a write while the disk has less than the reserve; asks it once a MiB.
    fn admit_space(&self, bytes: u64) -> Result<()> {
        let mut check = self.space.lock();
        check.since += bytes;
        if check.since < SPACE_STEP && !check.read_only {
            return Ok(());
        }
        let space = self.fs.space().map_err(|e| Error::io("ask for the disk's room", &e))?;
        let reserve = disk_reserve(self.options.disk_reserve, space.total);
        check.read_only = space.free < reserve.saturating_add(bytes);
        check.since = 0;
        if check.read_only {
            return Err(Error::DiskFull { free: space.free, reserve });
        }
        Ok(())
    }

    /// Refuses a compaction whose output could use up the room that flushes, the log and votes
    /// need: for a while, its inputs and its output are both there.
    pub(super) fn admit_compaction(&self, bytes: u64) -> Result<()> {
        let space = self.fs.space().map_err(|e| Error::io("ask for the disk's room", &e))?;
        let kept = disk_reserve(self.options.disk_reserve, space.total) / 4;
        if space.free < kept.saturating_add(bytes) {
            mark!("compaction_waits_for_room");
            return Err(Error::DiskFull { free: space.free, reserve: kept });
        }
        Ok(())
    }
}
