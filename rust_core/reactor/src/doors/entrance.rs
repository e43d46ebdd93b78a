//! Who is let in: listening sockets, their bounds, and the errors of `accept`.

use std::io;

use phantom_base::{Error, Nanos};
use phantom_node::session;
use phantom_wire::pg::Refusal;

use super::client::{Client, Refused};
use super::greeting::Greeting;
use super::socket::Socket;
use super::{Conn, Doors, Limits, Part, broken_door};
use crate::net::{ConnId, Hitch, ListenerId, Net};
use crate::traffic::Event;

/// How many connections a door takes in a turn.
const ACCEPTS_A_TURN: usize = 64;
/// How long a door waits that has no descriptors left.
const SHORTAGE_NS: Nanos = 100_000_000;
/// How often it is said at most that a door is full.
const SAY_NS: Nanos = 60_000_000_000;

/// Who comes in at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Clients that speak PostgreSQL's protocol.
    Clients,
    /// Other nodes.
    Peers,
}

#[derive(Debug)]
struct Door {
    kind: Kind,
    /// Somebody waits outside, as far as is known.
    is_wanted: bool,
    is_open: bool,
    /// Descriptors were short: not before.
    not_before: Nanos,
    said_at: Option<Nanos>,
}

/// Connections that came in by doors of one kind.
#[derive(Clone, Copy, Debug)]
struct Room {
    slots: usize,
    taken: usize,
}

/// The doors, in the order of their listening sockets.
#[derive(Debug)]
pub struct Entrance {
    doors: Vec<Door>,
    clients: Room,
    peers: Room,
}

impl Entrance {
    /// No doors; how many connections there may be at once.
    pub fn new(limits: &Limits) -> Self {
        let room = |slots| {
            assert!(slots > 0, "a door lets somebody in");
            Room { slots, taken: 0 }
        };
        let (clients, peers) = (room(limits.clients_max), room(limits.peers_max));
        Self { doors: Vec::new(), clients, peers }
    }

    fn room(&mut self, kind: Kind) -> &mut Room {
        match kind {
            Kind::Clients => &mut self.clients,
            Kind::Peers => &mut self.peers,
        }
    }

    fn is_full(&self, kind: Kind) -> bool {
        let room = match kind {
            Kind::Clients => self.clients,
            Kind::Peers => self.peers,
        };
        room.taken >= room.slots
    }

    fn waits(&self, door: &Door) -> bool {
        door.is_open && door.is_wanted && !self.is_full(door.kind)
    }

    /// Somebody waits at a door.
    pub fn is_wanted(&mut self, listener: ListenerId) {
        if let Some(door) = self.doors.get_mut(listener.0 as usize) {
            door.is_wanted = true;
        }
    }

    /// A connection has gone that came in here.
    pub fn left(&mut self, listener: ListenerId) {
        let door = self.doors.get(listener.0 as usize).expect("it came in here");
        self.room(door.kind).taken -= 1;
    }

    /// Whether somebody can be let in now.
    pub fn may_let_in(&self, now: Nanos) -> bool {
        self.doors.iter().any(|door| self.waits(door) && now >= door.not_before)
    }

    /// When a door that waits for descriptors looks again.
    pub fn wakes_at(&self) -> Nanos {
        let waiting = self.doors.iter().filter(|door| self.waits(door));
        waiting.map(|door| door.not_before).min().unwrap_or(Nanos::MAX)
    }

    fn lets_in(&self, listener: ListenerId, now: Nanos) -> Option<Kind> {
        let door = self.doors.get(listener.0 as usize)?;
        (self.waits(door) && now >= door.not_before).then_some(door.kind)
    }

    /// Whether it is to be said that a door is full.
    fn is_to_be_told(&mut self, listener: ListenerId, now: Nanos) -> bool {
        let Some(door) = self.doors.get(listener.0 as usize) else { return false };
        let is_full = door.is_open && door.is_wanted && self.is_full(door.kind);
        let is_due = door.said_at.is_none_or(|at| now >= at + SAY_NS);
        if is_full && is_due {
            self.door(listener).said_at = Some(now);
        }
        is_full && is_due
    }

    fn door(&mut self, listener: ListenerId) -> &mut Door {
        self.doors.get_mut(listener.0 as usize).expect("a listening socket has a door")
    }

    /// Opens all doors of clients.
    pub fn open_clients(&mut self) {
        self.of_clients().for_each(|(_, door)| door.is_open = true);
    }

