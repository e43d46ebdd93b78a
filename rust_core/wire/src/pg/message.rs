//! What a session asks its driver for, and what it is told.

use phantom_base::Error;
use phantom_base::sync::Arc;
use phantom_sql::statement::Prepared;
use phantom_types::{Batch, Datum};

/// Something that a session cannot do by itself. At most one is unanswered, but for `Stop` and
/// `Cancel`, which have no answer.
#[derive(Clone, Debug)]
pub enum Request {
    /// Split a text into statements; answered with `Outcome::Text`.
    Split(Arc<str>),
    /// Parse and bind one statement; answered with `Outcome::Prepared`.
    Prepare {
        /// The statement.
        text: Arc<str>,
        /// Type OIDs that the client declared; 0 is "infer".
        parameter_types: Vec<u32>,
    },
    /// Bind a statement anew if its tables are no longer those that it was bound to; answered with
    /// `Outcome::Prepared`, or with an error if its result would look otherwise.
    Renew(Arc<Prepared>),
    /// Run a statement; answered with `Outcome::Rows` or `Outcome::Done`.
    Run {
        /// The statement.
        statement: Arc<Prepared>,
        /// A value for each of its parameters.
        parameters: Vec<Datum>,
    },
    /// More rows of the statement that runs; answered as `Run` is.
    More,
    /// Give up the statement that runs.
    Stop,
    /// End the running statement of another session; this one closes.
    Cancel {
        /// The session that BackendKeyData named.
        pid: u32,
        /// Its secret.
        secret: u32,
    },
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// To `Split`.
    Text(Vec<Piece>),
    /// To `Prepare` and `Renew`: the statement, and the version of the catalog that it is good for.
    Prepared(Arc<Prepared>, u64),
    /// Rows of the statement that runs; there may be more.
    Rows(Batch),
    /// The statement ended well.
    Done {
        /// Rows returned by a SELECT, else rows written.
        rows: u64,
        /// Remarks, to be sent before the end.
        notices: Vec<Error>,
    },
    /// It failed.
    Failed(Error),
}

/// A statement of a text that holds several.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its text.
    pub text: Arc<str>,
    /// How many characters of the whole text stand before it.
    pub offset: u32,
    /// Whether it changes rows or the catalog.
    pub is_write: bool,
    /// The statement, where the driver has it at hand.
    pub prepared: Option<Arc<Prepared>>,
}

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing to do until more input comes.
    Idle,
    /// The budget is used up; step again.
    More,
    /// A request is out; resume when it is answered.
    Waiting,
    /// The client reads too slowly; step again when output has been taken.
    Flooded,
    /// The session is over: send what is left and close the connection.
    Closing,
}
