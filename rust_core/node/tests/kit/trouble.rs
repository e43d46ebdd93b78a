//! The trouble that any simulation may have, drawn by its seed: machines that fall, pause and whose
//! clocks and disks are wrong, and links that break, delay and flip bits.
//!
//! A run has about half of all kinds, each as often as the seed says, so that no kind hides another.
//! What only one simulation has, it draws itself with `strength`.

use phantom_base::{Nanos, Random, SeededRandom};
use phantom_vfs::{Crash, FaultScript};

use crate::clock::MS;

/// The slowest sync that ends, and the longest that hangs.
const SYNC_MAX_MS: u64 = 2_000;
const HANG_MAX: Nanos = 15_000 * MS;

/// Nodes on machines, and what lies between them.
pub trait Troubled {
    fn random(&mut self) -> &mut SeededRandom;
    fn count(&self) -> usize;
    fn now(&self) -> Nanos;
    fn is_up(&self, n: usize) -> bool;
    fn start(&mut self, n: usize);
    fn crash(&mut self, n: usize, policy: Crash);
    fn pause(&mut self, n: usize, until: Nanos);
    /// Its wall clock is so far off.
    fn set_wall(&mut self, n: usize, offset_ns: i64);
    /// Its log takes so long to be durable.
    fn set_sync(&mut self, n: usize, sync_ns: Nanos);
    /// Nothing of it becomes durable before.
    fn hang(&mut self, n: usize, until: Nanos);
    fn set_faults(&mut self, n: usize, script: FaultScript);
    /// One in so many packets is slow, or has a bit flipped.
    fn set_packets(&mut self, slow: u64, flip: u64);
    fn cut(&mut self, from: usize, to: usize);
    fn lose(&mut self, from: usize, to: usize);
    fn reset(&mut self, a: usize, b: usize);
    /// Nothing is cut any more.
    fn mend_links(&mut self);
    /// Nothing is wrong with any link any more.
    fn calm_links(&mut self);
    fn dial(&mut self);
    fn pass(&mut self, time: Nanos);
    fn run(&mut self, n: usize, items: u64);
}

/// Whether something that happens one in so many times happens now; 0 is never.
pub fn sometimes(random: &mut SeededRandom, one_in: u64) -> bool {
    one_in > 0 && random.one_in(one_in)
}

/// How often each kind comes: one in so many ticks; 0 is never.
pub struct Trouble {
    crash: u64,
    pause: u64,
    cut: u64,
    reset: u64,
    lose: u64,
    clock: u64,
    slow_disk: u64,
    hung_disk: u64,
    disk_error: u64,
    tick_max: Nanos,
    items_max: u64,
}

/// How often a kind of trouble comes in this run; 0 in every other run.
pub fn strength(random: &mut SeededRandom, least: u64, most: u64) -> u64 {
    if random.one_in(2) { 0 } else { least + random.below(most - least) }
}

fn any_policy(random: &mut SeededRandom) -> Crash {
    match random.below(4) {
        0 => Crash::LoseAll,
        1 => Crash::KeepAll,
        2 => Crash::PrefixOfOps,
        _ => Crash::AnySubset(1 + random.below(99) as u8),
    }
}

impl Trouble {
    /// Draws what a run has. A longer run has it `rarity` times as rarely.
    pub fn draw(machines: &mut impl Troubled, rarity: u64) -> Self {
        let random = machines.random();
        let (slow, flip) = (strength(random, 5, 100), strength(random, 200, 5_200));
        machines.set_packets(slow, flip);
        let random = machines.random();
        let mut every = |least, most| strength(random, least * rarity, most * rarity);
        Self {
            crash: every(50, 600),
            pause: every(50, 600),
            cut: every(50, 500),
            reset: every(15, 500),
            lose: every(50, 500),
            clock: every(50, 500),
            slow_disk: every(50, 500),
            hung_disk: every(200, 1_000),
            disk_error: every(300, 1_500),
            tick_max: MS + strength(random, 1, 30) * MS,
            items_max: 1 + strength(random, 2, 60),
        }
    }

