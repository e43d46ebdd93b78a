//! An oracle of the engine, and a seeded script that drives both.
//!
//! Keyspace 1 is versioned, 2 plain, both fed by stream 1 as a replica does it: an entry is appended
//! to the log, committed (here: at once, or later), applied with its index as position. Keyspaces 10
//! (plain) and 11 (versioned) are fed by batches. What a state says is compared whole.

use std::path::Path;
use std::sync::Arc;

use phantom_base::{Clock, Map, Nanos, Random, SeededRandom};
use phantom_log::{Entry, Level, Record, Stream};
use phantom_lsm::{
    Batch, Direction, Durability, Engine, EngineOptions, Error, Keyspace, KeyspaceOptions,
    Snapshot, Source, Span,
};
use phantom_vfs::SimFs;

pub const DIR: &str = "/db";
pub const GROUP: u64 = 1;
const VERSIONED: [Keyspace; 2] = [Keyspace(1), Keyspace(11)];
const PLAIN: [Keyspace; 2] = [Keyspace(2), Keyspace(10)];

struct NoClock;

impl Clock for NoClock {
    fn wall_ns(&self) -> Nanos {
        0
    }
    fn monotonic_ns(&self) -> Nanos {
        0
    }
}

/// Options that make a few hundred writes go through every level.
pub fn tiny() -> EngineOptions {
    let keyspace = |id, source, versioned| KeyspaceOptions { id: Keyspace(id), source, versioned };
    EngineOptions {
        keyspaces: vec![
            keyspace(1, Source::Stream, true),
            keyspace(2, Source::Stream, false),
            keyspace(10, Source::Batch, false),
            keyspace(11, Source::Batch, true),
        ],
        memory_bytes: 16 << 20,
        memtable_bytes: 3_000,
        cache_bytes: Some(20_000),
        block_bytes: 200,
        table_bytes: 1_500,
        level_bytes: 4_000,
        l0_compact: 2,
        l0_max: 6,
        segment_bytes: 32 << 10,
        disk_reserve: Some(0),
        ..EngineOptions::new(*b"an engine's test", Arc::new(NoClock))
    }
}

pub fn open(fs: &SimFs, options: EngineOptions) -> Result<Engine, Error> {
    Engine::open(Arc::new(fs.clone()), Path::new(DIR), options)
}

type Rows = Map<Vec<u8>, Vec<u8>>;
type Versions = Map<Vec<u8>, Map<u64, Option<Vec<u8>>>>;

/// What the keyspaces hold: of versioned ones by key and timestamp, a tombstone without a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oracle {
    pub plain: [Rows; 2],
    pub versions: [Versions; 2],
    /// Index of the last entry applied.
    pub applied: u64,
    pub clock: u64,
}

impl Oracle {
    fn version(&self, i: usize, key: &[u8], ts: u64) -> Option<(u64, &Option<Vec<u8>>)> {
        let (ts, value) = self.versions[i].get(key)?.range(..=ts).next_back()?;
        Some((*ts, value))
    }
}

fn key(random: &mut SeededRandom) -> Vec<u8> {
    // Fixed width: prefix-free, as mvcc makes its keys.
    let table = [b"t1".as_slice(), b"t2", b"much-longer-table-name-"][random.below(3) as usize];
    [table, format!("{:04}", random.below(40)).as_bytes()].concat()
}

fn value(random: &mut SeededRandom) -> Vec<u8> {
    let len = if random.one_in(40) { random.below(5_000) } else { random.below(60) };
    let byte = random.next_u64() as u8;
    (0..len).map(|i| if i % 3 == 0 { byte } else { (i * 7) as u8 ^ byte }).collect()
}

/// Makes a batch for keyspaces `i` of each kind and applies it to the oracle.
pub fn batch(oracle: &mut Oracle, i: usize, random: &mut SeededRandom) -> Batch {
    let mut batch = Batch::new();
    oracle.clock += 1 + random.below(3);
    let ts = oracle.clock;
    for _ in 0..=random.below(5) {
        let (key, value) = (key(random), value(random));
        match random.below(6) {
            0 => {
                batch.delete(PLAIN[i], &key);
                oracle.plain[i].remove(&key);
            }
            1 | 2 => {
                batch.put(PLAIN[i], &key, &value);
                oracle.plain[i].insert(key, value);
            }
            3 => {
                batch.delete_at(VERSIONED[i], &key, ts);
                oracle.versions[i].entry(key).or_default().insert(ts, None);
            }
            _ => {
                batch.put_at(VERSIONED[i], &key, ts, &value);
                oracle.versions[i].entry(key).or_default().insert(ts, Some(value));
            }
        }
    }
    batch
}

