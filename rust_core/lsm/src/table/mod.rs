//! Tables: immutable sorted files (`builder.rs` draws them), their filter and index pinned in memory.
//!
//! No byte reaches a reader that did not verify (D8): parts are checked at open, blocks when they are
//! read. A wrong one is `Corruption` with file and offset.

mod block;
mod bloom;
mod builder;
mod cursor;
mod footer;
mod index;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use phantom_vfs::{FileClass, OpenMode, Vfs, VfsFile, read_exact_at};

pub(crate) use block::Block;
pub(crate) use builder::{Built, TableBuilder};
pub(crate) use cursor::TableCursor;
pub(crate) use footer::Properties;

use crate::cache::BlockCache;
use crate::{Error, Result, key};
use footer::{FOOTER_BYTES, Footer};
use index::{BlockAt, Index};

/// How a read treats the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads it and keeps the block.
    Fill,
    /// Reads it and keeps nothing: compactions.
    Pass,
    /// Does not read it.
    CachedOnly,
}

/// What a look-up of one table came to.
pub(crate) enum Found {
    /// The first entry at or behind the target, if it is of the same logical key.
    Entry(Version),
    Absent,
    /// `CachedOnly`, and the block is not there.
    Miss,
}

/// An entry found by a look-up: its value is pinned in its block.
pub(crate) struct Version {
    pub tag: u64,
    /// Of a versioned key.
    pub ts: u64,
    pub block: Arc<Block>,
    pub value: Range<usize>,
}

/// An open table.
pub(crate) struct Table {
    pub file: u64,
    pub size: u64,
    pub properties: Properties,
    path: PathBuf,
    handle: Box<dyn VfsFile>,
    filter: Vec<u8>,
    index: Index,
}

/// The file of a table.
pub(crate) fn path_of(dir: &Path, file: u64) -> PathBuf {
    dir.join(format!("{file:010}.tbl"))
}

