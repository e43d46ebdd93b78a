//! Texts to statements: the plan cache, and the parse pool behind it.
//!
//! A cached statement is good as long as the descriptors that it was bound to are the newest, which
//! is looked at once for each catalog version. A name that this node does not know costs one barrier
//! on the system group and one more try: the table may be new.
//!
//! A long text goes to the one worker that takes such. A script is split there a chunk at a time, in
//! turn with the scripts of others, and whoever gives it up waits for no more than a chunk.

use phantom_base::sync::{Arc, AtomicBool, Ordering};
use phantom_base::{Error, sqlstate};
use phantom_sql::bind::Splitter;
use phantom_sql::catalog::CatalogSnapshot;
use phantom_sql::parse::CHUNK_BYTES;
use phantom_sql::statement::{self, Body};
use phantom_wire::pg::{Outcome, Piece};

use super::texts::{Bound, Stepped, Task, TextWork, bound_anew, declared_types};
use super::{SessionId, Sessions};
use crate::kept::{Bounds, Kept};
use crate::leader::PLAN_BYTES_MAX;

/// Statements that a node keeps, by the size of their trees and texts.
const BOUNDS: Bounds = Bounds { count: 8_192, bytes: 8 << 20, largest: PLAN_BYTES_MAX };
/// The longest text that is kept, in bytes: bulk statements are not repeated.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// What a plan rests on beside the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PlanKey {
    text: Arc<str>,
    parameter_types: Vec<u32>,
    settings: String,
    role: String,
}

/// Bound statements by their text.
pub(super) struct PlanCache {
    plans: Kept<PlanKey, Arc<statement::Prepared>>,
}

impl Default for PlanCache {
    fn default() -> Self {
        Self { plans: Kept::new(BOUNDS) }
    }
}

/// What the parse pool has done.
pub(super) struct Prepared {
    session: SessionId,
    /// The number of what the session wants prepared.
    preparing: u64,
    wanted: Wanted,
    result: Result<Bound, Error>,
    /// The catalog that it was bound to.
    catalog_version: u64,
    /// Whether a barrier was waited for already.
    is_second_try: bool,
}

/// What a text was prepared for.
#[derive(Clone)]
pub(super) enum Wanted {
    Split(Arc<str>),
    Statement(Arc<str>, Vec<u32>),
    /// A statement whose tables are no longer those that it was bound to.
    Renewed(Arc<statement::Prepared>),
    Again,
}

impl Sessions {
    pub(super) fn split(&mut self, id: SessionId, text: Arc<str>) {
        if let Some(prepared) = self.cached(id, &text, &[]) {
            let is_write = prepared.is_write();
            let piece = Piece { text, offset: 0, is_write, prepared: Some(prepared) };
            self.resume(id, Outcome::Text(vec![piece]));
            return;
        }
        self.submit(id, Wanted::Split(text), false);
    }

    /// Looks at a statement that was bound to an older catalog.
    pub(super) fn renew(&mut self, id: SessionId, old: Arc<statement::Prepared>) {
        let snapshot = self.snapshot();
        let session = self.live.get(&id).expect("it has just asked");
        let is_same_path = *old.search_path == *session.pg.settings().search_path_text();
        if is_same_path && is_current(&old, &snapshot) {
            self.resume(id, Outcome::Prepared(old, snapshot.version()));
        } else if let Some(renewed) = self.cached(id, &old.text, &declared_types(&old)) {
            let outcome = renewed_outcome(&old, renewed, snapshot.version());
            self.resume(id, outcome);
        } else {
            self.submit(id, Wanted::Renewed(old), false);
        }
    }

    pub(super) fn prepare(&mut self, id: SessionId, text: Arc<str>, types: Vec<u32>) {
        if let Some(prepared) = self.cached(id, &text, &types) {
            let version = self.snapshot().version();
            self.resume(id, Outcome::Prepared(prepared, version));
            return;
        }
        self.submit(id, Wanted::Statement(text, types), false);
    }

