//! What the verbs promise, one claim each.

use std::sync::Arc;
use std::time::Duration;

use phantom_base::Lsn;
use phantom_log::{Entry, Level, Record, Stream};
use phantom_lsm::{
    Batch, Cached, Durability, Engine, EngineOptions, Error, Keyspace, KeyspaceOptions, Source,
    Span,
};
use phantom_vfs::{Crash, RealFs, SimFs, Vfs};

use crate::oracle::{DIR, GROUP, open, replicate, tiny};

const PLAIN: Keyspace = Keyspace(10);

fn put(key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(PLAIN, key, value);
    batch
}

#[test]
fn a_directory_has_one_engine_and_keeps_its_name_and_keyspaces() {
    let fs = SimFs::new(1);
    let engine = open(&fs, tiny()).unwrap();
    assert!(matches!(open(&fs, tiny()), Err(Error::InUse { .. })));
    drop(engine);
    let mut other = tiny();
    other.database = [9; 16];
    assert_eq!(open(&fs, other).unwrap().database(), tiny().database);
    let mut fewer = tiny();
    fewer.keyspaces.pop();
    assert!(matches!(open(&fs, fewer), Err(Error::InvalidArgument { .. })));
    let mut more = tiny();
    let new = KeyspaceOptions { id: Keyspace(40), source: Source::Batch, versioned: false };
    more.keyspaces.push(new);
    open(&fs, more).unwrap();
}

#[test]
fn batches_that_cannot_be_meant_are_refused_whole() {
    let engine = open(&SimFs::new(1), tiny()).unwrap();
    let mut mixed = put(b"k", b"v");
    mixed.put(Keyspace(2), b"k", b"v");
    assert!(matches!(
        engine.write(mixed.bytes(), Durability::Disk),
        Err(Error::InvalidArgument { .. })
    ));
    assert!(engine.get(None, PLAIN, b"k").unwrap().is_none());
    let mut unknown = Batch::new();
    unknown.put(Keyspace(99), b"k", b"v");
    assert!(matches!(
        engine.write(unknown.bytes(), Durability::Disk),
        Err(Error::NoSuchKeyspace { keyspace: 99 })
    ));
    let short = {
        let mut batch = Batch::new();
        batch.put(Keyspace(11), b"short", b"v");
        batch
    };
    assert!(engine.write(short.bytes(), Durability::Disk).is_err(), "no room for a timestamp");
    let large = put(b"k", &vec![0; (16 << 20) + 1]);
    let refused = engine.write(large.bytes(), Durability::Disk);
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
    assert!(engine.get(None, Keyspace(11), b"k").is_err(), "versions are read at a timestamp");
    assert!(engine.set_gc(PLAIN, Span::default(), 1).is_err());
}

#[test]
fn a_cached_read_never_touches_the_disk() {
    let fs = SimFs::new(1);
    let engine = open(&fs, tiny()).unwrap();
    let mut batch = put(b"k", b"v");
    batch.put_at(Keyspace(11), b"row", 7, b"seven");
    engine.write(batch.bytes(), Durability::Disk).unwrap();
    let at = engine.snapshot();
    let hit = engine.get_cached(None, PLAIN, b"k").unwrap();
    assert!(matches!(hit, Cached::Hit(Some(value)) if *value == *b"v"), "from memory");
    engine.flush().unwrap();

    let calls = fs.calls();
    assert!(matches!(engine.get_cached(None, PLAIN, b"k").unwrap(), Cached::Miss));
    assert!(matches!(engine.get_at_cached(&at, Keyspace(11), b"row", 9).unwrap(), Cached::Miss));
    assert!(matches!(engine.newest_cached(&at, Keyspace(11), b"row").unwrap(), Cached::Miss));
    assert!(matches!(engine.get_cached(None, PLAIN, b"absent").unwrap(), Cached::Hit(None)));
    assert_eq!(fs.calls(), calls);

    assert_eq!(engine.get(None, PLAIN, b"k").unwrap().as_deref(), Some(&b"v"[..]));
    assert!(engine.get_at(&at, Keyspace(11), b"row", 9).unwrap().is_some());
    let calls = fs.calls();
    assert!(matches!(engine.get_cached(None, PLAIN, b"k").unwrap(), Cached::Hit(Some(_))));
    let hit = engine.get_at_cached(&at, Keyspace(11), b"row", 9).unwrap();
    assert!(matches!(hit, Cached::Hit(Some((7, value))) if *value == *b"seven"));
    assert_eq!(fs.calls(), calls);
}

