//! Nodes, their disks and clocks, in one process. Time passes only when the test says so.
//!
//! A node here is a `NodeCore` with the inline runtime on a simulated disk: the shipped code, in an
//! order that the seed draws. What Python does for it in production (dialling, campaigning, carrying
//! bytes) is done here.

use std::path::Path;
use std::sync::Arc;

use phantom_base::sync::{AtomicU64, Ordering};
use phantom_base::{Error, GroupId, Map, Nanos, NodeId, Random, SeededRandom, Set, sqlstate};
use phantom_node::control::NodeSettings;
use phantom_node::core::{Effects, NodeCore};
use phantom_node::link::STREAMS;
use phantom_node::replication::{Formation, FormedMember, form};
use phantom_node::runtime::Runtime;
use phantom_node::runtime::real::RealSpawner;
use phantom_sql::catalog::Table;
use phantom_vfs::{Crash, SimFs, Vfs};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::client::{Answer, Client, Progress};
use super::control;
use super::links::Links;
use crate::world::{MS, NodeClock};

/// The directory of every node, on its own disk.
pub const DIR: &str = "data";
/// Mixed with the seed, so that no two runs are one cluster.
const CLUSTER: u64 = 0x0057_A7E0;
const SETTINGS: NodeSettings = NodeSettings { memory_bytes: 16 << 20, cores: 2, sessions_max: 100 };
/// Between an election that is due and the campaign, at most.
const BACK_OFF_MAX: Nanos = 300 * MS;
/// How long anything may take while there is no trouble, in simulated milliseconds.
const PATIENCE_MS: u64 = 60_000;

/// A node that runs.
pub struct Up {
    pub core: NodeCore,
    runtime: Arc<Runtime>,
    /// When to campaign, by group.
    campaigns: Map<GroupId, Nanos>,
    /// Sessions that have said that they have something.
    notices: Set<u64>,
    /// Ends of writes of system rows, by token.
    written: Map<u64, Vec<u8>>,
}

pub struct Node {
    pub id: NodeId,
    pub fs: SimFs,
    pub clock: Arc<NodeClock>,
    pub up: Option<Up>,
    pub paused_until: Nanos,
    lives: u64,
}

pub struct Cluster {
    pub random: SeededRandom,
    pub nodes: Vec<Node>,
    pub links: Links,
    seed: u64,
    time: Arc<AtomicU64>,
    trace: u64,
    next_token: u64,
}

impl Cluster {
    /// Formed nodes with fresh disks; none runs.
    pub fn new(seed: u64, nodes: u32) -> Self {
        let mut random = SeededRandom::new(seed);
        let time = Arc::new(AtomicU64::new(1_000 * MS));
        let member = |n| FormedMember {
            node: NodeId(n),
            name: format!("n{n}"),
            address: format!("127.0.0.1:{}", 7_000 + n),
        };
        let members: Vec<_> = (1..=nodes).map(member).collect();
        let make = |n: u32| {
            let fs = SimFs::new(seed ^ u64::from(n) << 40);
            let (node, members) = (NodeId(n), members.clone());
            let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
            let formation = Formation { cluster: CLUSTER ^ seed, node, members };
            form(&vfs, Path::new(DIR), &formation, b"").expect("a fresh disk");
            Self::node(node, fs, &time)
        };
        let nodes: Vec<_> = (1..=nodes).map(make).collect();
        let links = Links::new(nodes.len(), &mut random);
        Self { random, nodes, links, seed, time, trace: seed, next_token: 1 }
    }

    /// One node on a disk that was formed before.
    pub fn on_disk(seed: u64, node: NodeId, fs: SimFs) -> Self {
        let mut random = SeededRandom::new(seed);
        let time = Arc::new(AtomicU64::new(1_000 * MS));
        let nodes = vec![Self::node(node, fs, &time)];
        let links = Links::new(1, &mut random);
        Self { random, nodes, links, seed, time, trace: seed, next_token: 1 }
    }

    fn node(id: NodeId, fs: SimFs, time: &Arc<AtomicU64>) -> Node {
        let clock = Arc::new(NodeClock::of(Arc::clone(time)));
        Node { id, fs, clock, up: None, paused_until: 0, lives: 0 }
    }

