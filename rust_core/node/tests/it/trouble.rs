//! The trouble that any simulation may have, drawn by its seed: machines that fall, pause and whose
//! clocks and disks are wrong, and links that break, delay and flip bits.
//!
//! A run has about half of all kinds, each as often as the seed says, so that no kind hides another.
//! What only one simulation has, it draws itself with `strength`.

use phantom_base::sync::Ordering;
use phantom_base::{Nanos, Random, SeededRandom};
use phantom_vfs::{Crash, FaultScript};

use crate::links::sometimes;
use crate::machines::{Life, MS, Machines};

/// The slowest sync that ends, and the longest that hangs.
const SYNC_MAX_MS: u64 = 2_000;
const HANG_MAX: Nanos = 15_000 * MS;

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
    pub fn draw<L: Life>(machines: &mut Machines<L>, rarity: u64) -> Self {
        let random = &mut machines.random;
        machines.links.slow = strength(random, 5, 100);
        machines.links.flip = strength(random, 200, 5_200);
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
    pub fn strike<L: Life>(&self, machines: &mut Machines<L>) {
        self.strike_a_node(machines);
        self.strike_a_link(machines);
    }

    fn strike_a_node<L: Life>(&self, machines: &mut Machines<L>) {
        let n = any(machines);
        if sometimes(&mut machines.random, self.crash) && machines.nodes[n].up.is_some() {
            let policy = any_policy(&mut machines.random);
            machines.crash(n, policy);
        }
        if machines.nodes[n].up.is_none() && machines.random.one_in(60) {
            machines.start(n);
        }
        if sometimes(&mut machines.random, self.pause) {
            let pause = machines.random.below(3_000 * MS);
            machines.nodes[n].paused_until = machines.now() + pause;
        }
        if sometimes(&mut machines.random, self.clock) {
            let most_ms = [100, 45_000, 8 * 3_600_000][machines.random.below(3) as usize];
            set_clock(machines, n, most_ms);
        }
        if sometimes(&mut machines.random, self.slow_disk) {
            slow_down(machines, n);
        }
        if sometimes(&mut machines.random, self.hung_disk) {
            let hangs = machines.random.below(HANG_MAX);
            machines.nodes[n].hangs_until = machines.now() + hangs;
        }
        if sometimes(&mut machines.random, self.disk_error) {
            let script = FaultScript::parse("op=sync class=log nth=1 -> error(EIO)");
            machines.nodes[n].fs.set_faults(script.expect("a script"));
        }
    }

    fn strike_a_link<L: Life>(&self, machines: &mut Machines<L>) {
        let (n, m) = (any(machines), any(machines));
        if n != m {
            if sometimes(&mut machines.random, self.cut) {
                machines.links.cut(n, m);
            }
            if sometimes(&mut machines.random, self.reset) {
                machines.reset(n, m);
            }
            if sometimes(&mut machines.random, self.lose) {
                machines.links.lose(n, m);
            }
        }
        if machines.random.one_in(200) {
            machines.links.join_all();
        }
        if machines.random.one_in(20) {
            machines.dial();
        }
    }

    /// Lets some time pass and every node run for a while.
    pub fn tick<L: Life>(&self, machines: &mut Machines<L>) {
        let step = 1 + machines.random.below(self.tick_max);
        machines.pass(step);
        for n in 0..machines.nodes.len() {
            let items = machines.random.below(self.items_max + 1);
            machines.run(n, items);
        }
    }
}

/// Any of the nodes.
pub fn any<L: Life>(machines: &mut Machines<L>) -> usize {
    machines.random.below(machines.nodes.len() as u64) as usize
}

/// Lets the log of a node, or of every node, take from 1 ms to 2 s from now on, or no time again.
fn slow_down<L: Life>(machines: &mut Machines<L>, n: usize) {
    let most_ms = [1, 20, 200, SYNC_MAX_MS][machines.random.below(4) as usize];
    let sync_ns = machines.random.below(most_ms) * MS;
    let all = machines.random.one_in(3);
    for (at, node) in machines.nodes.iter_mut().enumerate() {
        if all || at == n {
            node.sync_ns = sync_ns;
        }
    }
}

/// Puts a node's wall clock up to so many milliseconds before or after the others'.
pub fn set_clock<L: Life>(machines: &mut Machines<L>, n: usize, most_ms: i64) {
    let offset = machines.random.below(2 * most_ms.cast_unsigned()).cast_signed() - most_ms;
    machines.nodes[n].clock.offset_ns.store(offset * MS.cast_signed(), Ordering::Relaxed);
}

/// All trouble ends, and every node runs.
pub fn end<L: Life>(machines: &mut Machines<L>) {
    machines.links.calm();
    for n in 0..machines.nodes.len() {
        let node = &mut machines.nodes[n];
        node.paused_until = 0;
        (node.sync_ns, node.hangs_until) = (0, 0);
        node.clock.offset_ns.store(0, Ordering::Relaxed);
        node.fs.set_faults(FaultScript::default());
        if node.up.is_none() {
            machines.start(n);
        }
    }
}

/// The power goes everywhere at once.
pub fn crash_all<L: Life>(machines: &mut Machines<L>) {
    for n in 0..machines.nodes.len() {
        let policy = any_policy(&mut machines.random);
        machines.crash(n, policy);
    }
}
