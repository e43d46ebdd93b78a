//! From writes to an entry, and from its end to an answer.

use phantom_base::sync::Arc;
use phantom_base::{Error, Timestamp, sqlstate};
use phantom_lsm::{Batch, Keyspace};
use phantom_mvcc::key::{DATA, RelationId, value_of};
use phantom_raft::Outcome;
use phantom_sql::catalog::Table;
use phantom_sql::execute::RowWrite;

use super::active::{Answer, Job, Stage};
use super::shared::{Shared, stale_schema};
use super::storage::relation_of;
use super::{Context, Effect, GroupLeader, RequestId};
use crate::catalog::number_key;
use crate::replication::entry::{BoundTable, encode_batch};

/// The largest entry of a transaction that is one entry, in bytes.
const ENTRY_BYTES_MAX: usize = 4 << 20;

/// A row to be written, under its whole key.
pub struct Put {
    pub key: Vec<u8>,
    pub row: Option<Vec<u8>>,
}

impl Put {
    pub fn of(write: RowWrite) -> Self {
        Self { key: relation_of(&write.table).key(&write.key), row: write.row }
    }
}

/// Whether one statement may write so much.
///
/// # Errors
/// `54000` beyond the largest entry.
pub fn check_write_bytes(bytes: usize) -> Result<(), Error> {
    if bytes <= ENTRY_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "the statement writes {bytes} bytes; one statement can write at most {ENTRY_BYTES_MAX}"
    );
    Err(Error::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
        .with_hint("Split it into several statements."))
}

impl GroupLeader {
    /// Proposes the writes of a request that holds the latches of their keys and has seen that
    /// they are what it takes them for.
    pub(super) fn propose(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        tables: &[Arc<Table>],
        puts: &[Put],
        answer: Answer,
    ) {
        if !self.is_in_its_term(request) {
            self.outlived(context, request);
            return;
        }
        if let Err(error) = self.check_schema(context.shared, tables) {
            self.prove(context, request, true, Err(error));
            return;
        }
        let Some(commit) = context.replica.tick() else {
            self.await_stamp(context, request, answer);
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
        let active = self.get(request);
        let body = encode_batch(active.txn, &bound, batch.bytes());
        let held = check_write_bytes(body.len()).and_then(|()| active.held.grow(body.len()));
        if let Err(error) = held {
            self.fail(context, request, error);
            return;
        }
        active.stage = Stage::Proposed(answer, commit);
        self.admissions.proposed(request, commit);
        context.effects.push_back(Effect::Propose(self.group, request, body));
    }

    /// The clock's bound is not durable yet, as after a pause: the write looks again under the same
    /// latches when the log has moved.
    fn await_stamp(&mut self, context: &mut Context<'_>, request: RequestId, answer: Answer) {
        phantom_base::mark!("a_write_waits_for_a_stamp");
        let active = self.get(request);
        active.stage = Stage::Latches;
        if let Job::Steps(job) = &mut active.job {
            job.hold_again(answer.rows);
        }
        self.unstamped.push(request);
        context.shared.awaits_stamps = true;
    }

    /// Whether the tables are still those that the statement was bound to. Nothing can change
    /// between this and the proposal: the effects of a step are carried out before the next one.
    fn check_schema(&self, shared: &Shared, tables: &[Arc<Table>]) -> Result<(), Error> {
        for table in tables {
            let key = RelationId::schema(table.colocation).key(&number_key(table.oid));
            let is_same = shared.catalog.schema_version(table.oid) == Some(table.version);
            if !is_same || self.admissions.is_in_flight(&key) {
                return Err(stale_schema());
            }
        }
        Ok(())
    }

    /// What a request writes to, in words.
    pub(super) fn target(&mut self, request: RequestId) -> String {
        let table = match &self.get(request).job {
            Job::Point(job) => job.table(),
            Job::Steps(job) => job.table(),
            Job::OfNewer(_) | Job::ReadRows(_) | Job::WriteRows(_) => None,
        };
        table.map_or_else(|| "the catalog".to_owned(), |table| format!("table \"{}\"", table.name))
    }

    /// An entry has come to its end: the request is answered.
    pub(super) fn proposal_ended(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        outcome: Outcome,
    ) {
        let stage = std::mem::replace(&mut self.get(request).stage, Stage::Working);
        let Stage::Proposed(answer, commit) = stage else {
            panic!("a proposal ended that was not in flight");
        };
        match outcome {
            Outcome::Committed => self.answer(context, request, Ok(answer), commit),
            // Another entry stands at its index: it is lost for certain and may be sent again.
            Outcome::Superseded => self.send_away(context, request),
            Outcome::Unknown => {
                let error = Error::new(
                    sqlstate::STATEMENT_COMPLETION_UNKNOWN,
                    "the statement may have committed or not: its leader changed meanwhile",
                )
                .with_hint("Look whether it took effect before you send it again.");
                self.answer(context, request, Err(error), Timestamp::MIN);
            }
        }
    }
}
