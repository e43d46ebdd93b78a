//! Point plans at the leader.
//!
//! Nearly all of them are evaluated where they are, on the node's thread, under a meter of a
//! millisecond or two. One that takes more is evaluated again from the beginning on a worker, under
//! the meter of a query, while its latches are held: first its keys, if they are what takes long,
//! then what becomes of its rows. Until it is proposed it can be cancelled.

use phantom_base::{Error, NodeId, Result, Timestamp, sqlstate};
use phantom_mvcc::Ticket;
use phantom_sql::bound::{Command, codec};
use phantom_sql::execute::{RowWrite, StoredRow};
use phantom_sql::point::PointPlan;
use phantom_sql::statement::Planned;
use phantom_types::{Datum, EvalContext, Meter, NO_TYPMOD, format};

use phantom_base::sync::{Arc, Ordering};

use super::commit::Put;
use super::fragment::FragmentJob;
use super::message::{QueryWork, ToGateway};
use super::rows::encode_rows;
use super::storage::relation_of;
use super::{Answer, Job, Origin, Requests, Stage, Worked, cancelled};
use crate::replication::Replication;
use crate::runtime::Pool;

/// A point plan with its values and its keys.
#[derive(Clone)]
pub(super) struct PointJob {
    planned: Arc<Planned>,
    parameters: Vec<Datum>,
    eval: EvalContext,
    hidden_keys: Vec<[u8; 12]>,
    /// Key columns, each once, sorted.
    keys: Vec<Vec<u8>>,
    /// Whether only a worker can tell them, and has not yet.
    wants_keys: bool,
    /// Whether it is too much for the node's thread.
    is_costly: bool,
}

/// What a point plan comes to, given its rows.
pub(super) struct Evaluated {
    answer: Answer,
    writes: Vec<RowWrite>,
}

impl PointJob {
    fn plan(&self) -> &PointPlan {
        self.planned.point.as_ref().expect("a point job has a point plan")
    }

    pub(super) fn is_write(&self) -> bool {
        self.planned.query.is_write()
    }

    /// Whole keys, as storage has them, in the order of `keys`.
    pub(super) fn full_keys(&self) -> Vec<Vec<u8>> {
        let Some(table) = &self.plan().table else { return Vec::new() };
        let relation = relation_of(table);
        self.keys.iter().map(|key| relation.key(key)).collect()
    }

    /// What becomes of the rows under its keys.
    fn evaluate(&self, found: &[Option<StoredRow>]) -> Result<Evaluated> {
        let at = |key: &[u8]| {
            let at = self.keys.binary_search_by(|known| known.as_slice().cmp(key)).ok()?;
            found.get(at)?.clone()
        };
        let run = self.plan().run(&self.parameters, &self.eval);
        let effect = run.effect(&self.hidden_keys, &at)?;
        let answer = Answer { rows: encode_rows(&effect.rows)?, count: effect.count };
        Ok(Evaluated { answer, writes: effect.writes })
    }
}

impl Requests {
    /// Makes the job of a query; `None` if the gateway has to send its plan first.
    pub(super) fn query_job(
        &mut self,
        replication: &mut Replication,
        origin: Origin,
        query: QueryWork,
    ) -> Result<Option<Job>> {
        let Some(planned) = self.planned(&query)? else {
            self.reply(origin, ToGateway::NeedPlan(origin.dispatch));
            return Ok(None);
        };
        let parameters = read_parameters(&planned, &query.parameters)?;
        let hidden_keys = self.hidden_keys(replication, &planned)?;
        if !query.is_point {
            let job = FragmentJob::new(planned, parameters, query.eval, hidden_keys);
            return Ok(Some(Job::Fragment(Box::new(job))));
        }
        let Some(point) = &planned.point else {
            return Err(Error::internal("a query is run as a point plan that it has not"));
        };
        let eval = EvalContext { meter: Meter::brief(), ..query.eval };
        let keys = point.run(&parameters, &eval).keys(&hidden_keys);
        let is_costly = eval.meter.ran_out();
        let keys = if is_costly { Vec::new() } else { keys? };
        let wants_keys = is_costly;
        let job = PointJob { planned, parameters, eval, hidden_keys, keys, wants_keys, is_costly };
        Ok(Some(Job::Point(Box::new(job))))
    }

