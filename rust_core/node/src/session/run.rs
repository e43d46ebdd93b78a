//! Statements that run: by key as a flow at once, else as the control plane decides.

use std::collections::VecDeque;

use phantom_base::sync::{Arc, AtomicBool};
use phantom_base::{Error, GroupId};
use phantom_sql::execute::{Fragment, FragmentInput, Step, StepBudget, Storage};
use phantom_sql::statement::{Body, Planned, Prepared};
use phantom_types::{Datum, EvalContext, Meter, QueryMemory, Share};
use phantom_wire::pg::Outcome;

use super::asked::{Answer, decode_answer, encode_create, encode_drop, encode_query};
use super::state::{Again, Running};
use super::{Below, SessionId, Sessions, plans};
use crate::gateway::{Delivery, Input, Owner, Start};
use crate::leader::is_stale_schema;
use crate::leader::work::{Call, Query, Work};
use crate::runtime::Pool;

/// How often a statement is bound again because the schema changed.
const REBOUND_MAX: u32 = 8;

/// A query without tables that a worker has run.
pub(super) struct LocalRun {
    session: SessionId,
    /// The session may be at its next by now.
    statement: u64,
    result: Result<(Vec<Delivery>, u64), Error>,
}

impl Sessions {
    /// Begins a statement with its values.
    pub(super) fn begin(
        &mut self,
        below: &mut Below<'_>,
        id: SessionId,
        statement: Arc<Prepared>,
        parameters: Arc<[Datum]>,
        rebound: u32,
    ) {
        let is_current = plans::is_current(&statement, &self.snapshot());
        let session = self.live.get_mut(&id).expect("it has just asked");
        let timeout = session.pg.settings().statement_timeout_ms();
        debug_assert!(
            session.running.as_ref().is_none_or(|running| !running.is_given),
            "what ran before was stopped, or its flow would never end"
        );
        let kept = session.running.as_ref().and_then(|running| running.deadline);
        let deadline = kept.or_else(|| (timeout > 0).then(|| below.now + timeout * 1_000_000));
        self.next_statement += 1;
        session.running = Some(Running {
            number: self.next_statement,
            statement: statement.clone(),
            parameters: parameters.clone(),
            is_given: false,
            worker: None,
            batches: VecDeque::new(),
            in_hand: Share::default(),
            end: None,
            wanted: true,
            deadline,
            cancelled: None,
            rebound,
        });
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id));
        }
        if !is_current {
            let session = self.live.get_mut(&id).expect("it has just asked");
            session.again = Some(Again { statement, parameters, rebound });
            self.prepare_again(id);
            return;
        }
        match &statement.body {
            Body::Query(planned) => self.begin_query(below, id, planned, &parameters),
            Body::CreateTable(create) => {
                let body = encode_create(create);
                self.ask(id, "create_table", body);
            }
            Body::DropTable(drop) => {
                let body = encode_drop(drop);
                self.ask(id, "drop_table", body);
            }
            Body::Empty | Body::Utility(_) => unreachable!("a session runs these itself"),
        }
    }

    fn begin_query(
        &mut self,
        below: &mut Below<'_>,
        id: SessionId,
        planned: &Arc<Planned>,
        parameters: &[Datum],
    ) {
        match &planned.point {
            Some(point) if point.table.is_none() => {
                // It reads nothing: it is run where it is, unless that takes long.
                let session = self.live.get_mut(&id).expect("it has just asked");
                let eval = EvalContext { meter: Meter::brief(), ..session.pg.eval() };
                let effect = point.run(parameters, &eval).effect(&[], &|_| None);
                if eval.meter.ran_out() {
                    self.run_here(id, below.gateway.memory());
                    return;
                }
                let running = session.running.as_mut().expect("it has just begun");
                let mut memory = below.gateway.memory().share();
                let effect = effect
                    .and_then(|effect| memory.resize(effect.rows.size_bytes()).map(|()| effect));
                match effect {
                    Ok(effect) => {
                        let (rows, notices) = (effect.count, Vec::new());
                        if !effect.rows.is_empty() {
                            let rows = Delivery { batch: effect.rows, credit: 0, memory };
                            running.batches.push_back(rows);
                        }
                        running.end = Some(Outcome::Done { rows, notices });
                    }
                    Err(error) => running.end = Some(Outcome::Failed(error)),
                }
                self.hand_over(below, id);
            }
            Some(point) => {
                let set = point.table.as_ref().map_or(0, |table| table.colocation);
                match self.catalog.group_of(set) {
                    Ok(group) => self.start_flow(below, id, group, true),
                    Err(error) => self.fail_running(below, id, error),
                }
            }
            None => {
                let body = encode_query(planned);
                self.ask(id, "plan", body);
            }
        }
    }

    /// Gives a session's query to the leader of a group.
    fn start_flow(&mut self, below: &mut Below<'_>, id: SessionId, group: GroupId, is_point: bool) {
        let catalog_version = self.snapshot().version();
        let session = self.live.get_mut(&id).expect("its statement runs");
        let running = session.running.as_mut().expect("its statement runs");
        let Body::Query(planned) = &running.statement.body else {
            unreachable!("only queries are given to leaders");
        };
        let call = Call::Local { planned: planned.clone(), parameters: running.parameters.clone() };
        let query = Query { is_point, call, eval: session.pg.eval() };
        running.is_given = true;
        let owner = Owner::Session(id, running.number);
        let work = Work::Query(Box::new(query));
        below.tell(Input::Start(Start { owner, group, catalog_version, work }));
    }

    /// The control plane's answer to an event.
    ///
    /// # Errors
    /// `XX000` for an answer that does not decode.
    pub fn answer(
        &mut self,
        below: &mut Below<'_>,
        id: SessionId,
        event: u64,
        outcome: &[u8],
    ) -> Result<(), Error> {
        let Some(session) = self.live.get_mut(&id) else { return Ok(()) };
        if session.asked != Some(event) {
            return Ok(()); // The session has given the statement up.
        }
        session.asked = None;
        let answer = decode_answer(outcome)
            .map_err(|error| Error::internal(format!("an answer of the control plane: {error}")))?;
        match answer {
            Answer::Plan(0) => self.run_here(id, below.gateway.memory()),
            Answer::Plan(group) => self.start_flow(below, id, GroupId(group), false),
            Answer::Done(notices) => {
                let end = Outcome::Done { rows: 0, notices };
                self.end_running(below, id, end);
            }
            Answer::Failed(error) => self.fail_running(below, id, error),
        }
        Ok(())
    }

    fn end_running(&mut self, below: &mut Below<'_>, id: SessionId, end: Outcome) {
        if let Some(running) = self.live.get_mut(&id).and_then(|session| session.running.as_mut()) {
            running.end = Some(end);
            self.hand_over(below, id);
        }
    }

    pub(super) fn fail_running(&mut self, below: &mut Below<'_>, id: SessionId, error: Error) {
        if let Some(running) = self.live.get_mut(&id).and_then(|session| session.running.as_mut()) {
            let end = Outcome::Failed(running.failure(error));
            self.end_running(below, id, end);
        }
    }

    /// Runs a query that reads no table on a worker of this node.
    fn run_here(&mut self, id: SessionId, memory: &QueryMemory) {
        let session = self.live.get_mut(&id).expect("it has just been answered");
        let eval = session.pg.eval();
        let Some(running) = &mut session.running else { return };
        let worker = Arc::new(AtomicBool::new(false));
        running.worker = Some(worker.clone());
        let meter = Meter::of_query(memory, worker);
        let statement = running.statement.clone();
        let Body::Query(planned) = &statement.body else { return };
        let input = FragmentInput {
            query: planned.query.clone(),
            tables: Vec::new(),
            parameters: running.parameters.to_vec(),
            eval: EvalContext { meter, ..eval },
            hidden_keys: Vec::new(),
            memory: memory.clone(),
        };
        let (local, number) = (self.local.clone(), running.number);
        let job = move || {
            let result = run_without_tables(input);
            local.post(LocalRun { session: id, statement: number, result });
        };
        self.runtime.submit(Pool::Sql, Box::new(job));
    }

    pub(super) fn was_run_here(&mut self, below: &mut Below<'_>, local: LocalRun) {
        let id = local.session;
        let running = self.live.get_mut(&id).and_then(|session| session.running.as_mut());
        let Some(running) = running.filter(|running| running.number == local.statement) else {
            return;
        };
        match local.result {
            Ok((batches, rows)) => {
                running.batches.extend(batches);
                running.end = Some(Outcome::Done { rows, notices: Vec::new() });
            }
            Err(error) => running.end = Some(Outcome::Failed(error)),
        }
        self.hand_over(below, id);
    }

    /// Binds the running statement again if its schema changed under it; whether it did.
    pub(super) fn bind_again_for(
        &mut self,
        below: &mut Below<'_>,
        id: SessionId,
        error: &Error,
    ) -> bool {
        let is_stale = is_stale_schema(error);
        let session = self.live.get_mut(&id).expect("the caller looked it up");
        let running = session.running.as_mut().expect("the caller looked it up");
        if !is_stale || running.rebound >= REBOUND_MAX || !running.batches.is_empty() {
            return false;
        }
        if let Some(why) = running.cancelled.take() {
            running.is_given = false;
            running.end = Some(Outcome::Failed(why));
            self.hand_over(below, id);
            return true;
        }
        running.is_given = false;
        session.again = Some(Again {
            statement: running.statement.clone(),
            parameters: running.parameters.clone(),
            rebound: running.rebound + 1,
        });
        self.wait_for_catalog(id, plans::Wanted::Again);
        true
    }

    /// The statement was bound again: runs it, if its result looks as it was promised.
    pub(super) fn run_again(
        &mut self,
        below: &mut Below<'_>,
        id: SessionId,
        statement: Arc<Prepared>,
    ) {
        let session = self.live.get_mut(&id).expect("the caller looked it up");
        let Some(again) = session.again.take() else { return };
        if !statement.has_result_of(&again.statement) {
            self.fail_running(below, id, plans::other_result());
            return;
        }
        if let Some(error) = statement.plan_error.clone() {
            self.fail_running(below, id, error);
            return;
        }
        self.begin(below, id, statement, again.parameters, again.rebound);
    }
}

