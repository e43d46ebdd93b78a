//! Nodes, disks, clocks and links in one process. Time passes only when the test says so.
//!
//! A link is two streams of bytes with an order; bytes are lost only by losing all that follow
//! until both ends connect again, as with TCP. Frames may be repeated and arrive in any split.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use phantom_base::sync::{AtomicU64, Mutex, Ordering};
use phantom_base::{
    Clock, GroupId, Map, Nanos, NodeId, Random, SeededRandom, Set, Timestamp, sqlstate,
};
use phantom_lsm::{Batch, Keyspace};
use phantom_node::link::STREAMS;
use phantom_node::replication::entry::{BoundTable, EntryKind, encode_batch};
use phantom_node::replication::{Effects, Formation, FormedMember, Replication, Settings, form};
use phantom_node::runtime::Runtime;
use phantom_node::runtime::real::RealSpawner;
use phantom_raft::{Event, Limits};
use phantom_vfs::{Crash, SimFs, Vfs};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::judge::{Judge, Witness};

pub const MS: Nanos = 1_000_000;
pub const GROUPS: [GroupId; 2] = [GroupId::SYSTEM, GroupId::ROWS];
/// Mixed with the seed, so that no two runs are one cluster.
const CLUSTER: u64 = 0x00C0_FFEE;
const DIR: &str = "data";
/// Wall time at the start: 2024 or so.
const EPOCH_NS: i64 = 1_700_000_000_000_000_000;

/// World time, and how far this node's wall clock is off.
pub struct NodeClock {
    world: Arc<AtomicU64>,
    pub offset_ns: AtomicI64,
}

impl NodeClock {
    /// A clock that nobody moves.
    pub fn still() -> Self {
        Self::of(Arc::new(AtomicU64::new(MS)))
    }

    /// A clock that shows the time of a world.
    pub fn of(world: Arc<AtomicU64>) -> Self {
        Self { world, offset_ns: AtomicI64::new(0) }
    }
}

impl Clock for NodeClock {
    fn wall_ns(&self) -> Nanos {
        let now = self.world.load(Ordering::Relaxed).cast_signed();
        (EPOCH_NS + now + self.offset_ns.load(Ordering::Relaxed)).cast_unsigned()
    }

    fn monotonic_ns(&self) -> Nanos {
        self.world.load(Ordering::Relaxed)
    }
}

pub struct Up {
    pub replication: Replication,
    pub runtime: Arc<Runtime>,
    /// Tokens that this life owes an answer.
    pub owed: Set<u64>,
    /// When to campaign, by group: the controller's back-off.
    campaigns: Map<GroupId, Nanos>,
}

pub struct Node {
    pub id: NodeId,
    pub fs: SimFs,
    pub clock: Arc<NodeClock>,
    pub up: Option<Up>,
    pub paused_until: Nanos,
    lives: u64,
}

struct Packet {
    at: Nanos,
    bytes: Vec<u8>,
}

/// One direction of a pair of nodes.
#[derive(Default)]
struct Wire {
    streams: [VecDeque<Packet>; STREAMS],
    /// Everything is lost until the pair connects again.
    broken: bool,
    delay_max: Nanos,
}

