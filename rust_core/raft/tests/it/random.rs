//! Clusters under a seed: everything that may happen, in any order, and the invariants that must
//! hold whatever happens. `PHANTOM_SEEDS` sets how many seeds run, `PHANTOM_SEED` runs one.

use std::sync::Arc;

use phantom_base::{LogIndex, OFFSET_MAX_MS, Random, SeededRandom};
use phantom_raft::{Limits, RoleName, Room};

use crate::cluster::{Cluster, GROUP};

struct Chaos {
    cluster: Cluster,
    random: SeededRandom,
    token: u64,
    /// What each node has flushed: after a crash it is not applied again.
    flushed: Vec<u64>,
    /// One in so many messages is lost, repeated, reordered; 0 is never.
    lose: u64,
    repeat: u64,
    reorder: u64,
    crash: u64,
    /// Leaders fall and rise all the time.
    stormy: bool,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut random = SeededRandom::new(seed);
        let nodes = 1 + random.below(5) as u32;
        let mut strength = |most: u64| if random.one_in(3) { 0 } else { 2 + random.below(most) };
        let (lose, repeat, reorder) = (strength(30), strength(30), strength(10));
        let crash = strength(100);
        let stormy = random.one_in(3);
        let limits = Limits {
            append_bytes: if random.one_in(2) { 8 } else { 1 << 20 },
            window_messages: 1 + random.below(8) as usize,
            window_bytes: 64,
            alone_bytes: 40,
            uncommitted_group_bytes: 200,
            ..Limits::default()
        };
        let mut cluster = Cluster::new(nodes, limits, seed);
        cluster.has_clocks = random.one_in(2);
        (1..=nodes).for_each(|n| cluster.start(n, 0));
        let flushed = vec![0; nodes as usize];
        Self { cluster, random, token: 0, flushed, lose, repeat, reorder, crash, stormy }
    }

    fn any_node(&mut self) -> u32 {
        1 + self.random.below(self.cluster.nodes.len() as u64) as u32
    }

    fn chance(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.random.one_in(one_in)
    }

    fn deliver_one(&mut self) {
        let open = self.cluster.links.iter().filter(|(_, queue)| !queue.is_empty());
        let links: Vec<_> = open.map(|(link, queue)| (*link, queue.len())).collect();
        if links.is_empty() {
            return;
        }
        let ((from, to), waiting) = links[self.random.below(links.len() as u64) as usize];
        let at = if self.chance(self.reorder) { self.random.below(waiting as u64) } else { 0 };
        if self.chance(self.repeat) {
            let queue = self.cluster.links.get_mut(&(from, to)).expect("chosen");
            queue.push_back(queue[at as usize].clone());
        }
        if self.chance(self.lose) {
            self.cluster.links.get_mut(&(from, to)).expect("chosen").remove(at as usize);
        } else {
            self.cluster.deliver(from, to, at as usize);
        }
    }

    fn step(&mut self) {
        let n = self.any_node();
        if !self.cluster.is_up(n) {
            if self.random.one_in(20) {
                self.cluster.start(n, self.flushed[n as usize - 1]);
            }
            return;
        }
        if self.stormy && self.random.one_in(15) {
            return self.storm(n);
        }
        if self.chance(self.crash) && self.random.one_in(5) {
            let pending = self.cluster.node(n).log.pending() as u64;
            let kept = self.random.below(pending + 1) as usize;
            return self.cluster.crash(n, kept);
        }
        match self.random.below(40) {
            0..=19 => self.deliver_one(),
            20..=25 => self.cluster.sync(n),
            26..=29 => {
                let count = 1 + self.random.below(4) as usize;
                self.cluster.apply(n, count);
            }
            30..=32 => {
                self.cluster.now += self.random.below(60_000_000);
                (1..=self.flushed.len() as u32).for_each(|n| self.cluster.tick(n));
            }
            33..=35 => {
                self.token += 1;
                let data = format!("{:.<1$}", self.token, 1 + self.random.below(60) as usize);
                self.cluster.propose(n, self.token, data.as_bytes());
            }
            36 | 37 if !self.cluster.lease(n) => {
                self.token += 1;
                self.cluster.barrier(n, self.token);
            }
            36 | 37 => self.step_clock(n),
            38 => self.decide(n),
            _ => self.flush_and_release(n),
        }
    }

    /// A clock steps forward, so far that the others still believe it.
    fn step_clock(&mut self, n: u32) {
        if self.random.one_in(4) {
            let ahead_ms = self.random.below(OFFSET_MAX_MS);
            let node = self.cluster.node(n);
            node.ahead_ms = node.ahead_ms.max(ahead_ms);
        }
    }

    /// Two stand in one term, and a voter crashes between them: it must not have two votes.
    fn rivals(&mut self) {
        let (one, other, voter) = (self.any_node(), self.any_node(), self.any_node());
        if one == other || one == voter || other == voter {
            return;
        }
        let now = self.cluster.now;
        for candidate in [one, other] {
            let _ = self.cluster.machine(candidate).campaign(now, GROUP, false);
            self.cluster.pump(candidate);
            self.cluster.sync(candidate);
        }
        self.cluster.deliver(one, voter, 0);
        if self.random.one_in(2) {
            let pending = self.cluster.node(voter).log.pending() as u64;
            let kept = self.random.below(pending + 1) as usize;
            self.cluster.crash(voter, kept);
            self.cluster.start(voter, 0);
        }
        self.cluster.deliver(other, voter, 0);
        self.cluster.sync(voter);
        for candidate in [one, other] {
            (0..4).for_each(|_| self.cluster.deliver(voter, candidate, 0));
        }
    }

    /// One message there, synced, and one back.
    fn exchange(&mut self, leader: u32, follower: u32) {
        self.cluster.deliver(leader, follower, 0);
        self.cluster.sync(follower);
        self.cluster.deliver(follower, leader, 0);
    }

    /// Silence, after which two nodes campaign at once.
    fn storm(&mut self, n: u32) {
        self.cluster.now += 2_100_000_000;
        (1..=self.flushed.len() as u32).for_each(|n| self.cluster.tick(n));
        let rival = self.any_node();
        for candidate in [n, rival] {
            if self.cluster.is_up(candidate) {
                let now = self.cluster.now;
                let _ = self.cluster.machine(candidate).campaign(now, GROUP, false);
                self.cluster.pump(candidate);
            }
        }
    }

    fn decide(&mut self, n: u32) {
        let now = self.cluster.now;
        let (prevote, peer) = (!self.random.one_in(4), self.any_node());
        match self.random.below(9) {
            8 => {
                let rooms = [Room::None, Room::Short, Room::Enough];
                let drawn = rooms[self.random.below(3) as usize];
                self.cluster.machine(n).set_room(drawn);
            }
            0 if self.random.one_in(2) => drop(self.cluster.machine(n).leave(now, GROUP)),
            0 => drop(self.cluster.machine(n).step_down(now, GROUP)),
            1 if peer != n => self.cluster.machine(n).connected(phantom_base::NodeId(peer)),
            _ => drop(self.cluster.machine(n).campaign(now, GROUP, prevote)),
        }
        self.cluster.pump(n);
    }

    fn flush_and_release(&mut self, n: u32) {
        let flushed = self.cluster.node(n).applied.len() as u64;
        self.flushed[n as usize - 1] = flushed;
        let all_have = self.cluster.machine(n).all_have(GROUP).expect("the group").0;
        let upto = LogIndex(all_have.min(flushed));
        self.cluster.machine(n).released(GROUP, upto);
        self.cluster.node(n).log.release(upto);
    }

    /// Faults end: everybody must agree and everything acknowledged must be there.
    fn heal(&mut self) {
        let nodes = self.flushed.len() as u32;
        for n in 1..=nodes {
            if !self.cluster.is_up(n) {
                self.cluster.start(n, self.flushed[n as usize - 1]);
            }
            self.cluster.machine(n).set_room(Room::Enough);
        }
        self.token += 1;
        let data = format!("last {}", self.token);
        for _ in 0..400 {
            self.cluster.now += 50_000_000;
            for n in 1..=nodes {
                self.cluster.tick(n);
                let now = self.cluster.now;
                if self.random.one_in(20) {
                    let _ = self.cluster.machine(n).campaign(now, GROUP, true);
                    self.cluster.pump(n);
                }
            }
            self.cluster.settle(&[]);
            let leader = (1..=nodes).find(|n| {
                let status = self.cluster.machine(*n).status(GROUP).expect("the group");
                status.role == RoleName::Leader
            });
            if let Some(leader) = leader
                && !self.cluster.seen.proposals.contains_key(&self.token)
            {
                self.cluster.propose(leader, self.token, data.as_bytes());
            }
            let last = |n: u32| self.cluster.nodes[n as usize - 1].applied.last();
            let has = |n| last(n).is_some_and(|entry| *entry.data == *data.as_bytes());
            if (1..=nodes).all(has) {
                return;
            }
        }
        panic!("no service after the faults ended");
    }
}

