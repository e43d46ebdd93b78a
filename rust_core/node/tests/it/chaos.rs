//! Clusters of three and five under drawn faults. `PHANTOM_SEEDS` is how many seeds run, from
//! `PHANTOM_FIRST_SEED` on; `PHANTOM_SEED` runs one:
//!
//! ```text
//! PHANTOM_SEED=7 cargo test -p phantom_node --test it chaos
//! ```

use phantom_base::sync::Ordering;
use phantom_base::{Nanos, Random};
use phantom_vfs::{Crash, FaultScript};

use crate::world::{GROUPS, MS, World};

/// Which faults this run has, each as one in so many ticks; 0 is never.
struct Swarm {
    crash: u64,
    pause: u64,
    cut: u64,
    reset: u64,
    lose: u64,
    clock: u64,
    jump: u64,
    disk_error: u64,
    tick_max: Nanos,
    items_max: u64,
    large: u64,
}

impl Swarm {
    fn draw(world: &mut World) -> Self {
        let random = &mut world.random;
        let mut strength = |least: u64, most: u64| {
            if random.one_in(2) { 0 } else { least + random.below(most - least) }
        };
        let swarm = Self {
            crash: strength(100, 1_500),
            pause: strength(100, 1_500),
            cut: strength(100, 1_000),
            reset: strength(30, 1_000),
            lose: strength(100, 1_000),
            clock: strength(100, 1_000),
            jump: strength(1_500, 6_000),
            disk_error: strength(800, 3_000),
            tick_max: MS + strength(1, 30) * MS,
            items_max: 1 + strength(2, 60),
            large: strength(50, 500),
        };
        world.repeat = if world.random.one_in(2) { 0 } else { 5 + world.random.below(100) };
        world.flip = if world.random.one_in(2) { 0 } else { 200 + world.random.below(5_000) };
        world.slow = if world.random.one_in(2) { 0 } else { 5 + world.random.below(100) };
        swarm
    }
}

struct Run {
    world: World,
    swarm: Swarm,
}

impl Run {
    fn new(seed: u64) -> Self {
        let nodes = if seed.is_multiple_of(3) { 5 } else { 3 };
        let mut world = World::new(seed, nodes);
        let swarm = Swarm::draw(&mut world);
        (0..nodes as usize).for_each(|n| world.start(n));
        Self { world, swarm }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.world.random.one_in(one_in)
    }

    fn any(&mut self) -> usize {
        self.world.random.below(self.world.nodes.len() as u64) as usize
    }

    fn any_policy(&mut self) -> Crash {
        match self.world.random.below(4) {
            0 => Crash::LoseAll,
            1 => Crash::KeepAll,
            2 => Crash::PrefixOfOps,
            _ => Crash::AnySubset(1 + self.world.random.below(99) as u8),
        }
    }

    fn tick(&mut self) {
        let step = 1 + self.world.random.below(self.swarm.tick_max);
        self.world.pass(step);
        self.world.deliver();
        for n in 0..self.world.nodes.len() {
            let items = self.world.random.below(self.swarm.items_max + 1);
            self.world.run(n, items);
        }
    }

    fn trouble(&mut self) {
        let (n, m) = (self.any(), self.any());
        if self.chance(self.swarm.crash) && self.world.nodes[n].up.is_some() {
            let policy = self.any_policy();
            self.world.crash(n, policy);
        }
        if self.world.nodes[n].up.is_none() && self.world.random.one_in(60) {
            self.world.start(n);
        }
        if self.chance(self.swarm.pause) {
            let pause = self.world.random.below(3_000 * MS);
            self.world.nodes[n].paused_until = self.world.now() + pause;
        }
        if self.chance(self.swarm.clock) {
            // Two nodes are never more than the bound apart, or they would not speak at all.
            let offset = self.world.random.below(200).cast_signed() - 100;
            let clock = &self.world.nodes[n].clock;
            clock.offset_ns.store(offset * MS.cast_signed(), Ordering::Relaxed);
        }
        if self.chance(self.swarm.jump) {
            // Nobody speaks with it until it is back, and then its stamps are still ahead.
            let offset = self.world.random.below(6_000).cast_signed() - 3_000;
            let clock = &self.world.nodes[n].clock;
            clock.offset_ns.store(offset * MS.cast_signed(), Ordering::Relaxed);
        }
        if self.chance(self.swarm.disk_error) {
            let script = FaultScript::parse("op=sync class=log nth=1 -> error(EIO)");
            self.world.nodes[n].fs.set_faults(script.expect("a script"));
        }
        if n != m {
            if self.chance(self.swarm.cut) {
                self.world.cuts.insert((n.min(m), n.max(m)));
                self.world.lose(n, m);
                self.world.lose(m, n);
            }
            if self.chance(self.swarm.reset) {
                self.world.reset(n, m);
            }
            if self.chance(self.swarm.lose) {
                self.world.lose(n, m);
            }
        }
        if self.world.random.one_in(200) {
            self.world.cuts.clear();
        }
        if self.world.random.one_in(20) {
            self.world.dial();
        }
    }

