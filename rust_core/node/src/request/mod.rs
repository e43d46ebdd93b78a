//! Work at the groups that this node leads: admitted, run, committed, answered.
//!
//! Every request is one `Active` under a ticket, in one `Stage` at a time. All stages change on the
//! node's thread; workers get immutable values and post what they found. Rules, each a test:
//!
//! - A read waits for a barrier, takes the barrier's stamp as its timestamp, waits for proposals in
//!   flight below it, and compares the term before its first row.
//! - A write by key holds its latches before it looks; a write that scanned takes them afterwards
//!   and runs again if a version is no longer the one it saw.
//! - What a write saw under its latches holds in the term in which it got them. If its leader fell and
//!   rose while a worker had it, nothing of it is proposed or answered: it is begun again.
//! - A write that turns out to write nothing, or to fail, is answered only after a barrier: what it
//!   saw may have been a deposed leader's.
//! - Whatever a request keeps beyond a turn of the node's thread has a share of the node's memory.
//! - A query that a gateway has bound to a newer catalog than this node has applied waits for that
//!   catalog: binding it once more would change nothing.
//! - Nothing is answered as committed before its entry is applied here. What leadership took away
//!   while it was in flight is unknown (40003), never failed.

mod cancel;
mod commit;
mod fragment;
pub mod gateway;
mod leading;
pub mod message;
mod outbox;
pub mod point;
mod room;
mod rows;
mod storage;

use std::collections::VecDeque;

use phantom_base::sync::{Arc, AtomicBool, Ordering};
use phantom_base::{Error, GroupId, Map, NodeId, Term, Timestamp};
use phantom_lsm::Engine;
use phantom_mvcc::{Reader, Reads, Ticket};
use phantom_raft::{BarrierAnswer, BarrierOutcome, Done};
use phantom_sql::execute::StoredRow;
use phantom_sql::statement::Planned;
use phantom_types::{QueryMemory, Share};

use crate::catalog::Catalog;
use crate::kept::{Bounds, Kept};
use crate::replication::entry::TxnId;
use crate::replication::{Refused, Replication};
use crate::runtime::{Mailbox, Runtime};
use cancel::cancelled;
use fragment::{FragmentJob, Stepped};
use leading::{Leading, READY_TICKETS};
use message::{DispatchId, QueryWork, Run, ToGateway, Work};
use point::PointJob;
use rows::Wanted;

/// A statement that scans and writes repeats at most so often; then 40001.
const REPEATS_MAX: u32 = 50;
/// The largest plan that is kept, as a tree, in bytes. In memory a plan takes several times as much,
/// and statements of many rows are seldom sent twice.
pub const PLAN_BYTES_MAX: usize = 64 << 10;
/// Plans that are kept by hash.
const PLANS: Bounds = Bounds { count: 4_096, bytes: 8 << 20, largest: PLAN_BYTES_MAX };
/// A request has a copy of a statement's values, and so has what runs it.
const COPIES: usize = 2;
/// Rows that a gateway lets a flow send before it has taken any, in bytes.
pub const CREDIT_BYTES: i64 = 1 << 20;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The gateway; this node itself for its own sessions; none once its link is gone.
    pub gateway: NodeId,
    /// The gateway's name for it.
    pub dispatch: DispatchId,
}

/// All requests at the groups that this node leads.
pub struct Requests {
    node: NodeId,
    engine: Arc<Engine>,
    catalog: Catalog,
    runtime: Arc<Runtime>,
    worked: Mailbox<Worked>,
    groups: Map<GroupId, Leading>,
    active: Map<Ticket, Active>,
    by_origin: Map<Origin, Ticket>,
    next_ticket: Ticket,
    plans: Kept<u128, Arc<Planned>>,
    replies: VecDeque<(NodeId, ToGateway)>,
    /// Requests that may go on since something else ended.
    freed: VecDeque<Ticket>,
    /// Requests whose gateway knows a newer catalog, for which nobody has asked yet.
    catalog_waits: Vec<Ticket>,
    /// Writes with their latches that wait until the clock may issue a stamp.
    unstamped: Vec<Ticket>,
    memory: QueryMemory,
    repeats: u64,
}

struct Active {
    origin: Origin,
    group: GroupId,
    txn: TxnId,
    job: Job,
    stage: Stage,
    /// The term in which it got its latches: what it saw under them holds in no other.
    latched_in: Option<Term>,
    cancelled: Arc<AtomicBool>,
    /// How often the statement was begun again.
    repeats: u32,
    /// Bytes of rows that may still be sent.
    credit: i64,
    /// For its plan and values, as long as it lasts.
    _statement: Share,
    /// Rows that it has found, while a worker has them.
    found: Share,
    /// Rows to return and to write, until they are answered.
    held: Share,
}

