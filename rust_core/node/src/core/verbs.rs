//! What goes into a node between two turns: bytes and links of peers, verbs and questions of the
//! control plane, clients and what is decided for them.
//!
//! Each only puts something where a turn finds it, or says what is there. Whoever has called one that
//! puts something in calls `poll` soon after.

use phantom_base::{Error, GroupId, Nanos, NodeId};
use phantom_wire::pg::Admission;

use super::NodeCore;
use super::barriers::Purpose;
use crate::control;
use crate::frame::{BadFrame, Section};
use crate::gateway::{self, Owner, Start};
use crate::leader::work::Work;
use crate::link::STREAM_CONTROL;
use crate::replication::{Formation, Replication};
use crate::session::{Door, SessionEvent, SessionId, SessionOut};

impl NodeCore {
    // Peers.

    /// A link to a peer is up, whose release can read `features`.
    ///
    /// # Errors
    /// For a peer that is no member.
    pub fn connected(
        &mut self,
        peer: NodeId,
        incarnation: u32,
        features: u64,
    ) -> Result<(), BadFrame> {
        self.replication.connected(peer, incarnation, features)
    }

    /// The link to a peer is down.
    pub fn disconnected(&mut self, peer: NodeId) {
        self.replication.disconnected(peer);
        self.parts.forget(peer);
        self.leaders.gateway_gone(&mut self.replication, peer);
        let context =
            gateway::Context { leaders: &self.replication, now: self.clock.monotonic_ns() };
        self.gateway.step(gateway::Input::PeerGone(peer), context);
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

    /// Where rows are: sets, their groups and the replicas of those, as CBOR.
    pub fn placement(&self) -> Vec<u8> {
        self.catalog.encode_placement()
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
        let (requests, repeats) = self.leaders.counts();
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
            ("disk_pending_ms", self.disk.oldest() / 1_000_000),
            ("sql_memory_bytes", self.memory.held() as u64),
            ("sql_memory_limit_bytes", self.memory.limit() as u64),
            ("sql_memory_refused", self.memory.refused()),
            ("barriers_by_lease", self.replication.barriers().by_lease),
            ("barriers_by_round", self.replication.barriers().by_round),
            ("requests", requests as u64),
            ("statement_repeats", repeats),
            ("sessions", sessions as u64),
            ("statements", statements),
            ("flows", self.gateway.len() as u64),
            ("catalog_version", self.catalog.snapshot().version()),
        ])
    }

    /// How long the oldest call to the disk has not come back; 0 if all have.
    pub fn disk_waits_ns(&self) -> Nanos {
        self.disk.oldest()
    }

    // Rows of system tables, for the control plane.

    /// Reads rows at a group's leader; the end is in `Effects::rows`.
    ///
    /// # Errors
    /// `22023` for spans that do not decode.
    pub fn read_rows(&mut self, token: u64, group: GroupId, spans: &[u8]) -> Result<(), Error> {
        let work = Work::ReadRows(control::decode_spans(spans)?);
        self.give(token, group, work);
        Ok(())
    }

    /// Writes rows in one entry; the end is in `Effects::rows`.
    ///
    /// # Errors
    /// `22023` for writes that do not decode.
    pub fn write_rows(&mut self, token: u64, group: GroupId, puts: &[u8]) -> Result<(), Error> {
        let work = Work::WriteRows(control::decode_puts(puts)?);
        self.give(token, group, work);
        Ok(())
    }

    fn give(&mut self, token: u64, group: GroupId, work: Work) {
        let catalog_version = self.catalog.snapshot().version();
        let start = Start { owner: Owner::Control(token), group, catalog_version, work };
        let context =
            gateway::Context { leaders: &self.replication, now: self.clock.monotonic_ns() };
        self.gateway.step(gateway::Input::Start(start), context);
    }

    /// Asks for a read barrier in a group; the end is in `Effects::rows`.
    pub fn barrier(&mut self, group: GroupId, token: u64) {
        let now = self.clock.monotonic_ns();
        self.ask_barrier(group, now, Purpose::Control(token));
    }

    // Sessions.

    /// A new session behind a door.
    ///
    /// # Errors
    /// `53300` beyond the limit.
    pub fn open_session(&mut self, door: Door) -> Result<SessionId, Error> {
        let secret = (self.random.next_u64() >> 32) as u32;
        self.sessions.open(door, secret)
    }

    /// Says whom the client may be that begins a session; anyone, if nothing is said.
    pub fn admit_to_session(&mut self, id: SessionId, admission: Admission) {
        self.sessions.admit(id, admission);
    }

    /// Takes bytes of a client and begins with them; returns how many. What many clients have sent
    /// goes to the groups together, with the next `poll`.
    pub fn feed_session(&mut self, id: SessionId, bytes: &[u8]) -> usize {
        let now = self.clock.monotonic_ns();
        let (sessions, mut below) = self.split(now);
        sessions.feed(&mut below, id, bytes)
    }

    /// Bytes for a client.
    pub fn take_session_out(&mut self, id: SessionId, max: usize) -> Option<SessionOut> {
        let now = self.clock.monotonic_ns();
        let (sessions, mut below) = self.split(now);
        sessions.take_out(&mut below, id, max)
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
        let (sessions, mut below) = self.split(now);
        sessions.answer(&mut below, id, event, outcome)
    }

    /// Ends the running statement with an error; a FATAL one ends the session.
    pub fn cancel_session(&mut self, id: SessionId, error: Error) {
        let now = self.clock.monotonic_ns();
        let (sessions, mut below) = self.split(now);
        sessions.cancel(&mut below, id, error);
    }

    /// Ends a session with 57P01 if no statement runs in it.
    pub fn end_idle_session(&mut self, id: SessionId) {
        let now = self.clock.monotonic_ns();
        let (sessions, mut below) = self.split(now);
        sessions.end_if_idle(&mut below, id);
    }

    /// Ends the running statement of the session with that pid, if the secret is right.
    pub fn cancel_by_key(&mut self, pid: u32, secret: u32) -> bool {
        let now = self.clock.monotonic_ns();
        let (sessions, mut below) = self.split(now);
        sessions.cancel_by_key(&mut below, pid, secret)
    }

    /// Forgets a session and what it runs.
    pub fn close_session(&mut self, id: SessionId) {
        let now = self.clock.monotonic_ns();
        let (sessions, mut below) = self.split(now);
        sessions.close(&mut below, id);
    }
}