    /// Whether a query names descriptors that this node has not applied yet, but its gateway has.
    pub(super) fn lacks_catalog_of(&mut self, query: &QueryWork, catalog_version: u64) -> bool {
        catalog_version > self.catalog.snapshot().version()
            && self.planned(query).is_err_and(|error| is_stale_schema(&error))
    }

    /// The plan that a gateway names, bound to the descriptors that this node has applied.
    fn planned(&mut self, query: &QueryWork) -> Result<Option<Arc<Planned>>> {
        let snapshot = self.catalog.snapshot();
        let is_current = |planned: &Planned| {
            planned.tables.iter().all(|table| {
                snapshot.table_by_oid(table.oid).is_some_and(|now| now.version == table.version)
            })
        };
        if let Some(known) = self.plans.get(&query.hash).filter(|known| is_current(known)) {
            return Ok(Some(known.clone()));
        }
        let Some(tree) = &query.tree else { return Ok(None) };
        let decoded = codec::decode(tree)?;
        let mut tables = Vec::with_capacity(decoded.relations.len());
        for relation in &decoded.relations {
            let table = snapshot
                .table_by_oid(relation.table)
                .filter(|table| table.version == relation.version)
                .ok_or_else(stale_schema)?;
            tables.push(table.clone());
        }
        let planned = Arc::new(Planned::from_parts(decoded, tree.clone(), tables));
        if planned.hash != query.hash {
            return Err(Error::internal("a plan is not the one that its hash names"));
        }
        self.plans.insert(planned.hash, planned.clone(), tree.len());
        Ok(Some(planned))
    }

    /// Row ids for an INSERT into a table without a key: this node and its clock.
    fn hidden_keys(
        &mut self,
        replication: &mut Replication,
        planned: &Planned,
    ) -> Result<Vec<[u8; 12]>> {
        let Command::Insert(insert) = &planned.query.command else { return Ok(Vec::new()) };
        if planned.tables.first().is_none_or(|table| !table.primary_key.is_empty()) {
            return Ok(Vec::new());
        }
        let mut keys = Vec::with_capacity(insert.rows.len());
        for _ in &insert.rows {
            let stamp = replication.tick_hlc().ok_or_else(slow_disk)?;
            keys.push(hidden_key(self.node, stamp));
        }
        Ok(keys)
    }

    fn point_job(&mut self, ticket: Ticket) -> &mut PointJob {
        match &mut self.get(ticket).job {
            Job::Point(job) => job,
            _ => unreachable!("the caller matched the job"),
        }
    }

    /// The job as a worker gets it: with the meter of a query.
    fn point_for_worker(&mut self, ticket: Ticket) -> PointJob {
        let memory = self.memory.clone();
        let active = self.get(ticket);
        active.stage = Stage::Working;
        let meter = Meter::of_query(&memory, active.cancelled.clone());
        let mut job = self.point_job(ticket).clone();
        job.eval.meter = meter;
        job
    }

    /// Whether the keys of a request are still to be found by a worker.
    pub(super) fn wants_keys(&mut self, ticket: Ticket) -> bool {
        matches!(&self.get(ticket).job, Job::Point(job) if job.wants_keys)
    }

    /// Lets a worker find the keys of a request that has not begun.
    pub(super) fn find_keys(&mut self, ticket: Ticket) {
        let (job, worked) = (self.point_for_worker(ticket), self.worked.clone());
        let find = move || {
            let keys = job.plan().run(&job.parameters, &job.eval).keys(&job.hidden_keys);
            worked.post(Worked::Keys(ticket, keys));
        };
        self.runtime.submit(Pool::Sql, Box::new(find));
    }

    /// A worker has found the keys: the request begins, if this node still leads.
    pub(super) fn keys_found(
        &mut self,
        replication: &mut Replication,
        ticket: Ticket,
        keys: Result<Vec<Vec<u8>>>,
    ) {
        if self.get(ticket).cancelled.load(Ordering::Relaxed) {
            self.fail(ticket, cancelled());
            return;
        }
        let group = self.get(ticket).group;
        match keys {
            Err(error) => self.fail(ticket, error),
            Ok(_) if !self.leads(group) => {
                let active = self.end(ticket);
                self.not_leader(replication, active.origin, active.group);
            }
            Ok(keys) => {
                let job = self.point_job(ticket);
                (job.keys, job.wants_keys) = (keys, false);
                self.begin(replication, ticket);
            }
        }
    }

