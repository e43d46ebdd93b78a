//! Makes the fixture of the release at hand, from fixed input: a node on a simulated disk and clock
//! is asked to write, and what its disk holds then is copied out.

use std::path::Path;
use std::sync::Arc;

use phantom_base::{GroupId, Map, Random, SeededRandom};
use phantom_node::claim::claim;
use phantom_types::TypeId;
use phantom_vfs::{FileClass, SimFs, Vfs, write_all_at};

use super::{NODES, PARTS, contents, disk, frames};
use crate::cluster::Cluster;
use crate::cluster::{DIR, MS};
use crate::statements::control;

/// The environment variable that names a folder if the fixture is to be written.
const TARGET: &str = "PHANTOM_UPGRADE_OUT";
const SEED: u64 = 1;
const WIDE_ROWS: u32 = 60;
const NODE_ROW: &[u8] = b"\x85\x01\x62n1\x6e127.0.0.1:7001\x6e127.0.0.1:7101\x6e127.0.0.1:7201";

const TYPES: [(&str, TypeId, i32); 10] = [
    ("k", TypeId::INT4, -1),
    ("b", TypeId::BOOL, -1),
    ("s", TypeId::INT2, -1),
    ("l", TypeId::INT8, -1),
    ("f", TypeId::FLOAT8, -1),
    ("n", TypeId::NUMERIC, -1),
    ("t", TypeId::TEXT, -1),
    ("c", TypeId::VARCHAR, 24),
    ("d", TypeId::DATE, -1),
    ("z", TypeId::TIMESTAMPTZ, -1),
];
const NULL: &str = "NULL";
const ROWS: [[&str; 10]; 6] = [
    [
        "1",
        "t",
        "-32768",
        "-9223372036854775808",
        "-1.5",
        "-12345.6789",
        "",
        "twenty characters ok",
        "2000-01-01",
        "2000-01-01 00:00:00+00",
    ],
    [
        "2",
        "f",
        "32767",
        "9223372036854775807",
        "1e+300",
        "0.000000000000000000001",
        "näive Größe 数据 🙂",
        "c",
        "1970-01-01",
        "1999-12-31 23:59:59.999999+00",
    ],
    ["3", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL],
    ["4", "t", "0", "0", "NaN", "NaN", "before", "before", "infinity", "-infinity"],
    ["5", "f", "1", "2", "3", "4", "deleted", "deleted", "2020-02-29", "2020-02-29 12:00:00+00"],
    [
        "6",
        "f",
        "6",
        "6",
        "0.1",
        "99999999999999999999.5",
        "only in the log",
        "six",
        "5874897-12-31",
        "294276-12-31 23:59:59.999999+00",
    ],
];

type Rows = Vec<Vec<Option<String>>>;

fn shown(row: &[&str]) -> Vec<Option<String>> {
    row.iter().map(|value| (*value != NULL).then(|| (*value).to_owned())).collect()
}

/// What `types` holds in the end: row 4 was changed, row 5 removed.
pub fn rows_of_stopped() -> Rows {
    let mut rows: Rows = ROWS[..4].iter().map(|row| shown(row)).collect();
    rows[3][6] = Some("after".to_owned());
    rows
}

/// The same, and a row that was acknowledged just before the kill.
pub fn rows_of_killed() -> Rows {
    let mut rows = rows_of_stopped();
    rows.push(shown(&ROWS[5]));
    rows
}

/// Rows of `wide`, and their characters.
pub fn totals_of_wide() -> Rows {
    vec![vec![Some(WIDE_ROWS.to_string()), Some((WIDE_ROWS * 160).to_string())]]
}

fn insert(cluster: &mut Cluster, row: &[&str]) {
    let quoted = |value: &&str| if *value == NULL { NULL.to_owned() } else { format!("'{value}'") };
    let values: Vec<_> = row.iter().map(quoted).collect();
    write(cluster, &format!("INSERT INTO types VALUES ({})", values.join(", ")));
}

fn write(cluster: &mut Cluster, statement: &str) {
    let answer = cluster.ask(0, statement);
    assert_eq!(answer.error, None, "{statement}");
    assert!(answer.tag.ends_with(" 1"), "{statement}: {}", answer.tag);
}

fn fill(cluster: &mut Cluster, rows: std::ops::Range<u32>) {
    for k in rows {
        let mut random = SeededRandom::new(u64::from(k));
        let words: Vec<_> = (0..10).map(|_| format!("{:016x}", random.next_u64())).collect();
        write(cluster, &format!("INSERT INTO wide VALUES ({k}, '{}')", words.concat()));
    }
}

