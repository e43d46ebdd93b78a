//! Connections and the order of a turn, whatever the network is.
//!
//! A turn: what the network says, what the control plane wants, time; who waits at the doors; links,
//! then clients, each socket read once; the core; and what it has for sockets. Rules, each a test:
//!
//! - A connection is read while all that it sent before has been taken: a client that asks more than
//!   is answered stops by itself, and so does one that does not read.
//! - Output keeps its order, and all of it leaves before a connection is closed by us.
//! - A client that closes its half is told what it has asked for until then. One that misspoke is
//!   read on for a while, or closing would reset the connection and take our last words with it.
//! - A door has a bound of connections: who comes beyond it waits outside, in the kernel's backlog.
//! - A turn takes a bounded number of bytes of each socket, and links before clients. It does a
//!   bounded number of handshakes: a thousand clients that come back at once stop no heartbeat.
//! - What a connection held (a session, a link, a slot of a door) is let go when it closes.
//! - A turn that says it sleeps leaves nothing to do: another at once does nothing.
//!
//! ```text
//! socket     what may be done with a socket now, and what waits to be sent
//! entrance   who is let in
//! security   what is asked of who comes in
//! client     a client's connection and its session
//! greeting   a connection of a peer until it is known what for
//! link       the streams of a pair of nodes
//! verbs      what the control plane wants
//! ending     why connections end
//! turn       what a turn was like, and what took its time
//! ```

mod client;
mod ending;
mod entrance;
mod greeting;
mod link;
mod security;
mod socket;
mod turn;
mod verbs;

use std::collections::VecDeque;
use std::io;

use phantom_base::sync::Arc;
use phantom_base::{Clock, Error, Map, Nanos, NodeId, Set, sqlstate};
use phantom_node::core::{Effects, NodeCore};
use phantom_node::session::SessionId;

use crate::net::{ConnId, Net, Ready};
use crate::slots::Slots;
use crate::traffic::{Event, Verb};
use client::{Client, Refused};
pub use ending::{Ending, Endings};
use entrance::Entrance;
pub use entrance::Kind;
use greeting::Greeting;
use link::{Links, Stream};
pub use security::Security;
use socket::Socket;
pub use turn::{Laps, Turn};

/// How much of a socket is read at once, in bytes.
const READ_BYTES: usize = 64 << 10;
/// How much is written to a socket in a turn, in bytes.
const WRITE_BYTES_A_TURN: usize = 256 << 10;
/// How many clients are read in a turn: then links and the core have theirs.
const CLIENTS_A_TURN: usize = 256;
/// How many of them are in the middle of a handshake: each takes up to a quarter of a millisecond.
const HANDSHAKES_A_TURN: usize = 16;
/// How soon a core that would not take all bytes of a peer is asked again.
const FULL_NS: Nanos = 5_000_000;

/// How many there may be, and how long what may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections of clients at once; who comes beyond it waits outside.
    pub clients_max: usize,
    /// The same of other nodes.
    pub peers_max: usize,
    /// How long a client may take to begin its session.
    pub startup_ns: Nanos,
    /// How long a connection between nodes may be without being a link.
    pub handshake_ns: Nanos,
    /// How long is waited for a client whose message has ended its session to hear of it.
    pub linger_ns: Nanos,
    /// How long the other stream of a link may take to end.
    pub other_stream_ns: Nanos,
}

impl Default for Limits {
    fn default() -> Self {
        const S: Nanos = 1_000_000_000;
        Self {
            clients_max: 20_000,
            peers_max: 1_024,
            startup_ns: 60 * S,
            handshake_ns: 5 * S,
            linger_ns: 2 * S,
            other_stream_ns: S,
        }
    }
}

#[derive(Debug)]
enum Part {
    /// A client that has said nothing yet.
    Arrived,
    Client(Client),
    Refused(Refused),
    Greeting(Greeting),
    Stream(Stream),
}

#[derive(Debug)]
struct Conn {
    socket: Socket,
    part: Part,
    /// It is in a queue to be read.
    is_queued: bool,
}

/// What becomes of a connection after a step.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    /// The peer has said all on this stream.
    Ended,
    Closes(Ending),
}

/// What a step of one connection works with.
struct Hands<'a> {
    net: &'a mut dyn Net,
    core: Option<&'a mut NodeCore>,
    events: &'a mut VecDeque<Event>,
    buffer: &'a mut [u8],
    limits: Limits,
    security: &'a Security,
    now: Nanos,
    is_draining: bool,
    /// Something went into the core.
    stirred: bool,
    /// The session that the connection has now.
    opened: Option<SessionId>,
}

