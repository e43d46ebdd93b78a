//! `poll`: everything that can be done now, without waiting.

use phantom_base::{GroupId, LogIndex, Lsn, Nanos, NodeId, mutant};
use phantom_log::{Entry, Level, Record, Stream};
use phantom_lsm::Engine;
use phantom_raft::{LogRecord, Ready};

use super::apply::{Mark, Report};
use super::clock::{ClockNews, encode_support};
use super::error::Result;
use super::formation::{encode_bound, encode_hard_state, group_slot, node_slot};
use super::log_view::LogView;
use super::{Effects, Replication};
use crate::link::{Link, STREAM_BULK, STREAM_CONTROL};
use crate::runtime::Pool;

/// How often it is looked at what may be released.
const RELEASE_EVERY_NS: Nanos = 250_000_000;

/// How soon it is looked again whether the clock may stamp, which rings no bell.
const LOOK_AGAIN_NS: Nanos = 10_000_000;

/// A record of entries is cut in several beyond this: the log's limit is 64 MiB.
const RECORD_BYTES: usize = 16 << 20;

impl Replication {
    /// Drives everything: what workers have reported, time, elections, the log, apply, links.
    /// Ends when nothing is left to do, or after `budget_ns`.
    pub fn poll(&mut self, budget_ns: Nanos) -> Result<Effects> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let moved = match self.drive(budget_ns) {
            Ok(moved) => moved,
            Err(error) => {
                self.failed = Some(error.clone());
                return Err(error);
            }
        };
        let mut effects = std::mem::take(&mut self.pending);
        self.received_bytes = 0;
        effects.moved = moved || !effects.received.is_empty();
        effects.sleep_ns = self.sleep_ns();
        effects.out = self.outgoing();
        Ok(effects)
    }

    /// Peers and streams with bytes for `take_out`.
    pub fn outgoing(&mut self) -> Vec<(NodeId, u8)> {
        let is_covered = self.stamps.present(&*self.clock).is_some();
        let (now, due) = (self.clock.monotonic_ns(), &self.reports_due);
        let peers = self.stamps.peers();
        let waiting = |link: &Link| {
            let peer = link.peer();
            let has_life = link.has_beats() || due.get(&peer).is_some_and(|at| *at <= now);
            let is_acquainted = peers.is_acquainted(peer);
            let has_out = [STREAM_CONTROL, STREAM_BULK].map(|stream| {
                let has_life = has_life && stream == STREAM_CONTROL;
                let has_rest =
                    if is_covered { link.has_out(stream) } else { link.has_beside(stream) };
                (has_life || (is_acquainted && has_rest)).then_some((peer, stream))
            });
            has_out.into_iter().flatten()
        };
        self.links.values().flat_map(waiting).collect()
    }

    /// Whether there was anything to do.
    fn drive(&mut self, budget_ns: Nanos) -> Result<bool> {
        let start = self.clock.monotonic_ns();
        self.runtime.hush();
        let mut moved = false;
        self.has_more = loop {
            let now = self.clock.monotonic_ns();
            moved |= self.take_reports(now)?;
            // Before the clock, whose bound follows it.
            self.mind_syncs(now);
            moved |= self.take_durable(now)?;
            moved |= self.take_clock_news(now);
            self.tell_time();
            moved |= self.mind_room(now);
            let more = self.stamps.is_settled() && self.take_ready(now)?;
            moved |= more;
            if !more || now.saturating_sub(start) >= budget_ns {
                break more;
            }
        };
        moved |= self.release(start)?;
        Ok(moved)
    }

    fn take_reports(&mut self, now: Nanos) -> Result<bool> {
        let mut moved = false;
        for report in self.reports.take() {
            moved = true;
            match report {
                Report::Applied { gid, index, hash } => {
                    self.marks.insert(gid, Mark { index, hash });
                    self.machine.applied(now, gid, index);
                    self.engine_worker.ring();
                }
                Report::Failed(error) => return Err(error),
            }
        }
        Ok(moved)
    }

    /// Tells the machine and the clock what survives a crash now.
    fn take_durable(&mut self, now: Nanos) -> Result<bool> {
        let mut moved = !self.log_moved.take().is_empty();
        if let Some(cause) = self.log.poisoned() {
            return Err(phantom_log::Error::Poisoned { cause }.into());
        }
        let durable = self.log.durable();
        self.machine.durable(now, durable);
        if let Some(bound) = self.stamps.look(&*self.clock, durable) {
            let bytes = encode_bound(bound);
            let record = Record::Node { slot: node_slot::HLC_BOUND, bytes: &bytes };
            let end = self.log.push(&[record])?;
            self.stamps.extended(bound, end);
            moved = true;
        }
        Ok(moved)
    }

    /// Passes the clock's news on. A clock that waits leads nothing meanwhile.
    fn take_clock_news(&mut self, now: Nanos) -> bool {
        let all = self.stamps.take_news();
        let moved = !all.is_empty();
        for news in all {
            if matches!(news, ClockNews::Waits { .. }) {
                let gids: Vec<GroupId> = self.machine.groups().collect();
                for gid in gids {
                    // Refused where it does not lead.
                    let _ = self.machine.step_down(now, gid);
                }
            }
            // The others learn at once whether this node takes anything.
            self.reports_due.values_mut().for_each(|at| *at = 0);
            self.pending.clock.push(news);
        }
        moved
    }

    /// One round of the machine; whether there was anything. Without a stamp nothing leaves but
    /// signs of life, and no round of reads begins: the disk is late, and time goes on all the same.
    fn take_ready(&mut self, now: Nanos) -> Result<bool> {
        let stamp = self.stamps.tick(&*self.clock);
        self.machine.tick(now);
        let view = LogView::new(&self.log);
        let ready = self.machine.ready(now, stamp, &view);
        view.finish()?;
        if ready.is_empty() {
            return Ok(false);
        }
        let Ready { records, messages, committed, done, barriers, events } = ready;
        if !records.is_empty() {
            let end = self.push_records(&records)?;
            self.watch.pushed(end);
            self.machine.pushed(end);
        }
        for (peer, parcel) in messages {
            if let Some(link) = self.links.get_mut(&peer) {
                link.send_parcel(&parcel);
            }
        }
        for range in committed {
            self.applier.submit(range);
        }
        self.pending.done.extend(done);
        self.pending.barriers.extend(barriers);
        self.pending.events.extend(events);
        Ok(true)
    }

    /// Pushes states and appends in the order in which the machine gave them (R5).
    fn push_records(&self, records: &[LogRecord]) -> Result<Lsn> {
        let encoded: Vec<_> = records.iter().flat_map(encode_record).collect();
        let queue: Vec<_> = encoded.iter().map(Encoded::as_record).collect();
        Ok(self.log.push(&queue)?)
    }

    /// Lets entries go that all members hold and tables hold durably. Beyond the log's bound they
    /// go although a member lacks them: it is told, and stays out. Whether it was time to look.
    fn release(&mut self, now: Nanos) -> Result<bool> {
        if now < self.next_release {
            return Ok(false);
        }
        self.next_release = now + RELEASE_EVERY_NS;
        if self.reclaim_at.is_some_and(|at| at <= self.log.durable()) {
            // Of the last look's releases: this one's are not durable yet.
            self.reclaim_at = None;
            let engine = self.engine.clone();
            // What fails here poisons the log, and the next look at it says so.
            self.runtime.submit(Pool::Background, Box::new(move || drop(reclaim(&engine))));
        }
        let too_long = self.log.bytes() > self.log_bytes_max;
        if too_long {
            self.engine.freeze();
            self.engine_worker.ring();
        }
        let gids: Vec<GroupId> = self.machine.groups().collect();
        for gid in gids {
            let stream = Stream(gid.0);
            let mut flushed = LogIndex(self.engine.flushed_position(gid.0));
            if mutant!("released_above_the_flushed_position") {
                flushed = self.marks.get(&gid).map_or(flushed, |mark| mark.index);
            }
            let all_have = self.machine.all_have(gid).expect("a group of this node");
            let upto = if too_long { flushed } else { flushed.min(all_have) };
            // Tables may hold what the worker has not reported yet.
            let upto = upto.min(self.marks.get(&gid).map_or(upto, |mark| mark.index));
            let first = self.log.bounds(stream).first;
            let is_many = upto.0 + 1 >= first + self.release_entries;
            if !is_many && !self.log.leaves_segment(stream, upto.0) {
                continue;
            }
            if let Some(index) = self.engine.release(stream, gid.0, upto.0)? {
                assert!(index <= flushed.0, "{gid}: {index} released, {flushed} flushed");
                self.machine.released(gid, LogIndex(index));
                // A segment stays until the records are durable that say what it is not needed for.
                self.reclaim_at = Some(self.log.end());
            }
        }
        Ok(true)
    }

    /// How long `poll` will have nothing to do, if neither workers nor verbs bring something.
    pub(crate) fn sleep_ns(&mut self) -> Nanos {
        if !self.stamps.is_settled() {
            // Whatever the machine has waits for the clock.
            return LOOK_AGAIN_NS;
        }
        if self.has_more || self.machine.has_ready() {
            return 0;
        }
        let now = self.clock.monotonic_ns();
        // One that is due waits for its link, which takes it when it can.
        let reports = self.reports_due.values().filter(|at| **at > now);
        let report = reports.min().copied().unwrap_or(Nanos::MAX);
        let next = self.machine.next_tick().min(self.next_release).min(self.watch.next_look());
        let left = next.min(report).saturating_sub(now);
        let is_covered = self.stamps.present(&*self.clock).is_some();
        if is_covered { left } else { left.min(LOOK_AGAIN_NS) }
    }
}

