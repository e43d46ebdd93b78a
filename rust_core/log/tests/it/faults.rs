//! Failed calls and rotten bytes: the right error, and nothing acknowledged is lost.

use std::path::PathBuf;

use phantom_base::sqlstate;
use phantom_log::{Entry, Error, Level, Record, Stream};
use phantom_vfs::{Crash, FaultScript, SimFs, Vfs};

use crate::model::{DIR, Run, disk, observe, open};

#[test]
fn any_failed_call_surfaces_and_loses_nothing_acknowledged() {
    let calls = {
        let fs = disk(3);
        let (log, _) = open(&fs).unwrap();
        Run::new().script(&log, 3, 120).unwrap();
        fs.calls()
    };
    let mut failed = 0;
    for at in 3..=calls {
        for action in ["error(EIO)", "error(ENOSPC)", "short(7)"] {
            let context = format!("{action} at call {at}");
            let fs = disk(3);
            fs.set_faults(FaultScript::parse(&format!("nth={} -> {action}", at - 2)).unwrap());
            let mut run = Run::new();
            let outcome = open(&fs).and_then(|(log, _)| run.script(&log, 3, 120));
            assert!(fs.faults_fired()[0] <= 1);
            if let Err(error) = outcome {
                failed += 1;
                assert_ne!(action, "short(7)", "{context}: short calls are repeated, {error}");
                assert_eq!(fs.faults_fired(), [1], "{context}");
                let full = error.sqlstate() == sqlstate::DISK_FULL && action == "error(ENOSPC)";
                let known = [sqlstate::IO_ERROR, sqlstate::STATEMENT_COMPLETION_UNKNOWN];
                assert!(full || known.contains(&error.sqlstate()), "{context}: {error}");
            }
            let image = fs.crash(at, Crash::AnySubset(50));
            let (log, batches) = open(&image).unwrap_or_else(|e| panic!("{context}: {e}"));
            run.check(&observe(&log, 0).unwrap(), &batches, &context);
        }
    }
    assert!(failed > 100, "{failed} faults surfaced");
}

#[test]
fn after_a_failed_sync_no_success_is_reported() {
    let fs = disk(1);
    let (log, _) = open(&fs).unwrap();
    let node = |slot| Record::Node { slot, bytes: b"x" };
    let first = log.push(&[node(1)]).unwrap();
    log.commit(first, Level::Durable).unwrap();
    fs.set_faults(FaultScript::parse("op=sync class=log nth=1 -> error(EIO)").unwrap());
    let end = log.push(&[node(2)]).unwrap();
    log.notify(end, Level::Durable, 7);
    let error = log.commit(end, Level::Durable).unwrap_err();
    assert!(matches!(error, Error::UnknownOutcome { .. }), "{error}");
    let completed = log.take_completed();
    assert!(matches!(&completed[..], [(7, Err(Error::UnknownOutcome { .. }))]), "{completed:?}");
    assert_eq!(log.durable(), first);
    assert!(matches!(log.push(&[node(3)]), Err(Error::Poisoned { .. })));
    assert!(matches!(log.commit(end, Level::Durable), Err(Error::UnknownOutcome { .. })));
    log.notify(end, Level::Durable, 8);
    assert!(matches!(&log.take_completed()[..], [(8, Err(_))]));
}

/// A log of closed segments and an open one that ends in an idle record: ten entries fill one.
fn full(entries: u64) -> (SimFs, Vec<PathBuf>) {
    let fs = disk(2);
    let (log, _) = open(&fs).unwrap();
    for index in 1..=entries {
        let entry = Entry { term: 1, bytes: &[index as u8; 3_000] };
        let end = log
            .push(&[
                Record::Append { stream: Stream(1), first: index, entries: &[entry] },
                Record::Batch { first_seq: index, count: 1, ops: b"op" },
            ])
            .unwrap();
        log.commit(end, Level::Durable).unwrap();
    }
    log.push_idle().unwrap();
    log.commit(log.end(), Level::Durable).unwrap();
    let mut files = fs.list(DIR.as_ref()).unwrap();
    files.sort();
    (fs, files.iter().map(|name| PathBuf::from(DIR).join(name)).collect())
}

#[test]
fn a_flipped_bit_anywhere_is_named_or_harmless_but_never_read() {
    let (fs, files) = full(12);
    assert_eq!(files.len(), 2);
    let (log, batches) = open(&fs.crash(0, Crash::KeepAll)).unwrap();
    let truth = (observe(&log, 0).unwrap(), batches);
    let mut refused = 0;
    for (number, file) in files.iter().enumerate() {
        let len = fs.content(file).unwrap().len();
        for offset in 0..len as u64 {
            let damaged = fs.crash(0, Crash::KeepAll);
            damaged.flip(file, offset, 1 << (offset % 8)).unwrap();
            match open(&damaged) {
                Err(Error::Corruption { file: named, offset: at, .. }) => {
                    assert!(named == *file && at <= offset, "{named:?} {at} for {offset}");
                    refused += 1;
                }
                Err(error) => panic!("{file:?} {offset}: {error}"),
                Ok((log, batches)) => {
                    // Only the last bytes of the last segment prove nothing about themselves.
                    assert!(number == 1 && offset + 60 > len as u64, "{file:?} {offset}");
                    assert_eq!((observe(&log, 0).unwrap(), batches), truth);
                }
            }
        }
    }
    assert!(refused > 30_000, "{refused}");
}

#[test]
fn rot_under_an_open_log_is_found_when_the_entry_is_read() {
    let fs = disk(2);
    let (log, _) = open(&fs).unwrap();
    for index in 1..=5 {
        let entry = Entry { term: 1, bytes: &[index as u8; 3_000] };
        log.push(&[Record::Append { stream: Stream(1), first: index, entries: &[entry] }]).unwrap();
    }
    log.commit(log.end(), Level::Durable).unwrap();
    let file = PathBuf::from(DIR).join("0000000001.log");
    fs.flip(&file, 500, 1).unwrap();
    let error = log.read(Stream(1), 1, 1).unwrap_err();
    assert!(matches!(error, Error::Corruption { .. }), "{error}");
    assert_eq!(error.sqlstate(), sqlstate::DATA_CORRUPTED);
    assert_eq!(log.read(Stream(1), 2, 1).unwrap().list[0].1[..], [2; 3_000]);
}

#[test]
fn a_missing_segment_and_a_foreign_log_are_refused() {
    let (fs, files) = full(30);
    let image = fs.crash(0, Crash::KeepAll);
    image.remove(&files[1]).unwrap();
    assert!(matches!(open(&image), Err(Error::Corruption { .. })));
    let image = fs.crash(0, Crash::KeepAll);
    image.remove(&files[0]).unwrap();
    assert!(open(&image).is_err(), "entries that nobody released are gone");
}
