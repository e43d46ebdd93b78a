//! One session, and the statement that runs in it.

use std::collections::VecDeque;

use phantom_base::sync::{Arc, AtomicBool};
use phantom_base::{Error, Nanos, Severity};
use phantom_sql::statement::Prepared;
use phantom_types::{Datum, QueryMemory, Share};
use phantom_wire::pg::{Identity, Outcome, PgSession};

use super::{Door, SessionEvent};
use crate::gateway::Delivery;

/// One session.
pub struct Session {
    pub pg: PgSession,
    /// The statement that runs.
    pub running: Option<Running>,
    /// The number of the text that the parse pool works on.
    pub preparing: u64,
    /// Tells the parse pool that it need not go on with it.
    pub given_up: Arc<AtomicBool>,
    /// A statement that is bound again, with its values.
    pub again: Option<Again>,
    pub event: Option<SessionEvent>,
    /// When it ends if its client begins nothing until then.
    pub idle_until: Option<Nanos>,
    /// The event that waits for its answer.
    pub asked: Option<u64>,
    pub closing: bool,
    /// It has stopped since nobody takes its output.
    pub is_flooded: bool,
    /// For a large message that has not been read yet.
    pub arriving: Share,
}

/// What a session has for its client.
#[derive(Debug)]
pub struct SessionOut {
    /// In the order in which they are to be sent.
    pub bytes: Vec<u8>,
    /// Whether the session had stopped for room, and has gone on.
    pub goes_on: bool,
}

/// A statement that runs.
pub struct Running {
    /// No other statement of this node has it, however often it was bound.
    pub number: u64,
    pub statement: Arc<Prepared>,
    pub parameters: Arc<[Datum]>,
    /// Whether a leader does it: then the gateway knows it by its session and its number.
    pub is_given: bool,
    /// Ends the worker that runs it.
    pub worker: Option<Arc<AtomicBool>>,
    /// Rows that the session has not taken.
    pub batches: VecDeque<Delivery>,
    /// The part of the node's memory of those that it has taken last.
    pub in_hand: Share,
    pub end: Option<Outcome>,
    /// Whether the session waits for rows or the end.
    pub wanted: bool,
    pub deadline: Option<Nanos>,
    /// Why its change was asked to end; who carries it out decides whether it still can.
    pub cancelled: Option<Error>,
    /// How often it was bound again for a schema that had changed.
    pub rebound: u32,
}

impl Session {
    /// A new one behind a door.
    pub fn new(door: Door, identity: Identity) -> Self {
        let pg = match door {
            Door::Pg => PgSession::new(identity),
        };
        Self {
            pg,
            running: None,
            preparing: 0,
            given_up: Arc::default(),
            again: None,
            event: None,
            idle_until: None,
            asked: None,
            closing: false,
            is_flooded: false,
            arriving: Share::default(),
        }
    }

    /// Holds what has come of a large message. It ends where there is no room: half a message leaves
    /// nothing that could be read after it.
    pub fn hold_arriving(&mut self, memory: &QueryMemory) {
        let bytes = self.pg.arriving_bytes();
        if bytes > 0 && !self.arriving.is_counted() {
            self.arriving = memory.share();
        }
        if let Err(error) = self.arriving.resize(bytes) {
            self.pg.cancel(error.with_severity(Severity::Fatal));
        }
    }
}

/// Why a text is bound again.
pub struct Again {
    pub statement: Arc<Prepared>,
    pub parameters: Arc<[Datum]>,
    pub rebound: u32,
}
