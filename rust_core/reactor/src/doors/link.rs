//! Links: the streams between this node and another, at most one link a peer.
//!
//! Stream 0 carries consensus and control, stream 1 bulk, so that a large answer delays no vote. Both
//! sides of a pair dial, and the newest link takes the place of an older one. A link is up once both
//! its streams are, and down as soon as one of them is gone: what was under way is then lost, and the
//! core says all of it anew.

use std::io;

use phantom_base::{Map, NodeId};
use phantom_node::frame::BadFrame;
use phantom_node::link::STREAMS;

use super::ending::Ending;
use super::socket::Socket;
use super::{Fate, Hands, WRITE_BYTES_A_TURN};
use crate::net::ConnId;
use crate::traffic::LinkName;

/// How much is taken of a link at once, in bytes.
const TAKE_BYTES: usize = 256 << 10;

/// The connections of a link, by stream.
pub type Streams = [Option<ConnId>; STREAMS];

/// A link that is not complete.
#[derive(Debug)]
struct Arriving {
    incarnation: u32,
    streams: Streams,
}

/// A link that is up.
#[derive(Debug)]
pub struct Up {
    pub name: LinkName,
    pub streams: [ConnId; STREAMS],
    /// On how many of them the peer has said all.
    pub ended: usize,
}

/// All links of a node.
#[derive(Debug, Default)]
pub struct Links {
    arriving: Map<(NodeId, LinkName), Arriving>,
    up: Map<NodeId, Up>,
    /// Each stream ends once all is sent that waits for it.
    pub is_finishing: bool,
}

impl Links {
    /// How many are up.
    pub fn len(&self) -> usize {
        self.up.len()
    }

    /// The link to a peer, if it is up.
    pub fn up(&mut self, peer: NodeId) -> Option<&mut Up> {
        self.up.get_mut(&peer)
    }

    /// Takes down what is known of a link to a peer that is up.
    pub fn take(&mut self, peer: NodeId) -> Option<Up> {
        self.up.remove(&peer)
    }

    /// All peers with links.
    pub fn peers(&self) -> Vec<NodeId> {
        self.up.keys().copied().collect()
    }

    /// The connection that carries a stream.
    pub fn conn(&self, peer: NodeId, stream: u8) -> Option<ConnId> {
        self.up.get(&peer)?.streams.get(usize::from(stream)).copied()
    }

    /// Adds a stream. All streams, if it was the last; `Err` if it is there already or another
    /// start of the peer's has the link.
    pub fn add(
        &mut self,
        peer: NodeId,
        incarnation: u32,
        name: LinkName,
        stream: (u8, ConnId),
    ) -> Result<Option<[ConnId; STREAMS]>, ()> {
        if usize::from(stream.0) >= STREAMS {
            return Err(());
        }
        let link = self
            .arriving
            .entry((peer, name))
            .or_insert_with(|| Arriving { incarnation, streams: Streams::default() });
        let place = link.streams.get_mut(usize::from(stream.0)).expect("checked above");
        if place.is_some() || link.incarnation != incarnation {
            return Err(());
        }
        *place = Some(stream.1);
        let [Some(control), Some(bulk)] = link.streams else { return Ok(None) };
        self.arriving.remove(&(peer, name));
        Ok(Some([control, bulk]))
    }

    /// A complete link is the peer's from now on.
    pub fn rise(&mut self, peer: NodeId, name: LinkName, streams: [ConnId; STREAMS]) {
        let older = self.up.insert(peer, Up { name, streams, ended: 0 });
        assert!(older.is_none(), "{peer} has one link");
    }

    /// Gives up a link that is not complete; its streams, if there was one of that name.
    pub fn give_up(&mut self, peer: NodeId, name: LinkName) -> Option<Streams> {
        self.arriving.remove(&(peer, name)).map(|link| link.streams)
    }
}

/// One connection of a link.
#[derive(Debug)]
pub struct Stream {
    pub peer: NodeId,
    pub link: LinkName,
    pub number: u8,
    pub is_up: bool,
    /// Bytes that the core has not taken.
    held: Vec<u8>,
    /// The peer has said all on it.
    pub has_said_all: bool,
    /// We have.
    has_finished: bool,
}

impl Stream {
    pub fn new(peer: NodeId, link: LinkName, number: u8) -> Self {
        Self {
            peer,
            link,
            number,
            is_up: false,
            held: Vec::new(),
            has_said_all: false,
            has_finished: false,
        }
    }

    pub fn wants_bytes(&self) -> bool {
        self.is_up && self.held.is_empty() && !self.has_said_all
    }

    /// Whether the core would not take all that has come.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Reads the socket once and feeds the core.
    pub fn read(&mut self, socket: &mut Socket, hands: &mut Hands<'_>) -> io::Result<Fate> {
        if !self.wants_bytes() {
            return Ok(Fate::Stays);
        }
        let Some(count) = socket.recv(hands.net, hands.buffer)? else { return Ok(Fate::Stays) };
        if count == 0 {
            self.has_said_all = true;
            return Ok(Fate::Ended);
        }
        let bytes = hands.buffer.get(..count).unwrap_or_default();
        let Some(core) = hands.core.as_deref_mut() else { return Ok(Fate::Closes(Ending::NoCore)) };
        hands.stirred = true;
        match core.feed(self.peer, self.number, bytes) {
            Ok(taken) => {
                self.held.extend_from_slice(bytes.get(taken..).unwrap_or_default());
                Ok(Fate::Stays)
            }
            Err(bad) => Ok(Fate::Closes(self.misspoken(&bad))),
        }
    }

    fn misspoken(&self, bad: &BadFrame) -> Ending {
        Ending::BadFrame(format!("stream {}: {bad}", self.number))
    }

    /// Feeds what the core would not take before.
    pub fn feed_held(&mut self, hands: &mut Hands<'_>) -> Fate {
        let Some(core) = hands.core.as_deref_mut() else { return Fate::Stays };
        match core.feed(self.peer, self.number, &self.held) {
            Ok(taken) => {
                self.held.drain(..taken);
                hands.stirred |= taken > 0;
                Fate::Stays
            }
            Err(bad) => Fate::Closes(self.misspoken(&bad)),
        }
    }

    /// Sends what the core has for the peer; whether there is more.
    pub fn write(
        &mut self,
        socket: &mut Socket,
        hands: &mut Hands<'_>,
        is_finishing: bool,
    ) -> io::Result<bool> {
        let mut budget = WRITE_BYTES_A_TURN;
        loop {
            socket.flush(hands.net, &mut budget)?;
            if !socket.has_sent_all() {
                return Ok(budget == 0);
            }
            if !self.is_up {
                return Ok(false);
            }
            let core = hands.core.as_deref_mut();
            let bytes = core.and_then(|core| core.take_out(self.peer, self.number, TAKE_BYTES));
            let Some(bytes) = bytes else { break };
            socket.push(bytes);
        }
        if is_finishing && !self.has_finished {
            self.has_finished = true;
            socket.finish(hands.net)?;
        }
        Ok(false)
    }
}
