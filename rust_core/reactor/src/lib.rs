//! The reactor: the one thread of a node that touches a socket, and the only caller of
//! `NodeCore::poll`.
//!
//! Bytes of clients and peers go from their sockets into the core and back without meeting Python.
//! What is to be decided leaves as an `Event` and comes back as a `Verb`: a control plane that is slow
//! costs decisions, never a heartbeat or a statement that needs none.
//!
//! ```text
//! doors      connections, links, back-pressure, the order of a turn; knows no socket
//! filter     what stands between the wire and plain bytes: nothing, or TLS
//! net        what the doors need of a network: the machine's, or one in a simulation
//! thread     the loop around both, and the queues to and from the control plane
//! traffic    what the control plane is told, and what it says
//! waiting    what it has not taken yet, and what is done without it
//! view       what can be seen of a node without asking
//! slots      numbers of connections
//! ```
//!
//! It must never know: SQL, groups, rows, CBOR; where a query runs; who may be a peer.

pub mod doors;
pub mod filter;
pub mod net;
pub mod slots;
pub mod thread;
pub mod traffic;
pub mod view;
pub mod waiting;
