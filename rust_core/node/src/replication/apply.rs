//! The apply worker: committed entries into the engine, in order, and nothing evaluated.
//!
//! Entries of a range are applied together up to a bound, in one engine batch with the group's
//! position and its *running hash*: each entry's bytes hashed with the hash before as the seed.
//! Replicas that applied the same entries have the same hash, so a divergence is seen at once. It
//! lies under the group's number in the keyspace of what a group knows of itself, and so is flushed
//! with the position that it belongs to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use phantom_base::bytes::Reader;
use phantom_base::sync::Mutex;
use phantom_base::{GroupId, LogIndex, Map, Term};
use phantom_log::Stream;
use phantom_lsm::{Batch, Engine, Keyspace};
use phantom_raft::Committed;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::entry::{BatchBody, Decoded, decode_entry};
use super::error::{Error, Result};
use crate::runtime::{Doorbell, Mailbox, Service};

/// How much of a range is applied in one engine batch, in bytes of entries.
const CHUNK_BYTES: usize = 1 << 20;

/// Is told of every applied batch, in the order of apply, on the apply worker, before any
/// proposal is answered. After a restart it is told again of what tables do not hold.
pub trait Observer: Send {
    /// A batch is in the engine.
    fn applied(&mut self, batch: &Applied<'_>);
}

/// A batch that was applied.
#[derive(Clone, Debug)]
pub struct Applied<'a> {
    /// The group.
    pub gid: GroupId,
    /// The entry.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
    /// What it wrote.
    pub batch: BatchBody<'a>,
}

/// An observer that looks away.
pub struct NoObserver;

impl Observer for NoObserver {
    fn applied(&mut self, _: &Applied<'_>) {}
}

/// What the apply worker says.
#[derive(Debug)]
pub enum Report {
    /// A group is applied up to here.
    Applied { gid: GroupId, index: LogIndex, hash: u64 },
    /// The node must end.
    Failed(Error),
}

/// Where a group stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Applied up to here.
    pub index: LogIndex,
    /// The running hash over entries 1 to `index`.
    pub hash: u64,
}

/// The key under which a group's mark lies.
fn mark_key(gid: GroupId) -> [u8; 8] {
    gid.0.to_be_bytes()
}

/// The mark that tables hold of a group.
pub fn read_mark(engine: &Engine, gid: GroupId) -> Result<Mark> {
    let index = LogIndex(engine.position(gid.0));
    let value = engine.get(None, Keyspace::APPLIED, &mark_key(gid))?;
    let mark = match &value {
        None => Mark::default(),
        Some(bytes) => {
            let mut r = Reader::new(bytes);
            let (index, hash) = (r.u64(), r.u64());
            let (Ok(index), Ok(hash)) = (index, hash) else {
                return Err(Error::Damaged(format!("the mark of {gid}")));
            };
            Mark { index: LogIndex(index), hash }
        }
    };
    if mark.index != index {
        let marked = mark.index;
        return Err(Error::Damaged(format!("{gid}: tables hold {index}, its mark {marked}")));
    }
    Ok(mark)
}

struct State {
    ranges: VecDeque<Committed>,
    marks: Map<GroupId, Mark>,
    observer: Box<dyn Observer>,
    failed: bool,
}

/// The worker's half that the node keeps too.
pub struct Applier {
    engine: Arc<Engine>,
    mailbox: Mailbox<Report>,
    doorbell: Doorbell,
    /// Held while a chunk is applied: one apply worker a node.
    state: Mutex<State>,
    /// Ranges that came while a chunk was applied.
    arrived: Mutex<VecDeque<Committed>>,
}

impl Applier {
    /// A worker that starts from `marks`.
    pub fn new(
        engine: Arc<Engine>,
        mailbox: Mailbox<Report>,
        marks: Map<GroupId, Mark>,
        observer: Box<dyn Observer>,
    ) -> Self {
        let state = State { ranges: VecDeque::new(), marks, observer, failed: false };
        let (state, arrived) = (Mutex::new(state), Mutex::default());
        Self { engine, mailbox, doorbell: Doorbell::default(), state, arrived }
    }

    /// Hands over a range; ranges of a group follow each other.
    pub fn submit(&self, range: Committed) {
        self.arrived.lock().push_back(range);
        self.doorbell.ring();
    }

    /// There will be no more ranges.
    pub fn close(&self) {
        self.doorbell.close();
    }

    fn apply_chunk(&self, state: &mut State, range: Committed) -> Result<LogIndex> {
        let Committed { gid, first, last } = range;
        let mark = *state.marks.get(&gid).expect("every group has a mark");
        assert_eq!(mark.index.next(), first, "{gid}: applied in order, once");
        // All of the range is durable, so no flush edit need wait for more of the log than this.
        let needs = self.engine.log().durable();
        let read = self.engine.log().read(Stream(gid.0), first.0, CHUNK_BYTES)?;
        let wanted = usize::try_from(last.0 - first.0 + 1).unwrap_or(usize::MAX);
        let mut next = Mark { index: first.previous(), ..mark };
        let mut ops = Vec::new();
        let mut batches = Vec::new();
        for (term, data) in read.list.iter().take(wanted) {
            next = Mark { index: next.index.next(), hash: xxh3_64_with_seed(data, next.hash) };
            let decoded = decode_entry(data)
                .map_err(|error| Error::Damaged(format!("{gid}: entry {}: {error}", next.index)))?;
            if let Decoded::Batch(batch) = decoded {
                ops.extend_from_slice(batch.ops);
                batches.push(Applied { gid, index: next.index, term: Term(*term), batch });
            }
        }
        assert!(next.index >= first, "{gid}: the log gives what it made durable");
        let mut own = Batch::new();
        let value = [next.index.0.to_le_bytes(), next.hash.to_le_bytes()].concat();
        own.put(Keyspace::APPLIED, &mark_key(gid), &value);
        ops.extend_from_slice(own.bytes());
        self.engine.apply(&ops, &[(gid.0, next.index.0)], needs)?;
        state.marks.insert(gid, next);
        for batch in &batches {
            state.observer.applied(batch);
        }
        self.mailbox.post(Report::Applied { gid, index: next.index, hash: next.hash });
        Ok(next.index)
    }
}

impl Service for Applier {
    fn step(&self) -> bool {
        let state = &mut *self.state.lock();
        state.ranges.append(&mut self.arrived.lock());
        let Some(range) = state.ranges.front().copied().filter(|_| !state.failed) else {
            return false;
        };
        match self.apply_chunk(state, range) {
            Ok(index) if index == range.last => drop(state.ranges.pop_front()),
            Ok(index) => {
                let rest = state.ranges.front_mut().expect("the range that was begun");
                rest.first = index.next();
            }
            // Flushes are behind; the range stays where it is and is tried again.
            Err(Error::Engine(phantom_lsm::Error::Stalled { .. })) => return false,
            Err(error) => {
                state.failed = true;
                self.mailbox.post(Report::Failed(error));
            }
        }
        true
    }

    fn wait(&self, timeout: Duration) -> bool {
        self.doorbell.wait(timeout)
    }
}