/// All connections of a node.
pub struct Doors {
    limits: Limits,
    security: Security,
    entrance: Entrance,
    conns: Slots<Conn>,
    core: Option<NodeCore>,
    sessions: Map<SessionId, ConnId>,
    links: Links,
    timers: Set<(Nanos, ConnId)>,
    /// Connections with something to be read.
    peers_to_read: VecDeque<ConnId>,
    clients_to_read: VecDeque<ConnId>,
    /// Connections that may have something to send, and a socket that takes it.
    to_write: Set<ConnId>,
    /// Streams with bytes that the core would not take.
    holding: Set<ConnId>,
    buffer: Vec<u8>,
    events: VecDeque<Event>,
    /// Sessions end as soon as they are idle; all are cut then.
    drain_until: Option<Nanos>,
    has_told_of_the_end: bool,
    /// Something went into the core since it was driven last.
    stirred: bool,
    endings: Endings,
    /// What turns are timed by, if somebody wants to know.
    clock: Option<Arc<dyn Clock>>,
}

impl Doors {
    /// No door yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            security: Security::default(),
            entrance: Entrance::new(&limits),
            conns: Slots::default(),
            core: None,
            sessions: Map::new(),
            links: Links::default(),
            timers: Set::new(),
            peers_to_read: VecDeque::new(),
            clients_to_read: VecDeque::new(),
            to_write: Set::new(),
            holding: Set::new(),
            buffer: vec![0; READ_BYTES],
            events: VecDeque::new(),
            drain_until: None,
            has_told_of_the_end: false,
            stirred: false,
            endings: Endings::default(),
            clock: None,
        }
    }

    /// What is asked of connections from now on; those that are there keep what they have.
    pub fn secure(&mut self, security: Security) {
        self.security = security;
    }

    /// Takes the core: from now on links and sessions can be.
    pub fn attach(&mut self, core: NodeCore) {
        assert!(self.core.is_none(), "one core for a node's life");
        self.core = Some(core);
        self.stirred = true;
    }

    /// The core, if there is one yet. Whoever puts something in has the next turn come soon.
    pub fn core(&mut self) -> Option<&mut NodeCore> {
        self.stirred = true;
        self.core.as_mut()
    }

    /// The core, for one who only looks.
    pub fn look(&mut self) -> Option<&mut NodeCore> {
        self.core.as_mut()
    }

    /// Gives the core back; what it held for connections goes with them.
    pub fn detach(&mut self) -> Option<NodeCore> {
        self.core.take()
    }

    /// What the control plane is to know.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events).into()
    }

    /// Times turns from now on.
    pub fn timed_by(&mut self, clock: Arc<dyn Clock>) {
        self.clock = Some(clock);
    }

    /// How many connections have ended, by reason.
    pub fn endings(&self) -> &Endings {
        &self.endings
    }

    /// How many connections there are, how many of them have sessions, and how many links are up.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.conns.len(), self.sessions.len(), self.links.len())
    }

    /// The connection that carries a stream of a link that is up.
    pub fn stream(&self, peer: NodeId, stream: u8) -> Option<ConnId> {
        self.links.conn(peer, stream)
    }

    /// One turn.
    ///
    /// # Errors
    /// What ends the node: a failed sync, damage, a door that is broken.
    pub fn turn(
        &mut self,
        net: &mut dyn Net,
        ready: &[Ready],
        verbs: Vec<Verb>,
        now: Nanos,
    ) -> Result<Turn, Error> {
        let mut laps = Laps::begin(self.clock.as_deref());
        let mut moved = !ready.is_empty() || !verbs.is_empty();
        for word in ready {
            self.hear(net, *word, now);
        }
        for verb in verbs {
            self.obey(net, verb, now);
        }
        moved |= self.ring_timers(net, now);
        laps.end(self.clock.as_deref());
        moved |= self.let_in(net, now)?;
        moved |= self.read(net, now);
        moved |= self.feed_held(net, now);
        laps.end(self.clock.as_deref());
        let core_ns = self.drive(net, now, &mut moved)?;
        laps.end(self.clock.as_deref());
        moved |= self.write(net, now);
        self.tell_of_the_end();
        laps.end(self.clock.as_deref());
        Ok(Turn { moved, sleep_ns: self.sleep_ns(now, core_ns), laps })
    }

    fn sleep_ns(&self, now: Nanos, core_ns: Nanos) -> Nanos {
        let has_more = self.stirred
            || !self.peers_to_read.is_empty()
            || !self.clients_to_read.is_empty()
            || !self.to_write.is_empty()
            || self.entrance.may_let_in(now);
        if has_more {
            return 0;
        }
        let timer = self.timers.first().map_or(Nanos::MAX, |(at, _)| at.saturating_sub(now));
        let full = if self.holding.is_empty() { Nanos::MAX } else { FULL_NS };
        let drained = self.drain_until.filter(|_| !self.has_told_of_the_end);
        let ends = [self.entrance.wakes_at(), drained.unwrap_or(Nanos::MAX)];
        let due = ends.map(|at| at.saturating_sub(now)).into_iter().fold(Nanos::MAX, Nanos::min);
        core_ns.min(timer).min(full).min(due)
    }

    fn split<'a>(
        &'a mut self,
        net: &'a mut dyn Net,
        now: Nanos,
    ) -> (&'a mut Slots<Conn>, Hands<'a>) {
        let hands = Hands {
            net,
            core: self.core.as_mut(),
            events: &mut self.events,
            buffer: &mut self.buffer,
            limits: self.limits,
            security: &self.security,
            now,
            is_draining: self.drain_until.is_some(),
            stirred: false,
            opened: None,
        };
        (&mut self.conns, hands)
    }

    /// Does a step of a connection, and what follows from it.
    fn step(
        &mut self,
        net: &mut dyn Net,
        now: Nanos,
        id: ConnId,
        step: impl FnOnce(&mut Conn, &mut Hands<'_>) -> io::Result<Fate>,
    ) {
        let (conns, mut hands) = self.split(net, now);
        let Some(conn) = conns.get_mut(id) else { return };
        let fate = step(conn, &mut hands)
            .unwrap_or_else(|gone| Fate::Closes(Ending::Lost(gone.to_string())));
        let (stirred, opened) = (hands.stirred, hands.opened);
        self.stirred |= stirred;
        if let Some(session) = opened {
            self.sessions.insert(session, id);
        }
        match fate {
            Fate::Closes(why) => self.close(net, id, &why, now),
            Fate::Ended => self.stream_ended(net, id, now),
            Fate::Stays => self.queue(id),
        }
    }

    /// Puts a connection where the next turns find it.
    fn queue(&mut self, id: ConnId) {
        let Some(Conn { socket, part, is_queued }) = self.conns.get_mut(id) else { return };
        let wants_bytes = match part {
            Part::Client(client) => client.wants_bytes(),
            Part::Arrived | Part::Refused(_) => true,
            Part::Greeting(greeting) => greeting.wants_bytes(),
            Part::Stream(stream) => {
                if stream.holds() {
                    self.holding.insert(id);
                }
                stream.wants_bytes()
            }
        };
        if socket.has_to_read() && wants_bytes && !*is_queued {
            *is_queued = true;
            let is_clients = matches!(part, Part::Arrived | Part::Client(_) | Part::Refused(_));
            let queue =
                if is_clients { &mut self.clients_to_read } else { &mut self.peers_to_read };
            queue.push_back(id);
        }
        if socket.can_send() {
            self.to_write.insert(id);
        }
        if socket.timer != socket.deadline {
            if let Some(at) = socket.timer {
                self.timers.remove(&(at, id));
            }
            if let Some(at) = socket.deadline {
                self.timers.insert((at, id));
            }
            socket.timer = socket.deadline;
        }
    }

    fn hear(&mut self, net: &mut dyn Net, word: Ready, now: Nanos) {
        let (id, writable) = match word {
            Ready::Accept(listener) => return self.entrance.is_wanted(listener),
            Ready::Conn { conn, readable, writable, ended } => {
                let Some(Conn { socket, .. }) = self.conns.get_mut(conn) else { return };
                socket.may_read |= readable | ended;
                socket.may_write |= writable;
                socket.is_ending |= ended;
                (conn, writable)
            }
        };
        self.queue(id);
        if writable {
            self.write_one(net, id, now);
        }
    }

    /// Each socket that has something is read once: links first, then so many clients. Handshakes
    /// beyond their number wait for the next turn.
    fn read(&mut self, net: &mut dyn Net, now: Nanos) -> bool {
        let (mut ids, mut handshakes) = (Vec::new(), 0);
        for (queue, most) in
            [(&mut self.peers_to_read, usize::MAX), (&mut self.clients_to_read, CLIENTS_A_TURN)]
        {
            for _ in 0..queue.len().min(most) {
                let Some(id) = queue.pop_front() else { break };
                let conn = self.conns.get(id);
                let is_new = conn.is_some_and(|conn| conn.socket.filter().is_shaking_hands());
                if is_new && handshakes == HANDSHAKES_A_TURN {
                    queue.push_back(id);
                } else {
                    handshakes += usize::from(is_new);
                    ids.push(id);
                }
            }
        }
        let moved = !ids.is_empty();
        for id in ids {
            self.step(net, now, id, |Conn { socket, part, is_queued }, hands| {
                *is_queued = false;
                match part {
                    Part::Arrived => client::greet(part, socket, hands),
                    Part::Client(client) => client.read(socket, hands),
                    Part::Refused(refused) => refused.read(socket, hands),
                    Part::Greeting(greeting) => greeting.read(socket, hands),
                    Part::Stream(stream) => stream.read(socket, hands),
                }
            });
        }
        moved
    }

    /// Drives the core and takes what it has; how long it will do nothing by itself.
    fn drive(&mut self, net: &mut dyn Net, now: Nanos, moved: &mut bool) -> Result<Nanos, Error> {
        self.stirred = false;
        let Some(core) = &mut self.core else { return Ok(Nanos::MAX) };
        let effects: Effects = core.poll()?;
        *moved |= effects.moved;
        let events = &mut self.events;
        if !effects.elections.is_empty() {
            events.push_back(Event::ElectionDue(effects.elections));
        }
        events.extend(effects.events.into_iter().map(Event::Core));
        events.extend(effects.control.into_iter().map(|(peer, it)| Event::Control(peer, it)));
        events.extend(effects.rows.into_iter().map(|(token, end)| Event::Ended(token, end)));
        for (peer, stream) in effects.out {
            if let Some(id) = self.links.conn(peer, stream)
                && self.conns.get(id).is_some_and(|conn| conn.socket.may_write)
            {
                self.to_write.insert(id);
            }
        }
        for session in effects.sessions {
            if let Some(id) = self.sessions.get(&session).copied() {
                self.serve(net, id, now);
            }
        }
        Ok(effects.sleep_ns)
    }

    /// Carries what a session has.
    fn serve(&mut self, net: &mut dyn Net, id: ConnId, now: Nanos) {
        self.step(net, now, id, |Conn { socket, part, .. }, hands| match part {
            Part::Client(client) => client.serve(socket, hands),
            Part::Arrived if hands.is_draining => Ok(Fate::Closes(Ending::Drained)),
            _ => Ok(Fate::Stays),
        });
    }

    /// Sends what sockets take.
    fn write(&mut self, net: &mut dyn Net, now: Nanos) -> bool {
        let ids = std::mem::take(&mut self.to_write);
        let moved = !ids.is_empty();
        for id in ids {
            self.write_one(net, id, now);
        }
        moved
    }

    fn write_one(&mut self, net: &mut dyn Net, id: ConnId, now: Nanos) {
        let is_finishing = self.links.is_finishing;
        let mut has_more = false;
        self.step(net, now, id, |Conn { socket, part, .. }, hands| match part {
            Part::Client(client) => client.serve(socket, hands),
            Part::Arrived => {
                // What a filter has to say for itself.
                socket.flush(hands.net, &mut WRITE_BYTES_A_TURN.clone())?;
                Ok(Fate::Stays)
            }
            Part::Refused(refused) => refused.write(socket, hands),
            Part::Greeting(greeting) => greeting.write(socket, hands),
            Part::Stream(stream) => {
                has_more = stream.write(socket, hands, is_finishing)?;
                Ok(Fate::Stays)
            }
        });
        if has_more && self.conns.get(id).is_some() {
            self.to_write.insert(id);
        }
    }

    /// Asks the core again to take what it had no room for.
    fn feed_held(&mut self, net: &mut dyn Net, now: Nanos) -> bool {
        let mut moved = false;
        for id in std::mem::take(&mut self.holding) {
            self.step(net, now, id, |Conn { part, .. }, hands| {
                let Part::Stream(stream) = part else { return Ok(Fate::Stays) };
                let fate = stream.feed_held(hands);
                moved |= hands.stirred || fate != Fate::Stays;
                Ok(fate)
            });
        }
        moved
    }

    fn ring_timers(&mut self, net: &mut dyn Net, now: Nanos) -> bool {
        let mut moved = false;
        if self.drain_until.is_some_and(|at| now >= at) {
            for id in self.clients() {
                moved = true;
                self.close(net, id, &Ending::GraceOver, now);
            }
        }
        while let Some((at, id)) = self.timers.first().copied()
            && at <= now
        {
            moved = true;
            self.timers.remove(&(at, id));
            let Some(conn) = self.conns.get_mut(id) else { continue };
            conn.socket.timer = None;
            self.close(net, id, &Ending::TookTooLong, now);
        }
        moved
    }

    fn clients(&self) -> Vec<ConnId> {
        let is_client = |id: &ConnId| {
            let part = self.conns.get(*id).map(|conn| &conn.part);
            matches!(part, Some(Part::Arrived | Part::Client(_) | Part::Refused(_)))
        };
        self.conns.ids().into_iter().filter(is_client).collect()
    }

    /// Closes a connection, and lets go what it held.
    fn close(&mut self, net: &mut dyn Net, id: ConnId, why: &Ending, now: Nanos) {
        let Some(Conn { mut socket, part, .. }) = self.conns.remove(id) else { return };
        socket.say_goodbye(net);
        net.close(id);
        self.endings.count(why);
        if let Some(at) = socket.timer {
            self.timers.remove(&(at, id));
        }
        self.to_write.remove(&id);
        self.holding.remove(&id);
        if let Some(door) = socket.door {
            self.entrance.left(door);
        }
        match part {
            Part::Client(client) => {
                self.sessions.remove(&client.session);
                if client.has_asked {
                    self.events.push_back(Event::SessionGone(client.session));
                }
                if let Some(core) = &mut self.core {
                    core.close_session(client.session);
                    self.stirred = true;
                }
            }
            Part::Greeting(Greeting { dial: Some(token), .. }) => {
                self.events.push_back(Event::DialFailed(token, why.to_string()));
            }
            Part::Stream(stream) if stream.is_up => self.link_down(net, stream.peer, why, now),
            Part::Stream(Stream { peer, link, .. }) => {
                // It was to be one.
                if let Some(streams) = self.links.give_up(peer, link) {
                    for other in streams.into_iter().flatten() {
                        self.close(net, other, why, now);
                    }
                    self.events.push_back(Event::LinkDown(peer, link, why.to_string()));
                }
            }
            Part::Arrived | Part::Refused(_) | Part::Greeting(_) => {}
        }
    }

    /// Takes a link down: all its streams close.
    fn link_down(&mut self, net: &mut dyn Net, peer: NodeId, why: &Ending, now: Nanos) {
        let Some(link) = self.links.take(peer) else { return };
        for id in link.streams {
            if let Some(Conn { part: Part::Stream(stream), .. }) = self.conns.get_mut(id) {
                stream.is_up = false;
            }
            self.close(net, id, why, now);
        }
        if let Some(core) = &mut self.core {
            core.disconnected(peer);
            self.stirred = true;
        }
        self.events.push_back(Event::LinkDown(peer, link.name, why.to_string()));
    }

    /// A peer has said all on a stream. Its last words may be on the other one.
    fn stream_ended(&mut self, net: &mut dyn Net, id: ConnId, now: Nanos) {
        let Some(Conn { part: Part::Stream(stream), .. }) = self.conns.get(id) else { return };
        let peer = stream.peer;
        let Some(link) = self.links.up(peer) else { return };
        link.ended += 1;
        if link.ended == link.streams.len() {
            return self.link_down(net, peer, &Ending::HungUp, now);
        }
        for other in link.streams {
            if let Some(Conn { socket, part: Part::Stream(stream), .. }) = self.conns.get_mut(other)
                && !stream.has_said_all
            {
                socket.deadline = Some(now + self.limits.other_stream_ns);
                self.queue(other);
            }
        }
    }

    fn tell_of_the_end(&mut self) {
        if self.drain_until.is_some() && !self.has_told_of_the_end && self.clients().is_empty() {
            self.has_told_of_the_end = true;
            self.events.push_back(Event::ClientsGone);
        }
    }
}

fn broken_door(error: &io::Error) -> Error {
    Error::new(sqlstate::IO_ERROR, format!("a door takes no connections: {error}"))
}