/// One step of a replica: appends an entry and applies it.
pub fn replicate(engine: &Engine, index: u64, batch: &Batch) -> Result<(), Error> {
    let entries = &[Entry { term: 1, bytes: batch.bytes() }];
    let end =
        engine.log().push(&[Record::Append { stream: Stream(GROUP), first: index, entries }])?;
    engine.apply(batch.bytes(), &[(GROUP, index)], end)?;
    Ok(())
}

/// Applies again what the log holds above the durable position, as a node does at its start.
pub fn reapply(engine: &Engine) -> Result<(), Error> {
    let log = engine.log().clone();
    let bounds = log.bounds(Stream(GROUP));
    let mut next = engine.position(GROUP) + 1;
    assert!(bounds.first <= next, "entry {next} is needed, the log begins at {}", bounds.first);
    while next <= bounds.last {
        for (_, bytes) in log.read(Stream(GROUP), next, 1_000)?.list {
            engine.apply(&bytes, &[(GROUP, next)], log.end())?;
            next += 1;
        }
    }
    Ok(())
}

/// Compares everything that the engine says at a snapshot with the oracle of that moment.
pub fn compare(engine: &Engine, at: &Snapshot, oracle: &Oracle, random: &mut SeededRandom) {
    let direction = [Direction::Forward, Direction::Backward][random.below(2) as usize];
    for i in 0..2 {
        let (low, high) = (key(random), key(random));
        let bounds = [None, Some(low.as_slice().min(&high)), Some(low.as_slice().max(&high))];
        let span = Span {
            start: bounds[random.below(2) as usize],
            end: bounds[random.below(2) as usize * 2],
        };
        let inside =
            |key: &[u8]| span.start.is_none_or(|s| key >= s) && span.end.is_none_or(|e| key < e);
        let mut rows = Vec::new();
        let mut iter = engine.scan(at, PLAIN[i], span, direction).unwrap();
        while let Some((key, value)) = iter.next().unwrap() {
            rows.push((key.to_vec(), value.to_vec()));
        }
        let wanted = oracle.plain[i].iter().filter(|(key, _)| inside(key));
        let mut wanted: Vec<_> = wanted.map(|(k, v)| (k.clone(), v.clone())).collect();
        if direction == Direction::Backward {
            wanted.reverse();
        }
        assert_eq!(rows, wanted, "{:?} {span:?} {direction:?}", PLAIN[i]);
        for _ in 0..20 {
            let key = key(random);
            let found = engine.get(Some(at), PLAIN[i], &key).unwrap();
            assert_eq!(found.as_deref(), oracle.plain[i].get(&key).map(Vec::as_slice));
        }
        compare_versions(engine, at, oracle, random, (i, span, direction));
    }
}

