//! What the reactor tells the control plane, and what that says back.
//!
//! Nothing waits for an answer: a verb that comes late finds its connection, session or token gone,
//! and is nothing then. What could not be done comes back as an event.

use phantom_base::{Error, GroupId, Nanos, NodeId};
use phantom_node::session::SessionId;

use crate::net::{ConnId, ListenerId};

/// A name of a link, drawn by who dialled it: both its streams say it.
pub type LinkName = [u8; 16];

/// Something for the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What happened in the core, as CBOR.
    Core(Vec<u8>),
    /// Groups without a leader, whose timers have run out.
    ElectionDue(Vec<GroupId>),
    /// A message of a peer's control plane.
    Control(NodeId, Vec<u8>),
    /// The end of what has a token, a read, a write, a barrier: the token and CBOR.
    Ended(u64, Vec<u8>),
    /// A session wants something decided: which event of it, its kind, CBOR.
    Session(SessionId, u64, &'static str, Vec<u8>),
    /// A session that has wanted something decided is gone: nobody waits for it any more.
    SessionGone(SessionId),
    /// The first message of a connection at the peer door, and from where it comes. It is answered
    /// by `Say` or `Adopt`.
    First {
        /// Which connection.
        conn: ConnId,
        /// Its address, for people.
        from: String,
        /// The node that its certificate names; none where nothing is encrypted.
        certified: Option<String>,
        /// Without its length.
        message: Vec<u8>,
    },
    /// The answer to a `Dial`.
    Answer {
        /// The dial's token.
        token: u64,
        /// Its connection, which waits for `Adopt` or `Close`.
        conn: ConnId,
        /// The node that its certificate names; none where nothing is encrypted.
        certified: Option<String>,
        /// Without its length.
        message: Vec<u8>,
    },
    /// A dial came to nothing, or its connection ended before it was adopted.
    DialFailed(u64, String),
    /// A link is up; the core has been told.
    LinkUp(NodeId, LinkName),
    /// A link is down, and why; or what was adopted for one has come to nothing.
    LinkDown(NodeId, LinkName, String),
    /// A door has no room for more connections.
    DoorFull(ListenerId),
    /// A door could not take a connection just now.
    AcceptFailed(ListenerId, String),
    /// Doors of clients are closed and no client is left.
    ClientsGone,
    /// A turn took long: milliseconds, and which of its parts.
    SlowTurn(u64, String),
}

/// Another node, as its greeting says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number.
    pub node: NodeId,
    /// The count of its starts.
    pub incarnation: u32,
    /// What its release can read (`phantom_node::FEATURES`).
    pub features: u64,
}

/// Something that the control plane wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Answers an event of a session.
    Resume(SessionId, u64, Vec<u8>),
    /// Ends what runs in a session; a FATAL error ends the session.
    CancelSession(SessionId, Error),
    /// Ends what runs in the session that a client knows by this pid and secret.
    CancelByKey(u32, u32),
    /// Reads system rows: a token, the group, spans as CBOR.
    ReadRows(u64, GroupId, Vec<u8>),
    /// Writes system rows: a token, the group, writes as CBOR.
    WriteRows(u64, GroupId, Vec<u8>),
    /// Waits until all that was committed before is applied here: a token, the group.
    Barrier(u64, GroupId),
    /// Begins elections.
    Campaign(Vec<GroupId>),
    /// Hands a leadership over: a token and the group. Its end tells whether somebody could lead.
    Leave(u64, GroupId),
    /// Gives a leadership up.
    StepDown(GroupId),
    /// Has this token end with this turn: what was said before is done then, and can be seen.
    Look(u64),
    /// Sends a peer's control plane a message.
    Control(NodeId, Vec<u8>),
    /// Connects to a numeric address and says a first message; the answer is an event.
    Dial {
        /// Names it in the answer.
        token: u64,
        /// Numeric.
        to: String,
        /// Without its length.
        message: Vec<u8>,
    },
    /// Says a message on a connection that is no link, and closes it then.
    Say(ConnId, Vec<u8>),
    /// Makes a connection a stream of a link. The link is up once it has all its streams.
    Adopt {
        /// Which connection.
        conn: ConnId,
        /// Whose link.
        peer: Peer,
        /// Which link of that peer.
        link: LinkName,
        /// Which of its streams.
        stream: u8,
        /// What is said first, without its length; nothing where the peer was dialled.
        message: Option<Vec<u8>>,
    },
    /// Closes a connection that is no client's.
    Close(ConnId),
    /// Cuts the link to a peer.
    Cut(NodeId),
    /// Clients are served from now on.
    OpenClients,
    /// Closes the doors of clients; sessions end once they are idle, and all after so long.
    Drain(Nanos),
    /// Sends peers what waits for them and then the end. Links end when the peers have hung up.
    FinishLinks,
}
