//! The log itself: one mutex over index and queue, and the steps of work outside it.
//!
//! `push` frames a record into the queue and is done. Whoever has time asks for `work`, runs it and
//! reports `done`: a worker thread, a step of the inline runtime, or a caller of `commit`. The mutex
//! is never held over I/O.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use phantom_base::sync::{Condvar, Mutex};
use phantom_base::{Lsn, Nanos};
use phantom_vfs::{FileClass, Vfs, VfsFile, write_all_at};

use crate::frame::{Found, Framing, PAGE};
use crate::header::{FORMAT, FileHeader};
use crate::index::{Index, Segment};
use crate::pace::Paced;
use crate::queue::{Next, Queue};
use crate::reclaim::{self, Failed, Oldest};
use crate::recover::{self, MAGIC, path_of};
use crate::{
    Bounds, Entries, Error, Level, LogOptions, Reclaimed, Record, Recovered, Result, Stream,
    Ticket, codec,
};

/// The largest record in bytes: a batch of 48 MiB or an entry of 20 MiB, with room to spare.
pub const RECORD_BYTES_MAX: usize = 64 << 20;

/// The log. Shared between threads by reference; no method but `commit`, `read` and `reclaim` waits
/// for a disk.
pub struct Log {
    fs: Arc<dyn Vfs>,
    dir: PathBuf,
    options: LogOptions,
    recovered: Recovered,
    state: Mutex<State>,
    /// A step ended, or the log was poisoned.
    stepped: Condvar,
    /// There is work for a worker.
    wake: Condvar,
    /// Held by the one who removes segments.
    reclaiming: Mutex<()>,
}

struct State {
    index: Index,
    queue: Queue,
    scratch: Vec<u8>,
    closed: bool,
}

/// A write or a sync that the log wants done, by whichever thread has time for it.
pub struct Work(Kind);

enum Kind {
    Create { fs: Arc<dyn Vfs>, dir: PathBuf, header: FileHeader, file: Option<Arc<dyn VfsFile>> },
    Write { file: Arc<dyn VfsFile>, offset: u64, bytes: Vec<u8>, end: Lsn },
    Sync { file: Arc<dyn VfsFile>, upto: Lsn },
}

impl Work {
    /// Performs it: the only place where the log writes after it was opened.
    pub fn run(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Create { fs, dir, header, file } => {
                let made = fs.create(&path_of(dir, header.file), FileClass::Log)?;
                write_all_at(&*made, &header.encode(), 0)?;
                made.sync_data()?;
                fs.sync_dir(dir)?;
                *file = Some(Arc::from(made));
                Ok(())
            }
            Kind::Write { file, offset, bytes, .. } => write_all_at(&**file, bytes, *offset),
            Kind::Sync { file, .. } => file.sync_data(),
        }
    }

    /// Whether it is a sync: the slow kind.
    pub fn is_sync(&self) -> bool {
        matches!(self.0, Kind::Sync { .. })
    }

    fn name(&self) -> &'static str {
        match self.0 {
            Kind::Create { .. } => "make a log segment",
            Kind::Write { .. } => "write the log",
            Kind::Sync { .. } => "sync the log",
        }
    }
}

