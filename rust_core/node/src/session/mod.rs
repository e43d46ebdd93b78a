//! Sessions of this node: what drives the sans-IO sessions behind its doors.
//!
//! A session asks for one thing at a time. Texts are parsed and bound on the parse pool, unless the
//! plan cache has them; statements by key become flows at once; what needs a planner or the catalog
//! is an event for the control plane, which answers with `resume`. Everything here happens on the
//! node's thread, in the turns of `Sessions::turn`. A session knows protocols and its gateway; of groups
//! it knows only their names.
//!
//! ```text
//! state   one session and its statement     plans   texts to statements; the plan cache
//! run     statements that run               texts   what the parse pool does with a text
//! cancel  their end before their end        asked   what the control plane is asked and answers
//! ```

mod asked;
mod cancel;
mod plans;
mod run;
mod state;
mod texts;

use phantom_base::sync::{Arc, Ordering};
use phantom_base::{Error, Map, Nanos, Set, Severity, sqlstate};
use phantom_sql::catalog::CatalogSnapshot;
use phantom_wire::pg::{Admission, Identity, Outcome, Progress, Request};

use crate::catalog::Catalog;
use crate::gateway::{self, Delivery, Gateway, Leaders, News, Owner};
use crate::runtime::{Mailbox, Runtime};
use plans::PlanCache;
use state::{Running, Session};

/// Bits of a pid that name the session; the rest names the node.
const SLOT_BITS: u32 = 21;
/// Sessions that can be told apart by their pids.
const SLOTS: usize = 1 << SLOT_BITS;
/// Steps of one session in one turn: others want theirs.
const STEPS_A_TURN: u32 = 256;

/// A session's number on this node.
pub type SessionId = u64;

/// What a client comes in by: the protocol that its session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// PostgreSQL's.
    Pg,
}

pub use asked::SessionEvent;
pub use plans::CatalogWait;
pub use state::SessionOut;

/// What the sessions stand on.
pub struct Below<'a> {
    /// Work given out.
    pub gateway: &'a mut Gateway,
    /// Who leads what.
    pub leaders: &'a dyn Leaders,
    /// Monotonic time.
    pub now: Nanos,
    /// Wall time in microseconds since 2000-01-01 UTC.
    pub wall_us: i64,
}

