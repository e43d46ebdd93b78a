//! A stable merge sort that stops and goes on: the rows of a step are all that it looks at at once.
//!
//! Runs of 1,024 numbers are sorted first, then merged two by two, pass after pass. A merge may
//! stop after any number, so that a sort of millions holds up nobody for longer than any step.

use std::cmp::Ordering;

use super::op::StepContext;

/// How many numbers are sorted at once.
const RUN: usize = 1_024;

/// The numbers below some bound, on their way into an order.
#[derive(Debug)]
pub(super) struct MergeSort {
    /// In sorted runs of `width` each, the last one shorter; up to `sorted` in the first pass.
    numbers: Vec<u32>,
    sorted: usize,
    width: usize,
    /// What this pass has merged, and where its two runs go on.
    merged: Vec<u32>,
    left: usize,
    right: usize,
}

impl MergeSort {
    /// What it takes a row, in bytes.
    pub const BYTES: usize = 2 * size_of::<u32>();

    /// The numbers below `count`, in their order.
    pub fn new(count: usize) -> Self {
        let count = u32::try_from(count).expect("memory ends before numbers do");
        let numbers = (0..count).collect();
        Self { numbers, sorted: 0, width: RUN, merged: Vec::new(), left: 0, right: 0 }
    }

    /// Works on within the rows of the step; whether all are in order.
    pub fn step(
        &mut self,
        cx: &mut StepContext<'_>,
        mut compare: impl FnMut(u32, u32) -> Ordering,
    ) -> bool {
        let count = self.numbers.len();
        while self.sorted < count {
            if cx.take(RUN) == 0 {
                return false;
            }
            let end = (self.sorted + RUN).min(count);
            let run = self.numbers.get_mut(self.sorted..end).expect("a run ends with the numbers");
            run.sort_by(|a, b| compare(*a, *b));
            self.sorted = end;
        }
        while self.width < count {
            if self.merged.len() == count {
                std::mem::swap(&mut self.numbers, &mut self.merged);
                self.merged.clear();
                self.width *= 2;
                continue;
            }
            let rows = cx.take(count - self.merged.len());
            if rows == 0 {
                return false;
            }
            let merged = self.merge(rows, &mut compare);
            cx.give_back(rows - merged);
        }
        true
    }

    /// The numbers in order, once `step` has said so.
    pub fn into_order(self) -> Vec<u32> {
        self.numbers
    }

    /// Merges up to `rows` numbers of one pair of runs; how many it did.
    fn merge(&mut self, rows: usize, compare: &mut impl FnMut(u32, u32) -> Ordering) -> usize {
        let done = self.merged.len();
        let first = done / (2 * self.width) * (2 * self.width);
        let middle = (first + self.width).min(self.numbers.len());
        let end = (middle + self.width).min(self.numbers.len());
        if done == first {
            (self.left, self.right) = (first, middle);
        }
        let rows = rows.min(end - done);
        for _ in 0..rows {
            let left = self.numbers.get(self.left..middle).and_then(<[u32]>::first);
            let right = self.numbers.get(self.right..end).and_then(<[u32]>::first);
            let takes_left = match (left, right) {
                (Some(left), Some(right)) => compare(*left, *right).is_le(),
                (left, _) => left.is_some(),
            };
            let (next, at) =
                if takes_left { (left, &mut self.left) } else { (right, &mut self.right) };
            self.merged.push(*next.expect("one run has a number left"));
            *at += 1;
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use phantom_base::{Random, SeededRandom};
    use phantom_types::QueryMemory;

    use super::*;
    use crate::execute::memory::Memory;
    use crate::execute::tests::{Database, eval};

    #[test]
    fn any_steps_give_the_order_of_a_stable_sort() {
        let (eval, nothing, mut random) = (eval(), Database::default(), SeededRandom::new(4));
        for (count, rows) in [(0, 1), (1, 1), (5, 1), (1_024, 7), (1_025, 3), (9_999, 8_192)] {
            // Few values, so that many are equal.
            let values: Vec<u64> = (0..count).map(|_| random.below(count as u64 / 9 + 1)).collect();
            let mut wanted: Vec<u32> = (0..count as u32).collect();
            wanted.sort_by_key(|at| values[*at as usize]);

            let mut sort = MergeSort::new(count);
            let (mut memory, mut steps) = (Memory::new(&QueryMemory::alone(0)), 0);
            loop {
                let memory = &mut memory;
                let mut cx = StepContext { storage: &nothing, eval: &eval, memory, rows };
                steps += 1;
                if sort.step(&mut cx, |a, b| values[a as usize].cmp(&values[b as usize])) {
                    break;
                }
                assert_eq!(cx.rows, 0, "a step stops only when its rows are used up");
            }
            assert_eq!(sort.into_order(), wanted, "{count} numbers, {rows} a step");
            assert!(count < 1_025 || rows > 7 || steps > 100, "{steps} steps");
        }
    }
}
