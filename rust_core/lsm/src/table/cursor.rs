//! Walks one table, in both directions.
//!
//! The cursor stands on an entry or nowhere. Going back inside a block starts again at the restart
//! before; at its edges the neighbouring block is loaded.

use std::sync::Arc;

use super::block::Block;
use super::{Access, Table};
use crate::cache::BlockCache;
use crate::{Error, Result, key};

pub(crate) struct TableCursor {
    table: Arc<Table>,
    cache: Arc<BlockCache>,
    access: Access,
    block: Option<(usize, Arc<Block>)>,
    /// The present entry's offset in the block, and the offset behind it.
    at: usize,
    end: usize,
    key: Vec<u8>,
    tag: u64,
    value: std::ops::Range<usize>,
    valid: bool,
}

impl TableCursor {
    pub fn new(table: Arc<Table>, cache: Arc<BlockCache>, access: Access) -> Self {
        assert!(access != Access::CachedOnly, "a cursor may read");
        Self {
            table,
            cache,
            access,
            block: None,
            at: 0,
            end: 0,
            key: Vec::new(),
            tag: 0,
            value: 0..0,
            valid: false,
        }
    }

    /// The present entry: key, tag, value.
    pub fn entry(&self) -> Option<(&[u8], u64, &[u8])> {
        let (_, block) = self.block.as_ref().filter(|_| self.valid)?;
        Some((&self.key, self.tag, block.bytes(self.value.clone())))
    }

    /// Where the present entry's value lies.
    pub fn pin(&self) -> Option<(Arc<Block>, std::ops::Range<usize>)> {
        let (_, block) = self.block.as_ref().filter(|_| self.valid)?;
        Some((block.clone(), self.value.clone()))
    }

    fn open_block(&mut self, i: usize) -> Result<Arc<Block>> {
        if let Some((open, block)) = &self.block
            && *open == i
        {
            return Ok(block.clone());
        }
        let block = self.table.load(&self.cache, i, self.access)?;
        let block = block.expect("only CachedOnly may miss");
        self.block = Some((i, block.clone()));
        Ok(block)
    }

    fn corrupt(&self) -> Error {
        let at = self.block.as_ref().and_then(|(i, _)| self.table.index.block(*i));
        let at = at.expect("a block is open");
        self.table.corrupt(at, "a block's entry")
    }

    /// Reads the entry at an offset; the key before it must stand in `self.key`.
    fn read(&mut self, block: &Block, at: usize) -> Result<()> {
        let entry = block.entry(at).ok_or_else(|| self.corrupt())?;
        if entry.shared > self.key.len() {
            return Err(self.corrupt());
        }
        self.key.truncate(entry.shared);
        self.key.extend_from_slice(block.bytes(entry.suffix));
        (self.at, self.end, self.tag) = (at, entry.value.end, entry.tag);
        self.value = entry.value;
        self.valid = true;
        Ok(())
    }

    /// Reads from a restart on, up to the last entry before `limit`.
    fn read_up_to(&mut self, block: &Block, restart: usize, limit: usize) -> Result<()> {
        self.key.clear();
        self.read(block, restart)?;
        while self.end < limit {
            self.read(block, self.end)?;
        }
        Ok(())
    }

    fn enter_first(&mut self, i: usize) -> Result<()> {
        self.valid = false;
        if i < self.table.index.len() {
            let block = self.open_block(i)?;
            self.key.clear();
            self.read(&block, 0)?;
        }
        Ok(())
    }

    fn enter_last(&mut self, i: Option<usize>) -> Result<()> {
        self.valid = false;
        if let Some(i) = i {
            let block = self.open_block(i)?;
            let restart = block.restart_before_offset(block.end()).ok_or_else(|| self.corrupt())?;
            self.read_up_to(&block, restart, block.end())?;
        }
        Ok(())
    }

    pub fn seek_first(&mut self) -> Result<()> {
        self.enter_first(0)
    }

    pub fn seek_last(&mut self) -> Result<()> {
        self.enter_last(self.table.index.len().checked_sub(1))
    }

    /// Goes to the first entry at or behind an internal key.
    pub fn seek(&mut self, target: &[u8], tag: u64) -> Result<()> {
        let i = self.table.index.seek(target, tag);
        self.valid = false;
        if i == self.table.index.len() {
            return Ok(());
        }
        let block = self.open_block(i)?;
        let restart = block.restart_before(target, tag).ok_or_else(|| self.corrupt())?;
        self.key.clear();
        self.read(&block, restart)?;
        while key::compare((&self.key, self.tag), (target, tag)).is_lt() {
            if self.end >= block.end() {
                return self.enter_first(i + 1);
            }
            self.read(&block, self.end)?;
        }
        Ok(())
    }

    /// Goes to the last entry before an internal key.
    pub fn seek_before(&mut self, target: &[u8], tag: u64) -> Result<()> {
        self.seek(target, tag)?;
        if self.valid { self.prev() } else { self.seek_last() }
    }

    pub fn next(&mut self) -> Result<()> {
        let (i, block) = self.block.clone().expect("next is asked of a cursor on an entry");
        if self.end < block.end() {
            return self.read(&block, self.end);
        }
        self.enter_first(i + 1)
    }

    pub fn prev(&mut self) -> Result<()> {
        let (i, block) = self.block.clone().expect("prev is asked of a cursor on an entry");
        if self.at == 0 {
            return self.enter_last(i.checked_sub(1));
        }
        let limit = self.at;
        let restart = block.restart_before_offset(limit).ok_or_else(|| self.corrupt())?;
        self.read_up_to(&block, restart, limit)
    }
}
