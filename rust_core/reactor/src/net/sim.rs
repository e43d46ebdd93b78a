//! A network in one process: the same calls as of the machine's sockets, on a clock that the test
//! moves, with trouble that a seed draws.
//!
//! A connection is two *ways*, one from each side. Bytes leave as packets, arrive after a delay and in
//! their order, and wait until they are read; a way has room for so many, then its sender is told
//! `WouldBlock`. What TCP does not do is not done here either: nothing is lost of a connection that
//! stays, and nothing comes twice. What it does do is drawn: writes and reads cut short, `WouldBlock`
//! where there is something after all, words that mean nothing, delays, resets, hosts that are
//! silent. Bits flip only where a test asks for it.
//!
//! Cut ways keep their packets, as TCP does by sending them again; they arrive when the way is mended.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use phantom_base::{Map, Nanos, Random, SeededRandom, Set};

use super::{ConnId, ListenerId, Net, Ready};
use crate::slots::Slots;

/// Bytes that one way holds between its sender and its reader.
const WAY_BYTES: usize = 256 << 10;

/// How often each kind of trouble comes: one in so many; 0 is never.
#[derive(Clone, Copy, Debug)]
pub struct SimTrouble {
    /// A read or a write takes fewer bytes than it could.
    pub short: u64,
    /// A call answers `WouldBlock` although there is something, and the word comes again.
    pub again: u64,
    /// A packet between nodes takes 20 times as long.
    pub slow: u64,
    /// A packet between nodes has a bit flipped.
    pub flip: u64,
    /// Nodes are the hosts of a lower number; the others are their clients', close to all of them.
    pub nodes: usize,
    /// How long a packet between nodes takes at most.
    pub delay_max: Nanos,
}

impl Default for SimTrouble {
    fn default() -> Self {
        Self { short: 0, again: 0, slow: 0, flip: 0, nodes: 0, delay_max: 1 }
    }
}

#[derive(Debug)]
enum Packet {
    Bytes(Vec<u8>),
    /// A connection is wanted on a port.
    Open(u16),
    /// It is there.
    Opened,
    End,
    Reset,
}

/// What goes from one side of a connection to the other.
#[derive(Debug, Default)]
struct Way {
    packets: VecDeque<(Nanos, Packet)>,
    /// What has arrived and was not read.
    arrived: VecDeque<u8>,
    /// Bytes that were sent and not read.
    held: usize,
    /// Its sender was told that there is no room.
    is_blocked: bool,
    /// Nothing follows what has arrived.
    has_ended: bool,
    /// Nothing arrives until it is let go.
    is_kept: bool,
}

/// One connection.
#[derive(Debug)]
struct Line {
    hosts: [usize; 2],
    ends: [Option<ConnId>; 2],
    /// By sender.
    ways: [Way; 2],
    /// The dialler knows that it is there.
    is_open: bool,
    entry: Entry,
    was_reset: bool,
}

/// How far a connection is at the door that it was dialled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// It is under way.
    Coming,
    /// It waits to be let in, and so do its bytes.
    Waiting,
    /// It is in, or was refused.
    Over,
}

#[derive(Clone, Copy, Debug)]
struct End {
    line: usize,
    side: usize,
}

#[derive(Debug)]
struct Listener {
    port: u16,
    /// Connections that nobody has accepted.
    waiting: VecDeque<usize>,
}

#[derive(Debug, Default)]
struct Host {
    listeners: Vec<Option<Listener>>,
    ends: Slots<End>,
    /// What it has not been told: reading, writing, an end.
    words: Map<ConnId, [bool; 3]>,
    accepts: Set<ListenerId>,
    /// It has power. What is sent to one without stays under way.
    is_up: bool,
}

struct Fabric {
    random: SeededRandom,
    now: Nanos,
    hosts: Vec<Host>,
    lines: Map<usize, Line>,
    next_line: usize,
    cut: Set<(usize, usize)>,
    trouble: SimTrouble,
}

/// The network. Clones are the same.
#[derive(Clone)]
pub struct SimNet(Rc<RefCell<Fabric>>);