struct NoTables;

impl Storage for NoTables {
    fn get(
        &self,
        table: &phantom_sql::catalog::Table,
        _key: &[u8],
    ) -> phantom_base::Result<Option<phantom_sql::execute::StoredRow>> {
        Err(Error::internal(format!("table {} is read where there is none", table.name)))
    }

    fn get_cached(
        &self,
        table: &phantom_sql::catalog::Table,
        key: &[u8],
    ) -> phantom_base::Result<phantom_sql::execute::Fetch> {
        self.get(table, key).map(phantom_sql::execute::Fetch::Found)
    }

    fn scan(
        &self,
        table: &phantom_sql::catalog::Table,
        _start: Option<&[u8]>,
        _end: Option<&[u8]>,
    ) -> phantom_base::Result<Box<dyn phantom_sql::execute::RowSource>> {
        Err(Error::internal(format!("table {} is read where there is none", table.name)))
    }
}

/// All rows at once, which wait for the client together.
fn run_without_tables(input: FragmentInput) -> Result<(Vec<Delivery>, u64), Error> {
    let account = input.memory.clone();
    let mut fragment = Fragment::new(input)?;
    let mut batches = Vec::new();
    loop {
        match fragment.step(&NoTables, StepBudget::WORKER)? {
            Step::Batch(batch) => {
                let mut memory = account.share();
                memory.resize(batch.size_bytes())?;
                batches.push(Delivery { batch, credit: 0, memory });
            }
            Step::Yield => {}
            Step::Done(finished) => return Ok((batches, finished.count)),
        }
    }
}
