//! A group's log as the machine sees it: which terms stand where, what is durable, and the bytes
//! of what is not.
//!
//! The machine keeps the terms of all entries as runs (a few numbers a leadership) and the entries
//! that are not yet durable; older bytes come through `Entries`, from the log. So the machine
//! never asks for what it has just handed out, and elections touch no disk.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use phantom_base::{GroupId, LogIndex, Term};

/// A place in a group's log. Ordered as logs are compared in elections: by term, then index (R8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The term of the entry; first, for the derived order.
    pub term: Term,
    /// Its index.
    pub index: LogIndex,
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// One item of a group's log. Raft reads no data.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place, without gaps from 1.
    pub index: LogIndex,
    /// The leadership that made it.
    pub term: Term,
    /// What it says.
    pub data: Arc<[u8]>,
}

impl Entry {
    /// Its place.
    pub fn position(&self) -> Position {
        Position { index: self.index, term: self.term }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(&self.data) {
            Ok(text) if text.len() <= 24 => write!(f, "{:?}:{text}", self.position()),
            _ => write!(f, "{:?}:{} B", self.position(), self.data.len()),
        }
    }
}

/// The durable part of the groups' logs. Asked only for entries that were reported durable.
pub trait Entries {
    /// First and last index that the log keeps of the group; an empty log is (1, 0).
    fn bounds(&self, gid: GroupId) -> (LogIndex, LogIndex);

    /// The term of an entry within the bounds, or of the one right before the first.
    fn term_at(&self, gid: GroupId, index: LogIndex) -> Option<Term>;

    /// Entries from `from` on without gaps, about `bytes_max` bytes of them and at least one.
    /// Empty means that the log cannot give them now; the machine tries again later.
    fn read(&self, gid: GroupId, from: LogIndex, bytes_max: usize) -> Vec<Entry>;
}

/// The machine's view of one group's log.
#[derive(Debug)]
pub struct GroupLog {
    /// The last entry that was released; index 0 of term 0 if none was. Its term stays known: it
    /// answers the probe of whoever has no more than that.
    before: Position,
    first: LogIndex,
    last: LogIndex,
    /// (first index, term) of each run of equal terms; terms and indexes rise.
    runs: Vec<(LogIndex, Term)>,
    durable: LogIndex,
    /// Exactly the entries after `durable`.
    tail: VecDeque<Entry>,
}

impl GroupLog {
    /// The view of what survived a restart: all of it is durable.
    pub fn restore(gid: GroupId, entries: &dyn Entries) -> Self {
        let (first, last) = entries.bounds(gid);
        assert!(first.0 >= 1 && first.0 <= last.0 + 1, "{gid}: bounds {first}..={last}");
        let term_at = |i: u64| entries.term_at(gid, LogIndex(i)).expect("an index within bounds");
        let mut before = Position::default();
        if first > LogIndex(1) {
            before = Position { index: first.previous(), term: term_at(first.0 - 1) };
        }
        let mut runs = Vec::new();
        let mut at = first.0;
        while at <= last.0 {
            let term = term_at(at);
            runs.push((LogIndex(at), term));
            // Terms never fall, so the end of a run is found by bisection.
            let (mut same, mut beyond) = (at, last.0 + 1);
            while beyond - same > 1 {
                let middle = same.midpoint(beyond);
                if term_at(middle) == term { same = middle } else { beyond = middle }
            }
            at = beyond;
        }
        Self { before, first, last, runs, durable: last, tail: VecDeque::new() }
    }

    /// The first index that is kept.
    pub fn first(&self) -> LogIndex {
        self.first
    }

    /// The last index.
    pub fn last(&self) -> LogIndex {
        self.last
    }

    /// The last place; index 0 of term 0 in an empty log.
    pub fn last_position(&self) -> Position {
        let term = self.term_at(self.last).expect("the last entry's term stays");
        Position { index: self.last, term }
    }

    /// Everything up to here survives a crash.
    pub fn durable(&self) -> LogIndex {
        self.durable
    }

