//! The queue between `push` and the disk: where the next record goes, what is to be done in which
//! order, and who waits for it.
//!
//! A record is framed when it is pushed, so that its address is known at once; it lands in the last
//! queued write of its segment. One step of work is out at a time. A sync covers everything written
//! before it was handed out, and what queues meanwhile goes with the next: group commit without a
//! timer. A segment is closed by a trailer and a sync before a frame enters the next one.

use std::collections::VecDeque;
use std::sync::Arc;

use phantom_base::{Lsn, Map, Nanos, mutant};
use phantom_vfs::VfsFile;

use crate::frame::{self, FRAME_HEADER, Framing, PAGE};
use crate::header::FILE_HEADER;
use crate::pace::Pace;
use crate::record::{Level, Ticket};
use crate::{Error, Result, codec};

/// A write carries at most so much, or one larger record: a sync of more takes visibly longer.
const GROUP_BYTES: usize = 256 << 10;

/// The segment that records are pushed to.
pub(crate) struct Tail {
    pub framing: Framing,
    /// The offset behind the last record pushed.
    pub at: u64,
    pub capacity: u64,
}

/// A step of work, in the order of the log.
#[derive(Debug)]
pub(crate) enum Step {
    Create {
        number: u64,
        base: Lsn,
    },
    Write {
        offset: u64,
        bytes: Vec<u8>,
        end: Lsn,
    },
    /// The trailer was written; what follows is in another file.
    Seal,
}

/// What one step came to, handed out by `next`.
pub(crate) enum Next {
    Create { number: u64, base: Lsn },
    Write { file: Arc<dyn VfsFile>, offset: u64, bytes: Vec<u8>, end: Lsn },
    Sync { file: Arc<dyn VfsFile>, upto: Lsn },
}

pub(crate) struct Queue {
    database: [u8; 16],
    segment_bytes: u64,
    /// `None` until the first push after an open.
    pub tail: Option<Tail>,
    next_number: u64,
    next_base: Lsn,
    steps: VecDeque<Step>,
    /// The file of the segment that is being written.
    pub active: Option<Arc<dyn VfsFile>>,
    pub busy: bool,
    pub end: Lsn,
    pub written: Lsn,
    pub durable: Lsn,
    /// Somebody wants everything below durable.
    pub wanted: Lsn,
    pub last_is_idle: bool,
    pub poisoned: Option<String>,
    pub pace: Pace,
    /// Beginning and time of the writes that no sync covered.
    unsynced: VecDeque<(Lsn, Nanos)>,
    tickets: [Map<(Lsn, u64), Ticket>; 2],
    tickets_seen: u64,
    pub completed: Vec<(Ticket, Result<()>)>,
    spare: Vec<u8>,
}

/// Where a record went.
pub(crate) struct Placed {
    pub at: Lsn,
    pub end: Lsn,
    /// The segment that was begun for it: number and base.
    pub begun: Option<(u64, Lsn)>,
    /// Where the segment before it ends, if one was begun.
    pub closed: Lsn,
}

