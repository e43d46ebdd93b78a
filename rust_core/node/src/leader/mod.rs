//! The leader of one group: requests admitted, run, committed, answered.
//!
//! A machine: `step` takes one input and leaves effects; what it asks of replication and of workers is
//! carried out by whoever drives it, and comes back as further inputs. It never proposes, sends or
//! waits by itself, so nothing in it can pass replication by. What all groups of a node share stands in
//! `Shared`.
//!
//! Every request is one `Active` with a number, in one `Stage` at a time. Workers get values that
//! nobody changes and give back what they found. Rules, each a script in `tests/scripts/leader`:
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
//! - What came over a link is answered over that link or not at all.
//!
//! ```text
//! work      what is given and answered      admit    barriers, latches, look-ups
//! active    one request                     point    statements by key
//! shared    what groups share               steps    statements in steps, on workers
//! turns     leadership and gateways that    commit   from writes to an entry, and its end
//!           come and go                     rows     rows and system rows; storage reads them
//! ```

mod active;
mod admit;
mod commit;
mod point;
mod room;
mod rows;
mod shared;
mod steps;
mod storage;
mod turns;
pub mod work;

use std::collections::VecDeque;

use phantom_base::{Error, GroupId, Map, NodeId, Term, Timestamp};
use phantom_mvcc::Admissions;
use phantom_raft::Outcome;

use active::{Active, Answer, Job, Stage};
pub use active::{Task, Worked};
pub use room::{FullDisk, NoRoom};
pub use shared::{PLAN_BYTES_MAX, Shared, is_stale_schema};
use work::{Fragment, Origin, Reply, ToLeader, Work};

/// The number of a request, which no other request of this node has; its token in replication.
pub use phantom_mvcc::RequestId;

/// What the barrier of a new leader is asked for with; requests have their numbers below.
pub const READY: RequestId = 1 << 62;

/// What happens to a leader.
pub enum Input {
    /// A gateway gives work.
    Run(Origin, Fragment),
    /// A gateway has taken so many bytes of rows.
    Credit(Origin, u64),
    /// A gateway wants no more. What is proposed goes on; how it ends is still told.
    Cancel(Origin),
    /// The link to a gateway is gone: nobody waits for its flows, and nothing of them is answered.
    GatewayGone(NodeId),
    /// This node leads the group.
    Led(Term),
    /// It leads it no more.
    Lost,
    /// A barrier has opened: at this stamp, in this term.
    Open(RequestId, Timestamp, Term),
    /// A proposal has ended; a committed one is applied.
    Ended(RequestId, Outcome),
    /// Replication did not take what a request asked of it; nothing was done.
    Refused(RequestId, Refusal),
    /// This node has applied what the catalog's group had committed, or cannot.
    CatalogIsNew(RequestId, Result<(), Error>),
    /// A worker is through with its task.
    Worked(RequestId, Worked),
    /// The log has moved: the clock may issue stamps again.
    Stamps,
}

impl Input {
    /// What a gateway says.
    pub fn of(gateway: NodeId, message: ToLeader) -> Self {
        match message {
            ToLeader::Run(fragment) => Self::Run(Origin { gateway, flow: fragment.flow }, fragment),
            ToLeader::Credit(flow, bytes) => Self::Credit(Origin { gateway, flow }, bytes),
            ToLeader::Cancel(flow) => Self::Cancel(Origin { gateway, flow }),
        }
    }
}

/// Why replication did not take something.
#[derive(Debug)]
pub enum Refusal {
    /// This node does not lead the group.
    NotLeader,
    /// Disks are full.
    NoRoom(NoRoom),
    /// Anything else.
    Failed(Error),
}

/// What a leader wants done; effects are carried out in their order.
#[derive(Debug)]
pub enum Effect {
    /// A barrier in the group. It ends as `Open` or `Refused`.
    Barrier(GroupId, RequestId),
    /// An entry with this body. It ends as `Ended` or `Refused`.
    Propose(GroupId, RequestId, Vec<u8>),
    /// A task for a SQL worker. It ends as `Worked`.
    Work(GroupId, RequestId, Task),
    /// The newest catalog. It ends as `CatalogIsNew`.
    Catalog(GroupId, RequestId),
    /// Something for a gateway.
    Reply(Origin, Reply),
}

