//! Nodes in one process, each with its doors, a disk, a clock and a control plane.
//!
//! The control plane does what it does in production: it dials peers, says who may be one, campaigns,
//! and says where queries run. Its messages between nodes are plain bytes here: the doors never look
//! at them.

use std::path::Path;
use std::sync::Arc;

use minicbor::{Decoder, Encoder};
use phantom_base::sync::{AtomicU64, Ordering};
use phantom_base::{Clock, GroupId, Map, Nanos, NodeId, Random, SeededRandom};
use phantom_node::control::NodeSettings;
use phantom_node::core::NodeCore;
use phantom_node::link::STREAMS;
use phantom_node::replication::{Formation, FormedMember, form};
use phantom_node::runtime::Runtime;
use phantom_node::runtime::real::RealSpawner;
use phantom_reactor::doors::{Doors, Kind, Limits};
use phantom_reactor::net::sim::{SimNet, SimSockets, address};
use phantom_reactor::traffic::{Event, LinkName, Verb};
use phantom_vfs::{Crash, SimFs, Vfs};

pub const MS: Nanos = 1_000_000;
const DIR: &str = "data";
const CLUSTER: u64 = 0xD00;
/// Wall time at the start: 2024 or so.
const EPOCH_NS: Nanos = 1_700_000_000_000_000_000;
pub const PG: u16 = 5432;
pub const PEER: u16 = 7432;
/// Between two dials to a peer that is not linked, and before a campaign, at most.
const RETRY_MAX: Nanos = 300 * MS;

pub struct WorldClock(Arc<AtomicU64>);

impl Clock for WorldClock {
    fn wall_ns(&self) -> Nanos {
        EPOCH_NS + self.monotonic_ns()
    }

