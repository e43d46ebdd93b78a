//! From writes to an entry, and from its end to an answer.

use phantom_base::sync::Arc;
use phantom_base::{Error, Timestamp, sqlstate};
use phantom_lsm::{Batch, Keyspace};
use phantom_mvcc::Ticket;
use phantom_mvcc::key::{DATA, RelationId, value_of};
use phantom_raft::{Done, Outcome};
use phantom_sql::catalog::Table;
use phantom_sql::execute::RowWrite;

use super::point::stale_schema;
use super::storage::relation_of;
use super::{Answer, Job, Requests, Stage};
use crate::catalog::number_key;
use crate::replication::entry::{BoundTable, EntryKind, encode_batch};
use crate::replication::{Refused, Replication};

/// The largest entry of a transaction that is one entry, in bytes.
const ENTRY_BYTES_MAX: usize = 4 << 20;

/// A row to be written, under its whole key.
pub(super) struct Put {
    pub key: Vec<u8>,
    pub row: Option<Vec<u8>>,
}

impl Put {
    pub(super) fn of(write: &RowWrite) -> Self {
        Self { key: relation_of(&write.table).key(&write.key), row: write.row.clone() }
    }
}

/// Whether one statement may write so much.
///
/// # Errors
/// `54000` beyond the largest entry.
pub(super) fn check_write_bytes(bytes: usize) -> Result<(), Error> {
    if bytes <= ENTRY_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "the statement writes {bytes} bytes; one statement can write at most {ENTRY_BYTES_MAX}"
    );
    Err(Error::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
        .with_hint("Split it into several statements."))
}

impl Requests {
    /// Proposes the writes of a request that holds the latches of their keys and has seen that
    /// they are what it takes them for.
    pub(super) fn propose(
        &mut self,
        replication: &mut Replication,
        ticket: Ticket,
        tables: &[Arc<Table>],
        puts: &[Put],
        answer: Answer,
    ) {
        if !self.is_in_its_term(ticket) {
            self.outlived(replication, ticket);
            return;
        }
        if let Err(error) = self.check_schema(ticket, tables) {
            self.prove(replication, ticket, true, Err(error));
            return;
        }
        let Some(commit) = replication.tick_hlc() else {
            // The clock's bound is not durable yet, as after a pause: it looks again under the same
            // latches when the log has moved.
            phantom_base::mark!("a_write_waits_for_a_stamp");
            let active = self.get(ticket);
            active.stage = Stage::Latches;
            if let Job::Fragment(job) = &mut active.job {
                job.hold_again(answer.rows);
            }
            self.unstamped.push(ticket);
            return;
        };
        let mut batch = Batch::new();
        for put in puts {
            match &put.row {
                Some(row) => batch.put_at(Keyspace(DATA), &put.key, commit.0, &value_of(row)),
                None => batch.delete_at(Keyspace(DATA), &put.key, commit.0),
            };
        }
        let bound: Vec<BoundTable> = tables
            .iter()
            .map(|table| BoundTable { oid: table.oid, version: table.version })
            .collect();
        let active = self.get(ticket);
        let group = active.group;
        let body = encode_batch(active.txn, &bound, batch.bytes());
        if let Err(error) = check_write_bytes(body.len()) {
            self.fail(ticket, error);
            return;
        }
        if let Err(error) = self.get(ticket).held.grow(body.len()) {
            self.fail(ticket, error);
            return;
        }
        match replication.propose(group, EntryKind::Batch, &body, ticket) {
            Ok(_) => {
                self.get(ticket).stage = Stage::Proposed(answer, commit);
                let leading = self.groups.entry(group).or_default();
                leading.admissions.proposed(ticket, commit);
            }
            Err(Refused::Raft(phantom_raft::Refused::DiskFull)) => {
                let table = tables.first().map(|table| format!("table \"{}\"", table.name));
                let what = table.unwrap_or_else(|| "the catalog".to_owned());
                self.no_room(replication, ticket, &what);
            }
            Err(refused) => self.refused(replication, ticket, refused),
        }
    }

    /// Whether the tables are still those that the statement was bound to. Nothing can change
    /// between this and the proposal: both are one turn of this thread.
    fn check_schema(&self, ticket: Ticket, tables: &[Arc<Table>]) -> Result<(), Error> {
        let active = self.active.get(&ticket).expect("a ticket in hand is active");
        for table in tables {
            if self.catalog.schema_version(table.oid) != Some(table.version) {
                return Err(stale_schema());
            }
            let key = RelationId::schema(table.colocation).key(&number_key(table.oid));
            let leading = self.groups.get(&active.group);
            if leading.is_some_and(|leading| leading.admissions.is_in_flight(&key)) {
                return Err(stale_schema());
            }
        }
        Ok(())
    }

    /// An entry has come to its end: the request is answered.
    pub(super) fn proposal_ended(&mut self, replication: &mut Replication, done: &Done) {
        let ticket = done.token;
        let Some(active) = self.active.get_mut(&ticket) else { return };
        let stage = std::mem::replace(&mut active.stage, Stage::Working);
        let Stage::Proposed(answer, commit) = stage else {
            panic!("a proposal ended that was not in flight");
        };
        match done.outcome {
            Outcome::Committed => self.answer(ticket, Ok(answer), commit),
            Outcome::Superseded => {
                // Another entry stands at its index: it is lost for certain and may be sent again.
                let active = self.end(ticket);
                self.not_leader(replication, active.origin, active.group);
            }
            Outcome::Unknown => {
                let error = Error::new(
                    sqlstate::STATEMENT_COMPLETION_UNKNOWN,
                    "the statement may have committed or not: its leader changed meanwhile",
                )
                .with_hint("Look whether it took effect before you send it again.");
                self.answer(ticket, Err(error), Timestamp::MIN);
            }
        }
    }

    /// How a statement that scans and writes goes on when a row is no longer what it saw.
    pub(super) fn repeat(&mut self, replication: &mut Replication, ticket: Ticket) {
        let active = self.get(ticket);
        let group = active.group;
        active.repeats += 1;
        let repeats = active.repeats;
        if let Job::Fragment(job) = &mut active.job {
            job.reset();
        }
        active.held.release();
        self.repeats += 1;
        self.release(group, ticket);
        if repeats > super::REPEATS_MAX {
            let error = Error::new(
                sqlstate::SERIALIZATION_FAILURE,
                "could not serialize access due to concurrent update",
            )
            .with_detail(format!("The statement was repeated {} times.", super::REPEATS_MAX))
            .with_hint("Nothing was done; try again.");
            self.fail(ticket, error);
            return;
        }
        self.ask_barrier(replication, ticket, Stage::Barrier);
    }
}