    /// Closes all doors of clients; which they were.
    pub fn close_clients(&mut self) -> Vec<ListenerId> {
        self.of_clients()
            .map(|(listener, door)| {
                door.is_open = false;
                listener
            })
            .collect()
    }

    fn of_clients(&mut self) -> impl Iterator<Item = (ListenerId, &mut Door)> {
        let all = self.doors.iter_mut().enumerate();
        all.filter(|(_, door)| door.kind == Kind::Clients)
            .map(|(at, door)| (ListenerId(u32::try_from(at).expect("a handful of doors")), door))
    }
}

impl Doors {
    /// Serves a listening socket. Doors of clients stay closed until the control plane opens them.
    pub fn add_door(&mut self, listener: ListenerId, kind: Kind) {
        let doors = &mut self.entrance.doors;
        assert_eq!(listener.0 as usize, doors.len(), "doors are added in the order of sockets");
        let is_open = kind == Kind::Peers;
        doors.push(Door { kind, is_wanted: true, is_open, not_before: 0, said_at: None });
    }

    /// Lets in who waits at the doors; whether anybody was.
    pub(super) fn let_in(&mut self, net: &mut dyn Net, now: Nanos) -> Result<bool, Error> {
        let mut moved = false;
        for at in 0..self.entrance.doors.len() {
            let listener = ListenerId(u32::try_from(at).expect("a handful of doors"));
            for _ in 0..ACCEPTS_A_TURN {
                let Some(kind) = self.entrance.lets_in(listener, now) else {
                    if self.entrance.is_to_be_told(listener, now) {
                        self.events.push_back(Event::DoorFull(listener));
                    }
                    break;
                };
                match net.accept(listener) {
                    Ok((id, from)) => {
                        moved = true;
                        self.entrance.room(kind).taken += 1;
                        let filter = self.security.filter(kind);
                        let socket = Socket::new(id, Some(listener), from, filter);
                        self.admit(net, socket, kind, now);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.entrance.door(listener).is_wanted = false;
                    }
                    Err(error) => {
                        moved = true;
                        match Hitch::of(&error) {
                            Hitch::OneClient => {}
                            Hitch::Shortage => {
                                self.entrance.door(listener).not_before = now + SHORTAGE_NS;
                            }
                            Hitch::Broken => return Err(broken_door(&error)),
                        }
                        self.events.push_back(Event::AcceptFailed(listener, error.to_string()));
                    }
                }
            }
        }
        Ok(moved)
    }

    fn admit(&mut self, net: &mut dyn Net, mut socket: Socket, kind: Kind, now: Nanos) {
        let id = socket.id;
        // Nothing tells that a new connection can be written to but the word that comes once.
        let part = if kind == Kind::Peers {
            socket.deadline = Some(now + self.limits.handshake_ns);
            Part::Greeting(Greeting::new(None))
        } else {
            socket.deadline = Some(now + self.limits.startup_ns);
            let Some(core) = &mut self.core else {
                self.entrance.left(socket.door.expect("it came in at one"));
                return net.close(id);
            };
            match core.open_session(session::Door::Pg) {
                Ok(session) => {
                    self.sessions.insert(session, id);
                    Part::Client(Client::new(session))
                }
                Err(error) => Part::Refused(Refused::new(Refusal::new(error))),
            }
        };
        self.conns.put(id, Conn { socket, part, is_queued: false });
        self.queue(id);
    }

    /// Dials, and says a first message.
    pub(super) fn dial(
        &mut self,
        net: &mut dyn Net,
        token: u64,
        to: &str,
        message: &[u8],
        now: Nanos,
    ) {
        match net.dial(to) {
            Ok(id) => {
                let mut socket = Socket::new(id, None, to.to_owned(), self.security.dial_filter());
                socket.deadline = Some(now + self.limits.handshake_ns);
                socket.push(super::greeting::framed(message));
                let part = Part::Greeting(Greeting::new(Some(token)));
                self.conns.put(id, Conn { socket, part, is_queued: false });
                self.queue(id);
            }
            Err(error) => self.events.push_back(Event::DialFailed(token, error.to_string())),
        }
    }

    /// The connection with that number, if it is one between nodes that is no link yet.
    pub(super) fn greeting(&mut self, id: ConnId) -> Option<(&mut Socket, &mut Greeting)> {
        match self.conns.get_mut(id)? {
            Conn { socket, part: Part::Greeting(greeting), .. } => Some((socket, greeting)),
            _ => None,
        }
    }
}