#[test]
fn a_slice_outlives_the_flush_and_the_engine() {
    let fs = SimFs::new(1);
    let engine = open(&fs, tiny()).unwrap();
    engine.write(put(b"k", b"old").bytes(), Durability::Queued).unwrap();
    let in_memory = engine.get(None, PLAIN, b"k").unwrap().unwrap();
    engine.flush().unwrap();
    let in_block = engine.get(None, PLAIN, b"k").unwrap().unwrap();
    engine.write(put(b"k", b"new").bytes(), Durability::Queued).unwrap();
    engine.flush().unwrap();
    engine.run_jobs().unwrap();
    drop(engine);
    assert_eq!((&*in_memory, &*in_block), (&b"old"[..], &b"old"[..]));
}

#[test]
fn a_flush_waits_for_the_log_that_its_entries_came_from() {
    let fs = SimFs::new(1);
    let engine = open(&fs, tiny()).unwrap();
    let mut batch = Batch::new();
    batch.put(Keyspace(2), b"k", b"v");
    replicate(&engine, 1, &batch).unwrap();
    assert_eq!((engine.position(GROUP), engine.flushed_position(GROUP)), (1, 0));
    assert!(engine.log().durable() < engine.log().end());
    engine.flush().unwrap();
    assert_eq!(engine.flushed_position(GROUP), 1);
    let after = open(&fs.crash(1, Crash::LoseAll), tiny()).unwrap();
    assert_eq!(after.position(GROUP), 1);
    assert_eq!(after.log().bounds(Stream(GROUP)).last, 1, "tables are not ahead of their log");
}

#[test]
fn entries_are_released_up_to_the_durable_position_and_no_further() {
    let fs = SimFs::new(1);
    let engine = open(&fs, tiny()).unwrap();
    let mut batch = Batch::new();
    batch.put(Keyspace(2), b"k", b"v");
    for index in 1..=3 {
        replicate(&engine, index, &batch).unwrap();
    }
    engine.flush().unwrap();
    for index in 4..=9 {
        replicate(&engine, index, &batch).unwrap();
    }
    assert_eq!(engine.release(Stream(GROUP), GROUP, 9).unwrap(), Some(3));
    assert_eq!(engine.release(Stream(GROUP), GROUP, 9).unwrap(), None);
    engine.log().commit(engine.log().end(), Level::Durable).unwrap();
    let after = open(&fs.crash(1, Crash::LoseAll), tiny()).unwrap();
    assert_eq!(after.log().bounds(Stream(GROUP)).first, 4);
    assert_eq!(after.position(GROUP), 3);
}

#[test]
fn a_restart_replays_little_because_the_memtable_is_frozen_by_log_bytes_too() {
    let fs = SimFs::new(1);
    let mut options = tiny();
    (options.memtable_bytes, options.memtable_log_bytes) = (1 << 30, 100_000);
    let engine = open(&fs, options.clone()).unwrap();
    for i in 0..600u32 {
        engine.write(put(b"one key", &[i as u8; 1_000]).bytes(), Durability::Queued).unwrap();
        if let Some(job) = engine.next_job() {
            job.run().unwrap();
        }
    }
    engine.sync().unwrap();
    assert!(engine.stats().flushes >= 5 && engine.stats().log_bytes < 250_000);
    drop(engine);
    let engine = open(&fs, options).unwrap();
    let replayed = engine.stats().replayed_bytes;
    assert!(replayed > 0 && replayed < 200_000, "{replayed} bytes");
}

#[test]
fn entries_of_sixteen_megabytes_pass_through_the_smallest_memory() {
    let fs = SimFs::new(1);
    let engine = open(&fs, tiny()).unwrap();
    let value = vec![7; 16 << 20];
    let mut batch = Batch::new();
    batch.put(Keyspace(2), b"large", &value);
    replicate(&engine, 1, &batch).unwrap();
    engine.write(put(b"large", &value).bytes(), Durability::Disk).unwrap();
    engine.flush().unwrap();
    engine.run_jobs().unwrap();
    for keyspace in [Keyspace(2), PLAIN] {
        assert_eq!(engine.get(None, keyspace, b"large").unwrap().unwrap().len(), 16 << 20);
    }
}

