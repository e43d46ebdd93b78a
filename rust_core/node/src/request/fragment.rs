//! Fragments at the leader: run in budgeted steps on SQL workers, their rows sent as the gateway
//! takes them, their writes checked against what they saw.

use phantom_base::sync::{Arc, Ordering};
use phantom_base::{Error, Result, Timestamp, sqlstate};
use phantom_mvcc::{Reader, Reads, Ticket};
use phantom_sql::execute::{
    Finished, Fragment, FragmentInput, RowWrite, Seen, Step, StepBudget, Storage, StoredRow,
};
use phantom_sql::statement::Planned;
use phantom_types::{Datum, EvalContext, Meter, QueryMemory};

use super::commit::{Put, check_write_bytes};
use super::message::ToGateway;
use super::rows::encode_rows;
use super::storage::{GroupStorage, relation_of};
use super::{Answer, Job, Requests, Stage, Worked, cancelled};
use crate::replication::Replication;
use crate::runtime::Pool;

/// A fragment with its values, and how far it is.
pub(super) struct FragmentJob {
    planned: Arc<Planned>,
    parameters: Vec<Datum>,
    eval: EvalContext,
    hidden_keys: Vec<[u8; 12]>,
    /// Between two steps.
    parked: Option<Running>,
    /// RETURNING, until the commit.
    held: Vec<(u64, Vec<u8>)>,
    /// What it wants to write, once it is through.
    finished: Option<Finished>,
}

struct Running {
    /// Until the first step makes it a fragment.
    input: Option<Box<FragmentInput>>,
    fragment: Option<Box<Fragment>>,
    storage: Arc<dyn Storage>,
}

/// A step that a worker has done.
pub(super) struct Stepped {
    running: Running,
    result: Result<Progress>,
}

enum Progress {
    Rows(Vec<(u64, Vec<u8>)>),
    Yield,
    Done(Finished),
}

impl FragmentJob {
    pub(super) fn new(
        planned: Arc<Planned>,
        parameters: Vec<Datum>,
        eval: EvalContext,
        hidden_keys: Vec<[u8; 12]>,
    ) -> Self {
        Self {
            planned,
            parameters,
            eval,
            hidden_keys,
            parked: None,
            held: Vec::new(),
            finished: None,
        }
    }

    /// Everything that it may read: whole tables.
    pub(super) fn reads(&self) -> Reads {
        let relations = self.planned.tables.iter().map(|table| relation_of(table));
        let mut relations: Vec<_> = relations.collect();
        relations.sort_unstable();
        match (relations.first(), relations.last()) {
            (Some(first), Some(last)) => Reads::Span(first.prefix().to_vec(), last.end().to_vec()),
            _ => Reads::Keys(Vec::new()),
        }
    }

    /// Whole keys of its writes, in their order.
    pub(super) fn written_keys(&self) -> Vec<Vec<u8>> {
        let writes = self.finished.iter().flat_map(|finished| &finished.writes);
        writes.map(|write| relation_of(&write.table).key(&write.key)).collect()
    }

    /// Takes back rows that a commit was to release.
    pub(super) fn hold_again(&mut self, rows: Vec<(u64, Vec<u8>)>) {
        self.held = rows;
    }

    /// Forgets a run, to begin again.
    pub(super) fn reset(&mut self) {
        self.parked = None;
        self.held.clear();
        self.finished = None;
    }
}

impl Requests {
    /// What one query may take.
    pub fn memory(&self) -> &QueryMemory {
        &self.memory
    }

    fn fragment_job(&mut self, ticket: Ticket) -> &mut FragmentJob {
        match &mut self.get(ticket).job {
            Job::Fragment(job) => job,
            _ => unreachable!("the caller matched the job"),
        }
    }

    pub(super) fn start_fragment(&mut self, ticket: Ticket, reader: Reader) {
        let memory = self.memory.clone();
        let meter = Meter::of_query(&memory, self.get(ticket).cancelled.clone());
        let job = self.fragment_job(ticket);
        let input = FragmentInput {
            query: job.planned.query.clone(),
            tables: job.planned.tables.clone(),
            parameters: job.parameters.clone(),
            eval: EvalContext { meter, ..job.eval.clone() },
            hidden_keys: job.hidden_keys.clone(),
            memory,
        };
        let (input, storage) = (Some(Box::new(input)), GroupStorage::over(reader));
        job.parked = Some(Running { input, fragment: None, storage });
        self.step_fragment(ticket);
    }

    /// Gives a fragment's next step to a worker.
    pub(super) fn step_fragment(&mut self, ticket: Ticket) {
        let mut running =
            self.fragment_job(ticket).parked.take().expect("a fragment is parked between steps");
        let active = self.get(ticket);
        active.stage = Stage::Working;
        let is_cancelled = active.cancelled.clone();
        let worked = self.worked.clone();
        let job = move || {
            let result = if is_cancelled.load(Ordering::Relaxed) {
                Err(cancelled())
            } else {
                step(&mut running)
            };
            let stepped = Stepped { running, result };
            worked.post(Worked::Stepped(ticket, Box::new(stepped)));
        };
        self.runtime.submit(Pool::Sql, Box::new(job));
    }

