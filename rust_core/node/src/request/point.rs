//! Point plans at the leader.

use phantom_base::{Error, NodeId, Result, Timestamp, sqlstate};
use phantom_mvcc::Ticket;
use phantom_sql::bound::{Command, codec};
use phantom_sql::execute::StoredRow;
use phantom_sql::point::PointPlan;
use phantom_sql::statement::Planned;
use phantom_types::{Datum, EvalContext, NO_TYPMOD, format};

use phantom_base::sync::Arc;

use super::commit::Put;
use super::fragment::FragmentJob;
use super::message::{QueryWork, ToGateway};
use super::rows::encode_rows;
use super::storage::relation_of;
use super::{Answer, Job, Origin, Requests, Stage};
use crate::replication::Replication;

/// A point plan with its values and its keys.
pub(super) struct PointJob {
    planned: Arc<Planned>,
    parameters: Vec<Datum>,
    eval: EvalContext,
    hidden_keys: Vec<[u8; 12]>,
    /// Key columns, each once, sorted.
    keys: Vec<Vec<u8>>,
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
        let keys = point.run(&parameters, &query.eval).keys(&hidden_keys)?;
        let eval = query.eval;
        let job = PointJob { planned, parameters, eval, hidden_keys, keys };
        Ok(Some(Job::Point(Box::new(job))))
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

    /// The rows under the keys are known: evaluates, then answers, proposes, or proves first.
    pub(super) fn point_found(
        &mut self,
        replication: &mut Replication,
        ticket: Ticket,
        found: &[Option<StoredRow>],
    ) {
        let Job::Point(job) = &self.get(ticket).job else {
            unreachable!("the caller matched the job");
        };
        let is_write = job.is_write();
        let effect = {
            let at = |key: &[u8]| {
                let at = job.keys.binary_search_by(|known| known.as_slice().cmp(key)).ok()?;
                found.get(at)?.clone()
            };
            job.plan().run(&job.parameters, &job.eval).effect(&job.hidden_keys, &at)
        };
        let (effect, tables) = match effect {
            Ok(effect) => (effect, job.planned.tables.clone()),
            Err(error) => {
                self.prove(replication, ticket, is_write, Err(error));
                return;
            }
        };
        let rows = match encode_rows(&effect.rows) {
            Ok(rows) => rows,
            Err(error) => {
                self.prove(replication, ticket, is_write, Err(error));
                return;
            }
        };
        let answer = Answer { rows, count: effect.count };
        if effect.writes.is_empty() {
            self.prove(replication, ticket, is_write, Ok(answer));
            return;
        }
        let puts: Vec<Put> = effect.writes.iter().map(Put::of).collect();
        self.propose(replication, ticket, &tables, &puts, answer);
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
        if is_write {
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

/// The message by which a gateway knows it.
pub const STALE_SCHEMA: &str = "the schema changed while the statement was prepared";

pub(super) fn slow_disk() -> Error {
    Error::new(sqlstate::INSUFFICIENT_RESOURCES, "the disk is too slow to cover the clock")
        .with_hint("Try again; the log's device answers later than it should.")
}
