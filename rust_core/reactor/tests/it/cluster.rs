//! Whole nodes in one process, each with its doors, a disk, clocks and a control plane.
//!
//! What runs is what is shipped: the core, and the doors over a network that the seed draws. `control`
//! does what the control plane does in production.
//!
//! - A node may end by itself only for an error of its disk that the test made.
//! - After each turn the Raft machines are asked whether they are sound.
//! - A node that wants to sleep is at rest: a second turn at once finds nothing to do.
//! - No link ends for a message that no member may send.

use std::path::Path;
use std::sync::Arc;

use phantom_base::sync::{AtomicU64, Ordering};
use phantom_base::{
    Clock, Error, GroupId, Map, Nanos, NodeId, Random, SeededRandom, Set, sqlstate,
};
use phantom_node::control::NodeSettings;
use phantom_node::core::NodeCore;
use phantom_node::replication::{Formation, FormedMember, form};
use phantom_node::runtime::Runtime;
use phantom_node::runtime::real::RealSpawner;
use phantom_reactor::doors::{Doors, Kind, Limits};
use phantom_reactor::net::sim::{SimNet, SimSockets, SimTrouble};
use phantom_reactor::traffic::{Event, Verb};
use phantom_vfs::{Crash, FaultScript, SimFs, Vfs};
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use crate::clock::MS;
use crate::clock::NodeClock;
use crate::control::{self, Control};
use crate::trouble::Troubled;

/// The directory of every node, on its own disk.
pub const DIR: &str = "data";
/// Mixed with the seed, so that no two runs are one cluster.
const CLUSTER: u64 = 0x0057_A7E0;
pub const PG: u16 = 5432;
pub const PEER: u16 = 7432;
/// With less than this on its disk a write of a node may fail.
const FULL: u64 = 1 << 20;
/// How long anything may take while there is no trouble.
const PATIENCE: Nanos = 60_000 * MS;
/// How long a step without trouble takes.
const CALM_STEP: Nanos = 5 * MS;
/// What the node's thread works through in a step without trouble.
const CALM_ITEMS: u64 = 100;

/// What the nodes are made with.
#[derive(Clone, Copy)]
pub struct Plan {
    pub nodes: usize,
    pub seed: u64,
    pub slots: usize,
    pub sessions: usize,
}

impl Plan {
    pub fn of(nodes: usize) -> Self {
        Self { nodes, seed: 1, slots: 1_000, sessions: 100 }
    }
}

/// What runs on a machine from its start to its end.
pub struct Up {
    pub doors: Doors,
    runtime: Arc<Runtime>,
    control: Control,
    verbs: Vec<Verb>,
    /// When the next turn comes at the latest.
    wakes_at: Nanos,
    /// Ends of writes of system rows, by token.
    pub written: Map<u64, Vec<u8>>,
}

impl Up {
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}

pub struct Node {
    pub id: NodeId,
    pub fs: SimFs,
    pub clock: Arc<NodeClock>,
    pub up: Option<Up>,
    pub paused_until: Nanos,
    /// How long its log takes to be durable.
    pub sync_ns: Nanos,
    /// Nothing becomes durable before.
    pub hangs_until: Nanos,
    /// How often it was started.
    pub lives: u64,
    /// What the control plane was told, for tests that ask.
    pub told: Vec<Event>,
    sockets: SimSockets,
}

pub struct Cluster {
    pub net: SimNet,
    pub random: SeededRandom,
    pub nodes: Vec<Node>,
    pub limits: Limits,
    /// Plans are answered by who runs the test.
    pub keeps_plans: bool,
    /// In this group nobody campaigns but who is told to by the test.
    pub keeps_elections: Option<GroupId>,
    pub packets: SimTrouble,
    /// Streams of which nothing arrives, whatever link carries them.
    kept: Set<(usize, usize, u8)>,
    plan: Plan,
    time: Arc<AtomicU64>,
    trace: u64,
    last_token: u64,
}

impl Cluster {
    /// Formed nodes with fresh disks; none runs.
    pub fn new(seed: u64, nodes: u32) -> Self {
        Self::formed(Plan { seed, ..Plan::of(nodes as usize) })
    }

    fn formed(plan: Plan) -> Self {
        let member = |n: usize| FormedMember {
            node: NodeId(n as u32 + 1),
            name: format!("n{}", n + 1),
            address: format!("127.0.0.1:{}", 7_001 + n),
        };
        let members: Vec<_> = (0..plan.nodes).map(member).collect();
        let disk = |n: usize| {
            let node = NodeId(n as u32 + 1);
            let fs = SimFs::new(plan.seed ^ u64::from(node.0) << 40);
            let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
            let cluster = CLUSTER ^ plan.seed;
            let formation = Formation { cluster, node, members: members.clone() };
            form(&vfs, Path::new(DIR), &formation, b"").expect("a fresh disk");
            (node, fs)
        };
        Self::with(plan, (0..plan.nodes).map(disk).collect())
    }

