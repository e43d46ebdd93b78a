//! The log as the Raft machine sees it.

use std::cell::RefCell;

use phantom_base::{GroupId, LogIndex, Term};
use phantom_log::{Log, Stream};
use phantom_raft::{Entries, Entry};

use super::error::{Error, Result};

/// Lends a log to the machine. An error of the log is kept and told by `finish`; meanwhile the
/// machine is told that there is nothing to read.
pub struct LogView<'a> {
    log: &'a Log,
    failed: RefCell<Option<Error>>,
}

impl<'a> LogView<'a> {
    /// Lends `log`.
    pub fn new(log: &'a Log) -> Self {
        Self { log, failed: RefCell::new(None) }
    }

    /// Whether all reads went well.
    pub fn finish(self) -> Result<()> {
        self.failed.into_inner().map_or(Ok(()), Err)
    }
}

impl Entries for LogView<'_> {
    fn bounds(&self, gid: GroupId) -> (LogIndex, LogIndex) {
        let bounds = self.log.bounds(Stream(gid.0));
        (LogIndex(bounds.first), LogIndex(bounds.last))
    }

    fn term_at(&self, gid: GroupId, index: LogIndex) -> Option<Term> {
        self.log.term_at(Stream(gid.0), index.0).map(Term)
    }

    fn read(&self, gid: GroupId, from: LogIndex, bytes_max: usize) -> Vec<Entry> {
        match self.log.read(Stream(gid.0), from.0, bytes_max) {
            Ok(read) => {
                let entry = |(index, (term, data))| Entry {
                    index: LogIndex(index),
                    term: Term(term),
                    data,
                };
                (read.first..).zip(read.list).map(entry).collect()
            }
            Err(error) => {
                *self.failed.borrow_mut() = Some(error.into());
                Vec::new()
            }
        }
    }
}
