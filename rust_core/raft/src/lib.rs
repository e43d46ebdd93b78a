//! Many Raft groups of one node as one sans-IO machine.
//!
//! `Machine` takes messages, verbs and the time, and hands out a `Ready`: records for the node's
//! log, messages that may leave, ranges to apply, answers and events. It never does any of it.
//! The algorithm is Raft (Ongaro, "Consensus: Bridging Theory and Practice", 2014) with pre-vote
//! (9.6), check-quorum (6.2) and read-index rounds (6.4), with the semantics of etcd's library
//! where the thesis leaves a choice. Leaders read without a round under leases that rest on promises
//! between nodes (`support`). The rules R1-R14 in the comments are those of the design.
//!
//! - Nothing leaves that relies on bytes not yet durable: a vote or append answer waits for the
//!   log address of what it promises, and the own vote and own entries count only then (R1, R2).
//! - Records come out in the order in which they must stand in the log: a term before its entries,
//!   a commit index before the entries that it came with (R5).
//! - A refusal changes nothing. What a peer can send wrong is dropped, or refused if it cannot be
//!   true; what only we can do wrong is an assert.
//! - Configuration is fixed per group, one to five voters.
//!
//! It must not know what a command means, files, sockets, or any clock but the one it is given.

mod entries;
mod error;
mod group;
mod machine;
mod message;
mod progress;
mod quorum;
mod support;
mod types;
mod wire;

pub use entries::{Entries, Entry, Position};
pub use error::{Contradiction, Refused};
pub use group::{GroupStatus, MemberStatus, RoleName};
pub use machine::Machine;
pub use message::{Body, Heartbeat, HeartbeatAnswer, Line, LineAnswer, Message, Parcel, Parting};
pub use support::{Promise, SupportState};
pub use types::{
    BarrierAnswer, BarrierOutcome, Committed, Done, Event, HardState, Identity, Limits, LogRecord,
    LostWhy, Member, Outcome, Ready, Restored, Room, Token,
};
pub use wire::{MalformedParcel, decode_parcel, encode_parcel, encoded_len, is_parting};
