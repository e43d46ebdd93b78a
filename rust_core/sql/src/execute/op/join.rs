//! Hash join, inner and left: the right side is built, the left side probes.
//!
//! The right side's rows are kept and chained by key in the order in which they came. For each
//! batch of the left side, pairs of rows with equal keys are listed, at most as many at a time as
//! the step may examine; the residual conditions narrow them, and what is left becomes a batch.
//! Rows with a NULL in their key have no partner. Without keys all rows are in one chain, which
//! makes a nested loop. A left row none of whose pairs was kept leaves with NULLs on the right, in
//! a left join, after the pairs of its batch.

use phantom_base::Result;
use phantom_types::{BATCH_ROWS, Batch, Column, Datum, TypeId};

use super::rows::RowStore;
use super::{Operator, Progress, StepContext};
use crate::bound::JoinKind;
use crate::execute::key_table::{KeyTable, row_key};
use crate::execute::memory::Reservation;
use crate::execute::program::{Program, narrow};

/// The end of a chain.
const NONE: u32 = u32::MAX;
/// Bytes that the rows of a batch of pairs should not exceed by much.
const PAIRS_BYTES: usize = 4 << 20;

/// Where a column of a pair comes from.
#[derive(Clone, Copy, Debug)]
pub(in crate::execute) enum Side {
    Left(usize),
    Right(usize),
}

/// What a join is made of.
pub(in crate::execute) struct JoinParts {
    pub kind: JoinKind,
    pub left: Box<dyn Operator>,
    pub right: Box<dyn Operator>,
    /// The types of the right side's columns.
    pub right_types: Vec<TypeId>,
    /// As many as there are right ones; each pair's keys are equal if the values are.
    pub left_keys: Vec<Program>,
    pub right_keys: Vec<Program>,
    /// Conditions on pairs, over `residual_columns`.
    pub residual: Vec<Program>,
    pub residual_columns: Vec<Side>,
    /// The columns of its batches.
    pub output: Vec<Side>,
}

/// The batch of the left side that is being joined.
struct Probe {
    batch: Batch,
    /// The first candidate of each row.
    heads: Vec<u32>,
    matched: Vec<bool>,
    row: usize,
    /// The next candidate of `row`.
    candidate: u32,
    /// About how many bytes a row has.
    row_bytes: usize,
}

/// See the module.
pub(in crate::execute) struct HashJoin {
    parts: JoinParts,
    built: RowStore,
    table: KeyTable,
    /// The first and the last row of each key.
    chains: Vec<(u32, u32)>,
    /// The row after each in its chain.
    next: Vec<u32>,
    is_built: bool,
    probe: Option<Probe>,
    held: Reservation,
    /// For the probe, which outlives steps.
    probing: Reservation,
}

impl HashJoin {
    /// A join that has not begun.
    pub fn new(parts: JoinParts) -> Self {
        assert_eq!(parts.left_keys.len(), parts.right_keys.len(), "keys come in pairs");
        Self {
            built: RowStore::new(&parts.right_types),
            parts,
            table: KeyTable::default(),
            chains: Vec::new(),
            next: Vec::new(),
            is_built: false,
            probe: None,
            held: Reservation::new("HashJoin"),
            probing: Reservation::new("HashJoin"),
        }
    }

    /// Keeps a batch of the right side.
    fn build(&mut self, batch: &Batch, cx: &mut StepContext<'_>) -> Result<()> {
        let keys = run_all(&mut self.parts.right_keys, batch, cx)?;
        let mut key = Vec::with_capacity(64);
        for row in 0..batch.rows() {
            let number = u32::try_from(self.next.len()).expect("memory ends before numbers do");
            self.next.push(NONE);
            if row_key(&keys, row, &mut key) {
                continue;
            }
            let (chain, is_new) = self.table.insert(&key);
            if is_new {
                self.chains.push((number, number));
                continue;
            }
            let (_, last) = self.chains.get_mut(chain as usize).expect("a chain for each key");
            *self.next.get_mut(*last as usize).expect("a link for each row") = number;
            *last = number;
        }
        self.built.push(batch);
        let links = self.next.len() * size_of::<u32>() + self.chains.len() * 8;
        cx.memory.resize(&mut self.held, self.built.size_bytes() + self.table.size_bytes() + links)
    }

    /// Begins a batch of the left side.
    fn begin(&mut self, batch: Batch, cx: &mut StepContext<'_>) -> Result<()> {
        let beside = batch.rows() * (size_of::<u32>() + size_of::<bool>());
        cx.memory.resize(&mut self.probing, batch.size_bytes() + beside)?;
        let keys = run_all(&mut self.parts.left_keys, &batch, cx)?;
        let mut key = Vec::with_capacity(64);
        let mut heads = Vec::with_capacity(batch.rows());
        for row in 0..batch.rows() {
            let has_null = row_key(&keys, row, &mut key);
            let chain = if has_null { None } else { self.table.find(&key) };
            let chain = chain.and_then(|chain| self.chains.get(chain as usize));
            heads.push(chain.map_or(NONE, |(head, _)| *head));
        }
        let rows = batch.rows();
        self.probe = Some(Probe {
            candidate: heads.first().copied().unwrap_or(NONE),
            row_bytes: batch.size_bytes() / rows.max(1),
            heads,
            matched: vec![false; rows],
            row: 0,
            batch,
        });
        Ok(())
    }

