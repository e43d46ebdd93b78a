//! A model of the log, and a seeded script that drives both.

use std::path::Path;
use std::sync::Arc;

use phantom_base::{Clock, Lsn, Map, Nanos, Random, SeededRandom};
use phantom_log::{Entry, Error, Level, Log, LogOptions, Record, Stream};
use phantom_vfs::{SimFs, Vfs};

pub const DATABASE: [u8; 16] = *b"a test database!";
pub const DIR: &str = "/log";

pub struct NoClock;

impl Clock for NoClock {
    fn wall_ns(&self) -> Nanos {
        0
    }
    fn monotonic_ns(&self) -> Nanos {
        0
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamModel {
    pub floor: u64,
    pub floor_term: u64,
    pub entries: Vec<(u64, Vec<u8>)>,
    pub slots: Map<u16, Vec<u8>>,
}

/// What a log holds; batches by their number alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    pub streams: Map<u64, StreamModel>,
    pub node: Map<u64, Vec<u8>>,
    pub last_batch: u64,
}

pub fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 32 << 10,
        entry_cache_bytes: 2_000,
        ..LogOptions::new(DATABASE, Arc::new(NoClock))
    }
}

/// Opens the log; returns the numbers of the batches that it replayed.
pub fn open(fs: &SimFs) -> Result<(Log, Vec<u64>), Error> {
    let mut batches = Vec::new();
    let log = Log::open(Arc::new(fs.clone()), Path::new(DIR), options(), &mut |_, record| {
        if let Record::Batch { first_seq, .. } = record {
            batches.push(first_seq);
        }
        Ok(())
    })?;
    Ok((log, batches))
}

/// A disk with an empty directory for the log.
pub fn disk(seed: u64) -> SimFs {
    let fs = SimFs::new(seed);
    fs.make_dir(Path::new(DIR)).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    fs
}

/// Reads the whole log back.
pub fn observe(log: &Log, last_batch: u64) -> Result<Model, Error> {
    let mut model = Model { last_batch, ..Model::default() };
    for stream in log.streams() {
        let bounds = log.bounds(stream);
        let mut seen = StreamModel {
            floor: bounds.first - 1,
            floor_term: bounds.term_before,
            ..StreamModel::default()
        };
        let mut next = bounds.first;
        while next <= bounds.last {
            let part = log.read(stream, next, 3_000)?;
            for (term, bytes) in part.list {
                assert_eq!(log.term_at(stream, next), Some(term));
                seen.entries.push((term, bytes.to_vec()));
                next += 1;
            }
        }
        for slot in 0..3 {
            if let Some(bytes) = log.state(stream, slot) {
                seen.slots.insert(slot, bytes.to_vec());
            }
        }
        model.streams.insert(stream.0, seen);
    }
    for slot in 0..3 {
        if let Some(bytes) = log.node_state(slot) {
            model.node.insert(slot, bytes.to_vec());
        }
    }
    Ok(model)
}

/// Lets some entries of the model go; returns what to tell the log.
fn release(state: &mut StreamModel, random: &mut SeededRandom) -> (u64, u64) {
    let last = state.floor + state.entries.len() as u64;
    let beyond = random.one_in(6);
    let index = if beyond { last + 5 } else { state.floor + random.below(last - state.floor + 1) };
    let term = match index.checked_sub(state.floor + 1) {
        None => state.floor_term,
        Some(i) => state.entries.get(i as usize).map_or(77, |e| e.0),
    };
    let count = (index - state.floor).min(state.entries.len() as u64);
    state.entries.drain(..count as usize);
    (state.floor, state.floor_term) = (index, term);
    (index, term)
}

/// The script's progress: the model after every push, and which prefix was acknowledged.
pub struct Run {
    pub history: Vec<Model>,
    pub acknowledged: usize,
    /// Batches up to this number are in imagined tables.
    pub flushed: u64,
    flushed_lsn: Lsn,
}

impl Run {
    pub fn new() -> Self {
        Self { history: vec![Model::default()], acknowledged: 0, flushed: 0, flushed_lsn: Lsn(0) }
    }

