//! What the log holds, in memory: where each stream's entries and slots lie, and which segment is
//! still needed by whom.
//!
//! - Every live entry and every latest slot counts for the segment that holds it; a segment without
//!   a count and with no unflushed batch may go (`reclaim.rs`).
//! - A count that was taken away in memory was taken by a record; the segment may go only after that
//!   record is durable (`freed_at`), or a crash would bring the need back without the bytes.
//! - Replay and `push` call the same functions, so they cannot disagree.
//!
//! Contents of recent entries stay in memory up to a budget; older ones are read from segments.

use std::collections::VecDeque;
use std::sync::Arc;

use phantom_base::{Lsn, Map};
use phantom_vfs::VfsFile;

use crate::codec::{APPEND_HEADER, ENTRY_HEADER};
use crate::record::{Bounds, Entry, Record, Stream};

/// An entry's place.
#[derive(Clone, Debug)]
pub(crate) struct Slotted {
    pub term: u64,
    /// The record that holds it.
    pub lsn: Lsn,
    /// Where in the record's payload its content begins, and how long it is.
    pub at: u32,
    pub len: u32,
    pub cached: Option<Arc<[u8]>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub lsn: Lsn,
    pub bytes: Arc<[u8]>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct StreamState {
    /// The last index released, and its term.
    pub released: u64,
    pub released_term: u64,
    /// The release record, kept alive while the stream is.
    pub released_lsn: Option<Lsn>,
    /// Entries are `floor + 1 ..`. Equal to `released` but during replay, where it lies above while
    /// the records that say so are still to come.
    pub floor: u64,
    pub entries: VecDeque<Slotted>,
    pub slots: Map<u16, Slot>,
}

impl StreamState {
    pub fn last(&self) -> u64 {
        self.floor + self.entries.len() as u64
    }

    fn check_append(&self, first: u64, entries: &[Entry<'_>]) -> Result<(), Misfit> {
        if entries.is_empty() {
            return Err(Misfit("an append without entries"));
        }
        if first <= self.floor {
            return Err(Misfit("entries are appended at or below those released"));
        }
        if first > self.last() + 1 {
            return Err(Misfit("entries are appended behind a gap"));
        }
        Ok(())
    }

    pub fn entry(&self, index: u64) -> Option<&Slotted> {
        let position = index.checked_sub(self.floor + 1)?;
        self.entries.get(position as usize)
    }
}

/// One file of the log.
pub(crate) struct Segment {
    pub number: u64,
    /// `None` until its file was made.
    pub file: Option<Arc<dyn VfsFile>>,
    /// The address behind its last record, trailer included; grows while it is written.
    pub end: Lsn,
    /// The address behind its last batch.
    pub batches_end: Lsn,
    pub live_entries: u64,
    /// Slots, node slots and release records.
    pub live_slots: u64,
    /// The address behind the last record that took a count away.
    pub freed_at: Lsn,
}

impl Segment {
    pub fn new(number: u64, base: Lsn, file: Option<Arc<dyn VfsFile>>) -> Self {
        Self {
            number,
            file,
            end: base,
            batches_end: Lsn(0),
            live_entries: 0,
            live_slots: 0,
            freed_at: Lsn(0),
        }
    }
}

/// A record does not fit what came before it; impossible unless bytes were lost or made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Misfit(pub &'static str);

pub(crate) struct Index {
    pub streams: Map<Stream, StreamState>,
    pub node: Map<u64, Slot>,
    /// By the address of their first byte.
    pub segments: Map<Lsn, Segment>,
    cached: VecDeque<(Stream, u64, Lsn)>,
    cached_bytes: usize,
    cache_bytes_max: usize,
    live_entries: usize,
}

impl Index {
    pub fn new(cache_bytes_max: usize) -> Self {
        Self {
            streams: Map::new(),
            node: Map::new(),
            segments: Map::new(),
            cached: VecDeque::new(),
            cached_bytes: 0,
            cache_bytes_max,
            live_entries: 0,
        }
    }

    /// Whether a record to push fits what is held; a misfit is the caller's mistake.
    pub fn check(&self, record: &Record<'_>) -> Result<(), Misfit> {
        match record {
            Record::Append { stream, first, entries } => match self.streams.get(stream) {
                Some(state) => state.check_append(*first, entries),
                None => StreamState::default().check_append(*first, entries),
            },
            _ => Ok(()),
        }
    }

