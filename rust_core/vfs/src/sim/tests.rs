//! Claims about what survives a crash of the simulated disk.

use super::*;
use crate::{read_up_to, write_all_at};

fn file(fs: &SimFs, path: &str) -> File {
    fs.create(Path::new(path), FileClass::Log).unwrap()
}

fn content(fs: &SimFs, path: &str) -> Option<Vec<u8>> {
    fs.content(Path::new(path)).ok()
}

#[test]
fn a_synced_file_without_a_synced_name_is_lost() {
    let fs = SimFs::new(1);
    let a = file(&fs, "/a");
    a.write_at(b"abc", 0).unwrap();
    a.sync_data().unwrap();
    assert_eq!(content(&fs.crash(1, Crash::LoseAll), "/a"), None);
    fs.sync_dir(Path::new("/")).unwrap();
    assert_eq!(content(&fs.crash(1, Crash::LoseAll), "/a").unwrap(), b"abc");
}

#[test]
fn what_was_synced_survives_every_policy_and_seed() {
    let fs = SimFs::new(1);
    let a = file(&fs, "/a");
    write_all_at(&*a, &[7; 3000], 0).unwrap();
    a.sync_data().unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    write_all_at(&*a, &[8; 3000], 2048).unwrap();
    for seed in 0..200 {
        for policy in [Crash::LoseAll, Crash::KeepAll, Crash::PrefixOfOps, Crash::AnySubset(50)] {
            let after = content(&fs.crash(seed, policy), "/a").unwrap();
            assert!(after.len() >= 3000 && after[..2048].iter().all(|b| *b == 7), "{seed}");
            let unit = &after[2048..2560];
            assert!(unit.iter().all(|b| *b == unit[0]), "a sector tore: {policy:?} {seed}");
        }
    }
}

#[test]
fn a_crash_may_keep_any_mix_of_sectors() {
    let fs = SimFs::new(1);
    let a = file(&fs, "/a");
    fs.sync_dir(Path::new("/")).unwrap();
    write_all_at(&*a, &[8; 1024], 0).unwrap();
    let mut seen = Set::new();
    for seed in 0..200 {
        let after = content(&fs.crash(seed, Crash::AnySubset(50)), "/a").unwrap();
        seen.insert((after.len(), after.first() == Some(&8), after.get(512) == Some(&8)));
    }
    for wanted in [(0, false, false), (1024, false, true), (1024, true, false), (1024, true, true)]
    {
        assert!(seen.contains(&wanted), "{wanted:?} not in {seen:?}");
    }
}

#[test]
fn a_rename_leaves_the_old_or_the_new_content_under_the_name() {
    let fs = SimFs::new(1);
    for (name, bytes) in [("/a", b"old"), ("/b", b"new")] {
        let f = file(&fs, name);
        f.write_at(bytes, 0).unwrap();
        f.sync_data().unwrap();
    }
    fs.sync_dir(Path::new("/")).unwrap();
    fs.rename(Path::new("/b"), Path::new("/a")).unwrap();
    let mut seen = Set::new();
    for seed in 0..50 {
        seen.insert(content(&fs.crash(seed, Crash::AnySubset(50)), "/a").unwrap());
    }
    assert_eq!(seen, Set::from([b"old".to_vec(), b"new".to_vec()]));
}

#[test]
fn after_a_failed_sync_the_pages_read_well_and_are_gone_after_the_crash() {
    let fs = SimFs::new(1);
    let a = file(&fs, "/a");
    fs.sync_dir(Path::new("/")).unwrap();
    a.write_at(b"abc", 0).unwrap();
    fs.set_faults(FaultScript::parse("op=sync nth=1 -> error(EIO)").unwrap());
    assert!(a.sync_data().is_err());
    a.sync_data().unwrap();
    assert_eq!(fs.faults_fired(), [1]);
    let mut buffer = [0; 3];
    assert_eq!(read_up_to(&*a, &mut buffer, 0).unwrap(), 3);
    assert_eq!(&buffer, b"abc");
    assert_eq!(content(&fs.crash(1, Crash::KeepAll), "/a").unwrap(), b"");
}

#[test]
fn a_full_disk_takes_what_fits_and_then_refuses() {
    let fs = SimFs::new(1);
    fs.set_budget(10);
    let a = file(&fs, "/a");
    assert_eq!(a.write_at(&[1; 8], 0).unwrap(), 8);
    assert_eq!(a.write_at(&[1; 8], 8).unwrap(), 2);
    assert_eq!(a.write_at(&[1; 8], 10).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(a.write_at(&[2; 8], 0).unwrap(), 8, "overwriting needs no room");
    fs.remove(Path::new("/a")).unwrap();
    assert_eq!(fs.space().unwrap().free, 0, "an open file keeps its room");
    drop(a);
    assert_eq!(fs.space().unwrap(), Space { free: 10, total: 10 });
}

#[test]
fn a_stopped_machine_answers_nothing_and_the_lock_dies_with_it() {
    let fs = SimFs::new(1);
    let lock = fs.lock(Path::new("/LOCK")).unwrap();
    assert_eq!(fs.lock(Path::new("/LOCK")).err().unwrap().kind(), io::ErrorKind::WouldBlock);
    let a = file(&fs, "/a");
    fs.crash_at_change(fs.changes() + 1);
    assert!(a.write_at(b"abc", 0).is_err());
    assert!(fs.is_crashed() && a.len().is_err());
    assert!(fs.crash(1, Crash::KeepAll).lock(Path::new("/LOCK")).is_ok());
    drop(lock);
}

#[test]
fn a_killed_process_leaves_what_it_wrote_and_only_a_power_cut_takes_it() {
    let fs = SimFs::new(1);
    let a = file(&fs, "/a");
    fs.sync_dir(Path::new("/")).unwrap();
    a.write_at(b"abc", 0).unwrap();
    let lock = fs.lock(Path::new("/LOCK")).unwrap();
    let next = fs.kill(2);
    assert_eq!(content(&next, "/a").unwrap(), b"abc");
    assert!(next.lock(Path::new("/LOCK")).is_ok());
    assert_eq!(content(&next.crash(1, Crash::LoseAll), "/a").unwrap(), b"");
    drop(lock);
}

#[test]
fn equal_calls_have_equal_hashes_and_one_byte_makes_them_differ() {
    let run = |byte: u8| {
        let fs = SimFs::new(3);
        file(&fs, "/a").write_at(&[1, 2, byte], 0).unwrap();
        fs.list(Path::new("/")).unwrap();
        fs.trace_hash()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
