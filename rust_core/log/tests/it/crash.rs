//! A crash at every change of the disk, under each policy, and again during the recovery.
//!
//! `PHANTOM_CRASHES` sets how many crashes are tried; each prints its seed when it fails.

use phantom_base::{Random, SeededRandom};
use phantom_vfs::{Crash, SimFs};

use crate::model::{Model, Run, disk, observe, open};

const POLICIES: [Crash; 5] = [
    Crash::LoseAll,
    Crash::KeepAll,
    Crash::PrefixOfOps,
    Crash::AnySubset(50),
    Crash::AnySubset(90),
];

fn crashes() -> u64 {
    std::env::var("PHANTOM_CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_500)
}

fn recover(fs: &SimFs, context: &str) -> (Model, Vec<u64>) {
    let (log, batches) = open(fs).unwrap_or_else(|error| panic!("{context}: {error}"));
    let seen = observe(&log, 0).unwrap_or_else(|error| panic!("{context}: {error}"));
    (seen, batches)
}

fn changes_of(seed: u64) -> u64 {
    let fs = disk(seed);
    let (log, _) = open(&fs).unwrap();
    Run::new().script(&log, seed, 120).unwrap();
    fs.changes()
}

#[test]
fn what_survives_any_crash_is_a_prefix_that_holds_all_acknowledged() {
    let mut random = SeededRandom::new(1);
    for case in 0..crashes() {
        let seed = case / 40;
        let at = 1 + random.below(changes_of(seed));
        let policy = POLICIES[random.below(5) as usize];
        let context = format!("seed {seed}, crash at change {at}, {policy:?}, case {case}");

        let fs = disk(seed);
        fs.crash_at_change(at);
        let mut run = Run::new();
        if let Ok((log, _)) = open(&fs) {
            let _ = run.script(&log, seed, 120);
        }
        let killed = random.one_in(4);
        let image = if killed { fs.kill(case) } else { fs.crash(case, policy) };
        let context = if killed { format!("{context}, killed only") } else { context };
        if image
            .content(std::path::Path::new("/log"))
            .is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
        {
            continue; // The crash came before there was a directory.
        }
        let copy = image.kill(case);
        let (seen, batches) = recover(&image, &context);
        run.check(&seen, &batches, &context);
        // What an open has shown is as good as promised: it must not need the page cache.
        let (shown, longer) = recover(&image.crash(case, Crash::LoseAll), &context);
        // A removed segment may come back with batches that were in tables.
        assert!(shown == seen && longer.ends_with(&batches), "{context}: shown, then lost");

        // D9: a crash during the recovery, then the same answer.
        let recovery_changes = image.changes();
        if recovery_changes > 0 {
            let again = copy.kill(case);
            again.crash_at_change(1 + random.below(recovery_changes));
            assert!(open(&again).is_err(), "{context}: the recovery outlived its crash");
            let third = again.crash(case + 1, POLICIES[random.below(5) as usize]);
            let (again, longer) = recover(&third, &context);
            run.check(&again, &longer, &context);
            // What a killed process wrote and no open showed may go with the page cache.
            let same = again == seen && longer.ends_with(&batches);
            assert!(killed || same, "{context}: another answer");
        }

        // The log goes on where it was.
        let (log, _) = open(&image).unwrap();
        let mut on = Run::new();
        on.history = vec![seen];
        on.flushed = batches.last().copied().unwrap_or(0);
        on.history[0].last_batch = on.flushed;
        on.script(&log, seed + 1, 20).unwrap_or_else(|error| panic!("{context}: {error}"));
        drop(log);
        let (seen, batches) = recover(&image.crash(case, Crash::KeepAll), &context);
        on.check(&seen, &batches, &context);
    }
}

#[test]
fn one_seed_is_one_run() {
    let run = || {
        let fs = disk(5);
        let (log, _) = open(&fs).unwrap();
        Run::new().script(&log, 5, 200).unwrap();
        fs.trace_hash()
    };
    assert_eq!(run(), run());
}