impl Queue {
    pub fn new(database: [u8; 16], segment_bytes: u64, next: (u64, Lsn), end: Lsn) -> Self {
        Self {
            database,
            segment_bytes,
            tail: None,
            next_number: next.0,
            next_base: next.1,
            steps: VecDeque::new(),
            active: None,
            busy: false,
            end,
            written: end,
            durable: end,
            wanted: end,
            last_is_idle: false,
            poisoned: None,
            pace: Pace::default(),
            unsynced: VecDeque::new(),
            tickets: [Map::new(), Map::new()],
            tickets_seen: 0,
            completed: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Frames a record at the end of the log, in a new segment if the present one has no room.
    pub fn place(&mut self, kind: u8, payload: &[u8], now: impl Fn() -> Nanos) -> Placed {
        let begun = self.make_room(payload.len(), &now);
        let closed = self.end;
        let tail = self.tail.as_mut().expect("there is room, hence a segment");
        let end_of = frame::end_of(tail.at, payload.len());
        let bytes = match self.steps.back_mut() {
            Some(Step::Write { bytes, end, .. })
                if bytes.len() + payload.len() <= GROUP_BYTES
                    && *end == Lsn(tail.framing.base.0 + tail.at) =>
            {
                *end = Lsn(tail.framing.base.0 + end_of);
                bytes
            }
            _ => {
                self.unsynced.push_back((Lsn(tail.framing.base.0 + tail.at), now()));
                self.steps.push_back(Step::Write {
                    offset: tail.at,
                    bytes: std::mem::take(&mut self.spare),
                    end: Lsn(tail.framing.base.0 + end_of),
                });
                match self.steps.back_mut() {
                    Some(Step::Write { bytes, .. }) => bytes,
                    _ => unreachable!("it was just pushed"),
                }
            }
        };
        let start = tail.framing.encode(bytes, tail.at, self.durable, kind, payload);
        tail.at = end_of;
        self.end = Lsn(tail.framing.base.0 + end_of);
        self.last_is_idle = kind == codec::IDLE;
        Placed { at: Lsn(tail.framing.base.0 + start), end: self.end, begun, closed }
    }

    fn make_room(&mut self, payload: usize, now: &impl Fn() -> Nanos) -> Option<(u64, Lsn)> {
        if let Some(tail) = &self.tail {
            let end = frame::end_of(frame::end_of(tail.at, payload), 0);
            if end <= tail.capacity {
                return None;
            }
            self.close_segment(now);
        }
        let (number, base) = (self.next_number, self.next_base);
        let needed = frame::end_of(frame::end_of(FILE_HEADER, payload), 0) + FRAME_HEADER;
        let capacity = needed.max(self.segment_bytes).next_multiple_of(PAGE);
        self.next_number += 1;
        self.next_base = Lsn(base.0 + capacity);
        let framing = Framing::new(&self.database, base);
        self.tail = Some(Tail { framing, at: FILE_HEADER, capacity });
        self.steps.push_back(Step::Create { number, base });
        Some((number, base))
    }

    fn close_segment(&mut self, now: &impl Fn() -> Nanos) {
        let tail = self.tail.as_ref().expect("only a segment that was begun is closed");
        let end = frame::end_of(tail.at, 0);
        assert!(end <= tail.capacity, "the trailer ends at {end} of {}", tail.capacity);
        let was_idle = self.last_is_idle;
        // A closed segment is synced as a whole, so its trailer needs no room in a group.
        let tail = self.tail.as_mut().expect("as above");
        let mut bytes = Vec::new();
        tail.framing.encode(&mut bytes, tail.at, self.durable, codec::TRAILER, &[]);
        let end_lsn = Lsn(tail.framing.base.0 + end);
        self.unsynced.push_back((Lsn(tail.framing.base.0 + tail.at), now()));
        self.steps.push_back(Step::Write { offset: tail.at, bytes, end: end_lsn });
        self.steps.push_back(Step::Seal);
        tail.at = end;
        self.end = end_lsn;
        self.wanted = self.wanted.max(end_lsn);
        self.last_is_idle = was_idle;
    }

    /// The next step, if one is due and none is out.
    pub fn next(&mut self) -> Option<Next> {
        if self.busy || self.poisoned.is_some() {
            return None;
        }
        let sync_due = self.wanted > self.durable && self.written > self.durable;
        let unsynced_bytes = self.written.0 - self.durable.0;
        let next = match self.steps.front() {
            Some(Step::Seal) => {
                if self.written == self.durable {
                    self.steps.pop_front();
                    return self.next();
                }
                self.sync()
            }
            Some(_) if sync_due && unsynced_bytes >= GROUP_BYTES as u64 => self.sync(),
            Some(_) => match self.steps.pop_front() {
                Some(Step::Create { number, base }) => Next::Create { number, base },
                Some(Step::Write { offset, bytes, end, .. }) => {
                    Next::Write { file: self.active(), offset, bytes, end }
                }
                _ => unreachable!("the front was looked at"),
            },
            None if sync_due => self.sync(),
            None => return None,
        };
        self.busy = true;
        Some(next)
    }

    /// Whether `next` would hand something out.
    pub fn has_work(&self) -> bool {
        let sync_due = self.wanted > self.durable && self.written > self.durable;
        !self.busy && self.poisoned.is_none() && (!self.steps.is_empty() || sync_due)
    }

    fn active(&self) -> Arc<dyn VfsFile> {
        self.active.clone().expect("a segment is made before it is written")
    }

    fn sync(&self) -> Next {
        Next::Sync { file: self.active(), upto: self.written }
    }

    pub fn wrote(&mut self, end: Lsn, mut buffer: Vec<u8>) {
        assert!(end > self.written, "{end} was written after {}", self.written);
        self.written = end;
        if buffer.capacity() <= 4 * GROUP_BYTES {
            buffer.clear();
            self.spare = buffer;
        }
        if mutant!("answer_before_sync") {
            self.durable = end;
        }
        self.answer();
    }

    pub fn synced(&mut self, upto: Lsn) {
        self.durable = self.durable.max(upto);
        assert!(self.durable <= self.written, "{} is durable, unwritten", self.durable);
        while self.unsynced.front().is_some_and(|(start, _)| *start < self.durable) {
            self.unsynced.pop_front();
        }
        self.answer();
    }

    /// The first failure ends all: nothing later is ever reported as done.
    pub fn poison(&mut self, cause: String) {
        let unknown = Error::UnknownOutcome { cause: cause.clone() };
        for tickets in &mut self.tickets {
            let waiting = std::mem::take(tickets).into_values();
            self.completed.extend(waiting.map(|ticket| (ticket, Err(unknown.clone()))));
        }
        self.poisoned.get_or_insert(cause);
        self.steps.clear();
    }

    pub fn reached(&self, level: Level) -> Lsn {
        match level {
            Level::Written => self.written,
            Level::Durable => self.durable,
        }
    }

    pub fn want(&mut self, at: Lsn, level: Level) {
        assert!(at <= self.end, "nothing was pushed at {at}; the log ends at {}", self.end);
        if level == Level::Durable {
            self.wanted = self.wanted.max(at);
        }
    }

    pub fn notify(&mut self, at: Lsn, level: Level, ticket: Ticket) {
        if at <= self.reached(level) {
            self.completed.push((ticket, Ok(())));
        } else if let Some(cause) = &self.poisoned {
            let unknown = Error::UnknownOutcome { cause: cause.clone() };
            self.completed.push((ticket, Err(unknown)));
        } else {
            self.want(at, level);
            self.tickets_seen += 1;
            self.tickets[level as usize].insert((at, self.tickets_seen), ticket);
        }
    }

    fn answer(&mut self) {
        for level in [Level::Written, Level::Durable] {
            let reached = self.reached(level);
            let tickets = &mut self.tickets[level as usize];
            while let Some(first) = tickets.first_entry().filter(|first| first.key().0 <= reached) {
                self.completed.push((first.remove(), Ok(())));
            }
        }
    }

    pub fn pending_age(&self, now: Nanos) -> Nanos {
        match self.unsynced.front() {
            Some((start, since)) if *start < self.wanted => now.saturating_sub(*since),
            _ => 0,
        }
    }
}
