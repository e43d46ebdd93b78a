//! Nodes in one process, with a simulated disk and a clock each. Time passes only when the test says
//! so, and a seed draws the order of everything.
//!
//! What runs on a machine from its start to its end is a `Life`: the replication of a node (`world`)
//! or a whole node (`statements`). What Python does for either in production (dialling, campaigning,
//! carrying bytes) is done here.
//!
//! - A node may end by itself only for an error of its disk that the test made.
//! - After each `poll` the Raft machines are asked whether they are sound.
//! - A node that wants to sleep is at rest: a second `poll` at once finds nothing to do.
//! - Nothing here knows what is written or read.

use std::path::Path;
use std::sync::Arc;

use phantom_base::sync::{AtomicU64, Ordering};
use phantom_base::{Clock, Error, GroupId, Map, Nanos, NodeId, Random, SeededRandom, sqlstate};
use phantom_node::FEATURES;
use phantom_node::frame::BadFrame;
use phantom_node::link::STREAMS;
use phantom_node::replication::{Formation, FormedMember, Replication, form};
use phantom_node::runtime::Runtime;
use phantom_node::runtime::real::RealSpawner;
use phantom_vfs::{Crash, FaultScript, SimFs, Vfs};
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use crate::clock::MS;
use crate::clock::NodeClock;
use crate::links::Links;
use crate::trouble::Troubled;

/// The directory of every node, on its own disk.
pub const DIR: &str = "data";
/// Mixed with the seed, so that no two runs are one cluster.
const CLUSTER: u64 = 0x0057_A7E0;
/// Between an election that is due and the campaign, at most.
const BACK_OFF_MAX: Nanos = 300 * MS;
/// How much longer a node without room on its disk lets the others try.
const PATIENCE_WHEN_FULL: Nanos = 3_000 * MS;

/// With less than this on its disk a write of a node may fail.
const FULL: u64 = 1 << 20;

/// What a life is begun with.
pub struct Place {
    pub fs: Arc<dyn Vfs>,
    pub cluster: u64,
    pub runtime: Arc<Runtime>,
    pub clock: Arc<dyn Clock>,
    pub random: Box<dyn Random>,
}

/// What one `poll` of a node has for the outside.
pub struct Polled {
    /// Peers and streams with bytes to send.
    pub out: Vec<(NodeId, u8)>,
    /// Groups for which an election is due.
    pub elections: Vec<GroupId>,
    /// What happened, for the trace.
    pub told: Vec<u8>,
    /// Whether anything was done.
    pub moved: bool,
    /// How long nothing will be; 0 while there is more.
    pub sleep_ns: Nanos,
}

/// What runs on a machine from its start to its end.
pub trait Life: Sized {
    /// What all lives of a simulation share.
    type Common: Default;

    fn open(place: Place, common: &mut Self::Common) -> Result<Self, Error>;
    fn runtime(&self) -> &Runtime;
    fn replication(&mut self) -> &mut Replication;
    fn disconnected(&mut self, peer: NodeId);
    fn feed(&mut self, peer: NodeId, stream: u8, bytes: &[u8]) -> Result<usize, BadFrame>;
    fn poll(&mut self, id: NodeId, common: &mut Self::Common) -> Result<Polled, Error>;

    /// The power has gone.
    fn ended(self, _common: &mut Self::Common) {}
}

pub struct Node<L> {
    pub id: NodeId,
    pub fs: SimFs,
    pub clock: Arc<NodeClock>,
    pub up: Option<L>,
    pub paused_until: Nanos,
    /// How long its log takes to be durable.
    pub sync_ns: Nanos,
    /// Nothing becomes durable before.
    pub hangs_until: Nanos,
    /// How often it was started.
    pub lives: u64,
    /// When to campaign, by group.
    campaigns: Map<GroupId, Nanos>,
}

pub struct Machines<L: Life> {
    pub random: SeededRandom,
    pub nodes: Vec<Node<L>>,
    pub links: Links,
    pub common: L::Common,
    seed: u64,
    time: Arc<AtomicU64>,
    trace: u64,
    last_token: u64,
}