    /// How many pairs one batch of them may have.
    fn pairs_max(&self, probe: &Probe) -> usize {
        let built = self.built.size_bytes() / self.built.len().max(1);
        (PAIRS_BYTES / (built + probe.row_bytes + 1)).clamp(1, BATCH_ROWS)
    }

    /// The next batch of the probe; `None` when its pairs are all examined.
    fn pairs(&mut self, cx: &mut StepContext<'_>) -> Result<Option<Progress>> {
        loop {
            let Some(mut probe) = self.probe.take() else { return Ok(None) };
            probe.skip_rows_without_candidates();
            if probe.row >= probe.heads.len() {
                let unmatched = self.unmatched(&probe);
                return Ok(unmatched.map(Progress::Batch));
            }
            let wanted = cx.take(self.pairs_max(&probe));
            if wanted == 0 {
                self.probe = Some(probe);
                return Ok(Some(Progress::Yield));
            }
            let (lefts, rights) = probe.list(wanted, &self.next);
            cx.give_back(wanted - lefts.len());
            let batch = self.keep(&mut probe, lefts, rights, cx)?;
            self.probe = Some(probe);
            if batch.rows() > 0 {
                return Ok(Some(Progress::Batch(batch)));
            }
        }
    }

    /// The pairs that the residual conditions keep.
    fn keep(
        &mut self,
        probe: &mut Probe,
        mut lefts: Vec<u32>,
        mut rights: Vec<u32>,
        cx: &StepContext<'_>,
    ) -> Result<Batch> {
        if !self.parts.residual.is_empty() {
            let of = &self.parts.residual_columns;
            let columns = pair_columns(of, &probe.batch, &self.built, &lefts, &rights);
            let kept = narrow(&mut self.parts.residual, &columns, lefts.len(), cx.eval)?;
            if let Some(kept) = kept {
                lefts = pick(&lefts, &kept);
                rights = pick(&rights, &kept);
            }
        }
        for left in &lefts {
            *probe.matched.get_mut(*left as usize).expect("a flag for each row") = true;
        }
        let columns = pair_columns(&self.parts.output, &probe.batch, &self.built, &lefts, &rights);
        Ok(Batch::new(columns, lefts.len()))
    }

    /// The left rows without a partner, if the join preserves them.
    fn unmatched(&self, probe: &Probe) -> Option<Batch> {
        if self.parts.kind == JoinKind::Inner {
            return None;
        }
        let rows: Vec<u32> = (0..)
            .zip(&probe.matched)
            .filter(|(_, matched)| !**matched)
            .map(|(row, _)| row)
            .collect();
        if rows.is_empty() {
            return None;
        }
        let columns = self.parts.output.iter().map(|side| match side {
            Side::Left(at) => probe.batch.column(*at).gather(&rows),
            Side::Right(at) => {
                let ty = self.parts.right_types.get(*at).expect("a type for each column");
                Column::constant(*ty, &Datum::Null, rows.len())
            }
        });
        Some(Batch::new(columns.collect(), rows.len()))
    }
}

impl Operator for HashJoin {
    fn step(&mut self, cx: &mut StepContext<'_>) -> Result<Progress> {
        let held = cx.eval.meter.held();
        while !self.is_built {
            cx.eval.meter.settle(held);
            match self.parts.right.step(cx)? {
                Progress::Batch(batch) => self.build(&batch, cx)?,
                Progress::Yield => return Ok(Progress::Yield),
                Progress::Done => self.is_built = true,
            }
        }
        if self.built.len() == 0 && self.parts.kind == JoinKind::Inner {
            return Ok(Progress::Done);
        }
        loop {
            cx.eval.meter.settle(held);
            if let Some(progress) = self.pairs(cx)? {
                return Ok(progress);
            }
            match self.parts.left.step(cx)? {
                Progress::Batch(batch) => self.begin(batch, cx)?,
                other => return Ok(other),
            }
        }
    }
}

impl Probe {
    fn skip_rows_without_candidates(&mut self) {
        while self.candidate == NONE && self.row < self.heads.len() {
            self.row += 1;
            self.candidate = self.heads.get(self.row).copied().unwrap_or(NONE);
        }
    }

    /// The next candidate pairs, at most `wanted`, as left and right rows.
    fn list(&mut self, wanted: usize, next: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let (mut lefts, mut rights) = (Vec::with_capacity(wanted), Vec::with_capacity(wanted));
        while lefts.len() < wanted && self.row < self.heads.len() {
            if self.candidate == NONE {
                self.skip_rows_without_candidates();
                continue;
            }
            lefts.push(self.row as u32);
            rights.push(self.candidate);
            self.candidate = next.get(self.candidate as usize).copied().unwrap_or(NONE);
        }
        (lefts, rights)
    }
}

fn run_all(programs: &mut [Program], batch: &Batch, cx: &StepContext<'_>) -> Result<Vec<Column>> {
    let run = |program: &mut Program| program.run(batch.columns(), batch.selection(), cx.eval);
    programs.iter_mut().map(run).collect()
}

fn pick(rows: &[u32], kept: &[u32]) -> Vec<u32> {
    kept.iter().filter_map(|at| rows.get(*at as usize).copied()).collect()
}

fn pair_columns(
    sides: &[Side],
    left: &Batch,
    right: &RowStore,
    lefts: &[u32],
    rights: &[u32],
) -> Vec<Column> {
    let column = |side: &Side| match side {
        Side::Left(at) => left.column(*at).gather(lefts),
        Side::Right(at) => {
            right.columns().get(*at).expect("a column of the right side").gather(rights)
        }
    };
    sides.iter().map(column).collect()
}