/// One host's sockets. Clones are the same.
#[derive(Clone)]
pub struct SimSockets {
    fabric: Rc<RefCell<Fabric>>,
    host: usize,
}

/// The address of a port of a host.
pub fn address(host: usize, port: u16) -> String {
    format!("{host}:{port}")
}

fn of_address(to: &str) -> Option<(usize, u16)> {
    let (host, port) = to.split_once(':')?;
    Some((host.parse().ok()?, port.parse().ok()?))
}

impl Fabric {
    fn sometimes(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.random.one_in(one_in)
    }

    fn tell(&mut self, end: (usize, Option<ConnId>), word: [bool; 3]) {
        let (host, Some(conn)) = end else { return };
        let Some(host) = self.hosts.get_mut(host) else { return };
        let told = host.words.entry(conn).or_default();
        for (told, new) in told.iter_mut().zip(word) {
            *told |= new;
        }
    }

    fn end_of(&self, line: usize, side: usize) -> (usize, Option<ConnId>) {
        let line = self.lines.get(&line).expect("lines live as long as their ends");
        (line.hosts[side], line.ends[side])
    }

    /// Puts a packet under way.
    fn send(&mut self, line: usize, side: usize, mut packet: Packet) {
        let trouble = self.trouble;
        let hosts = self.lines.get(&line).expect("it sends").hosts;
        let is_far = hosts.iter().all(|host| *host < trouble.nodes);
        let mut delay = if is_far { self.random.below(trouble.delay_max.max(1)) } else { 0 };
        if is_far && self.sometimes(trouble.slow) {
            delay *= 20;
        }
        if let Packet::Bytes(bytes) = &mut packet
            && is_far
            && self.sometimes(trouble.flip)
        {
            let at = self.random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << self.random.below(8);
        }
        let now = self.now;
        let way = &mut self.lines.get_mut(&line).expect("seen above").ways[side];
        let at = way.packets.back().map_or(0, |(at, _)| *at).max(now + delay);
        way.packets.push_back((at, packet));
    }

    /// Delivers what has arrived by now.
    fn deliver(&mut self) {
        let lines: Vec<usize> = self.lines.keys().copied().collect();
        for line in lines {
            for side in [0, 1] {
                while let Some(packet) = self.next_packet(line, side) {
                    self.arrive(line, side, packet);
                }
            }
        }
        self.lines.retain(|_, line| {
            line.entry == Entry::Waiting
                || line.ends.iter().any(Option::is_some)
                || line.ways.iter().any(|way| !way.packets.is_empty())
        });
    }

    fn next_packet(&mut self, line: usize, side: usize) -> Option<Packet> {
        let (now, found) = (self.now, self.lines.get_mut(&line)?);
        let (from, to) = (found.hosts[side], found.hosts[1 - side]);
        let is_away = self.cut.contains(&(from, to))
            || found.ways[side].is_kept
            || !self.hosts.get(to)?.is_up;
        let is_due = found.ways[side].packets.front().is_some_and(|(at, _)| *at <= now);
        (is_due && !is_away).then(|| found.ways[side].packets.pop_front())?.map(|(_, it)| it)
    }

    fn arrive(&mut self, line: usize, side: usize, packet: Packet) {
        let reader = self.end_of(line, 1 - side);
        if let Packet::Open(port) = packet {
            return self.knock(line, reader.0, port);
        }
        let entry = self.lines.get(&line).expect("it has a packet").entry;
        let is_outside = side == 0 && entry == Entry::Waiting;
        if reader.1.is_none() && !is_outside {
            // Nobody is there any more: whoever sent it is told so, unless it said so itself.
            if !matches!(packet, Packet::Reset | Packet::End) && self.end_of(line, side).1.is_some()
            {
                self.send(line, 1 - side, Packet::Reset);
            }
            return;
        }
        let found = self.lines.get_mut(&line).expect("it has a packet");
        match packet {
            Packet::Bytes(bytes) => {
                found.ways[side].arrived.extend(bytes);
                self.tell(reader, [true, false, false]);
            }
            Packet::Opened => {
                found.is_open = true;
                self.tell(reader, [false, true, false]);
            }
            Packet::End => {
                found.ways[side].has_ended = true;
                self.tell(reader, [true, false, true]);
            }
            Packet::Reset => self.reset_line(line),
            Packet::Open(_) => unreachable!("handled above"),
        }
    }