impl<L: Life> Machines<L> {
    /// Formed nodes with fresh disks; none runs.
    pub fn new(seed: u64, nodes: u32) -> Self {
        let member = |n| FormedMember {
            node: NodeId(n),
            name: format!("n{n}"),
            address: format!("127.0.0.1:{}", 7_000 + n),
        };
        let members: Vec<_> = (1..=nodes).map(member).collect();
        let disk = |n: u32| {
            let fs = SimFs::new(seed ^ u64::from(n) << 40);
            let (node, members) = (NodeId(n), members.clone());
            let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
            let formation = Formation { cluster: CLUSTER ^ seed, node, members };
            form(&vfs, Path::new(DIR), &formation, b"").expect("a fresh disk");
            (node, fs)
        };
        Self::on_disks(seed, (1..=nodes).map(disk).collect())
    }

    /// Nodes on disks that were formed before.
    pub fn on_disks(seed: u64, disks: Vec<(NodeId, SimFs)>) -> Self {
        let mut random = SeededRandom::new(seed);
        let time = Arc::new(AtomicU64::new(1_000 * MS));
        let node = |(id, fs)| Node {
            id,
            fs,
            clock: Arc::new(NodeClock::of(Arc::clone(&time))),
            up: None,
            paused_until: 0,
            sync_ns: 0,
            hangs_until: 0,
            lives: 0,
            campaigns: Map::new(),
        };
        let nodes: Vec<_> = disks.into_iter().map(node).collect();
        let links = Links::new(nodes.len(), &mut random);
        let common = L::Common::default();
        Self { random, nodes, links, common, seed, time, trace: seed, last_token: 0 }
    }

    pub fn now(&self) -> Nanos {
        self.time.load(Ordering::Relaxed)
    }

    pub fn is_paused(&self, n: usize) -> bool {
        self.nodes[n].paused_until > self.now()
    }

    pub fn up(&mut self, n: usize) -> &mut L {
        self.nodes[n].up.as_mut().expect("it runs")
    }