    /// Nodes on disks that were formed before.
    pub fn on_disks(seed: u64, disks: Vec<(NodeId, SimFs)>) -> Self {
        Self::with(Plan { seed, ..Plan::of(disks.len()) }, disks)
    }

    fn with(plan: Plan, disks: Vec<(NodeId, SimFs)>) -> Self {
        let mut random = SeededRandom::new(plan.seed);
        let time = Arc::new(AtomicU64::new(1_000 * MS));
        // One host more than nodes: clients are there.
        let net = SimNet::new(random.next_u64(), plan.nodes + 1);
        let delay_max = MS / 10 + random.below(20 * MS);
        let packets = SimTrouble { nodes: plan.nodes, delay_max, ..SimTrouble::default() };
        net.set_trouble(packets);
        let node = |(n, (id, fs)): (usize, (NodeId, SimFs))| Node {
            id,
            fs,
            clock: Arc::new(NodeClock::of(Arc::clone(&time))),
            up: None,
            paused_until: 0,
            sync_ns: 0,
            hangs_until: 0,
            lives: 0,
            told: Vec::new(),
            sockets: net.host(n),
        };
        let nodes = disks.into_iter().enumerate().map(node).collect();
        let limits = Limits::default();
        let (trace, last_token) = (plan.seed, 0);
        let kept = Set::new();
        Self {
            net,
            random,
            nodes,
            limits,
            keeps_plans: false,
            keeps_elections: None,
            packets,
            kept,
            plan,
            time,
            trace,
            last_token,
        }
    }

    /// Nodes that run.
    pub fn running(plan: Plan) -> Self {
        let mut made = Self::formed(plan);
        made.set_packets_delay(1);
        (0..plan.nodes).for_each(|n| made.start(n));
        made
    }

    /// Nodes that run and by which every statement can be answered.
    pub fn serving(plan: Plan) -> Self {
        let mut made = Self::running(plan);
        made.until("all groups have leaders", |made| {
            let both = [GroupId::ROWS, GroupId::SYSTEM];
            (0..made.nodes.len()).all(|n| both.iter().all(|group| made.leader(n, *group) > 0))
        });
        made
    }

    /// How long a packet between nodes takes at most.
    pub fn set_packets_delay(&mut self, delay_max: Nanos) {
        self.packets.delay_max = delay_max;
        self.net.set_trouble(self.packets);
    }

    /// Who leads a group, as a node knows it; 0 for nobody.
    pub fn leader(&mut self, n: usize, group: GroupId) -> u32 {
        self.core(n).replication().leader(group).0
    }

    pub fn now(&self) -> Nanos {
        self.time.load(Ordering::Relaxed)
    }

    pub fn is_paused(&self, n: usize) -> bool {
        self.nodes[n].paused_until > self.now()
    }

    /// The host where clients are.
    pub fn clients(&self) -> SimSockets {
        self.net.host(self.plan.nodes)
    }

    pub fn up(&mut self, n: usize) -> &mut Up {
        self.nodes[n].up.as_mut().expect("it runs")
    }

    pub fn core(&mut self, n: usize) -> &mut NodeCore {
        self.up(n).doors.core().expect("it was attached")
    }

