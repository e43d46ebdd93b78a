//! Sessions of this node: the driver of PostgreSQL's sans-IO sessions.
//!
//! A session asks for one thing at a time. Texts are parsed and bound on the parse pool, unless the
//! plan cache has them; statements by key become flows at once; what needs a planner or the catalog
//! is an event for the control plane, which answers with `resume`. Everything here happens on the
//! node's thread, in the turns of `Sessions::turn`.

mod cancel;
mod plans;
mod run;

use std::collections::VecDeque;

use phantom_base::sync::{Arc, AtomicBool, Ordering};
use phantom_base::{Error, Map, Nanos, Set, Severity, sqlstate};
use phantom_sql::catalog::CatalogSnapshot;
use phantom_sql::statement::Prepared;
use phantom_types::{Datum, QueryMemory, Share};
use phantom_wire::pg::{Admission, Identity, Outcome, PgSession, Progress, Request};

use crate::catalog::Catalog;
use crate::replication::Replication;
use crate::request::Requests;
use crate::request::gateway::{Delivery, FlowEvent, FlowId, Flows};
use crate::runtime::{Mailbox, Runtime};
use plans::PlanCache;

/// Bits of a pid that name the session; the rest names the node.
const SLOT_BITS: u32 = 21;
/// Sessions that can be told apart by their pids.
const SLOTS: usize = 1 << SLOT_BITS;
/// Steps of one session in one turn: others want theirs.
const STEPS_A_TURN: u32 = 256;

/// A session's number on this node.
pub type SessionId = u64;

pub use plans::CatalogWait;

/// What the sessions work with.
pub struct Engine<'a> {
    /// Groups.
    pub replication: &'a mut Replication,
    /// Work at groups led here.
    pub requests: &'a mut Requests,
    /// Work given out.
    pub flows: &'a mut Flows,
    /// Monotonic time.
    pub now: Nanos,
    /// Wall time in microseconds since 2000-01-01 UTC.
    pub wall_us: i64,
}

/// Something for the control plane to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEvent {
    /// Its number; the answer names it.
    pub id: u64,
    /// `plan`, `create_table`, `drop_table` or `cancel`.
    pub kind: &'static str,
    /// What it is about, as CBOR.
    pub body: Vec<u8>,
}

/// All sessions of a node.
pub struct Sessions {
    node: u32,
    limit: usize,
    catalog: Catalog,
    runtime: Arc<Runtime>,
    prepared: Mailbox<plans::Prepared>,
    local: Mailbox<run::LocalRun>,
    cache: PlanCache,
    live: Map<SessionId, Session>,
    /// Sessions by what clients know them by.
    by_pid: Map<u32, SessionId>,
    next: SessionId,
    next_event: u64,
    next_run: u64,
    ready: Set<SessionId>,
    /// Sessions that have something for their connection.
    notify: Set<SessionId>,
    deadlines: Set<(Nanos, SessionId)>,
    statements: u64,
    /// Texts that wait for a barrier on the system group.
    catalog_waits: Vec<CatalogWait>,
}

struct Session {
    pg: PgSession,
    /// The statement that runs.
    running: Option<Running>,
    /// The number of the request that the parse pool works on.
    preparing: u64,
    /// Tells the parse pool that it need not go on with it.
    given_up: Arc<AtomicBool>,
    /// A statement that is bound again, with its values.
    again: Option<Again>,
    event: Option<SessionEvent>,
    /// When it ends if its client begins nothing until then.
    idle_until: Option<Nanos>,
    /// The event that waits for its answer.
    asked: Option<u64>,
    closing: bool,
    /// For a large message that has not been read yet.
    arriving: Share,
}

