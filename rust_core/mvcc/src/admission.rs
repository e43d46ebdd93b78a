//! Latches of one group: who may look at and write which keys now.
//!
//! Lives in the leader's memory only. Writes queue per key in the order they were admitted; since a
//! request enters all its queues at once, no two wait for each other. A write that has been
//! proposed has a commit timestamp; reads at or above it wait until it is applied or refused.

use std::collections::VecDeque;
use std::ops::Bound;

use phantom_base::{Map, Set, Timestamp};

/// The caller's number of a request.
pub type RequestId = u64;

/// What a read touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Single keys.
    Keys(Vec<Vec<u8>>),
    /// All keys from the first, included, to the second, not included.
    Span(Vec<u8>, Vec<u8>),
}

/// The requests that one group has admitted and not finished.
#[derive(Debug, Default)]
pub struct Admissions {
    /// Of each key the writes that want it; the first holds its latch.
    queues: Map<Vec<u8>, VecDeque<RequestId>>,
    writes: Map<RequestId, Write>,
    reads: Map<RequestId, usize>,
}

#[derive(Debug)]
struct Write {
    keys: Vec<Vec<u8>>,
    /// Keys whose latch it does not hold yet.
    missing: usize,
    /// Set when it is proposed.
    commit: Option<Timestamp>,
    /// Reads that wait for its end.
    readers: Vec<RequestId>,
}

impl Admissions {
    /// Queues a write for its keys; true if it holds all their latches now.
    pub fn write(&mut self, request: RequestId, mut keys: Vec<Vec<u8>>) -> bool {
        assert!(!self.writes.contains_key(&request), "request {request} is in use");
        assert!(!self.reads.contains_key(&request), "request {request} is a read's");
        keys.sort_unstable();
        keys.dedup();
        let mut missing = 0;
        for key in &keys {
            let queue = self.queues.entry(key.clone()).or_default();
            missing += usize::from(!queue.is_empty());
            queue.push_back(request);
        }
        self.writes.insert(request, Write { keys, missing, commit: None, readers: Vec::new() });
        missing == 0
    }

    /// Notes that a write which holds its latches was proposed with a commit timestamp.
    pub fn proposed(&mut self, request: RequestId, commit: Timestamp) {
        let write = self.writes.get_mut(&request).expect("only admitted writes are proposed");
        assert_eq!(write.missing, 0, "write {request} was proposed before it held its latches");
        assert!(write.commit.is_none(), "write {request} was proposed twice");
        write.commit = Some(commit);
    }

    /// Admits a read at `r`; true if nothing in flight at or below `r` touches what it reads.
    pub fn read(&mut self, request: RequestId, reads: &Reads, r: Timestamp) -> bool {
        assert!(!self.writes.contains_key(&request), "request {request} is a write's");
        assert!(!self.reads.contains_key(&request), "request {request} is in use");
        let mut in_the_way: Set<RequestId> = Set::new();
        let mut look = |queue: &VecDeque<RequestId>| {
            let holder = *queue.front().expect("an empty queue is removed");
            let write = self.writes.get(&holder).expect("queues name admitted writes");
            if write.commit.is_some_and(|commit| commit <= r) {
                in_the_way.insert(holder);
            }
        };
        match reads {
            Reads::Keys(keys) => {
                keys.iter().filter_map(|key| self.queues.get(key)).for_each(&mut look);
            }
            Reads::Span(start, end) if start < end => {
                let span = (Bound::Included(start.clone()), Bound::Excluded(end.clone()));
                self.queues.range(span).map(|(_, queue)| queue).for_each(&mut look);
            }
            Reads::Span(..) => {}
        }
        if in_the_way.is_empty() {
            return true;
        }
        self.reads.insert(request, in_the_way.len());
        for holder in in_the_way {
            let write = self.writes.get_mut(&holder).expect("looked up above");
            write.readers.push(request);
        }
        false
    }