fn flush(cluster: &mut Cluster) {
    cluster.core(0).replication().engine().flush().unwrap();
    // Tables of level 0 are compacted once there are enough.
    (0..10).for_each(|_| cluster.calm_step(5 * MS));
}

/// A node's first life: flushes and a compaction, rows in several blocks, and some only in the log.
fn first_life() -> Cluster {
    let mut cluster = Cluster::new(SEED, 1);
    let fs: Arc<dyn Vfs> = Arc::new(cluster.nodes[0].fs.clone());
    claim(&fs, Path::new(DIR), [7; 16]).unwrap();
    cluster.open(0).unwrap();
    cluster.write_rows(0, GroupId::SYSTEM, &control::row_of_a_node(1, NODE_ROW));
    cluster.create(0, &control::table(0, "types", &TYPES));
    let columns = [("k", TypeId::INT8, -1), ("v", TypeId::TEXT, -1)];
    cluster.create(0, &control::table(1, "wide", &columns));
    write(&mut cluster, "INSERT INTO wide VALUES (-7, 'soon gone')");
    for (row, part) in ROWS[..5].iter().zip(0..) {
        insert(&mut cluster, row);
        if part == 4 {
            // Its tombstone is newer than what the compaction has merged.
            write(&mut cluster, "DELETE FROM wide WHERE k = -7");
        }
        fill(&mut cluster, part * 10..part * 10 + 10);
        flush(&mut cluster);
    }
    write(&mut cluster, "UPDATE types SET t = 'after' WHERE k = 4");
    cluster
}

fn stopped() -> SimFs {
    let mut cluster = first_life();
    cluster.stop(0).unwrap();
    cluster.open(0).unwrap();
    write(&mut cluster, "DELETE FROM types WHERE k = 5");
    fill(&mut cluster, 50..WIDE_ROWS);
    cluster.stop(0).unwrap();
    cluster.nodes[0].fs.kill(0)
}

fn killed() -> SimFs {
    let mut cluster = first_life();
    write(&mut cluster, "DELETE FROM types WHERE k = 5");
    fill(&mut cluster, 50..WIDE_ROWS);
    // The page cache outlives a process: what it wrote and did not sync is there.
    let fs = cluster.nodes[0].fs.kill(0);
    cluster.nodes[0].up = None;
    cluster.nodes[0].fs = fs;
    cluster.open(0).unwrap();
    insert(&mut cluster, &ROWS[5]);
    cluster.nodes[0].fs.kill(0)
}

/// The files of a directory by their path in it.
fn files(fs: &SimFs) -> Map<String, Vec<u8>> {
    let mut files = Map::new();
    for part in PARTS {
        let dir = Path::new(DIR).join(part);
        for name in fs.list(&dir).unwrap() {
            if let Ok(content) = fs.content(&dir.join(&name)) {
                let path = Path::new(part).join(&name);
                files.insert(path.to_str().unwrap().to_owned(), content);
            }
        }
    }
    files
}

/// A file on the machine's own disk.
fn write_out(path: &Path, content: &[u8]) {
    let file = disk().create(path, FileClass::Table).unwrap();
    write_all_at(&*file, content, 0).unwrap();
}

/// Writes the fixture into a folder that is there and has none of it yet.
fn write_fixture(target: &Path, made: &[SimFs; 2]) {
    for (node, fs) in NODES.iter().zip(made) {
        for part in PARTS {
            disk().make_dir(&target.join(node).join(part)).unwrap();
        }
        for (path, content) in files(fs) {
            write_out(&target.join(node).join(path), &content);
        }
        let copy: Arc<dyn Vfs> = Arc::new(fs.kill(0));
        let text = contents::of(&copy, Path::new(DIR));
        write_out(&target.join(format!("{node}.txt")), text.as_bytes());
    }
    write_out(&target.join("frames.bin"), &frames::encode());
}

/// `tests/upgrade/make.py` asks for the bytes as well.
#[test]
fn the_maker_repeats_its_bytes() {
    let made = [stopped(), killed()];
    for ((node, first), second) in NODES.iter().zip(&made).zip([stopped(), killed()]) {
        assert!(files(first) == files(&second), "a {node} node");
    }
    if let Ok(target) = std::env::var(TARGET) {
        write_fixture(Path::new(&target), &made);
    }
}
