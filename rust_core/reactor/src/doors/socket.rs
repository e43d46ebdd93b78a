//! One connection's socket: what may be done with it now, and what waits to be sent.
//!
//! Its bytes go through a filter: what is read here is plain, what waits is as the wire carries it.

use std::io;

use phantom_base::Nanos;

use crate::filter::Filter;
use crate::net::{ConnId, ListenerId, Net};

/// How much of the wire is read at once where it is encrypted: almost a record, in bytes.
const WIRE_BYTES: usize = 16 << 10;

/// A socket and what is known of it.
#[derive(Debug)]
pub struct Socket {
    pub id: ConnId,
    /// Whose slot it has; none if it was dialled.
    pub door: Option<ListenerId>,
    /// Where it comes from or goes to, for people.
    pub address: String,
    /// The wire may be read.
    pub may_read: bool,
    pub may_write: bool,
    /// The other side has said all, or has gone; what it said may still be there.
    pub is_ending: bool,
    /// What happens then if nothing else does before.
    pub deadline: Option<Nanos>,
    /// The deadline that a timer was set for.
    pub timer: Option<Nanos>,
    filter: Filter,
    unread: Unread,
    unsent: Unsent,
}

/// What came through the filter.
#[derive(Debug, Default)]
struct Unread {
    plain: Vec<u8>,
    /// How much of it was read.
    read: usize,
    /// Whoever reads was told that the other side has said all.
    has_told_end: bool,
}

/// What waits for the wire.
#[derive(Debug, Default)]
struct Unsent {
    bytes: Vec<u8>,
    /// How much of it was sent.
    sent: usize,
    /// The wire ends once all is sent.
    is_finishing: bool,
}

impl Socket {
    /// A new connection, not known to be readable or writable.
    pub fn new(id: ConnId, door: Option<ListenerId>, address: String, mut filter: Filter) -> Self {
        let mut unsent = Unsent::default();
        filter.begin(&mut unsent.bytes);
        Self {
            id,
            door,
            address,
            may_read: false,
            may_write: false,
            is_ending: false,
            deadline: None,
            timer: None,
            filter,
            unread: Unread::default(),
            unsent,
        }
    }

    /// What its bytes go through.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Reads once; `None` if nothing is there now, 0 at the end.
    pub fn recv(&mut self, net: &mut dyn Net, into: &mut [u8]) -> io::Result<Option<usize>> {
        if self.filter.is_plain() && self.unread.plain.is_empty() {
            return self.recv_wire(net, into);
        }
        if self.unread.plain.is_empty() && !self.filter.has_ended() {
            let mut wire = [0; WIRE_BYTES];
            let Some(count) = self.recv_wire(net, &mut wire)? else { return Ok(None) };
            if count == 0 {
                self.filter.end()?;
                return Ok(Some(0));
            }
            self.receive(net, wire.get(..count).unwrap_or_default())?;
        }
        let rest = self.unread.plain.get(self.unread.read..).unwrap_or_default();
        let count = rest.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.unread.read += count;
        if self.unread.read == self.unread.plain.len() {
            // Idle connections hold nothing.
            (self.unread.plain, self.unread.read) = (Vec::new(), 0);
        }
        if count > 0 {
            return Ok(Some(count));
        }
        let has_ended = self.filter.has_ended();
        self.unread.has_told_end |= has_ended;
        Ok(has_ended.then_some(0))
    }

    fn receive(&mut self, net: &mut dyn Net, wire: &[u8]) -> io::Result<()> {
        self.forget_sent();
        let heard = self.filter.receive(wire, &mut self.unread.plain, &mut self.unsent.bytes);
        if heard.is_err() {
            // The connection closes; the other side is told why if there is room for it now.
            let mut budget = usize::MAX;
            let _ = self.flush(net, &mut budget);
        }
        heard
    }

    fn recv_wire(&mut self, net: &mut dyn Net, into: &mut [u8]) -> io::Result<Option<usize>> {
        match net.recv(self.id, into) {
            Ok(count) => {
                // A socket that had less than was asked for is empty, but for its end: the word
                // that it has ended has come, and none follows.
                if count < into.len() && !self.is_ending {
                    self.may_read = false;
                }
                if count == 0 {
                    self.may_read = false;
                }
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.may_read = false;
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether `recv` answers something.
    pub fn has_to_read(&self) -> bool {
        let is_announced = self.filter.has_ended();
        !self.unread.plain.is_empty()
            || (is_announced && !self.unread.has_told_end)
            || (self.may_read && !is_announced)
    }

    /// Whether all was read that the other side has said.
    pub fn has_ended(&self) -> bool {
        (self.is_ending || self.filter.has_ended()) && !self.has_to_read()
    }

    /// Lets bytes wait to be sent, behind those that do.
    pub fn push(&mut self, bytes: Vec<u8>) {
        self.forget_sent();
        if self.unsent.bytes.is_empty() && !self.filter.is_encrypted() {
            self.unsent.bytes = bytes;
        } else {
            self.filter.say(&bytes, &mut self.unsent.bytes);
        }
    }

    /// Whether nothing waits to be sent.
    pub fn has_sent_all(&self) -> bool {
        self.unsent.sent == self.unsent.bytes.len() && !self.filter.holds()
    }

    /// Whether something waits that the wire can carry, and it may be written.
    pub fn can_send(&self) -> bool {
        self.may_write && self.unsent.sent < self.unsent.bytes.len()
    }

    /// Says that no more bytes follow, once all are sent.
    pub fn finish(&mut self, net: &mut dyn Net) -> io::Result<()> {
        self.forget_sent();
        self.filter.finish(&mut self.unsent.bytes);
        self.unsent.is_finishing = true;
        let mut budget = usize::MAX;
        self.flush(net, &mut budget)
    }

    /// Tells the other side of an encrypted connection that it closes, if there is room for it now:
    /// else it could not know whether somebody on the way has cut off what we had to say.
    pub fn say_goodbye(&mut self, net: &mut dyn Net) {
        if self.filter.is_encrypted() {
            self.forget_sent();
            self.filter.finish(&mut self.unsent.bytes);
            let mut budget = usize::MAX;
            // Who has gone need not be told.
            let _ = self.flush(net, &mut budget);
        }
    }

    fn forget_sent(&mut self) {
        if self.unsent.sent == self.unsent.bytes.len() {
            (self.unsent.bytes, self.unsent.sent) = (Vec::new(), 0);
        }
    }

    /// Sends what the socket takes, `budget` at most, which goes down by it.
    pub fn flush(&mut self, net: &mut dyn Net, budget: &mut usize) -> io::Result<()> {
        while self.can_send() && *budget > 0 {
            let rest = self.unsent.bytes.get(self.unsent.sent..).unwrap_or_default();
            let piece = rest.get(..rest.len().min(*budget)).unwrap_or(rest);
            match net.send(self.id, piece) {
                Ok(count) => {
                    self.unsent.sent += count;
                    *budget -= count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.may_write = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // Idle connections hold nothing.
        self.forget_sent();
        if self.unsent.is_finishing && self.has_sent_all() {
            self.unsent.is_finishing = false;
            net.finish(self.id);
        }
        Ok(())
    }
}
