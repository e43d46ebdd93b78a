//! Clusters of three and five under drawn trouble. `seeds` says which seeds run:
//!
//! ```text
//! PHANTOM_SEED=7 cargo test -p phantom_node --test it chaos
//! ```

use phantom_base::Random;

use crate::machines::MS;
use crate::seeds;
use crate::trouble::{self, Trouble, sometimes, strength};
use crate::world::{GROUPS, World};

/// Runs are this many times as long as those of whole nodes, and have trouble as much more rarely.
const RARITY: u64 = 2;

struct Run {
    world: World,
    trouble: Trouble,
    /// One in so many ticks the clocks of a machine run ahead of all others.
    jump: u64,
    /// One in so many writes is large.
    large: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let nodes = if seed.is_multiple_of(3) { 5 } else { 3 };
        let mut world = World::new(seed, nodes);
        let trouble = Trouble::draw(&mut world, RARITY);
        let random = &mut world.random;
        let (jump, large) = (strength(random, 1_500, 6_000), strength(random, 50, 500));
        world.links.repeat = strength(random, 5, 105);
        (0..nodes as usize).for_each(|n| world.start(n));
        Self { world, trouble, jump, large }
    }

    fn tick(&mut self) {
        self.trouble.strike(&mut self.world);
        if sometimes(&mut self.world.random, self.jump) {
            // Nobody believes it until the others have come as far.
            let n = trouble::any(&mut self.world);
            let by = self.world.random.below(3_000 * MS);
            self.world.nodes[n].clock.run_ahead(by);
        }
        self.work();
        self.trouble.tick(&mut self.world);
    }

    fn work(&mut self) {
        let n = trouble::any(&mut self.world);
        let gid = GROUPS[self.world.random.below(2) as usize];
        for _ in 0..self.world.random.below(4) {
            let bytes = if sometimes(&mut self.world.random, self.large) { 600 << 10 } else { 300 };
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
                1 => drop(up.replication.leave(gid)),
                2 | 3 => drop(up.replication.campaign(&[gid], prevote)),
                _ => {}
            }
        }
    }

    /// Trouble ends; within a minute of simulated time everybody must have applied the same.
    fn heal(&mut self) {
        let world = &mut self.world;
        trouble::end(world);
        let end = world.now() + 60_000 * MS;
        let mut asked = false;
        while world.now() < end {
            world.calm_step(5 * MS);
            if world.has_converged() {
                if asked {
                    return;
                }
                // It must serve, too: a write and a barrier from everywhere.
                for n in 0..world.nodes.len() {
                    world.propose(n, GROUPS[1], 10);
                    world.barrier(n, GROUPS[0]);
                }
                asked = true;
            }
        }
        panic!("no service within a minute after the trouble ended");
    }
}

/// Runs one seed; returns its trace and how much happened: writes, barriers, elections,
/// reads by lease.
pub fn run(seed: u64) -> (u64, [u64; 4]) {
    let mut run = Run::new(seed);
    run.world.dial();
    let ticks = 2_000 + run.world.random.below(3_000);
    (0..ticks).for_each(|_| run.tick());
    run.heal();
    run.world.judge_contents();
    trouble::crash_all(&mut run.world);
    run.heal();
    run.world.judge_contents();
    let judge = run.world.common.judge.lock();
    let writes = judge.kept.values().map(|kept| kept.len() as u64).sum();
    (run.world.trace(), [writes, judge.barriers_opened, judge.elections, judge.lease_reads])
}

#[test]
fn nothing_acknowledged_is_lost_and_nobody_reads_the_past() {
    let (seeds, total) = seeds::run_all("chaos", 40, |seed| run(seed).1);
    println!("{seeds} seeds: [writes, barriers, elections, reads by lease] {total:?}");
    assert!(total.iter().all(|count| *count >= 2 * seeds), "too little happened: {total:?}");
}