    /// Runs `steps` steps; stops at the first error.
    pub fn script(&mut self, log: &Log, seed: u64, steps: usize) -> Result<(), Error> {
        let mut random = SeededRandom::new(seed);
        for _ in 0..steps {
            match random.below(10) {
                0 => {
                    log.commit(log.end(), Level::Durable)?;
                    self.acknowledged = self.history.len() - 1;
                    if random.one_in(2) {
                        log.push_idle()?;
                    }
                }
                1 => {
                    // A flush: the log is durable to it first (D5).
                    log.commit(log.end(), Level::Durable)?;
                    self.acknowledged = self.history.len() - 1;
                    self.flushed = self.history.last().unwrap().last_batch;
                    self.flushed_lsn = log.end();
                    log.reclaim(self.flushed_lsn)?;
                }
                2 if random.one_in(4) => {
                    log.reclaim(self.flushed_lsn)?;
                }
                2 => {
                    if let Some(mut work) = log.work() {
                        let result = work.run();
                        log.done(work, result);
                    }
                }
                _ => self.push(log, &mut random)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, log: &Log, random: &mut SeededRandom) -> Result<(), Error> {
        let mut model = self.history.last().unwrap().clone();
        let number = random.below(3);
        let stream = Stream(number);
        let size = if random.one_in(12) { random.below(70_000) } else { random.below(600) };
        let bytes: Vec<u8> = (0..size).map(|i| (i ^ number) as u8).collect();
        // It is in the history before the push: a push that fails may have happened or not.
        let state = model.streams.entry(number).or_default();
        let last = state.floor + state.entries.len() as u64;
        match random.below(8) {
            0 => {
                model.last_batch += 1;
                let first_seq = model.last_batch;
                if *state == StreamModel::default() {
                    model.streams.remove(&number);
                }
                self.history.push(model);
                log.push(&[Record::Batch { first_seq, count: 1, ops: &bytes }])?;
            }
            1 => {
                let slot = random.below(3) as u16;
                state.slots.insert(slot, bytes[..bytes.len().min(50)].to_vec());
                let value = state.slots[&slot].clone();
                self.history.push(model);
                log.push(&[Record::State { stream, slot, bytes: &value }])?;
            }
            2 => {
                let slot = random.below(3);
                model.node.insert(slot, vec![number as u8; 9]);
                if *model.streams.entry(number).or_default() == StreamModel::default() {
                    model.streams.remove(&number);
                }
                self.history.push(model);
                log.push(&[Record::Node { slot, bytes: &[number as u8; 9] }])?;
            }
            3 if last > 0 => {
                let (index, term) = release(state, random);
                if index == 0 {
                    return Ok(());
                }
                self.history.push(model);
                log.push(&[Record::Release { stream, index, term }])?;
            }
            4 if random.one_in(8) => {
                model.streams.remove(&number);
                self.history.push(model);
                log.push(&[Record::Drop { stream }])?;
            }
            _ => {
                let cut = random.below(state.entries.len().min(3) as u64 + 1);
                let first = last + 1 - cut;
                state.entries.truncate((first - state.floor - 1) as usize);
                let count = 1 + random.below(3);
                for i in 0..count {
                    state.entries.push((first + i, bytes.clone()));
                }
                let entries: Vec<_> =
                    (0..count).map(|i| Entry { term: first + i, bytes: &bytes }).collect();
                self.history.push(model);
                log.push(&[Record::Append { stream, first, entries: &entries }])?;
            }
        }
        Ok(())
    }

    /// Asserts that what was recovered is a prefix of the pushes that holds all acknowledged.
    pub fn check(&self, seen: &Model, batches: &[u64], context: &str) {
        let allowed = &self.history[self.acknowledged..];
        let mut seen = seen.clone();
        let last = batches.last().copied().unwrap_or(0);
        seen.last_batch = last;
        let fits = allowed.iter().any(|model| {
            let mut model = model.clone();
            if model.last_batch <= self.flushed && last <= model.last_batch {
                model.last_batch = last; // In tables; the log may hold it or not.
            }
            model == seen
        });
        assert!(fits, "{context}: not one of {} allowed states", allowed.len());
        if let Some(first) = batches.first() {
            assert!(*first <= self.flushed + 1, "{context}: batch {} is lost", self.flushed + 1);
            assert!(batches.windows(2).all(|p| p[0] + 1 == p[1]), "{context}: {batches:?}");
        }
    }
}
