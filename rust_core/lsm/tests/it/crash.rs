//! A crash at every change of the disk, under each policy, and again during the recovery.
//!
//! `PHANTOM_CRASHES` sets how many crashes are tried; each prints its seed when it fails.

use phantom_base::{Random, SeededRandom};
use phantom_log::Stream;
use phantom_lsm::{Engine, Error};
use phantom_vfs::{Crash, SimFs};

use crate::oracle::{GROUP, Oracle, Run, observe, open, reapply, tiny};

const POLICIES: [Crash; 5] = [
    Crash::LoseAll,
    Crash::KeepAll,
    Crash::PrefixOfOps,
    Crash::AnySubset(50),
    Crash::AnySubset(90),
];

const STEPS: usize = 200;

fn crashes() -> u64 {
    std::env::var("PHANTOM_CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(600)
}

fn vote(engine: &Engine) -> u64 {
    let state = engine.log().state(Stream(GROUP), 0);
    state.map_or(0, |bytes| u64::from_le_bytes(bytes[..].try_into().unwrap()))
}

fn recover(fs: &SimFs) -> Result<(Engine, Oracle, u64), Error> {
    let engine = open(fs, tiny())?;
    reapply(&engine)?;
    let seen = observe(&engine)?;
    let vote = vote(&engine);
    Ok((engine, seen, vote))
}

/// Asserts that what was recovered is a prefix of the writes that holds all acknowledged.
fn check(run: &Run, seen: &Oracle, vote: u64, context: &str) -> usize {
    let found = run.history.iter().enumerate().skip(run.acknowledged).find(|(_, oracle)| {
        (&oracle.plain, &oracle.versions, oracle.applied)
            == (&seen.plain, &seen.versions, seen.applied)
    });
    let votes = &run.votes[run.votes_acknowledged..];
    assert!(votes.contains(&vote), "{context}: vote {vote} is not in {votes:?}");
    let Some((place, _)) = found else {
        let acknowledged = &run.history[run.acknowledged];
        panic!(
            "{context}: not one of {} allowed states; position {}, acknowledged {}",
            run.history.len() - run.acknowledged,
            seen.applied,
            acknowledged.applied,
        );
    };
    place
}

fn changes_of(seed: u64) -> u64 {
    let fs = SimFs::new(seed);
    let engine = open(&fs, tiny()).unwrap();
    Run::new().script(&engine, seed, STEPS).unwrap();
    fs.changes()
}

#[test]
fn what_survives_any_crash_is_a_prefix_that_holds_all_acknowledged() {
    let mut random = SeededRandom::new(1);
    let mut known = (u64::MAX, 0);
    for case in 0..crashes() {
        let seed = case / 30;
        if known.0 != seed {
            known = (seed, changes_of(seed));
        }
        let at = 1 + random.below(known.1);
        let policy = POLICIES[random.below(5) as usize];
        let context = format!("seed {seed}, crash at change {at}, {policy:?}, case {case}");

        let fs = SimFs::new(seed);
        fs.crash_at_change(at);
        let mut run = Run::new();
        if let Ok(engine) = open(&fs, tiny()) {
            let _ = run.script(&engine, seed, STEPS);
        }
        let killed = random.one_in(4);
        let image = if killed { fs.kill(case) } else { fs.crash(case, policy) };
        let context = if killed { format!("{context}, killed only") } else { context };
        let copy = image.kill(case);
        let (engine, seen, found_vote) =
            recover(&image).unwrap_or_else(|error| panic!("{context}: {error}"));
        let place = check(&run, &seen, found_vote, &context);
        let recovery_changes = image.changes();
        // What an open has shown is as good as promised: it must not need the page cache.
        let (_, shown, vote_shown) = recover(&image.crash(case, Crash::LoseAll)).unwrap();
        assert!(shown == seen && vote_shown == found_vote, "{context}: shown, then lost");

        // D9: a crash during the recovery, then the same answer. What was written when a process was
        // killed and shown by no open yet may go with the page cache.
        copy.crash_at_change(1 + random.below(recovery_changes));
        let _ = recover(&copy);
        let third = copy.crash(case + 1, POLICIES[random.below(5) as usize]);
        let (_, again, vote_again) =
            recover(&third).unwrap_or_else(|error| panic!("{context}, recovery: {error}"));
        check(&run, &again, vote_again, &context);
        let same = again == seen && vote_again == found_vote;
        assert!(killed || same, "{context}: another answer");

        // It goes on from there, and a plain restart finds everything.
        let mut on = Run::from(run.history[place].clone(), found_vote);
        on.script(&engine, seed + 1, 30).unwrap_or_else(|error| panic!("{context}: {error}"));
        engine.sync().unwrap();
        (on.acknowledged, on.votes_acknowledged) = (on.history.len() - 1, on.votes.len() - 1);
        drop(engine);
        let (_, seen, found_vote) = recover(&image.crash(case, Crash::LoseAll)).unwrap();
        check(&on, &seen, found_vote, &context);
    }
}