    /// Takes a record in that lies at `at` and ends at `end`; replay is lenient where the log's
    /// beginning is gone.
    pub fn apply(
        &mut self,
        record: &Record<'_>,
        at: Lsn,
        end: Lsn,
        replay: bool,
    ) -> Result<(), Misfit> {
        match *record {
            Record::Batch { .. } => {
                self.segment_of(at).batches_end = end;
            }
            Record::Append { stream, first, entries } => {
                self.append(stream, first, entries, at, end, replay)?;
            }
            Record::State { stream, slot, bytes } => {
                let new = Slot { lsn: at, bytes: bytes.into() };
                let old = self.streams.entry(stream).or_default().slots.insert(slot, new);
                self.segment_of(at).live_slots += 1;
                self.let_slot_go(old.map(|slot| slot.lsn), end);
            }
            Record::Node { slot, bytes } => {
                let old = self.node.insert(slot, Slot { lsn: at, bytes: bytes.into() });
                self.segment_of(at).live_slots += 1;
                self.let_slot_go(old.map(|slot| slot.lsn), end);
            }
            Record::Release { stream, index, term } => self.release(stream, index, term, at, end),
            Record::Drop { stream } => {
                if let Some(state) = self.streams.remove(&stream) {
                    for entry in &state.entries {
                        self.let_entry_go(entry, end);
                    }
                    for slot in state.slots.values() {
                        self.let_slot_go(Some(slot.lsn), end);
                    }
                    self.let_slot_go(state.released_lsn, end);
                }
            }
        }
        Ok(())
    }

