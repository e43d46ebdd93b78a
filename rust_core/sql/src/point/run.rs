//! Runs a point plan: first the keys, then, for each, what becomes of the row found there.

use phantom_base::sync::Arc;
use phantom_base::{Error, Result};
use phantom_types::{Batch, Datum, EvalContext, TypeId, codec};

use super::PointPlan;
use crate::bound::{Command, Expr};
use crate::catalog::Table;
use crate::execute::scalar::{NoColumns, Scope};
use crate::execute::{RowWrite, Seen, StoredRow, check_not_null, duplicate_key, key_of};

/// Bytes that are copied in a step.
const BYTES_A_STEP: usize = 4;

/// One execution of a point plan. Where its meter runs out it can be run again with another.
pub struct PointRun<'a> {
    plan: &'a PointPlan,
    parameters: &'a [Datum],
    eval: &'a EvalContext,
}

/// What a point plan did, given its rows.
#[derive(Debug)]
pub struct Effect {
    /// The rows that it returns.
    pub rows: Batch,
    /// The rows that it found (SELECT) or writes.
    pub count: u64,
    /// What it writes, each with what it saw.
    pub writes: Vec<RowWrite>,
}

impl PointPlan {
    /// One execution with values for the parameters.
    pub fn run<'a>(&'a self, parameters: &'a [Datum], eval: &'a EvalContext) -> PointRun<'a> {
        PointRun { plan: self, parameters, eval }
    }

    /// Whether it writes.
    pub fn is_write(&self) -> bool {
        self.query.is_write()
    }
}