/// A statement that runs.
struct Running {
    /// No other run of this node has it.
    number: u64,
    statement: Arc<Prepared>,
    parameters: Vec<Datum>,
    flow: Option<FlowId>,
    /// Ends the worker that runs it.
    worker: Option<Arc<AtomicBool>>,
    /// Rows that the session has not taken.
    batches: VecDeque<Delivery>,
    /// The part of the node's memory of those that it has taken last.
    in_hand: Share,
    end: Option<Outcome>,
    /// Whether the session waits for rows or the end.
    wanted: bool,
    deadline: Option<Nanos>,
    /// Why its change was asked to end; who carries it out decides whether it still can.
    cancelled: Option<Error>,
    /// How often it was bound again for a schema that had changed.
    rebound: u32,
}

impl Session {
    /// Holds what has come of a large message. It ends where there is no room: half a message leaves
    /// nothing that could be read after it.
    fn hold_arriving(&mut self, memory: &QueryMemory) {
        let bytes = self.pg.arriving_bytes();
        if bytes > 0 && !self.arriving.is_counted() {
            self.arriving = memory.share();
        }
        if let Err(error) = self.arriving.resize(bytes) {
            self.pg.cancel(error.with_severity(Severity::Fatal));
        }
    }
}

/// Why a text is bound again.
struct Again {
    statement: Arc<Prepared>,
    parameters: Vec<Datum>,
    rebound: u32,
}

impl Sessions {
    /// No sessions yet.
    pub fn new(node: u32, limit: usize, catalog: Catalog, runtime: Arc<Runtime>) -> Self {
        let (prepared, local) = (runtime.mailbox(), runtime.mailbox());
        Self {
            node,
            limit: limit.min(SLOTS - 1),
            catalog,
            runtime,
            prepared,
            local,
            cache: PlanCache::default(),
            live: Map::new(),
            by_pid: Map::new(),
            next: 1,
            next_event: 1,
            next_run: 1,
            ready: Set::new(),
            notify: Set::new(),
            deadlines: Set::new(),
            statements: 0,
            catalog_waits: Vec::new(),
        }
    }

    /// How many sessions there are, and how many statements were run.
    pub fn counts(&self) -> (usize, u64) {
        (self.live.len(), self.statements)
    }

    /// A new session. `secret` proves a cancel request.
    ///
    /// # Errors
    /// `53300` beyond the limit.
    pub fn open(&mut self, secret: u32) -> Result<SessionId, Error> {
        if self.live.len() >= self.limit {
            let message = "sorry, too many clients already";
            return Err(
                Error::new(sqlstate::TOO_MANY_CONNECTIONS, message).with_severity(Severity::Fatal)
            );
        }
        // Slots come round again; a session that has been there all the while keeps its pid.
        while self.by_pid.contains_key(&self.pid(self.next)) {
            self.next += 1;
        }
        let id = self.next;
        self.next += 1;
        let pid = self.pid(id);
        self.by_pid.insert(pid, id);
        let session = Session {
            pg: PgSession::new(Identity { pid, secret }),
            running: None,
            preparing: 0,
            given_up: Arc::default(),
            again: None,
            event: None,
            idle_until: None,
            asked: None,
            closing: false,
            arriving: Share::default(),
        };
        self.live.insert(id, session);
        Ok(id)
    }

    fn pid(&self, id: SessionId) -> u32 {
        let slot = (id & ((1 << SLOT_BITS) - 1)) as u32;
        self.node << SLOT_BITS | slot
    }

    /// Says whom the client may be that begins a session.
    pub fn admit(&mut self, id: SessionId, admission: Admission) {
        if let Some(session) = self.live.get_mut(&id) {
            session.pg.admit(admission);
        }
    }

    /// Takes bytes of a client and works through them.
    pub fn feed(&mut self, engine: &mut Engine<'_>, id: SessionId, bytes: &[u8]) -> usize {
        let Some(session) = self.live.get_mut(&id) else { return bytes.len() };
        if let Some(end) = session.idle_until.take() {
            self.deadlines.remove(&(end, id));
        }
        let taken = session.pg.feed(bytes);
        session.hold_arriving(engine.requests.memory());
        self.advance(engine, id);
        taken
    }

