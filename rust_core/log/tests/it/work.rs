//! Group commit: who is told what, when.

use std::path::PathBuf;

use phantom_base::Lsn;
use phantom_log::{Entry, Error, Level, Log, Record, Stream};
use phantom_vfs::{Crash, Vfs};

use crate::model::{DIR, disk, observe, open};

fn step(log: &Log) -> Option<bool> {
    let mut work = log.work()?;
    let (is_sync, result) = (work.is_sync(), work.run());
    log.done(work, result);
    Some(is_sync)
}

#[test]
fn a_ticket_is_answered_after_its_sync_and_one_sync_answers_all_that_queued() {
    let fs = disk(1);
    let (log, _) = open(&fs).unwrap();
    let mut ends = Vec::new();
    for slot in 0..3 {
        let end = log.push(&[Record::Node { slot, bytes: b"v" }]).unwrap();
        log.notify(end, Level::Durable, slot);
        log.notify(end, Level::Written, 10 + slot);
        ends.push(end);
    }
    assert_eq!(step(&log), Some(false), "the file is made");
    assert_eq!(step(&log), Some(false), "one write");
    assert_eq!(log.take_completed(), [(10, Ok(())), (11, Ok(())), (12, Ok(()))]);
    assert!(log.durable() < ends[0], "nothing is durable before the sync");
    assert_eq!(log.written(), ends[2]);

    let mut sync = log.work().unwrap();
    assert!(sync.is_sync() && log.work().is_none(), "one step at a time");
    let late = log.push(&[Record::Node { slot: 5, bytes: b"v" }]).unwrap();
    log.notify(late, Level::Durable, 5);
    let result = sync.run();
    log.done(sync, result);
    assert_eq!(log.take_completed(), [(0, Ok(())), (1, Ok(())), (2, Ok(()))]);
    assert_eq!(log.durable(), ends[2]);
    while step(&log).is_some() {}
    assert_eq!(log.take_completed(), [(5, Ok(()))]);
    log.notify(late, Level::Durable, 6);
    assert_eq!(log.take_completed(), [(6, Ok(()))], "what is durable is answered at once");
}

#[test]
fn what_was_answered_survives_the_worst_crash() {
    let fs = disk(1);
    let (log, _) = open(&fs).unwrap();
    for slot in 0..40 {
        let end = log.push(&[Record::Node { slot: slot % 3, bytes: &[slot as u8; 20] }]).unwrap();
        log.notify(end, Level::Durable, slot);
        while log.take_completed().is_empty() {
            step(&log).expect("a ticket is out");
        }
        let (after, _) = open(&fs.crash(slot, Crash::LoseAll)).unwrap();
        assert_eq!(after.node_state(slot % 3).as_deref(), Some(&[slot as u8; 20][..]));
    }
}

#[test]
fn batches_alone_ask_for_no_sync() {
    let fs = disk(1);
    let (log, _) = open(&fs).unwrap();
    let end = log.push(&[Record::Batch { first_seq: 1, count: 1, ops: b"op" }]).unwrap();
    while step(&log).is_some() {}
    assert!(log.written() == end && log.durable() < end);
    assert_eq!(log.pending_age(5), 0, "nobody waits for it");
}

#[test]
fn entries_of_twenty_megabytes_get_a_segment_of_their_own() {
    let fs = disk(1);
    let (log, _) = open(&fs).unwrap();
    let large = vec![7; 20 << 20];
    for (index, bytes) in [(1, &large[..100]), (2, &large[..]), (3, &large[..100])] {
        let entries = &[Entry { term: 1, bytes }];
        log.push(&[Record::Append { stream: Stream(1), first: index, entries }]).unwrap();
    }
    log.commit(log.end(), Level::Durable).unwrap();
    assert_eq!(fs.list(DIR.as_ref()).unwrap().len(), 2);
    let (after, _) = open(&fs.crash(1, Crash::LoseAll)).unwrap();
    let read = after.read(Stream(1), 1, usize::MAX).unwrap();
    assert_eq!(read.list.iter().map(|e| e.1.len()).collect::<Vec<_>>(), [100, 20 << 20, 100]);
    let too_large = vec![0; 65 << 20];
    let refused = after.push(&[Record::Batch { first_seq: 1, count: 1, ops: &too_large }]);
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
}

#[test]
fn released_entries_free_their_segments_and_slots_move_to_the_head() {
    let fs = disk(1);
    let (log, _) = open(&fs).unwrap();
    log.push(&[
        Record::State { stream: Stream(1), slot: 0, bytes: b"vote" },
        Record::Node { slot: 1, bytes: b"epoch" },
    ])
    .unwrap();
    for index in 1..=40 {
        let entries = &[Entry { term: 2, bytes: &[1; 3_000] }];
        log.push(&[Record::Append { stream: Stream(1), first: index, entries }]).unwrap();
    }
    log.commit(log.end(), Level::Durable).unwrap();
    let held = log.reclaim(Lsn(u64::MAX)).unwrap();
    assert_eq!((held.freed_bytes, held.holders), (0, vec![Stream(1)]));

    log.push(&[Record::Release { stream: Stream(1), index: 35, term: 2 }]).unwrap();
    let busy = log.reclaim(Lsn(u64::MAX)).unwrap();
    assert_eq!((busy.freed_bytes, busy.moved), (0, 2), "the release is not durable yet");
    log.commit(log.end(), Level::Durable).unwrap();
    let freed = log.reclaim(Lsn(u64::MAX)).unwrap();
    assert!(freed.freed_bytes > 90_000, "{freed:?}");
    assert!(log.bytes() < 60_000);

    let before = observe(&log, 0).unwrap();
    let (after, _) = open(&fs.crash(1, Crash::LoseAll)).unwrap();
    assert_eq!(observe(&after, 0).unwrap(), before);
    assert_eq!(after.state(Stream(1), 0).as_deref(), Some(&b"vote"[..]));
    assert_eq!(after.term_at(Stream(1), 35), Some(2));
    assert!(matches!(after.read(Stream(1), 35, 1), Err(Error::NotHeld { .. })));
    assert!(fs.content(&PathBuf::from(DIR).join("0000000001.log")).is_err());
}

#[test]
fn addresses_go_on_after_everything_was_reclaimed() {
    let fs = disk(1);
    let (mut end, large) = (Lsn(0), vec![1; 40_000]);
    for round in 0..4 {
        let (log, _) = open(&fs).unwrap();
        assert!(log.end() >= end, "round {round}: {} after {end}", log.end());
        log.reclaim(Lsn(u64::MAX)).unwrap();
        end = log.push(&[Record::Batch { first_seq: 1, count: 1, ops: &large }]).unwrap();
        // The next segment is planned and not made: what is before it must stay.
        log.commit(end, Level::Durable).unwrap();
        log.push(&[Record::Batch { first_seq: 2, count: 1, ops: &large }]).unwrap();
        log.reclaim(Lsn(u64::MAX)).unwrap();
        assert!(!fs.crash(1, Crash::LoseAll).list(DIR.as_ref()).unwrap().is_empty());
        log.commit(log.end(), Level::Durable).unwrap();
        end = log.end();
        log.reclaim(Lsn(u64::MAX)).unwrap();
        assert!(log.bytes() < 50_000);
    }
}