    pub fn now(&self) -> Nanos {
        self.time.load(Ordering::Relaxed)
    }

    /// Mixes something that happened into the trace.
    pub fn note(&mut self, what: &[u8]) {
        self.trace = xxh3_64_with_seed(what, self.trace);
    }

    /// A hash over all that was sent and answered, and of every call to every disk.
    pub fn trace(&self) -> u64 {
        self.nodes.iter().fold(self.trace, |hash, node| hash ^ node.fs.trace_hash())
    }

    pub fn life(&self, n: usize) -> u64 {
        self.nodes[n].lives
    }

    pub fn is_paused(&self, n: usize) -> bool {
        self.nodes[n].paused_until > self.now()
    }

    pub fn core(&mut self, n: usize) -> &mut NodeCore {
        &mut self.nodes[n].up.as_mut().expect("it runs").core
    }

    /// Whether a session has said since the last time that it has something.
    pub fn take_notice(&mut self, n: usize, session: u64) -> bool {
        self.nodes[n].up.as_mut().expect("it runs").notices.remove(&session)
    }

    /// Starts a node.
    ///
    /// # Errors
    /// Those of opening its directory.
    pub fn open(&mut self, n: usize) -> Result<(), Error> {
        let seed = self.seed;
        let node = &mut self.nodes[n];
        assert!(node.up.is_none(), "{} runs", node.id);
        node.lives += 1;
        let random = SeededRandom::new(seed).fork(node.lives << 8 | n as u64);
        let runtime = Arc::new(Runtime::inline(Arc::new(RealSpawner), random.fork(1)));
        let fs: Arc<dyn Vfs> = Arc::new(node.fs.clone());
        let (clock, dir) = (Arc::clone(&node.clock) as _, Path::new(DIR));
        let random = Box::new(random.fork(2));
        let core = NodeCore::open(fs, dir, &SETTINGS, Arc::clone(&runtime), clock, random)?;
        node.up = Some(Up {
            core,
            runtime,
            campaigns: Map::new(),
            notices: Set::new(),
            written: Map::new(),
        });
        Ok(())
    }

    /// Starts a node whose disk may fail as the script said: then it ends and is started later.
    pub fn start(&mut self, n: usize) {
        if let Err(error) = self.open(n) {
            self.fell(n, &error);
        }
    }

    /// A node ended by an error, as only its disk may make it.
    pub fn fell(&mut self, n: usize, error: &Error) {
        let node = &self.nodes[n];
        let fired = node.fs.faults_fired().iter().any(|fired| *fired > 0);
        assert!(fired && error.sqlstate == sqlstate::IO_ERROR, "{}: {error:?}", node.id);
        self.crash(n, Crash::AnySubset(50));
    }

    /// The power goes; what was not synced survives as `policy` says.
    pub fn crash(&mut self, n: usize, policy: Crash) {
        let seed = self.random.next_u64();
        let node = &mut self.nodes[n];
        node.fs.stop();
        node.up = None;
        node.fs = node.fs.crash(seed, policy);
        self.note(b"crash");
        for other in (0..self.nodes.len()).filter(|other| *other != n) {
            self.reset(n, other);
        }
    }

    /// Ends a node as SIGTERM does.
    ///
    /// # Errors
    /// Those of its last sync.
    pub fn stop(&mut self, n: usize) -> Result<(), Error> {
        self.nodes[n].up.take().expect("it runs").core.close()
    }

