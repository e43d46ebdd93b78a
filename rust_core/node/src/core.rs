//! NodeCore: one node behind one object, without a thread or a socket of its own.
//!
//! Called by one thread only. `poll` drives everything that is ready and never waits; bytes and verbs
//! go in between, and whoever puts something in calls `poll` soon after. A turn is: what replication has, then requests at groups led here, then flows,
//! then sessions, again until nothing moves.

use std::path::Path;
use std::sync::Arc;

use phantom_base::{Clock, Error, GroupId, Map, Nanos, NodeId, Random, sqlstate};
use phantom_raft::{BarrierAnswer, BarrierOutcome};
use phantom_vfs::Vfs;

use crate::catalog::Catalog;
use crate::control::{self, NodeSettings};
use crate::frame::{BadFrame, Section};
use crate::link::STREAM_CONTROL;
use crate::replication::{self, Formation, Received, Refused, Replication};
use crate::request::Requests;
use crate::request::gateway::{FlowEvent, Flows, LEADER_WAIT_NS, Owner, Start};
use crate::request::message::{ToGateway, ToLeader, Work};
use crate::runtime::Runtime;
use crate::session::{CatalogWait, Engine, SessionEvent, SessionId, Sessions};

/// What one query may take where nothing can spill yet, in bytes.
const QUERY_MEMORY_BYTES: usize = 256 << 20;
/// How long one turn works at replication before others have theirs.
const TURN_NS: Nanos = 2_000_000;
/// How often a turn goes round, and for how long, while there is more: then sockets are looked at.
const ROUNDS_MAX: u32 = 64;
const WHOLE_TURN_NS: Nanos = 10_000_000;
/// Barriers that are asked for here, not by a request at a group.
const OWN_BARRIERS: u64 = 1 << 61;
/// How soon a barrier without a leader is asked for again.
const ASK_AGAIN_NS: Nanos = 20_000_000;
/// Microseconds between the epochs of Unix and of PostgreSQL (2000-01-01).
const EPOCH_US: i64 = 946_684_800_000_000;

/// What `poll` has for the loop.
#[derive(Debug, Default)]
pub struct Effects {
    /// Peers and streams with bytes to send.
    pub out: Vec<(NodeId, u8)>,
    /// Sessions that have something for their connection.
    pub sessions: Vec<SessionId>,
    /// Messages of the control plane.
    pub control: Vec<(NodeId, Vec<u8>)>,
    /// Ends of reads, writes and barriers of the control plane: token and CBOR.
    pub rows: Vec<(u64, Vec<u8>)>,
    /// What happened, as CBOR.
    pub events: Vec<Vec<u8>>,
    /// Poll again after so long at the latest.
    pub sleep_ns: Nanos,
}

/// One node.
pub struct NodeCore {
    replication: Replication,
    requests: Requests,
    flows: Flows,
    sessions: Sessions,
    catalog: Catalog,
    runtime: Arc<Runtime>,
    clock: Arc<dyn Clock>,
    random: Box<dyn Random>,
    barriers: Map<u64, OwnBarrier>,
    next_barrier: u64,
    /// Barriers to be asked for again, since nobody led.
    again: Vec<u64>,
    pending: Effects,
}

struct OwnBarrier {
    group: GroupId,
    give_up: Nanos,
    purpose: Purpose,
}

enum Purpose {
    Control(u64),
    Catalog(CatalogWait),
}

impl NodeCore {
    /// Opens a formed directory.
    ///
    /// # Errors
    /// `55000` if it was never formed, `55006` if a process has it open, `XX001` if it is damaged.
    pub fn open(
        fs: Arc<dyn Vfs>,
        dir: &Path,
        settings: &NodeSettings,
        runtime: Arc<Runtime>,
        clock: Arc<dyn Clock>,
        mut random: Box<dyn Random>,
    ) -> Result<Self, Error> {
        let catalog = Catalog::default();
        let elections = phantom_base::SeededRandom::new(random.next_u64());
        let opened = replication::Settings {
            memory_bytes: settings.memory_bytes,
            cores: settings.cores,
            observer: catalog.watcher(),
            ..replication::Settings::default()
        };
        let replication = Replication::open(
            fs,
            dir,
            opened,
            Arc::clone(&runtime),
            Arc::clone(&clock),
            Box::new(elections),
        )
        .map_err(|error| answer(&error))?;
        let node = replication.node();
        let engine = Arc::clone(replication.engine());
        catalog.load(&engine)?;
        let shared = Arc::clone(&runtime);
        Ok(Self {
            requests: Requests::new(
                node,
                engine,
                catalog.clone(),
                Arc::clone(&shared),
                QUERY_MEMORY_BYTES,
            ),
            flows: Flows::new(node),
            sessions: Sessions::new(node.0, settings.sessions_max, catalog.clone(), shared),
            replication,
            catalog,
            runtime,
            clock,
            random,
            barriers: Map::new(),
            next_barrier: OWN_BARRIERS,
            again: Vec::new(),
            pending: Effects::default(),
        })
    }