#[test]
fn a_position_set_to_zero_is_forgotten() {
    let fs = SimFs::new(1);
    let engine = open(&fs, tiny()).unwrap();
    let entries = &[Entry { term: 1, bytes: b"" }];
    let stream = Stream(8);
    let end = engine.log().push(&[Record::Append { stream, first: 1, entries }]).unwrap();
    engine.apply(&[], &[(8, 1)], end).unwrap();
    engine.flush().unwrap();
    assert_eq!(engine.flushed_position(8), 1, "positions alone are worth a flush");
    engine.apply(&[], &[(8, 0)], Lsn(0)).unwrap();
    engine.flush().unwrap();
    drop(engine);
    let engine = open(&fs, tiny()).unwrap();
    assert_eq!((engine.position(8), engine.flushed_position(8)), (0, 0));
}

#[test]
fn a_writer_far_ahead_of_the_work_does_it_itself() {
    let engine = open(&SimFs::new(1), tiny()).unwrap();
    for i in 0..400u32 {
        let key = format!("{:08}", i.wrapping_mul(2_654_435_761));
        engine.write(put(key.as_bytes(), &[i as u8; 200]).bytes(), Durability::Queued).unwrap();
    }
    let stats = engine.stats();
    assert!(stats.stalls > 0 && stats.flushes > 5 && stats.compactions > 0, "{stats:?}");
    assert!(stats.frozen <= tiny().frozen_max && stats.levels[0].0 <= tiny().l0_max + 1);
}

#[test]
fn a_writer_that_has_no_time_leaves_the_work_to_others() {
    let options = EngineOptions { writers_work: false, stall_max: Duration::ZERO, ..tiny() };
    let engine = open(&SimFs::new(1), options).unwrap();
    let mut written = 0..400u32;
    let refused = written.find_map(|i| {
        let key = format!("{:08}", i.wrapping_mul(2_654_435_761));
        engine.write(put(key.as_bytes(), &[i as u8; 200]).bytes(), Durability::Queued).err()
    });
    assert!(matches!(refused, Some(Error::Stalled { .. })), "{refused:?}");
    let stats = engine.stats();
    assert_eq!((stats.flushes, stats.compactions), (0, 0), "{stats:?}");
    while let Some(job) = engine.next_job() {
        job.run().unwrap();
    }
    engine.write(put(b"later", b"v").bytes(), Durability::Queued).unwrap();
}

#[test]
fn writes_after_a_restart_with_nothing_to_replay_survive_the_next_one() {
    let fs = SimFs::new(1);
    for round in 0..5u8 {
        let engine = open(&fs, tiny()).unwrap();
        for before in 0..round {
            let found = engine.get(None, PLAIN, &[before]).unwrap();
            assert_eq!(found.as_deref(), Some(&[before; 30][..]), "round {round}");
        }
        engine.flush().unwrap();
        engine.reclaim().unwrap();
        engine.write(put(&[round], &[round; 30]).bytes(), Durability::Disk).unwrap();
        if round == 3 {
            engine.flush().unwrap();
        }
        engine.reclaim().unwrap();
    }
}

#[test]
fn a_log_that_vanished_is_missed() {
    let fs = SimFs::new(1);
    let engine = open(&fs, tiny()).unwrap();
    engine.write(put(b"k", b"v").bytes(), Durability::Disk).unwrap();
    engine.flush().unwrap();
    drop(engine);
    let log = std::path::Path::new(DIR).join("log");
    for name in fs.list(&log).unwrap() {
        fs.remove(&log.join(name)).unwrap();
    }
    let error = open(&fs, tiny()).err().unwrap();
    assert!(matches!(error, Error::Corruption { .. }), "{error}");
}

#[test]
fn it_runs_on_the_real_file_system() {
    let dir = std::env::temp_dir().join(format!("phantom_lsm_{}", std::process::id()));
    let fs: Arc<dyn Vfs> = Arc::new(RealFs::new(std::env::temp_dir()));
    for round in 0..3u8 {
        let engine = Engine::open(fs.clone(), &dir, tiny()).unwrap();
        for before in 0..round {
            assert!(engine.get(None, PLAIN, &[before]).unwrap().is_some(), "{before} in {round}");
        }
        engine.write(put(&[round], &[round; 3_000]).bytes(), Durability::Disk).unwrap();
        let in_use = Engine::open(fs.clone(), &dir, tiny()).err().unwrap();
        assert!(matches!(in_use, Error::InUse { .. }), "{in_use}");
        if round == 1 {
            engine.flush().unwrap();
            engine.run_jobs().unwrap();
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
