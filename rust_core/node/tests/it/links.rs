//! The links between simulated nodes.
//!
//! A link is two streams of bytes each way, as TCP gives them: in order on a stream, in any order
//! between streams and peers, delayed, and lost only by losing all that follows until both ends
//! connect again. Beyond what TCP does, packets may be repeated and bits may flip. Nothing here knows
//! what the bytes say.

use std::collections::VecDeque;

use phantom_base::{Map, Nanos, Random, SeededRandom, Set};
use phantom_node::link::STREAMS;

use crate::machines::MS;
use crate::trouble::sometimes;

struct Packet {
    at: Nanos,
    bytes: Vec<u8>,
}

/// One direction of a pair.
struct Way {
    streams: [VecDeque<Packet>; STREAMS],
    /// Everything is lost until the pair connects again.
    broken: bool,
    delay_max: Nanos,
}

/// All links of a cluster.
pub struct Links {
    ways: Map<(usize, usize), Way>,
    /// Pairs that cannot connect.
    cuts: Set<(usize, usize)>,
    /// One in so many packets takes 20 times as long; 0 is never, here and below.
    pub slow: u64,
    /// One in so many packets is repeated.
    pub repeat: u64,
    /// One in so many packets has a bit flipped.
    pub flip: u64,
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Links {
    /// Links of so many nodes, none of them up.
    pub fn new(nodes: usize, random: &mut SeededRandom) -> Self {
        let mut ways = Map::new();
        for from in 0..nodes {
            for to in (0..nodes).filter(|to| *to != from) {
                let delay_max = MS / 10 + random.below(20 * MS);
                let streams = Default::default();
                ways.insert((from, to), Way { streams, broken: true, delay_max });
            }
        }
        Self { ways, cuts: Set::new(), slow: 0, repeat: 0, flip: 0 }
    }

    fn way(&mut self, from: usize, to: usize) -> &mut Way {
        self.ways.get_mut(&(from, to)).expect("a pair of nodes")
    }

    /// Loses what is under way from one to the other, and all that follows.
    pub fn lose(&mut self, from: usize, to: usize) {
        let way = self.way(from, to);
        way.broken = true;
        way.streams = Default::default();
    }

    /// Lets bytes through again.
    pub fn mend(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            self.lose(from, to);
            self.way(from, to).broken = false;
        }
    }

    /// The pair cannot connect until `join_all`.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.cuts.insert(pair(a, b));
        self.lose(a, b);
        self.lose(b, a);
    }

    /// Nothing is wrong with any link any more.
    pub fn calm(&mut self) {
        self.join_all();
        (self.slow, self.repeat, self.flip) = (0, 0, 0);
    }

    /// Every pair can connect.
    pub fn join_all(&mut self) {
        self.cuts.clear();
    }

    /// Pairs that are not connected both ways, and could be.
    pub fn to_dial(&self) -> Vec<(usize, usize)> {
        let broken = |(a, b): &(usize, usize)| {
            a < b && (self.ways[&(*a, *b)].broken || self.ways[&(*b, *a)].broken)
        };
        let all = self.ways.keys().copied();
        all.filter(broken).filter(|pair| !self.cuts.contains(pair)).collect()
    }

    /// Every direction.
    pub fn all(&self) -> Vec<(usize, usize)> {
        self.ways.keys().copied().collect()
    }

    /// Puts bytes under way.
    pub fn send(
        &mut self,
        (from, to, stream): (usize, usize, usize),
        mut bytes: Vec<u8>,
        now: Nanos,
        random: &mut SeededRandom,
    ) {
        let (slow, repeat, flip) = (self.slow, self.repeat, self.flip);
        let way = self.way(from, to);
        if way.broken {
            return;
        }
        if sometimes(random, flip) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        let mut delay = random.below(way.delay_max);
        if sometimes(random, slow) {
            delay *= 20;
        }
        let queue = &mut way.streams[stream];
        let at = queue.back().map_or(0, |packet| packet.at).max(now + delay);
        if sometimes(random, repeat) {
            queue.push_back(Packet { at, bytes: bytes.clone() });
        }
        queue.push_back(Packet { at, bytes });
    }

    /// The next bytes of a stream, if they have arrived.
    pub fn arrived(
        &mut self,
        (from, to, stream): (usize, usize, usize),
        now: Nanos,
    ) -> Option<Vec<u8>> {
        let queue = &mut self.way(from, to).streams[stream];
        let due = queue.front().is_some_and(|packet| packet.at <= now);
        due.then(|| queue.pop_front().expect("just seen").bytes)
    }

    /// Puts back what the receiver did not take yet.
    pub fn put_back(
        &mut self,
        (from, to, stream): (usize, usize, usize),
        bytes: Vec<u8>,
        now: Nanos,
    ) {
        self.way(from, to).streams[stream].push_front(Packet { at: now + MS, bytes });
    }
}
