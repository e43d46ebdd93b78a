//! Which tables to compact next: a function from the shape of the levels to a choice.
//!
//! Leveled: level 0 is due by its number of tables, a deeper one by its bytes; the keyspace and level
//! with the highest score goes first. Of a level the table is chosen that drags the fewest bytes of
//! the next one along. When nothing is due by size, a table goes that is a quarter garbage by the
//! collection timestamps. One compaction a keyspace at a time.

use std::sync::Arc;

use phantom_base::Set;

use super::filter::GcRule;
use crate::table::Table;
use crate::version::{LEVELS, Levels};

/// The inputs of a compaction and where its output goes.
#[derive(Clone)]
pub(crate) struct Choice {
    /// The keyspace's place in the options.
    pub keyspace: usize,
    pub from: usize,
    pub to: usize,
    /// Tables of `from`, then those of `to` that they overlap.
    pub upper: Vec<Arc<Table>>,
    pub lower: Vec<Arc<Table>>,
}

/// The sizes that make a level due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets {
    pub l0_tables: usize,
    /// Bytes of level 1; ten times as many for each level below.
    pub level_bytes: u64,
}

impl Choice {
    /// Whether the tables can go down as they are.
    pub fn is_trivial(&self) -> bool {
        self.from > 0 && self.to > self.from && self.lower.is_empty() && self.upper.len() == 1
    }

    pub fn inputs(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.upper.iter().chain(&self.lower)
    }
}

/// Chooses; `busy` are keyspaces at work, `refused` tables that are damaged. `oldest` is the lowest
/// boundary (filter.rs), `gc` the rules of a keyspace.
pub(crate) fn pick(
    levels: &[Levels],
    targets: Targets,
    busy: &Set<usize>,
    refused: &Set<u64>,
    oldest: u64,
    gc: impl Fn(usize) -> Vec<GcRule>,
) -> Option<Choice> {
    let mut due: Vec<(u64, usize, usize)> = Vec::new();
    for (keyspace, levels) in levels.iter().enumerate().filter(|(i, _)| !busy.contains(i)) {
        for level in 0..LEVELS - 1 {
            let score = score(levels, level, targets);
            if score >= 1_000 {
                due.push((score, keyspace, level));
            }
        }
    }
    due.sort_by_key(|(score, keyspace, level)| (std::cmp::Reverse(*score), *keyspace, *level));
    let by_size =
        due.iter().filter_map(|(_, keyspace, level)| choose(&levels[*keyspace], *keyspace, *level));
    let by_garbage = levels
        .iter()
        .enumerate()
        .filter(|(i, _)| !busy.contains(i))
        .filter_map(|(keyspace, levels)| garbage(levels, keyspace, oldest, &gc(keyspace)));
    by_size.chain(by_garbage).find(|choice| !choice.inputs().any(|t| refused.contains(&t.file)))
}

/// How due a level is, in thousandths.
fn score(levels: &Levels, level: usize, targets: Targets) -> u64 {
    if level == 0 {
        return (levels.tables(0).len() * 1_000 / targets.l0_tables.max(1)) as u64;
    }
    let target = targets.level_bytes.saturating_mul(10u64.pow(level as u32 - 1)).max(1);
    levels.bytes(level).saturating_mul(1_000) / target
}

fn choose(levels: &Levels, keyspace: usize, from: usize) -> Option<Choice> {
    let to = from + 1;
    let overlapped = |upper: &[Arc<Table>]| -> Vec<Arc<Table>> {
        let smallest = upper.iter().map(|t| t.logical_bounds().0).min();
        let largest = upper.iter().map(|t| t.logical_bounds().1).max();
        let Some((smallest, largest)) = smallest.zip(largest) else { return Vec::new() };
        levels.tables(to).iter().filter(|t| t.overlaps(smallest, largest)).cloned().collect()
    };
    let upper = if from == 0 {
        levels.tables(0).to_vec()
    } else {
        let cost = |table: &Arc<Table>| {
            let dragged: u64 = overlapped(std::slice::from_ref(table)).iter().map(|t| t.size).sum();
            (dragged.saturating_mul(1_000) / table.size.max(1), table.file)
        };
        vec![levels.tables(from).iter().min_by_key(|table| cost(table))?.clone()]
    };
    let lower = overlapped(&upper);
    Some(Choice { keyspace, from, to, upper, lower })
}

/// A table below level 0 of which a quarter can go. All of it must be seen by every read, or it
/// would be rewritten for nothing, again and again.
fn garbage(levels: &Levels, keyspace: usize, oldest: u64, gc: &[GcRule]) -> Option<Choice> {
    let is_garbage = |table: &&Arc<Table>| {
        let (first, last) = table.logical_bounds();
        let properties = &table.properties;
        let covers = |rule: &GcRule| {
            rule.covers(first) && rule.covers(last) && rule.below >= properties.superseded_by
        };
        properties.superseded * 4 >= properties.entries
            && properties.superseded > 0
            && properties.max_seq <= oldest
            && gc.iter().any(covers)
    };
    (1..LEVELS).find_map(|level| {
        let table = levels.tables(level).iter().find(is_garbage)?.clone();
        Some(Choice { keyspace, from: level, to: level, upper: vec![table], lower: Vec::new() })
    })
}
