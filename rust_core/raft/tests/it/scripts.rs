//! Scripts: blocks of commands, `----`, and what they print. The file's name is the claim.
//!
//! `REWRITE=1 cargo test -p phantom_raft --test it scripts` writes the answers anew; the diff is
//! read like code. Commands (n, a, b: node numbers):
//!
//! ```text
//! nodes N [stopped]           log n TERM,TERM.. [term=T]   start n    crash n    restart n
//! campaign n [force]          stepdown n       propose n TEXT         barrier n TOKEN
//! leave n                     hands leadership over once a member misses nothing
//! deliver a->b [COUNT]        drop a->b        sync n      apply n
//! run [held n..]              until all is quiet, printing everything
//! settle [held n..]           the same, printing events and answers only
//! live MS [n..]               time passes, and all is delivered and done in each 50 ms of it
//! tick MS [n..]               time passes, printing events and answers only; tock prints all
//! cut a b  heal               connected a b    release n INDEX        status n   show n
//! large n BYTES               proposes an entry of that size
//! clocks                      machines are told the time; ahead n MS lets a clock step forward
//! lease n                     a read by lease; silent n yes|no: its disk is late, it asks nobody
//! room n none|short|enough    what is left on its disk; heirs n says who could lead instead
//! ```

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use phantom_base::{LogIndex, NodeId, ReplicaId, Term};
use phantom_raft::{Entry, HardState, Limits, LogRecord, Room};

use crate::cluster::{Cluster, GROUP, show_record};

struct Script {
    cluster: Cluster,
    cuts: Vec<(u32, u32)>,
    token: u64,
}

fn limits() -> Limits {
    // Timeouts without spread, so that scripts count milliseconds.
    Limits { election_max_ns: 1_000_000_001, election_min_ns: 1_000_000_000, ..Limits::default() }
}

fn room(word: &str) -> Room {
    match word {
        "none" => Room::None,
        "short" => Room::Short,
        "enough" => Room::Enough,
        other => panic!("{other} is no room"),
    }
}

impl Script {
    fn run(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| -> u32 { words[at].parse().expect(line) };
        let now = self.cluster.now;
        match words[0] {
            "nodes" => {
                self.cluster = Cluster::new(number(1), limits(), 1);
                if words.get(2).is_none() {
                    (1..=number(1)).for_each(|n| self.cluster.start(n, 0));
                }
            }
            "log" => self.prepare_log(number(1), words[2], words.get(3)),
            "start" | "restart" => self.cluster.start(number(1), 0),
            "crash" => self.cluster.crash(number(1), 0),
            "campaign" => {
                let prevote = words.get(2) != Some(&"force");
                let answer = self.cluster.machine(number(1)).campaign(now, GROUP, prevote);
                self.print_refusal(number(1), answer);
            }
            "stepdown" => {
                let answer = self.cluster.machine(number(1)).step_down(now, GROUP);
                self.print_refusal(number(1), answer);
            }
            "leave" => {
                let answer = self.cluster.machine(number(1)).leave(now, GROUP);
                self.print_refusal(number(1), answer);
            }
            "propose" => {
                self.token += 1;
                self.cluster.propose(number(1), self.token, words[2].as_bytes());
            }
            "large" => {
                self.token += 1;
                let data = vec![b'.'; number(2) as usize];
                self.cluster.propose(number(1), self.token, &data);
            }
            "barrier" => self.cluster.barrier(number(1), words[2].parse().expect(line)),
            "deliver" | "drop" => self.deliver(words[0], words[1], words.get(2)),
            "sync" => self.cluster.sync(number(1)),
            "apply" => self.cluster.apply(number(1), usize::MAX),
            "tick" | "tock" | "live" => self.tick(&words),
            "run" | "settle" => self.settle(&words),
            "cut" => self.cuts.push((number(1), number(2))),
            "heal" => self.cuts.clear(),
            "connected" => {
                self.cluster.machine(number(1)).connected(NodeId(number(2)));
                self.cluster.pump(number(1));
            }
            "release" => {
                let upto = LogIndex(u64::from(number(2)));
                self.cluster.node(number(1)).log.release(upto);
                self.cluster.machine(number(1)).released(GROUP, upto);
            }
            "clocks" => self.cluster.has_clocks = true,
            "ahead" => self.cluster.node(number(1)).ahead_ms = u64::from(number(2)),
            "silent" => self.cluster.machine(number(1)).set_silent(words[2] == "yes"),
            "lease" => self.print_lease(number(1)),
            "room" => self.cluster.machine(number(1)).set_room(room(words[2])),
            "heirs" => self.print_heirs(number(1)),
            "status" => self.print_status(number(1)),
            "show" => {
                let log = &self.cluster.node(number(1)).log;
                let state = LogRecord::State { gid: GROUP, state: log.state() };
                let entries: Vec<_> = log.entries().collect();
                let line = format!("n{} {} {entries:?}", words[1], show_record(&state));
                self.cluster.seen.lines.push(line);
            }
            other => panic!("unknown command {other}"),
        }
    }

    fn print_lease(&mut self, n: u32) {
        if !self.cluster.lease(n) {
            self.cluster.seen.lines.push(format!("n{n} has no lease"));
        }
    }

    fn print_status(&mut self, n: u32) {
        let s = self.cluster.machine(n).status(GROUP).expect("the group");
        let mut line = format!(
            "n{n} {:?} {} leader={} commit={} applied={} kept={}..={} durable={}",
            s.role, s.term, s.leader, s.commit, s.applied, s.first, s.last, s.durable
        );
        for m in &s.members {
            let state = match (m.too_far_behind, m.replicating) {
                (true, _) => "too_far_behind",
                (_, true) => "replicates",
                _ => "probes",
            };
            let short = if m.short_of_room { ":short" } else { "" };
            write!(line, " {}:{}:{state}{short}", m.node, m.matched).expect("a string");
        }
        self.cluster.seen.lines.push(line);
    }

