//! What the groups have produced and the caller has not yet taken, and what waits for the log.

use phantom_base::{GroupId, Map, NodeId, Term, Timestamp};

use crate::{BarrierAnswer, Done, Event, LogRecord, Parcel, Position};

/// The records of one `Ready`, by number. Batch 0 is what was in the log at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Batch(pub u64);

impl Batch {
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What happens once a batch is durable.
#[derive(Debug)]
pub enum Act {
    /// An answer leaves (R1).
    Send { to: NodeId, parcel: Parcel },
    /// The own vote counts (R2).
    OwnVote { gid: GroupId, term: Term },
    /// Promises may last until then.
    Promises { bound: Timestamp },
    /// Own entries count (R2).
    Durable { gid: GroupId, upto: Position },
}

/// The outbox of all groups.
#[derive(Debug)]
pub struct Out {
    /// The batch that the next record will belong to.
    pub batch: Batch,
    /// Taken by the caller, its end not yet told.
    pub unpushed: Option<Batch>,
    /// Everything up to this batch is durable.
    pub durable: Batch,
    pub records: Vec<LogRecord>,
    pub messages: Vec<(NodeId, Parcel)>,
    pub done: Vec<Done>,
    pub barriers: Vec<BarrierAnswer>,
    pub events: Vec<Event>,
    /// Proposed and not committed bytes of all groups that this node leads.
    pub uncommitted: usize,
    held: Map<Batch, Vec<Act>>,
}

impl Default for Out {
    fn default() -> Self {
        Self {
            batch: Batch(1),
            unpushed: None,
            durable: Batch(0),
            records: Vec::new(),
            messages: Vec::new(),
            done: Vec::new(),
            barriers: Vec::new(),
            events: Vec::new(),
            uncommitted: 0,
            held: Map::new(),
        }
    }
}

impl Out {
    /// Whether something waits to be taken by the caller.
    pub fn has_any(&self) -> bool {
        !(self.records.is_empty()
            && self.messages.is_empty()
            && self.done.is_empty()
            && self.barriers.is_empty()
            && self.events.is_empty())
    }

    /// Adds a record; neighbours of one group that say the same in one are merged.
    pub fn record(&mut self, record: LogRecord) {
        match (self.records.last_mut(), record) {
            (
                Some(LogRecord::State { gid, state }),
                LogRecord::State { gid: same, state: newer },
            ) if *gid == same => *state = newer,
            (
                Some(LogRecord::Append { gid, entries }),
                LogRecord::Append { gid: same, entries: more },
            ) if *gid == same
                && entries.last().map(|e| e.index.next()) == more.first().map(|e| e.index) =>
            {
                entries.extend(more);
            }
            (_, record) => self.records.push(record),
        }
    }

    /// Keeps `act` until `batch` is durable.
    pub fn hold(&mut self, batch: Batch, act: Act) {
        assert!(batch > self.durable && batch <= self.batch, "{batch:?} is under way");
        let acts = self.held.entry(batch).or_default();
        match (acts.last_mut(), act) {
            (Some(Act::Durable { gid, upto }), Act::Durable { gid: same, upto: further })
                if *gid == same =>
            {
                *upto = further;
            }
            (_, act) => acts.push(act),
        }
    }

    /// What waited for `batch`, in order.
    pub fn release(&mut self, batch: Batch) -> Vec<Act> {
        self.held.remove(&batch).unwrap_or_default()
    }
}
