//! Queries in steps: run on SQL workers, a budget at a time, their rows sent as the gateway takes
//! them, their writes checked against what they saw.

use phantom_base::sync::{Arc, AtomicBool, Ordering};
use phantom_base::{Error, Result, Timestamp, sqlstate};
use phantom_mvcc::{Reader, Reads};
use phantom_sql::catalog::Table;
use phantom_sql::execute::{
    Finished, Fragment, FragmentInput, RowWrite, Seen, Step, StepBudget, Storage, StoredRow,
};
use phantom_sql::statement::Planned;
use phantom_types::{Datum, EvalContext, Meter};

use super::active::{Answer, Job, Stage, Task};
use super::commit::{Put, check_write_bytes};
use super::rows::rows_for;
use super::storage::{GroupStorage, relation_of};
use super::turns::cancelled;
use super::work::{Reply, Rows};
use super::{Context, GroupLeader, RequestId};

/// A statement that scans and writes repeats at most so often; then 40001.
const REPEATS_MAX: u32 = 50;

/// A query with its values, and how far it is.
pub struct StepsJob {
    planned: Arc<Planned>,
    parameters: Arc<[Datum]>,
    eval: EvalContext,
    hidden_keys: Vec<[u8; 12]>,
    /// Whether its rows stay on this node.
    is_local: bool,
    /// Between two steps.
    parked: Option<Running>,
    /// RETURNING, until the commit.
    held: Vec<Rows>,
    /// What it wants to write, once it is through.
    finished: Option<Finished>,
}

/// A query that runs.
pub struct Running {
    /// Until the first step makes it a fragment.
    input: Option<Box<FragmentInput>>,
    fragment: Option<Box<Fragment>>,
    storage: Arc<dyn Storage>,
    budget: StepBudget,
    is_local: bool,
    is_cancelled: Arc<AtomicBool>,
}

/// A step that a worker has done.
pub struct Stepped {
    running: Running,
    result: Result<Progress>,
}

enum Progress {
    Rows(Vec<Rows>),
    Yield,
    Done(Finished),
}

impl Running {
    /// Takes a step, on a worker.
    pub fn step(mut self) -> Stepped {
        let result = if self.is_cancelled.load(Ordering::Relaxed) {
            Err(cancelled())
        } else {
            self.progress()
        };
        Stepped { running: self, result }
    }

    fn progress(&mut self) -> Result<Progress> {
        if let Some(input) = self.input.take() {
            self.fragment = Some(Box::new(Fragment::new(*input)?));
        }
        let fragment = self.fragment.as_mut().expect("the first step makes it");
        let step = fragment.step(&*self.storage, self.budget)?;
        // Refused before all of it is in memory, has latches and is compared, for nothing.
        check_write_bytes(fragment.written_bytes())?;
        Ok(match step {
            Step::Batch(batch) => Progress::Rows(rows_for(self.is_local, batch)?),
            Step::Yield => Progress::Yield,
            Step::Done(finished) => Progress::Done(finished),
        })
    }
}

impl StepsJob {
    pub fn new(
        planned: Arc<Planned>,
        parameters: Arc<[Datum]>,
        eval: EvalContext,
        hidden_keys: Vec<[u8; 12]>,
        is_local: bool,
    ) -> Self {
        Self {
            planned,
            parameters,
            eval,
            hidden_keys,
            is_local,
            parked: None,
            held: Vec::new(),
            finished: None,
        }
    }

    /// The first of its tables.
    pub fn table(&self) -> Option<&Table> {
        self.planned.tables.first().map(|table| &**table)
    }

    /// Everything that it may read: whole tables.
    pub fn reads(&self) -> Reads {
        let relations = self.planned.tables.iter().map(|table| relation_of(table));
        let mut relations: Vec<_> = relations.collect();
        relations.sort_unstable();
        match (relations.first(), relations.last()) {
            (Some(first), Some(last)) => Reads::Span(first.prefix().to_vec(), last.end().to_vec()),
            _ => Reads::Keys(Vec::new()),
        }
    }

    /// Whole keys of its writes, in their order.
    pub fn written_keys(&self) -> Vec<Vec<u8>> {
        let writes = self.finished.iter().flat_map(|finished| &finished.writes);
        writes.map(|write| relation_of(&write.table).key(&write.key)).collect()
    }

    /// Takes back rows that a commit was to release.
    pub fn hold_again(&mut self, rows: Vec<Rows>) {
        self.held = rows;
    }

    /// Forgets a run, to begin again.
    fn reset(&mut self) {
        self.parked = None;
        self.held.clear();
        self.finished = None;
    }
}

impl GroupLeader {
    fn steps_job(&mut self, request: RequestId) -> &mut StepsJob {
        match &mut self.get(request).job {
            Job::Steps(job) => job,
            _ => unreachable!("the caller matched the job"),
        }
    }

    pub(super) fn start_steps(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        reader: Reader,
    ) {
        let memory = context.shared.memory.clone();
        let active = self.get(request);
        let (is_cancelled, budget) = (active.flag(), active.budget);
        let meter = Meter::of_query(&memory, Arc::clone(&is_cancelled));
        let job = self.steps_job(request);
        let input = FragmentInput {
            query: job.planned.query.clone(),
            tables: job.planned.tables.clone(),
            parameters: job.parameters.to_vec(),
            eval: EvalContext { meter, ..job.eval.clone() },
            hidden_keys: job.hidden_keys.clone(),
            memory,
        };
        let (input, storage) = (Some(Box::new(input)), GroupStorage::over(reader));
        let is_local = job.is_local;
        let running = Running { input, fragment: None, storage, budget, is_local, is_cancelled };
        self.give(context, request, Task::Step(running));
    }

