//! ORDER BY: a full sort, or of the first rows alone where a LIMIT says how many are wanted.
//!
//! The sort is stable, and takes as many steps as its rows need. With a bound of n it keeps at most
//! 2 n rows and two batches: when there are more it sorts and keeps the first n; rows that come later
//! stay behind their equals, as they would in the full sort.

use std::cmp::Ordering;

use phantom_base::Result;
use phantom_types::{BATCH_ROWS, Column, TypeId};

use super::rows::RowStore;
use super::{Operator, Progress, StepContext};
use crate::bound::SortKey;
use crate::execute::memory::Reservation;
use crate::execute::merge_sort::MergeSort;

/// Sorts the rows of `input`; a key's target is a column.
pub(in crate::execute) struct Sort {
    input: Box<dyn Operator>,
    keys: Vec<SortKey>,
    /// How many rows are wanted at most.
    bound: Option<usize>,
    rows: RowStore,
    is_read: bool,
    /// All rows that there are, while they are sorted.
    sorting: Option<MergeSort>,
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
        let (is_read, sorting, order) = (false, None, None);
        Self { input, keys, bound, rows, is_read, sorting, order, emitted: 0, held }
    }

    /// Whether there are rows that cannot be among the first.
    fn has_too_many(&self) -> bool {
        let most = |bound: usize| bound.saturating_mul(2).saturating_add(BATCH_ROWS);
        self.bound.is_some_and(|bound| self.rows.len() > most(bound))
    }

    /// Sorts on; whether all rows are in order.
    fn sort(&mut self, cx: &mut StepContext<'_>) -> bool {
        let Some(sorting) = &mut self.sorting else { return true };
        let (columns, keys) = (self.rows.columns(), &self.keys);
        let compare = |a: u32, b: u32| compare(columns, keys, a as usize, b as usize);
        if !sorting.step(cx, compare) {
            return false;
        }
        let mut order = self.sorting.take().map(MergeSort::into_order).unwrap_or_default();
        order.truncate(self.bound.unwrap_or(usize::MAX));
        if self.is_read {
            self.order = Some(order);
        } else {
            self.rows.retain(&order);
        }
        true
    }

    fn reserve(&mut self, cx: &mut StepContext<'_>) -> Result<()> {
        let order = self.rows.len() * MergeSort::BYTES;
        cx.memory.resize(&mut self.held, self.rows.size_bytes() + order)
    }
}

impl Operator for Sort {
    fn step(&mut self, cx: &mut StepContext<'_>) -> Result<Progress> {
        let held = cx.eval.meter.held();
        while self.order.is_none() {
            if !self.sort(cx) {
                return Ok(Progress::Yield);
            }
            if self.order.is_some() {
                break;
            }
            match self.input.step(cx)? {
                Progress::Batch(batch) => {
                    self.rows.push(&batch);
                    self.reserve(cx)?;
                    cx.eval.meter.settle(held);
                }
                Progress::Yield => return Ok(Progress::Yield),
                Progress::Done => self.is_read = true,
            }
            if self.is_read || self.has_too_many() {
                self.sorting = Some(MergeSort::new(self.rows.len()));
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