pub struct World {
    pub seed: u64,
    pub random: SeededRandom,
    pub nodes: Vec<Node>,
    pub judge: Arc<Mutex<Judge>>,
    pub trace: u64,
    /// One in so many packets is repeated; 0 is never.
    pub repeat: u64,
    /// One in so many packets has a bit flipped.
    pub flip: u64,
    /// One in so many packets takes 20 times as long.
    pub slow: u64,
    time: Arc<AtomicU64>,
    wires: Map<(usize, usize), Wire>,
    /// Pairs that cannot connect.
    pub cuts: Set<(usize, usize)>,
    next_token: u64,
    /// What nodes have told since somebody cleared it.
    pub events: Vec<(NodeId, Event)>,
    pub log_bytes_max: u64,
    pub disk_reserve: Option<u64>,
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl World {
    pub fn new(seed: u64, nodes: u32) -> Self {
        let mut random = SeededRandom::new(seed);
        let time = Arc::new(AtomicU64::new(1_000 * MS));
        let members: Vec<_> = (1..=nodes)
            .map(|n| FormedMember {
                node: NodeId(n),
                name: format!("n{n}"),
                address: String::new(),
            })
            .collect();
        let make = |n: u32| {
            let fs = SimFs::new(seed ^ u64::from(n) << 40);
            let (node, members) = (NodeId(n), members.clone());
            let formation = Formation { cluster: CLUSTER ^ seed, node, members };
            let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
            form(&vfs, Path::new(DIR), &formation, b"").expect("a fresh disk");
            let clock = Arc::new(NodeClock::of(Arc::clone(&time)));
            Node { id: NodeId(n), fs, clock, up: None, paused_until: 0, lives: 0 }
        };
        let nodes: Vec<_> = (1..=nodes).map(make).collect();
        let mut wires = Map::new();
        for from in 0..nodes.len() {
            for to in (0..nodes.len()).filter(|to| *to != from) {
                let delay_max = MS / 10 + random.below(20 * MS);
                wires.insert((from, to), Wire { broken: true, delay_max, ..Wire::default() });
            }
        }
        Self {
            seed,
            random,
            nodes,
            judge: Arc::default(),
            trace: seed,
            repeat: 0,
            flip: 0,
            slow: 0,
            time,
            wires,
            cuts: Set::new(),
            next_token: 1,
            events: Vec::new(),
            log_bytes_max: 1 << 30,
            disk_reserve: None,
        }
    }

    pub fn now(&self) -> Nanos {
        self.time.load(Ordering::Relaxed)
    }

    pub fn pass(&mut self, time: Nanos) {
        self.time.fetch_add(time, Ordering::Relaxed);
    }

    fn note(&mut self, what: &[u8]) {
        self.trace = xxh3_64_with_seed(what, self.trace);
    }

    pub fn start(&mut self, n: usize) {
        let seed = self.seed;
        let judge = Arc::clone(&self.judge);
        let node = &mut self.nodes[n];
        assert!(node.up.is_none());
        node.lives += 1;
        let random = SeededRandom::new(seed).fork(node.lives << 8 | n as u64);
        let runtime = Arc::new(Runtime::inline(Arc::new(RealSpawner), random.fork(1)));
        let settings = Settings {
            cluster: Some(CLUSTER ^ seed),
            limits: Limits::default(),
            memory_bytes: 16 << 20,
            memtable_bytes: 64 << 10,
            segment_bytes: 64 << 10,
            release_entries: 4,
            log_bytes_max: self.log_bytes_max,
            disk_reserve: self.disk_reserve,
            observer: Box::new(Witness(judge)),
            ..Settings::default()
        };
        let fs: Arc<dyn Vfs> = Arc::new(node.fs.clone());
        let clock = Arc::clone(&node.clock) as _;
        let runtime_too = Arc::clone(&runtime);
        let dir = Path::new(DIR);
        let opened =
            Replication::open(fs, dir, settings, runtime_too, clock, Box::new(random.fork(2)));
        let replication = match opened {
            Ok(replication) => replication,
            // The drawn disk error came while it opened: the process ends and starts again.
            Err(error) if node.fs.faults_fired().iter().any(|fired| *fired > 0) => {
                assert_eq!(error.sqlstate(), sqlstate::IO_ERROR, "{}: {error}", node.id);
                return self.crash(n, Crash::AnySubset(50));
            }
            Err(error) if error.sqlstate() == sqlstate::DISK_FULL => {
                return self.crash(n, Crash::AnySubset(50));
            }
            Err(error) => panic!("{} opens: {error}", node.id),
        };
        node.up = Some(Up { replication, runtime, owed: Set::new(), campaigns: Map::new() });
    }

    /// The power goes; what was not synced survives as `policy` says.
    pub fn crash(&mut self, n: usize, policy: Crash) {
        let seed = self.random.next_u64();
        let node = &mut self.nodes[n];
        node.fs.stop();
        if let Some(up) = node.up.take() {
            self.judge.lock().forget(&up.owed);
        }
        node.fs = node.fs.crash(seed, policy);
        for other in (0..self.nodes.len()).filter(|other| *other != n) {
            self.reset(n, other);
        }
        self.note(b"crash");
    }

    /// Breaks the connection of a pair; both ends notice.
    pub fn reset(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            let wire = self.wires.get_mut(&(from, to)).expect("a pair");
            wire.broken = true;
            wire.streams = Default::default();
            let peer = NodeId(to as u32 + 1);
            if let Some(up) = &mut self.nodes[from].up {
                up.replication.disconnected(peer);
            }
        }
    }

    /// From here on the bytes of one direction are lost, and nobody notices.
    pub fn lose(&mut self, from: usize, to: usize) {
        let wire = self.wires.get_mut(&(from, to)).expect("a pair");
        wire.broken = true;
        wire.streams = Default::default();
    }

