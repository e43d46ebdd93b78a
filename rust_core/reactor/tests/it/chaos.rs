//! Drawn trouble on every socket: each statement ends, is answered by what was asked, and when all
//! clients have gone nothing is held for them.

use phantom_base::{Random, SeededRandom};
use phantom_reactor::net::sim::SimTrouble;

use crate::client::{Client, query};
use crate::cluster::{Cluster, MS, Plan};

const CLIENTS: usize = 8;

struct Asking {
    client: Client,
    node: usize,
    asked: Vec<u64>,
}

impl Asking {
    fn new(cluster: &Cluster, node: usize) -> Self {
        Self { client: Client::connect(cluster, node), node, asked: Vec::new() }
    }

    /// What it has heard is what it has asked, in that order.
    fn check(&self) {
        let values = self.client.values();
        let asked: Vec<String> = self.asked.iter().map(u64::to_string).collect();
        assert!(asked.starts_with(&values), "{values:?} for {asked:?}");
    }
}

fn run(seed: u64) -> u64 {
    let mut cluster = Cluster::serving(Plan { seed, ..Plan::of(3) });
    let mut random = SeededRandom::new(seed).fork(7);
    let mut one_in = |most: u64| if random.one_in(2) { 0 } else { 2 + random.below(most) };
    let (short, again, slow) = (one_in(10), one_in(10), one_in(50));
    let (reset, hang_up, flip) = (one_in(200), one_in(100), one_in(400));
    let delay_max = 1 + random.below(10 * MS);
    let trouble = SimTrouble { short, again, slow, flip, nodes: 3, delay_max };
    cluster.net.set_trouble(trouble);
    let mut all: Vec<_> = (0..CLIENTS).map(|n| Asking::new(&cluster, n % 3)).collect();
    let mut answered = 0;
    for tick in 0..1_500 {
        let sometimes =
            |random: &mut SeededRandom, one_in: u64| one_in > 0 && random.one_in(one_in);
        if sometimes(&mut random, reset) {
            let (a, b) = (random.below(3) as usize, random.below(4) as usize);
            cluster.net.reset(a, b);
            cluster.net.reset(b, a);
        }
        for asking in &mut all {
            asking.client.pump();
            if asking.client.has_ended || sometimes(&mut random, hang_up) {
                asking.check();
                answered += asking.client.values().len() as u64;
                let next = Asking::new(&cluster, asking.node);
                std::mem::replace(asking, next).client.close();
            } else if asking.client.ready() > asking.asked.len() {
                asking.asked.push(tick);
                asking.client.say(&query(&format!("SELECT {tick}")));
            }
        }
        let time = 1 + random.below(3 * MS);
        cluster.pass(time);
        (0..3).for_each(|n| cluster.run(n, random.below(20)));
    }
    cluster.net.set_trouble(SimTrouble::default());
    for asking in &mut all {
        cluster.until("every statement ends", |_| {
            asking.client.pump();
            asking.client.has_ended || asking.client.ready() > asking.asked.len()
        });
        asking.check();
        answered += asking.client.values().len() as u64;
    }
    for asking in all {
        asking.client.close();
    }
    cluster.until("nothing is held", |cluster| {
        (0..3).all(|n| {
            let (_, sessions, links) = cluster.up(n).doors.counts();
            let counted = cluster.counter(n, "sessions") + cluster.counter(n, "flows");
            sessions == 0 && counted == 0 && links == 2
        })
    });
    answered
}

#[test]
fn every_statement_ends_and_nothing_is_held_for_who_has_gone() {
    let seeds = std::env::var("PHANTOM_SEEDS").map_or(20, |count| count.parse().unwrap());
    let first = std::env::var("PHANTOM_FIRST_SEED").map_or(1, |first| first.parse().unwrap());
    let answered: u64 = (first..first + seeds)
        .map(|seed| {
            println!("seed {seed}");
            run(seed)
        })
        .sum();
    assert!(answered > 100 * seeds, "too little happened: {answered}");
}
