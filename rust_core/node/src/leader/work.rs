//! What a leader is given and what it answers: values, whoever sent them and however.
//!
//! A query of this node comes as it was bound, by reference; one of a peer comes in the form in which
//! it travelled. Rows go back likewise: as a batch here, encoded to a peer.

use phantom_base::sync::Arc;
use phantom_base::{Error, GroupId, NodeId, Timestamp};
use phantom_sql::execute::StepBudget;
use phantom_sql::statement::Planned;
use phantom_types::{Batch, Datum, EvalContext};

use crate::replication::entry::TxnId;

/// A request has a copy of the values that a peer has sent, and so has what runs it.
const COPIES: usize = 2;

/// A gateway's name for work that it has given to a leader. What is given again has another one.
pub type FlowId = u64;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The gateway; this node itself for its own sessions; none once its link is gone.
    pub gateway: NodeId,
    /// The gateway's name for it.
    pub flow: FlowId,
}

/// Work of one statement for the leader of one group.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// Its name at the gateway.
    pub flow: FlowId,
    /// The group.
    pub group: GroupId,
    /// The transaction that the statement is in.
    pub txn: TxnId,
    /// Which statement of it, from 1 on.
    pub seq: u32,
    /// What it may see of others.
    pub level: Level,
    /// At which timestamp it reads; `None` lets the leader choose.
    pub read_ts: Option<Timestamp>,
    /// What becomes of its transaction.
    pub finish: Finish,
    /// What its transaction has written in this group before.
    pub overlay: Vec<RowPut>,
    /// How much of it a worker does before others have their turn.
    pub budget: StepBudget,
    /// The applied catalog that it was bound to.
    pub catalog_version: u64,
    /// What to do.
    pub work: Work,
}

/// How far statements are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Each statement sees what was committed before it.
    ReadCommitted,
}

/// What becomes of a transaction with the end of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It commits.
    Commit,
}

impl Fragment {
    /// A statement that is a transaction by itself; it has no name yet.
    pub fn autocommit(group: GroupId, txn: TxnId, catalog_version: u64, work: Work) -> Self {
        Self {
            flow: 0,
            group,
            txn,
            seq: 1,
            level: Level::ReadCommitted,
            read_ts: None,
            finish: Finish::Commit,
            overlay: Vec::new(),
            budget: StepBudget::WORKER,
            catalog_version,
            work,
        }
    }

    /// Whether it is a transaction by itself.
    pub fn is_autocommit(&self) -> bool {
        let commits = (self.level, self.finish) == (Level::ReadCommitted, Finish::Commit);
        commits && self.seq == 1 && self.read_ts.is_none() && self.overlay.is_empty()
    }
}

/// What to do at a group.
#[derive(Clone, Debug)]
pub enum Work {
    /// A query, as a point plan or in steps.
    Query(Box<Query>),
    /// Reads of system rows.
    ReadRows(Vec<RowSpan>),
    /// Writes of system rows, all in one entry.
    WriteRows(Vec<RowPut>),
}

/// A query with its values.
#[derive(Clone, Debug)]
pub struct Query {
    /// Whether to run its point plan.
    pub is_point: bool,
    /// Its plan and its values.
    pub call: Call,
    /// What its expressions may know.
    pub eval: EvalContext,
}

/// A plan with the values of its parameters.
#[derive(Clone, Debug)]
pub enum Call {
    /// Of this node: as it was bound.
    Local {
        /// The plan.
        planned: Arc<Planned>,
        /// The values.
        parameters: Arc<[Datum]>,
    },
    /// As it travels.
    Remote {
        /// The hash of the plan's CBOR form.
        hash: u128,
        /// That form, unless the leader has it.
        tree: Option<Arc<[u8]>>,
        /// The values, in binary.
        parameters: Vec<Option<Vec<u8>>>,
    },
}

impl Work {
    /// Bytes that it takes for as long as it lasts. What the node does on its own account is small,
    /// and goes on whatever statements hold.
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Query(query) => query.call.size_bytes(),
            Self::ReadRows(_) | Self::WriteRows(_) => 0,
        }
    }

    /// Bytes that a leader keeps of it: what it got from this node it shares with its gateway.
    pub(super) fn copied_bytes(&self) -> usize {
        match self {
            Self::Query(query) => match &query.call {
                Call::Local { .. } => 0,
                call @ Call::Remote { .. } => COPIES * call.size_bytes(),
            },
            Self::ReadRows(_) | Self::WriteRows(_) => 0,
        }
    }
}

impl Call {
    fn size_bytes(&self) -> usize {
        match self {
            Self::Local { planned, parameters } => {
                planned.encoded.len() + parameters.iter().map(value_bytes).sum::<usize>()
            }
            Self::Remote { tree, parameters, .. } => {
                let value = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
                let tree = tree.as_ref().map_or(0, |tree| tree.len());
                tree + parameters.iter().map(value).sum::<usize>()
            }
        }
    }
}

fn value_bytes(value: &Datum) -> usize {
    match value {
        Datum::Text(text) => text.len(),
        Datum::Numeric(number) => number.size_bytes(),
        _ => 8,
    }
}

/// Rows of a system relation: one, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSpan {
    /// Colocation set and number.
    pub relation: u64,
    /// Encoded key columns of one row.
    pub key: Option<Vec<u8>>,
}

/// A system row to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPut {
    /// Colocation set and number.
    pub relation: u64,
    /// Encoded key columns.
    pub key: Vec<u8>,
    /// The new row; `None` removes it.
    pub value: Option<Vec<u8>>,
    /// The version that must be there, 0 for none; `None` asks for nothing.
    pub seen: Option<u64>,
}

/// Rows of system relations with their versions, for each span.
pub type SystemRows = Vec<Vec<(Vec<u8>, u64)>>;

/// What a gateway says to a leader.
#[derive(Clone, Debug)]
pub enum ToLeader {
    /// Work.
    Run(Fragment),
    /// It has taken so many bytes of rows.
    Credit(FlowId, u64),
    /// It wants no more.
    Cancel(FlowId),
}

/// What a leader says of a flow.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Some rows.
    Rows(Rows),
    /// Done.
    Finished {
        /// Rows returned or written.
        count: u64,
        /// When it committed; 0 for a read.
        commit: Timestamp,
    },
    /// Failed.
    Failed(Error),
    /// Nothing was done; this node, if any, is believed to lead.
    NotLeader(NodeId),
    /// The plan's hash is not known here.
    NeedPlan,
    /// Rows of system relations, for each span.
    SystemRows(SystemRows),
}

/// Rows of a result.
#[derive(Clone, Debug)]
pub enum Rows {
    /// For this node's own gateway.
    Local(Batch),
    /// As they travel.
    Remote {
        /// How many.
        count: u64,
        /// Each: length u32, row.
        bytes: Vec<u8>,
    },
}

impl Rows {
    /// Bytes that they take.
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Local(batch) => batch.size_bytes(),
            Self::Remote { bytes, .. } => bytes.len(),
        }
    }
}
