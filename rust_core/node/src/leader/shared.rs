//! What all groups of a node share: storage, the applied catalog, memory, plans by hash.

use phantom_base::NodeId;
use phantom_base::sync::Arc;
use phantom_base::{Error, Result, sqlstate};
use phantom_lsm::Engine;
use phantom_sql::bound::codec;
use phantom_sql::catalog::CatalogSnapshot;
use phantom_sql::statement::Planned;
use phantom_types::QueryMemory;

use super::RequestId;
use super::work::{Call, Query};
use crate::catalog::Catalog;
use crate::kept::{Bounds, Kept};

/// The largest plan that is kept, as a tree, in bytes. In memory a plan takes several times as much,
/// and statements of many rows are seldom sent twice.
pub const PLAN_BYTES_MAX: usize = 64 << 10;
/// Plans of peers that are kept by hash.
const PLANS: Bounds = Bounds { count: 4_096, bytes: 8 << 20, largest: PLAN_BYTES_MAX };

/// What all groups of a node share.
pub struct Shared {
    node: NodeId,
    pub(super) engine: Arc<Engine>,
    pub(super) catalog: Catalog,
    /// What one query may take.
    pub memory: QueryMemory,
    plans: Kept<u128, Arc<Planned>>,
    next_request: RequestId,
    /// How many statements were begun again.
    pub repeats: u64,
    /// Whether a write waits until the clock may issue a stamp.
    pub awaits_stamps: bool,
}

impl Shared {
    /// Of a node.
    pub fn new(node: NodeId, engine: Arc<Engine>, catalog: Catalog, memory: QueryMemory) -> Self {
        Self {
            node,
            engine,
            catalog,
            memory,
            plans: Kept::new(PLANS),
            next_request: 1,
            repeats: 0,
            awaits_stamps: false,
        }
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    pub(super) fn next_request(&mut self) -> RequestId {
        let next = self.next_request;
        self.next_request += 1;
        next
    }

    /// Whether a query names descriptors that this node has not applied yet, but its gateway has.
    pub(super) fn lacks_catalog_of(&mut self, query: &Query, catalog_version: u64) -> bool {
        // What was bound here was bound to what is applied here.
        matches!(query.call, Call::Remote { .. })
            && catalog_version > self.catalog.snapshot().version()
            && self.planned(&query.call).is_err_and(|error| is_stale_schema(&error))
    }

    /// The plan that a query names, bound to the descriptors that this node has applied; `None` if its
    /// gateway has to send it first.
    pub(super) fn planned(&mut self, call: &Call) -> Result<Option<Arc<Planned>>> {
        let snapshot = self.catalog.snapshot();
        let (hash, tree) = match call {
            Call::Local { planned, .. } if is_current(planned, &snapshot) => {
                return Ok(Some(planned.clone()));
            }
            Call::Local { .. } => return Err(stale_schema()),
            Call::Remote { hash, tree, .. } => (hash, tree),
        };
        if let Some(known) = self.plans.get(hash).filter(|known| is_current(known, &snapshot)) {
            return Ok(Some(known.clone()));
        }
        let Some(tree) = tree else { return Ok(None) };
        let decoded = codec::decode(tree)?;
        let mut tables = Vec::with_capacity(decoded.relations.len());
        for relation in &decoded.relations {
            let table = snapshot
                .table_by_oid(relation.table)
                .filter(|table| table.version == relation.version)
                .ok_or_else(stale_schema)?;
            tables.push(table.clone());
        }
        let planned = Arc::new(Planned::from_parts(decoded, tree.clone(), tables));
        if planned.hash != *hash {
            return Err(Error::internal("a plan is not the one that its hash names"));
        }
        self.plans.insert(planned.hash, planned.clone(), tree.len());
        Ok(Some(planned))
    }
}

/// Whether the tables of a plan are those that this node has applied.
fn is_current(planned: &Planned, snapshot: &CatalogSnapshot) -> bool {
    planned.tables.iter().all(|table| {
        snapshot.table_by_oid(table.oid).is_some_and(|now| now.version == table.version)
    })
}

/// The descriptors changed under a bound statement: it is bound again, and nobody sees this.
pub(super) fn stale_schema() -> Error {
    Error::new(sqlstate::SERIALIZATION_FAILURE, STALE_SCHEMA)
}

/// Whether an error says that descriptors changed under a bound statement, here or at a peer.
pub fn is_stale_schema(error: &Error) -> bool {
    error.sqlstate == sqlstate::SERIALIZATION_FAILURE && error.message == STALE_SCHEMA
}

/// The message by which a gateway knows it.
const STALE_SCHEMA: &str = "the schema changed while the statement was prepared";