    /// A token that nothing else has.
    pub fn token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }

    /// Mixes something that happened into the trace.
    pub fn note(&mut self, what: &[u8]) {
        self.trace = xxh3_64_with_seed(what, self.trace);
    }

    /// A hash over all that was sent and told, and of every call to every disk.
    pub fn trace(&self) -> u64 {
        self.nodes.iter().fold(self.trace, |hash, node| hash ^ node.fs.trace_hash())
    }

    /// Starts a node.
    ///
    /// # Errors
    /// Those of opening its directory.
    pub fn open(&mut self, n: usize) -> Result<(), Error> {
        let node = &mut self.nodes[n];
        assert!(node.up.is_none(), "{} runs", node.id);
        node.lives += 1;
        node.campaigns.clear();
        let random = SeededRandom::new(self.seed).fork(node.lives << 8 | n as u64);
        let place = Place {
            fs: Arc::new(node.fs.clone()),
            cluster: CLUSTER ^ self.seed,
            runtime: Arc::new(Runtime::inline(Arc::new(RealSpawner), random.fork(1))),
            clock: Arc::clone(&node.clock) as _,
            random: Box::new(random.fork(2)),
        };
        node.up = Some(L::open(place, &mut self.common)?);
        Ok(())
    }

    /// Starts a node whose disk may fail as the test said: then it ends and is started later.
    pub fn start(&mut self, n: usize) {
        if let Err(error) = self.open(n) {
            self.fell(n, &error);
        }
    }

    /// A node ended by an error, as only its disk may make it.
    fn fell(&mut self, n: usize, error: &Error) {
        let fs = &self.nodes[n].fs;
        let has_failed = fs.faults_fired().iter().any(|fired| *fired > 0);
        let is_full = fs.space().expect("a simulated disk tells").free < FULL;
        let is_of_the_disk = [sqlstate::IO_ERROR, sqlstate::DISK_FULL].contains(&error.sqlstate);
        assert!(is_of_the_disk && (has_failed || is_full), "{}: {error:?}", self.nodes[n].id);
        // What it wrote last may or may not be on the disk.
        self.crash(n, Crash::AnySubset(50));
    }

    /// The power goes; what was not synced survives as `policy` says.
    pub fn crash(&mut self, n: usize, policy: Crash) {
        let seed = self.random.next_u64();
        let node = &mut self.nodes[n];
        node.fs.stop();
        if let Some(up) = node.up.take() {
            up.ended(&mut self.common);
        }
        node.fs = node.fs.crash(seed, policy);
        self.note(b"crash");
        for other in (0..self.nodes.len()).filter(|other| *other != n) {
            self.reset(n, other);
        }
    }

    /// Breaks the connection of a pair; both ends notice.
    pub fn reset(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            self.links.lose(from, to);
            let peer = self.nodes[to].id;
            if let Some(up) = &mut self.nodes[from].up {
                up.disconnected(peer);
            }
        }
    }

    /// Connects whoever is not connected and can be.
    pub fn dial(&mut self) {
        for (a, b) in self.links.to_dial() {
            let mut incarnation =
                |n: usize| Some(self.nodes[n].up.as_mut()?.replication().incarnation());
            let (Some(of_a), Some(of_b)) = (incarnation(a), incarnation(b)) else { continue };
            self.reset(a, b);
            self.links.mend(a, b);
            for (from, to, of_peer) in [(a, b, of_b), (b, a, of_a)] {
                let peer = self.nodes[to].id;
                self.up(from).replication().connected(peer, of_peer, FEATURES).expect("a member");
            }
        }
    }

    /// Lets time pass and delivers what has arrived by then, in the order of each stream.
    pub fn pass(&mut self, time: Nanos) {
        self.time.fetch_add(time, Ordering::Relaxed);
        let now = self.now();
        for (from, to) in self.links.all() {
            for stream in 0..STREAMS {
                while self.nodes[to].up.is_some() && !self.is_paused(to) {
                    let Some(bytes) = self.links.arrived((from, to, stream), now) else { break };
                    if !self.feed((from, to, stream), &bytes) {
                        break;
                    }
                }
            }
        }
    }

    /// Feeds bytes in pieces; whether all were taken.
    fn feed(&mut self, way: (usize, usize, usize), bytes: &[u8]) -> bool {
        self.note(bytes);
        let (from, to, stream) = way;
        let peer = self.nodes[from].id;
        let mut rest = bytes;
        while !rest.is_empty() {
            let piece = 1 + self.random.below(2 * bytes.len() as u64) as usize;
            let (head, _) = rest.split_at(piece.min(rest.len()));
            match self.up(to).feed(peer, stream as u8, head) {
                Ok(0) => {
                    let (rest, now) = (rest.to_vec(), self.now());
                    self.links.put_back(way, rest, now);
                    return false;
                }
                Ok(taken) => rest = &rest[taken..],
                // Not trouble of the network's making: a replica has broken a rule.
                Err(lie @ (BadFrame::Contradiction(_) | BadFrame::Entry(_))) => {
                    panic!("{peer} to node {to}: {lie}")
                }
                Err(_) => {
                    self.reset(from, to);
                    return false;
                }
            }
        }
        true
    }

    /// Lets a node run; it ends if its disk failed.
    pub fn run(&mut self, n: usize, items: u64) {
        if let Err(error) = self.try_run(n, items) {
            self.fell(n, &error);
        }
    }

    /// Some background items, then `poll`, then the node's bytes onto the links.
    ///
    /// # Errors
    /// What ends the node.
    pub fn try_run(&mut self, n: usize, items: u64) -> Result<(), Error> {
        let now = self.now();
        if self.is_paused(n) {
            return Ok(());
        }
        let Self { nodes, common, random, .. } = self;
        let node = &mut nodes[n];
        let Some(up) = &mut node.up else { return Ok(()) };
        let at = node.clock.monotonic_ns();
        let pending = up.replication().engine().log().pace(at).pending;
        up.runtime().let_log_wait(now < node.hangs_until || (1..node.sync_ns).contains(&pending));
        for _ in 0..items {
            if !up.runtime().step() {
                break;
            }
        }
        let due: Vec<_> =
            node.campaigns.iter().filter(|(_, at)| **at <= now).map(|(gid, _)| *gid).collect();
        for gid in due {
            node.campaigns.remove(&gid);
            let _ = up.replication().campaign(&[gid], true);
        }
        let polled = up.poll(node.id, common)?;
        if polled.sleep_ns > 0 {
            let again = up.poll(node.id, common)?;
            assert!(!again.moved, "{} sleeps for {} ns over work", node.id, polled.sleep_ns);
            assert!(again.elections.is_empty() && again.told.is_empty() && again.sleep_ns > 0);
        }
        let broken = up.replication().check();
        assert!(broken.is_empty(), "{broken:#?}");
        let patience = if up.replication().disk().is_short() { PATIENCE_WHEN_FULL } else { 0 };
        for gid in polled.elections {
            let wait = patience + random.below(BACK_OFF_MAX);
            node.campaigns.entry(gid).or_insert(now + wait);
        }
        self.note(&polled.told);
        for (peer, stream) in polled.out {
            let limit = 1 + self.random.below(64 << 10) as usize;
            let to = self.nodes.iter().position(|node| node.id == peer).expect("a member");
            let replication = self.up(n).replication();
            let Some(bytes) = replication.take_out(peer, stream, limit) else { continue };
            self.links.send((n, to, usize::from(stream)), bytes, now, &mut self.random);
        }
        Ok(())
    }

    /// One step in which nothing is wrong.
    pub fn calm_step(&mut self, time: Nanos) {
        self.dial();
        self.pass(time);
        (0..self.nodes.len()).for_each(|n| self.run(n, 100));
    }
}

