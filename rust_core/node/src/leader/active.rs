//! One request: what it is, how far it is, what a worker does for it.

use phantom_base::sync::{Arc, AtomicBool, Ordering};
use phantom_base::{Error, Term, Timestamp};
use phantom_mvcc::{Reader, Reads};
use phantom_sql::execute::{StepBudget, StoredRow};
use phantom_types::{QueryMemory, Share};

use super::point::{Evaluated, PointJob};
use super::rows::{self, Wanted};
use super::steps::{Running, Stepped, StepsJob};
use super::work::{Origin, Query, RowPut, RowSpan, Rows, SystemRows};
use crate::replication::entry::TxnId;

/// Rows that a gateway lets a flow send before it has taken any, in bytes.
pub const CREDIT_BYTES: i64 = 1 << 20;

pub struct Active {
    pub origin: Origin,
    pub txn: TxnId,
    pub job: Job,
    pub stage: Stage,
    /// The term in which it got its latches: what it saw under them holds in no other.
    pub latched_in: Option<Term>,
    pub is_cancelled: bool,
    /// Tells a worker so, once one has had it.
    cancelled: Option<Arc<AtomicBool>>,
    /// How often the statement was begun again.
    pub repeats: u32,
    /// Bytes of rows that may still be sent.
    pub credit: i64,
    pub budget: StepBudget,
    /// For its plan and values, as long as it lasts.
    _statement: Share,
    /// Rows that it has found, while a worker has them.
    pub found: Share,
    /// Rows to return and to write, until they are answered.
    pub held: Share,
}

impl Active {
    pub fn new(
        origin: Origin,
        txn: TxnId,
        job: Job,
        budget: StepBudget,
        statement: Share,
        memory: &QueryMemory,
    ) -> Self {
        Self {
            origin,
            txn,
            job,
            stage: Stage::New,
            latched_in: None,
            is_cancelled: false,
            cancelled: None,
            repeats: 0,
            credit: CREDIT_BYTES,
            budget,
            _statement: statement,
            found: memory.share(),
            held: memory.share(),
        }
    }

    /// Nobody waits for it any more.
    pub fn cancel(&mut self) {
        self.is_cancelled = true;
        if let Some(cancelled) = &self.cancelled {
            cancelled.store(true, Ordering::Relaxed);
        }
    }

    /// What tells a worker that nobody waits any more.
    pub fn flag(&mut self) -> Arc<AtomicBool> {
        let is_cancelled = self.is_cancelled;
        self.cancelled.get_or_insert_with(|| Arc::new(AtomicBool::new(is_cancelled))).clone()
    }
}

#[expect(clippy::large_enum_variant, reason = "it lies in the box of its request")]
pub enum Job {
    Point(PointJob),
    Steps(Box<StepsJob>),
    /// A query of a newer catalog than this node has applied.
    OfNewer(Box<Query>),
    ReadRows(Vec<RowSpan>),
    WriteRows(Vec<RowPut>),
}

impl Job {
    /// Whether the keys that it writes are known before it looks at anything.
    pub fn takes_latches_first(&self) -> bool {
        match self {
            Self::Point(job) => job.is_write(),
            Self::WriteRows(_) => true,
            Self::Steps(_) | Self::ReadRows(_) | Self::OfNewer(_) => false,
        }
    }

    /// The whole keys that it writes.
    pub fn latched_keys(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Point(job) => job.full_keys(),
            Self::Steps(job) => job.written_keys(),
            Self::WriteRows(puts) => rows::keys(puts),
            Self::ReadRows(_) | Self::OfNewer(_) => Vec::new(),
        }
    }

    /// What it reads at a timestamp, if it does.
    pub fn reads(&self) -> Option<Reads> {
        Some(match self {
            Self::Point(job) => Reads::Keys(job.full_keys()),
            Self::Steps(job) => job.reads(),
            Self::ReadRows(spans) => rows::reads(spans),
            Self::WriteRows(_) | Self::OfNewer(_) => return None,
        })
    }
}

pub enum Stage {
    /// Not begun.
    New,
    /// For the catalog that its gateway knows.
    Catalog,
    /// For the first barrier of a new leader.
    Ready,
    /// For a barrier of its own.
    Barrier,
    /// For proposals in flight at or below its timestamp.
    InFlight(Timestamp, Term),
    /// For latches.
    Latches,
    /// A worker has it.
    Working,
    /// For the gateway to take rows.
    Credit,
    /// For its entry. What is then answered, and when it commits.
    Proposed(Answer, Timestamp),
    /// For a barrier that proves what it saw; then it is answered.
    Confirm(Result<Answer, Error>),
}

/// What a finished request returns beside its end.
#[derive(Debug, Default)]
pub struct Answer {
    pub rows: Vec<Rows>,
    pub count: u64,
}

impl Answer {
    pub fn size_bytes(&self) -> usize {
        self.rows.iter().map(Rows::size_bytes).sum()
    }
}

/// What a worker is given: values that nobody else changes.
pub enum Task {
    /// Look keys up, waiting for the disk.
    Fetch(Fetch),
    /// Find the keys of a statement.
    Keys(Box<PointJob>),
    /// Find what becomes of the rows under them.
    Evaluate(Box<PointJob>, Vec<Option<StoredRow>>),
    /// Take a step.
    Step(Running),
    /// Read system rows.
    Scan(Reader, Vec<RowSpan>),
}

/// Keys to look up.
pub struct Fetch {
    pub(super) reader: Reader,
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) wanted: Wanted,
    pub(super) memory: Share,
}

/// What a worker has come to.
pub enum Worked {
    /// Rows, and their part of the node's memory.
    Fetched(Result<(Vec<Option<StoredRow>>, Share), Error>),
    /// Keys.
    Keys(Result<Vec<Vec<u8>>, Error>),
    /// Effects.
    Evaluated(Result<Evaluated, Error>),
    /// A step.
    Stepped(Box<Stepped>),
    /// System rows.
    SystemRows(Result<SystemRows, Error>),
}

impl Task {
    /// Does it, on whatever thread.
    pub fn run(self) -> Worked {
        match self {
            Self::Fetch(Fetch { reader, keys, wanted, mut memory }) => {
                let found = rows::fetch(&reader, &keys, wanted, &mut memory);
                Worked::Fetched(found.map(|found| (found, memory)))
            }
            Self::Keys(job) => Worked::Keys(job.find_keys()),
            Self::Evaluate(job, found) => Worked::Evaluated(job.evaluate(&found)),
            Self::Step(running) => Worked::Stepped(Box::new(running.step())),
            Self::Scan(reader, spans) => Worked::SystemRows(rows::scan(&reader, &spans)),
        }
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Fetch(_) => "look up",
            Self::Keys(_) => "find keys",
            Self::Evaluate(..) => "evaluate",
            Self::Step(_) => "step",
            Self::Scan(..) => "scan",
        })
    }
}