    /// Drives everything that is ready.
    ///
    /// # Errors
    /// What ends the node: a failed sync, damage. It must be closed by ending the process.
    pub fn poll(&mut self) -> Result<Effects, Error> {
        let sleep_ns = self.turn()?;
        let mut effects = std::mem::take(&mut self.pending);
        // Statements have put something there since replication was asked.
        effects.out = self.replication.outgoing();
        effects.sessions = self.sessions.take_notified();
        effects.sleep_ns = sleep_ns;
        Ok(effects)
    }

    /// One turn; how long nothing will happen by itself.
    fn turn(&mut self) -> Result<Nanos, Error> {
        let start = self.clock.monotonic_ns();
        for _ in 0..ROUNDS_MAX {
            let effects = self.replication.poll(TURN_NS).map_err(|error| answer(&error))?;
            let moved = !(effects.done.is_empty()
                && effects.barriers.is_empty()
                && effects.received.is_empty()
                && effects.events.is_empty());
            let mut sleep_ns = effects.sleep_ns;
            for event in effects.events {
                self.pending.events.push(control::encode_event(&event));
                self.requests.event(&mut self.replication, &event);
            }
            if let Some(disk) = effects.disk {
                self.pending.events.push(control::encode_disk(&disk));
            }
            for received in effects.received {
                self.receive(received);
            }
            for barrier in effects.barriers {
                if (OWN_BARRIERS..OWN_BARRIERS << 1).contains(&barrier.token) {
                    self.own_barrier_ended(&barrier);
                } else {
                    self.requests.barrier(&mut self.replication, &barrier);
                }
            }
            for done in effects.done {
                self.requests.done(&mut self.replication, &done);
            }
            self.requests.take_worked(&mut self.replication);
            let (now, went_on, wake) = self.upper_half();
            if let Some(wake) = wake {
                sleep_ns = sleep_ns.min(wake.saturating_sub(now));
            }
            if !moved && !went_on {
                return Ok(sleep_ns);
            }
            if now >= start + WHOLE_TURN_NS {
                break;
            }
        }
        // More is ready; others have their turn first.
        Ok(0)
    }

    /// Replies, flows and sessions. The time, whether anything moved, and when to wake.
    fn upper_half(&mut self) -> (Nanos, bool, Option<Nanos>) {
        let now = self.clock.monotonic_ns();
        let mut moved = false;
        while let Some((gateway, reply)) = self.requests.take_reply() {
            moved = true;
            if gateway == self.replication.node() {
                self.flow_reply(now, gateway, reply);
            } else {
                self.flows.send_reply(gateway, &reply);
            }
        }
        let look = self.flows.look(&mut self.replication, &mut self.requests, now);
        while let Some((owner, flow, event)) = self.flows.next_event() {
            moved = true;
            match owner {
                Owner::Session(id) => {
                    let (sessions, mut engine) = self.split(now);
                    sessions.flow_event(&mut engine, id, flow, event);
                }
                Owner::Control(token) => self.control_event(token, event),
            }
        }
        let (sessions, mut engine) = self.split(now);
        moved |= sessions.turn(&mut engine);
        let deadline = self.sessions.next_deadline();
        for wait in self.sessions.take_catalog_waits() {
            moved = true;
            self.own_barrier(GroupId::SYSTEM, now, Purpose::Catalog(wait));
        }
        self.ask_again(now);
        let parts_wait = self.flows.flush(&mut self.replication);
        let retry = (parts_wait || !self.again.is_empty()).then_some(now + ASK_AGAIN_NS);
        let wake = [look, deadline, retry].into_iter().flatten().min();
        (now, moved, wake)
    }

    fn split(&mut self, now: Nanos) -> (&mut Sessions, Engine<'_>) {
        let wall_us = i64::try_from(self.clock.wall_ns() / 1_000).unwrap_or(i64::MAX) - EPOCH_US;
        let engine = Engine {
            replication: &mut self.replication,
            requests: &mut self.requests,
            flows: &mut self.flows,
            now,
            wall_us,
        };
        (&mut self.sessions, engine)
    }