    fn monotonic_ns(&self) -> Nanos {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the nodes are made with.
#[derive(Clone, Copy)]
pub struct Plan {
    pub nodes: usize,
    /// Hosts beside the nodes: clients run there.
    pub others: usize,
    pub seed: u64,
    pub slots: usize,
    pub sessions: usize,
}

impl Plan {
    pub fn of(nodes: usize) -> Self {
        Self { nodes, others: 1, seed: 1, slots: 1_000, sessions: 100 }
    }
}

/// What runs on a host from its start to its end.
pub struct Up {
    pub doors: Doors,
    runtime: Arc<Runtime>,
    control: Control,
    verbs: Vec<Verb>,
    /// When the next turn comes at the latest.
    wakes_at: Nanos,
}

pub struct Node {
    sockets: SimSockets,
    fs: SimFs,
    pub up: Option<Up>,
    pub told: Vec<Event>,
    lives: u64,
}

pub struct Cluster {
    pub net: SimNet,
    pub random: SeededRandom,
    pub nodes: Vec<Node>,
    pub limits: Limits,
    plan: Plan,
    time: Arc<AtomicU64>,
    /// Plans are answered by who runs the test.
    pub keeps_plans: bool,
}

impl Cluster {
    /// Formed nodes that run.
    pub fn new(plan: Plan) -> Self {
        let random = SeededRandom::new(plan.seed);
        let net = SimNet::new(random.clone().next_u64(), plan.nodes + plan.others);
        let member = |n: usize| FormedMember {
            node: NodeId(n as u32 + 1),
            name: format!("n{}", n + 1),
            address: address(n, PEER),
        };
        let members: Vec<_> = (0..plan.nodes).map(member).collect();
        let node = |n: usize| {
            let fs = SimFs::new(plan.seed ^ (n as u64) << 40);
            let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
            let node = NodeId(n as u32 + 1);
            let formation = Formation { cluster: CLUSTER, node, members: members.clone() };
            form(&vfs, Path::new(DIR), &formation, b"").unwrap();
            Node { sockets: net.host(n), fs, up: None, told: Vec::new(), lives: 0 }
        };
        let nodes = (0..plan.nodes).map(node).collect();
        let time = Arc::new(AtomicU64::new(1_000 * MS));
        let limits = Limits::default();
        let mut made = Self { net, random, nodes, limits, plan, time, keeps_plans: false };
        (0..plan.nodes).for_each(|n| made.start(n));
        made
    }

    /// As `new`, and every statement can be answered.
    pub fn serving(plan: Plan) -> Self {
        let mut made = Self::new(plan);
        made.until("all groups have leaders", |made| {
            (0..made.nodes.len())
                .all(|n| made.leads(n, GroupId::ROWS) + made.leads(n, GroupId::SYSTEM) > 0)
        });
        made
    }

    /// Who leads a group, as a node knows it; 0 for nobody.
    pub fn leads(&mut self, n: usize, group: GroupId) -> u32 {
        let Some(up) = &mut self.nodes[n].up else { return 0 };
        let core = up.doors.core().unwrap();
        core.replication().status(group).map_or(0, |status| status.group.leader.0)
    }

    pub fn now(&self) -> Nanos {
        self.time.load(Ordering::Relaxed)
    }

    pub fn host(&self, other: usize) -> SimSockets {
        self.net.host(self.plan.nodes + other)
    }

    /// Starts a node on what its disk holds.
    pub fn start(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        assert!(node.up.is_none());
        node.lives += 1;
        self.net.start(n);
        let random = SeededRandom::new(self.plan.seed).fork(node.lives << 8 | n as u64);
        let runtime = Arc::new(Runtime::inline(Arc::new(RealSpawner), random.fork(1)));
        let settings = NodeSettings {
            memory_bytes: 16 << 20,
            cores: 2,
            sessions_max: self.plan.sessions,
            sql_memory_bytes: 16 << 20,
        };
        let core = NodeCore::open(
            Arc::new(node.fs.clone()),
            Path::new(DIR),
            &settings,
            Arc::clone(&runtime),
            Arc::new(WorldClock(Arc::clone(&self.time))),
            Box::new(random.fork(2)),
        );
        let mut doors = Doors::new(self.limits);
        doors.add_door(node.sockets.listen(PG), Kind::Clients, self.plan.slots);
        doors.add_door(node.sockets.listen(PEER), Kind::Peers, 16);
        doors.attach(core.unwrap());
        let incarnation = doors.core().unwrap().replication().incarnation();
        let control = Control::new(n, self.plan.nodes, incarnation, random.fork(3));
        let verbs = vec![Verb::OpenClients];
        node.up = Some(Up { doors, runtime, control, verbs, wakes_at: 0 });
    }

    /// The process ends, or the whole machine.
    pub fn crash(&mut self, n: usize, has_power: bool, policy: Crash) {
        let seed = self.random.next_u64();
        let node = &mut self.nodes[n];
        node.fs.stop();
        node.up = None;
        node.fs = node.fs.crash(seed, policy);
        self.net.crash(n, has_power);
    }

    pub fn up(&mut self, n: usize) -> &mut Up {
        self.nodes[n].up.as_mut().expect("it runs")
    }

    pub fn post(&mut self, n: usize, verb: Verb) {
        self.up(n).verbs.push(verb);
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Nanos) {
        self.time.fetch_add(time, Ordering::Relaxed);
        self.net.pass(self.now());
    }

    /// Lets a node have a turn, after its workers had some items. A node that may sleep has none.
    pub fn run(&mut self, n: usize, items: u64) {
        let now = self.now();
        let Node { sockets, up, told, .. } = &mut self.nodes[n];
        let Some(up) = up else { return };
        let worked = (0..items).filter(|_| up.runtime.step()).count() > 0;
        up.control.look(now, &mut up.verbs);
        let ready = sockets.take_ready();
        if !worked && ready.is_empty() && up.verbs.is_empty() && now < up.wakes_at {
            return;
        }
        let verbs = std::mem::take(&mut up.verbs);
        let turn = up.doors.turn(sockets, &ready, verbs, now).unwrap();
        let mut sleep_ns = turn.sleep_ns;
        if turn.sleep_ns > 0 && !sockets.has_ready() {
            let again = up.doors.turn(sockets, &[], Vec::new(), now).unwrap();
            assert!(!again.moved, "node {n} sleeps for {sleep_ns} ns over work {again:?}");
            sleep_ns = again.sleep_ns;
        }
        up.wakes_at = now.saturating_add(sleep_ns);
        for event in up.doors.take_events() {
            let is_plan = matches!(event, Event::Session(..));
            if !(is_plan && self.keeps_plans) {
                up.control.decide(now, &event, &mut up.verbs);
            }
            told.push(event);
        }
    }

    /// One step in which nothing is wrong with any machine.
    pub fn step(&mut self, time: Nanos) {
        self.pass(time);
        (0..self.nodes.len()).for_each(|n| self.run(n, 50));
    }

    pub fn steps(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.step(MS));
    }

    /// Steps until something holds.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let end = self.now() + 60_000 * MS;
        while !holds(self) {
            assert!(self.now() < end, "not within a minute: {what}");
            self.step(MS);
        }
    }

    /// The events of a node since the last time.
    pub fn take_told(&mut self, n: usize) -> Vec<Event> {
        std::mem::take(&mut self.nodes[n].told)
    }

    /// A counter of a node's core.
    pub fn counter(&mut self, n: usize, name: &str) -> u64 {
        let stats = self.up(n).doors.core().unwrap().stats();
        let mut input = Decoder::new(&stats);
        let count = input.map().unwrap().unwrap();
        let all: Map<String, u64> =
            (0..count).map(|_| (input.str().unwrap().to_owned(), input.u64().unwrap())).collect();
        all[name]
    }
}

/// A node's control plane.
struct Control {
    node: usize,
    nodes: usize,
    incarnation: u32,
    random: SeededRandom,
    next_token: u64,
    dials: Map<u64, (usize, LinkName, u8)>,
    linked: Vec<bool>,
    dial_at: Vec<Nanos>,
    campaigns: Map<GroupId, Nanos>,
}

fn hello(node: usize, incarnation: u32, link: LinkName, stream: u8) -> Vec<u8> {
    [&(node as u32).to_be_bytes()[..], &incarnation.to_be_bytes(), &link, &[stream]].concat()
}