enum Job {
    Point(Box<PointJob>),
    Fragment(Box<FragmentJob>),
    /// A query of a newer catalog than this node has applied.
    OfNewer(Box<QueryWork>),
    ReadRows(Vec<message::RowSpan>),
    WriteRows(Vec<message::RowPut>),
}

enum Stage {
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
struct Answer {
    rows: Vec<(u64, Vec<u8>)>,
    count: u64,
}

impl Answer {
    fn size_bytes(&self) -> usize {
        self.rows.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

/// What workers post.
enum Worked {
    Fetched(Ticket, Result<(Vec<Option<StoredRow>>, Share), Error>),
    Stepped(Ticket, Box<Stepped>),
    SystemRows(Ticket, Result<rows::SystemRows, Error>),
    Keys(Ticket, Result<Vec<Vec<u8>>, Error>),
    Evaluated(Ticket, Result<point::Evaluated, Error>),
}

impl Requests {
    /// No requests yet. `memory` is what one query may take.
    pub fn new(
        node: NodeId,
        engine: Arc<Engine>,
        catalog: Catalog,
        runtime: Arc<Runtime>,
        memory: QueryMemory,
    ) -> Self {
        let worked = runtime.mailbox();
        Self {
            node,
            engine,
            catalog,
            runtime,
            worked,
            groups: Map::new(),
            active: Map::new(),
            by_origin: Map::new(),
            next_ticket: 1,
            plans: Kept::new(PLANS),
            replies: VecDeque::new(),
            freed: VecDeque::new(),
            catalog_waits: Vec::new(),
            unstamped: Vec::new(),
            memory,
            repeats: 0,
        }
    }

    /// Takes work of a gateway.
    pub fn run(&mut self, replication: &mut Replication, gateway: NodeId, run: Run) {
        let origin = Origin { gateway, dispatch: run.dispatch };
        if !self.leads(run.group) {
            self.not_leader(replication, origin, run.group);
            return;
        }
        let mut statement = self.memory.share();
        if let Err(error) = statement.resize(COPIES * run.work.size_bytes()) {
            self.reply(origin, ToGateway::Failed { dispatch: origin.dispatch, error });
            return;
        }
        let job = match run.work {
            Work::ReadRows(spans) => Job::ReadRows(spans),
            Work::WriteRows(puts) => match rows::check(&puts) {
                Ok(()) => Job::WriteRows(puts),
                Err(error) => {
                    self.reply(origin, ToGateway::Failed { dispatch: origin.dispatch, error });
                    return;
                }
            },
            Work::Query(query) if self.lacks_catalog_of(&query, run.catalog_version) => {
                Job::OfNewer(query)
            }
            Work::Query(query) => match self.query_job(replication, origin, *query) {
                Ok(Some(job)) => job,
                Ok(None) => return,
                Err(error) => {
                    self.reply(origin, ToGateway::Failed { dispatch: origin.dispatch, error });
                    return;
                }
            },
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let active = Active {
            origin,
            group: run.group,
            txn: run.txn,
            job,
            stage: Stage::New,
            latched_in: None,
            cancelled: Arc::new(AtomicBool::new(false)),
            repeats: 0,
            credit: CREDIT_BYTES,
            _statement: statement,
            found: self.memory.share(),
            held: self.memory.share(),
        };
        self.active.insert(ticket, active);
        self.by_origin.insert(origin, ticket);
        self.begin(replication, ticket);
        self.go_on(replication);
    }

    /// Requests that wait for the catalog; whoever takes them asks for a barrier of its group and
    /// tells with `catalog_is_new`.
    pub fn take_catalog_waits(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.catalog_waits)
    }

    /// This node has applied what the catalog's group had committed, or cannot.
    pub fn catalog_is_new(
        &mut self,
        replication: &mut Replication,
        ticket: Ticket,
        result: Result<(), Error>,
    ) {
        // It may have been cancelled or sent away meanwhile.
        let Some(active) = self.active.get_mut(&ticket) else { return };
        let origin = active.origin;
        let job = std::mem::replace(&mut active.job, Job::ReadRows(Vec::new()));
        let Job::OfNewer(query) = job else { unreachable!("only such a request waits for it") };
        match result.and_then(|()| self.query_job(replication, origin, *query)) {
            Ok(Some(job)) => {
                self.get(ticket).job = job;
                self.begin(replication, ticket);
            }
            // The gateway has been asked for the plan and sends it all again.
            Ok(None) => drop(self.end(ticket)),
            Err(error) => self.fail(ticket, error),
        }
        self.go_on(replication);
    }

    /// The replies that wait to be delivered, with their gateways.
    pub fn take_reply(&mut self) -> Option<(NodeId, ToGateway)> {
        self.replies.pop_front()
    }

    /// How many requests have not ended, and how many statements were begun again.
    pub fn counts(&self) -> (usize, u64) {
        (self.active.len(), self.repeats)
    }

    fn reply(&mut self, origin: Origin, reply: ToGateway) {
        if origin.gateway != NodeId::NONE {
            self.replies.push_back((origin.gateway, reply));
        }
    }

    fn get(&mut self, ticket: Ticket) -> &mut Active {
        self.active.get_mut(&ticket).expect("a ticket in hand is active")
    }

    fn begin(&mut self, replication: &mut Replication, ticket: Ticket) {
        if matches!(self.get(ticket).job, Job::OfNewer(_)) {
            self.get(ticket).stage = Stage::Catalog;
            self.catalog_waits.push(ticket);
            return;
        }
        if self.wants_keys(ticket) {
            self.find_keys(ticket);
            return;
        }
        if self.get(ticket).job.takes_latches_first() {
            self.latch(replication, ticket);
        } else {
            self.ask_barrier(replication, ticket, Stage::Barrier);
        }
    }

    fn ask_barrier(&mut self, replication: &mut Replication, ticket: Ticket, stage: Stage) {
        let active = self.get(ticket);
        let group = active.group;
        active.stage = stage;
        match replication.barrier(group, ticket) {
            Ok(None) => {}
            Ok(Some(outcome)) => {
                let answer = BarrierAnswer { token: ticket, gid: group, outcome };
                self.barrier_ended(replication, &answer);
            }
            Err(refused) => self.refused(replication, ticket, refused),
        }
    }

    /// Ends a request that the machine did not take; nothing was done.
    fn refused(&mut self, replication: &mut Replication, ticket: Ticket, refused: Refused) {
        let not_leading = matches!(
            refused,
            Refused::Starting
                | Refused::Raft(
                    phantom_raft::Refused::NotLeader { .. } | phantom_raft::Refused::NoGroup
                )
        );
        if not_leading {
            let active = self.end(ticket);
            self.not_leader(replication, active.origin, active.group);
        } else {
            let error = Error::new(refused.sqlstate(), refused.to_string());
            self.fail(ticket, error);
        }
    }

    /// Takes the end of a barrier.
    pub fn barrier(&mut self, replication: &mut Replication, answer: &BarrierAnswer) {
        self.barrier_ended(replication, answer);
        self.go_on(replication);
    }

    fn barrier_ended(&mut self, replication: &mut Replication, answer: &BarrierAnswer) {
        if answer.token >= READY_TICKETS {
            self.became_ready(replication, answer);
            return;
        }
        let ticket = answer.token;
        let Some(active) = self.active.get_mut(&ticket) else { return };
        let group = active.group;
        let (stamp, term) = match answer.outcome {
            BarrierOutcome::Open { stamp, term, .. } => (stamp, term),
            BarrierOutcome::Refused(refused) => {
                self.refused(replication, ticket, Refused::Raft(refused));
                return;
            }
        };
        match std::mem::replace(&mut active.stage, Stage::Barrier) {
            Stage::Confirm(result) if active.latched_in == Some(term) => {
                self.answer(ticket, result, Timestamp::MIN);
            }
            Stage::Confirm(_) => self.outlived(replication, ticket),
            Stage::Barrier => {
                let Some(reads) = self.reads(ticket) else { return };
                let leading = self.groups.entry(group).or_default();
                if leading.admissions.read(ticket, &reads, stamp) {
                    self.read(replication, ticket, stamp, term);
                } else {
                    self.get(ticket).stage = Stage::InFlight(stamp, term);
                }
            }
            _ => panic!("a barrier was answered that nobody asked for"),
        }
    }

    fn reads(&mut self, ticket: Ticket) -> Option<Reads> {
        let active = self.get(ticket);
        Some(match &active.job {
            Job::Point(job) => Reads::Keys(job.full_keys()),
            Job::Fragment(job) => job.reads(),
            Job::ReadRows(spans) => rows::reads(spans),
            Job::WriteRows(_) | Job::OfNewer(_) => return None,
        })
    }

    /// The read may look now, unless leadership went while it waited.
    fn read(
        &mut self,
        replication: &mut Replication,
        ticket: Ticket,
        stamp: Timestamp,
        term: Term,
    ) {
        let group = self.get(ticket).group;
        if self.term(group) != Some(term) {
            let active = self.end(ticket);
            self.not_leader(replication, active.origin, active.group);
            return;
        }
        let reader = Reader::new(self.engine.clone(), stamp);
        match &self.get(ticket).job {
            Job::Point(job) => {
                let keys = job.full_keys();
                self.fetch(replication, ticket, &reader, keys);
            }
            Job::Fragment(_) => self.start_fragment(ticket, reader),
            Job::ReadRows(_) => self.read_rows(ticket, reader),
            Job::WriteRows(_) => unreachable!("writes of rows take latches first"),
            Job::OfNewer(_) => unreachable!("it waits for the catalog"),
        }
    }

    /// Asks for the latches of a write, once this node may look for it.
    fn latch(&mut self, replication: &mut Replication, ticket: Ticket) {
        let active = self.get(ticket);
        let group = active.group;
        let keys = active.job.latched_keys();
        let leading = self.groups.entry(group).or_default();
        if leading.term.is_none() {
            self.outlived(replication, ticket);
        } else if !leading.is_ready {
            leading.waiting.push(ticket);
            self.get(ticket).stage = Stage::Ready;
        } else {
            let is_granted = leading.admissions.write(ticket, keys);
            self.get(ticket).stage = Stage::Latches;
            if is_granted {
                self.latched(replication, ticket);
            }
        }
    }

    /// The write holds its latches: what it sees from here on is the newest.
    fn latched(&mut self, replication: &mut Replication, ticket: Ticket) {
        let group = self.get(ticket).group;
        let term = self.term(group);
        assert!(term.is_some(), "who waits for latches is sent away with leadership");
        self.get(ticket).latched_in = term;
        let reader = Reader::new(self.engine.clone(), Timestamp::MAX);
        let keys = self.get(ticket).job.latched_keys();
        self.fetch(replication, ticket, &reader, keys);
    }

    /// Looks keys up, on this thread if memory has them all, else on a worker.
    fn fetch(
        &mut self,
        replication: &mut Replication,
        ticket: Ticket,
        reader: &Reader,
        keys: Vec<Vec<u8>>,
    ) {
        let wanted = match &self.get(ticket).job {
            Job::Point(_) => Wanted::Rows(self.memory.bytes),
            _ => Wanted::Versions,
        };
        match rows::fetch_cached(reader, &keys, wanted) {
            Ok(Some(found)) => self.fetched(replication, ticket, Ok((found, Share::default()))),
            Ok(None) => {
                self.get(ticket).stage = Stage::Working;
                let (reader, worked) = (reader.clone(), self.worked.clone());
                let mut memory = self.memory.share();
                let job = move || {
                    let found = rows::fetch(&reader, &keys, wanted, &mut memory);
                    worked.post(Worked::Fetched(ticket, found.map(|found| (found, memory))));
                };
                self.runtime.submit(crate::runtime::Pool::Sql, Box::new(job));
            }
            Err(error) => self.fetched(replication, ticket, Err(error)),
        }
    }

    fn fetched(
        &mut self,
        replication: &mut Replication,
        ticket: Ticket,
        found: Result<(Vec<Option<StoredRow>>, Share), Error>,
    ) {
        if self.get(ticket).cancelled.load(Ordering::Relaxed) {
            self.fail(ticket, cancelled());
            return;
        }
        let (found, memory) = match found {
            Ok(found) => found,
            Err(error) => {
                self.fail(ticket, error);
                return;
            }
        };
        self.get(ticket).found = memory;
        match &self.get(ticket).job {
            Job::Point(_) => self.point_found(replication, ticket, &found),
            Job::Fragment(_) => self.fragment_checked(replication, ticket, &found),
            Job::WriteRows(_) => self.rows_checked(replication, ticket, &found),
            Job::ReadRows(_) => unreachable!("system rows are read by a scan"),
            Job::OfNewer(_) => unreachable!("it waits for the catalog"),
        }
    }

    /// Whether something waits for the next turn that neither time nor a worker must bring.
    pub fn has_more(&self) -> bool {
        !(self.replies.is_empty() && self.freed.is_empty() && self.catalog_waits.is_empty())
    }

    /// Takes what workers have posted; whether there was anything. Call it after every poll.
    pub fn take_worked(&mut self, replication: &mut Replication) -> bool {
        // One that was ended meanwhile has a ticket that nobody has any more.
        self.freed.extend(std::mem::take(&mut self.unstamped));
        let posted = self.worked.take();
        let moved = !posted.is_empty();
        for worked in posted {
            let ticket = match &worked {
                Worked::Fetched(ticket, _)
                | Worked::Stepped(ticket, _)
                | Worked::SystemRows(ticket, _)
                | Worked::Keys(ticket, _)
                | Worked::Evaluated(ticket, _) => *ticket,
            };
            if !self.active.contains_key(&ticket) {
                continue;
            }
            match worked {
                Worked::Fetched(_, found) => self.fetched(replication, ticket, found),
                Worked::Stepped(_, stepped) => self.stepped(replication, ticket, *stepped),
                Worked::SystemRows(_, rows) => self.system_rows(ticket, rows),
                Worked::Keys(_, keys) => self.keys_found(replication, ticket, keys),
                Worked::Evaluated(_, done) => self.point_worked(replication, ticket, done),
            }
        }
        self.go_on(replication);
        moved
    }

    /// Takes the end of a proposal.
    pub fn done(&mut self, replication: &mut Replication, done: &Done) {
        self.proposal_ended(replication, done);
        self.go_on(replication);
    }

    /// A gateway has taken rows.
    pub fn credit(&mut self, gateway: NodeId, dispatch: DispatchId, bytes: u64) {
        let Some(ticket) = self.by_origin.get(&Origin { gateway, dispatch }).copied() else {
            return;
        };
        let active = self.get(ticket);
        active.credit = active.credit.saturating_add_unsigned(bytes);
        if active.credit > 0 && matches!(active.stage, Stage::Credit) {
            self.step_fragment(ticket);
        }
    }

    fn fail(&mut self, ticket: Ticket, error: Error) {
        let active = self.end(ticket);
        let dispatch = active.origin.dispatch;
        self.reply(active.origin, ToGateway::Failed { dispatch, error });
    }

    /// Sends what a finished request returns, and forgets it.
    fn answer(&mut self, ticket: Ticket, result: Result<Answer, Error>, commit: Timestamp) {
        let active = self.end(ticket);
        let dispatch = active.origin.dispatch;
        match result {
            Ok(answer) => {
                for (count, bytes) in answer.rows {
                    self.reply(active.origin, ToGateway::Rows { dispatch, count, bytes });
                }
                let count = answer.count;
                self.reply(active.origin, ToGateway::Finished { dispatch, count, commit });
            }
            Err(error) => self.reply(active.origin, ToGateway::Failed { dispatch, error }),
        }
    }

    /// Forgets a request: latches go, and whoever waited for them goes on.
    fn end(&mut self, ticket: Ticket) -> Active {
        let active = self.active.remove(&ticket).expect("a ticket in hand is active");
        self.by_origin.remove(&active.origin);
        self.release(active.group, ticket);
        active
    }

    fn release(&mut self, group: GroupId, ticket: Ticket) {
        let Some(leading) = self.groups.get_mut(&group) else { return };
        let freed = if leading.admissions.is_writing(ticket) {
            leading.admissions.finish(ticket)
        } else {
            leading.admissions.forget_read(ticket);
            Vec::new()
        };
        self.freed.extend(freed);
    }

    /// Lets requests go on that waited for latches or proposals which are gone. Whatever ends one
    /// only queues the next: a long line of them must not become a deep stack.
    fn go_on(&mut self, replication: &mut Replication) {
        while let Some(next) = self.freed.pop_front() {
            let Some(active) = self.active.get(&next) else { continue };
            match active.stage {
                Stage::Latches => self.latched(replication, next),
                Stage::InFlight(stamp, term) => self.read(replication, next, stamp, term),
                _ => {}
            }
        }
    }
}

impl Job {
    /// Whether the keys that it writes are known before it looks at anything.
    fn takes_latches_first(&self) -> bool {
        match self {
            Self::Point(job) => job.is_write(),
            Self::WriteRows(_) => true,
            Self::Fragment(_) | Self::ReadRows(_) | Self::OfNewer(_) => false,
        }
    }

    fn latched_keys(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Point(job) => job.full_keys(),
            Self::Fragment(job) => job.written_keys(),
            Self::WriteRows(puts) => rows::keys(puts),
            Self::ReadRows(_) | Self::OfNewer(_) => Vec::new(),
        }
    }
}
