//! Bytes of former releases, and of this one: they must open for ever.
//!
//! `tests/upgrade/<release>/` holds what a release wrote, never changed afterwards: the directory of
//! a node that was stopped and of one that was killed, and frames between nodes. Here a node opens
//! copies of them and is asked; what log, manifest and tables hold is compared line by line with
//! what that release found there itself (`*.txt`). `make` writes the bytes of the release at hand,
//! from fixed input, to the last bit:
//!
//! ```text
//! python tests/upgrade/make.py
//! ```

mod contents;
mod frames;
mod make;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use phantom_base::NodeId;
use phantom_vfs::{Crash, FileClass, OpenMode, RealFs, SimFs, Vfs, read_exact_at, write_all_at};

use crate::cluster::Cluster;
use crate::cluster::DIR;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/upgrade");

/// Both directories of a release: as a stopped node left it, and a killed one.
const NODES: [&str; 2] = ["stopped", "killed"];
/// A node's directory, and those in it.
const PARTS: [&str; 3] = ["", "log", "tables"];

/// The machine's own disk, where the fixtures lie.
fn disk() -> RealFs {
    RealFs::new(ROOT)
}

/// What is in a directory, in order; nothing if it is a file.
fn list(dir: &Path) -> Vec<PathBuf> {
    let names = disk().list(dir).unwrap_or_default();
    let mut paths: Vec<_> = names.into_iter().map(|name| dir.join(name)).collect();
    paths.sort();
    paths
}

/// The folder of every release.
fn releases() -> Vec<PathBuf> {
    let mut releases = list(Path::new(ROOT));
    releases.retain(|path| !list(&path.join(NODES[0])).is_empty());
    assert!(!releases.is_empty(), "no release in {ROOT}");
    releases
}

fn read(path: &Path) -> Vec<u8> {
    let read = || {
        let file = disk().open(path, OpenMode::Read, FileClass::Table)?;
        let mut bytes = vec![0; file.len()? as usize];
        read_exact_at(&*file, &mut bytes, 0)?;
        Ok::<_, std::io::Error>(bytes)
    };
    read().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A simulated disk with a copy of a node's directory.
fn load(from: &Path) -> SimFs {
    let fs = SimFs::new(1);
    for part in PARTS {
        let (from, to) = (from.join(part), Path::new(DIR).join(part));
        fs.make_dir(&to).unwrap();
        for path in list(&from).iter().filter(|path| path.is_file()) {
            let file = fs.create(&to.join(path.file_name().unwrap()), FileClass::Table).unwrap();
            write_all_at(&*file, &read(path), 0).unwrap();
        }
    }
    // All of it is durable, as on a disk that has been lying around.
    fs.crash(0, Crash::KeepAll)
}

#[test]
fn log_manifest_and_tables_of_every_release_hold_what_they_held_then() {
    for release in releases() {
        for node in NODES {
            let fs: Arc<dyn Vfs> = Arc::new(load(&release.join(node)));
            let told = String::from_utf8(read(&release.join(format!("{node}.txt")))).unwrap();
            for (found, told) in contents::of(&fs, Path::new(DIR)).lines().zip(told.lines()) {
                assert_eq!(found, told, "{} {node}", release.display());
            }
            assert_eq!(contents::of(&fs, Path::new(DIR)), told, "{} {node}", release.display());
        }
    }
}

#[test]
fn nodes_of_every_release_open_and_answer_every_type_and_write_on() {
    for release in releases() {
        for (node, rows) in NODES.iter().zip([make::rows_of_stopped(), make::rows_of_killed()]) {
            let mut cluster = Cluster::on_disks(5, vec![(NodeId(1), load(&release.join(node)))]);
            cluster.open(0).unwrap();
            let answer = cluster.ask(0, "SELECT * FROM types ORDER BY k");
            assert_eq!((answer.error, answer.rows), (None, rows), "{} {node}", release.display());
            let answer = cluster.ask(0, "SELECT count(*), sum(length(v)) FROM wide");
            assert_eq!(answer.rows, make::totals_of_wide());
            let answer = cluster.ask(0, "INSERT INTO wide VALUES (-1, 'new')");
            assert_eq!((answer.error, answer.tag.as_str()), (None, "INSERT 0 1"));
            cluster.stop(0).unwrap();
            cluster.open(0).unwrap();
            let answer = cluster.ask(0, "SELECT v FROM wide WHERE k = -1");
            assert_eq!(answer.rows, [[Some("new".to_owned())]]);
        }
    }
}

#[test]
fn frames_of_every_release_say_what_they_said_then() {
    for release in releases() {
        let bytes = read(&release.join("frames.bin"));
        assert_eq!(frames::decode(&bytes), frames::meant(), "{}", release.display());
    }
}

/// It fails once a layout changes. Then what speaks to the former release must still write this
/// one: the test is bound to the layout's version, and another is written for the new one.
#[test]
fn frames_are_written_to_the_bit_as_in_release_0_1() {
    let bytes = read(&Path::new(ROOT).join("0.1/frames.bin"));
    assert!(frames::encode() == bytes, "frames are written otherwise than in release 0.1");
}
