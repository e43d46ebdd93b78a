//! What a session keeps by name: statements, and portals, which are a statement with values and how
//! far it was run.

use phantom_base::sync::Arc;
use phantom_sql::statement::Prepared;
use phantom_types::{Batch, Datum};

/// What Parse makes.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub prepared: Arc<Prepared>,
    /// The version of the catalog that it was last found to be good for.
    pub catalog_version: u64,
}

/// What Bind makes.
#[derive(Debug)]
pub(super) struct Portal {
    pub statement: Arc<Prepared>,
    pub parameters: Vec<Datum>,
    pub result_formats: Vec<i16>,
    pub state: PortalState,
    /// Rows that were sent.
    pub sent: u64,
    /// Rows that were sent before the Execute that runs: a SELECT's tag counts each Execute's own.
    pub sent_before: u64,
}

/// How far a portal was run.
#[derive(Debug)]
pub(super) enum PortalState {
    /// Not at all.
    New,
    /// Its row limit was reached: these rows of a batch are left, and there may be more.
    Suspended {
        /// The batch that the limit cut.
        batch: Batch,
        /// How many of its rows were sent.
        sent: usize,
    },
    /// To its end.
    Done,
}

impl Portal {
    pub(super) fn is_suspended(&self) -> bool {
        matches!(self.state, PortalState::Suspended { .. })
    }
}