    fn work(&mut self) {
        let n = self.any();
        let gid = GROUPS[self.world.random.below(2) as usize];
        for _ in 0..self.world.random.below(4) {
            let bytes = if self.chance(self.swarm.large) { 600 << 10 } else { 300 };
            let bytes = self.world.random.below(bytes) as usize;
            self.world.propose(n, gid, bytes);
        }
        if self.world.random.one_in(4) {
            self.world.barrier(n, gid);
        }
        let (wish, prevote) = (self.world.random.below(1_000), self.world.random.one_in(2));
        if let Some(up) = &mut self.world.nodes[n].up {
            match wish {
                0 => drop(up.replication.step_down(gid)),
                1 | 2 => drop(up.replication.campaign(&[gid], prevote)),
                _ => {}
            }
        }
    }

    /// Faults end; within a minute of simulated time everybody must have applied the same.
    fn heal(&mut self) {
        self.world.cuts.clear();
        (self.world.repeat, self.world.slow, self.world.flip) = (0, 0, 0);
        for n in 0..self.world.nodes.len() {
            let node = &mut self.world.nodes[n];
            node.paused_until = 0;
            node.clock.offset_ns.store(0, Ordering::Relaxed);
            node.fs.set_faults(FaultScript::default());
        }
        let end = self.world.now() + 60_000 * MS;
        let mut asked = false;
        while self.world.now() < end {
            for n in 0..self.world.nodes.len() {
                if self.world.nodes[n].up.is_none() {
                    self.world.start(n);
                }
            }
            self.world.dial();
            self.world.pass(5 * MS);
            self.world.deliver();
            (0..self.world.nodes.len()).for_each(|n| self.world.run(n, 100));
            if self.world.has_converged() {
                if asked {
                    return;
                }
                // It must serve, too: a write and a barrier from everywhere.
                for n in 0..self.world.nodes.len() {
                    self.world.propose(n, GROUPS[1], 10);
                    self.world.barrier(n, GROUPS[0]);
                }
                asked = true;
            }
        }
        panic!("no service within a minute after the faults ended");
    }
}

/// Runs one seed; returns its trace and how much happened: writes, barriers, elections.
pub fn run(seed: u64) -> (u64, [u64; 3]) {
    let mut run = Run::new(seed);
    run.world.dial();
    let ticks = 2_000 + run.world.random.below(3_000);
    for _ in 0..ticks {
        run.trouble();
        run.work();
        run.tick();
    }
    run.heal();
    run.world.judge_contents();
    // The power goes everywhere at once.
    for n in 0..run.world.nodes.len() {
        let policy = run.any_policy();
        run.world.crash(n, policy);
    }
    run.heal();
    run.world.judge_contents();
    let judge = run.world.judge.lock();
    let writes = judge.kept.values().map(|kept| kept.len() as u64).sum();
    (run.world.disk_hash(), [writes, judge.barriers_opened, judge.elections])
}

#[test]
fn nothing_acknowledged_is_lost_and_nobody_reads_the_past() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().expect(name));
    let first = number("PHANTOM_FIRST_SEED").unwrap_or(0);
    let count = number("PHANTOM_SEEDS").unwrap_or(40);
    let seeds = number("PHANTOM_SEED").map_or(first..first + count, |seed| seed..seed + 1);
    let mut total = [0; 3];
    for seed in seeds.clone() {
        let Ok((_, counts)) = std::panic::catch_unwind(|| run(seed)) else {
            panic!("replay: PHANTOM_SEED={seed} cargo test -p phantom_node --test it chaos");
        };
        total = std::array::from_fn(|i| total[i] + counts[i]);
    }
    let seeds = seeds.end - seeds.start;
    println!("{seeds} seeds: [writes, barriers, elections] {total:?}");
    assert!(total.iter().all(|count| *count >= 2 * seeds), "too little happened: {total:?}");
}
