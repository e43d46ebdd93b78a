//! NodeCore: one node behind one object, without a thread or a socket of its own.
//!
//! Called by one thread only. `poll` drives everything that is ready and never waits; bytes and verbs
//! go in between. A turn is: what replication has, then what the leaders of groups and the gateway make
//! of it, then sessions, again until nothing moves.
//!
//! ```text
//! verbs      what goes in between two turns
//! carry      what the gateway and the leaders want done
//! leaders    the leaders of groups, by group
//! below      what they may ask of replication at once
//! barriers   those that the node asks for on its own account
//! ```

mod barriers;
mod below;
mod carry;
mod leaders;
mod verbs;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use phantom_base::{Clock, Error, GroupId, Nanos, NodeId, Random, sqlstate};
use phantom_types::{Account, QueryMemory};
use phantom_vfs::{Pending, Vfs, WatchedFs};

use self::barriers::{ASK_AGAIN_NS, OwnBarriers, Purpose};
use self::leaders::Leaders;
use crate::catalog::{Catalog, Placement};
use crate::control::{self, NodeSettings};
use crate::gateway::{self, Gateway, Parts};
use crate::leader::{Input, Shared};
use crate::replication::{self, Replication};
use crate::runtime::real::trim;
use crate::runtime::{Pool, Runtime};
use crate::session::{Below, SessionId, Sessions};

/// What one query may take where nothing can spill yet, in bytes.
const QUERY_MEMORY_BYTES: usize = 256 << 20;
/// How many bytes of statements have come back before the system gets them: that takes milliseconds.
const TRIMMED_BYTES: usize = 64 << 20;
/// How long one turn works at replication before others have theirs.
const TURN_NS: Nanos = 2_000_000;
/// How often a turn goes round, and for how long, while there is more: then sockets are looked at.
const ROUNDS_MAX: u32 = 64;
const WHOLE_TURN_NS: Nanos = 10_000_000;
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
    /// Groups without a leader, whose timers have run out.
    pub elections: Vec<GroupId>,
    /// What else happened, as CBOR.
    pub events: Vec<Vec<u8>>,
    /// Whether anything was done.
    pub moved: bool,
    /// Poll again after so long at the latest; 0 while there is more to do. Else this is a node at
    /// rest: a second `poll` at once does nothing.
    pub sleep_ns: Nanos,
}

