//! One connection's socket: what may be done with it now, and what waits to be sent.

use std::io;

use phantom_base::Nanos;

use crate::net::{ConnId, ListenerId, Net};

/// A socket and what is known of it.
#[derive(Debug)]
pub struct Socket {
    pub id: ConnId,
    /// Whose slot it has; none if it was dialled.
    pub door: Option<ListenerId>,
    /// Where it comes from or goes to, for people.
    pub address: String,
    pub may_read: bool,
    pub may_write: bool,
    /// The other side has said all, or has gone; what it said may still be there.
    pub is_ending: bool,
    /// What happens then if nothing else does before.
    pub deadline: Option<Nanos>,
    /// The deadline that a timer was set for.
    pub timer: Option<Nanos>,
    waiting: Vec<u8>,
    sent: usize,
}

impl Socket {
    /// A new connection, not known to be readable or writable.
    pub fn new(id: ConnId, door: Option<ListenerId>, address: String) -> Self {
        Self {
            id,
            door,
            address,
            may_read: false,
            may_write: false,
            is_ending: false,
            deadline: None,
            timer: None,
            waiting: Vec::new(),
            sent: 0,
        }
    }

    /// Reads once; `None` if nothing is there now, 0 at the end.
    pub fn recv(&mut self, net: &mut dyn Net, into: &mut [u8]) -> io::Result<Option<usize>> {
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

    /// Whether all was read that the other side has said.
    pub fn has_ended(&self) -> bool {
        self.is_ending && !self.may_read
    }

    /// Lets bytes wait to be sent, behind those that do.
    pub fn push(&mut self, bytes: Vec<u8>) {
        if self.has_sent_all() {
            (self.waiting, self.sent) = (bytes, 0);
        } else {
            self.waiting.extend_from_slice(&bytes);
        }
    }

    /// Whether nothing waits to be sent.
    pub fn has_sent_all(&self) -> bool {
        self.sent == self.waiting.len()
    }

    /// Sends what the socket takes, `budget` at most, which goes down by it.
    pub fn flush(&mut self, net: &mut dyn Net, budget: &mut usize) -> io::Result<()> {
        while self.may_write && *budget > 0 && !self.has_sent_all() {
            let rest = self.waiting.get(self.sent..).unwrap_or_default();
            let piece = rest.get(..rest.len().min(*budget)).unwrap_or(rest);
            match net.send(self.id, piece) {
                Ok(count) => {
                    self.sent += count;
                    *budget -= count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.may_write = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.has_sent_all() {
            // Idle connections hold nothing.
            (self.waiting, self.sent) = (Vec::new(), 0);
        }
        Ok(())
    }
}
