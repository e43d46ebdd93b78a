//! Every byte of the tables and of the sealed log segments of a small node is flipped, one at a time.
//!
//! Whatever was flipped: the node refuses to open, or ends, or answers as it did before, or answers
//! `XX001`. Errors name a file and a place in it. A row is never wrong and never missing.

use std::path::{Path, PathBuf};

use phantom_base::{Error, NodeId, Random, SeededRandom, sqlstate};
use phantom_types::TypeId;
use phantom_vfs::{Crash, SimFs, Vfs};

use super::client::{Answer, Client, Progress};
use super::control;
use crate::cluster::Cluster;
use crate::cluster::{DIR, MS};

/// Enough for blocks that a node reads only when it is asked.
const ROWS: u32 = 24;
/// Simulated time of one step: a node alone waits for nothing but its own clock.
const STEP: u64 = 50 * MS;
const STEPS_MAX: u32 = 1_000;

/// What a damaged node is asked: all rows, and some by their keys, which goes by filters too.
fn questions() -> Vec<String> {
    let by_key = (0..ROWS).step_by(5).map(|k| format!("SELECT v FROM small WHERE k = {k}"));
    ["SELECT k, v FROM small ORDER BY k".to_owned()].into_iter().chain(by_key).collect()
}

/// The disk of a node that has stopped: rows in a table, and others in a segment that is sealed.
fn stopped_node() -> SimFs {
    let mut cluster = Cluster::new(1, 1);
    cluster.open(0).unwrap();
    let columns = [("k", TypeId::INT4, -1), ("v", TypeId::TEXT, -1)];
    cluster.create(0, &control::table(0, "small", &columns));
    let insert = |cluster: &mut Cluster, rows: std::ops::Range<u32>| {
        for k in rows {
            let mut random = SeededRandom::new(u64::from(k));
            let value: Vec<_> = (0..20).map(|_| format!("{:016x}", random.next_u64())).collect();
            let value = value.concat();
            let answer = cluster.ask(0, &format!("INSERT INTO small VALUES ({k}, '{value}')"));
            assert_eq!(answer.error, None);
        }
    };
    insert(&mut cluster, 0..ROWS - 4);
    cluster.core(0).replication().engine().flush().unwrap();
    insert(&mut cluster, ROWS - 4..ROWS);
    cluster.stop(0).unwrap();
    // The next life begins a segment of its own.
    cluster.open(0).unwrap();
    cluster.stop(0).unwrap();
    cluster.nodes[0].fs.crash(0, Crash::KeepAll)
}

fn files(fs: &SimFs, dir: &str) -> Vec<PathBuf> {
    let dir = Path::new(DIR).join(dir);
    let mut files: Vec<_> = fs.list(&dir).unwrap().iter().map(|name| dir.join(name)).collect();
    files.sort();
    files
}

/// Opens a node on a disk and asks it; what it answers, or what ends it.
fn ask_all(fs: SimFs) -> Result<Vec<Answer>, Error> {
    let mut cluster = Cluster::on_disks(2, vec![(NodeId(1), fs)]);
    cluster.open(0)?;
    let mut client = Client::connect(&mut cluster, 0);
    let mut answers = Vec::new();
    let mut asked = questions().into_iter();
    for _ in 0..STEPS_MAX {
        match client.pump(&mut cluster) {
            Progress::Answered(answer) => {
                answers.push(answer);
                match asked.next() {
                    Some(question) => client.query(&question),
                    None => return Ok(answers),
                }
            }
            Progress::Waiting => {
                cluster.pass(STEP);
                cluster.try_run(0, 100)?;
            }
            Progress::Lost => panic!("a session ended by itself after {answers:?}"),
        }
    }
    panic!("a question has no answer after {answers:?}");
}

/// Whether an error says that a file is damaged, and where.
fn names(code: &str, message: &str, file: &Path) -> bool {
    code == sqlstate::DATA_CORRUPTED.as_str()
        && message.contains(&format!("{} is damaged at byte ", file.display()))
}

fn check(fs: &SimFs, file: &Path, truth: &[Answer]) -> [u32; 3] {
    let mut counts = [0; 3];
    for offset in 0..fs.content(file).unwrap().len() as u64 {
        let place = format!("byte {offset} of {}", file.display());
        let damaged = fs.crash(0, Crash::KeepAll);
        damaged.flip(file, offset, 1 << (offset % 8)).unwrap();
        let answers = match ask_all(damaged) {
            Ok(answers) => answers,
            Err(error) => {
                let named = names(error.sqlstate.as_str(), &error.message, file);
                assert!(named, "{place}: {error:?}");
                counts[0] += 1;
                continue;
            }
        };
        let mut is_harmless = true;
        for (answer, right) in answers.iter().zip(truth) {
            match &answer.error {
                None => assert_eq!(answer, right, "{place}: a wrong answer"),
                Some((code, message)) => {
                    assert!(names(code, message, file), "{place}: {code} {message}");
                    is_harmless = false;
                }
            }
        }
        counts[if is_harmless { 2 } else { 1 }] += 1;
    }
    counts
}

#[test]
fn a_node_with_any_flipped_byte_in_a_table_names_it() {
    let fs = stopped_node();
    let truth = ask_all(fs.crash(0, Crash::KeepAll)).unwrap();
    assert_eq!(truth[1].rows.len() as u32, ROWS);
    let mut total = [0; 3];
    for table in files(&fs, "tables") {
        let counts = check(&fs, &table, &truth);
        total = std::array::from_fn(|i| total[i] + counts[i]);
    }
    let [refused, answered, harmless] = total;
    assert!(refused > 1_000 && answered > 1_000, "{refused} refused, {answered} answered XX001");
    assert_eq!(harmless, 0, "bytes that nothing covers");
}

#[test]
fn a_node_with_any_flipped_byte_in_a_sealed_segment_does_not_start() {
    let fs = stopped_node();
    let truth = ask_all(fs.crash(0, Crash::KeepAll)).unwrap();
    let segments = files(&fs, "log");
    let (_last, sealed) = segments.split_last().unwrap();
    let mut refusals = 0;
    for segment in sealed {
        let [refused, answered, harmless] = check(&fs, segment, &truth);
        assert_eq!((answered, harmless), (0, 0), "{}", segment.display());
        refusals += refused;
    }
    assert!(refusals > 10_000, "{refusals} refused");
}