    /// Binds the text of a statement that runs again.
    pub(super) fn prepare_again(&mut self, id: SessionId) {
        self.submit(id, Wanted::Again, false);
    }

    fn key(&self, id: SessionId, text: &Arc<str>, types: &[u32]) -> PlanKey {
        let session = self.live.get(&id).expect("it has just asked");
        PlanKey {
            text: text.clone(),
            parameter_types: types.to_vec(),
            settings: session.pg.settings().plan_key(),
            role: session.pg.role().to_owned(),
        }
    }

    fn cached(
        &mut self,
        id: SessionId,
        text: &Arc<str>,
        types: &[u32],
    ) -> Option<Arc<statement::Prepared>> {
        let key = self.key(id, text, types);
        let found = self.cache.plans.get(&key)?.clone();
        if is_current(&found, &self.snapshot()) {
            return Some(found);
        }
        self.cache.plans.remove(&key);
        None
    }

    fn submit(&mut self, id: SessionId, wanted: Wanted, is_second_try: bool) {
        let catalog = self.snapshot();
        let prepared = self.prepared.clone();
        let session = self.live.get_mut(&id).expect("it has just asked");
        session.preparing += 1;
        let preparing = session.preparing;
        let task = Task {
            catalog,
            settings: session.pg.settings().clone(),
            role: session.pg.role().to_owned(),
            eval: session.pg.eval(),
        };
        let again = session.again.as_ref().map(|again| again.statement.clone());
        let (text, text_work): (Arc<str>, _) = match &wanted {
            Wanted::Split(text) => (text.clone(), TextWork::Split(Splitter::new(text.clone()))),
            Wanted::Statement(text, types) => {
                (text.clone(), TextWork::Prepare(text.clone(), types.clone()))
            }
            Wanted::Renewed(old) => bound_anew(old),
            Wanted::Again => bound_anew(&again.expect("only what runs is bound again")),
        };
        let given_up = Arc::new(AtomicBool::new(false));
        session.given_up = Arc::clone(&given_up);
        let is_long = text.len() > CHUNK_BYTES;
        let mut work = Some((wanted, text_work));
        let steps = move || {
            if given_up.load(Ordering::Relaxed) {
                return false;
            }
            let (wanted, text_work) = work.take().expect("it ends once");
            let result = match task.step(text_work) {
                Ok(Stepped::Done(bound)) => Ok(bound),
                Ok(Stepped::More(rest)) => {
                    work = Some((wanted, rest));
                    return true;
                }
                Err(error) => Err(error),
            };
            let catalog_version = task.catalog.version();
            prepared.post(Prepared {
                session: id,
                preparing,
                wanted,
                result,
                catalog_version,
                is_second_try,
            });
            false
        };
        self.runtime.submit_steps(Box::new(steps), is_long);
    }

    pub(super) fn was_prepared(&mut self, below: &mut super::Below<'_>, prepared: Prepared) {
        let id = prepared.session;
        let Some(session) = self.live.get(&id) else { return };
        if session.preparing != prepared.preparing {
            return; // The session has given it up.
        }
        let unknown = matches!(&prepared.result, Err(error)
            if error.sqlstate == sqlstate::UNDEFINED_TABLE);
        if unknown && !prepared.is_second_try {
            self.wait_for_catalog(id, prepared.wanted);
            return;
        }
        match (prepared.wanted, prepared.result) {
            (Wanted::Again, Ok(Bound::Statement(statement))) => {
                self.run_again(below, id, statement);
            }
            (Wanted::Again, Err(error)) => self.fail_running(below, id, error),
            (wanted, Ok(bound)) => {
                let version = prepared.catalog_version;
                self.keep(id, &wanted, &bound, version);
                let outcome = match (bound, &wanted) {
                    (Bound::Pieces(pieces), _) => Outcome::Text(pieces),
                    (Bound::Statement(new), Wanted::Renewed(old)) => {
                        renewed_outcome(old, new, version)
                    }
                    (Bound::Statement(new), _) => Outcome::Prepared(new, version),
                };
                self.resume(id, outcome);
            }
            (_, Err(error)) => self.resume(id, Outcome::Failed(error)),
        }
    }