    pub fn post(&mut self, n: usize, verb: Verb) {
        self.up(n).verbs.push(verb);
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

    /// A hash over all that was told, and of every call to every disk.
    pub fn trace(&self) -> u64 {
        self.nodes.iter().fold(self.trace, |hash, node| hash ^ node.fs.trace_hash())
    }

    /// Starts a node on what its disk holds.
    ///
    /// # Errors
    /// Those of opening its directory.
    pub fn open(&mut self, n: usize) -> Result<(), Error> {
        let now = self.now();
        let node = &mut self.nodes[n];
        assert!(node.up.is_none(), "{} runs", node.id);
        node.lives += 1;
        // What a former life had is gone.
        self.net.crash(n, true);
        let random = SeededRandom::new(self.plan.seed).fork(node.lives << 8 | n as u64);
        let runtime = Arc::new(Runtime::inline(Arc::new(RealSpawner), random.fork(1)));
        let settings = NodeSettings {
            memory_bytes: 16 << 20,
            cores: 2,
            sessions_max: self.plan.sessions,
            sql_memory_bytes: 16 << 20,
        };
        let fs: Arc<dyn Vfs> = Arc::new(node.fs.clone());
        let (clock, draws) = (Arc::clone(&node.clock) as _, Box::new(random.fork(2)));
        let workers = Arc::clone(&runtime);
        let mut core = NodeCore::open(fs, Path::new(DIR), &settings, workers, clock, draws)?;
        let incarnation = core.replication().incarnation();
        let limits = Limits { clients_max: self.plan.slots, ..self.limits };
        let mut doors = Doors::new(limits);
        doors.add_door(node.sockets.listen(PG), Kind::Clients);
        doors.add_door(node.sockets.listen(PEER), Kind::Peers);
        doors.attach(core);
        let control = Control::new(n, self.plan.nodes, incarnation, random.fork(3));
        let (verbs, wakes_at, written) = (vec![Verb::OpenClients], now, Map::new());
        node.up = Some(Up { doors, runtime, control, verbs, wakes_at, written });
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
        self.end(n, true, Crash::AnySubset(50));
    }

    /// The process ends, or the whole machine: then only its clients hear of it. What was not synced
    /// survives as `policy` says.
    pub fn end(&mut self, n: usize, has_power: bool, policy: Crash) {
        let seed = self.random.next_u64();
        let clients = self.plan.nodes;
        let node = &mut self.nodes[n];
        node.fs.stop();
        node.up = None;
        node.fs = node.fs.crash(seed, policy);
        self.note(b"crash");
        self.net.reset(n, clients);
        self.net.crash(n, has_power);
    }

    /// Ends a node as SIGTERM does.
    ///
    /// # Errors
    /// Those of its last sync.
    pub fn stop(&mut self, n: usize) -> Result<(), Error> {
        let mut up = self.nodes[n].up.take().expect("it runs");
        self.net.crash(n, true);
        up.doors.detach().expect("it has a core").close(std::time::Duration::ZERO)
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Nanos) {
        self.time.fetch_add(time, Ordering::Relaxed);
        self.net.pass(self.now());
    }

    /// Lets a node run; it ends if its disk failed.
    pub fn run(&mut self, n: usize, items: u64) {
        if let Err(error) = self.try_run(n, items) {
            self.fell(n, &error);
        }
    }

    /// Some background items, then a turn if something has come or it is time.
    ///
    /// # Errors
    /// What ends the node.
    pub fn try_run(&mut self, n: usize, items: u64) -> Result<(), Error> {
        let now = self.now();
        self.net.pass(now);
        if self.is_paused(n) {
            return Ok(());
        }
        let Node { sockets, up, clock, hangs_until, sync_ns, id, .. } = &mut self.nodes[n];
        let Some(up) = up else { return Ok(()) };
        // A machine's own time may have run ahead.
        let at = clock.monotonic_ns();
        let core = up.doors.core().expect("it was attached");
        let pending = core.replication().engine().log().pace(at).pending;
        up.runtime.let_log_wait(now < *hangs_until || (1..*sync_ns).contains(&pending));
        let worked = (0..items).take_while(|_| up.runtime.step()).count() > 0;
        up.control.look(at, &mut up.verbs);
        let ready = sockets.take_ready();
        if !worked && ready.is_empty() && up.verbs.is_empty() && at < up.wakes_at {
            return Ok(());
        }
        let verbs = std::mem::take(&mut up.verbs);
        let turn = up.doors.turn(sockets, &ready, verbs, at)?;
        let mut sleep_ns = turn.sleep_ns;
        if sleep_ns > 0 && !sockets.has_ready() {
            let again = up.doors.turn(sockets, &[], Vec::new(), at)?;
            assert!(!again.moved, "{id} sleeps for {sleep_ns} ns over work");
            sleep_ns = again.sleep_ns;
        }
        up.wakes_at = at.saturating_add(sleep_ns);
        let core = up.doors.core().expect("it was attached");
        let broken = core.replication().check();
        assert!(broken.is_empty(), "{broken:#?}");
        let is_full = core.replication().disk().is_short();
        let events = up.doors.take_events();
        for event in &events {
            self.heed(n, at, event, is_full);
        }
        self.nodes[n].told.extend(events);
        Ok(())
    }

    fn heed(&mut self, n: usize, at: Nanos, event: &Event, is_full: bool) {
        match event {
            Event::Core(event) => self.note(event),
            Event::LinkUp(peer, _) => {
                // Not before both ends know of it: greetings arrive.
                let pair = [n, peer.0 as usize - 1];
                let is_of_pair =
                    |it: &(usize, usize, u8)| pair == [it.0, it.1] || pair == [it.1, it.0];
                let kept: Vec<_> = self.kept.iter().copied().filter(is_of_pair).collect();
                for stream in kept {
                    if self.are_linked(stream.0, stream.1) {
                        self.keep_now(stream, true);
                    }
                }
            }
            Event::LinkDown(peer, _, why) => assert!(
                !why.contains(": a message: ") && !why.contains("an entry that does not read"),
                "{peer} to node {n}: {why}"
            ),
            _ => {}
        }
        let (keeps_plans, keeps_elections) = (self.keeps_plans, self.keeps_elections);
        let up = self.up(n);
        if let Event::Ended(token, outcome) = event {
            up.written.insert(*token, outcome.clone());
        }
        if !(keeps_plans && matches!(event, Event::Session(..))) {
            up.control.decide(at, event, is_full, &mut up.verbs);
            if let Some(group) = keeps_elections {
                up.control.let_be(group);
            }
        }
    }

    /// One step in which nothing is wrong.
    pub fn calm_step(&mut self, time: Nanos) {
        self.pass(time);
        (0..self.nodes.len()).for_each(|n| self.run(n, CALM_ITEMS));
    }

    /// Lets so many milliseconds pass.
    pub fn steps(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.calm_step(MS));
    }