impl<L: Life> Troubled for Machines<L> {
    fn random(&mut self) -> &mut SeededRandom {
        &mut self.random
    }

    fn count(&self) -> usize {
        self.nodes.len()
    }

    fn now(&self) -> Nanos {
        Self::now(self)
    }

    fn is_up(&self, n: usize) -> bool {
        self.nodes[n].up.is_some()
    }

    fn start(&mut self, n: usize) {
        Self::start(self, n);
    }

    fn crash(&mut self, n: usize, policy: Crash) {
        Self::crash(self, n, policy);
    }

    fn pause(&mut self, n: usize, until: Nanos) {
        self.nodes[n].paused_until = until;
    }

    fn set_wall(&mut self, n: usize, offset_ns: i64) {
        self.nodes[n].clock.offset_ns.store(offset_ns, Ordering::Relaxed);
    }

    fn set_sync(&mut self, n: usize, sync_ns: Nanos) {
        self.nodes[n].sync_ns = sync_ns;
    }

    fn hang(&mut self, n: usize, until: Nanos) {
        self.nodes[n].hangs_until = until;
    }

    fn set_faults(&mut self, n: usize, script: FaultScript) {
        self.nodes[n].fs.set_faults(script);
    }

    fn set_packets(&mut self, slow: u64, flip: u64) {
        (self.links.slow, self.links.flip) = (slow, flip);
    }

    fn cut(&mut self, from: usize, to: usize) {
        self.links.cut(from, to);
    }

    fn lose(&mut self, from: usize, to: usize) {
        self.links.lose(from, to);
    }

    fn reset(&mut self, a: usize, b: usize) {
        Self::reset(self, a, b);
    }

    fn mend_links(&mut self) {
        self.links.join_all();
    }

    fn calm_links(&mut self) {
        self.links.calm();
    }

    fn dial(&mut self) {
        Self::dial(self);
    }

    fn pass(&mut self, time: Nanos) {
        Self::pass(self, time);
    }

    fn run(&mut self, n: usize, items: u64) {
        Self::run(self, n, items);
    }
}