    /// Breaks the connection of a pair; both ends notice.
    pub fn reset(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            self.links.lose(from, to);
            let peer = self.nodes[to].id;
            if let Some(up) = &mut self.nodes[from].up {
                up.core.disconnected(peer);
            }
        }
    }

    /// Connects whoever is not connected and can be.
    pub fn dial(&mut self) {
        for (a, b) in self.links.to_dial() {
            let incarnation = |cluster: &mut Self, n: usize| {
                let up = cluster.nodes[n].up.as_mut()?;
                Some(up.core.replication().incarnation())
            };
            let (of_a, of_b) = (incarnation(self, a), incarnation(self, b));
            let (Some(of_a), Some(of_b)) = (of_a, of_b) else { continue };
            self.reset(a, b);
            self.links.mend(a, b);
            for (from, to, of_peer) in [(a, b, of_b), (b, a, of_a)] {
                let peer = self.nodes[to].id;
                self.core(from).connected(peer, of_peer).expect("a member");
            }
        }
    }

    /// Lets time pass and delivers what has arrived by then.
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
            match self.core(to).feed(peer, stream as u8, head) {
                Ok(0) => {
                    let (rest, now) = (rest.to_vec(), self.now());
                    self.links.put_back(way, rest, now);
                    return false;
                }
                Ok(taken) => rest = &rest[taken..],
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
        let Some(up) = &mut self.nodes[n].up else { return Ok(()) };
        for _ in 0..items {
            if !up.runtime.step() {
                break;
            }
        }
        let due: Vec<_> =
            up.campaigns.iter().filter(|(_, at)| **at <= now).map(|(gid, _)| *gid).collect();
        for gid in due {
            up.campaigns.remove(&gid);
            let _ = up.core.replication().campaign(&[gid], true);
        }
        let effects = up.core.poll()?;
        self.take_effects(n, effects);
        Ok(())
    }

    fn take_effects(&mut self, n: usize, effects: Effects) {
        let now = self.now();
        let up = self.nodes[n].up.as_mut().expect("it has just run");
        up.notices.extend(effects.sessions);
        up.written.extend(effects.rows);
        let broken = up.core.replication().check();
        assert!(broken.is_empty(), "{broken:#?}");
        for event in &effects.events {
            self.note(event);
            for gid in control::election_due(event) {
                let at = now + self.random.below(BACK_OFF_MAX);
                self.nodes[n].up.as_mut().expect("it runs").campaigns.insert(gid, at);
            }
        }
        for (peer, stream) in effects.out {
            let limit = 1 + self.random.below(64 << 10) as usize;
            let to = self.nodes.iter().position(|node| node.id == peer).expect("a member");
            let Some(bytes) = self.core(n).take_out(peer, stream, limit) else { continue };
            self.links.send((n, to, usize::from(stream)), bytes, now, &mut self.random);
        }
    }

    /// One step of a cluster in which nothing is wrong.
    pub fn calm_step(&mut self) {
        self.dial();
        self.pass(5 * MS);
        (0..self.nodes.len()).for_each(|n| self.run(n, 100));
    }

    /// Makes a table as CREATE TABLE does, through a node. There is no trouble meanwhile.
    pub fn create(&mut self, n: usize, table: &Table) {
        for (group, puts) in control::creation(table) {
            self.write_rows(n, group, &puts);
        }
    }

    /// Writes system rows through a node. There is no trouble meanwhile.
    pub fn write_rows(&mut self, n: usize, group: GroupId, puts: &[u8]) {
        let token = self.next_token;
        self.next_token += 1;
        self.core(n).write_rows(token, group, puts).unwrap();
        let outcome = self.calm_until("system rows are written", |cluster| {
            cluster.nodes[n].up.as_mut().expect("it runs").written.remove(&token)
        });
        assert!(control::is_ok(&outcome), "{outcome:02x?}");
    }

    /// Runs without trouble until something has come.
    pub fn calm_until<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end = self.now() + PATIENCE_MS * MS;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(self.now() < end, "not within {PATIENCE_MS} ms without trouble: {what}");
            self.calm_step();
        }
    }

    /// Runs one statement on a connection of its own, without trouble.
    pub fn ask(&mut self, n: usize, text: &str) -> Answer {
        let mut client = Client::connect(self, n).expect("a session");
        let wait = |cluster: &mut Self, client: &mut Client| {
            cluster.calm_until(text, |cluster| match client.pump(cluster) {
                Progress::Waiting => None,
                Progress::Answered(answer) => Some(answer),
                Progress::Lost => panic!("{text}: the connection is lost"),
            })
        };
        let greeting = wait(self, &mut client);
        assert_eq!(greeting.error, None);
        client.query(text);
        let answer = wait(self, &mut client);
        client.close(self);
        answer
    }
}
