//! Replication of one node: all its groups over one log, one engine and one clock.
//!
//! `Replication` joins the parts and decides nothing that they do not: `phantom_raft` says what
//! must be logged, sent and applied; the log makes it durable; the apply worker puts committed
//! entries into `phantom_lsm`; the clock stamps frames and bounds itself over restarts. What sits
//! on top (requests, sessions, Python's pump) uses it so:
//!
//! - `form` once in a directory's life, then `open`, then `poll` again and again: when the
//!   runtime's `wakefd` is readable, after `feed` or a verb, and after `Effects::sleep_ns` at the
//!   latest. `poll` never waits for a disk. An error of `poll` ends the process: a failed sync is
//!   never tried again.
//! - `propose` an entry where this node leads; the token comes back in `Effects::done`, as
//!   `Committed` only once the entry is applied here. `barrier` in any group, on any node: a leader
//!   with a lease answers at once, else the token comes back in `Effects::barriers`, open once this
//!   node has applied what it needs.
//! - `Effects::out` names streams with bytes: `take_out` them. Bytes of a peer go into `feed`,
//!   which may take fewer than it is given. `connected` and `disconnected` frame every link.
//! - `send` carries requests, replies and control messages beside Raft's; they come out of
//!   `Effects::received` on the other side. Links keep order and lose only by breaking.
//! - `Settings::observer` is told of every applied batch, on the apply worker. What it is not told
//!   after a restart is in the engine: read it between `open` and the first `poll`.
//! - A full disk is minded here (room.rs): proposals are refused, leaderships handed over.
//! - `tick_hlc` stamps; `None` means that the disk is too slow to cover a stamp: wait for `poll`.
//!
//! Rules kept here: nothing is released above the engine's durable position; votes, acknowledgements
//! and reads wait after a restart until the clock has passed `hlc_bound` (R17), and no frame shows a
//! stamp that is not covered, but heartbeats and their answers leave without one;
//! a round's stamp is ticked before its frames are stamped (R14).

mod apply;
mod clock;
mod drive;
pub mod entry;
mod error;
mod formation;
mod log_view;
mod peers;
mod room;
mod syncs;
mod verbs;
mod workers;

use std::path::Path;
use std::sync::Arc;

use phantom_base::bytes::Reader;
use phantom_base::{Clock, GroupId, Lsn, Map, Nanos, NodeId, Random};
use phantom_log::{Level, Log, Record};
use phantom_lsm::{Engine, EngineOptions};
use phantom_raft::{
    BarrierAnswer, Done, Event, GroupStatus, Identity, Limits, Machine, Member, Restored,
};
use phantom_vfs::Vfs;

pub use apply::{Applied, Mark, NoObserver, Observer};
pub use clock::ClockNews;
pub use error::{Error, Refused, Result};
pub use formation::{Formation, FormedMember, form};
pub use peers::Received;
pub use room::DiskReport;

use apply::{Applier, Report};
use clock::{Stamps, read_support};
use entry::{EntryKind, encode_entry};
use formation::{node_slot, read_bound, read_formation, read_groups, renew_formation};
use log_view::LogView;
use room::RoomWatch;
use syncs::SyncWatch;
use workers::{EngineWorker, LogWorker};

use crate::frame::Route;
use crate::link::Link;
use crate::runtime::{Mailbox, Runtime};

/// How a node is opened.
pub struct Settings {
    /// The cluster that the directory must belong to; `None` takes any.
    pub cluster: Option<u64>,
    /// Durations and bounds of Raft.
    pub limits: Limits,
    /// All memory of the engine, in bytes.
    pub memory_bytes: usize,
    /// Size of a memtable in bytes; 0 follows from `memory_bytes`.
    pub memtable_bytes: usize,
    /// Size of a log segment in bytes, a multiple of 32 KiB.
    pub segment_bytes: u32,
    /// Size of the log in bytes beyond which entries go although a member lacks them.
    pub log_bytes_max: u64,
    /// Free disk in bytes below which nothing is proposed; `None`: 2 %, 256 MiB to 4 GiB.
    pub disk_reserve: Option<u64>,
    /// Entries of a group are released when there are so many, or when a segment may go for it:
    /// each release is a log record.
    pub release_entries: u64,
    /// Bound of each out-queue to a peer, and of what came and was not taken, in bytes.
    pub queue_bytes_max: usize,
    /// Cores of the machine: flush and compaction workers follow from it.
    pub cores: usize,
    /// Told of every applied batch.
    pub observer: Box<dyn Observer>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster: None,
            limits: Limits::default(),
            memory_bytes: 256 << 20,
            memtable_bytes: 0,
            segment_bytes: 4 << 20,
            log_bytes_max: 1 << 30,
            disk_reserve: None,
            release_entries: 1_024,
            queue_bytes_max: 32 << 20,
            cores: 2,
            observer: Box::new(NoObserver),
        }
    }
}

