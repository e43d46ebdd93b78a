//! Cursors over many sources as one: memtables, tables of level 0, and whole levels.
//!
//! A merge goes in one direction, fixed when it is made. Its sources are kept in the order of their
//! present entries; after a step only the one that moved finds its new place, which costs one
//! comparison while the same source goes on giving.

mod level;
mod plain;
mod versions;

use std::cmp::Ordering;

use crate::memtable::MemCursor;
use crate::table::TableCursor;
use crate::{Direction, Result, key};

pub(crate) use level::LevelCursor;
pub use plain::Iter;
pub(crate) use versions::At;
pub use versions::{Version, VersionIter};

pub(crate) enum Source {
    Mem(MemCursor),
    Table(TableCursor),
    Level(LevelCursor),
}

impl Source {
    fn entry(&self) -> Option<(&[u8], u64, &[u8])> {
        match self {
            Self::Mem(cursor) => cursor.entry().map(|e| (e.key, e.tag, e.value)),
            Self::Table(cursor) => cursor.entry(),
            Self::Level(cursor) => cursor.entry(),
        }
    }

    fn step(&mut self, direction: Direction) -> Result<()> {
        match (self, direction) {
            (Self::Mem(cursor), Direction::Forward) => cursor.next(),
            (Self::Mem(cursor), Direction::Backward) => cursor.prev(),
            (Self::Table(cursor), Direction::Forward) => cursor.next()?,
            (Self::Table(cursor), Direction::Backward) => cursor.prev()?,
            (Self::Level(cursor), Direction::Forward) => cursor.next()?,
            (Self::Level(cursor), Direction::Backward) => cursor.prev()?,
        }
        Ok(())
    }

    /// Goes to the first entry at or behind an internal key, or to the last before it.
    fn seek(&mut self, target: &[u8], tag: u64, direction: Direction) -> Result<()> {
        match (self, direction) {
            (Self::Mem(cursor), Direction::Forward) => cursor.seek(target, tag),
            (Self::Mem(cursor), Direction::Backward) => cursor.seek_before(target, tag),
            (Self::Table(cursor), Direction::Forward) => cursor.seek(target, tag)?,
            (Self::Table(cursor), Direction::Backward) => cursor.seek_before(target, tag)?,
            (Self::Level(cursor), Direction::Forward) => cursor.seek(target, tag)?,
            (Self::Level(cursor), Direction::Backward) => cursor.seek_before(target, tag)?,
        }
        Ok(())
    }

    fn seek_edge(&mut self, direction: Direction) -> Result<()> {
        match (self, direction) {
            (Self::Mem(cursor), Direction::Forward) => cursor.seek_first(),
            (Self::Mem(cursor), Direction::Backward) => cursor.seek_last(),
            (Self::Table(cursor), Direction::Forward) => cursor.seek_first()?,
            (Self::Table(cursor), Direction::Backward) => cursor.seek_last()?,
            (Self::Level(cursor), Direction::Forward) => cursor.seek_first()?,
            (Self::Level(cursor), Direction::Backward) => cursor.seek_last()?,
        }
        Ok(())
    }
}

pub(crate) struct Merge {
    sources: Vec<Source>,
    /// Sources that stand on an entry, the one to give last: stepping it moves only the tail.
    order: Vec<usize>,
    direction: Direction,
}

impl Merge {
    pub fn new(sources: Vec<Source>, direction: Direction) -> Self {
        Self { order: Vec::with_capacity(sources.len()), sources, direction }
    }

    /// Goes to the first entry at or behind an internal key, or to the last before it, as the
    /// direction says; to the edge without a key.
    pub fn seek(&mut self, target: Option<(&[u8], u64)>) -> Result<()> {
        self.order.clear();
        for i in 0..self.sources.len() {
            let source = &mut self.sources[i];
            match target {
                Some((target, tag)) => source.seek(target, tag, self.direction)?,
                None => source.seek_edge(self.direction)?,
            }
            self.place(i);
        }
        Ok(())
    }

    /// The present entry: key, tag, value.
    pub fn entry(&self) -> Option<(&[u8], u64, &[u8])> {
        self.sources[*self.order.last()?].entry()
    }

    pub fn step(&mut self) -> Result<()> {
        let i = self.order.pop().expect("step is asked of a merge on an entry");
        self.sources[i].step(self.direction)?;
        self.place(i);
        Ok(())
    }

    fn place(&mut self, i: usize) {
        let Some((key, tag, _)) = self.sources[i].entry() else { return };
        let comes_before = |other: usize| {
            let (other, other_tag, _) = self.sources[other].entry().expect("it is in the order");
            let order = key::compare((key, tag), (other, other_tag));
            match self.direction {
                Direction::Forward => order == Ordering::Less,
                Direction::Backward => order == Ordering::Greater,
            }
        };
        let mut place = self.order.len();
        while place > 0 && !comes_before(self.order[place - 1]) {
            place -= 1;
        }
        self.order.insert(place, i);
    }
}
