//! A scan of a versioned keyspace at a timestamp: of each logical key the newest version at or below.
//!
//! Logical keys are prefix-free (mvcc makes them so), hence whole keys sort as logical keys do, and
//! the versions of one stand together, newest first.

use std::sync::Arc;

use super::Merge;
use crate::version::View;
use crate::{Direction, Result, Span, key};

/// Versions of one key that are passed one by one before the scan seeks behind the rest.
const STEPS_BEFORE_SEEK: u32 = 8;

/// One version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    /// The key without its timestamp.
    pub key: &'a [u8],
    /// When it was written.
    pub timestamp: u64,
    /// Its value; `None` is a tombstone (only shown by scans with `since`).
    pub value: Option<&'a [u8]>,
}

/// A scan of a versioned keyspace at a timestamp: one version a key.
pub struct VersionIter {
    merge: Merge,
    seq: u64,
    ts: u64,
    since: Option<u64>,
    direction: Direction,
    start: Option<Vec<u8>>,
    end: Option<Vec<u8>>,
    key: Vec<u8>,
    value: Vec<u8>,
    inside: bool,
    _pin: Arc<View>,
}

/// What is read: everything up to `seq`, in its newest version up to `ts`.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub seq: u64,
    pub ts: u64,
    pub since: Option<u64>,
}

impl VersionIter {
    pub(crate) fn new(
        mut merge: Merge,
        at: At,
        span: Span<'_>,
        direction: Direction,
        pin: Arc<View>,
    ) -> Result<Self> {
        let from = match direction {
            Direction::Forward => span.start,
            Direction::Backward => span.end,
        };
        merge.seek(from.map(|key| (key, u64::MAX)))?;
        Ok(Self {
            merge,
            seq: at.seq,
            ts: at.ts,
            since: at.since,
            direction,
            start: span.start.map(<[u8]>::to_vec),
            end: span.end.map(<[u8]>::to_vec),
            key: Vec::new(),
            value: Vec::new(),
            inside: false,
            _pin: pin,
        })
    }

    /// The next key in its newest version at or below the timestamp.
    #[expect(clippy::should_implement_trait, reason = "it lends what it returns")]
    pub fn next(&mut self) -> Result<Option<Version<'_>>> {
        match self.direction {
            Direction::Forward => self.forward(),
            Direction::Backward => self.backward(),
        }
    }

    fn forward(&mut self) -> Result<Option<Version<'_>>> {
        let mut steps = 0;
        loop {
            let Some((whole, tag, _)) = self.merge.entry() else { return Ok(None) };
            let (logical, timestamp) = key::split(whole);
            if self.end.as_deref().is_some_and(|end| logical >= end) {
                return Ok(None);
            }
            if self.inside && logical == self.key {
                steps += 1;
                if steps > STEPS_BEFORE_SEEK {
                    steps = 0;
                    self.value.clear();
                    self.value.extend_from_slice(logical);
                    self.value.extend_from_slice(&[0xFF; key::TIMESTAMP_BYTES]);
                    self.merge.seek(Some((&self.value, 0)))?;
                } else {
                    self.merge.step()?;
                }
                continue;
            }
            let hidden = timestamp > self.ts
                || key::seq_of(tag) > self.seq
                || self.start.as_deref().is_some_and(|start| logical < start);
            if hidden {
                self.merge.step()?;
                continue;
            }
            self.key.clear();
            self.key.extend_from_slice(logical);
            self.inside = true;
            if self.since.map_or(key::is_delete(tag), |since| timestamp <= since) {
                self.merge.step()?;
                continue;
            }
            let entry = self.merge.entry().map(|(_, _, value)| value);
            let value = entry.filter(|_| !key::is_delete(tag));
            return Ok(Some(Version { key: &self.key, timestamp, value }));
        }
    }

    /// Older versions of a key come first here: the last one seen that is not too new counts.
    fn backward(&mut self) -> Result<Option<Version<'_>>> {
        loop {
            let Some((whole, _, _)) = self.merge.entry() else { return Ok(None) };
            let logical = key::split(whole).0;
            if self.start.as_deref().is_some_and(|start| logical < start) {
                return Ok(None);
            }
            let outside = self.end.as_deref().is_some_and(|end| logical >= end);
            self.key.clear();
            self.key.extend_from_slice(logical);
            let mut newest = None;
            while let Some((whole, tag, value)) = self.merge.entry() {
                let (logical, timestamp) = key::split(whole);
                if logical != self.key {
                    break;
                }
                if timestamp <= self.ts && key::seq_of(tag) <= self.seq {
                    newest = Some((timestamp, key::is_delete(tag)));
                    self.value.clear();
                    self.value.extend_from_slice(value);
                }
                self.merge.step()?;
            }
            let shown = newest.filter(|(timestamp, is_delete)| {
                !outside && self.since.map_or(!is_delete, |since| *timestamp > since)
            });
            if let Some((timestamp, is_delete)) = shown {
                let value = (!is_delete).then_some(self.value.as_slice());
                return Ok(Some(Version { key: &self.key, timestamp, value }));
            }
        }
    }
}