fn compare_versions(
    engine: &Engine,
    at: &Snapshot,
    oracle: &Oracle,
    random: &mut SeededRandom,
    (i, span, direction): (usize, Span<'_>, Direction),
) {
    let ts = random.below(oracle.clock + 2);
    let since = random.one_in(3).then(|| random.below(ts + 1));
    let inside =
        |key: &[u8]| span.start.is_none_or(|s| key >= s) && span.end.is_none_or(|e| key < e);
    let mut rows = Vec::new();
    let mut iter = engine.scan_at(at, VERSIONED[i], span, ts, since, direction).unwrap();
    while let Some(version) = iter.next().unwrap() {
        rows.push((version.key.to_vec(), version.timestamp, version.value.map(<[u8]>::to_vec)));
    }
    let mut wanted = Vec::new();
    for key in oracle.versions[i].keys().filter(|key| inside(key)) {
        if let Some((ts, value)) = oracle.version(i, key, ts)
            && since.map_or(value.is_some(), |since| ts > since)
        {
            wanted.push((key.clone(), ts, value.clone()));
        }
    }
    if direction == Direction::Backward {
        wanted.reverse();
    }
    assert_eq!(rows, wanted, "{:?} {span:?} ts {ts} since {since:?} {direction:?}", VERSIONED[i]);
    for _ in 0..20 {
        let (key, ts) = (key(random), random.below(oracle.clock + 2));
        let found = engine.get_at(at, VERSIONED[i], &key, ts).unwrap();
        let wanted = oracle.version(i, &key, ts).and_then(|(ts, v)| Some((ts, v.as_deref()?)));
        assert_eq!(found.as_ref().map(|(ts, v)| (*ts, &**v)), wanted, "{key:?} at {ts}");
        let newest = engine.newest(at, VERSIONED[i], &key).unwrap();
        assert_eq!(newest, oracle.version(i, &key, u64::MAX).map(|(ts, _)| ts));
    }
}

/// The script's progress, for crash tests: the oracle after each write, and what was acknowledged.
pub struct Run {
    /// After each write through the log, in its order: batches and entries.
    pub history: Vec<Oracle>,
    pub acknowledged: usize,
    pub votes: Vec<u64>,
    pub votes_acknowledged: usize,
}

impl Run {
    pub fn new() -> Self {
        Self {
            history: vec![Oracle::default()],
            acknowledged: 0,
            votes: vec![0],
            votes_acknowledged: 0,
        }
    }

    pub fn from(oracle: Oracle, vote: u64) -> Self {
        Self { history: vec![oracle], acknowledged: 0, votes: vec![vote], votes_acknowledged: 0 }
    }

    /// Runs `steps` steps; stops at the first error.
    pub fn script(&mut self, engine: &Engine, seed: u64, steps: usize) -> Result<(), Error> {
        let mut random = SeededRandom::new(seed);
        for _ in 0..steps {
            match random.below(16) {
                0 => {
                    engine.flush()?;
                    let position = engine.flushed_position(GROUP);
                    engine.release(Stream(GROUP), GROUP, position)?;
                    engine.reclaim()?;
                }
                1 => engine.run_jobs()?,
                2 => {
                    if let Some(job) = engine.next_job() {
                        job.run()?;
                    }
                }
                3 => {
                    let all = self.history.len() - 1;
                    let votes = self.votes.len() - 1;
                    engine.log().commit(engine.log().end(), Level::Durable)?;
                    (self.acknowledged, self.votes_acknowledged) = (all, votes);
                }
                4 => {
                    let vote = self.votes.last().unwrap() + 1;
                    self.votes.push(vote);
                    let (stream, bytes) = (Stream(GROUP), &vote.to_le_bytes()[..]);
                    engine.log().push(&[Record::State { stream, slot: 0, bytes }])?;
                }
                5 => engine.release(Stream(GROUP), GROUP, u64::MAX).map(|_| ())?,
                _ => self.write(engine, &mut random)?,
            }
        }
        Ok(())
    }

    fn write(&mut self, engine: &Engine, random: &mut SeededRandom) -> Result<(), Error> {
        let mut oracle = self.history.last().unwrap().clone();
        if random.one_in(2) {
            let batch = batch(&mut oracle, 0, random);
            oracle.applied += 1;
            let index = oracle.applied;
            self.history.push(oracle);
            return replicate(engine, index, &batch);
        }
        let batch = batch(&mut oracle, 1, random);
        self.history.push(oracle);
        let durability =
            [Durability::Queued, Durability::Os, Durability::Disk][random.below(3) as usize];
        engine.write(batch.bytes(), durability)?;
        if durability == Durability::Disk {
            // The log is one: what came before is durable with it.
            self.acknowledged = self.history.len() - 1;
            self.votes_acknowledged = self.votes.len() - 1;
        }
        Ok(())
    }
}

/// Reads everything that the engine holds, as an oracle without clock.
pub fn observe(engine: &Engine) -> Result<Oracle, Error> {
    let at = engine.snapshot();
    let mut seen = Oracle { applied: engine.position(GROUP), ..Oracle::default() };
    for i in 0..2 {
        let mut iter = engine.scan(&at, PLAIN[i], Span::default(), Direction::Forward)?;
        while let Some((key, value)) = iter.next()? {
            seen.plain[i].insert(key.to_vec(), value.to_vec());
        }
        // All versions: step down from the newest of each key.
        let mut newest = Vec::new();
        let mut iter = engine.scan_at(
            &at,
            VERSIONED[i],
            Span::default(),
            u64::MAX,
            Some(0),
            Direction::Backward,
        )?;
        while let Some(version) = iter.next()? {
            newest.push((version.key.to_vec(), version.timestamp));
        }
        for (key, newest) in newest {
            let versions = seen.versions[i].entry(key.clone()).or_default();
            let mut ts = newest;
            while ts > 0 {
                let span = Span { start: Some(&key), end: None };
                let mut one =
                    engine.scan_at(&at, VERSIONED[i], span, ts, Some(0), Direction::Forward)?;
                match one.next()? {
                    Some(found) if found.key == key => {
                        versions.insert(found.timestamp, found.value.map(<[u8]>::to_vec));
                        ts = found.timestamp - 1;
                    }
                    _ => break,
                }
            }
        }
    }
    Ok(seen)
}
