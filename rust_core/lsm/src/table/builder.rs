//! Writes a table: entries in order go in, a durable file comes out.
//!
//! ```text
//! data blocks | filter | index | properties | footer 64 B
//! ```
//!
//! The file is synced by `finish`; its name is the caller's to sync. The caller decides where tables
//! are cut.

use std::io;
use std::path::Path;

use phantom_vfs::{File, FileClass, Vfs, write_all_at};

use super::block::{self, BlockBuilder};
use super::bloom;
use super::footer::{Footer, Properties};
use super::index::{self, BlockAt};
use crate::key;

/// Bytes that are collected before they are written.
const WRITE_BYTES: usize = 256 << 10;

pub(crate) struct TableBuilder {
    out: File,
    file: u64,
    block_bytes: usize,
    block: BlockBuilder,
    index: Vec<u8>,
    hashes: Vec<u64>,
    pending: Vec<u8>,
    /// Bytes written; `pending` lies behind them.
    written: u64,
    properties: Properties,
    last: (Vec<u8>, u64),
    last_ts: u64,
}

/// A table that was written.
pub(crate) struct Built {
    pub file: u64,
    pub size: u64,
    pub properties: Properties,
}

impl TableBuilder {
    pub fn create(
        fs: &dyn Vfs,
        path: &Path,
        file: u64,
        (keyspace, versioned): (u16, bool),
        block_bytes: usize,
    ) -> io::Result<Self> {
        Ok(Self {
            out: fs.create(path, FileClass::Table)?,
            file,
            block_bytes,
            block: BlockBuilder::default(),
            index: Vec::new(),
            hashes: Vec::new(),
            pending: Vec::new(),
            written: 0,
            properties: Properties { keyspace, versioned, ..Properties::default() },
            last: (Vec::new(), 0),
            last_ts: 0,
        })
    }

    /// Bytes of the file so far, about.
    pub fn size(&self) -> u64 {
        self.written + (self.pending.len() + self.block.len()) as u64
    }

    /// Adds the next entry; internal keys must rise.
    pub fn add(&mut self, key: &[u8], tag: u64, value: &[u8]) -> io::Result<()> {
        let first = self.properties.entries == 0;
        assert!(
            first || key::compare((&self.last.0, self.last.1), (key, tag)).is_lt(),
            "entries of a table must rise"
        );
        let versioned = self.properties.versioned;
        let logical = key::logical(key, versioned);
        if first {
            self.properties.smallest = key.to_vec();
        }
        if first || logical != key::logical(&self.last.0, versioned) {
            self.hashes.push(key::filter_hash(logical));
        } else {
            self.properties.superseded += 1;
            self.properties.superseded_by = self.properties.superseded_by.max(self.last_ts);
        }
        if versioned {
            self.last_ts = key::split(key).1;
            self.properties.newest = self.properties.newest.max(self.last_ts);
        }
        self.properties.entries += 1;
        self.properties.max_seq = self.properties.max_seq.max(key::seq_of(tag));
        self.block.add(key, tag, value);
        self.last.0.clear();
        self.last.0.extend_from_slice(key);
        self.last.1 = tag;
        if self.block.len() >= self.block_bytes {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let offset = self.written + self.pending.len() as u64;
        let before = self.pending.len();
        self.block.finish(&mut self.pending, self.file, offset);
        let len = (self.pending.len() - before) as u32;
        index::encode_entry(&mut self.index, &self.last.0, self.last.1, BlockAt { offset, len });
        if self.pending.len() >= WRITE_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        write_all_at(&*self.out, &self.pending, self.written)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Appends a part behind the data; returns where it lies.
    fn part(&mut self, raw: &[u8]) -> (u64, u32) {
        let offset = self.written + self.pending.len() as u64;
        let before = self.pending.len();
        block::encode(raw, &mut self.pending, self.file, offset);
        (offset, (self.pending.len() - before) as u32)
    }

    /// Writes the rest and syncs the file. A table has at least one entry.
    pub fn finish(mut self) -> io::Result<Built> {
        assert!(self.properties.entries > 0, "a table without entries");
        self.end_block()?;
        self.properties.largest.clone_from(&self.last.0);
        let filter = bloom::build(&self.hashes);
        let filter = self.part(&filter);
        let index = std::mem::take(&mut self.index);
        let index = self.part(&index);
        let properties = self.properties.encode();
        let properties = self.part(&properties);
        let footer = Footer { file: self.file, filter, index, properties };
        self.pending.extend_from_slice(&footer.encode());
        self.write()?;
        self.out.sync_data()?;
        Ok(Built { file: self.file, size: self.written, properties: self.properties })
    }
}