impl Below<'_> {
    /// Says something to the gateway.
    fn tell(&mut self, input: gateway::Input) {
        self.gateway.step(input, gateway::Context { leaders: self.leaders, now: self.now });
    }
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
    next_statement: u64,
    ready: Set<SessionId>,
    /// Sessions that have something for their connection.
    notify: Set<SessionId>,
    deadlines: Set<(Nanos, SessionId)>,
    statements: u64,
    /// Texts that wait for a barrier on the system group.
    catalog_waits: Vec<CatalogWait>,
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
            next_statement: 1,
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

    /// A new session behind a door. `secret` proves a cancel request.
    ///
    /// # Errors
    /// `53300` beyond the limit.
    pub fn open(&mut self, door: Door, secret: u32) -> Result<SessionId, Error> {
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
        let session = Session::new(door, Identity { pid, secret });
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
    pub fn feed(&mut self, below: &mut Below<'_>, id: SessionId, bytes: &[u8]) -> usize {
        let Some(session) = self.live.get_mut(&id) else { return bytes.len() };
        if let Some(end) = session.idle_until.take() {
            self.deadlines.remove(&(end, id));
        }
        let taken = session.pg.feed(bytes);
        session.hold_arriving(below.gateway.memory());
        self.advance(below, id);
        taken
    }

    /// Bytes for a client.
    pub fn take_out(
        &mut self,
        below: &mut Below<'_>,
        id: SessionId,
        max: usize,
    ) -> Option<SessionOut> {
        let session = self.live.get_mut(&id)?;
        let bytes = session.pg.take_out(max)?;
        let goes_on = std::mem::take(&mut session.is_flooded);
        if goes_on {
            // There is room again for a session that had stopped for it.
            self.advance(below, id);
        }
        Some(SessionOut { bytes, goes_on })
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
    pub fn close(&mut self, below: &mut Below<'_>, id: SessionId) {
        self.stop(below, id);
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
    pub fn turn(&mut self, below: &mut Below<'_>) -> bool {
        let mut moved = false;
        for prepared in self.prepared.take() {
            moved = true;
            self.was_prepared(below, prepared);
        }
        for local in self.local.take() {
            moved = true;
            self.was_run_here(below, local);
        }
        self.pass_deadlines(below);
        // One round: a session that is ready again has its next turn after the others.
        for id in std::mem::take(&mut self.ready) {
            moved = true;
            self.advance(below, id);
        }
        moved
    }

    /// Whether a session can go on in the next turn.
    pub fn has_ready(&self) -> bool {
        !(self.ready.is_empty() && self.catalog_waits.is_empty())
    }

    /// What a statement of a session has from its leader.
    pub fn news(&mut self, below: &mut Below<'_>, id: SessionId, statement: u64, news: News) {
        let Some(session) = self.live.get_mut(&id) else { return };
        let is_of = |running: &&mut Running| running.number == statement && running.is_given;
        let Some(running) = session.running.as_mut().filter(is_of) else { return };
        match news {
            News::Rows(rows) => running.batches.push_back(rows),
            News::Finished(count, _) => {
                running.is_given = false;
                running.end = Some(Outcome::Done { rows: count, notices: Vec::new() });
            }
            News::Failed(error) => {
                if self.bind_again_for(below, id, &error) {
                    return;
                }
                let session = self.live.get_mut(&id).expect("looked up above");
                let running = session.running.as_mut().expect("looked up above");
                running.is_given = false;
                running.end = Some(Outcome::Failed(running.failure(error)));
            }
            News::SystemRows(_) => {
                running.is_given = false;
                let error = Error::internal("a leader answered a query with system rows");
                running.end = Some(Outcome::Failed(error));
            }
        }
        self.hand_over(below, id);
    }

    /// Gives a session rows or the end of its statement, if it waits for them.
    fn hand_over(&mut self, below: &mut Below<'_>, id: SessionId) {
        let Some(session) = self.live.get_mut(&id) else { return };
        let Some(running) = session.running.as_mut().filter(|running| running.wanted) else {
            return;
        };
        if let Some(Delivery { batch, credit, memory }) = running.batches.pop_front() {
            running.wanted = false;
            running.in_hand = memory;
            if running.is_given {
                below.tell(gateway::Input::Taken(Owner::Session(id, running.number), credit));
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
    fn advance(&mut self, below: &mut Below<'_>, id: SessionId) {
        for _ in 0..STEPS_A_TURN {
            let catalog_version = self.snapshot().version();
            let Some(session) = self.live.get_mut(&id) else { return };
            session.pg.catalog_is(catalog_version);
            let progress = session.pg.step(below.wall_us);
            session.arriving.count(session.pg.arriving_bytes().min(session.arriving.held()));
            let mut asked = false;
            while let Some(request) =
                self.live.get_mut(&id).and_then(|session| session.pg.next_request())
            {
                asked = true;
                self.request(below, id, request);
            }
            let Some(session) = self.live.get_mut(&id) else { return };
            session.is_flooded = progress == Progress::Flooded;
            match progress {
                Progress::More => {}
                // An answer may have come at once.
                Progress::Waiting if asked || self.ready.remove(&id) => {}
                Progress::Waiting | Progress::Idle | Progress::Flooded => {
                    self.watch_idleness(below.now, id);
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

    fn request(&mut self, below: &mut Below<'_>, id: SessionId, request: Request) {
        match request {
            Request::Split(text) => self.split(id, text),
            Request::Prepare { text, parameter_types } => self.prepare(id, text, parameter_types),
            Request::Renew(statement) => self.renew(id, statement),
            Request::Run { statement, parameters } => {
                self.statements += 1;
                self.begin(below, id, statement, parameters.into(), 0);
            }
            Request::More => {
                let session = self.live.get_mut(&id).expect("it has just asked");
                if let Some(running) = session.running.as_mut() {
                    running.wanted = true;
                }
                self.hand_over(below, id);
            }
            Request::Stop => self.stop(below, id),
            Request::Cancel { pid, secret } => {
                self.ask(id, "cancel", asked::encode_cancel(pid, secret));
            }
        }
    }

    /// Gives up what a session runs.
    fn stop(&mut self, below: &mut Below<'_>, id: SessionId) {
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
        if running.is_given {
            below.tell(gateway::Input::Cancel(Owner::Session(id, running.number)));
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
