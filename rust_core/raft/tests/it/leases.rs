//! Leases at the moment in which another may lead: leaders that sleep, and leaders that hand over,
//! with clocks as far apart as they may be. Every read by lease is judged where it is made.

use phantom_base::{OFFSET_MAX_MS, Random, SeededRandom};
use phantom_raft::{Limits, RoleName};

use crate::cluster::{Cluster, GROUP};

const STEP_NS: u64 = 50_000_000;

struct Run {
    cluster: Cluster,
    random: SeededRandom,
    nodes: u32,
    token: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = SeededRandom::new(seed);
        let nodes = if random.one_in(3) { 5 } else { 3 };
        let mut cluster = Cluster::new(nodes, Limits::default(), seed);
        cluster.has_clocks = true;
        for n in 1..=nodes {
            cluster.node(n).ahead_ms = random.below(OFFSET_MAX_MS);
            cluster.start(n, 0);
        }
        Self { cluster, random, nodes, token: 0 }
    }

    fn leader_but(&mut self, asleep: u32) -> Option<u32> {
        (1..=self.nodes).filter(|n| *n != asleep).find(|n| {
            let status = self.cluster.machine(*n).status(GROUP).expect("the group");
            status.role == RoleName::Leader
        })
    }

    /// Time passes for all nodes but one, and they do what there is to do.
    fn step(&mut self, asleep: u32) {
        self.cluster.now += STEP_NS;
        for n in (1..=self.nodes).filter(|n| *n != asleep) {
            self.cluster.tick(n);
        }
        self.cluster.settle(&[]);
        if let Some(leader) = self.leader_but(asleep) {
            self.token += 1;
            let data = self.token.to_string();
            self.cluster.propose(leader, self.token, data.as_bytes());
            self.cluster.settle(&[]);
        } else if self.random.one_in(2) {
            let n = 1 + self.random.below(u64::from(self.nodes)) as u32;
            if n != asleep {
                let now = self.cluster.now;
                let _ = self.cluster.machine(n).campaign(now, GROUP, true);
                self.cluster.pump(n);
                self.cluster.settle(&[]);
            }
        }
        self.cluster.seen.lines.clear();
    }

    /// A leader that has a lease.
    fn led(&mut self) -> u32 {
        for _ in 0..200 {
            self.step(0);
            if let Some(leader) = self.leader_but(0)
                && self.cluster.lease(leader)
            {
                return leader;
            }
        }
        panic!("nobody leads with a lease");
    }

    /// The leader hears and says nothing, and does not know it: it goes on reading.
    fn sleep(&mut self) {
        let leader = self.led();
        self.cluster.cuts = (1..=self.nodes).map(|n| (leader, n)).collect();
        for _ in 0..40 {
            self.step(leader);
            self.cluster.lease(leader);
        }
        self.cluster.cuts.clear();
    }

    /// The leader hands over, and what it and its heir say comes late.
    fn hand_over(&mut self) {
        let (leader, now) = (self.led(), self.cluster.now);
        self.cluster.machine(leader).leave(now, GROUP).expect("another misses nothing");
        self.cluster.pump(leader);
        for _ in 0..self.random.below(200) {
            let (from, to) = (self.any(), self.any());
            if from != to && to != leader {
                self.cluster.deliver(from, to, 0);
                self.cluster.sync(to);
                self.cluster.apply(to, usize::MAX);
            }
            if let Some(heir) = self.leader_but(leader) {
                self.token += 1;
                let data = self.token.to_string();
                self.cluster.propose(heir, self.token, data.as_bytes());
            }
            self.cluster.lease(leader);
            self.cluster.lease(to);
        }
        self.cluster.settle(&[]);
    }

    fn any(&mut self) -> u32 {
        1 + self.random.below(u64::from(self.nodes)) as u32
    }
}

fn run(seed: u64) -> u64 {
    let mut run = Run::new(seed);
    for _ in 0..6 {
        if run.random.one_in(2) { run.sleep() } else { run.hand_over() }
    }
    run.cluster.seen.lease_reads
}

#[test]
fn whoever_sleeps_or_hands_over_reads_nothing_that_another_has_changed() {
    let reads: u64 = (0..60).map(run).sum();
    assert!(reads > 2_000, "only {reads} reads were by lease");
}