    /// The trouble of one tick.
    pub fn strike(&self, machines: &mut impl Troubled) {
        self.strike_a_node(machines);
        self.strike_a_link(machines);
    }

    fn strike_a_node(&self, machines: &mut impl Troubled) {
        let n = any(machines);
        if sometimes(machines.random(), self.crash) && machines.is_up(n) {
            let policy = any_policy(machines.random());
            machines.crash(n, policy);
        }
        if !machines.is_up(n) && machines.random().one_in(60) {
            machines.start(n);
        }
        if sometimes(machines.random(), self.pause) {
            let pause = machines.random().below(3_000 * MS);
            let until = machines.now() + pause;
            machines.pause(n, until);
        }
        if sometimes(machines.random(), self.clock) {
            let most_ms = [100, 45_000, 8 * 3_600_000][machines.random().below(3) as usize];
            set_clock(machines, n, most_ms);
        }
        if sometimes(machines.random(), self.slow_disk) {
            slow_down(machines, n);
        }
        if sometimes(machines.random(), self.hung_disk) {
            let hangs = machines.random().below(HANG_MAX);
            let until = machines.now() + hangs;
            machines.hang(n, until);
        }
        if sometimes(machines.random(), self.disk_error) {
            let script = FaultScript::parse("op=sync class=log nth=1 -> error(EIO)");
            machines.set_faults(n, script.expect("a script"));
        }
    }

    fn strike_a_link(&self, machines: &mut impl Troubled) {
        let (n, m) = (any(machines), any(machines));
        if n != m {
            if sometimes(machines.random(), self.cut) {
                machines.cut(n, m);
            }
            if sometimes(machines.random(), self.reset) {
                machines.reset(n, m);
            }
            if sometimes(machines.random(), self.lose) {
                machines.lose(n, m);
            }
        }
        if machines.random().one_in(200) {
            machines.mend_links();
        }
        if machines.random().one_in(20) {
            machines.dial();
        }
    }

    /// Lets some time pass and every node run for a while.
    pub fn tick(&self, machines: &mut impl Troubled) {
        let step = 1 + machines.random().below(self.tick_max);
        machines.pass(step);
        for n in 0..machines.count() {
            let items = machines.random().below(self.items_max + 1);
            machines.run(n, items);
        }
    }
}

/// Any of the nodes.
pub fn any(machines: &mut impl Troubled) -> usize {
    let count = machines.count() as u64;
    machines.random().below(count) as usize
}

/// Lets the log of a node, or of every node, take from 1 ms to 2 s from now on, or no time again.
fn slow_down(machines: &mut impl Troubled, n: usize) {
    let most_ms = [1, 20, 200, SYNC_MAX_MS][machines.random().below(4) as usize];
    let sync_ns = machines.random().below(most_ms) * MS;
    let all = machines.random().one_in(3);
    for at in 0..machines.count() {
        if all || at == n {
            machines.set_sync(at, sync_ns);
        }
    }
}

/// Puts a node's wall clock up to so many milliseconds before or after the others'.
pub fn set_clock(machines: &mut impl Troubled, n: usize, most_ms: i64) {
    let offset = machines.random().below(2 * most_ms.cast_unsigned()).cast_signed() - most_ms;
    machines.set_wall(n, offset * MS.cast_signed());
}

/// All trouble ends, and every node runs.
pub fn end(machines: &mut impl Troubled) {
    machines.calm_links();
    for n in 0..machines.count() {
        machines.pause(n, 0);
        machines.set_sync(n, 0);
        machines.hang(n, 0);
        machines.set_wall(n, 0);
        machines.set_faults(n, FaultScript::default());
        if !machines.is_up(n) {
            machines.start(n);
        }
    }
}

/// The power goes everywhere at once.
pub fn crash_all(machines: &mut impl Troubled) {
    for n in 0..machines.count() {
        let policy = any_policy(machines.random());
        machines.crash(n, policy);
    }
}
