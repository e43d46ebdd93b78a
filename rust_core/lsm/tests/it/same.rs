//! The same history under many options gives the same answers; the same seed, the same run.

use phantom_base::{Random, SeededRandom};
use phantom_lsm::{Engine, EngineOptions, Span};
use phantom_vfs::{Crash, SimFs};

use crate::oracle::{GROUP, Oracle, Run, batch, compare, open, reapply, replicate, tiny};
use phantom_lsm::{Durability, Keyspace};

fn option_sets() -> Vec<(&'static str, EngineOptions)> {
    let mut all = vec![("tiny", tiny())];
    let mut add = |name, change: fn(&mut EngineOptions)| {
        let mut options = tiny();
        change(&mut options);
        all.push((name, options));
    };
    add("blocks of one entry", |o| o.block_bytes = 1);
    add("no cache", |o| o.cache_bytes = Some(0));
    add("large blocks, one memtable", |o| {
        (o.block_bytes, o.memtable_bytes) = (16 << 10, 1 << 20);
    });
    add("memtables of one batch", |o| o.memtable_bytes = 1);
    add("frozen by log bytes", |o| (o.memtable_bytes, o.memtable_log_bytes) = (1 << 20, 2_000));
    add("wide levels", |o| (o.l0_compact, o.level_bytes, o.table_bytes) = (4, 200, 300));
    add("defaults but for keyspaces", |o| {
        let keyspaces = o.keyspaces.clone();
        *o = EngineOptions::new(o.database, o.clock.clone());
        o.keyspaces = keyspaces;
        o.disk_reserve = Some(0);
    });
    all
}

/// A history with snapshots held, jobs between, and restarts; everything is compared as it goes.
fn history(options: &EngineOptions, seed: u64) {
    let mut random = SeededRandom::new(seed);
    let fs = SimFs::new(seed);
    let mut engine = open(&fs, options.clone()).unwrap();
    let mut oracle = Oracle::default();
    let mut held = Vec::new();
    for _ in 0..250 {
        match random.below(20) {
            0 => engine.flush().unwrap(),
            1 => engine.run_jobs().unwrap(),
            2 => held.push((engine.snapshot(), oracle.clone())),
            3 if !held.is_empty() => {
                held.swap_remove(random.below(held.len() as u64) as usize);
            }
            4 => compare(&engine, &engine.snapshot(), &oracle, &mut random),
            5 => {
                if let Some((at, oracle)) = held.first() {
                    compare(&engine, at, oracle, &mut random);
                }
            }
            6 if random.one_in(3) => {
                held.clear();
                engine.sync().unwrap();
                drop(engine);
                engine = open(&fs, options.clone()).unwrap();
                reapply(&engine).unwrap();
            }
            n if n % 2 == 0 => {
                let batch = batch(&mut oracle, 0, &mut random);
                oracle.applied += 1;
                replicate(&engine, oracle.applied, &batch).unwrap();
            }
            _ => {
                let batch = batch(&mut oracle, 1, &mut random);
                engine.write(batch.bytes(), Durability::Queued).unwrap();
            }
        }
    }
    compare(&engine, &engine.snapshot(), &oracle, &mut random);
    for (at, oracle) in &held {
        compare(&engine, at, oracle, &mut random);
    }
    assert_eq!(engine.position(GROUP), oracle.applied);
}

#[test]
fn every_set_of_options_answers_as_the_oracle() {
    let seeds = std::env::var("PHANTOM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    for (name, options) in option_sets() {
        for seed in 0..seeds {
            println!("{name}, seed {seed}");
            history(&options, seed);
        }
    }
}

#[test]
fn one_seed_is_one_run() {
    let run = || {
        let fs = SimFs::new(9);
        let engine = open(&fs, tiny()).unwrap();
        Run::new().script(&engine, 9, 300).unwrap();
        fs.trace_hash()
    };
    assert_eq!(run(), run());
}

#[test]
fn collected_versions_are_gone_and_no_read_above_the_timestamp_sees_it() {
    for seed in 0..6 {
        let mut random = SeededRandom::new(seed);
        let fs = SimFs::new(seed);
        let engine = open(&fs, tiny()).unwrap();
        let mut oracle = Oracle::default();
        let write = |engine: &Engine, oracle: &mut Oracle, random: &mut SeededRandom| {
            for _ in 0..150 {
                let batch = batch(oracle, 1, random);
                engine.write(batch.bytes(), Durability::Queued).unwrap();
            }
            engine.flush().unwrap();
            engine.run_jobs().unwrap();
        };
        write(&engine, &mut oracle, &mut random);
        write(&engine, &mut oracle, &mut random);
        let (before, below) = (engine.stats().table_bytes, oracle.clock);
        engine.set_gc(Keyspace(11), Span::default(), below).unwrap();
        assert!(engine.next_job().is_some(), "garbage alone makes a compaction due");
        engine.run_jobs().unwrap();
        let after = engine.stats().table_bytes;
        assert!(after < before * 3 / 4, "seed {seed}: {after} of {before} bytes stay");
        write(&engine, &mut oracle, &mut random);
        // Nothing at or below the timestamp is read but the newest: forget it in the oracle too.
        for versions in oracle.versions[1].values_mut() {
            if let Some(newest) = versions.range(..=below).next_back().map(|(ts, _)| *ts) {
                versions.retain(|ts, value| *ts > newest || (*ts == newest && value.is_some()));
            }
        }
        oracle.versions[1].retain(|_, versions| !versions.is_empty());
        let at = engine.snapshot();
        for ts in [below, below + 3, oracle.clock] {
            for (key, versions) in &oracle.versions[1] {
                let found = engine.get_at(&at, Keyspace(11), key, ts).unwrap();
                let wanted = versions.range(..=ts).next_back();
                let wanted = wanted.and_then(|(ts, v)| Some((*ts, v.as_deref()?)));
                assert_eq!(found.as_ref().map(|(ts, v)| (*ts, &**v)), wanted, "{key:?} at {ts}");
            }
        }
        drop((at, engine));
        open(&fs.crash(0, Crash::KeepAll), tiny()).unwrap();
    }
}