    fn flow_reply(&mut self, now: Nanos, from: NodeId, reply: ToGateway) {
        self.flows.reply(&mut self.replication, &mut self.requests, now, from, reply);
    }

    fn receive(&mut self, received: Received) {
        let Received { from, section, bytes } = received;
        if section == Section::Control {
            self.pending.control.push((from, bytes));
            return;
        }
        let whole = match self.flows.receive(from, section, &bytes) {
            Ok(Some(whole)) => whole,
            Ok(None) => return,
            Err(_) => {
                // Its next bytes find the link closed; flows to it are settled now.
                phantom_base::mark!("parts_of_a_message_did_not_fit");
                self.disconnected(from);
                return;
            }
        };
        let now = self.clock.monotonic_ns();
        if section == Section::Requests {
            match ToLeader::decode(&whole) {
                Ok(ToLeader::Run(run)) => self.requests.run(&mut self.replication, from, run),
                Ok(ToLeader::Credit(dispatch, bytes)) => {
                    self.requests.credit(from, dispatch, bytes);
                }
                Ok(ToLeader::Cancel(dispatch)) => {
                    self.requests.cancel(&mut self.replication, from, dispatch);
                }
                Err(_) => {
                    phantom_base::mark!("a_request_did_not_decode");
                    self.disconnected(from);
                }
            }
        } else if let Ok(reply) = ToGateway::decode(&whole) {
            self.flow_reply(now, from, reply);
        } else {
            phantom_base::mark!("a_reply_did_not_decode");
            self.disconnected(from);
        }
    }

    // Peers.

    /// A link to a peer is up.
    ///
    /// # Errors
    /// For a peer that is no member.
    pub fn connected(&mut self, peer: NodeId, incarnation: u32) -> Result<(), BadFrame> {
        self.replication.connected(peer, incarnation)
    }

    /// The link to a peer is down.
    pub fn disconnected(&mut self, peer: NodeId) {
        self.replication.disconnected(peer);
        self.requests.gateway_gone(&mut self.replication, peer);
        self.flows.peer_gone(self.clock.monotonic_ns(), peer);
    }

    /// Takes bytes of a peer; returns how many.
    ///
    /// # Errors
    /// For a bad frame: the link is closed.
    pub fn feed(&mut self, peer: NodeId, stream: u8, bytes: &[u8]) -> Result<usize, BadFrame> {
        let fed = self.replication.feed(peer, stream, bytes);
        if fed.is_err() {
            self.disconnected(peer);
        }
        fed
    }

    /// Bytes for a peer.
    pub fn take_out(&mut self, peer: NodeId, stream: u8, limit: usize) -> Option<Vec<u8>> {
        self.replication.take_out(peer, stream, limit)
    }

    /// Sends a message of the control plane; lost if the peer is away.
    pub fn send_control(&mut self, peer: NodeId, message: Vec<u8>) {
        // The control plane repeats what it wants; a full queue is a peer that is not reading.
        let _ = self.replication.send(peer, STREAM_CONTROL, Section::Control, message);
    }

    // Groups.

    /// Replication, for verbs and questions.
    pub fn replication(&mut self) -> &mut Replication {
        &mut self.replication
    }

    /// What this directory was formed as.
    pub fn formation(&self) -> &Formation {
        self.replication.formation()
    }

    /// Identity as CBOR.
    pub fn identity(&self) -> Vec<u8> {
        let replication = &self.replication;
        control::encode_identity(
            replication.formation(),
            replication.incarnation(),
            &replication.charter(),
        )
    }

    /// Status of all groups as CBOR.
    pub fn status(&self) -> Vec<u8> {
        let groups: Vec<GroupId> = self.replication.groups().collect();
        let status: Vec<_> =
            groups.into_iter().filter_map(|gid| self.replication.status(gid)).collect();
        control::encode_status(&status)
    }

