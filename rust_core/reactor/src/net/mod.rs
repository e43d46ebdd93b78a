//! What the doors need of a network: sockets that never wait, and a word when one may be used again.
//!
//! Readiness is told once for each change, as by an edge-triggered queue of the kernel. It stands
//! until a call answers `WouldBlock`; then the next word comes when something has changed.
//!
//! ```text
//! real    sockets of the machine; the one file that names `mio`
//! sim     a network in one process, with a seed that draws delays, short writes, cuts and resets
//! ```

pub mod real;
pub mod sim;

use std::io;

use rustix::io::Errno;

pub use crate::slots::ConnId;

/// A listening socket, by its place among those that the reactor was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListenerId(pub u32);

/// A socket may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ready {
    /// Somebody waits to be accepted.
    Accept(ListenerId),
    /// A connection has bytes, an end or an error to be read, or room for bytes.
    Conn {
        /// Which.
        conn: ConnId,
        /// Reading answers something.
        readable: bool,
        /// Writing does; a dialled connection is up, or has failed.
        writable: bool,
        /// The other side has said all, or has gone: reading comes to an end, and no other word
        /// comes for it.
        ended: bool,
    },
}

/// Why nobody could be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hitch {
    /// That client left, a firewall refused it, or its network failed before it was taken: Linux
    /// hands such an error on as the door's.
    OneClient,
    /// Descriptors or memory are short for a moment.
    Shortage,
    /// The door takes nobody any more.
    Broken,
}

impl Hitch {
    const OF_ONE_CLIENT: [Errno; 11] = [
        Errno::CONNABORTED,
        Errno::PERM,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::OPNOTSUPP,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::NONET,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::TIMEDOUT,
    ];
    const SHORTAGE: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];

    /// What an error of `Net::accept` means.
    pub fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(code) if Self::OF_ONE_CLIENT.contains(&code) => Self::OneClient,
            Some(code) if Self::SHORTAGE.contains(&code) => Self::Shortage,
            _ => Self::Broken,
        }
    }
}

/// The sockets of one node. No call waits.
pub trait Net {
    /// Takes the next of those who wait, and says from where it comes.
    ///
    /// # Errors
    /// `WouldBlock` if nobody waits; else as the system says.
    fn accept(&mut self, listener: ListenerId) -> io::Result<(ConnId, String)>;

    /// Begins to connect; the connection's first word says that it is up, or has failed.
    ///
    /// # Errors
    /// If it is plain at once that nobody is there.
    fn dial(&mut self, to: &str) -> io::Result<ConnId>;

    /// Reads what is there, at most `into`; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there yet.
    fn recv(&mut self, conn: ConnId, into: &mut [u8]) -> io::Result<usize>;

    /// Writes what there is room for; how much.
    ///
    /// # Errors
    /// `WouldBlock` if there is none.
    fn send(&mut self, conn: ConnId, from: &[u8]) -> io::Result<usize>;

    /// Says that no more bytes follow.
    fn finish(&mut self, conn: ConnId);

    /// Closes a connection; no word of it follows.
    fn close(&mut self, conn: ConnId);

    /// Closes a listening socket: who waits is refused, and so is who comes.
    fn close_listener(&mut self, listener: ListenerId);
}
