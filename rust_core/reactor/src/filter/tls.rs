//! One encrypted connection: `rustls` with its buffers emptied at each step.
//!
//! Idle it holds the keys and one small buffer. The cryptography of a handshake runs where the bytes
//! come in; docs/decisions/0009 says what that costs.

use std::io;

use rustls::{Connection, ConnectionCommon, SideData};

use super::{Identity, bad, why};

/// The name of PostgreSQL's protocol, which who begins with TLS must say (ALPN).
pub const POSTGRESQL: &[u8] = b"postgresql";

/// An encrypted connection, from its first byte on.
#[derive(Debug)]
pub struct Tls {
    connection: Connection,
    /// Said before the handshake was done.
    held: Vec<u8>,
    /// Who the other side is, once the handshake is done and if it has a certificate.
    other: Option<Identity>,
    phase: Phase,
    must_name_protocol: bool,
    has_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshaking,
    Open,
    /// Nothing more is said.
    Finished,
}

impl Tls {
    /// Either side's, before its first byte.
    pub fn new(connection: impl Into<Connection>) -> Self {
        let mut connection = connection.into();
        // What is said is taken at once, and was bounded before.
        connection.set_buffer_limit(None);
        Self {
            connection,
            held: Vec::new(),
            other: None,
            phase: Phase::Handshaking,
            must_name_protocol: false,
            has_ended: false,
        }
    }

    /// The handshake fails unless the other side names PostgreSQL's protocol: a browser that was led
    /// here must not be taken for a client.
    pub(super) fn must_name_protocol(&mut self) {
        self.must_name_protocol = true;
    }

    /// Whether the handshake is done and something may be said.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether the handshake is not done.
    pub fn is_shaking_hands(&self) -> bool {
        self.phase == Phase::Handshaking
    }

    /// Who the other side is; nobody before the handshake is done, or without a certificate.
    pub fn other(&self) -> Option<&Identity> {
        self.other.as_ref()
    }

    /// Whether the other side has said that nothing follows.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether something waits for the end of the handshake.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// What is said by itself: the first words of who dials.
    pub fn begin(&mut self, wire_out: &mut Vec<u8>) {
        drain(&mut self.connection, wire_out);
    }

    /// Takes bytes of the wire, as `Filter::receive` does.
    ///
    /// # Errors
    /// `InvalidData` with the reason.
    pub fn receive(
        &mut self,
        wire: &[u8],
        plain: &mut Vec<u8>,
        wire_out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let before = plain.len();
        let heard = match &mut self.connection {
            Connection::Client(connection) => hear(connection, wire, plain),
            Connection::Server(connection) => hear(connection, wire, plain),
        };
        let opened = match heard {
            Ok(ended) => {
                self.has_ended |= ended;
                self.open()
            }
            Err(error) => Err(error),
        };
        drain(&mut self.connection, wire_out);
        if opened.is_err() {
            // Nothing is read of who turned out to be nobody.
            plain.truncate(before);
        }
        opened?;
        if self.is_open() && !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.say(&held, wire_out);
        }
        Ok(())
    }

    /// Looks who is there once the handshake is done.
    fn open(&mut self) -> io::Result<()> {
        if self.phase != Phase::Handshaking || self.connection.is_handshaking() {
            return Ok(());
        }
        if self.must_name_protocol && self.connection.alpn_protocol() != Some(POSTGRESQL) {
            return Err(bad("a client that begins with TLS and does not name the protocol"));
        }
        let certificate = self.connection.peer_certificates().and_then(<[_]>::first);
        self.other = certificate.map(Identity::of).transpose()?;
        self.phase = Phase::Open;
        Ok(())
    }

    /// Takes plain bytes to be said.
    pub fn say(&mut self, plain: &[u8], wire_out: &mut Vec<u8>) {
        use std::io::Write;
        match self.phase {
            Phase::Handshaking => self.held.extend_from_slice(plain),
            Phase::Finished => {}
            Phase::Open => {
                self.connection.writer().write_all(plain).expect("its buffer has no bound");
                drain(&mut self.connection, wire_out);
            }
        }
    }

    /// Says that nothing follows.
    pub fn finish(&mut self, wire_out: &mut Vec<u8>) {
        if self.phase != Phase::Finished {
            self.phase = Phase::Finished;
            self.held = Vec::new();
            self.connection.send_close_notify();
            drain(&mut self.connection, wire_out);
        }
    }
}

/// Reads all of `wire`; whether the other side has said that nothing follows.
fn hear<S: SideData>(
    connection: &mut ConnectionCommon<S>,
    mut wire: &[u8],
    plain: &mut Vec<u8>,
) -> io::Result<bool> {
    use std::io::Read;
    while !wire.is_empty() {
        let before = wire.len();
        connection.read_tls(&mut wire)?;
        let state = connection.process_new_packets().map_err(|error| bad(why(&error)))?;
        let (start, count) = (plain.len(), state.plaintext_bytes_to_read());
        if count > 0 {
            plain.resize(start + count, 0);
            connection.reader().read_exact(plain.get_mut(start..).unwrap_or_default())?;
        }
        if state.peer_has_closed() {
            return Ok(true); // Whatever follows was said by somebody else.
        }
        assert!(wire.len() < before, "its buffer was emptied, and takes more");
    }
    Ok(false)
}

fn drain(connection: &mut Connection, wire_out: &mut Vec<u8>) {
    while connection.wants_write() {
        connection.write_tls(wire_out).expect("a vector takes everything");
    }
}
