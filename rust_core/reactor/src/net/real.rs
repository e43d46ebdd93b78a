//! Sockets of the machine: the one file that names `mio`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::net::sockopt;

use super::{ConnId, ListenerId, Net, Ready};
use crate::slots::Slots;

/// How many words are taken from the kernel at once.
const EVENTS: usize = 1024;
/// When a silent connection is asked for a sign of life, how often then, and how often in vain: a
/// peer whose machine has gone is found out within a minute and a half.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// The workers' bell.
const BELL: Token = Token(usize::MAX);
/// Listeners are counted down from here, connections up from 0.
const LISTENERS: usize = usize::MAX / 2;

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

/// The sockets of a process.
pub struct RealNet {
    poll: Poll,
    events: Events,
    listeners: Vec<Option<Listener>>,
    sockets: Slots<Socket>,
}

impl RealNet {
    /// No sockets yet; wakes for `bell` too, if there is one.
    ///
    /// # Errors
    /// If the process may open no more descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            listeners: Vec::new(),
            sockets: Slots::default(),
        })
    }

    /// Wakes whenever a descriptor becomes readable.
    ///
    /// # Errors
    /// As the system says.
    pub fn watch(&self, bell: BorrowedFd<'_>) -> io::Result<()> {
        let fd: RawFd = bell.as_raw_fd();
        self.poll.registry().register(&mut SourceFd(&fd), BELL, Interest::READABLE)
    }

    /// Takes a listening socket, of TCP or of a path.
    ///
    /// # Errors
    /// As the system says; `InvalidInput` for a socket that is neither.
    pub fn listen(&mut self, socket: OwnedFd) -> io::Result<ListenerId> {
        let id = ListenerId(u32::try_from(self.listeners.len()).expect("a handful of doors"));
        rustix::io::ioctl_fionbio(&socket, true)?;
        let domain = sockopt::socket_domain(&socket)?;
        let mut listener = if domain == rustix::net::AddressFamily::UNIX {
            Listener::Unix(UnixListener::from_std(socket.into()))
        } else {
            Listener::Tcp(TcpListener::from_std(socket.into()))
        };
        let source: &mut dyn Source = match &mut listener {
            Listener::Tcp(listener) => listener,
            Listener::Unix(listener) => listener,
        };
        let token = Token(LISTENERS + id.0 as usize);
        self.poll.registry().register(source, token, Interest::READABLE)?;
        self.listeners.push(Some(listener));
        Ok(id)
    }

    /// Waits for a word, at most so long; whether the bell rang.
    ///
    /// # Errors
    /// As the system says.
    pub fn wait(&mut self, at_most: Option<Duration>, into: &mut Vec<Ready>) -> io::Result<bool> {
        match self.poll.poll(&mut self.events, at_most) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            other => other?,
        }
        let mut rang = false;
        for event in &self.events {
            let token = event.token();
            if token == BELL {
                rang = true;
            } else if token.0 >= LISTENERS {
                let number = u32::try_from(token.0 - LISTENERS).expect("given by `listen`");
                into.push(Ready::Accept(ListenerId(number)));
            } else if let Some(conn) = self.sockets.at(token.0) {
                into.push(Ready::Conn {
                    conn,
                    readable: event.is_readable() || event.is_error(),
                    writable: event.is_writable() || event.is_error(),
                    ended: event.is_read_closed() || event.is_error(),
                });
            }
        }
        Ok(rang)
    }

    /// The socket of a connection that is there.
    ///
    /// # Errors
    /// `NotConnected` if it was closed.
    fn socket(&mut self, conn: ConnId) -> io::Result<&mut Socket> {
        self.sockets.get_mut(conn).ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }

    fn keep(&mut self, mut socket: Socket) -> io::Result<ConnId> {
        let token = Token(self.sockets.next().slot());
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(socket.source(), token, both)?;
        Ok(self.sockets.take(socket))
    }
}

/// Answers leave at once, and a peer that is gone is found out.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let fd = stream.as_fd();
    sockopt::set_socket_keepalive(fd, true)?;
    sockopt::set_tcp_keepidle(fd, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(fd, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(fd, KEEPALIVE_PROBES)?;
    Ok(())
}

impl Net for RealNet {
    fn accept(&mut self, listener: ListenerId) -> io::Result<(ConnId, String)> {
        let listener = self.listeners.get(listener.0 as usize).and_then(Option::as_ref);
        let (socket, from) = match listener {
            None => return Err(io::ErrorKind::WouldBlock.into()),
            Some(Listener::Tcp(listener)) => {
                let (stream, from) = listener.accept()?;
                // A client that has gone again is no error of the door's; reading will tell.
                drop(prepare(&stream));
                (Socket::Tcp(stream), from.to_string())
            }
            Some(Listener::Unix(listener)) => {
                let (stream, _) = listener.accept()?;
                (Socket::Unix(stream), "local".to_owned())
            }
        };
        Ok((self.keep(socket)?, from))
    }

    fn dial(&mut self, to: &str) -> io::Result<ConnId> {
        // Names are looked up before: that waits.
        let to: SocketAddr = to.parse().map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{to} is no numeric address"))
        })?;
        let stream = TcpStream::connect(to)?;
        prepare(&stream)?;
        self.keep(Socket::Tcp(stream))
    }

    fn recv(&mut self, conn: ConnId, into: &mut [u8]) -> io::Result<usize> {
        use std::io::Read;
        match self.socket(conn)? {
            Socket::Tcp(stream) => stream.read(into),
            Socket::Unix(stream) => stream.read(into),
        }
    }

    fn send(&mut self, conn: ConnId, from: &[u8]) -> io::Result<usize> {
        use std::io::Write;
        match self.socket(conn)? {
            Socket::Tcp(stream) => stream.write(from),
            Socket::Unix(stream) => stream.write(from),
        }
    }

    fn finish(&mut self, conn: ConnId) {
        // Not connected any more is finished too.
        let _ = match self.socket(conn) {
            Ok(Socket::Tcp(stream)) => stream.shutdown(std::net::Shutdown::Write),
            Ok(Socket::Unix(stream)) => stream.shutdown(std::net::Shutdown::Write),
            Err(_) => Ok(()),
        };
    }

    fn close(&mut self, conn: ConnId) {
        if let Some(mut socket) = self.sockets.free(conn) {
            // Dropping it closes the descriptor, which the kernel then forgets in any case.
            let _ = self.poll.registry().deregister(socket.source());
        }
    }

    fn close_listener(&mut self, listener: ListenerId) {
        let Some(listener) = self.listeners.get_mut(listener.0 as usize).and_then(Option::take)
        else {
            return;
        };
        let _ = match listener {
            Listener::Tcp(mut listener) => self.poll.registry().deregister(&mut listener),
            Listener::Unix(mut listener) => self.poll.registry().deregister(&mut listener),
        };
    }
}