/// What a leader may ask of the replica below it and is told at once.
pub trait Replica {
    /// A stamp above all that this node has issued or seen; `None` while the log does not cover one.
    fn tick(&mut self) -> Option<Timestamp>;
    /// Who is believed to lead a group.
    fn leader(&self, group: GroupId) -> NodeId;
}

/// What a step works with beside its input.
pub struct Context<'a> {
    /// What all groups of the node share.
    pub shared: &'a mut Shared,
    /// The replica below.
    pub replica: &'a mut dyn Replica,
    /// What is to be done.
    pub effects: &'a mut VecDeque<Effect>,
}

/// The leader of a group, while there is anything to lead. It outlives a leadership: what is in
/// flight holds its latches until its end is known.
pub struct GroupLeader {
    group: GroupId,
    /// The term in which this node leads; `None` while it does not.
    term: Option<Term>,
    /// Whether all entries of former leaders are applied here.
    is_ready: bool,
    /// Writes that wait for that.
    unready: Vec<RequestId>,
    admissions: Admissions,
    active: Map<RequestId, Box<Active>>,
    by_origin: Map<Origin, RequestId>,
    /// Requests that may go on since something else ended.
    freed: VecDeque<RequestId>,
    /// Writes with their latches that wait until the clock may issue a stamp.
    unstamped: Vec<RequestId>,
}

impl GroupLeader {
    /// A group that this node does not lead yet.
    pub fn new(group: GroupId) -> Self {
        Self {
            group,
            term: None,
            is_ready: false,
            unready: Vec::new(),
            admissions: Admissions::default(),
            active: Map::new(),
            by_origin: Map::new(),
            freed: VecDeque::new(),
            unstamped: Vec::new(),
        }
    }

    /// Whether this node leads the group.
    pub fn leads(&self) -> bool {
        self.term.is_some()
    }

    /// Whether there is nothing left to lead or to end: it may be dropped.
    pub fn is_idle(&self) -> bool {
        self.term.is_none() && self.active.is_empty()
    }

    /// How many requests have not ended.
    pub fn count(&self) -> usize {
        self.active.len()
    }

    /// Whether it has a request of that name.
    pub fn has(&self, origin: Origin) -> bool {
        self.by_origin.contains_key(&origin)
    }

    /// Takes an input and lets go on what it freed.
    pub fn step(&mut self, input: Input, context: &mut Context<'_>) {
        match input {
            Input::Run(origin, fragment) => self.run(context, origin, fragment),
            Input::Credit(origin, bytes) => self.credit(context, origin, bytes),
            Input::Cancel(origin) => self.cancel(context, origin),
            Input::GatewayGone(gateway) => self.gateway_gone(context, gateway),
            Input::Led(term) => self.led(context, term),
            Input::Lost => self.lost(context),
            Input::Open(READY, _, term) => self.became_ready(context, term),
            Input::Stamps => self.freed.extend(std::mem::take(&mut self.unstamped)),
            Input::Open(request, ..)
            | Input::Ended(request, _)
            | Input::Refused(request, _)
            | Input::CatalogIsNew(request, _)
            | Input::Worked(request, _)
                if !self.active.contains_key(&request) => {} // It was ended meanwhile.
            Input::Open(request, stamp, term) => self.opened(context, request, stamp, term),
            Input::Ended(request, outcome) => self.proposal_ended(context, request, outcome),
            Input::Refused(request, refusal) => self.refused(context, request, refusal),
            Input::CatalogIsNew(request, result) => self.catalog_is_new(context, request, result),
            Input::Worked(request, worked) => self.worked(context, request, worked),
        }
        self.go_on(context);
    }

