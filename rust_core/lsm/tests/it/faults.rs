//! Each call fails in turn: the right error surfaces, and nothing acknowledged is lost.

use phantom_base::sqlstate;
use phantom_lsm::{Durability, Error, Keyspace};
use phantom_vfs::{Crash, FaultScript, SimFs, Vfs};

use crate::oracle::{Run, observe, open, reapply, tiny};

fn calls() -> u64 {
    let fs = SimFs::new(3);
    let engine = open(&fs, tiny()).unwrap();
    Run::new().script(&engine, 3, 120).unwrap();
    fs.calls()
}

#[test]
fn any_failed_call_surfaces_and_loses_nothing_acknowledged() {
    let step = if std::env::var("PHANTOM_CRASHES").is_ok() { 1 } else { 7 };
    let mut surfaced = 0;
    for at in (1..=calls()).step_by(step) {
        for action in ["error(EIO)", "error(ENOSPC)", "short(3)"] {
            let context = format!("{action} at call {at}");
            let fs = SimFs::new(3);
            fs.set_faults(FaultScript::parse(&format!("nth={at} -> {action}")).unwrap());
            let mut run = Run::new();
            let outcome = open(&fs, tiny()).and_then(|engine| run.script(&engine, 3, 120));
            if let Err(error) = &outcome {
                surfaced += 1;
                assert_ne!(action, "short(3)", "{context}: short calls are repeated: {error}");
                let code = error.sqlstate();
                let allowed = [
                    sqlstate::IO_ERROR,
                    sqlstate::STATEMENT_COMPLETION_UNKNOWN,
                    sqlstate::DISK_FULL,
                ];
                assert!(allowed.contains(&code), "{context}: {error}");
            }
            let image = fs.crash(at, Crash::AnySubset(50));
            let engine = open(&image, tiny()).unwrap_or_else(|e| panic!("{context}: {e}"));
            reapply(&engine).unwrap();
            let seen = observe(&engine).unwrap();
            let fits = run.history[run.acknowledged..].iter().any(|oracle| {
                (&oracle.plain, &oracle.versions, oracle.applied)
                    == (&seen.plain, &seen.versions, seen.applied)
            });
            assert!(fits, "{context}: lost or made up; {outcome:?}");
        }
    }
    assert!(surfaced > 40, "{surfaced} faults surfaced");
}

#[test]
fn a_failed_flush_undoes_itself_and_succeeds_when_tried_again() {
    let fs = SimFs::new(1);
    let engine = open(&fs, tiny()).unwrap();
    let mut batch = phantom_lsm::Batch::new();
    batch.put(Keyspace(10), b"key", b"value");
    engine.write(batch.bytes(), Durability::Disk).unwrap();
    fs.set_faults(FaultScript::parse("op=sync class=table nth=1 -> error(EIO)").unwrap());
    assert!(matches!(engine.flush(), Err(Error::Io { .. })));
    assert_eq!((fs.faults_fired(), engine.stats().frozen), (vec![1], 1));
    engine.flush().unwrap();
    assert_eq!((engine.stats().frozen, engine.stats().flushes), (0, 1));
    assert_eq!(engine.get(None, Keyspace(10), b"key").unwrap().as_deref(), Some(&b"value"[..]));
}

#[test]
fn a_failed_edit_ends_all_writing() {
    let fs = SimFs::new(1);
    let engine = open(&fs, tiny()).unwrap();
    let mut batch = phantom_lsm::Batch::new();
    batch.put(Keyspace(10), b"key", b"value");
    engine.write(batch.bytes(), Durability::Disk).unwrap();
    fs.set_faults(FaultScript::parse("op=sync class=manifest nth=1 -> error(EIO)").unwrap());
    assert!(matches!(engine.flush(), Err(Error::Poisoned { .. })));
    let refused = engine.write(batch.bytes(), Durability::Disk);
    assert!(matches!(refused, Err(Error::Poisoned { .. })));
    assert!(engine.stats().poisoned && engine.next_job().is_none());
    assert!(engine.get(None, Keyspace(10), b"key").unwrap().is_some(), "reads go on");
    drop(engine);
    let engine = open(&fs.crash(1, Crash::LoseAll), tiny()).unwrap();
    assert!(engine.get(None, Keyspace(10), b"key").unwrap().is_some());
}

#[test]
fn a_nearly_full_disk_refuses_writes_and_takes_them_again_when_there_is_room() {
    let fs = SimFs::new(1);
    let mut options = tiny();
    options.disk_reserve = Some(1 << 20);
    let engine = open(&fs, options).unwrap();
    let mut batch = phantom_lsm::Batch::new();
    batch.put(Keyspace(10), b"key", b"value");
    fs.set_budget(1 << 19);
    let refused = engine.write(batch.bytes(), Durability::Disk).unwrap_err();
    assert_eq!(refused.sqlstate(), sqlstate::DISK_FULL);
    assert!(engine.stats().read_only && engine.get(None, Keyspace(10), b"key").unwrap().is_none());
    fs.set_budget(1 << 30);
    engine.write(batch.bytes(), Durability::Disk).unwrap();
    assert!(!engine.stats().read_only);
}

#[test]
fn a_compaction_that_could_use_up_the_reserve_waits_for_room() {
    let fs = SimFs::new(1);
    let mut options = tiny();
    options.disk_reserve = Some(1 << 20);
    let compact_at = options.l0_compact;
    let engine = open(&fs, options).unwrap();
    for n in 0..compact_at {
        let mut batch = phantom_lsm::Batch::new();
        batch.put(Keyspace(10), b"key", &[n as u8; 1_000]);
        engine.write(batch.bytes(), Durability::Disk).unwrap();
        engine.flush().unwrap();
    }
    let used = fs.space().unwrap().total - fs.space().unwrap().free;
    fs.set_budget(used + (1 << 18) + 100);
    let refused = engine.next_job().expect("a compaction").run().unwrap_err();
    assert!(refused.is_disk_full() && refused.sqlstate() == sqlstate::DISK_FULL, "{refused}");
    assert_eq!(engine.stats().compactions, 0);
    fs.set_budget(used + (1 << 20));
    engine.run_jobs().unwrap();
    assert_eq!(engine.stats().compactions, 1);
    let kept = engine.get(None, Keyspace(10), b"key").unwrap();
    assert_eq!(kept.as_deref(), Some(&[compact_at as u8 - 1; 1_000][..]));
}