    /// Counters and sizes as CBOR.
    pub fn stats(&self) -> Vec<u8> {
        let engine = self.replication.engine().stats();
        let (requests, repeats) = self.requests.counts();
        let (sessions, statements) = self.sessions.counts();
        let disk = self.replication.disk();
        control::encode_numbers(&[
            ("table_bytes", engine.table_bytes),
            ("memtable_bytes", engine.memtable_bytes),
            ("frozen_memtables", engine.frozen as u64),
            ("cache_bytes", engine.cache_bytes),
            ("cache_hits", engine.cache_hits),
            ("cache_misses", engine.cache_misses),
            ("flushes", engine.flushes),
            ("compactions", engine.compactions),
            ("table_bytes_written", engine.table_bytes_written),
            ("log_bytes", engine.log_bytes),
            ("replayed_bytes", engine.replayed_bytes + self.replication.replayed_bytes()),
            ("cut_bytes", engine.cut_bytes),
            ("stalls", engine.stalls),
            ("disk_free_bytes", disk.free),
            ("disk_total_bytes", disk.total),
            ("disk_reserve_bytes", disk.reserve),
            ("disk_short", u64::from(disk.is_short())),
            ("requests", requests as u64),
            ("statement_repeats", repeats),
            ("sessions", sessions as u64),
            ("statements", statements),
            ("flows", self.flows.len() as u64),
            ("catalog_version", self.catalog.snapshot().version()),
        ])
    }

    // Rows of system tables, for the control plane.

    /// Reads rows at a group's leader; the end is in `Effects::rows`.
    ///
    /// # Errors
    /// `22023` for spans that do not decode.
    pub fn read_rows(&mut self, token: u64, group: GroupId, spans: &[u8]) -> Result<(), Error> {
        let work = Work::ReadRows(control::decode_spans(spans)?);
        self.control_flow(token, group, work, false);
        Ok(())
    }

    /// Writes rows in one entry; the end is in `Effects::rows`.
    ///
    /// # Errors
    /// `22023` for writes that do not decode.
    pub fn write_rows(&mut self, token: u64, group: GroupId, puts: &[u8]) -> Result<(), Error> {
        let work = Work::WriteRows(control::decode_puts(puts)?);
        self.control_flow(token, group, work, true);
        Ok(())
    }

    fn control_flow(&mut self, token: u64, group: GroupId, work: Work, is_write: bool) {
        let now = self.clock.monotonic_ns();
        let start = Start {
            owner: Owner::Control(token),
            group,
            catalog_version: self.catalog.snapshot().version(),
            work,
            is_write,
            types: Vec::new(),
        };
        self.flows.start(&mut self.replication, &mut self.requests, now, start);
    }

    fn control_event(&mut self, token: u64, event: FlowEvent) {
        let outcome = match event {
            FlowEvent::Finished(_, commit) => {
                control::encode_ok(|out| out.u64(commit.0).map(|_| ()))
            }
            FlowEvent::SystemRows(spans) => control::encode_ok(|out| {
                out.array(spans.len() as u64)?;
                for rows in &spans {
                    out.array(rows.len() as u64)?;
                    for (value, version) in rows {
                        out.array(2)?.bytes(value)?.u64(*version)?;
                    }
                }
                Ok(())
            }),
            FlowEvent::Failed(error) => control::encode_failed(&error),
            FlowEvent::Rows(..) => return,
        };
        self.pending.rows.push((token, outcome));
    }

    /// Asks for a read barrier in a group; the end is in `Effects::rows`.
    pub fn barrier(&mut self, group: GroupId, token: u64) {
        let now = self.clock.monotonic_ns();
        self.own_barrier(group, now, Purpose::Control(token));
    }

    fn own_barrier(&mut self, group: GroupId, now: Nanos, purpose: Purpose) {
        let token = self.next_barrier;
        self.next_barrier += 1;
        let give_up = now + LEADER_WAIT_NS;
        self.barriers.insert(token, OwnBarrier { group, give_up, purpose });
        self.ask_own_barrier(token);
    }

    fn ask_own_barrier(&mut self, token: u64) {
        let Some(barrier) = self.barriers.get(&token) else { return };
        match self.replication.barrier(barrier.group, token) {
            Ok(()) => {}
            Err(
                Refused::Starting
                | Refused::Raft(
                    phantom_raft::Refused::NotLeader { .. } | phantom_raft::Refused::Busy,
                ),
            ) => self.again.push(token),
            Err(refused) => {
                let error = Error::new(refused.sqlstate(), refused.to_string());
                self.end_own_barrier(token, Err(error));
            }
        }
    }

    fn ask_again(&mut self, now: Nanos) {
        for token in std::mem::take(&mut self.again) {
            let Some(barrier) = self.barriers.get(&token) else { continue };
            if now >= barrier.give_up {
                let message = format!("group {} has no leader", barrier.group.0);
                let error = Error::new(sqlstate::CANNOT_CONNECT_NOW, message);
                self.end_own_barrier(token, Err(error));
            } else {
                self.ask_own_barrier(token);
            }
        }
    }