    /// The rows under the keys are known: evaluates, here or on a worker.
    pub(super) fn point_found(
        &mut self,
        replication: &mut Replication,
        ticket: Ticket,
        found: &[Option<StoredRow>],
    ) {
        let job = self.point_job(ticket);
        if !job.is_costly {
            job.eval.meter = Meter::brief();
            let evaluated = job.evaluate(found);
            if !job.eval.meter.ran_out() {
                self.point_evaluated(replication, ticket, evaluated);
                return;
            }
            job.is_costly = true;
        }
        let bytes = found.iter().flatten().map(|row| row.bytes.len()).sum();
        if let Err(error) = self.hold_found(ticket, bytes) {
            self.fail(ticket, error);
            return;
        }
        let (job, worked) = (self.point_for_worker(ticket), self.worked.clone());
        let found = found.to_vec();
        let evaluate = move || worked.post(Worked::Evaluated(ticket, job.evaluate(&found)));
        self.runtime.submit(Pool::Sql, Box::new(evaluate));
    }

    /// Holds the rows that a worker evaluates.
    fn hold_found(&mut self, ticket: Ticket, bytes: usize) -> Result<()> {
        let mut found = self.memory.share();
        let active = self.get(ticket);
        active.found.release();
        found.resize(bytes)?;
        active.found = found;
        Ok(())
    }

    /// A worker has evaluated.
    pub(super) fn point_worked(
        &mut self,
        replication: &mut Replication,
        ticket: Ticket,
        evaluated: Result<Evaluated>,
    ) {
        if self.get(ticket).cancelled.load(Ordering::Relaxed) {
            self.fail(ticket, cancelled());
        } else {
            self.point_evaluated(replication, ticket, evaluated);
        }
    }

    /// Answers, proposes, or proves first.
    fn point_evaluated(
        &mut self,
        replication: &mut Replication,
        ticket: Ticket,
        evaluated: Result<Evaluated>,
    ) {
        let job = self.point_job(ticket);
        let (is_write, tables) = (job.is_write(), job.planned.tables.clone());
        let active = self.get(ticket);
        active.found.release();
        // What a read returns is on its way at once.
        let evaluated = evaluated.and_then(|evaluated| {
            let bytes = if is_write { evaluated.answer.size_bytes() } else { 0 };
            active.held.resize(bytes).map(|()| evaluated)
        });
        match evaluated {
            Err(error) => self.prove(replication, ticket, is_write, Err(error)),
            Ok(Evaluated { answer, writes }) if writes.is_empty() => {
                self.prove(replication, ticket, is_write, Ok(answer));
            }
            Ok(Evaluated { answer, writes }) => {
                let puts: Vec<Put> = writes.iter().map(Put::of).collect();
                self.propose(replication, ticket, &tables, &puts, answer);
            }
        }
    }

    /// Answers a read at once; of a write that wrote nothing, first proves that this node led when
    /// it looked.
    pub(super) fn prove(
        &mut self,
        replication: &mut Replication,
        ticket: Ticket,
        is_write: bool,
        result: Result<Answer>,
    ) {
        if is_write && !self.is_in_its_term(ticket) {
            self.outlived(replication, ticket);
        } else if is_write {
            let group = self.get(ticket).group;
            self.ask_barrier(replication, ticket, Stage::Confirm(result));
            // It writes nothing: whoever waits for its latches may go on.
            if self.active.contains_key(&ticket) {
                self.release(group, ticket);
            }
        } else {
            self.answer(ticket, result, Timestamp::MIN);
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

/// The descriptors changed under a bound statement: it is bound again, and nobody sees this.
pub(super) fn stale_schema() -> Error {
    Error::new(sqlstate::SERIALIZATION_FAILURE, STALE_SCHEMA)
}

/// Whether an error is `stale_schema`, here or from a peer.
pub fn is_stale_schema(error: &Error) -> bool {
    error.sqlstate == sqlstate::SERIALIZATION_FAILURE && error.message == STALE_SCHEMA
}

/// The message by which a gateway knows it.
const STALE_SCHEMA: &str = "the schema changed while the statement was prepared";

pub(super) fn slow_disk() -> Error {
    Error::new(sqlstate::INSUFFICIENT_RESOURCES, "the disk is too slow to cover the clock")
        .with_hint("Try again; the log's device answers later than it should.")
}
