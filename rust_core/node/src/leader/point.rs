//! Point plans at the leader.
//!
//! Nearly all of them are evaluated where they are, on the node's thread, under a meter of a
//! millisecond or two. One that takes more is evaluated again from the beginning on a worker, under
//! the meter of a query, while its latches are held: first its keys, if they are what takes long,
//! then what becomes of its rows. Until it is proposed it can be cancelled.

use phantom_base::sync::Arc;
use phantom_base::{Error, NodeId, Result, Timestamp, sqlstate};
use phantom_sql::bound::Command;
use phantom_sql::catalog::Table;
use phantom_sql::execute::{RowWrite, StoredRow};
use phantom_sql::point::PointPlan;
use phantom_sql::statement::Planned;
use phantom_types::{Datum, EvalContext, Meter, NO_TYPMOD, format};

use super::active::{Answer, Job, Stage, Task};
use super::commit::Put;
use super::rows::rows_for;
use super::steps::StepsJob;
use super::storage::relation_of;
use super::work::{Call, Query};
use super::{Context, GroupLeader, RequestId};

/// A point plan with its values and its keys.
#[derive(Clone)]
pub struct PointJob {
    planned: Arc<Planned>,
    parameters: Arc<[Datum]>,
    eval: EvalContext,
    hidden_keys: Vec<[u8; 12]>,
    /// Key columns, each once, sorted.
    keys: Vec<Vec<u8>>,
    /// Whether its rows stay on this node.
    is_local: bool,
    /// Whether only a worker can tell the keys, and has not yet.
    wants_keys: bool,
    /// Whether it is too much for the node's thread.
    is_costly: bool,
}

/// What a point plan comes to, given its rows.
pub struct Evaluated {
    answer: Answer,
    writes: Vec<RowWrite>,
}

impl PointJob {
    fn plan(&self) -> &PointPlan {
        self.planned.point.as_ref().expect("a point job has a point plan")
    }

    pub fn is_write(&self) -> bool {
        self.planned.query.is_write()
    }

    /// The first of its tables.
    pub fn table(&self) -> Option<&Table> {
        self.planned.tables.first().map(|table| &**table)
    }

    /// Whether the keys are still to be found by a worker.
    pub fn wants_keys(&self) -> bool {
        self.wants_keys
    }

    /// Whole keys, as storage has them, in the order of `keys`.
    pub fn full_keys(&self) -> Vec<Vec<u8>> {
        let Some(table) = &self.plan().table else { return Vec::new() };
        let relation = relation_of(table);
        self.keys.iter().map(|key| relation.key(key)).collect()
    }

    /// The keys that it touches.
    pub fn find_keys(&self) -> Result<Vec<Vec<u8>>> {
        self.plan().run(&self.parameters, &self.eval).keys(&self.hidden_keys)
    }

    /// What becomes of the rows under its keys.
    pub fn evaluate(&self, found: &[Option<StoredRow>]) -> Result<Evaluated> {
        let at = |key: &[u8]| {
            let at = self.keys.binary_search_by(|known| known.as_slice().cmp(key)).ok()?;
            found.get(at)?.clone()
        };
        let run = self.plan().run(&self.parameters, &self.eval);
        let effect = run.effect(&self.hidden_keys, &at)?;
        let answer = Answer { rows: rows_for(self.is_local, effect.rows)?, count: effect.count };
        Ok(Evaluated { answer, writes: effect.writes })
    }

    /// The job as a worker gets it: with the meter of a query.
    fn for_worker(&self, meter: Meter) -> Box<Self> {
        let mut job = Box::new(self.clone());
        job.eval.meter = meter;
        job
    }
}

/// Makes the job of a query; `None` if the gateway has to send its plan first.
pub(super) fn query_job(context: &mut Context<'_>, query: Query) -> Result<Option<Job>> {
    let Query { is_point, call, eval } = query;
    let Some(planned) = context.shared.planned(&call)? else { return Ok(None) };
    let (parameters, is_local) = match call {
        Call::Local { parameters, .. } => (parameters, true),
        Call::Remote { parameters, .. } => (read_parameters(&planned, &parameters)?.into(), false),
    };
    let hidden_keys = hidden_keys(context, &planned)?;
    if !is_point {
        let job = StepsJob::new(planned, parameters, eval, hidden_keys, is_local);
        return Ok(Some(Job::Steps(Box::new(job))));
    }
    if planned.point.is_none() {
        return Err(Error::internal("a query is run as a point plan that it has not"));
    }
    let eval = EvalContext { meter: Meter::brief(), ..eval };
    let (keys, wants_keys, is_costly) = (Vec::new(), false, false);
    let mut job =
        PointJob { planned, parameters, eval, hidden_keys, keys, is_local, wants_keys, is_costly };
    let keys = job.find_keys();
    job.is_costly = job.eval.meter.ran_out();
    job.wants_keys = job.is_costly;
    if !job.is_costly {
        job.keys = keys?;
    }
    Ok(Some(Job::Point(job)))
}