    /// Bytes for a client.
    pub fn take_out(
        &mut self,
        engine: &mut Engine<'_>,
        id: SessionId,
        max: usize,
    ) -> Option<Vec<u8>> {
        let out = self.live.get_mut(&id)?.pg.take_out(max);
        if out.is_some() {
            // There is room again for a session that had stopped for it.
            self.advance(engine, id);
        }
        out
    }

    /// Whether a connection is to be closed once its output is sent.
    pub fn is_closing(&self, id: SessionId) -> bool {
        self.live.get(&id).is_none_or(|session| session.closing)
    }

    /// Whether a session still waits for a whole startup packet.
    pub fn is_starting(&self, id: SessionId) -> bool {
        self.live.get(&id).is_some_and(|session| session.pg.is_starting())
    }

    /// What a session wants decided.
    pub fn next_event(&mut self, id: SessionId) -> Option<SessionEvent> {
        self.live.get_mut(&id)?.event.take()
    }

    /// Sessions that have output, an event or room since the last time.
    pub fn take_notified(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.notify).into_iter().collect()
    }

    /// Forgets a session and what it runs.
    pub fn close(&mut self, engine: &mut Engine<'_>, id: SessionId) {
        self.stop(engine, id);
        if let Some(end) = self.live.get(&id).and_then(|session| session.idle_until) {
            self.deadlines.remove(&(end, id));
        }
        if let Some(session) = self.live.remove(&id) {
            self.by_pid.remove(&session.pg.identity().pid);
        }
        self.ready.remove(&id);
        self.notify.remove(&id);
    }

    /// One turn: what flows, the parse pool and timers have; then every session that can go on.
    /// Returns whether anything moved.
    pub fn turn(&mut self, engine: &mut Engine<'_>) -> bool {
        let mut moved = false;
        for prepared in self.prepared.take() {
            moved = true;
            self.was_prepared(engine, prepared);
        }
        for local in self.local.take() {
            moved = true;
            self.was_run_here(engine, local);
        }
        self.pass_deadlines(engine);
        // One round: a session that is ready again has its next turn after the others.
        for id in std::mem::take(&mut self.ready) {
            moved = true;
            self.advance(engine, id);
        }
        moved
    }

    /// Whether a session can go on in the next turn.
    pub fn has_ready(&self) -> bool {
        !(self.ready.is_empty() && self.catalog_waits.is_empty())
    }

    /// What a flow of a session has.
    pub fn flow_event(
        &mut self,
        engine: &mut Engine<'_>,
        id: SessionId,
        flow: FlowId,
        event: FlowEvent,
    ) {
        let Some(session) = self.live.get_mut(&id) else { return };
        let Some(running) = session.running.as_mut().filter(|run| run.flow == Some(flow)) else {
            return;
        };
        match event {
            FlowEvent::Rows(rows) => running.batches.push_back(rows),
            FlowEvent::Finished(count, _) => {
                running.flow = None;
                running.end = Some(Outcome::Done { rows: count, notices: Vec::new() });
            }
            FlowEvent::Failed(error) => {
                if self.bind_again_for(engine, id, &error) {
                    return;
                }
                let session = self.live.get_mut(&id).expect("looked up above");
                let running = session.running.as_mut().expect("looked up above");
                running.flow = None;
                running.end = Some(Outcome::Failed(running.failure(error)));
            }
            FlowEvent::SystemRows(_) => {
                running.flow = None;
                let error = Error::internal("a leader answered a query with system rows");
                running.end = Some(Outcome::Failed(error));
            }
        }
        self.hand_over(engine, id);
    }

    /// Gives a session rows or the end of its statement, if it waits for them.
    fn hand_over(&mut self, engine: &mut Engine<'_>, id: SessionId) {
        let Some(session) = self.live.get_mut(&id) else { return };
        let Some(running) = session.running.as_mut().filter(|running| running.wanted) else {
            return;
        };
        if let Some(Delivery { batch, credit, memory }) = running.batches.pop_front() {
            running.wanted = false;
            running.in_hand = memory;
            if let Some(flow) = running.flow {
                engine.flows.taken(engine.requests, flow, credit);
            }
            session.pg.resume(Outcome::Rows(batch));
        } else if let Some(end) = running.end.take() {
            let deadline = running.deadline;
            session.running = None;
            session.pg.resume(end);
            if let Some(deadline) = deadline {
                self.deadlines.remove(&(deadline, id));
            }
        } else {
            return;
        }
        self.ready.insert(id);
    }

    /// Steps a session as far as it goes.
    fn advance(&mut self, engine: &mut Engine<'_>, id: SessionId) {
        for _ in 0..STEPS_A_TURN {
            let catalog_version = self.snapshot().version();
            let Some(session) = self.live.get_mut(&id) else { return };
            session.pg.catalog_is(catalog_version);
            let progress = session.pg.step(engine.wall_us);
            session.arriving.count(session.pg.arriving_bytes().min(session.arriving.held()));
            let mut asked = false;
            while let Some(request) =
                self.live.get_mut(&id).and_then(|session| session.pg.next_request())
            {
                asked = true;
                self.request(engine, id, request);
            }
            let Some(session) = self.live.get_mut(&id) else { return };
            match progress {
                Progress::More => {}
                // An answer may have come at once.
                Progress::Waiting if asked || self.ready.remove(&id) => {}
                Progress::Waiting | Progress::Idle | Progress::Flooded => {
                    self.watch_idleness(engine.now, id);
                    self.notify.insert(id);
                    return;
                }
                Progress::Closing => {
                    session.closing = true;
                    self.notify.insert(id);
                    return;
                }
            }
        }
        self.ready.insert(id);
        self.notify.insert(id);
    }

    fn request(&mut self, engine: &mut Engine<'_>, id: SessionId, request: Request) {
        match request {
            Request::Split(text) => self.split(id, text),
            Request::Prepare { text, parameter_types } => self.prepare(id, text, parameter_types),
            Request::Renew(statement) => self.renew(id, statement),
            Request::Run { statement, parameters } => {
                self.statements += 1;
                self.begin(engine, id, statement, parameters, 0);
            }
            Request::More => {
                let session = self.live.get_mut(&id).expect("it has just asked");
                if let Some(running) = session.running.as_mut() {
                    running.wanted = true;
                }
                self.hand_over(engine, id);
            }
            Request::Stop => self.stop(engine, id),
            Request::Cancel { pid, secret } => {
                let mut body = Vec::new();
                let mut out = minicbor::Encoder::new(&mut body);
                out.array(2)
                    .and_then(|out| out.u32(pid))
                    .and_then(|out| out.u32(secret))
                    .expect("a Vec takes every write");
                self.ask(id, "cancel", body);
            }
        }
    }

    /// Gives up what a session runs.
    fn stop(&mut self, engine: &mut Engine<'_>, id: SessionId) {
        let Some(session) = self.live.get_mut(&id) else { return };
        session.again = None;
        // What the parse pool or the catalog still have for it is of a request that is gone.
        session.preparing += 1;
        session.given_up.store(true, Ordering::Relaxed);
        session.asked = None;
        session.event = None;
        let Some(running) = session.running.take() else { return };
        if let Some(deadline) = running.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        if let Some(worker) = running.worker {
            worker.store(true, Ordering::Relaxed);
        }
        if let Some(flow) = running.flow {
            engine.flows.cancel(engine.replication, engine.requests, flow);
        }
    }

    /// Leaves an event for the control plane.
    fn ask(&mut self, id: SessionId, kind: &'static str, body: Vec<u8>) {
        let event = SessionEvent { id: self.next_event, kind, body };
        self.next_event += 1;
        let session = self.live.get_mut(&id).expect("it has just asked");
        session.asked = Some(event.id);
        session.event = Some(event);
        self.notify.insert(id);
    }

    fn resume(&mut self, id: SessionId, outcome: Outcome) {
        if let Some(session) = self.live.get_mut(&id) {
            session.pg.resume(outcome);
            self.ready.insert(id);
        }
    }

    fn snapshot(&self) -> Arc<CatalogSnapshot> {
        self.catalog.snapshot()
    }
}