    fn append(
        &mut self,
        stream: Stream,
        first: u64,
        entries: &[Entry<'_>],
        at: Lsn,
        end: Lsn,
        replay: bool,
    ) -> Result<(), Misfit> {
        let state = self.streams.entry(stream).or_default();
        let mut gone = VecDeque::new();
        if replay && first > state.released && (first <= state.floor || state.entries.is_empty()) {
            // What came before, or what this one cuts, lay in segments that are gone.
            gone = std::mem::take(&mut state.entries);
            state.floor = first - 1;
        }
        state.check_append(first, entries)?;
        let cut = state.entries.split_off((first - state.floor - 1) as usize);
        for entry in gone.iter().chain(&cut) {
            self.let_entry_go(entry, end);
        }
        let mut place = APPEND_HEADER;
        let state = self.streams.entry(stream).or_default();
        for (entry, index) in entries.iter().zip(first..) {
            place += ENTRY_HEADER;
            state.entries.push_back(Slotted {
                term: entry.term,
                lsn: at,
                at: place as u32,
                len: entry.bytes.len() as u32,
                cached: Some(entry.bytes.into()),
            });
            place += entry.bytes.len();
            self.cached.push_back((stream, index, at));
            self.cached_bytes += entry.bytes.len();
        }
        self.live_entries += entries.len();
        self.segment_of(at).live_entries += entries.len() as u64;
        Ok(())
    }

    fn release(&mut self, stream: Stream, index: u64, term: u64, at: Lsn, end: Lsn) {
        let state = self.streams.entry(stream).or_default();
        if index < state.released {
            return;
        }
        let count = index.saturating_sub(state.floor).min(state.entries.len() as u64);
        let released: Vec<Slotted> = state.entries.drain(..count as usize).collect();
        state.floor = state.floor.max(index);
        (state.released, state.released_term) = (index, term);
        let old = state.released_lsn.replace(at);
        for entry in &released {
            self.let_entry_go(entry, end);
        }
        self.segment_of(at).live_slots += 1;
        self.let_slot_go(old, end);
    }

    fn let_entry_go(&mut self, entry: &Slotted, end: Lsn) {
        if let Some(bytes) = &entry.cached {
            self.cached_bytes -= bytes.len();
        }
        self.live_entries -= 1;
        let segment = self.segment_of(entry.lsn);
        segment.live_entries -= 1;
        segment.freed_at = segment.freed_at.max(end);
    }

    fn let_slot_go(&mut self, lsn: Option<Lsn>, end: Lsn) {
        if let Some(lsn) = lsn {
            let segment = self.segment_of(lsn);
            segment.live_slots -= 1;
            segment.freed_at = segment.freed_at.max(end);
        }
    }

    /// The segment that holds an address.
    pub fn segment_of(&mut self, lsn: Lsn) -> &mut Segment {
        let found = self.segments.range_mut(..=lsn).next_back();
        found.expect("what lives in a segment keeps it").1
    }

    /// The segment that holds an address that was written: its base, number and file.
    pub fn file_of(&self, lsn: Lsn) -> (Lsn, (u64, Arc<dyn VfsFile>)) {
        let found = self.segments.range(..=lsn).next_back();
        let (base, segment) = found.expect("what lives in a segment keeps it");
        let file = segment.file.clone().expect("what was written has a file");
        (*base, (segment.number, file))
    }

    /// Forgets contents of the oldest entries over the budget; only what segments already hold.
    pub fn shrink_cache(&mut self, written: Lsn) {
        while self.cached_bytes > self.cache_bytes_max {
            let Some((stream, index, lsn)) = self.cached.front().copied() else { return };
            if lsn >= written {
                return;
            }
            self.cached.pop_front();
            let Some(state) = self.streams.get_mut(&stream) else { continue };
            let Some(position) = index.checked_sub(state.floor + 1) else { continue };
            if let Some(entry) = state.entries.get_mut(position as usize)
                && entry.lsn == lsn
                && let Some(bytes) = entry.cached.take()
            {
                self.cached_bytes -= bytes.len();
            }
        }
        self.forget_stale_names();
    }

    /// Entries that were cut or released leave their names in the queue; sweeps them out once they
    /// outnumber the others, so that a look costs a constant on average.
    fn forget_stale_names(&mut self) {
        if self.cached.len() < 1024 || self.cached.len() < 2 * self.live_entries {
            return;
        }
        let streams = &self.streams;
        self.cached.retain(|(stream, index, lsn)| {
            let entry = streams.get(stream).and_then(|state| state.entry(*index));
            entry.is_some_and(|entry| entry.lsn == *lsn && entry.cached.is_some())
        });
    }

    pub fn bounds(&self, stream: Stream) -> Bounds {
        self.streams.get(&stream).map_or(Bounds { first: 1, last: 0, term_before: 0 }, |state| {
            Bounds { first: state.floor + 1, last: state.last(), term_before: state.released_term }
        })
    }

    pub fn term_at(&self, stream: Stream, index: u64) -> Option<u64> {
        let state = self.streams.get(&stream)?;
        if index == state.floor && index > 0 {
            return Some(state.released_term);
        }
        state.entry(index).map(|entry| entry.term)
    }

    /// A stream whose beginning is gone without a release; replay has then lost something.
    pub fn without_floor(&self) -> bool {
        self.streams.values().any(|state| state.floor != state.released)
    }

    /// The slots that live in the segment at `base`, as records to write again.
    pub fn slots_in(&self, base: Lsn, end: Lsn) -> Vec<OwnedSlot> {
        let inside = |lsn: Lsn| lsn >= base && lsn < end;
        let mut found = Vec::new();
        for (stream, state) in &self.streams {
            for (slot, value) in state.slots.iter().filter(|(_, value)| inside(value.lsn)) {
                found.push(OwnedSlot::State(*stream, *slot, value.bytes.clone()));
            }
            if state.released_lsn.is_some_and(inside) {
                found.push(OwnedSlot::Release(*stream, state.released, state.released_term));
            }
        }
        for (slot, value) in self.node.iter().filter(|(_, value)| inside(value.lsn)) {
            found.push(OwnedSlot::Node(*slot, value.bytes.clone()));
        }
        found
    }
}

/// A record to write again, on its own feet.
pub(crate) enum OwnedSlot {
    State(Stream, u16, Arc<[u8]>),
    Node(u64, Arc<[u8]>),
    Release(Stream, u64, u64),
}

impl OwnedSlot {
    pub fn as_record(&self) -> Record<'_> {
        match self {
            Self::State(stream, slot, bytes) => {
                Record::State { stream: *stream, slot: *slot, bytes }
            }
            Self::Node(slot, bytes) => Record::Node { slot: *slot, bytes },
            Self::Release(stream, index, term) => {
                Record::Release { stream: *stream, index: *index, term: *term }
            }
        }
    }
}