    /// The term at an index; `None` outside what is kept and the entry before it. Index 0 has
    /// term 0.
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.before.index {
            return Some(self.before.term);
        }
        if index < self.first || index > self.last {
            return None;
        }
        let run = self.runs.partition_point(|(start, _)| *start <= index);
        let (_, term) = self.runs.get(run - 1).expect("runs cover what is kept");
        Some(*term)
    }

    /// The last place at or before `index` whose term is at most `term`, for a hint after a
    /// rejected append: what lies between cannot match. `None` if nothing known qualifies.
    pub fn last_at_or_below(&self, index: LogIndex, term: Term) -> Option<Position> {
        let index = index.min(self.last);
        let runs = self.runs.iter().enumerate().rev();
        for (i, (start, run_term)) in runs {
            if *run_term <= term && *start <= index {
                let end = self.runs.get(i + 1).map_or(self.last, |(next, _)| next.previous());
                return Some(Position { index: index.min(end), term: *run_term });
            }
        }
        let Position { index: released, term: its } = self.before;
        (its <= term && released <= index).then_some(self.before)
    }

    /// Puts entries at the end, cutting what stands at their indexes. None of it is durable.
    pub fn append(&mut self, entries: &[Entry]) {
        let Some(head) = entries.first() else { return };
        assert!(
            head.index >= self.first && head.index <= self.last.next(),
            "{:?} leaves a gap after {} or cuts what was released below {}",
            head.position(),
            self.last,
            self.first
        );
        if head.index <= self.last {
            self.cut(head.index);
        }
        for entry in entries {
            assert_eq!(entry.index, self.last.next(), "entries have no gaps");
            let newest = self.runs.last().map_or(self.before.term, |(_, term)| *term);
            assert!(entry.term >= newest, "{:?} after an entry of {newest}", entry.position());
            if entry.term > newest || self.runs.is_empty() {
                self.runs.push((entry.index, entry.term));
            }
            self.last = entry.index;
            self.tail.push_back(entry.clone());
        }
        self.assert_whole();
    }

    fn cut(&mut self, from: LogIndex) {
        self.last = from.previous();
        self.runs.retain(|(start, _)| *start < from);
        self.durable = self.durable.min(self.last);
        self.tail.retain(|entry| entry.index < from);
    }

    /// Records that everything up to `upto` is durable, unless that entry was cut since.
    pub fn synced(&mut self, upto: Position) {
        if upto.index > self.durable && self.term_at(upto.index) == Some(upto.term) {
            self.durable = upto.index;
            while self.tail.front().is_some_and(|entry| entry.index <= upto.index) {
                self.tail.pop_front();
            }
            self.assert_whole();
        }
    }

    /// Forgets entries up to `upto`, all but the term of the last of them.
    pub fn release(&mut self, upto: LogIndex) {
        if upto < self.first {
            return;
        }
        assert!(upto <= self.durable, "release {upto} of {}", self.durable);
        let term = self.term_at(upto).expect("what is durable is kept");
        self.before = Position { index: upto, term };
        self.first = upto.next();
        let gone = self.runs.partition_point(|(start, _)| *start <= self.first) - 1;
        self.runs.drain(..gone);
        if self.first > self.last {
            self.runs.clear();
        } else if let Some(run) = self.runs.first_mut() {
            run.0 = self.first;
        }
    }

    /// Entries from `from` on: of the tail if it is there, else from the durable log.
    pub fn read(
        &self,
        gid: GroupId,
        from: LogIndex,
        bytes_max: usize,
        source: &dyn Entries,
    ) -> Vec<Entry> {
        assert!(from >= self.first && from <= self.last, "{gid}: {from} is not kept");
        if from <= self.durable {
            let mut entries = source.read(gid, from, bytes_max);
            entries.retain(|entry| entry.index <= self.durable);
            for (entry, i) in entries.iter().zip(from.0..) {
                assert_eq!(entry.index, LogIndex(i), "{gid}: the log reads in order");
                assert_eq!(Some(entry.term), self.term_at(entry.index), "{gid}: {}", entry.index);
            }
            return entries;
        }
        let skip = usize::try_from(from.0 - self.durable.0 - 1).expect("the tail fits memory");
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let first = bytes == 0;
            bytes += entry.data.len() + 1;
            first || bytes <= bytes_max
        };
        self.tail.iter().skip(skip).take_while(fits).cloned().collect()
    }

    fn assert_whole(&self) {
        let expected = self.last.0 - self.durable.0;
        assert_eq!(self.tail.len() as u64, expected, "the tail holds what is not durable");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Entries for Nothing {
        fn bounds(&self, _: GroupId) -> (LogIndex, LogIndex) {
            (LogIndex(1), LogIndex(0))
        }
        fn term_at(&self, _: GroupId, _: LogIndex) -> Option<Term> {
            None
        }
        fn read(&self, _: GroupId, _: LogIndex, _: usize) -> Vec<Entry> {
            Vec::new()
        }
    }

    /// Terms by index from `first` on.
    struct Fixed(u64, Vec<u64>);

    impl Entries for Fixed {
        fn bounds(&self, _: GroupId) -> (LogIndex, LogIndex) {
            (LogIndex(self.0), LogIndex(self.0 + self.1.len() as u64 - 1))
        }
        fn term_at(&self, _: GroupId, index: LogIndex) -> Option<Term> {
            let Some(at) = index.0.checked_sub(self.0) else { return Some(Term(1)) };
            self.1.get(at as usize).copied().map(Term)
        }
        fn read(&self, _: GroupId, _: LogIndex, _: usize) -> Vec<Entry> {
            Vec::new()
        }
    }

    fn entry(index: u64, term: u64) -> Entry {
        Entry { index: LogIndex(index), term: Term(term), data: Arc::from(&b"x"[..]) }
    }

    fn position(index: u64, term: u64) -> Position {
        Position { index: LogIndex(index), term: Term(term) }
    }

    fn empty() -> GroupLog {
        GroupLog::restore(GroupId(1), &Nothing)
    }

    #[test]
    fn terms_survive_a_restore_as_runs() {
        let terms = vec![1, 1, 1, 4, 5, 5, 9];
        let log = GroupLog::restore(GroupId(1), &Fixed(10, terms.clone()));
        assert_eq!(log.runs.len(), 4);
        for (i, term) in terms.iter().enumerate() {
            assert_eq!(log.term_at(LogIndex(10 + i as u64)), Some(Term(*term)));
        }
        assert_eq!(log.term_at(LogIndex(9)), Some(Term(1)), "of the last that was released");
        assert_eq!(log.term_at(LogIndex(8)), None);
        assert_eq!(log.last_position(), position(16, 9));
    }

    #[test]
    fn an_append_cuts_what_stands_at_its_indexes() {
        let mut log = empty();
        log.append(&[entry(1, 1), entry(2, 1), entry(3, 1)]);
        log.synced(position(3, 1));
        log.append(&[entry(2, 2)]);
        assert_eq!(log.last_position(), position(2, 2));
        assert_eq!(log.durable(), LogIndex(1), "what was cut is durable no more");
        log.synced(position(3, 1));
        assert_eq!(log.durable(), LogIndex(1), "a sync of cut entries counts for nothing");
        log.synced(position(2, 2));
        assert_eq!(log.durable(), LogIndex(2));
    }

    #[test]
    fn hints_skip_terms_that_cannot_match() {
        let log = GroupLog::restore(GroupId(1), &Fixed(1, vec![1, 1, 3, 3, 5]));
        assert_eq!(log.last_at_or_below(LogIndex(5), Term(4)), Some(position(4, 3)));
        assert_eq!(log.last_at_or_below(LogIndex(9), Term(9)), Some(position(5, 5)));
        assert_eq!(log.last_at_or_below(LogIndex(3), Term(2)), Some(position(2, 1)));
        assert_eq!(log.last_at_or_below(LogIndex(3), Term(0)), Some(position(0, 0)));
        let released = GroupLog::restore(GroupId(1), &Fixed(7, vec![5, 6]));
        assert_eq!(released.last_at_or_below(LogIndex(8), Term(4)), Some(position(6, 1)));
        assert_eq!(released.last_at_or_below(LogIndex(5), Term(4)), None, "it is not known");
        assert_eq!(released.last_at_or_below(LogIndex(8), Term(0)), None);
    }

    #[test]
    fn release_keeps_the_terms_of_what_stays() {
        let mut log = GroupLog::restore(GroupId(1), &Fixed(1, vec![1, 1, 3, 3, 5]));
        log.release(LogIndex(3));
        assert_eq!(log.first(), LogIndex(4));
        assert_eq!(log.term_at(LogIndex(2)), None);
        assert_eq!(log.term_at(LogIndex(3)), Some(Term(3)), "it answers a probe");
        assert_eq!(log.term_at(LogIndex(4)), Some(Term(3)));
        assert_eq!(log.term_at(LogIndex(5)), Some(Term(5)));
    }

    #[test]
    fn a_log_whose_entries_are_all_released_goes_on_where_it_was() {
        for next in [5, 6] {
            let mut log = GroupLog::restore(GroupId(1), &Fixed(1, vec![1, 1, 3, 3, 5]));
            log.release(LogIndex(5));
            assert_eq!((log.first(), log.last()), (LogIndex(6), LogIndex(5)));
            assert_eq!(log.last_position(), position(5, 5));
            assert_eq!(log.last_at_or_below(LogIndex(9), Term(9)), Some(position(5, 5)));
            assert_eq!(log.last_at_or_below(LogIndex(9), Term(4)), None);
            log.append(&[entry(6, next), entry(7, next)]);
            let terms: Vec<_> = (4..=8).map(|i| log.term_at(LogIndex(i))).collect();
            let known = Some(Term(next));
            assert_eq!(terms, [None, Some(Term(5)), known, known, None]);
        }
        let restored = GroupLog::restore(GroupId(1), &Fixed(6, Vec::new()));
        assert_eq!(restored.last_position(), position(5, 1));
    }

    #[test]
    fn reads_of_the_tail_stop_at_the_bytes_asked_for() {
        let mut log = empty();
        log.append(&[entry(1, 1), entry(2, 1), entry(3, 1)]);
        let read = |from, bytes| log.read(GroupId(1), LogIndex(from), bytes, &Nothing).len();
        assert_eq!((read(1, 1), read(1, 4), read(1, 100), read(3, 100)), (1, 2, 3, 1));
    }
}