    /// Somebody wants a connection to a port of a host.
    fn knock(&mut self, line: usize, host: usize, port: u16) {
        let listeners = &mut self.hosts[host].listeners;
        let open =
            listeners.iter_mut().position(|it| it.as_ref().is_some_and(|it| it.port == port));
        let Some(at) = open else { return self.send(line, 1, Packet::Reset) };
        let id = ListenerId(at as u32);
        listeners[at].as_mut().expect("it is open").waiting.push_back(line);
        self.lines.get_mut(&line).expect("it knocks").entry = Entry::Waiting;
        self.hosts[host].accepts.insert(id);
        self.send(line, 1, Packet::Opened);
    }

    /// Who waits at a door is refused.
    fn turn_away(&mut self, line: usize) {
        self.lines.get_mut(&line).expect("it waits").entry = Entry::Over;
        self.send(line, 1, Packet::Reset);
    }

    /// Both ends find the connection gone.
    fn reset_line(&mut self, line: usize) {
        let found = self.lines.get_mut(&line).expect("it is reset");
        found.was_reset = true;
        for way in &mut found.ways {
            *way = Way { has_ended: true, ..Way::default() };
        }
        for side in [0, 1] {
            let end = self.end_of(line, side);
            self.tell(end, [true, true, true]);
        }
    }
}

impl SimNet {
    /// A network of so many hosts, all with power, none with a door.
    pub fn new(seed: u64, hosts: usize) -> Self {
        let host = |_| Host { is_up: true, ..Host::default() };
        Self(Rc::new(RefCell::new(Fabric {
            random: SeededRandom::new(seed),
            now: 0,
            hosts: (0..hosts).map(host).collect(),
            lines: Map::new(),
            next_line: 0,
            cut: Set::new(),
            trouble: SimTrouble::default(),
        })))
    }

    /// The sockets of a host.
    pub fn host(&self, host: usize) -> SimSockets {
        SimSockets { fabric: Rc::clone(&self.0), host }
    }

    /// What goes wrong from now on.
    pub fn set_trouble(&self, trouble: SimTrouble) {
        self.0.borrow_mut().trouble = trouble;
    }

    /// It is so late now.
    pub fn pass(&self, now: Nanos) {
        let mut fabric = self.0.borrow_mut();
        assert!(now >= fabric.now, "time does not go back");
        fabric.now = now;
        fabric.deliver();
    }

    /// Nothing arrives that one host sends to another, until it is mended.
    pub fn cut(&self, from: usize, to: usize) {
        self.0.borrow_mut().cut.insert((from, to));
    }

    /// Everything arrives again.
    pub fn mend_all(&self) {
        self.0.borrow_mut().cut.clear();
    }

    /// Nothing arrives any more that a host sends on a connection, or all of it again.
    pub fn keep(&self, host: usize, conn: ConnId, is_kept: bool) {
        let mut fabric = self.0.borrow_mut();
        if let Ok(End { line, side }) = fabric.end(host, conn) {
            fabric.lines.get_mut(&line).expect("it has an end").ways[side].is_kept = is_kept;
        }
    }

    /// Every connection between two hosts breaks; both notice.
    pub fn reset(&self, a: usize, b: usize) {
        let mut fabric = self.0.borrow_mut();
        let between = |line: &Line| line.hosts == [a, b] || line.hosts == [b, a];
        let lines: Vec<usize> =
            fabric.lines.iter().filter(|(_, line)| between(line)).map(|(id, _)| *id).collect();
        for line in lines {
            fabric.reset_line(line);
        }
    }