impl Log {
    /// Opens or makes the log in `dir` (which exists). Batches are handed to `sink` with the
    /// address of their end, in order; streams and slots are kept here.
    pub fn open(
        fs: Arc<dyn Vfs>,
        dir: &Path,
        options: LogOptions,
        sink: &mut dyn FnMut(Lsn, Record<'_>) -> Result<()>,
    ) -> Result<Self> {
        assert!(u64::from(options.segment_bytes).is_multiple_of(PAGE), "segments are whole pages");
        let mut index = Index::new(options.entry_cache_bytes);
        let outcome = recover::recover(&*fs, dir, &options, &mut index, sink)?;
        let segment_bytes = u64::from(options.segment_bytes);
        let queue = Queue::new(options.database, segment_bytes, outcome.next, outcome.end);
        Ok(Self {
            fs,
            dir: dir.to_owned(),
            options,
            recovered: outcome.recovered,
            state: Mutex::new(State { index, queue, scratch: Vec::new(), closed: false }),
            stepped: Condvar::new(),
            wake: Condvar::new(),
            reclaiming: Mutex::new(()),
        })
    }

    /// What recovery found when the log was opened.
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// Queues records, in order and adjacent; returns the address of their end. Refused whole if one
    /// is too large or the log is poisoned. All but batches ask for a sync.
    pub fn push(&self, records: &[Record<'_>]) -> Result<Lsn> {
        for record in records {
            let bytes = codec::encoded_len(record);
            if bytes > RECORD_BYTES_MAX {
                return Err(Error::TooLarge { bytes, limit: RECORD_BYTES_MAX });
            }
        }
        let mut state = self.state.lock();
        state.refuse_if_poisoned()?;
        for record in records {
            state.push(record, &self.options);
        }
        let written = state.queue.written;
        state.index.shrink_cache(written);
        self.mind_pace(&mut state);
        self.wake_for_work(&state);
        Ok(state.queue.end)
    }

    /// The end of what was handed to the operating system.
    pub fn written(&self) -> Lsn {
        self.state.lock().queue.written
    }

    /// The end of what survives a crash.
    pub fn durable(&self) -> Lsn {
        self.state.lock().queue.durable
    }

    /// The end of what was pushed.
    pub fn end(&self) -> Lsn {
        self.state.lock().queue.end
    }

    /// Why the log takes no more records, if a write or sync failed.
    pub fn poisoned(&self) -> Option<String> {
        self.state.lock().queue.poisoned.clone()
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        let state = self.state.lock();
        state.index.segments.iter().map(|(base, segment)| segment.end.0 - base.0).sum()
    }

    /// Answers `ticket` once everything below `at` has reached `level`; `Durable` asks for a sync.
    pub fn notify(&self, at: Lsn, level: Level, ticket: Ticket) {
        let mut state = self.state.lock();
        state.queue.notify(at, level, ticket);
        self.mind_pace(&mut state);
        self.wake_for_work(&state);
    }

    /// Takes the tickets answered since the last call, in the order of their addresses.
    pub fn take_completed(&self) -> Vec<(Ticket, Result<()>)> {
        std::mem::take(&mut self.state.lock().queue.completed)
    }

    /// Asks for one step of work; `None` while another step runs or nothing is wanted.
    pub fn work(&self) -> Option<Work> {
        let next = self.state.lock().queue.next()?;
        Some(Work(match next {
            Next::Create { number, base } => {
                let database = self.options.database;
                let header =
                    FileHeader { magic: MAGIC, format: FORMAT, database, file: number, base };
                Kind::Create { fs: self.fs.clone(), dir: self.dir.clone(), header, file: None }
            }
            Next::Write { file, offset, bytes, end } => Kind::Write { file, offset, bytes, end },
            Next::Sync { file, upto } => Kind::Sync { file, upto },
        }))
    }

    /// Says how a step ended. The first failure poisons the log.
    pub fn done(&self, work: Work, result: io::Result<()>) {
        let mut state = self.state.lock();
        assert!(state.queue.busy, "a step ends that was never handed out");
        state.queue.busy = false;
        match (result, work.0) {
            (Err(error), kind) => {
                let cause = format!("{}: {error}", Work(kind).name());
                state.queue.poison(cause);
            }
            (Ok(()), Kind::Create { header, file, .. }) => {
                let file = file.expect("run made the file");
                state.index.segment_of(header.base).file = Some(file.clone());
                state.queue.active = Some(file);
            }
            (Ok(()), Kind::Write { end, bytes, .. }) => {
                state.queue.wrote(end, bytes);
                state.index.shrink_cache(end);
            }
            (Ok(()), Kind::Sync { upto, .. }) => {
                state.queue.synced(upto);
                state.queue.pace.synced(self.options.clock.monotonic_ns());
            }
        }
        self.mind_pace(&mut state);
        self.stepped.notify_all();
        self.wake_for_work(&state);
    }

    /// Waits until there is work, `timeout` passed or the log was closed; for a worker thread.
    /// Returns false once the log was closed and nothing is left to do.
    pub fn wait_for_work(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.queue.has_work() && !state.closed {
            self.wake.wait_for(&mut state, timeout);
        }
        state.queue.has_work() || !state.closed
    }

    /// Performs work on this thread, or waits for whoever does, until all below `at` is at `level`.
    pub fn commit(&self, at: Lsn, level: Level) -> Result<()> {
        loop {
            {
                let mut state = self.state.lock();
                if state.queue.reached(level) >= at {
                    return Ok(());
                }
                if let Some(cause) = &state.queue.poisoned {
                    return Err(Error::UnknownOutcome { cause: cause.clone() });
                }
                state.queue.want(at, level);
                self.mind_pace(&mut state);
                if state.queue.busy {
                    self.stepped.wait(&mut state);
                    continue;
                }
            }
            if let Some(mut work) = self.work() {
                let result = work.run();
                self.done(work, result);
            }
        }
    }

    /// Writes an idle record if everything is durable and none stands at the end yet, so that
    /// damage in the last group cannot pass for a torn tail. Call it after 100 ms without a push.
    pub fn push_idle(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.refuse_if_poisoned()?;
        let queue = &mut state.queue;
        if queue.tail.is_some() && queue.durable == queue.end && !queue.last_is_idle {
            let clock = &self.options.clock;
            let placed = queue.place(codec::IDLE, &[], || clock.monotonic_ns());
            state.placed(&placed);
            state.queue.wanted = placed.end;
            self.mind_pace(&mut state);
            self.wake_for_work(&state);
        }
        Ok(())
    }

    /// Age of the oldest unsynced record that somebody wants durable; over 1 s is a disk stall.
    pub fn pending_age(&self, now: Nanos) -> Nanos {
        self.state.lock().queue.pending_age(now)
    }

    /// How long it takes to be durable, lately and now.
    pub fn pace(&self, now: Nanos) -> Paced {
        self.state.lock().queue.pace.told(now)
    }

    /// For how long a worker should begin nothing, so that more goes with the next sync.
    pub fn pause(&self) -> Duration {
        let now = self.options.clock.monotonic_ns();
        Duration::from_nanos(self.state.lock().queue.pace.pause(now))
    }

    /// Waits for so long, or until the log was closed; for a worker thread.
    pub fn rest(&self, pause: Duration) {
        let end = self.options.clock.monotonic_ns() + pause.as_nanos() as u64;
        let mut state = self.state.lock();
        while !state.closed {
            let left = end.saturating_sub(self.options.clock.monotonic_ns());
            if left == 0 {
                return;
            }
            self.wake.wait_for(&mut state, Duration::from_nanos(left));
        }
    }

    fn mind_pace(&self, state: &mut State) {
        if state.queue.wanted > state.queue.durable {
            state.queue.pace.wanted(self.options.clock.monotonic_ns());
        }
    }

    /// What the stream holds; `first` 1 and zeros for an unknown one.
    pub fn bounds(&self, stream: Stream) -> Bounds {
        self.state.lock().index.bounds(stream)
    }

    /// The term of an entry held, or of the one right before the first.
    pub fn term_at(&self, stream: Stream, index: u64) -> Option<u64> {
        self.state.lock().index.term_at(stream, index)
    }

    /// Bytes of a stream's entries from `first` on.
    pub fn entry_bytes(&self, stream: Stream, first: u64) -> u64 {
        let state = self.state.lock();
        let Some(stream) = state.index.streams.get(&stream) else { return 0 };
        let held = first.max(stream.floor + 1)..=stream.last();
        held.filter_map(|index| stream.entry(index)).map(|entry| u64::from(entry.len)).sum()
    }

    /// Whether a release up to `upto` ends a stream's need of the segment in which its entries
    /// begin, and that segment is not the one that is written: then the release may give a file
    /// back.
    pub fn leaves_segment(&self, stream: Stream, upto: u64) -> bool {
        let state = self.state.lock();
        let Some(stream) = state.index.streams.get(&stream) else { return false };
        let Some(first) = stream.entries.front().filter(|_| upto > stream.floor) else {
            return false;
        };
        let mut later = state.index.segments.range(Lsn(first.lsn.0 + 1)..);
        let Some((next, _)) = later.next() else { return false };
        stream.entry(upto + 1).is_none_or(|stays| stays.lsn >= *next)
    }

    /// The latest value of a stream's slot.
    pub fn state(&self, stream: Stream, slot: u16) -> Option<Arc<[u8]>> {
        let state = self.state.lock();
        Some(state.index.streams.get(&stream)?.slots.get(&slot)?.bytes.clone())
    }

    /// The latest value of one of the node's slots.
    pub fn node_state(&self, slot: u64) -> Option<Arc<[u8]>> {
        Some(self.state.lock().index.node.get(&slot)?.bytes.clone())
    }

    /// The streams that hold anything, in order.
    pub fn streams(&self) -> Vec<Stream> {
        self.state.lock().index.streams.keys().copied().collect()
    }

    /// Entries from `from` on, up to `bytes_max` but at least one; none if `from` is past the last.
    /// Recent ones come from memory, older ones from segments.
    pub fn read(&self, stream: Stream, from: u64, bytes_max: usize) -> Result<Entries> {
        let mut found = Entries { first: from, list: Vec::new() };
        let mut cold = Vec::new();
        {
            let state = self.state.lock();
            let Bounds { first, last, .. } = state.index.bounds(stream);
            if from < first {
                return Err(Error::NotHeld { stream: stream.0, asked: from, first, last });
            }
            let mut bytes = 0;
            for index in from..=last {
                let known = state.index.streams.get(&stream).and_then(|s| s.entry(index));
                let entry = known.expect("bounds were looked up under the same lock").clone();
                bytes += entry.len as usize;
                if bytes > bytes_max && index > from {
                    break;
                }
                if entry.cached.is_none() {
                    let (base, segment) = state.index.file_of(entry.lsn);
                    cold.push((found.list.len(), entry.clone(), base, segment));
                }
                found.list.push((entry.term, entry.cached.unwrap_or_default()));
            }
        }
        let mut record: Option<(Lsn, Vec<u8>)> = None;
        for (place, entry, base, segment) in cold {
            let known = record.take().filter(|(lsn, _)| *lsn == entry.lsn);
            let (lsn, payload) = match known {
                Some(known) => known,
                None => (entry.lsn, self.read_record(base, &segment, entry.lsn)?),
            };
            let range = entry.at as usize..entry.at as usize + entry.len as usize;
            let content = payload.get(range).expect("a record that verified holds its entries");
            if let Some(slot) = found.list.get_mut(place) {
                slot.1 = content.into();
            }
            record = Some((lsn, payload));
        }
        Ok(found)
    }

    /// Reads and verifies one record of a segment, a page at a time.
    fn read_record(
        &self,
        base: Lsn,
        (number, file): &(u64, Arc<dyn VfsFile>),
        lsn: Lsn,
    ) -> Result<Vec<u8>> {
        let path = path_of(&self.dir, *number);
        let failed = |e: &io::Error| Error::io(format!("read {}", path.display()), e);
        let at = lsn.0 - base.0;
        // The file is read from the page of the first frame on, as if it began there.
        let page = at / PAGE * PAGE;
        let framing = Framing::new(&self.options.database, Lsn(base.0 + page));
        let mut bytes = Vec::new();
        loop {
            let old = bytes.len();
            bytes.resize(old + PAGE as usize, 0);
            let (_, room) = bytes.split_at_mut(old);
            let n = phantom_vfs::read_up_to(&**file, room, page + old as u64);
            let n = n.map_err(|e| failed(&e))?;
            bytes.truncate(old + n);
            match framing.decode(&bytes, at - page) {
                Found::Record(record) => return Ok(record.payload.into_owned()),
                Found::Bad(bad) if bad < bytes.len() as u64 || n < PAGE as usize => {
                    let (file, what) = (path, "an entry's frame");
                    return Err(Error::Corruption { file, offset: page + bad, what });
                }
                _ => {}
            }
        }
    }

    /// Removes the oldest segments that nothing needs: batches below `batches_below` are in tables.
    pub fn reclaim(&self, batches_below: Lsn) -> Result<Reclaimed> {
        let _one_at_a_time = self.reclaiming.lock();
        let mut done = Reclaimed::default();
        while let Some((base, segment)) = self.next_reclaimable(batches_below, &mut done)? {
            done.freed_bytes += segment.end.0 - base.0;
            self.remove_segment(base, segment)?;
        }
        Ok(done)
    }

    /// Takes the oldest segment out of the index if nothing needs it, else says what does.
    fn next_reclaimable(
        &self,
        batches_below: Lsn,
        done: &mut Reclaimed,
    ) -> Result<Option<(Lsn, Segment)>> {
        let state = &mut *self.state.lock();
        state.refuse_if_poisoned()?;
        match reclaim::oldest(&mut state.index, &state.queue, batches_below) {
            Oldest::Free(base, segment) => return Ok(Some((base, segment))),
            Oldest::Slots(base, end) => {
                for slot in state.index.slots_in(base, end) {
                    state.push(&slot.as_record(), &self.options);
                    done.moved += 1;
                }
                self.wake_for_work(state);
            }
            Oldest::Busy => {}
            Oldest::Batches => done.held_by_batches = true,
            Oldest::Entries => done.holders = reclaim::holders(&state.index),
        }
        let oldest = state.index.segments.keys().next().copied();
        done.oldest = oldest.unwrap_or(state.queue.end);
        Ok(None)
    }

    fn remove_segment(&self, base: Lsn, segment: Segment) -> Result<()> {
        match reclaim::remove(&*self.fs, &self.dir, segment.number) {
            Ok(()) => Ok(()),
            Err(Failed::Remove(error)) => {
                self.state.lock().index.segments.insert(base, segment);
                Err(error)
            }
            Err(Failed::Sync(cause)) => {
                self.state.lock().queue.poison(cause.clone());
                self.stepped.notify_all();
                Err(Error::Poisoned { cause })
            }
        }
    }

    /// Ends `wait_for_work` once everything wanted is done.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_all();
    }

    fn wake_for_work(&self, state: &State) {
        if state.queue.has_work() {
            self.wake.notify_one();
        }
    }
}

impl State {
    fn refuse_if_poisoned(&self) -> Result<()> {
        match &self.queue.poisoned {
            Some(cause) => Err(Error::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    fn push(&mut self, record: &Record<'_>, options: &LogOptions) {
        let fits = self.index.check(record);
        fits.unwrap_or_else(|misfit| panic!("{}: {record:?}", misfit.0));
        let mut payload = std::mem::take(&mut self.scratch);
        payload.clear();
        let kind = codec::encode(record, &mut payload);
        let placed = self.queue.place(kind, &payload, || options.clock.monotonic_ns());
        // A record of megabytes must not stay for ever.
        self.scratch = if payload.capacity() > 1 << 20 { Vec::new() } else { payload };
        self.placed(&placed);
        if kind != codec::BATCH {
            self.queue.wanted = placed.end;
        }
        let applied = self.index.apply(record, placed.at, placed.end, false);
        applied.expect("the record was checked");
    }

    /// Keeps the list of segments in step with the queue.
    fn placed(&mut self, placed: &crate::queue::Placed) {
        if let Some((number, base)) = placed.begun {
            if let Some((_, before)) = self.index.segments.iter_mut().next_back() {
                before.end = before.end.max(placed.closed);
            }
            self.index.segments.insert(base, Segment::new(number, base, None));
        }
        self.index.segment_of(placed.at).end = placed.end;
    }
}
