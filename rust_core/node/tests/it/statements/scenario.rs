//! Three nodes and their clients under drawn trouble, and what must hold after it. `PHANTOM_SEEDS`
//! is how many seeds run, from `PHANTOM_FIRST_SEED` on; `PHANTOM_SEED` runs one:
//!
//! ```text
//! PHANTOM_SEED=7 cargo test -p phantom_node --test it statements
//! ```

use phantom_base::sync::Ordering;
use phantom_base::{Nanos, Random};
use phantom_vfs::{Crash, FaultScript};

use super::checker::Checker;
use super::cluster::Cluster;
use super::control;
use super::workload::{COUNT, SCAN, Workload, prepare};
use crate::world::MS;

const NODES: u32 = 3;
const SEEDS: u64 = 100;
/// Longer than any packet takes.
const LINKS_ARE_EMPTY_NS: Nanos = 1_000 * MS;

/// Which trouble a run has, each as one in so many ticks; 0 is never.
struct Trouble {
    crash: u64,
    pause: u64,
    cut: u64,
    reset: u64,
    lose: u64,
    clock: u64,
    disk_error: u64,
    flush: u64,
    tick_max: Nanos,
    items_max: u64,
}

impl Trouble {
    fn draw(cluster: &mut Cluster, workload: &mut Workload) -> Self {
        let random = &mut cluster.random;
        let mut strength = |least: u64, most: u64| {
            if random.one_in(2) { 0 } else { least + random.below(most - least) }
        };
        let trouble = Self {
            crash: strength(50, 600),
            pause: strength(50, 600),
            cut: strength(50, 500),
            reset: strength(20, 500),
            lose: strength(50, 500),
            clock: strength(50, 500),
            disk_error: strength(300, 1_500),
            flush: strength(20, 300),
            tick_max: MS + strength(1, 30) * MS,
            items_max: 1 + strength(2, 60),
        };
        workload.impatience = strength(100, 2_000);
        cluster.links.slow = strength(5, 100);
        trouble
    }
}

struct Run {
    cluster: Cluster,
    workload: Workload,
    checker: Checker,
    trouble: Trouble,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut cluster = Cluster::new(seed, NODES);
        let mut workload = Workload::new(NODES as usize);
        (0..NODES as usize).for_each(|n| cluster.start(n));
        prepare(&mut cluster);
        let trouble = Trouble::draw(&mut cluster, &mut workload);
        Self { cluster, workload, checker: Checker::default(), trouble }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.cluster.random.one_in(one_in)
    }

    fn any(&mut self) -> usize {
        self.cluster.random.below(u64::from(NODES)) as usize
    }

    fn any_policy(&mut self) -> Crash {
        match self.cluster.random.below(4) {
            0 => Crash::LoseAll,
            1 => Crash::KeepAll,
            2 => Crash::PrefixOfOps,
            _ => Crash::AnySubset(1 + self.cluster.random.below(99) as u8),
        }
    }

    /// Trouble of one node.
    fn trouble_a_node(&mut self) {
        let n = self.any();
        if self.chance(self.trouble.crash) && self.cluster.nodes[n].up.is_some() {
            let policy = self.any_policy();
            self.cluster.crash(n, policy);
        }
        if self.cluster.nodes[n].up.is_none() && self.cluster.random.one_in(60) {
            self.cluster.start(n);
        }
        if self.chance(self.trouble.pause) {
            let pause = self.cluster.random.below(3_000 * MS);
            self.cluster.nodes[n].paused_until = self.cluster.now() + pause;
        }
        if self.chance(self.trouble.clock) {
            // Two nodes are never more than the bound apart, or they would not speak at all.
            let offset = self.cluster.random.below(200).cast_signed() - 100;
            let clock = &self.cluster.nodes[n].clock;
            clock.offset_ns.store(offset * MS.cast_signed(), Ordering::Relaxed);
        }
        if self.chance(self.trouble.disk_error) {
            let script = FaultScript::parse("op=sync class=log nth=1 -> error(EIO)");
            self.cluster.nodes[n].fs.set_faults(script.expect("a script"));
        }
        if self.chance(self.trouble.flush) && self.cluster.nodes[n].up.is_some() {
            self.cluster.core(n).replication().engine().freeze();
        }
    }

    /// Trouble between two nodes.
    fn trouble_a_link(&mut self) {
        let (n, m) = (self.any(), self.any());
        if n != m {
            if self.chance(self.trouble.cut) {
                self.cluster.links.cut(n, m);
            }
            if self.chance(self.trouble.reset) {
                self.cluster.reset(n, m);
            }
            if self.chance(self.trouble.lose) {
                self.cluster.links.lose(n, m);
            }
        }
        if self.cluster.random.one_in(200) {
            self.cluster.links.join_all();
        }
        if self.cluster.random.one_in(20) {
            self.cluster.dial();
        }
    }

    fn tick(&mut self) {
        let step = 1 + self.cluster.random.below(self.trouble.tick_max);
        self.cluster.pass(step);
        for n in 0..NODES as usize {
            let items = self.cluster.random.below(self.trouble.items_max + 1);
            self.cluster.run(n, items);
        }
        self.workload.step(&mut self.cluster, &mut self.checker, true);
    }

    /// Trouble ends; then every statement must end, and every node must say the same.
    fn heal(&mut self) {
        self.cluster.links.join_all();
        self.cluster.links.slow = 0;
        self.workload.impatience = 0;
        for n in 0..NODES as usize {
            let node = &mut self.cluster.nodes[n];
            node.paused_until = 0;
            node.clock.offset_ns.store(0, Ordering::Relaxed);
            node.fs.set_faults(FaultScript::default());
            if node.up.is_none() {
                self.cluster.start(n);
            }
        }
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
                ["requests", "flows"].iter().all(|name| control::counter(&stats, name) == 0)
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
    for _ in 0..ticks {
        run.trouble_a_node();
        run.trouble_a_link();
        run.tick();
    }
    run.heal();
    // The power goes everywhere at once.
    for n in 0..NODES as usize {
        let policy = run.any_policy();
        run.cluster.crash(n, policy);
    }
    run.heal();
    let [inserts, additions, reads, scans] = run.checker.done;
    let counts = [inserts, additions, reads, scans, run.checker.unknown, run.checker.refused];
    (run.cluster.trace(), counts)
}

#[test]
fn every_statement_ends_and_is_told_the_truth() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().expect(name));
    let first = number("PHANTOM_FIRST_SEED").unwrap_or(0);
    let count = number("PHANTOM_SEEDS").unwrap_or(SEEDS);
    let seeds = number("PHANTOM_SEED").map_or(first..first + count, |seed| seed..seed + 1);
    let mut total = Counts::default();
    for seed in seeds.clone() {
        let Ok((_, counts)) = std::panic::catch_unwind(|| run(seed)) else {
            panic!("replay: PHANTOM_SEED={seed} cargo test -p phantom_node --test it statements");
        };
        total = std::array::from_fn(|i| total[i] + counts[i]);
    }
    println!("[inserts, additions, reads, scans, unknown, refused] {total:?}");
    let seeds = seeds.end - seeds.start;
    let is_little = total[..4].iter().any(|count| *count < 5 * seeds);
    assert!(seeds == 1 || !is_little, "too little happened: {total:?}");
}
