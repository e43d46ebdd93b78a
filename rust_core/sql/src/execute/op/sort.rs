//! ORDER BY: a full sort, or of the first rows alone where a LIMIT says how many are wanted.
//!
//! The sort is stable. With a bound of n it keeps at most 2 n + 1,024 rows: when there are more it
//! sorts and keeps the first n; rows that come later stay behind their equals, as they would in
//! the full sort.

use std::cmp::Ordering;

use phantom_base::Result;
use phantom_types::{BATCH_ROWS, Column, TypeId};

use super::rows::RowStore;
use super::{Operator, Progress, StepContext};
use crate::bound::SortKey;
use crate::execute::memory::Reservation;

/// Sorts the rows of `input`; a key's target is a column.
pub(in crate::execute) struct Sort {
    input: Box<dyn Operator>,
    keys: Vec<SortKey>,
    /// How many rows are wanted at most.
    bound: Option<usize>,
    rows: RowStore,
    /// The numbers of the rows in order, once all are there.
    order: Option<Vec<u32>>,
    emitted: usize,
    held: Reservation,
}

impl Sort {
    /// Rows of these types; with a bound only the first so many are returned.
    pub fn new(
        input: Box<dyn Operator>,
        types: &[TypeId],
        keys: Vec<SortKey>,
        bound: Option<usize>,
    ) -> Self {
        assert!(keys.iter().all(|key| usize::from(key.target) < types.len()), "keys are columns");
        let held = Reservation::new(if bound.is_some() { "TopN" } else { "Sort" });
        let rows = RowStore::new(types);
        Self { input, keys, bound, rows, order: None, emitted: 0, held }
    }

    /// All rows in order.
    fn ordered(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.rows.len() as u32).collect();
        let columns = self.rows.columns();
        order.sort_by(|a, b| compare(columns, &self.keys, *a as usize, *b as usize));
        if let Some(bound) = self.bound {
            order.truncate(bound);
        }
        order
    }

    /// Forgets rows that cannot be among the first.
    fn cut(&mut self) {
        let Some(bound) = self.bound else { return };
        if self.rows.len() > bound.saturating_mul(2).saturating_add(BATCH_ROWS) {
            let kept = self.ordered();
            self.rows.retain(&kept);
        }
    }

    fn reserve(&mut self, cx: &mut StepContext<'_>) -> Result<()> {
        let order = self.rows.len() * size_of::<u32>();
        cx.memory.resize(&mut self.held, self.rows.size_bytes() + order)
    }
}

impl Operator for Sort {
    fn step(&mut self, cx: &mut StepContext<'_>) -> Result<Progress> {
        while self.order.is_none() {
            match self.input.step(cx)? {
                Progress::Batch(batch) => {
                    self.rows.push(&batch);
                    self.cut();
                    self.reserve(cx)?;
                }
                Progress::Yield => return Ok(Progress::Yield),
                Progress::Done => self.order = Some(self.ordered()),
            }
        }
        let order = self.order.as_deref().unwrap_or_default();
        let left = order.get(self.emitted..).unwrap_or_default();
        if left.is_empty() {
            return Ok(Progress::Done);
        }
        let rows = cx.take(left.len().min(BATCH_ROWS));
        if rows == 0 {
            return Ok(Progress::Yield);
        }
        self.emitted += rows;
        Ok(Progress::Batch(self.rows.gather(left.get(..rows).unwrap_or_default())))
    }
}

fn compare(columns: &[Column], keys: &[SortKey], a: usize, b: usize) -> Ordering {
    for key in keys {
        let column = columns.get(usize::from(key.target)).expect("keys are columns");
        let order = match (column.is_null(a), column.is_null(b)) {
            (true, true) => Ordering::Equal,
            (true, false) if key.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if key.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let order = column.compare(a, column, b);
                if key.descending { order.reverse() } else { order }
            }
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}