    /// Takes work of a gateway.
    fn run(&mut self, context: &mut Context<'_>, origin: Origin, fragment: Fragment) {
        assert!(fragment.is_autocommit(), "transactions of several statements have no form yet");
        if !self.leads() {
            self.not_leader(context, origin);
            return;
        }
        let Fragment { txn, budget, catalog_version, work, .. } = fragment;
        let mut statement = context.shared.memory.share();
        let job = match statement.resize(work.copied_bytes()) {
            Ok(()) => job_of(context, work, catalog_version),
            Err(error) => Err(error),
        };
        let job = match job {
            Ok(Some(job)) => job,
            Ok(None) => return context.reply(origin, Reply::NeedPlan),
            Err(error) => return context.reply(origin, Reply::Failed(error)),
        };
        let request = context.shared.next_request();
        let active = Active::new(origin, txn, job, budget, statement, &context.shared.memory);
        self.active.insert(request, Box::new(active));
        self.by_origin.insert(origin, request);
        self.begin(context, request);
    }

    fn get(&mut self, request: RequestId) -> &mut Active {
        self.active.get_mut(&request).expect("a request in hand is active")
    }

    fn fail(&mut self, context: &mut Context<'_>, request: RequestId, error: Error) {
        let active = self.end(request);
        context.reply(active.origin, Reply::Failed(error));
    }

    /// Sends a request back to its gateway, which looks for another leader. Nothing was done.
    fn send_away(&mut self, context: &mut Context<'_>, request: RequestId) {
        let active = self.end(request);
        self.not_leader(context, active.origin);
    }

    fn not_leader(&self, context: &mut Context<'_>, origin: Origin) {
        context.not_leader(self.group, origin);
    }

    /// Sends what a finished request returns, and forgets it.
    fn answer(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        result: Result<Answer, Error>,
        commit: Timestamp,
    ) {
        let active = self.end(request);
        match result {
            Ok(Answer { rows, count }) => {
                for rows in rows {
                    context.reply(active.origin, Reply::Rows(rows));
                }
                context.reply(active.origin, Reply::Finished { count, commit });
            }
            Err(error) => context.reply(active.origin, Reply::Failed(error)),
        }
    }

    /// Forgets a request: latches go, and whoever waited for them goes on.
    fn end(&mut self, request: RequestId) -> Box<Active> {
        let active = self.active.remove(&request).expect("a request in hand is active");
        // The names of a link that is gone are given out again.
        if active.origin.gateway != NodeId::NONE {
            self.by_origin.remove(&active.origin);
        }
        self.release(request);
        active
    }

    fn release(&mut self, request: RequestId) {
        if self.admissions.is_writing(request) {
            self.freed.extend(self.admissions.finish(request));
        } else {
            self.admissions.forget_read(request);
        }
    }

    /// Lets requests go on that waited for latches or proposals which are gone. Whatever ends one
    /// only queues the next: a long line of them must not become a deep stack.
    fn go_on(&mut self, context: &mut Context<'_>) {
        while let Some(next) = self.freed.pop_front() {
            let Some(active) = self.active.get(&next) else { continue };
            match active.stage {
                Stage::Latches => self.latched(context, next),
                Stage::InFlight(stamp, term) => self.read(context, next, stamp, term, None),
                _ => {}
            }
        }
    }
}

/// What is to be done for some work; `None` if the gateway has to send its plan first.
fn job_of(
    context: &mut Context<'_>,
    work: Work,
    catalog_version: u64,
) -> Result<Option<Job>, Error> {
    Ok(Some(match work {
        Work::ReadRows(spans) => Job::ReadRows(spans),
        Work::WriteRows(puts) => {
            rows::check(&puts)?;
            Job::WriteRows(puts)
        }
        Work::Query(query) if context.shared.lacks_catalog_of(&query, catalog_version) => {
            Job::OfNewer(query)
        }
        Work::Query(query) => return point::query_job(context, *query),
    }))
}

impl Context<'_> {
    fn reply(&mut self, origin: Origin, reply: Reply) {
        if origin.gateway != NodeId::NONE {
            self.effects.push_back(Effect::Reply(origin, reply));
        }
    }

    /// Tells a gateway that this node does not lead a group.
    pub fn not_leader(&mut self, group: GroupId, origin: Origin) {
        let leader = self.replica.leader(group);
        // This node's own name would send the gateway round in a circle.
        let leader = if leader == self.shared.node() { NodeId::NONE } else { leader };
        self.reply(origin, Reply::NotLeader(leader));
    }
}
