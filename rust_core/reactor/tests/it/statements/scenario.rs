//! Three nodes and their clients under drawn trouble, and what must hold after it. `seeds` says which
//! seeds run:
//!
//! ```text
//! PHANTOM_SEED=7 cargo test -p phantom_reactor --test it scenario
//! ```

use phantom_base::{Nanos, Random};

use super::checker::Checker;
use super::control;
use super::workload::{COUNT, SCAN, Workload, prepare};
use crate::cluster::Cluster;
use crate::cluster::MS;
use crate::seeds;
use crate::trouble::{self, Trouble, sometimes, strength};

const NODES: u32 = 3;
const SEEDS: u64 = 100;
/// Longer than any packet takes, and than a frame is waited for whose length was flipped: its link
/// breaks then, though the trouble is over.
const LINKS_ARE_EMPTY_NS: Nanos = 11_000 * MS;

struct Run {
    cluster: Cluster,
    workload: Workload,
    checker: Checker,
    trouble: Trouble,
    /// One in so many ticks a memtable is flushed.
    flush: u64,
    /// One in so many ticks the clocks of a machine run ahead of all others.
    jump: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut cluster = Cluster::new(seed, NODES);
        let mut workload = Workload::new(NODES as usize);
        (0..NODES as usize).for_each(|n| cluster.start(n));
        prepare(&mut cluster);
        let trouble = Trouble::draw(&mut cluster, 1);
        workload.impatience = strength(&mut cluster.random, 100, 2_000);
        let flush = strength(&mut cluster.random, 20, 300);
        let jump = strength(&mut cluster.random, 600, 3_000);
        Self { cluster, workload, checker: Checker::default(), trouble, flush, jump }
    }

    fn tick(&mut self) {
        self.trouble.strike(&mut self.cluster);
        let n = trouble::any(&mut self.cluster);
        if sometimes(&mut self.cluster.random, self.flush) && self.cluster.nodes[n].up.is_some() {
            self.cluster.core(n).replication().engine().freeze();
        }
        if sometimes(&mut self.cluster.random, self.jump) {
            // Nobody believes it until the others have come as far.
            let by = self.cluster.random.below(3_000 * MS);
            self.cluster.nodes[n].clock.run_ahead(by);
        }
        self.trouble.tick(&mut self.cluster);
        self.workload.step(&mut self.cluster, &mut self.checker, true);
    }

    /// Trouble ends; then every statement must end, and every node must say the same.
    fn heal(&mut self) {
        self.workload.impatience = 0;
        trouble::end(&mut self.cluster);
        let Self { cluster, workload, checker, .. } = self;
        cluster.calm_until("all statements end", |cluster| {
            workload.step(cluster, checker, false);
            workload.is_idle().then_some(())
        });
        // What clients that went away had begun may still happen, and only then nodes say the same.
        let settled = cluster.now() + LINKS_ARE_EMPTY_NS;
        cluster.calm_until("nothing is under way", |cluster| {
            let is_quiet = (0..NODES as usize).all(|n| {
                let stats = cluster.core(n).stats();
                let ended = ["requests", "flows", "sql_memory_bytes"];
                ended.iter().all(|name| control::counter(&stats, name) == 0)
            });
            (is_quiet && cluster.now() > settled).then_some(())
        });
        let nodes = 0..NODES as usize;
        let scans: Vec<_> = nodes.clone().map(|n| cluster.ask(n, SCAN)).collect();
        let counts: Vec<_> = nodes.map(|n| cluster.ask(n, COUNT)).collect();
        checker.judge(&scans, &counts);
    }
}

/// How much happened: inserts, additions, reads, scans, unknown ends, refusals.
pub type Counts = [u64; 6];

/// Runs one seed; returns its trace.
pub fn run(seed: u64) -> (u64, Counts) {
    let mut run = Run::new(seed);
    let ticks = 600 + run.cluster.random.below(900);
    (0..ticks).for_each(|_| run.tick());
    run.heal();
    trouble::crash_all(&mut run.cluster);
    run.heal();
    let [inserts, additions, reads, scans] = run.checker.done;
    let counts = [inserts, additions, reads, scans, run.checker.unknown, run.checker.refused];
    (run.cluster.trace(), counts)
}

#[test]
fn every_statement_ends_and_is_told_the_truth() {
    let (seeds, total) = seeds::run_all("statements", SEEDS, |seed| run(seed).1);
    println!("[inserts, additions, reads, scans, unknown, refused] {total:?}");
    let is_little = total[..4].iter().any(|count| *count < 5 * seeds);
    assert!(seeds == 1 || !is_little, "too little happened: {total:?}");
}
