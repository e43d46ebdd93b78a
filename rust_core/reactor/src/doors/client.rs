//! A client's connection and its session in the core.

use std::io;

use phantom_node::session::{Door, SessionId};
use phantom_wire::pg::Refusal;

use super::ending::Ending;
use super::socket::Socket;
use super::{Fate, Hands, Part, WRITE_BYTES_A_TURN};
use crate::traffic::Event;

/// How much is taken of a session at once, in bytes.
const TAKE_BYTES: usize = 256 << 10;

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It has not begun its session.
    Starting,
    Serving,
    /// The session was told that no bytes follow, and answers what it has.
    SaidAll,
    /// Its bytes have ended the session, which has its last words to say.
    Misspoken,
    /// It has been told, and is read until it hangs up.
    Lingering,
}

/// Reads a client that has said nothing yet. With its first bytes it gets a session, or is told why
/// not: who has gone before has taken nobody's place. `part` is what it is then, also where the network
/// loses it in the same moment: a session that was opened is to be closed.
pub fn greet(part: &mut Part, socket: &mut Socket, hands: &mut Hands<'_>) -> io::Result<Fate> {
    let Some(count) = socket.recv(hands.net, hands.buffer)? else { return Ok(Fate::Stays) };
    if count == 0 {
        return Ok(Fate::Closes(Ending::ClientLeft));
    }
    let Some(core) = hands.core.as_deref_mut() else { return Ok(Fate::Closes(Ending::NoCore)) };
    match core.open_session(Door::Pg) {
        Ok(session) => {
            hands.opened = Some(session);
            let mut client = Client::new(session);
            let fate = client.feed(count, socket, hands);
            *part = Part::Client(client);
            fate
        }
        Err(error) => {
            let mut refused = Refused::new(Refusal::new(error));
            let fate = refused.hear(count, socket, hands);
            *part = Part::Refused(refused);
            fate
        }
    }
}

/// A client that has a session.
#[derive(Debug)]
pub struct Client {
    pub session: SessionId,
    /// Bytes that the session has not taken.
    held: Vec<u8>,
    phase: Phase,
    /// The control plane has heard of it.
    pub has_asked: bool,
}

impl Client {
    pub fn new(session: SessionId) -> Self {
        Self { session, held: Vec::new(), phase: Phase::Starting, has_asked: false }
    }

    /// Whether more of it may be read now.
    pub fn wants_bytes(&self) -> bool {
        match self.phase {
            Phase::Starting | Phase::Serving => self.held.is_empty(),
            Phase::SaidAll | Phase::Misspoken => false,
            Phase::Lingering => true,
        }
    }

    /// Reads the socket once and feeds the session.
    pub fn read(&mut self, socket: &mut Socket, hands: &mut Hands<'_>) -> io::Result<Fate> {
        if !self.wants_bytes() {
            return Ok(Fate::Stays);
        }
        let Some(count) = socket.recv(hands.net, hands.buffer)? else { return Ok(Fate::Stays) };
        if self.phase == Phase::Lingering {
            return Ok(if count == 0 { Fate::Closes(Ending::SessionEnded) } else { Fate::Stays });
        }
        self.feed(count, socket, hands)
    }