/// What `poll` has for the outside.
#[derive(Debug, Default)]
pub struct Effects {
    /// Peers and streams with bytes for `take_out`.
    pub out: Vec<(NodeId, u8)>,
    /// Proposals that ended; a committed one is applied.
    pub done: Vec<Done>,
    /// Barriers that ended.
    pub barriers: Vec<BarrierAnswer>,
    /// Requests, replies and control messages of peers, in order per link.
    pub received: Vec<Received>,
    /// What happened.
    pub events: Vec<Event>,
    /// The disk has another room than before.
    pub disk: Option<DiskReport>,
    /// What happened to the clock.
    pub clock: Vec<ClockNews>,
    /// Whether anything was done.
    pub moved: bool,
    /// Call `poll` again after so long at the latest; 0 while there is more to do.
    pub sleep_ns: Nanos,
}

/// A group's state, with the running hash of what is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Term, leader, indexes, members.
    pub group: GroupStatus,
    /// How far the hash goes, and the hash: equal on replicas at equal index.
    pub mark: Mark,
}

/// A node's replicas. One per node, used by one thread.
pub struct Replication {
    formation: Formation,
    incarnation: u32,
    runtime: Arc<Runtime>,
    clock: Arc<dyn Clock>,
    engine: Arc<Engine>,
    log: Arc<Log>,
    machine: Machine,
    stamps: Stamps,
    links: Map<NodeId, Link>,
    /// What each member's release can read, as it said when it was linked last.
    features: Map<NodeId, u64>,
    barriers: Barriers,
    applier: Arc<Applier>,
    engine_worker: Arc<EngineWorker>,
    /// Only a bell: the log is asked itself.
    log_moved: Mailbox<()>,
    reports: Mailbox<Report>,
    marks: Map<GroupId, Mark>,
    pending: Effects,
    received_bytes: usize,
    log_bytes_max: u64,
    release_entries: u64,
    /// Up to where the log must be durable before a look at its segments is worth while.
    reclaim_at: Option<Lsn>,
    queue_bytes_max: usize,
    next_release: Nanos,
    /// When each connected peer is told of the clock next.
    reports_due: Map<NodeId, Nanos>,
    /// Between two of them.
    report_every: Nanos,
    syncs: SyncWatch,
    /// Bytes of entries that this start applies again: tables did not hold them.
    replayed_bytes: u64,
    watch: RoomWatch,
    /// The last turn ended by its budget.
    has_more: bool,
    /// Why the node must end.
    failed: Option<Error>,
}

impl Replication {
    /// Opens a formed directory: replays the log, counts the start, serves the workers. Durable
    /// effects: the incarnation. `random` spreads election timeouts.
    pub fn open(
        fs: Arc<dyn Vfs>,
        dir: &Path,
        settings: Settings,
        runtime: Arc<Runtime>,
        clock: Arc<dyn Clock>,
        random: Box<dyn Random>,
    ) -> Result<Self> {
        let engine = open_engine(Arc::clone(&fs), dir, &settings, &runtime, &clock)?;
        let watch = RoomWatch::open(fs, settings.disk_reserve, &runtime)
            .map_err(|e| phantom_lsm::Error::io("ask for the disk's room", &e))?;
        let log = Arc::clone(engine.log());
        let formation = own_formation(&log, settings.cluster)?;
        let incarnation = count_start(&log)?;
        let bound = read_bound(&log)?;
        let stamps = Stamps::restore(bound, formation.members.len(), &*clock);

        let identity = Identity { node: formation.node, incarnation };
        let noop = encode_entry(EntryKind::Noop, &[]);
        let support = read_support(&log)?;
        let mut machine = Machine::new(identity, settings.limits, &support, noop, random);
        let marks = restore_groups(&mut machine, &engine, formation.node, &*clock)?;

        let replayed_bytes = marks
            .iter()
            .map(|(gid, mark)| log.entry_bytes(phantom_log::Stream(gid.0), mark.index.next().0));
        let replayed_bytes = replayed_bytes.sum();

        let (log_moved, reports) = (runtime.mailbox(), runtime.mailbox());
        let observer = settings.observer;
        let applier = Applier::new(engine.clone(), reports.clone(), marks.clone(), observer);
        let applier = Arc::new(applier);
        let engine_worker = Arc::new(EngineWorker::new(Arc::clone(&engine)));
        let log_worker = LogWorker::new(Arc::clone(&log), log_moved.clone());
        runtime.serve("log", 1, Arc::new(log_worker));
        runtime.serve("apply", 1, Arc::clone(&applier) as _);
        let engine_threads = 1 + (settings.cores / 2).clamp(1, 4);
        runtime.serve("flush", engine_threads, Arc::clone(&engine_worker) as _);

        let cluster = formation.frame_cluster();
        let route = |to| Route { cluster, from: formation.node, to, incarnation };
        let peers = formation.members.iter().map(|member| member.node);
        let peers = peers.filter(|peer| *peer != formation.node);
        let links =
            peers.map(|peer| (peer, Link::new(route(peer), settings.queue_bytes_max))).collect();
        let mut opened = Self {
            formation,
            incarnation,
            runtime,
            clock,
            engine,
            log,
            machine,
            stamps,
            links,
            features: Map::new(),
            barriers: Barriers::default(),
            applier,
            engine_worker,
            log_moved,
            reports,
            marks,
            pending: Effects::default(),
            received_bytes: 0,
            log_bytes_max: settings.log_bytes_max,
            release_entries: settings.release_entries,
            reclaim_at: None,
            queue_bytes_max: settings.queue_bytes_max,
            next_release: 0,
            reports_due: Map::new(),
            report_every: settings.limits.heartbeat_ns,
            syncs: SyncWatch::default(),
            replayed_bytes,
            watch,
            has_more: false,
            failed: None,
        };
        if opened.disk().is_short() {
            opened.room_changed();
        }
        Ok(opened)
    }
}