    fn own_barrier_ended(&mut self, answer: &BarrierAnswer) {
        match answer.outcome {
            BarrierOutcome::Open { .. } => self.end_own_barrier(answer.token, Ok(())),
            BarrierOutcome::Refused(_) => self.again.push(answer.token),
        }
    }

    fn end_own_barrier(&mut self, token: u64, result: Result<(), Error>) {
        let Some(barrier) = self.barriers.remove(&token) else { return };
        match barrier.purpose {
            Purpose::Control(token) => {
                let outcome = match result {
                    Ok(()) => control::encode_ok(|out| out.bool(true).map(|_| ())),
                    Err(error) => control::encode_failed(&error),
                };
                self.pending.rows.push((token, outcome));
            }
            Purpose::Catalog(wait) => self.sessions.catalog_is_new(wait, result),
        }
    }

    // Sessions.

    /// A new session of PostgreSQL's protocol.
    ///
    /// # Errors
    /// `53300` beyond the limit.
    pub fn open_session(&mut self) -> Result<SessionId, Error> {
        let secret = (self.random.next_u64() >> 32) as u32;
        self.sessions.open(secret)
    }

    /// Takes bytes of a client and begins with them; returns how many. What many clients have sent
    /// goes to the groups together, with the next `poll`.
    pub fn feed_session(&mut self, id: SessionId, bytes: &[u8]) -> usize {
        let now = self.clock.monotonic_ns();
        let (sessions, mut engine) = self.split(now);
        sessions.feed(&mut engine, id, bytes)
    }

    /// Bytes for a client.
    pub fn take_session_out(&mut self, id: SessionId, max: usize) -> Option<Vec<u8>> {
        let now = self.clock.monotonic_ns();
        let (sessions, mut engine) = self.split(now);
        sessions.take_out(&mut engine, id, max)
    }

    /// Whether a connection is to be closed once its output is sent.
    pub fn session_is_closing(&self, id: SessionId) -> bool {
        self.sessions.is_closing(id)
    }

    /// Whether a session still waits for a whole startup packet.
    pub fn session_is_starting(&self, id: SessionId) -> bool {
        self.sessions.is_starting(id)
    }

    /// What a session wants decided.
    pub fn next_session_event(&mut self, id: SessionId) -> Option<SessionEvent> {
        self.sessions.next_event(id)
    }

    /// Answers an event.
    ///
    /// # Errors
    /// `XX000` for an answer that does not decode.
    pub fn resume_session(
        &mut self,
        id: SessionId,
        event: u64,
        outcome: &[u8],
    ) -> Result<(), Error> {
        let now = self.clock.monotonic_ns();
        let (sessions, mut engine) = self.split(now);
        sessions.answer(&mut engine, id, event, outcome)
    }

    /// Ends the running statement with an error; a FATAL one ends the session.
    pub fn cancel_session(&mut self, id: SessionId, error: Error) {
        let now = self.clock.monotonic_ns();
        let (sessions, mut engine) = self.split(now);
        sessions.cancel(&mut engine, id, error);
    }

    /// Ends a session with 57P01 if no statement runs in it.
    pub fn end_idle_session(&mut self, id: SessionId) {
        let now = self.clock.monotonic_ns();
        let (sessions, mut engine) = self.split(now);
        sessions.end_if_idle(&mut engine, id);
    }

    /// Ends the running statement of the session with that pid, if the secret is right.
    pub fn cancel_by_key(&mut self, pid: u32, secret: u32) -> bool {
        let now = self.clock.monotonic_ns();
        let (sessions, mut engine) = self.split(now);
        sessions.cancel_by_key(&mut engine, pid, secret)
    }

    /// Forgets a session and what it runs.
    pub fn close_session(&mut self, id: SessionId) {
        let now = self.clock.monotonic_ns();
        let (sessions, mut engine) = self.split(now);
        sessions.close(&mut engine, id);
    }

    /// Gives up all leaderships, makes everything durable, lets the workers go.
    ///
    /// # Errors
    /// If the last sync fails: what was acknowledged holds all the same.
    pub fn close(mut self) -> Result<(), Error> {
        self.replication.stop().map_err(|error| answer(&error))?;
        let Self { replication, runtime, .. } = self;
        let closed = replication.close().map_err(|error| answer(&error));
        runtime.close();
        closed
    }
}

fn answer(error: &replication::Error) -> Error {
    Error::new(error.sqlstate(), error.to_string())
}
