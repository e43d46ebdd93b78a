//! A connection between nodes until it is known what it is for.
//!
//! One message each way, four bytes of length before it, and nothing else. Who dialled speaks first.
//! What a message says is the control plane's to read; here it is bytes.

use std::io;

use super::ending::Ending;
use super::socket::Socket;
use super::{Fate, Hands, WRITE_BYTES_A_TURN};
use crate::filter::Tls;
use crate::traffic::Event;

/// A message beyond this is none of ours, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
const LENGTH_BYTES: usize = 4;

/// A message with its length before it.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("messages are under 1 MiB");
    [&length.to_be_bytes()[..], message].concat()
}

/// How far it is.
#[derive(Debug)]
pub struct Greeting {
    /// The token of the dial; none if the other side dialled.
    pub dial: Option<u64>,
    received: Vec<u8>,
    /// The control plane has the message and is to say what comes next.
    is_asked: bool,
    /// It ends once its last words are sent.
    is_parting: bool,
}

impl Greeting {
    pub fn new(dial: Option<u64>) -> Self {
        Self { dial, received: Vec::new(), is_asked: false, is_parting: false }
    }

    pub fn wants_bytes(&self) -> bool {
        !self.is_asked && !self.is_parting
    }

    /// Reads no further than the message's end: what follows belongs to a link.
    pub fn read(&mut self, socket: &mut Socket, hands: &mut Hands<'_>) -> io::Result<Fate> {
        while self.wants_bytes() && socket.has_to_read() {
            let wanted = match self.length() {
                None => LENGTH_BYTES - self.received.len(),
                Some(length) if (1..=MESSAGE_BYTES_MAX).contains(&length) => {
                    LENGTH_BYTES + length - self.received.len()
                }
                Some(length) => {
                    let why = format!("a message of {length} bytes");
                    return Ok(Fate::Closes(Ending::Malformed(why)));
                }
            };
            let room = wanted.min(hands.buffer.len());
            let into = hands.buffer.get_mut(..room).unwrap_or_default();
            let Some(count) = socket.recv(hands.net, into)? else { break };
            if count == 0 {
                return Ok(Fate::Closes(Ending::Unfinished));
            }
            self.received.extend_from_slice(hands.buffer.get(..count).unwrap_or_default());
            let whole = self.length().map(|length| LENGTH_BYTES + length);
            if whole == Some(self.received.len()) && whole != Some(LENGTH_BYTES) {
                self.ask(socket, hands);
            }
        }
        Ok(Fate::Stays)
    }

    fn length(&self) -> Option<usize> {
        let head = self.received.first_chunk::<LENGTH_BYTES>()?;
        Some(u32::from_be_bytes(*head) as usize)
    }

    fn ask(&mut self, socket: &Socket, hands: &mut Hands<'_>) {
        self.is_asked = true;
        let message = self.received.split_off(LENGTH_BYTES);
        self.received = Vec::new();
        let conn = socket.id;
        let other = socket.filter().encryption().and_then(Tls::other);
        let certified = other.map(|it| it.name.clone());
        hands.events.push_back(match self.dial {
            Some(token) => Event::Answer { token, conn, certified, message },
            None => Event::First { conn, from: socket.address.clone(), certified, message },
        });
    }

    /// These are its last words.
    pub fn part(&mut self) {
        self.is_parting = true;
    }

    /// Sends what waits.
    pub fn write(&mut self, socket: &mut Socket, hands: &mut Hands<'_>) -> io::Result<Fate> {
        socket.flush(hands.net, &mut WRITE_BYTES_A_TURN.clone())?;
        let is_over = self.is_parting && socket.has_sent_all();
        Ok(if is_over { Fate::Closes(Ending::Answered) } else { Fate::Stays })
    }
}
