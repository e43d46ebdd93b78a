//! Every byte of every file of a small database is flipped: damage is named, never read.

use std::path::{Path, PathBuf};

use phantom_log::Stream;
use phantom_lsm::{Error, Keyspace};
use phantom_vfs::{Crash, SimFs, Vfs};

use crate::oracle::{DIR, GROUP, Run, observe, open, reapply, tiny};

fn files(fs: &SimFs) -> Vec<PathBuf> {
    let dir = Path::new(DIR);
    let mut all = Vec::new();
    for dir in [dir.to_owned(), dir.join("log"), dir.join("tables")] {
        let names = fs.list(&dir).unwrap();
        all.extend(names.iter().map(|name| dir.join(name)).filter(|p| fs.content(p).is_ok()));
    }
    all.sort();
    all
}

fn named(error: &Error) -> Option<&Path> {
    match error {
        Error::Corruption { file, .. }
        | Error::Log(phantom_log::Error::Corruption { file, .. }) => Some(file),
        _ => None,
    }
}

#[test]
fn a_flipped_bit_anywhere_is_named_or_harmless_but_never_read() {
    let fs = SimFs::new(5);
    let engine = open(&fs, tiny()).unwrap();
    Run::new().script(&engine, 5, 50).unwrap();
    engine.sync().unwrap();
    let truth = observe(&engine).unwrap();
    let vote = engine.log().state(Stream(GROUP), 0);
    drop(engine);
    let (mut refused, mut harmless) = (0, 0);
    for file in files(&fs) {
        let len = fs.content(&file).unwrap().len() as u64;
        for offset in 0..len {
            let damaged = fs.crash(0, Crash::KeepAll);
            damaged.flip(&file, offset, 1 << (offset % 8)).unwrap();
            let answer = open(&damaged, tiny()).and_then(|engine| {
                reapply(&engine)?;
                let seen = observe(&engine)?;
                Ok((seen, engine.log().state(Stream(GROUP), 0)))
            });
            match answer {
                Err(error) => {
                    let name = named(&error).unwrap_or_else(|| panic!("{file:?}: {error}"));
                    assert!(name == file || file.ends_with("CURRENT"), "{name:?} for {file:?}");
                    refused += 1;
                }
                Ok((seen, found)) => {
                    harmless += 1;
                    let same = (&seen.plain, &seen.versions, seen.applied)
                        == (&truth.plain, &truth.versions, truth.applied);
                    assert!(same && found == vote, "{file:?} byte {offset}: another answer");
                }
            }
        }
    }
    // The marks behind the last edit and the last group protect what is before them, not themselves.
    assert!(refused > 1_000 && harmless < 150, "{refused} refused, {harmless} harmless");
}

#[test]
fn a_missing_or_swapped_file_is_named() {
    let fs = SimFs::new(5);
    let engine = open(&fs, tiny()).unwrap();
    Run::new().script(&engine, 5, 150).unwrap();
    engine.flush().unwrap();
    engine.sync().unwrap();
    drop(engine);
    let tables: Vec<_> =
        files(&fs).into_iter().filter(|f| f.extension().is_some_and(|e| e == "tbl")).collect();
    assert!(tables.len() > 1, "{tables:?}");
    let image = fs.crash(0, Crash::KeepAll);
    image.remove(&tables[0]).unwrap();
    let error = open(&image, tiny()).err().unwrap();
    assert_eq!(named(&error), Some(tables[0].as_path()));
    let image = fs.crash(0, Crash::KeepAll);
    image.rename(&tables[0], &tables[1]).unwrap();
    assert!(named(&open(&image, tiny()).err().unwrap()).is_some());
    let image = fs.crash(0, Crash::KeepAll);
    image.remove(&Path::new(DIR).join("CURRENT")).unwrap();
    assert!(named(&open(&image, tiny()).err().unwrap()).is_some());
}

#[test]
fn a_damaged_block_ends_its_reads_and_no_others_and_is_never_compacted_away() {
    let fs = SimFs::new(5);
    let mut options = tiny();
    options.cache_bytes = Some(0);
    let engine = open(&fs, options).unwrap();
    let mut batch = phantom_lsm::Batch::new();
    for i in 0..200u32 {
        batch.put(Keyspace(10), format!("key{i:05}").as_bytes(), &i.to_le_bytes());
    }
    engine.write(batch.bytes(), phantom_lsm::Durability::Disk).unwrap();
    engine.flush().unwrap();
    let table = files(&fs).into_iter().find(|f| f.extension().is_some_and(|e| e == "tbl")).unwrap();
    fs.flip(&table, 20, 1).unwrap();
    let error = engine.get(None, Keyspace(10), b"key00000").unwrap_err();
    assert_eq!(named(&error), Some(table.as_path()));
    assert!(engine.get(None, Keyspace(10), b"key00199").unwrap().is_some());
    batch.clear();
    batch.put(Keyspace(10), b"key00100", b"new");
    engine.write(batch.bytes(), phantom_lsm::Durability::Disk).unwrap();
    engine.flush().unwrap();
    assert!(engine.run_jobs().is_err());
    assert!(engine.next_job().is_none(), "a damaged table is no input");
    assert!(fs.content(&table).is_ok());
}
