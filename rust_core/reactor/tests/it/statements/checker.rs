//! What may be read after what was told. It knows no node: statements begin and end, and it says
//! when an end contradicts what had ended before that statement began.
//!
//! - An acknowledged row is there for every read that begins later, once, with its value. A row that
//!   was refused with "nothing was done" is never there. A row whose fate is unknown is there or not,
//!   and stays once it was seen.
//! - Rows of one statement are there together or not at all.
//! - No two additions are told the same number, and none a number at or below one that had been told
//!   before it began. The counter ends between what was acknowledged and what may have happened.
//!
//! That is linearizability for these statements: rows are only added, and the counter only grows.

use phantom_base::{Map, Set};

use super::client::Answer;

/// Nothing was done: no leader (25006 for a write, 57P03 for a read), or another one's entry came in
/// its place (40001).
const NOTHING_DONE: [&str; 3] = ["25006", "40001", "57P03"];
/// It may have happened or not.
const UNKNOWN: [&str; 1] = ["40003"];

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Inserts rows, all in one statement.
    Insert(Vec<u64>),
    /// Adds one to the counter, and asks what it is then.
    Add,
    /// Reads a row by its key.
    Read(u64),
    /// Reads the counter.
    Count,
    /// Reads all rows.
    Scan,
}

/// The text that a row holds.
pub fn value(row: u64) -> String {
    format!("row {row}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Acknowledged,
    Refused,
}

/// What had been told when a statement began.
#[derive(Debug)]
pub struct Begun {
    pub op: Op,
    /// Rows that it must see.
    rows: Set<u64>,
    /// The counter is at least this.
    floor: u64,
}

/// All statements so far.
#[derive(Default)]
pub struct Checker {
    fates: Map<u64, Fate>,
    /// Rows of the same statement.
    together: Map<u64, Vec<u64>>,
    /// Rows that were acknowledged, or read by a statement that has ended.
    known: Set<u64>,
    /// Numbers that additions were told.
    numbers: Set<u64>,
    /// The largest number that anybody was told.
    counted: u64,
    additions: [u64; 3],
    /// How much ended well: inserts, additions, reads, scans.
    pub done: [u64; 4],
    pub unknown: u64,
    pub refused: u64,
}

const TRIED: usize = 0;
const ACKNOWLEDGED: usize = 1;
const REFUSED: usize = 2;

impl Checker {
    /// A row that nobody has tried to insert.
    pub fn next_row(&self) -> u64 {
        self.fates.keys().next_back().map_or(1, |last| last + 1)
    }

    /// A statement is about to be sent.
    pub fn begin(&mut self, op: Op) -> Begun {
        let mut rows = Set::new();
        match &op {
            Op::Insert(inserted) => {
                for row in inserted {
                    let other = self.fates.insert(*row, Fate::Open);
                    assert_eq!(other, None, "the workload inserts a row once");
                    self.together.insert(*row, inserted.clone());
                }
            }
            Op::Add => self.additions[TRIED] += 1,
            Op::Read(row) if self.known.contains(row) => {
                rows.insert(*row);
            }
            Op::Scan => rows.clone_from(&self.known),
            Op::Read(_) | Op::Count => {}
        }
        Begun { op, rows, floor: self.counted }
    }

    /// The connection ended while the statement ran.
    pub fn lost(&mut self, _begun: Begun) {
        self.unknown += 1;
    }

    /// The statement was answered.
    pub fn end(&mut self, begun: &Begun, answer: &Answer) {
        if let Some((code, message)) = &answer.error {
            return self.failed(begun, code, message);
        }
        match &begun.op {
            Op::Insert(rows) => {
                assert_eq!(answer.tag, format!("INSERT 0 {}", rows.len()));
                for row in rows {
                    self.fates.insert(*row, Fate::Acknowledged);
                    self.known.insert(*row);
                }
                self.done[0] += 1;
            }
            Op::Add => {
                assert_eq!(answer.tag, "UPDATE 1");
                let number = number(answer);
                assert!(number > begun.floor, "{number} after {} had been told", begun.floor);
                assert!(self.numbers.insert(number), "two additions made it {number}");
                self.additions[ACKNOWLEDGED] += 1;
                self.counted(number);
                self.done[1] += 1;
            }
            Op::Count => {
                let number = number(answer);
                assert!(number >= begun.floor, "{number} after {} had been told", begun.floor);
                self.counted(number);
                self.done[2] += 1;
            }
            Op::Read(row) => {
                let found = match answer.rows.as_slice() {
                    [] => Set::new(),
                    [_] => rows_of(answer),
                    rows => panic!("{} rows by a key", rows.len()),
                };
                assert!(found.iter().all(|found| found == row), "{found:?} by the key {row}");
                self.saw(begun, &found);
                self.done[2] += 1;
            }
            Op::Scan => {
                let found = rows_of(answer);
                for row in &found {
                    let missing = self.together[row].iter().find(|other| !found.contains(other));
                    assert_eq!(missing, None, "half of a statement, beside row {row}");
                }
                self.saw(begun, &found);
                self.done[3] += 1;
            }
        }
    }

    fn failed(&mut self, begun: &Begun, code: &str, message: &str) {
        if UNKNOWN.contains(&code) {
            self.unknown += 1;
            return;
        }
        assert!(NOTHING_DONE.contains(&code), "{:?}: {code}: {message}", begun.op);
        self.refused += 1;
        match &begun.op {
            Op::Insert(rows) => {
                for row in rows {
                    assert!(!self.known.contains(row), "row {row} was seen, and then refused");
                    self.fates.insert(*row, Fate::Refused);
                }
            }
            Op::Add => self.additions[REFUSED] += 1,
            Op::Read(_) | Op::Count | Op::Scan => {}
        }
    }

    fn counted(&mut self, number: u64) {
        let most = self.additions[TRIED] - self.additions[REFUSED];
        assert!(number <= most, "the counter is {number}, and {most} additions may have happened");
        self.counted = self.counted.max(number);
    }

    fn saw(&mut self, begun: &Begun, found: &Set<u64>) {
        let lost: Vec<_> = begun.rows.difference(found).collect();
        assert!(lost.is_empty(), "{:?}: rows {lost:?} had been told, and are not there", begun.op);
        for row in found {
            let fate = self.fates.get(row);
            assert!(fate.is_some(), "row {row} is there, and nobody wrote it");
            assert_ne!(fate, Some(&Fate::Refused), "row {row} is there, and was refused");
            self.known.insert(*row);
        }
    }

    /// All statements have ended: what every node says to the same questions.
    pub fn judge(&mut self, scans: &[Answer], counts: &[Answer]) {
        for (scan, count) in scans.iter().zip(counts) {
            assert_eq!((&scan.error, &count.error), (&None, &None));
            let begun = self.begin(Op::Scan);
            self.end(&begun, scan);
            let begun = self.begin(Op::Count);
            self.end(&begun, count);
            assert!(number(count) >= self.additions[ACKNOWLEDGED], "additions are lost");
            assert_eq!((scan, count), (&scans[0], &counts[0]), "nodes differ");
        }
    }
}

/// The rows of an answer, each of them once and with its value.
fn rows_of(answer: &Answer) -> Set<u64> {
    let mut found = Set::new();
    for values in &answer.rows {
        let row: u64 = values[0].as_ref().expect("a key").parse().expect("a number");
        assert_eq!(*values, [Some(row.to_string()), Some(value(row))]);
        assert!(found.insert(row), "row {row} is there twice");
    }
    found
}

fn number(answer: &Answer) -> u64 {
    let [values] = answer.rows.as_slice() else { panic!("one row is the counter: {answer:?}") };
    values[0].as_ref().expect("a number").parse().expect("a number")
}