fn read_hello(bytes: &[u8]) -> Option<(usize, u32, LinkName, u8)> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let link = bytes.get(8..24)?.try_into().ok()?;
    Some((number(0)? as usize, number(4)?, link, *bytes.get(24)?))
}

impl Control {
    fn new(node: usize, nodes: usize, incarnation: u32, random: SeededRandom) -> Self {
        Self {
            node,
            nodes,
            incarnation,
            random,
            next_token: 1,
            dials: Map::new(),
            linked: vec![false; nodes],
            dial_at: vec![0; nodes],
            campaigns: Map::new(),
        }
    }

    /// What is due by itself: dials and campaigns.
    fn look(&mut self, now: Nanos, verbs: &mut Vec<Verb>) {
        for peer in (0..self.nodes).filter(|peer| *peer != self.node) {
            if self.linked[peer] || now < self.dial_at[peer] {
                continue;
            }
            self.dial_at[peer] = now + RETRY_MAX + self.random.below(RETRY_MAX);
            let mut link = [0; 16];
            link[..8].copy_from_slice(&self.random.next_u64().to_be_bytes());
            for stream in 0..STREAMS as u8 {
                let token = self.next_token;
                self.next_token += 1;
                self.dials.insert(token, (peer, link, stream));
                let message = hello(self.node, self.incarnation, link, stream);
                verbs.push(Verb::Dial { token, to: address(peer, PEER), message });
            }
        }
        let due: Vec<_> =
            self.campaigns.iter().filter(|(_, at)| **at <= now).map(|(gid, _)| *gid).collect();
        if !due.is_empty() {
            for gid in &due {
                self.campaigns.remove(gid);
            }
            verbs.push(Verb::Campaign(due));
        }
    }

    fn decide(&mut self, now: Nanos, event: &Event, verbs: &mut Vec<Verb>) {
        match event {
            Event::Core(event) => {
                for group in election_due(event) {
                    let at = now + self.random.below(RETRY_MAX);
                    self.campaigns.entry(group).or_insert(at);
                }
            }
            Event::First { conn, message, .. } => match read_hello(message) {
                Some((peer, incarnation, link, stream)) => {
                    let own = hello(self.node, self.incarnation, link, stream);
                    verbs.push(adopt(*conn, peer, incarnation, link, stream, Some(own)));
                }
                None => verbs.push(Verb::Say(*conn, b"who?".to_vec())),
            },
            Event::Answer { token, conn, message } => {
                let dialled = self.dials.remove(token);
                let answer = read_hello(message);
                match (dialled, answer) {
                    (Some((peer, link, stream)), Some((from, incarnation, ..))) if from == peer => {
                        verbs.push(adopt(*conn, peer, incarnation, link, stream, None));
                    }
                    _ => verbs.push(Verb::Close(*conn)),
                }
            }
            Event::DialFailed(token, _) => drop(self.dials.remove(token)),
            Event::LinkUp(peer) => self.linked[peer.0 as usize - 1] = true,
            Event::LinkDown(peer, _) => {
                let peer = peer.0 as usize - 1;
                self.linked[peer] = false;
                // One side is first, or both would take each other's place for ever.
                self.dial_at[peer] = now + if peer < self.node { 1_000 * MS } else { 0 };
            }
            Event::Session(session, event, kind, body) => {
                assert_eq!(*kind, "plan");
                verbs.push(Verb::Resume(*session, *event, plan(body)));
            }
            _ => {}
        }
    }
}

fn adopt(
    conn: phantom_reactor::net::ConnId,
    peer: usize,
    incarnation: u32,
    link: LinkName,
    stream: u8,
    message: Option<Vec<u8>>,
) -> Verb {
    Verb::Adopt { conn, peer: NodeId(peer as u32 + 1), incarnation, link, stream, message }
}

fn election_due(event: &[u8]) -> Vec<GroupId> {
    let mut input = Decoder::new(event);
    input.array().unwrap();
    if input.str().unwrap() != "election_due" {
        return Vec::new();
    }
    let count = input.array().unwrap().unwrap();
    (0..count).map(|_| GroupId(input.u64().unwrap())).collect()
}

/// The answer to a session that wants a plan: the whole query to the one group of rows.
pub fn plan(body: &[u8]) -> Vec<u8> {
    let mut input = Decoder::new(body);
    input.array().unwrap();
    input.u32().unwrap();
    input.skip().unwrap();
    let reads_tables = input.array().unwrap() != Some(0);
    let group = if reads_tables { GroupId::ROWS.0 } else { 0 };
    let mut plan = Vec::new();
    let mut out = Encoder::new(&mut plan);
    out.array(2).unwrap().u32(1).unwrap().array(1).unwrap();
    out.array(2).unwrap().u64(group).unwrap().u8(0).unwrap();
    let mut answer = Vec::new();
    Encoder::new(&mut answer).array(2).unwrap().u8(0).unwrap().bytes(&plan).unwrap();
    answer
}