    /// A host's process ends: its connections are reset after a while. Or its power goes: then nobody
    /// hears of it, and who writes to it is told when it is back.
    pub fn crash(&self, host: usize, has_power: bool) {
        let mut fabric = self.0.borrow_mut();
        let gone = std::mem::take(&mut fabric.hosts[host]);
        fabric.hosts[host].is_up = has_power;
        for conn in gone.ends.ids() {
            let end = *gone.ends.get(conn).expect("listed");
            fabric.lines.get_mut(&end.line).expect("it has an end").ends[end.side] = None;
            if has_power {
                fabric.send(end.line, end.side, Packet::Reset);
            }
        }
        // Who waits at a door was let in by the system, not by the process.
        for line in gone.listeners.into_iter().flatten().flat_map(|listener| listener.waiting) {
            if has_power {
                fabric.turn_away(line);
            } else {
                fabric.lines.get_mut(&line).expect("it waits").entry = Entry::Over;
            }
        }
    }

    /// A host has power again, and no connection.
    pub fn start(&self, host: usize) {
        self.0.borrow_mut().hosts[host].is_up = true;
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.0.borrow().lines.values().filter(|line| line.ends.iter().all(Option::is_some)).count()
    }

    /// When the next packet arrives, if one is under way.
    pub fn next_arrival(&self) -> Option<Nanos> {
        let fabric = self.0.borrow();
        let ways = fabric.lines.values().flat_map(|line| &line.ways);
        ways.filter_map(|way| way.packets.front().map(|(at, _)| *at)).min()
    }
}

impl SimSockets {
    /// Opens a door.
    pub fn listen(&self, port: u16) -> ListenerId {
        let mut fabric = self.fabric.borrow_mut();
        let listeners = &mut fabric.hosts[self.host].listeners;
        listeners.push(Some(Listener { port, waiting: VecDeque::new() }));
        ListenerId(listeners.len() as u32 - 1)
    }

    /// What the host has not been told yet.
    pub fn take_ready(&self) -> Vec<Ready> {
        let mut fabric = self.fabric.borrow_mut();
        let host = &mut fabric.hosts[self.host];
        let accepts = std::mem::take(&mut host.accepts).into_iter().map(Ready::Accept);
        let words = std::mem::take(&mut host.words);
        let conns = words.into_iter().map(|(conn, [readable, writable, ended])| Ready::Conn {
            conn,
            readable,
            writable,
            ended,
        });
        accepts.chain(conns).collect()
    }

    /// Whether the host is to be told something.
    pub fn has_ready(&self) -> bool {
        let fabric = self.fabric.borrow();
        let host = &fabric.hosts[self.host];
        !host.accepts.is_empty() || !host.words.is_empty()
    }
}

impl Fabric {
    fn end(&self, host: usize, conn: ConnId) -> io::Result<End> {
        self.hosts[host].ends.get(conn).copied().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// A call that may answer `WouldBlock` for no reason does so, and the word comes again.
    fn asks_again(&mut self, host: usize, conn: ConnId, word: [bool; 3]) -> bool {
        let again = self.sometimes(self.trouble.again);
        if again {
            self.tell((host, Some(conn)), word);
        }
        again
    }

    /// How many of so many bytes a call takes.
    fn some_of(&mut self, bytes: usize) -> usize {
        if self.sometimes(self.trouble.short) {
            1 + self.random.below(bytes as u64) as usize
        } else {
            bytes
        }
    }
}

impl Net for SimSockets {
    fn accept(&mut self, listener: ListenerId) -> io::Result<(ConnId, String)> {
        let mut fabric = self.fabric.borrow_mut();
        let open = fabric.hosts[self.host].listeners.get_mut(listener.0 as usize);
        let line = open.and_then(Option::as_mut).and_then(|it| it.waiting.pop_front());
        let line = line.ok_or(io::ErrorKind::WouldBlock)?;
        let conn = fabric.hosts[self.host].ends.take(End { line, side: 1 });
        let found = fabric.lines.get_mut(&line).expect("it waits");
        found.entry = Entry::Over;
        found.ends[1] = Some(conn);
        let from = found.hosts[0];
        let word = [!found.ways[0].arrived.is_empty(), true, found.ways[0].has_ended];
        fabric.tell((self.host, Some(conn)), word);
        Ok((conn, from.to_string()))
    }