    /// Dials whoever is not connected and can be.
    pub fn dial(&mut self) {
        for a in 0..self.nodes.len() {
            for b in a + 1..self.nodes.len() {
                let broken = self.wires[&(a, b)].broken || self.wires[&(b, a)].broken;
                if broken && !self.cuts.contains(&pair(a, b)) {
                    self.connect(a, b);
                }
            }
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        let incarnation = |n: usize| Some(self.nodes[n].up.as_ref()?.replication.incarnation());
        let (Some(of_a), Some(of_b)) = (incarnation(a), incarnation(b)) else { return };
        self.reset(a, b);
        for (from, to, of_peer) in [(a, b, of_b), (b, a, of_a)] {
            self.wires.get_mut(&(from, to)).expect("a pair").broken = false;
            let up = self.nodes[from].up.as_mut().expect("it runs");
            up.replication.connected(NodeId(to as u32 + 1), of_peer).expect("a member");
        }
    }

    /// Delivers what is due, in the order of each stream.
    pub fn deliver(&mut self) {
        let now = self.now();
        let keys: Vec<_> = self.wires.keys().copied().collect();
        for (from, to) in keys {
            if self.nodes[to].up.is_some() && now >= self.nodes[to].paused_until {
                for stream in 0..STREAMS {
                    while let Some(bytes) = self.take_due(from, to, stream) {
                        self.feed(from, to, stream as u8, &bytes);
                    }
                }
            }
        }
    }

    fn take_due(&mut self, from: usize, to: usize, stream: usize) -> Option<Vec<u8>> {
        let now = self.now();
        let wire = self.wires.get_mut(&(from, to)).expect("a pair");
        let queue = &mut wire.streams[stream];
        let due = queue.front().is_some_and(|packet| packet.at <= now);
        due.then(|| queue.pop_front().expect("just seen").bytes)
    }

    fn feed(&mut self, from: usize, to: usize, stream: u8, bytes: &[u8]) {
        self.note(bytes);
        let peer = NodeId(from as u32 + 1);
        let mut at = 0;
        while at < bytes.len() {
            let piece = 1 + self.random.below(2 * bytes.len() as u64) as usize;
            let end = (at + piece).min(bytes.len());
            let up = self.nodes[to].up.as_mut().expect("it runs");
            match up.replication.feed(peer, stream, &bytes[at..end]) {
                Ok(fed) => assert_eq!(fed, end - at, "Raft's own bytes press nobody back"),
                Err(_) => return self.reset(from, to),
            }
            at = end;
        }
    }

    /// Lets a node run: some background items, then `poll`, then its bytes onto the wires.
    pub fn run(&mut self, n: usize, items: u64) {
        let now = self.now();
        if self.nodes[n].up.is_none() || now < self.nodes[n].paused_until {
            return;
        }
        let up = self.nodes[n].up.as_mut().expect("it runs");
        for _ in 0..items {
            if !up.runtime.step() {
                break;
            }
        }
        let due: Vec<_> =
            up.campaigns.iter().filter(|(_, at)| **at <= now).map(|(gid, _)| *gid).collect();
        for gid in due {
            up.campaigns.remove(&gid);
            let _ = up.replication.campaign(&[gid], true);
        }
        match up.replication.poll(2 * MS) {
            Ok(effects) => self.take_effects(n, &effects),
            Err(_) => {
                // The process ends; what it wrote last may or may not be on the disk.
                self.crash(n, Crash::AnySubset(50));
            }
        }
    }

    fn take_effects(&mut self, n: usize, effects: &Effects) {
        let now = self.now();
        let id = self.nodes[n].id;
        let up = self.nodes[n].up.as_mut().expect("it runs");
        let mut judge = self.judge.lock();
        for done in &effects.done {
            up.owed.remove(&done.token);
            judge.done(done);
        }
        for answer in &effects.barriers {
            up.owed.remove(&answer.token);
            judge.barrier(answer);
        }
        let mut events = String::new();
        for event in &effects.events {
            write!(events, "{event:?}").expect("a string");
            judge.event(id, event);
            self.events.push((id, event.clone()));
            if let Event::ElectionDue(gids) = event {
                // As the controller does: a full node lets the others try first.
                let patience = if up.replication.disk().is_short() { 3_000 * MS } else { 0 };
                for gid in gids {
                    let wait = patience + self.random.below(300 * MS);
                    up.campaigns.entry(*gid).or_insert(now + wait);
                }
            }
        }
        for gid in GROUPS {
            judge.mark(id, gid, up.replication.status(gid).expect("a group").mark);
        }
        let broken = up.replication.check();
        assert!(broken.is_empty(), "{broken:#?}");
        drop(judge);
        self.note(events.as_bytes());
        for (peer, stream) in &effects.out {
            self.transmit(n, *peer, *stream);
        }
    }

    fn transmit(&mut self, n: usize, peer: NodeId, stream: u8) {
        let (now, to) = (self.now(), peer.0 as usize - 1);
        let limit = 1 + self.random.below(64 << 10) as usize;
        let up = self.nodes[n].up.as_mut().expect("it runs");
        let Some(mut bytes) = up.replication.take_out(peer, stream, limit) else { return };
        let wire = self.wires.get_mut(&(n, to)).expect("a pair");
        if wire.broken {
            return;
        }
        if self.flip > 0 && self.random.one_in(self.flip) {
            let at = self.random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << self.random.below(8);
        }
        let mut delay = self.random.below(wire.delay_max);
        if self.slow > 0 && self.random.one_in(self.slow) {
            delay *= 20;
        }
        let queue = &mut wire.streams[usize::from(stream)];
        let at = queue.back().map_or(0, |packet| packet.at).max(now + delay);
        if self.repeat > 0 && self.random.one_in(self.repeat) {
            queue.push_back(Packet { at, bytes: bytes.clone() });
        }
        queue.push_back(Packet { at, bytes });
    }

    /// Proposes a write of `bytes` to a group through a node; refused if it does not lead.
    pub fn propose(&mut self, n: usize, gid: GroupId, bytes: usize) -> Option<u64> {
        let up = self.nodes[n].up.as_mut()?;
        let stamp = up.replication.tick_hlc()?;
        let token = self.next_token;
        let body = write_body(gid, token, bytes);
        let index = up.replication.propose(gid, EntryKind::Batch, &body, token).ok()?;
        self.next_token += 1;
        up.owed.insert(token);
        self.judge.lock().propose(token, gid, index, stamp);
        Some(token)
    }

    pub fn barrier(&mut self, n: usize, gid: GroupId) {
        let Some(up) = self.nodes[n].up.as_mut() else { return };
        let token = self.next_token;
        if up.replication.barrier(gid, token).is_ok() {
            self.next_token += 1;
            up.owed.insert(token);
            self.judge.lock().ask(token, gid);
        }
    }

    /// Every acknowledged write is there and no superseded one is, on every node.
    pub fn judge_contents(&self) {
        let judge = self.judge.lock();
        for node in &self.nodes {
            let engine = node.up.as_ref().expect("all run at the end").replication.engine();
            for gid in GROUPS {
                let has = |token: &u64| {
                    let key = key_of(gid, *token);
                    engine.get(None, Keyspace::INTENTS, &key).expect("a read").is_some()
                };
                for token in judge.kept.get(&gid).into_iter().flatten() {
                    assert!(has(token), "{}: {gid} lost acknowledged write {token}", node.id);
                }
                for token in judge.lost.get(&gid).into_iter().flatten() {
                    assert!(!has(token), "{}: {gid} has superseded write {token}", node.id);
                }
            }
        }
    }

    /// Whether all nodes have applied the same, which is all that is committed.
    pub fn has_converged(&self) -> bool {
        let status = |node: &Node, gid| node.up.as_ref()?.replication.status(gid);
        GROUPS.iter().all(|gid| {
            let all: Vec<_> = self.nodes.iter().map(|node| status(node, *gid)).collect();
            let leads = |s: &phantom_node::replication::Status| s.group.members.len() > 1;
            let has_leader = all.iter().flatten().any(leads) || self.nodes.len() == 1;
            let last = all.iter().flatten().map(|s| s.group.last).max();
            has_leader && all.iter().all(|s| s.as_ref().map(|s| s.mark.index) == last)
        })
    }

    /// Leaves so much free on a node's disk.
    pub fn leave_free(&self, n: usize, bytes: u64) {
        let fs = &self.nodes[n].fs;
        let space = fs.space().expect("a simulated disk tells");
        fs.set_budget(space.total - space.free + bytes);
    }

    pub fn disk_hash(&self) -> u64 {
        self.nodes.iter().fold(self.trace, |hash, node| hash ^ node.fs.trace_hash())
    }
}

fn key_of(gid: GroupId, token: u64) -> Vec<u8> {
    [gid.0.to_be_bytes(), token.to_be_bytes()].concat()
}

fn write_body(gid: GroupId, token: u64, bytes: usize) -> Vec<u8> {
    let mut ops = Batch::new();
    ops.put(Keyspace::INTENTS, &key_of(gid, token), &vec![token as u8; bytes]);
    ops.put_at(Keyspace::DATA, b"row", Timestamp::from_ms(token).0, &token.to_le_bytes());
    let mut txn = [0; 16];
    txn[..8].copy_from_slice(&token.to_le_bytes());
    encode_batch(txn, &[BoundTable { oid: 1, version: 1 }], ops.bytes())
}
