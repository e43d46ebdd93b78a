//! Point plans: statements by primary key, which need no planner and no operator tree.
//!
//! `classify` decides once, when a statement is bound; `PointPlan` then runs it for each set of
//! parameters: the keys that it touches, known before anything is read, and what becomes of each
//! row found under them. Shapes: SELECT, UPDATE and DELETE by a whole key (`=`, or `IN` on a key of
//! one column), INSERT of up to `ROWS_MAX` rows, SELECT without FROM.

mod classify;
mod run;

pub use classify::classify;
pub use run::{Effect, PointRun};

use phantom_base::sync::Arc;
use phantom_types::codec::row::RowLayout;

use crate::bound::{Expr, Query};
use crate::catalog::Table;

/// Keys of one point plan: a step over them stays under a millisecond.
pub const KEYS_MAX: usize = 128;
/// Rows that a point plan inserts.
pub const ROWS_MAX: usize = 128;

/// A statement by key.
#[derive(Clone, Debug)]
pub struct PointPlan {
    /// The whole statement.
    pub query: Arc<Query>,
    /// Its table; `None` for SELECT without FROM.
    pub table: Option<Arc<Table>>,
    /// Of SELECT, UPDATE and DELETE: for each key its columns' values, in key order, over
    /// parameters only.
    pub(crate) keys: Vec<Vec<Expr>>,
    /// Where the table's columns lie in its rows.
    pub(crate) layout: RowLayout,
}
