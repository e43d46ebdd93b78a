//! How a request gets to look: barriers for reads, latches for writes, and the look-up itself.

use phantom_base::sync::Arc;
use phantom_base::{Error, Term, Timestamp};
use phantom_mvcc::{Reader, Reads};
use phantom_sql::execute::StoredRow;
use phantom_types::Share;

use super::active::{Fetch, Job, Stage, Task, Worked};
use super::rows::{self, Wanted};
use super::turns::cancelled;
use super::{Context, Effect, GroupLeader, Refusal, RequestId, point};

impl GroupLeader {
    pub(super) fn begin(&mut self, context: &mut Context<'_>, request: RequestId) {
        let group = self.group;
        let active = self.get(request);
        match &active.job {
            Job::OfNewer(_) => {
                active.stage = Stage::Catalog;
                context.effects.push_back(Effect::Catalog(group, request));
            }
            Job::Point(job) if job.wants_keys() => self.find_keys(context, request),
            job if job.takes_latches_first() => self.latch(context, request),
            _ => self.ask_barrier(context, request, Stage::Barrier),
        }
    }

    pub(super) fn ask_barrier(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        stage: Stage,
    ) {
        self.get(request).stage = stage;
        context.effects.push_back(Effect::Barrier(self.group, request));
    }

    /// Gives a request's task to a worker.
    pub(super) fn give(&mut self, context: &mut Context<'_>, request: RequestId, task: Task) {
        self.get(request).stage = Stage::Working;
        context.effects.push_back(Effect::Work(self.group, request, task));
    }

    /// Ends a request that replication did not take; nothing was done.
    pub(super) fn refused(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        refusal: Refusal,
    ) {
        match refusal {
            Refusal::NotLeader => self.send_away(context, request),
            Refusal::NoRoom(room) => self.no_room(context, request, &room),
            Refusal::Failed(error) => self.fail(context, request, error),
        }
    }

    pub(super) fn catalog_is_new(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        result: Result<(), Error>,
    ) {
        let active = self.get(request);
        let origin = active.origin;
        let job = std::mem::replace(&mut active.job, Job::ReadRows(Vec::new()));
        let Job::OfNewer(query) = job else { unreachable!("only such a request waits for it") };
        match result.and_then(|()| point::query_job(context, *query)) {
            Ok(Some(job)) => {
                self.get(request).job = job;
                self.begin(context, request);
            }
            // The gateway sends it all again, with the plan.
            Ok(None) => {
                drop(self.end(request));
                context.reply(origin, super::Reply::NeedPlan);
            }
            Err(error) => self.fail(context, request, error),
        }
    }

    /// A barrier has opened.
    pub(super) fn opened(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        stamp: Timestamp,
        term: Term,
    ) {
        let active = self.get(request);
        match std::mem::replace(&mut active.stage, Stage::Barrier) {
            Stage::Confirm(result) if active.latched_in == Some(term) => {
                self.answer(context, request, result, Timestamp::MIN);
            }
            Stage::Confirm(_) => self.outlived(context, request),
            Stage::Barrier => {
                let reads = active.job.reads().expect("only reads ask for such a barrier");
                if self.admissions.read(request, &reads, stamp) {
                    self.read(context, request, stamp, term, Some(reads));
                } else {
                    self.get(request).stage = Stage::InFlight(stamp, term);
                }
            }
            _ => panic!("a barrier was answered that nobody asked for"),
        }
    }

    /// The read may look now, unless leadership went while it waited. `reads` is what it touches, where
    /// that is at hand.
    pub(super) fn read(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        stamp: Timestamp,
        term: Term,
        reads: Option<Reads>,
    ) {
        if self.term != Some(term) {
            self.send_away(context, request);
            return;
        }
        let reader = Reader::new(Arc::clone(&context.shared.engine), stamp);
        match &self.get(request).job {
            Job::Point(job) => {
                let keys = match reads {
                    Some(Reads::Keys(keys)) => keys,
                    _ => job.full_keys(),
                };
                self.fetch(context, request, &reader, keys);
            }
            Job::Steps(_) => self.start_steps(context, request, reader),
            Job::ReadRows(spans) => {
                let task = Task::Scan(reader, spans.clone());
                self.give(context, request, task);
            }
            Job::WriteRows(_) => unreachable!("writes of rows take latches first"),
            Job::OfNewer(_) => unreachable!("it waits for the catalog"),
        }
    }

    /// Asks for the latches of a write, once this node may look for it.
    pub(super) fn latch(&mut self, context: &mut Context<'_>, request: RequestId) {
        if self.term.is_none() {
            self.outlived(context, request);
        } else if !self.is_ready {
            self.unready.push(request);
            self.get(request).stage = Stage::Ready;
        } else {
            let active = self.get(request);
            active.stage = Stage::Latches;
            let keys = active.job.latched_keys();
            if self.admissions.write(request, keys) {
                self.latched(context, request);
            }
        }
    }

    /// The write holds its latches: what it sees from here on is the newest.
    pub(super) fn latched(&mut self, context: &mut Context<'_>, request: RequestId) {
        assert!(self.term.is_some(), "who waits for latches is sent away with leadership");
        let term = self.term;
        let active = self.get(request);
        active.latched_in = term;
        let keys = active.job.latched_keys();
        let reader = Reader::new(Arc::clone(&context.shared.engine), Timestamp::MAX);
        self.fetch(context, request, &reader, keys);
    }

    /// Looks keys up, on this thread if memory has them all, else on a worker.
    fn fetch(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        reader: &Reader,
        keys: Vec<Vec<u8>>,
    ) {
        let wanted = match &self.get(request).job {
            Job::Point(_) => Wanted::Rows(context.shared.memory.bytes),
            _ => Wanted::Versions,
        };
        match rows::fetch_cached(reader, &keys, wanted) {
            Ok(Some(found)) => self.fetched(context, request, Ok((found, Share::default()))),
            Ok(None) => {
                let memory = context.shared.memory.share();
                let fetch = Fetch { reader: reader.clone(), keys, wanted, memory };
                self.give(context, request, Task::Fetch(fetch));
            }
            Err(error) => self.fetched(context, request, Err(error)),
        }
    }

    fn fetched(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        found: Result<(Vec<Option<StoredRow>>, Share), Error>,
    ) {
        let (found, memory) = match found {
            Ok(found) => found,
            Err(error) => return self.fail(context, request, error),
        };
        let active = self.get(request);
        active.found = memory;
        match &active.job {
            Job::Point(_) => self.point_found(context, request, &found),
            Job::Steps(_) => self.steps_checked(context, request, &found),
            Job::WriteRows(_) => self.rows_checked(context, request, &found),
            Job::ReadRows(_) => unreachable!("system rows are read by a scan"),
            Job::OfNewer(_) => unreachable!("it waits for the catalog"),
        }
    }

    /// Takes what a worker has come to, unless nobody waits for it any more.
    pub(super) fn worked(&mut self, context: &mut Context<'_>, request: RequestId, worked: Worked) {
        if self.get(request).is_cancelled {
            self.fail(context, request, cancelled());
            return;
        }
        match worked {
            Worked::Fetched(found) => self.fetched(context, request, found),
            Worked::Keys(keys) => self.keys_found(context, request, keys),
            Worked::Evaluated(evaluated) => self.point_evaluated(context, request, evaluated),
            Worked::Stepped(stepped) => self.stepped(context, request, *stepped),
            Worked::SystemRows(rows) => self.system_rows(context, request, rows),
        }
    }
}