/// Gives segments back. Slots that alone held one are written again, and it goes once they are
/// durable.
fn reclaim(engine: &Engine) -> phantom_lsm::Result<()> {
    while engine.reclaim()?.moved > 0 {
        engine.log().commit(engine.log().end(), Level::Durable)?;
    }
    Ok(())
}

/// A record of the machine in the log's terms.
enum Encoded<'a> {
    Support(Vec<u8>),
    State(Stream, Vec<u8>),
    Append(Stream, LogIndex, Vec<Entry<'a>>),
}

impl Encoded<'_> {
    fn as_record(&self) -> Record<'_> {
        match self {
            Self::Support(bytes) => Record::Node { slot: node_slot::SUPPORT, bytes },
            Self::State(stream, bytes) => {
                Record::State { stream: *stream, slot: group_slot::HARD_STATE, bytes }
            }
            Self::Append(stream, first, entries) => {
                Record::Append { stream: *stream, first: first.0, entries }
            }
        }
    }
}

/// One record of the machine; entries over `RECORD_BYTES` become several.
fn encode_record<'a>(record: &'a LogRecord) -> Vec<Encoded<'a>> {
    match record {
        LogRecord::Support(state) => vec![Encoded::Support(encode_support(state))],
        LogRecord::State { gid, state } => {
            vec![Encoded::State(Stream(gid.0), encode_hard_state(state))]
        }
        LogRecord::Append { gid, entries } => {
            let mut parts = Vec::new();
            let mut rest = entries.as_slice();
            while let Some(head) = rest.first() {
                let mut bytes = 0;
                let fits = rest.iter().take_while(|entry| {
                    bytes += entry.data.len();
                    bytes <= RECORD_BYTES
                });
                let (part, after) = rest.split_at(fits.count().max(1));
                let entry = |e: &'a phantom_raft::Entry| Entry { term: e.term.0, bytes: &e.data };
                let list = part.iter().map(entry).collect();
                parts.push(Encoded::Append(Stream(gid.0), head.index, list));
                rest = after;
            }
            parts
        }
    }
}