impl PointRun<'_> {
    /// The keys that it touches, each once, sorted; known before anything is read. Rows of a table
    /// without a primary key are written under `hidden_keys`, one for each.
    ///
    /// # Errors
    /// What evaluating the key's expressions answers; for a new row `54000`, if its key is over
    /// 8 KiB, and `23502`.
    pub fn keys(&self, hidden_keys: &[[u8; 12]]) -> Result<Vec<Vec<u8>>> {
        let mut keys = match &self.plan.query.command {
            Command::Insert(_) => {
                self.new_rows(hidden_keys)?.into_iter().map(|(key, _)| key).collect()
            }
            _ => self.found_keys()?,
        };
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    fn found_keys(&self) -> Result<Vec<Vec<u8>>> {
        let scope = self.scope();
        let mut keys = Vec::with_capacity(self.plan.keys.len());
        for columns in &self.plan.keys {
            let values: Result<Vec<Datum>> =
                columns.iter().map(|value| scope.value(value, &NoColumns)).collect();
            let values = values?;
            // Nothing equals NULL.
            if values.iter().any(Datum::is_null) {
                continue;
            }
            keys.extend(codec::key::lookup(&values));
        }
        Ok(keys)
    }

    fn scope(&self) -> Scope<'_> {
        Scope::new(self.parameters, self.eval)
    }

    fn table(&self) -> &Arc<Table> {
        self.plan.table.as_ref().expect("only SELECT without FROM has no table")
    }

    /// What the plan does, given what stands under each of its keys.
    ///
    /// # Errors
    /// What its expressions answer; `23505` for an INSERT of a key that is taken.
    pub fn effect(
        &self,
        hidden_keys: &[[u8; 12]],
        found: &dyn Fn(&[u8]) -> Option<StoredRow>,
    ) -> Result<Effect> {
        let types: Vec<TypeId> =
            self.plan.query.visible_targets().map(|target| target.expr.ty).collect();
        let mut effect = Effect { rows: Batch::with_types(&types), count: 0, writes: Vec::new() };
        match &self.plan.query.command {
            Command::Insert(insert) => {
                self.insert(hidden_keys, insert.skip_conflicts, found, &mut effect)?;
            }
            Command::Select if self.plan.table.is_none() => {
                let scope = self.scope();
                let keep = match &self.plan.query.filter {
                    None => true,
                    Some(filter) => scope.is_true(filter, &NoColumns)?,
                };
                if keep {
                    self.return_row(&NoColumns, &mut effect)?;
                    effect.count += 1;
                }
            }
            _ => {
                let mut keys = self.found_keys()?;
                keys.sort_unstable();
                keys.dedup();
                for key in keys {
                    if let Some(stored) = found(&key) {
                        self.found_row(key, &stored, &mut effect)?;
                    }
                }
            }
        }
        Ok(effect)
    }

    fn found_row(&self, key: Vec<u8>, stored: &StoredRow, effect: &mut Effect) -> Result<()> {
        let table = self.table();
        let old = self.plan.layout.open(&stored.bytes)?.values(&[])?;
        let scope = self.scope();
        if let Some(filter) = &self.plan.query.filter
            && !scope.is_true(filter, old.as_slice())?
        {
            return Ok(());
        }
        effect.count += 1;
        let seen = Seen::Version(stored.version);
        match &self.plan.query.command {
            Command::Select => self.return_row(old.as_slice(), effect),
            Command::Delete => {
                effect.writes.push(RowWrite { table: table.clone(), key, row: None, seen });
                self.return_row(old.as_slice(), effect)
            }
            Command::Update { assignments } => {
                let new = updated(table, &old, assignments, scope)?;
                assert_eq!(key_of(table, &new)?, key, "a point plan leaves its key as it is");
                effect.writes.push(self.write(key, &new, seen)?);
                self.return_row(new.as_slice(), effect)
            }
            Command::Insert(_) => unreachable!("INSERT finds no rows"),
        }
    }

    fn new_rows(&self, hidden_keys: &[[u8; 12]]) -> Result<Vec<(Vec<u8>, Vec<Datum>)>> {
        let Command::Insert(insert) = &self.plan.query.command else {
            return Ok(Vec::new());
        };
        let (table, scope) = (self.table(), self.scope());
        let mut rows = Vec::with_capacity(insert.rows.len());
        for (at, exprs) in insert.rows.iter().enumerate() {
            let values: Result<Vec<Datum>> =
                exprs.iter().map(|expr| scope.value(expr, &NoColumns)).collect();
            let values = values?;
            check_not_null(table, &values)?;
            let key = if table.primary_key.is_empty() {
                let hidden = hidden_keys.get(at).ok_or_else(|| {
                    Error::internal("a table without a key needs a hidden key for each row")
                })?;
                hidden.to_vec()
            } else {
                key_of(table, &values)?
            };
            rows.push((key, values));
        }
        Ok(rows)
    }

    fn insert(
        &self,
        hidden_keys: &[[u8; 12]],
        skip_conflicts: bool,
        found: &dyn Fn(&[u8]) -> Option<StoredRow>,
        effect: &mut Effect,
    ) -> Result<()> {
        let table = self.table();
        for (key, values) in self.new_rows(hidden_keys)? {
            let taken = found(&key).is_some() || effect.writes.iter().any(|w| w.key == key);
            if taken && skip_conflicts {
                continue;
            }
            if taken {
                return Err(duplicate_key(table, &values));
            }
            effect.writes.push(self.write(key, &values, Seen::Nothing)?);
            effect.count += 1;
            self.return_row(values.as_slice(), effect)?;
        }
        Ok(())
    }

    fn write(&self, key: Vec<u8>, values: &[Datum], seen: Seen) -> Result<RowWrite> {
        self.copies(values)?;
        let mut bytes = Vec::new();
        self.plan.layout.encode(values, &mut bytes)?;
        Ok(RowWrite { table: self.table().clone(), key, row: Some(bytes), seen })
    }

    /// Values are copied into a row. Until then a large one may stand in many places at no cost.
    fn copies(&self, values: &[Datum]) -> Result<()> {
        let bytes: usize = values.iter().map(Datum::heap_bytes).sum();
        self.eval.meter.spend(bytes / BYTES_A_STEP)?;
        self.eval.meter.grow(bytes)
    }

    fn return_row<C: crate::execute::scalar::Columns + ?Sized>(
        &self,
        row: &C,
        effect: &mut Effect,
    ) -> Result<()> {
        let scope = self.scope();
        let mut values = Vec::new();
        for target in self.plan.query.visible_targets() {
            values.push(scope.value(&target.expr, row)?);
        }
        self.copies(&values)?;
        if !values.is_empty() || !self.plan.is_write() {
            effect.rows.push_row(&values);
        }
        Ok(())
    }
}

fn updated(
    table: &Table,
    old: &[Datum],
    assignments: &[(u16, Expr)],
    scope: Scope<'_>,
) -> Result<Vec<Datum>> {
    let mut new = old.to_vec();
    for (attnum, value) in assignments {
        let slot = usize::from(*attnum).checked_sub(1).and_then(|at| new.get_mut(at));
        let slot = slot.ok_or_else(|| Error::internal("an assignment to no column"))?;
        *slot = scope.value(value, old)?;
    }
    check_not_null(table, &new)?;
    Ok(new)
}