    pub(super) fn stepped(
        &mut self,
        replication: &mut Replication,
        ticket: Ticket,
        stepped: Stepped,
    ) {
        if self.get(ticket).cancelled.load(Ordering::Relaxed) {
            self.fail(ticket, cancelled());
            return;
        }
        match stepped.result {
            Ok(Progress::Yield) => {
                self.fragment_job(ticket).parked = Some(stepped.running);
                self.step_fragment(ticket);
            }
            Ok(Progress::Rows(parts)) => {
                self.fragment_job(ticket).parked = Some(stepped.running);
                self.fragment_rows(ticket, parts);
            }
            Ok(Progress::Done(finished)) => {
                // What it held is the request's from here on.
                drop(stepped.running);
                self.fragment_done(replication, ticket, finished);
            }
            Err(error) => self.fail(ticket, error),
        }
    }

    fn fragment_rows(&mut self, ticket: Ticket, parts: Vec<(u64, Vec<u8>)>) {
        let bytes_max = self.memory.bytes;
        let job = self.fragment_job(ticket);
        if job.planned.query.is_write() {
            // None of it may leave before the commit.
            let bytes = parts.iter().map(|(_, bytes)| bytes.len()).sum();
            job.held.extend(parts);
            let held = &mut self.get(ticket).held;
            match held.grow(bytes) {
                Ok(()) if held.held() > bytes_max => {
                    self.fail(ticket, too_much_returned(bytes_max));
                }
                Ok(()) => self.step_fragment(ticket),
                Err(error) => self.fail(ticket, error),
            }
            return;
        }
        for (count, bytes) in parts {
            let active = self.get(ticket);
            active.credit -= i64::try_from(bytes.len()).unwrap_or(i64::MAX);
            let origin = active.origin;
            self.reply(origin, ToGateway::Rows { dispatch: origin.dispatch, count, bytes });
        }
        if self.get(ticket).credit > 0 {
            self.step_fragment(ticket);
        } else {
            self.get(ticket).stage = Stage::Credit;
        }
    }

    fn fragment_done(&mut self, replication: &mut Replication, ticket: Ticket, finished: Finished) {
        let job = self.fragment_job(ticket);
        if finished.writes.is_empty() {
            // Its barrier has proven what it saw.
            let answer = Answer { rows: std::mem::take(&mut job.held), count: finished.count };
            self.answer(ticket, Ok(answer), Timestamp::MIN);
            return;
        }
        let row = |write: &RowWrite| write.row.as_ref().map_or(0, Vec::len);
        let bytes = finished.writes.iter().map(|write| write.key.len() + row(write)).sum();
        job.finished = Some(finished);
        match self.get(ticket).held.grow(bytes) {
            Ok(()) => self.latch(replication, ticket),
            Err(error) => self.fail(ticket, error),
        }
    }

    /// What stands under the keys now is known: is it what the fragment saw?
    pub(super) fn fragment_checked(
        &mut self,
        replication: &mut Replication,
        ticket: Ticket,
        found: &[Option<StoredRow>],
    ) {
        let job = self.fragment_job(ticket);
        let finished = job.finished.as_ref().expect("a fragment is checked once it is through");
        assert_eq!(finished.writes.len(), found.len(), "a row was looked up for each write");
        let is_same =
            finished.writes.iter().zip(found).all(|(write, found)| match (write.seen, found) {
                (Seen::Nothing, None) => true,
                (Seen::Version(seen), Some(row)) => row.version == seen,
                _ => false,
            });
        if !is_same {
            phantom_base::mark!("a_scanned_row_changed");
            self.repeat(replication, ticket);
            return;
        }
        let puts: Vec<Put> = finished.writes.iter().map(Put::of).collect();
        let answer = Answer { count: finished.count, rows: std::mem::take(&mut job.held) };
        let tables = job.planned.tables.clone();
        self.propose(replication, ticket, &tables, &puts, answer);
    }
}

fn too_much_returned(bytes_max: usize) -> Error {
    Error::new(sqlstate::OUT_OF_MEMORY, "out of memory")
        .with_detail(format!("The rows to return take over {bytes_max} bytes."))
        .with_hint("Return fewer rows or columns, or change fewer rows at once.")
}

fn step(running: &mut Running) -> Result<Progress> {
    if let Some(input) = running.input.take() {
        running.fragment = Some(Box::new(Fragment::new(*input)?));
    }
    let fragment = running.fragment.as_mut().expect("the first step makes it");
    let step = fragment.step(&*running.storage, StepBudget::WORKER)?;
    // Refused before all of it is in memory, has latches and is compared, for nothing.
    check_write_bytes(fragment.written_bytes())?;
    Ok(match step {
        Step::Batch(batch) => Progress::Rows(encode_rows(&batch)?),
        Step::Yield => Progress::Yield,
        Step::Done(finished) => Progress::Done(finished),
    })
}