/// One node.
pub struct NodeCore {
    replication: Replication,
    leaders: Leaders,
    gateway: Gateway,
    parts: Parts,
    sessions: Sessions,
    catalog: Catalog,
    runtime: Arc<Runtime>,
    clock: Arc<dyn Clock>,
    random: Box<dyn Random>,
    barriers: OwnBarriers,
    /// What all statements hold here.
    memory: Arc<Account>,
    /// Calls to the disk that have not come back.
    disk: Arc<Pending>,
    pending: Effects,
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
        let watched = WatchedFs::new(fs, Arc::clone(&clock));
        let disk = watched.pending();
        let catalog = Catalog::default();
        let elections = phantom_base::SeededRandom::new(random.next_u64());
        let opened = replication::Settings {
            memory_bytes: settings.memory_bytes,
            cores: settings.cores,
            observer: catalog.watcher(),
            ..replication::Settings::default()
        };
        let replication = Replication::open(
            Arc::new(watched),
            dir,
            opened,
            Arc::clone(&runtime),
            Arc::clone(&clock),
            Box::new(elections),
        )
        .map_err(|error| answer(&error))?;
        let node = replication.node();
        let engine = Arc::clone(replication.engine());
        let members: Vec<NodeId> =
            replication.formation().members.iter().map(|member| member.node).collect();
        catalog.place(Placement::of(replication.groups(), &members));
        catalog.load(&engine)?;
        let memory = Account::new(settings.sql_memory_bytes);
        let account = Some(Arc::clone(&memory));
        let of_query = QueryMemory { bytes: QUERY_MEMORY_BYTES, account };
        let shared = Shared::new(node, engine, catalog.clone(), of_query.clone());
        let worked = runtime.mailbox();
        let workers = Arc::clone(&runtime);
        Ok(Self {
            leaders: Leaders::new(shared, worked),
            parts: Parts::new(of_query.share()),
            gateway: Gateway::new(node, of_query),
            sessions: Sessions::new(node.0, settings.sessions_max, catalog.clone(), workers),
            replication,
            catalog,
            runtime,
            clock,
            random,
            barriers: OwnBarriers::new(),
            memory,
            disk,
            pending: Effects::default(),
        })
    }

    /// Drives everything that is ready.
    ///
    /// # Errors
    /// What ends the node: a failed sync, damage. It must be closed by ending the process.
    pub fn poll(&mut self) -> Result<Effects, Error> {
        let (moved, sleep_ns) = self.turn()?;
        if self.memory.has_fallen_by(TRIMMED_BYTES) {
            self.runtime.submit(Pool::Sql, Box::new(trim));
        }
        let mut effects = std::mem::take(&mut self.pending);
        // Statements have put something there since replication was asked.
        effects.out = self.replication.outgoing();
        effects.sessions = self.sessions.take_notified();
        effects.moved = moved;
        effects.sleep_ns = sleep_ns;
        Ok(effects)
    }

    /// One turn; whether anything was done, and how long nothing will happen by itself.
    fn turn(&mut self) -> Result<(bool, Nanos), Error> {
        let start = self.clock.monotonic_ns();
        let mut moved = false;
        for _ in 0..ROUNDS_MAX {
            let effects = self.replication.poll(TURN_NS).map_err(|error| answer(&error))?;
            moved |= effects.moved;
            for event in effects.events {
                match &event {
                    phantom_raft::Event::ElectionDue(groups) => {
                        self.pending.elections.extend(groups);
                    }
                    event => self.pending.events.push(control::encode_event(event)),
                }
                self.heed(&event);
                self.carry(start);
            }
            let clock = effects.clock.into_iter().map(control::encode_clock);
            self.pending.events.extend(clock);
            if let Some(disk) = effects.disk {
                self.pending.events.push(control::encode_disk(&disk));
            }
            for received in effects.received {
                self.receive(received);
            }
            for barrier in effects.barriers {
                if OwnBarriers::owns(barrier.token) {
                    self.barriers.answered(&barrier);
                    self.tell_of_barriers();
                } else {
                    self.barrier_ended(&barrier);
                }
                self.carry(start);
            }
            for done in effects.done {
                self.proposal_ended(&done);
                self.carry(start);
            }
            moved |= self.take_worked();
            let (now, went_on, wake) = self.upper_half();
            moved |= went_on;
            // What statements have just asked of replication is replication's work now.
            let sleep_ns = self.replication.sleep_ns();
            if sleep_ns > 0 && !self.has_more() && !self.runtime.has_rung() {
                let wake_ns = wake.map_or(Nanos::MAX, |wake| wake.saturating_sub(now));
                return Ok((moved, sleep_ns.min(wake_ns)));
            }
            if now >= start + WHOLE_TURN_NS {
                break;
            }
        }
        // More is ready; others have their turn first.
        Ok((moved, 0))
    }

    /// Whether something above replication can go on at once.
    fn has_more(&self) -> bool {
        self.leaders.has_effects() || self.gateway.has_effects() || self.sessions.has_ready()
    }

    /// Leaders, the gateway and sessions. The time, whether anything moved, and when to wake.
    fn upper_half(&mut self) -> (Nanos, bool, Option<Nanos>) {
        let now = self.clock.monotonic_ns();
        let context = gateway::Context { leaders: &self.replication, now };
        self.gateway.step(gateway::Input::Time, context);
        let mut moved = self.carry(now);
        let (sessions, mut below) = self.split(now);
        moved |= sessions.turn(&mut below);
        for wait in self.sessions.take_catalog_waits() {
            moved = true;
            self.ask_catalog_barrier(now, Purpose::Catalog(wait));
        }
        self.barriers.ask_again(&mut self.replication, now);
        self.tell_of_barriers();
        moved |= self.carry(now);
        let parts_wait = self.flush();
        let retry = (parts_wait || self.barriers.has_waiting()).then_some(now + ASK_AGAIN_NS);
        let wake = [self.gateway.next_look(), self.sessions.next_deadline(), retry];
        (now, moved, wake.into_iter().flatten().min())
    }

    fn split(&mut self, now: Nanos) -> (&mut Sessions, Below<'_>) {
        let wall_us = i64::try_from(self.clock.wall_ns() / 1_000).unwrap_or(i64::MAX) - EPOCH_US;
        let below = Below { gateway: &mut self.gateway, leaders: &self.replication, now, wall_us };
        (&mut self.sessions, below)
    }

    fn ask_catalog_barrier(&mut self, now: Nanos, purpose: Purpose) {
        self.ask_barrier(GroupId::SYSTEM, now, purpose);
    }

    fn ask_barrier(&mut self, group: GroupId, now: Nanos, purpose: Purpose) {
        self.barriers.ask(&mut self.replication, group, now, purpose);
        self.tell_of_barriers();
    }

    fn tell_of_barriers(&mut self) {
        while let Some((purpose, result)) = self.barriers.next_ended() {
            match purpose {
                Purpose::Control(token) => {
                    let outcome = match result {
                        Ok(()) => control::encode_ok(|out| out.bool(true).map(|_| ())),
                        Err(error) => control::encode_failed(&error),
                    };
                    self.pending.rows.push((token, outcome));
                }
                Purpose::Catalog(wait) => {
                    let (sessions, mut below) = self.split(self.clock.monotonic_ns());
                    sessions.catalog_is_new(&mut below, wait, result);
                }
                Purpose::Request(group, request) => {
                    let input = Input::CatalogIsNew(request, result);
                    self.leaders.step(&mut self.replication, group, input);
                }
            }
        }
    }

    /// Gives up all leaderships, makes everything durable, lets the workers go. Waits for the disk
    /// for as long as `patience` says; what hangs then ends with the process.
    ///
    /// # Errors
    /// `58030` if the last sync fails or does not end: what was acknowledged holds all the same.
    pub fn close(mut self, patience: Duration) -> Result<(), Error> {
        self.replication.stop().map_err(|error| answer(&error))?;
        let Self { replication, runtime, .. } = self;
        let workers = Arc::clone(&runtime);
        let close = move || {
            let closed = replication.close().map_err(|error| answer(&error));
            workers.close();
            closed
        };
        runtime.run_apart("close", patience, close).unwrap_or_else(|| {
            let waited = patience.as_secs_f64();
            let message = format!("the disk has not answered for {waited:.1} s");
            Err(Error::new(sqlstate::IO_ERROR, message))
        })
    }
}

#[track_caller]
fn answer(error: &replication::Error) -> Error {
    Error::new(error.sqlstate(), error.to_string())
}