    /// Ends a write, whether applied, refused or given up, and returns the requests that may go on
    /// now: writes that hold all their latches, reads that wait for nothing more.
    pub fn finish(&mut self, request: RequestId) -> Vec<RequestId> {
        let write = self.writes.remove(&request).expect("only admitted writes are finished");
        let mut ready = Vec::new();
        for key in &write.keys {
            let queue = self.queues.get_mut(key).expect("a write stands in its queues");
            let held = queue.front() == Some(&request);
            if held {
                queue.pop_front(); // Nothing is searched behind a key that thousands want.
            } else {
                queue.retain(|waiting| *waiting != request);
            }
            match queue.front() {
                None => {
                    self.queues.remove(key);
                }
                Some(next) if held => {
                    let next = *next;
                    let heir = self.writes.get_mut(&next).expect("queues name admitted writes");
                    heir.missing -= 1;
                    if heir.missing == 0 {
                        ready.push(next);
                    }
                }
                Some(_) => {}
            }
        }
        for reader in write.readers {
            let Some(waits_for) = self.reads.get_mut(&reader) else { continue };
            *waits_for -= 1;
            if *waits_for == 0 {
                self.reads.remove(&reader);
                ready.push(reader);
            }
        }
        ready
    }

    /// Gives up a read that still waits; one that was admitted needs no end.
    pub fn forget_read(&mut self, request: RequestId) {
        self.reads.remove(&request);
    }

    /// Whether a proposal that writes a key is in flight.
    pub fn is_in_flight(&self, key: &[u8]) -> bool {
        let holder = self.queues.get(key).and_then(|queue| queue.front());
        let write = holder.and_then(|holder| self.writes.get(holder));
        write.is_some_and(|write| write.commit.is_some())
    }

    /// Whether a request is a write's that has not ended.
    pub fn is_writing(&self, request: RequestId) -> bool {
        self.writes.contains_key(&request)
    }

    /// How many requests have not ended: writes, and reads that wait.
    pub fn len(&self) -> (usize, usize) {
        (self.writes.len(), self.reads.len())
    }