    /// Runs without trouble until something has come.
    pub fn calm_until<T>(&mut self, what: &str, look: impl FnMut(&mut Self) -> Option<T>) -> T {
        self.look_every(CALM_STEP, what, look)
    }

    /// Runs without trouble until something holds; looks every millisecond.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        self.look_every(MS, what, |cluster| holds(cluster).then_some(()));
    }

    fn look_every<T>(
        &mut self,
        step: Nanos,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let end = self.now() + PATIENCE;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(self.now() < end, "not within a minute without trouble: {what}");
            self.calm_step(step);
        }
    }

    /// The events of a node since the last time.
    pub fn take_told(&mut self, n: usize) -> Vec<Event> {
        std::mem::take(&mut self.nodes[n].told)
    }

    /// A counter of a node's core.
    pub fn counter(&mut self, n: usize, name: &str) -> u64 {
        control::counter(&self.core(n).stats(), name)
    }

    /// Nothing arrives any more of a stream from one node to another, or all of it again.
    pub fn keep(&mut self, stream: (usize, usize, u8), is_kept: bool) {
        if is_kept {
            self.kept.insert(stream);
        } else {
            self.kept.remove(&stream);
        }
        self.keep_now(stream, is_kept);
    }

    fn keep_now(&mut self, (from, to, stream): (usize, usize, u8), is_kept: bool) {
        let peer = self.nodes[to].id;
        if let Some(conn) = self.up(from).doors.stream(peer, stream) {
            self.net.keep(from, conn, is_kept);
        }
    }

    /// Whether both of a pair know of a link.
    pub fn are_linked(&mut self, a: usize, b: usize) -> bool {
        [(a, b), (b, a)].into_iter().all(|(n, other)| {
            let peer = self.nodes[other].id;
            self.nodes[n].up.as_ref().is_some_and(|up| up.doors.stream(peer, 0).is_some())
        })
    }

    /// Breaks all connections of a pair and lets none come until links are mended.
    pub fn part(&mut self, a: usize, b: usize) {
        self.net.reset(a, b);
        self.net.cut(a, b);
        self.net.cut(b, a);
    }
}

impl Troubled for Cluster {
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
        let has_power = self.random.one_in(2);
        self.end(n, has_power, policy);
    }

    fn pause(&mut self, n: usize, until: Nanos) {
        self.nodes[n].paused_until = until;
    }

    fn set_wall(&mut self, n: usize, offset_ns: i64) {
        self.nodes[n].clock.offset_ns.store(offset_ns, std::sync::atomic::Ordering::Relaxed);
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
        (self.packets.slow, self.packets.flip) = (slow, flip);
        self.net.set_trouble(self.packets);
    }

    fn cut(&mut self, from: usize, to: usize) {
        self.part(from, to);
    }

    fn lose(&mut self, from: usize, to: usize) {
        // One way only: what is sent back still arrives.
        self.net.cut(from, to);
    }

    fn reset(&mut self, a: usize, b: usize) {
        self.net.reset(a, b);
    }

    fn mend_links(&mut self) {
        self.net.mend_all();
    }

    fn calm_links(&mut self) {
        self.net.mend_all();
        let SimTrouble { nodes, delay_max, .. } = self.packets;
        self.packets = SimTrouble { nodes, delay_max, ..SimTrouble::default() };
        self.net.set_trouble(self.packets);
    }

    fn dial(&mut self) {
        // Control planes dial by themselves.
    }

    fn pass(&mut self, time: Nanos) {
        Self::pass(self, time);
    }

    fn run(&mut self, n: usize, items: u64) {
        Self::run(self, n, items);
    }
}