/// One leader after another falls while it replicates to a few, one entry a message: figure 8 of
/// the Raft paper, over and over. Some rounds begin with two rivals and a voter that crashes.
fn falling_leaders(seed: u64) {
    let limits = Limits { append_bytes: 1, window_messages: 1, ..Limits::default() };
    let mut chaos = Chaos::new(seed);
    let nodes = if seed.is_multiple_of(2) { 5 } else { 3 };
    let mut cluster = Cluster::new(nodes, limits, seed);
    (1..=nodes).for_each(|n| cluster.start(n, 0));
    (chaos.cluster, chaos.flushed) = (cluster, vec![0; nodes as usize]);
    for _ in 0..80 {
        // Silence; what was under way is lost.
        chaos.cluster.links.clear();
        chaos.cluster.now += 2_100_000_000;
        (1..=nodes).for_each(|n| chaos.cluster.tick(n));
        if chaos.random.one_in(4) {
            chaos.rivals();
            continue;
        }
        let leader = chaos.any_node();
        let now = chaos.cluster.now;
        let _ = chaos.cluster.machine(leader).campaign(now, GROUP, false);
        chaos.cluster.pump(leader);
        chaos.cluster.sync(leader);
        let reached: Vec<u32> = (0..3).map(|_| chaos.any_node()).filter(|n| *n != leader).collect();
        for follower in &reached {
            chaos.exchange(leader, *follower);
        }
        if chaos.random.one_in(2) {
            chaos.token += 1;
            let data = chaos.token.to_string();
            chaos.cluster.propose(leader, chaos.token, data.as_bytes());
        }
        for _ in 0..chaos.random.below(8) {
            match chaos.random.below(reached.len() as u64 + 1) as usize {
                n if n < reached.len() => chaos.exchange(leader, reached[n]),
                _ => chaos.cluster.sync(leader),
            }
        }
        chaos.cluster.apply(leader, usize::MAX);
        chaos.cluster.seen.lines.clear();
    }
    chaos.heal();
    chaos.cluster.seen.judge_superseded();
}

