//! A scan of a plain keyspace: of each key the newest write that the snapshot sees, deletes left out.

use std::sync::Arc;

use super::Merge;
use crate::version::View;
use crate::{Direction, Result, Span, key};

/// A scan of a plain keyspace; pins files and memtables until it drops.
pub struct Iter {
    merge: Merge,
    seq: u64,
    direction: Direction,
    start: Option<Vec<u8>>,
    end: Option<Vec<u8>>,
    /// The key given last (forward) or being gathered (backward).
    key: Vec<u8>,
    value: Vec<u8>,
    /// Forward: the merge stands on an entry of `key` that was given or passed over.
    inside: bool,
    _pin: Arc<View>,
}

impl Iter {
    pub(crate) fn new(
        mut merge: Merge,
        seq: u64,
        span: Span<'_>,
        direction: Direction,
        pin: Arc<View>,
    ) -> Result<Self> {
        let from = match direction {
            Direction::Forward => span.start,
            Direction::Backward => span.end,
        };
        // The largest tag sorts first: at `start` with all its writes, before `end` with none.
        merge.seek(from.map(|key| (key, u64::MAX)))?;
        Ok(Self {
            merge,
            seq,
            direction,
            start: span.start.map(<[u8]>::to_vec),
            end: span.end.map(<[u8]>::to_vec),
            key: Vec::new(),
            value: Vec::new(),
            inside: false,
            _pin: pin,
        })
    }

    /// The next key and its value.
    #[expect(clippy::should_implement_trait, reason = "it lends what it returns")]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        match self.direction {
            Direction::Forward => self.forward(),
            Direction::Backward => self.backward(),
        }
    }

    fn forward(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        loop {
            let Some((key, tag, _)) = self.merge.entry() else { return Ok(None) };
            if self.end.as_deref().is_some_and(|end| key >= end) {
                return Ok(None);
            }
            let known = self.inside && key == self.key;
            if known || key::seq_of(tag) > self.seq {
                self.merge.step()?;
                continue;
            }
            self.key.clear();
            self.key.extend_from_slice(key);
            self.inside = true;
            if key::is_delete(tag) {
                self.merge.step()?;
                continue;
            }
            return Ok(self.merge.entry().map(|(key, _, value)| (key, value)));
        }
    }

    /// Older writes of a key come first here: the last one seen of a key counts.
    fn backward(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        loop {
            let Some((key, _, _)) = self.merge.entry() else { return Ok(None) };
            if self.start.as_deref().is_some_and(|start| key < start) {
                return Ok(None);
            }
            self.key.clear();
            self.key.extend_from_slice(key);
            let mut exists = false;
            while let Some((key, tag, value)) = self.merge.entry() {
                if key != self.key {
                    break;
                }
                if key::seq_of(tag) <= self.seq {
                    exists = !key::is_delete(tag);
                    self.value.clear();
                    self.value.extend_from_slice(value);
                }
                self.merge.step()?;
            }
            if exists {
                return Ok(Some((&self.key, &self.value)));
            }
        }
    }
}