    fn print_heirs(&mut self, n: u32) {
        let (now, machine) = (self.cluster.now, self.cluster.machine(n));
        let (has, may) = (machine.has_heir(now, GROUP), machine.may_hand_over(now, GROUP));
        let unknown = machine.awaits_room(now, GROUP);
        let unknown = if unknown { ", awaits word of room" } else { "" };
        let line = format!("n{n} has an heir: {has}, may hand over: {may}{unknown}");
        self.cluster.seen.lines.push(line);
    }

    fn print_refusal(&mut self, n: u32, answer: Result<(), phantom_raft::Refused>) {
        if let Err(refused) = answer {
            self.cluster.seen.lines.push(format!("n{n} refused: {refused}"));
        }
        self.cluster.pump(n);
    }

    fn prepare_log(&mut self, n: u32, terms: &str, term: Option<&&str>) {
        let log = &mut self.cluster.node(n).log;
        let terms: Vec<u64> = terms.split(',').map(|t| t.parse().expect("a term")).collect();
        let newest = *terms.last().expect("a term");
        let term = term.map_or(newest, |t| t["term=".len()..].parse().expect("a term"));
        let state = HardState { term: Term(term), vote: ReplicaId(0), ..HardState::default() };
        log.take(LogRecord::State { gid: GROUP, state });
        let entry = |(i, term): (usize, &u64)| Entry {
            index: LogIndex(i as u64 + 1),
            term: Term(*term),
            data: Arc::from(format!("old{}", i + 1).as_bytes()),
        };
        let entries = terms.iter().enumerate().map(entry).collect();
        log.take(LogRecord::Append { gid: GROUP, entries });
        log.sync();
    }

    fn deliver(&mut self, verb: &str, link: &str, count: Option<&&str>) {
        let (from, to) = link.split_once("->").expect("a->b");
        let (from, to) = (from.parse().expect("a node"), to.parse().expect("a node"));
        let waiting = self.cluster.links.entry((from, to)).or_default().len();
        let count = count.map_or(waiting, |c| c.parse().expect("a count"));
        for _ in 0..count {
            if verb == "drop" {
                self.cluster.links.entry((from, to)).or_default().pop_front();
            } else {
                self.cluster.deliver(from, to, 0);
            }
        }
    }

    /// Time passes in steps of 50 ms; what is sent stays on the links.
    fn tick(&mut self, words: &[&str]) {
        let (ms, nodes): (u64, _) = (words[1].parse().expect("milliseconds"), &words[2..]);
        let before = self.cluster.seen.lines.len();
        let all: Vec<u32> = (1..=self.cluster.nodes.len() as u32).collect();
        let chosen: Vec<u32> = nodes.iter().map(|n| n.parse().expect("a node")).collect();
        let chosen = if chosen.is_empty() { all } else { chosen };
        for _ in 0..ms.div_ceil(50) {
            self.cluster.now += 50_000_000;
            for n in &chosen {
                self.cluster.tick(*n);
            }
            if words[0] == "live" {
                self.apply_cuts();
                self.cluster.settle(&[]);
            }
        }
        if words[0] != "tock" {
            self.keep_answers(before);
        }
    }

    /// Of the lines since `before`, keeps those that the caller of a machine would act on.
    fn keep_answers(&mut self, before: usize) {
        let lines = self.cluster.seen.lines.split_off(before);
        let is_answer = |line: &String| {
            ["event", "done", "barrier"].contains(&line.split(' ').nth(1).expect("a word"))
        };
        self.cluster.seen.lines.extend(lines.into_iter().filter(is_answer));
    }

    fn settle(&mut self, words: &[&str]) {
        let held: Vec<u32> = words.iter().skip(2).map(|n| n.parse().expect("a node")).collect();
        let before = self.cluster.seen.lines.len();
        self.apply_cuts();
        self.cluster.settle(&held);
        if words[0] == "settle" {
            self.keep_answers(before);
        }
    }

    fn apply_cuts(&mut self) {
        self.cluster.cuts.clone_from(&self.cuts);
    }
}

fn answer(text: &str) -> String {
    let mut script = Script { cluster: Cluster::new(1, limits(), 1), cuts: Vec::new(), token: 0 };
    let mut out = String::new();
    let mut in_answer = false;
    for line in text.lines() {
        if in_answer {
            in_answer = !line.is_empty();
            continue;
        }
        match line {
            "----" => {
                in_answer = true;
                out.push_str("----\n");
                for printed in script.cluster.seen.lines.drain(..) {
                    writeln!(out, "{printed}").expect("a string");
                }
                out.push('\n');
            }
            "" => {}
            _ => {
                writeln!(out, "{line}").expect("a string");
                if !line.starts_with('#') {
                    script.apply_cuts();
                    script.run(line);
                }
            }
        }
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
    out
}

#[test]
#[allow(clippy::disallowed_methods, reason = "scripts are read from the source tree")]
fn scripts_answer_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 20, "only {} scripts", paths.len());
    let rewrite = std::env::var_os("REWRITE").is_some();
    let mut wrong = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let answered = answer(&text);
        if rewrite {
            std::fs::write(&path, answered).unwrap();
        } else if answered != text {
            wrong.push(path.clone());
            for (expected, got) in text.lines().zip(answered.lines()) {
                if expected != got {
                    eprintln!("{}:\n  expected {expected}\n  got      {got}", path.display());
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "answers differ: {wrong:#?}");
}