impl Table {
    /// Opens a table of a known size and reads its footer, filter, index and properties.
    pub fn open(fs: &dyn Vfs, dir: &Path, file: u64, size: u64) -> Result<Self> {
        let path = path_of(dir, file);
        let corrupt = |offset, what| Error::Corruption { file: path.clone(), offset, what };
        let failed = |e: &std::io::Error| Error::io(format!("open {}", path.display()), e);
        let handle = match fs.open(&path, OpenMode::Read, FileClass::Table) {
            Ok(handle) => handle,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(corrupt(0, "the table is missing"));
            }
            Err(e) => return Err(failed(&e)),
        };
        let footer_at = size.saturating_sub(FOOTER_BYTES as u64);
        if handle.len().map_err(|e| failed(&e))? != size {
            return Err(corrupt(0, "the table's size"));
        }
        let mut bytes = [0; FOOTER_BYTES];
        read_exact_at(&*handle, &mut bytes, footer_at).map_err(|e| failed(&e))?;
        let footer = Footer::decode(&bytes).map_err(|what| corrupt(footer_at, what))?;
        let footer = footer.ok_or_else(|| Error::Unsupported {
            what: format!("{} is of a newer release", path.display()),
        })?;
        if footer.file != file {
            return Err(corrupt(footer_at, "the table's number"));
        }
        let part = |(offset, len): (u64, u32)| {
            if offset + u64::from(len) > footer_at {
                return Err(corrupt(footer_at, "the footer's places"));
            }
            let mut stored = vec![0; len as usize];
            read_exact_at(&*handle, &mut stored, offset).map_err(|e| failed(&e))?;
            block::decode(stored, file, offset).map_err(|what| corrupt(offset, what))
        };
        let filter = part(footer.filter)?;
        let index = Index::decode(&part(footer.index)?)
            .map_err(|_| corrupt(footer.index.0, "the index"))?;
        let properties = Properties::decode(&part(footer.properties)?)
            .map_err(|_| corrupt(footer.properties.0, "the properties"))?;
        Ok(Self { file, size, properties, path, handle, filter, index })
    }

    /// Memory of the pinned parts in bytes.
    pub fn pinned_bytes(&self) -> u64 {
        self.filter.len() as u64 + self.index.weight()
    }

    pub fn logical_bounds(&self) -> (&[u8], &[u8]) {
        let Properties { versioned, smallest, largest, .. } = &self.properties;
        (key::logical(smallest, *versioned), key::logical(largest, *versioned))
    }

    /// Whether any key of `[smallest, largest]` (logical) may be here.
    pub fn overlaps(&self, smallest: &[u8], largest: &[u8]) -> bool {
        let (first, last) = self.logical_bounds();
        first <= largest && smallest <= last
    }

    fn corrupt(&self, at: BlockAt, what: &'static str) -> Error {
        Error::Corruption { file: self.path.clone(), offset: at.offset, what }
    }

    /// A data block, from the cache or the disk; `None` only with `CachedOnly`.
    fn load(&self, cache: &BlockCache, i: usize, access: Access) -> Result<Option<Arc<Block>>> {
        let at = self.index.block(i).expect("the caller stays inside the index");
        if access != Access::Pass {
            if let Some(block) = cache.get(self.file, at.offset) {
                return Ok(Some(block));
            }
            if access == Access::CachedOnly {
                return Ok(None);
            }
        }
        let mut stored = vec![0; at.len as usize];
        read_exact_at(&*self.handle, &mut stored, at.offset)
            .map_err(|e| Error::io(format!("read {}", self.path.display()), &e))?;
        let raw = block::decode(stored, self.file, at.offset);
        let raw = raw.map_err(|what| self.corrupt(at, what))?;
        let block = Block::new(raw).ok_or_else(|| self.corrupt(at, "a block's restarts"))?;
        let block = Arc::new(block);
        if access == Access::Fill {
            cache.insert(self.file, at.offset, block.clone());
        }
        Ok(Some(block))
    }

    /// Whether the filter lets a key pass.
    pub fn may_contain(&self, hash: u64) -> bool {
        bloom::may_contain(&self.filter, hash)
    }

    /// The first entry at or behind `target`, if it has the same logical key: of a plain keyspace the
    /// newest write up to the tag's seq, of a versioned one the newest version up to the target's
    /// timestamp (its seq is the caller's to compare).
    pub fn get(
        &self,
        cache: &BlockCache,
        (target, tag): (&[u8], u64),
        access: Access,
    ) -> Result<Found> {
        let i = self.index.seek(target, tag);
        if i == self.index.len() {
            return Ok(Found::Absent);
        }
        let Some(block) = self.load(cache, i, access)? else { return Ok(Found::Miss) };
        let corrupt = |what| self.corrupt(self.index.block(i).expect("it was just read"), what);
        let Some(hit) = block.search(target, tag).map_err(corrupt)? else {
            return Err(corrupt("a block ends before its index says"));
        };
        let entry = hit.entry;
        let suffix = block.bytes(entry.suffix.clone());
        let same = |n: usize| {
            let rest = target.get(entry.shared..n).unwrap_or_default();
            suffix.get(..rest.len()) == Some(rest)
        };
        let len = entry.shared + suffix.len();
        let mut ts = 0;
        if len != target.len() {
            return Ok(Found::Absent);
        }
        if self.properties.versioned {
            let logical = target.len() - key::TIMESTAMP_BYTES;
            if !same(logical) {
                return Ok(Found::Absent);
            }
            // The key is `target[..shared] | suffix`; its last eight bytes are the timestamp.
            let mut last = [0; key::TIMESTAMP_BYTES];
            for (to, i) in last.iter_mut().zip(logical..) {
                let byte = match i.checked_sub(entry.shared) {
                    None => target.get(i),
                    Some(i) => suffix.get(i),
                };
                *to = byte.copied().unwrap_or(0);
            }
            ts = !u64::from_be_bytes(last);
        } else if !same(target.len()) {
            return Ok(Found::Absent);
        }
        Ok(Found::Entry(Version { tag: entry.tag, ts, value: entry.value, block }))
    }

    /// Reads every block from the disk and checks that entries rise and are as many as written.
    pub fn verify(self: &Arc<Self>, cache: &Arc<BlockCache>) -> Result<()> {
        let mut cursor = TableCursor::new(self.clone(), cache.clone(), Access::Pass);
        cursor.seek_first()?;
        let (mut last, mut entries): (Option<(Vec<u8>, u64)>, u64) = (None, 0);
        while let Some((key, tag, _)) = cursor.entry() {
            let rises = last.as_ref().is_none_or(|l| key::compare((&l.0, l.1), (key, tag)).is_lt());
            if !rises {
                let what = "entries that do not rise";
                return Err(Error::Corruption { file: self.path.clone(), offset: 0, what });
            }
            let mut bytes = last.take().map_or_else(Vec::new, |l| l.0);
            bytes.clear();
            bytes.extend_from_slice(key);
            last = Some((bytes, tag));
            entries += 1;
            cursor.next()?;
        }
        if entries != self.properties.entries {
            let what = "the number of entries";
            return Err(Error::Corruption { file: self.path.clone(), offset: 0, what });
        }
        Ok(())
    }
}