/// Opens the engine of a directory that was formed; makes none.
fn open_engine(
    fs: Arc<dyn Vfs>,
    dir: &Path,
    settings: &Settings,
    runtime: &Runtime,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Engine>> {
    let names = fs.list(dir).map_err(|_| Error::NotFormed)?;
    if !names.iter().any(|name| name == "CURRENT") {
        return Err(Error::NotFormed);
    }
    let mut options = EngineOptions::new([0; 16], Arc::clone(clock));
    options.memory_bytes = settings.memory_bytes;
    options.memtable_bytes = settings.memtable_bytes;
    options.segment_bytes = settings.segment_bytes;
    options.disk_reserve = settings.disk_reserve;
    if runtime.is_inline() {
        // One thread does everything: waiting for a flush would wait for itself.
        options.stall_max = std::time::Duration::ZERO;
    } else {
        // One thread applies for all groups: it has no time for compactions.
        options.writers_work = false;
    }
    Ok(Arc::new(Engine::open(fs, dir, options)?))
}

/// How many read barriers were asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Barriers {
    /// Opened at once, by a lease.
    pub by_lease: u64,
    /// Waited for: a round, or word of the leader.
    pub by_round: u64,
}

/// What the directory was formed as, written as this release writes it.
fn own_formation(log: &Log, cluster: Option<u64>) -> Result<Formation> {
    let formation = read_formation(log)?;
    if let Some(expected) = cluster.filter(|cluster| *cluster != formation.cluster) {
        return Err(Error::ForeignDirectory { expected, found: formation.cluster });
    }
    renew_formation(log, &formation)?;
    Ok(formation)
}

/// Counts this start, durably.
fn count_start(log: &Log) -> Result<u32> {
    let before = match log.node_state(node_slot::INCARNATION) {
        Some(bytes) => {
            Reader::new(&bytes).u32().map_err(|_| Error::Damaged("the count of starts".into()))?
        }
        None => 0,
    };
    let incarnation = before + 1;
    let bytes = incarnation.to_le_bytes();
    let end = log.push(&[Record::Node { slot: node_slot::INCARNATION, bytes: &bytes }])?;
    // No statement has an outcome yet that could be unknown.
    log.commit(end, Level::Durable).map_err(|error| match error {
        phantom_log::Error::UnknownOutcome { cause } => phantom_log::Error::Poisoned { cause },
        other => other,
    })?;
    Ok(incarnation)
}

/// Adds every group of the log to the machine; returns where the tables stand.
fn restore_groups(
    machine: &mut Machine,
    engine: &Engine,
    node: NodeId,
    clock: &dyn Clock,
) -> Result<Map<GroupId, Mark>> {
    let log = engine.log();
    let view = LogView::new(log);
    let mut marks = Map::new();
    for (gid, members, hard) in read_groups(log)? {
        let own = members.iter().find(|member| member.node == node);
        let me: Member =
            *own.ok_or_else(|| Error::Damaged(format!("{gid} has no replica on {node}")))?;
        let mark = apply::read_mark(engine, gid)?;
        let bounds = log.bounds(phantom_log::Stream(gid.0));
        if bounds.first > mark.index.0 + 1 || bounds.last < mark.index.0 {
            let (first, last) = (bounds.first, bounds.last);
            let at = mark.index;
            return Err(Error::Damaged(format!(
                "{gid}: tables hold entries up to {at}, the log {first} to {last}"
            )));
        }
        // Every gateway needs the catalog, and it is small.
        let spares_full = gid != GroupId::SYSTEM;
        let restored = Restored { gid, me, members, hard, applied: mark.index, spares_full };
        machine.add_group(clock.monotonic_ns(), restored, &view);
        marks.insert(gid, mark);
    }
    view.finish()?;
    Ok(marks)
}