    fn keep(&mut self, id: SessionId, wanted: &Wanted, bound: &Bound, catalog_version: u64) {
        let (text, types, statement) = match (wanted, bound) {
            (Wanted::Split(text), Bound::Pieces(pieces)) => {
                let [Piece { prepared: Some(statement), offset: 0, .. }] = pieces.as_slice() else {
                    return;
                };
                (text, Vec::new(), statement)
            }
            (Wanted::Statement(text, types), Bound::Statement(statement)) => {
                (text, types.clone(), statement)
            }
            (Wanted::Renewed(old), Bound::Statement(statement)) => {
                (&old.text, declared_types(old), statement)
            }
            _ => return,
        };
        let is_stale = statement.of_the_moment || catalog_version != self.snapshot().version();
        if text.len() > TEXT_BYTES_MAX || is_stale {
            return;
        }
        let tree = match &statement.body {
            Body::Query(planned) => planned.encoded.len(),
            _ => 0,
        };
        let key = self.key(id, text, &types);
        self.cache.plans.insert(key, statement.clone(), text.len() + tree);
    }

    /// Waits until this node has applied what the system group had committed, then binds again.
    pub(super) fn wait_for_catalog(&mut self, id: SessionId, wanted: Wanted) {
        let preparing = self.live.get(&id).map_or(0, |session| session.preparing);
        self.catalog_waits.push(CatalogWait { session: id, preparing, wanted });
    }

    /// The texts that wait for the catalog; whoever takes them asks for a barrier first.
    pub fn take_catalog_waits(&mut self) -> Vec<CatalogWait> {
        std::mem::take(&mut self.catalog_waits)
    }

    /// The barrier has opened, or failed with an error.
    pub fn catalog_is_new(
        &mut self,
        below: &mut super::Below<'_>,
        wait: CatalogWait,
        result: Result<(), Error>,
    ) {
        let Some(session) = self.live.get(&wait.session) else { return };
        if session.preparing != wait.preparing {
            return; // The session has given it up.
        }
        match result {
            Ok(()) => self.submit(wait.session, wait.wanted, true),
            Err(error) if matches!(wait.wanted, Wanted::Again) => {
                self.fail_running(below, wait.session, error);
            }
            Err(error) => self.resume(wait.session, Outcome::Failed(error)),
        }
    }
}

/// What becomes of a statement that was bound anew.
fn renewed_outcome(
    old: &statement::Prepared,
    new: Arc<statement::Prepared>,
    version: u64,
) -> Outcome {
    if new.has_result_of(old) {
        Outcome::Prepared(new, version)
    } else {
        Outcome::Failed(other_result())
    }
}

/// PostgreSQL's words and its routine: drivers that are told this prepare their statement again.
pub(super) fn other_result() -> Error {
    Error::new(sqlstate::FEATURE_NOT_SUPPORTED, "cached plan must not change result type")
        .with_routine("RevalidateCachedQuery")
}

/// A text whose tables this node does not know yet.
pub struct CatalogWait {
    session: SessionId,
    /// The number of what the session wants prepared.
    preparing: u64,
    wanted: Wanted,
}

/// Whether the tables of a statement are still those that it was bound to.
pub(super) fn is_current(prepared: &statement::Prepared, catalog: &CatalogSnapshot) -> bool {
    match &prepared.body {
        Body::Query(planned) => planned.tables.iter().all(|table| {
            catalog
                .table(&table.schema, &table.name)
                .is_some_and(|now| (now.oid, now.version) == (table.oid, table.version))
        }),
        _ => true,
    }
}
