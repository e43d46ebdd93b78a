//! Writers, readers and workers on threads: a batch is seen whole or not at all, and acknowledged
//! writes are there. Nothing here depends on who runs first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use phantom_lsm::{Batch, Direction, Durability, Keyspace, Span};
use phantom_vfs::{Crash, SimFs};

use crate::oracle::{open, tiny};

const PLAIN: Keyspace = Keyspace(10);
const ROUNDS: u64 = 400;

#[test]
fn readers_see_whole_batches_while_workers_flush_and_compact() {
    let fs = SimFs::new(1);
    let engine = Arc::new(open(&fs, tiny()).unwrap());
    let (done, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while engine.log().wait_for_work(Duration::from_millis(10)) {
                while let Some(mut work) = engine.log().work() {
                    let result = work.run();
                    engine.log().done(work, result);
                }
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    match engine.next_job() {
                        Some(job) => job.run().unwrap(),
                        None => {
                            engine.wait_for_job(Duration::from_millis(5));
                        }
                    }
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let before = acknowledged.load(Ordering::Acquire);
                    let at = engine.snapshot();
                    let mut iter =
                        engine.scan(&at, PLAIN, Span::default(), Direction::Forward).unwrap();
                    let mut values = Vec::new();
                    while let Some((_, value)) = iter.next().unwrap() {
                        values.push(value.to_vec());
                    }
                    assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "a torn batch");
                    let seen = values
                        .first()
                        .map_or(0, |v| u64::from_le_bytes(v[..8].try_into().unwrap()));
                    assert!(seen >= before, "{before} was acknowledged, {seen} is seen");
                    let one = engine.get(Some(&at), PLAIN, b"3").unwrap();
                    assert_eq!(one.as_deref(), values.first().map(Vec::as_slice));
                }
            });
        }
        for round in 1..=ROUNDS {
            let mut batch = Batch::new();
            let value = [round.to_le_bytes().as_slice(), &[7; 50]].concat();
            for key in [b"1", b"2", b"3", b"4"] {
                batch.put(PLAIN, key, &value);
            }
            engine.write(batch.bytes(), Durability::Disk).unwrap();
            acknowledged.store(round, Ordering::Release);
        }
        done.store(true, Ordering::Relaxed);
        engine.log().close();
    });
    drop(engine);
    let after = open(&fs.crash(1, Crash::LoseAll), tiny()).unwrap();
    let last = after.get(None, PLAIN, b"1").unwrap().unwrap();
    assert_eq!(last[..8], ROUNDS.to_le_bytes());
}
