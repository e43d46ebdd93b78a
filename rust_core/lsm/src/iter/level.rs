//! Walks the tables of a level that do not overlap as if they were one.

use std::sync::Arc;

use crate::cache::BlockCache;
use crate::table::{Access, Table, TableCursor};
use crate::{Result, key};

pub(crate) struct LevelCursor {
    tables: Arc<[Arc<Table>]>,
    cache: Arc<BlockCache>,
    access: Access,
    open: Option<(usize, TableCursor)>,
}

impl LevelCursor {
    pub fn new(tables: Arc<[Arc<Table>]>, cache: Arc<BlockCache>, access: Access) -> Self {
        Self { tables, cache, access, open: None }
    }

    pub fn entry(&self) -> Option<(&[u8], u64, &[u8])> {
        self.open.as_ref()?.1.entry()
    }

    fn open(&mut self, i: usize) -> Option<&mut TableCursor> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != i) {
            let table = self.tables.get(i)?.clone();
            self.open = Some((i, TableCursor::new(table, self.cache.clone(), self.access)));
        }
        self.open.as_mut().map(|(_, cursor)| cursor)
    }

    pub fn seek_first(&mut self) -> Result<()> {
        self.open(0).map_or(Ok(()), TableCursor::seek_first)
    }

    pub fn seek_last(&mut self) -> Result<()> {
        let last = self.tables.len().checked_sub(1);
        last.and_then(|i| self.open(i)).map_or(Ok(()), TableCursor::seek_last)
    }

    pub fn seek(&mut self, target: &[u8], tag: u64) -> Result<()> {
        // The largest user key is enough: of equal ones the table's last has the smallest tag.
        let i = self.tables.partition_point(|t| t.properties.largest.as_slice() < target);
        match self.open(i) {
            Some(cursor) => cursor.seek(target, tag)?,
            None => self.open = None,
        }
        self.skip_forward()
    }

    pub fn seek_before(&mut self, target: &[u8], tag: u64) -> Result<()> {
        let i = self.tables.partition_point(|t| {
            key::compare((&t.properties.smallest, u64::MAX), (target, tag)).is_lt()
        });
        match i.checked_sub(1).and_then(|i| self.open(i)) {
            Some(cursor) => cursor.seek_before(target, tag)?,
            None => self.open = None,
        }
        self.skip_backward()
    }

    pub fn next(&mut self) -> Result<()> {
        let (_, cursor) = self.open.as_mut().expect("next is asked of a cursor on an entry");
        cursor.next()?;
        self.skip_forward()
    }

    pub fn prev(&mut self) -> Result<()> {
        let (_, cursor) = self.open.as_mut().expect("prev is asked of a cursor on an entry");
        cursor.prev()?;
        self.skip_backward()
    }

    fn skip_forward(&mut self) -> Result<()> {
        while let Some((i, cursor)) = &self.open
            && cursor.entry().is_none()
        {
            let next = i + 1;
            match self.open(next) {
                Some(cursor) => cursor.seek_first()?,
                None => self.open = None,
            }
        }
        Ok(())
    }

    fn skip_backward(&mut self) -> Result<()> {
        while let Some((i, cursor)) = &self.open
            && cursor.entry().is_none()
        {
            match i.checked_sub(1) {
                Some(before) => self.open(before).map_or(Ok(()), TableCursor::seek_last)?,
                None => self.open = None,
            }
        }
        Ok(())
    }
}
