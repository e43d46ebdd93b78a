//! Compaction: what to merge (`pick.rs`), what to leave out (`filter.rs`), and writing the result.

pub(crate) mod filter;
pub(crate) mod pick;

use std::path::Path;

use phantom_vfs::Vfs;

use crate::iter::Merge;
use crate::table::{Built, TableBuilder, path_of};
use crate::{Error, Result, key};
use filter::{Filter, Verdict};

/// Where and how output tables are written.
pub(crate) struct Output<'a> {
    pub fs: &'a dyn Vfs,
    pub dir: &'a Path,
    pub keyspace: u16,
    pub versioned: bool,
    pub block_bytes: usize,
    /// Size at which the next table is begun; a logical key is never split.
    pub table_bytes: u64,
}

/// Writes what the filter lets through into tables, in order. The names of the files are given by
/// `number` and pushed to `made` before each is created, so that a failure can be undone.
pub(crate) fn write_tables(
    merge: &mut Merge,
    filter: &mut Filter,
    output: &Output<'_>,
    is_bottom: impl Fn(&[u8]) -> bool,
    mut number: impl FnMut() -> u64,
    made: &mut Vec<u64>,
) -> Result<Vec<Built>> {
    let failed = |e: &std::io::Error| Error::io("write a table", e);
    let mut tables = Vec::new();
    let mut builder: Option<TableBuilder> = None;
    let mut last: Vec<u8> = Vec::new();
    while let Some((user_key, tag, value)) = merge.entry() {
        let verdict = filter.judge(user_key, tag, &is_bottom);
        if verdict != Verdict::Drop {
            let logical = key::logical(user_key, output.versioned);
            if builder.as_ref().is_some_and(|b| b.size() >= output.table_bytes) && logical != last {
                let full = builder.take().expect("it was just looked at");
                tables.push(full.finish().map_err(|e| failed(&e))?);
            }
            let table = match &mut builder {
                Some(table) => table,
                None => builder.insert({
                    let file = number();
                    made.push(file);
                    let path = path_of(output.dir, file);
                    let kind = (output.keyspace, output.versioned);
                    TableBuilder::create(output.fs, &path, file, kind, output.block_bytes)
                        .map_err(|e| failed(&e))?
                }),
            };
            let tag = if verdict == Verdict::KeepAsOldest { tag & 0xFF } else { tag };
            table.add(user_key, tag, value).map_err(|e| failed(&e))?;
            last.clear();
            last.extend_from_slice(logical);
        }
        merge.step()?;
    }
    if let Some(rest) = builder {
        tables.push(rest.finish().map_err(|e| failed(&e))?);
    }
    Ok(tables)
}