    /// Whether no request is left.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// Broken invariants, in words; empty is well.
    pub fn check(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (request, write) in &self.writes {
            let is_missing = |key: &&Vec<u8>| {
                self.queues.get(*key).and_then(|queue| queue.front()) != Some(request)
            };
            let missing = write.keys.iter().filter(is_missing).count();
            if missing != write.missing {
                broken.push(format!("write {request} misses {missing}, counts {}", write.missing));
            }
            if missing > 0 && write.commit.is_some() {
                broken.push(format!("write {request} is in flight without its latches"));
            }
        }
        if self.queues.values().any(VecDeque::is_empty) {
            broken.push("an empty queue was kept".into());
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use phantom_base::{Random, SeededRandom, Set};

    use super::*;

    #[test]
    fn thousands_of_writes_hold_up_a_read_and_each_other_without_being_searched() {
        const MANY: u64 = 100_000;
        let mut latches = Admissions::default();
        let key = |request: u64| vec![request.to_be_bytes().to_vec()];
        for request in 1..=MANY {
            assert!(latches.write(request, key(request)));
            latches.proposed(request, Timestamp(request));
            assert_eq!(latches.write(MANY + request, keys(&["hot"])), request == 1);
        }
        let all = Reads::Span(0_u64.to_be_bytes().to_vec(), u64::MAX.to_be_bytes().to_vec());
        assert!(!latches.read(0, &all, Timestamp(MANY)));
        for request in 1..=MANY {
            let (last, next) = (request == MANY, MANY + request + 1);
            assert_eq!(latches.finish(request), if last { vec![0] } else { vec![] });
            assert_eq!(latches.finish(MANY + request), if last { vec![] } else { vec![next] });
        }
        assert!(latches.is_empty());
    }

    fn keys(names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn writes_of_a_key_go_one_after_the_other_in_order() {
        let mut latches = Admissions::default();
        assert!(latches.write(1, keys(&["a", "b"])));
        assert!(!latches.write(2, keys(&["b", "c"])));
        assert!(!latches.write(3, keys(&["c"])), "c is wanted by 2, which came first");
        assert!(latches.write(4, keys(&["d"])));
        assert_eq!(latches.finish(1), [2]);
        assert_eq!(latches.finish(2), [3]);
        assert_eq!(latches.finish(3), Vec::<RequestId>::new());
        latches.finish(4);
        assert!(latches.is_empty());
    }

    #[test]
    fn a_write_that_gives_up_while_it_waits_lets_the_next_pass() {
        let mut latches = Admissions::default();
        latches.write(1, keys(&["a"]));
        latches.write(2, keys(&["a"]));
        latches.write(3, keys(&["a"]));
        assert!(latches.finish(2).is_empty());
        assert_eq!(latches.finish(1), [3]);
    }

    #[test]
    fn a_read_waits_for_what_is_in_flight_below_it_and_nothing_else() {
        let mut latches = Admissions::default();
        let r = Timestamp(100);
        latches.write(1, keys(&["b"]));
        let span = Reads::Span(b"a".to_vec(), b"z".to_vec());
        assert!(latches.read(10, &span, r), "an admitted write will commit above r");
        latches.proposed(1, Timestamp(100));
        assert!(!latches.read(11, &span, r));
        assert!(!latches.read(12, &Reads::Keys(keys(&["b"])), r));
        assert!(latches.read(13, &Reads::Keys(keys(&["c"])), r));
        assert!(latches.read(14, &span, Timestamp(99)), "it commits above that read");
        assert!(latches.read(15, &Reads::Span(b"c".to_vec(), b"z".to_vec()), r));
        assert_eq!(latches.finish(1), [11, 12]);
    }

    /// Random requests against a model that knows only the rules: no two holders share a key, all
    /// requests end, a read goes on only when nothing in flight below it overlaps.
    #[test]
    fn random_requests_keep_the_rules() {
        for seed in 0..200 {
            let mut random = SeededRandom::new(seed);
            let mut latches = Admissions::default();
            let mut holding: Map<RequestId, (Set<Vec<u8>>, Option<Timestamp>)> = Map::new();
            let mut waiting: Map<RequestId, Set<Vec<u8>>> = Map::new();
            let mut clock = 1;
            for request in 0..300 {
                clock += 1;
                let (end, propose) = (random.one_in(3), random.one_in(2));
                if end && !holding.is_empty() {
                    let at = random.below(holding.len() as u64) as usize;
                    let ended = *holding.keys().nth(at).expect("below the length");
                    holding.remove(&ended);
                    for ready in latches.finish(ended) {
                        if let Some(keys) = waiting.remove(&ready) {
                            holding.insert(ready, (keys, None));
                        }
                    }
                } else if propose && !holding.is_empty() {
                    let at = random.below(holding.len() as u64) as usize;
                    let (proposed, (_, commit)) =
                        holding.iter_mut().nth(at).expect("below the length");
                    if commit.is_none() {
                        *commit = Some(Timestamp(clock));
                        latches.proposed(*proposed, Timestamp(clock));
                    }
                } else {
                    let keys: Set<Vec<u8>> =
                        (0..=random.below(3)).map(|_| vec![random.below(6) as u8]).collect();
                    if latches.write(request, keys.iter().cloned().collect()) {
                        holding.insert(request, (keys, None));
                    } else {
                        waiting.insert(request, keys);
                    }
                }
                assert_eq!(latches.check(), Vec::<String>::new(), "seed {seed}");
                let all: Vec<&Vec<u8>> = holding.values().flat_map(|(keys, _)| keys).collect();
                let distinct: Set<&&Vec<u8>> = all.iter().collect();
                assert_eq!(all.len(), distinct.len(), "two writes hold one latch, seed {seed}");
                let r = Timestamp(random.below(clock + 1));
                let key = vec![random.below(6) as u8];
                let blocked = holding.values().any(|(keys, commit)| {
                    keys.contains(&key) && commit.is_some_and(|commit| commit <= r)
                });
                let free = latches.read(1_000_000 + request, &Reads::Keys(vec![key]), r);
                assert_eq!(free, !blocked, "seed {seed}");
                latches.forget_read(1_000_000 + request);
            }
            while let Some(ended) = holding.keys().next().copied() {
                holding.remove(&ended);
                for ready in latches.finish(ended) {
                    if let Some(keys) = waiting.remove(&ready) {
                        holding.insert(ready, (keys, None));
                    }
                }
            }
            assert!(waiting.is_empty() && latches.is_empty(), "seed {seed} left requests behind");
        }
    }
}