fn run(seed: u64) -> [u64; 3] {
    let mut chaos = Chaos::new(seed);
    for _ in 0..3_000 {
        chaos.step();
        chaos.cluster.seen.lines.clear();
    }
    chaos.heal();
    let world = &chaos.cluster.seen;
    world.judge_superseded();
    let all: Vec<Arc<[u8]>> =
        world.committed().values().map(|entry| Arc::clone(&entry.data)).collect();
    for node in &chaos.cluster.nodes {
        let applied: Vec<_> = node.applied.iter().map(|entry| Arc::clone(&entry.data)).collect();
        assert_eq!(applied, all, "{} applied something else", node.id);
    }
    assert!(world.acknowledged <= all.len() as u64, "acknowledged entries survive");
    [world.acknowledged, world.superseded.len() as u64, world.lease_reads]
}

fn seeds(most: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().expect(name));
    match number("PHANTOM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PHANTOM_SEEDS").unwrap_or(most),
    }
}

fn caught<T>(seed: u64, run: impl FnOnce() -> T + std::panic::UnwindSafe) -> T {
    std::panic::catch_unwind(run).unwrap_or_else(|_| {
        panic!("replay: PHANTOM_SEED={seed} cargo test -p phantom_raft --test it random");
    })
}

#[test]
fn leaders_that_fall_while_they_replicate_lose_nothing() {
    for seed in seeds(200) {
        caught(seed, || falling_leaders(seed));
    }
}

#[test]
fn nothing_acknowledged_is_lost_whatever_happens() {
    let seeds = seeds(500);
    let mut total = [0; 3];
    for seed in seeds.clone() {
        let counts = caught(seed, || run(seed));
        total = std::array::from_fn(|i| total[i] + counts[i]);
    }
    let [acknowledged, superseded, lease_reads] = total;
    println!("acknowledged, superseded, read by lease: {total:?}");
    if seeds.end - seeds.start >= 100 {
        assert!(acknowledged > 1_000, "only {acknowledged} proposals went through");
        assert!(superseded > 10, "only {superseded} proposals were superseded");
        assert!(lease_reads > 1_000, "only {lease_reads} reads were by lease");
    }
}