    fn dial(&mut self, to: &str) -> io::Result<ConnId> {
        let (to, port) = of_address(to).ok_or(io::ErrorKind::InvalidInput)?;
        let mut fabric = self.fabric.borrow_mut();
        let line = fabric.next_line;
        fabric.next_line += 1;
        let conn = fabric.hosts[self.host].ends.take(End { line, side: 0 });
        let ends = [Some(conn), None];
        let ways = Default::default();
        let hosts = [self.host, to];
        let (is_open, was_reset, entry) = (false, false, Entry::Coming);
        fabric.lines.insert(line, Line { hosts, ends, ways, is_open, entry, was_reset });
        fabric.send(line, 0, Packet::Open(port));
        Ok(conn)
    }

    fn recv(&mut self, conn: ConnId, into: &mut [u8]) -> io::Result<usize> {
        let mut fabric = self.fabric.borrow_mut();
        let End { line, side } = fabric.end(self.host, conn)?;
        if fabric.asks_again(self.host, conn, [true, false, false]) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let found = fabric.lines.get(&line).expect("it has an end");
        let way = &found.ways[1 - side];
        if found.was_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let there = way.arrived.len();
        if there == 0 {
            return if way.has_ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let taken = fabric.some_of(there.min(into.len()));
        let way = &mut fabric.lines.get_mut(&line).expect("seen above").ways[1 - side];
        for (to, byte) in into.iter_mut().zip(way.arrived.drain(..taken)) {
            *to = byte;
        }
        way.held -= taken;
        let was_blocked = std::mem::take(&mut way.is_blocked);
        if taken < there && taken < into.len() {
            // As if the rest had come a moment later.
            fabric.tell((self.host, Some(conn)), [true, false, false]);
        }
        if was_blocked {
            let sender = fabric.end_of(line, 1 - side);
            fabric.tell(sender, [false, true, false]);
        }
        Ok(taken)
    }

    fn send(&mut self, conn: ConnId, from: &[u8]) -> io::Result<usize> {
        assert!(!from.is_empty(), "{conn} has something to say");
        let mut fabric = self.fabric.borrow_mut();
        let End { line, side } = fabric.end(self.host, conn)?;
        if fabric.asks_again(self.host, conn, [false, true, false]) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let found = fabric.lines.get_mut(&line).expect("it has an end");
        if found.was_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let room = WAY_BYTES - found.ways[side].held;
        let is_open = found.is_open || side == 1;
        if room == 0 || !is_open {
            found.ways[side].is_blocked = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = fabric.some_of(room.min(from.len()));
        fabric.lines.get_mut(&line).expect("seen above").ways[side].held += taken;
        fabric.send(line, side, Packet::Bytes(from[..taken].to_vec()));
        Ok(taken)
    }

    fn finish(&mut self, conn: ConnId) {
        let mut fabric = self.fabric.borrow_mut();
        if let Ok(End { line, side }) = fabric.end(self.host, conn) {
            fabric.send(line, side, Packet::End);
        }
    }

    fn close(&mut self, conn: ConnId) {
        let mut fabric = self.fabric.borrow_mut();
        let Some(End { line, side }) = fabric.hosts[self.host].ends.free(conn) else { return };
        fabric.hosts[self.host].words.remove(&conn);
        let found = fabric.lines.get_mut(&line).expect("it had an end");
        found.ends[side] = None;
        let is_unread = !found.ways[1 - side].arrived.is_empty();
        fabric.send(line, side, if is_unread { Packet::Reset } else { Packet::End });
    }

    fn close_listener(&mut self, listener: ListenerId) {
        let mut fabric = self.fabric.borrow_mut();
        let open = fabric.hosts[self.host].listeners.get_mut(listener.0 as usize);
        let waiting = open.and_then(Option::take).map(|listener| listener.waiting);
        for line in waiting.into_iter().flatten() {
            fabric.turn_away(line);
        }
    }
}