    /// Feeds the session with what was read; nothing is the end.
    fn feed(
        &mut self,
        count: usize,
        socket: &mut Socket,
        hands: &mut Hands<'_>,
    ) -> io::Result<Fate> {
        let Some(core) = hands.core.as_deref_mut() else { return Ok(Fate::Closes(Ending::NoCore)) };
        let bytes = hands.buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            self.phase = Phase::SaidAll;
            core.feed_session(self.session, b"");
        } else {
            if self.phase == Phase::Starting {
                core.admit_to_session(self.session, hands.security.admission(socket));
            }
            let taken = core.feed_session(self.session, bytes);
            self.held.extend_from_slice(bytes.get(taken..).unwrap_or_default());
            if core.session_is_closing(self.session) {
                self.phase = Phase::Misspoken;
            }
        }
        hands.stirred = true;
        self.serve(socket, hands)
    }

    /// Carries what the session has, and what it would not take before.
    pub fn serve(&mut self, socket: &mut Socket, hands: &mut Hands<'_>) -> io::Result<Fate> {
        let Some(core) = hands.core.as_deref_mut() else { return Ok(Fate::Closes(Ending::NoCore)) };
        if hands.is_draining {
            core.end_idle_session(self.session);
        }
        let mut budget = WRITE_BYTES_A_TURN;
        loop {
            if !self.held.is_empty() {
                let taken = core.feed_session(self.session, &self.held);
                self.held.drain(..taken);
                if self.held.is_empty() {
                    self.held = Vec::new();
                }
                if taken > 0 && core.session_is_closing(self.session) {
                    self.phase = Phase::Misspoken;
                }
                hands.stirred |= taken > 0;
            }
            while let Some(event) = core.next_session_event(self.session) {
                let told = Event::Session(self.session, event.id, event.kind, event.body);
                hands.events.push_back(told);
                self.has_asked = true;
            }
            socket.flush(hands.net, &mut budget)?;
            if !socket.has_sent_all() {
                break;
            }
            let Some(out) = core.take_session_out(self.session, TAKE_BYTES) else { break };
            hands.stirred |= out.goes_on;
            socket.push(out.bytes);
        }
        if self.phase == Phase::Starting && !core.session_is_starting(self.session) {
            self.phase = Phase::Serving;
            socket.deadline = None;
        }
        let is_over = socket.has_sent_all() && core.session_is_closing(self.session);
        if is_over && self.phase != Phase::Lingering {
            if self.phase != Phase::Misspoken || socket.has_ended() {
                let has_left = self.phase == Phase::SaidAll;
                let ending = if has_left { Ending::ClientLeft } else { Ending::SessionEnded };
                return Ok(Fate::Closes(ending));
            }
            socket.finish(hands.net)?;
            self.phase = Phase::Lingering;
            socket.deadline = Some(hands.now + hands.limits.linger_ns);
        }
        Ok(Fate::Stays)
    }
}

/// A client that gets no session, and is told why.
#[derive(Debug)]
pub struct Refused {
    refusal: Refusal,
    is_told: bool,
}

impl Refused {
    pub fn new(refusal: Refusal) -> Self {
        Self { refusal, is_told: false }
    }

    /// Reads its first message, answers it, and then whatever it says until it hangs up.
    pub fn read(&mut self, socket: &mut Socket, hands: &mut Hands<'_>) -> io::Result<Fate> {
        let Some(count) = socket.recv(hands.net, hands.buffer)? else { return Ok(Fate::Stays) };
        self.hear(count, socket, hands)
    }

    fn hear(
        &mut self,
        count: usize,
        socket: &mut Socket,
        hands: &mut Hands<'_>,
    ) -> io::Result<Fate> {
        if count == 0 {
            return Ok(Fate::Closes(Ending::Refused));
        }
        if !self.is_told {
            let bytes = hands.buffer.get(..count).unwrap_or_default();
            let mut answer = Vec::new();
            self.is_told = self.refusal.feed(bytes, &mut answer);
            socket.push(answer);
        }
        self.write(socket, hands)
    }

    /// Sends what it is told, and then the end.
    pub fn write(&mut self, socket: &mut Socket, hands: &mut Hands<'_>) -> io::Result<Fate> {
        let had_all = socket.has_sent_all();
        socket.flush(hands.net, &mut WRITE_BYTES_A_TURN.clone())?;
        if self.is_told && !had_all && socket.has_sent_all() {
            socket.finish(hands.net)?;
            socket.deadline = Some(hands.now + hands.limits.linger_ns);
        }
        Ok(Fate::Stays)
    }
}