/// Row ids for an INSERT into a table without a key: this node and its clock.
fn hidden_keys(context: &mut Context<'_>, planned: &Planned) -> Result<Vec<[u8; 12]>> {
    let Command::Insert(insert) = &planned.query.command else { return Ok(Vec::new()) };
    if planned.tables.first().is_none_or(|table| !table.primary_key.is_empty()) {
        return Ok(Vec::new());
    }
    let mut keys = Vec::with_capacity(insert.rows.len());
    for _ in &insert.rows {
        let stamp = context.replica.tick().ok_or_else(slow_disk)?;
        keys.push(hidden_key(context.shared.node(), stamp));
    }
    Ok(keys)
}

impl GroupLeader {
    fn point_job(&mut self, request: RequestId) -> &mut PointJob {
        match &mut self.get(request).job {
            Job::Point(job) => job,
            _ => unreachable!("the caller matched the job"),
        }
    }

    fn point_for_worker(&mut self, context: &Context<'_>, request: RequestId) -> Box<PointJob> {
        let flag = self.get(request).flag();
        self.point_job(request).for_worker(Meter::of_query(&context.shared.memory, flag))
    }

    /// Lets a worker find the keys of a request that has not begun.
    pub(super) fn find_keys(&mut self, context: &mut Context<'_>, request: RequestId) {
        let task = Task::Keys(self.point_for_worker(context, request));
        self.give(context, request, task);
    }

    /// A worker has found the keys: the request begins, if this node still leads.
    pub(super) fn keys_found(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        keys: Result<Vec<Vec<u8>>>,
    ) {
        match keys {
            Err(error) => self.fail(context, request, error),
            Ok(_) if !self.leads() => self.send_away(context, request),
            Ok(keys) => {
                let job = self.point_job(request);
                (job.keys, job.wants_keys) = (keys, false);
                self.begin(context, request);
            }
        }
    }

    /// The rows under the keys are known: evaluates, here or on a worker.
    pub(super) fn point_found(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        found: &[Option<StoredRow>],
    ) {
        let job = self.point_job(request);
        if !job.is_costly {
            job.eval.meter = Meter::brief();
            let evaluated = job.evaluate(found);
            if !job.eval.meter.ran_out() {
                self.point_evaluated(context, request, evaluated);
                return;
            }
            job.is_costly = true;
        }
        let bytes = found.iter().flatten().map(|row| row.bytes.len()).sum();
        if let Err(error) = self.hold_found(context, request, bytes) {
            self.fail(context, request, error);
            return;
        }
        let task = Task::Evaluate(self.point_for_worker(context, request), found.to_vec());
        self.give(context, request, task);
    }

    /// Holds the rows that a worker evaluates.
    fn hold_found(
        &mut self,
        context: &Context<'_>,
        request: RequestId,
        bytes: usize,
    ) -> Result<()> {
        let mut found = context.shared.memory.share();
        let active = self.get(request);
        active.found.release();
        found.resize(bytes)?;
        active.found = found;
        Ok(())
    }

    /// Answers, proposes, or proves first.
    pub(super) fn point_evaluated(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        evaluated: Result<Evaluated>,
    ) {
        let job = self.point_job(request);
        let is_write = job.is_write();
        let planned = job.planned.clone();
        let active = self.get(request);
        active.found.release();
        // What a read returns is on its way at once.
        let evaluated = evaluated.and_then(|evaluated| {
            let bytes = if is_write { evaluated.answer.size_bytes() } else { 0 };
            active.held.resize(bytes).map(|()| evaluated)
        });
        match evaluated {
            Err(error) => self.prove(context, request, is_write, Err(error)),
            Ok(Evaluated { answer, writes }) if writes.is_empty() => {
                self.prove(context, request, is_write, Ok(answer));
            }
            Ok(Evaluated { answer, writes }) => {
                let puts: Vec<Put> = writes.into_iter().map(Put::of).collect();
                self.propose(context, request, &planned.tables, &puts, answer);
            }
        }
    }

    /// Answers a read at once; of a write that wrote nothing, first proves that this node led when
    /// it looked.
    pub(super) fn prove(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        is_write: bool,
        result: Result<Answer>,
    ) {
        if is_write && !self.is_in_its_term(request) {
            self.outlived(context, request);
        } else if is_write {
            self.ask_barrier(context, request, Stage::Confirm(result));
            // It writes nothing: whoever waits for its latches may go on.
            self.release(request);
        } else {
            self.answer(context, request, result, Timestamp::MIN);
        }
    }
}

fn read_parameters(planned: &Planned, values: &[Option<Vec<u8>>]) -> Result<Vec<Datum>> {
    let types = &planned.query.parameters;
    if types.len() != values.len() {
        return Err(Error::internal("a fragment has other parameters than its query"));
    }
    let read = |(at, (ty, value)): (usize, (&phantom_types::TypeId, &Option<Vec<u8>>))| {
        value
            .as_ref()
            .map_or(Ok(Datum::Null), |bytes| format::read_binary(*ty, NO_TYPMOD, bytes, at + 1))
    };
    types.iter().zip(values).enumerate().map(read).collect()
}

fn hidden_key(node: NodeId, stamp: Timestamp) -> [u8; 12] {
    let mut key = [0; 12];
    let (first, rest) = key.split_at_mut(4);
    first.copy_from_slice(&node.0.to_be_bytes());
    rest.copy_from_slice(&stamp.0.to_be_bytes());
    key
}

fn slow_disk() -> Error {
    Error::new(sqlstate::INSUFFICIENT_RESOURCES, "the disk is too slow to cover the clock")
        .with_hint("Try again; the log's device answers later than it should.")
}