    /// Gives the next step to a worker.
    fn next_step(&mut self, context: &mut Context<'_>, request: RequestId) {
        let parked = self.steps_job(request).parked.take();
        let running = parked.expect("a query is parked between steps");
        self.give(context, request, Task::Step(running));
    }

    /// A gateway has taken rows.
    pub(super) fn credit(&mut self, context: &mut Context<'_>, origin: super::Origin, bytes: u64) {
        let Some(request) = self.by_origin.get(&origin).copied() else { return };
        let active = self.get(request);
        active.credit = active.credit.saturating_add_unsigned(bytes);
        if active.credit > 0 && matches!(active.stage, Stage::Credit) {
            self.next_step(context, request);
        }
    }

    pub(super) fn stepped(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        stepped: Stepped,
    ) {
        match stepped.result {
            Ok(Progress::Yield) => self.give(context, request, Task::Step(stepped.running)),
            Ok(Progress::Rows(rows)) => {
                self.steps_job(request).parked = Some(stepped.running);
                self.step_rows(context, request, rows);
            }
            Ok(Progress::Done(finished)) => {
                // What it held is the request's from here on.
                drop(stepped.running);
                self.steps_done(context, request, finished);
            }
            Err(error) => self.fail(context, request, error),
        }
    }

    fn step_rows(&mut self, context: &mut Context<'_>, request: RequestId, rows: Vec<Rows>) {
        let bytes_max = context.shared.memory.bytes;
        let job = self.steps_job(request);
        if job.planned.query.is_write() {
            // None of it may leave before the commit.
            let bytes = rows.iter().map(Rows::size_bytes).sum();
            job.held.extend(rows);
            let held = &mut self.get(request).held;
            match held.grow(bytes) {
                Ok(()) if held.held() > bytes_max => {
                    self.fail(context, request, too_much_returned(bytes_max));
                }
                Ok(()) => self.next_step(context, request),
                Err(error) => self.fail(context, request, error),
            }
            return;
        }
        let active = self.get(request);
        let origin = active.origin;
        for rows in rows {
            active.credit -= i64::try_from(rows.size_bytes()).unwrap_or(i64::MAX);
            context.reply(origin, Reply::Rows(rows));
        }
        if active.credit > 0 {
            self.next_step(context, request);
        } else {
            active.stage = Stage::Credit;
        }
    }

    fn steps_done(&mut self, context: &mut Context<'_>, request: RequestId, finished: Finished) {
        let job = self.steps_job(request);
        if finished.writes.is_empty() {
            // Its barrier has proven what it saw.
            let answer = Answer { rows: std::mem::take(&mut job.held), count: finished.count };
            self.answer(context, request, Ok(answer), Timestamp::MIN);
            return;
        }
        let row = |write: &RowWrite| write.row.as_ref().map_or(0, Vec::len);
        let bytes = finished.writes.iter().map(|write| write.key.len() + row(write)).sum();
        job.finished = Some(finished);
        match self.get(request).held.grow(bytes) {
            Ok(()) => self.latch(context, request),
            Err(error) => self.fail(context, request, error),
        }
    }

    /// What stands under the keys now is known: is it what the query saw?
    pub(super) fn steps_checked(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        found: &[Option<StoredRow>],
    ) {
        let job = self.steps_job(request);
        let finished = job.finished.as_ref().expect("a query is checked once it is through");
        assert_eq!(finished.writes.len(), found.len(), "a row was looked up for each write");
        let is_same =
            finished.writes.iter().zip(found).all(|(write, found)| match (write.seen, found) {
                (Seen::Nothing, None) => true,
                (Seen::Version(seen), Some(row)) => row.version == seen,
                _ => false,
            });
        if !is_same {
            phantom_base::mark!("a_scanned_row_changed");
            self.repeat(context, request);
            return;
        }
        let puts: Vec<Put> = finished.writes.iter().cloned().map(Put::of).collect();
        let answer = Answer { count: finished.count, rows: std::mem::take(&mut job.held) };
        let planned = job.planned.clone();
        self.propose(context, request, &planned.tables, &puts, answer);
    }

    /// How a statement that scans and writes goes on when a row is no longer what it saw.
    fn repeat(&mut self, context: &mut Context<'_>, request: RequestId) {
        self.steps_job(request).reset();
        let active = self.get(request);
        active.repeats += 1;
        active.held.release();
        let repeats = active.repeats;
        context.shared.repeats += 1;
        self.release(request);
        if repeats > REPEATS_MAX {
            let error = Error::new(
                sqlstate::SERIALIZATION_FAILURE,
                "could not serialize access due to concurrent update",
            )
            .with_detail(format!("The statement was repeated {REPEATS_MAX} times."))
            .with_hint("Nothing was done; try again.");
            self.fail(context, request, error);
            return;
        }
        self.ask_barrier(context, request, Stage::Barrier);
    }
}

fn too_much_returned(bytes_max: usize) -> Error {
    Error::new(sqlstate::OUT_OF_MEMORY, "out of memory")
        .with_detail(format!("The rows to return take over {bytes_max} bytes."))
        .with_hint("Return fewer rows or columns, or change fewer rows at once.")
}
