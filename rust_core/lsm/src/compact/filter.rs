//! What a flush or compaction may leave out: only what no read could return.
//!
//! *Boundaries* are the sequence numbers that reads use: those of the registered snapshots and the
//! present one. Every later read uses one at or above the present.
//!
//! - Of the writes of one key that lie between the same two boundaries, only the newest is kept.
//! - A delete of a plain keyspace goes when all boundaries see it and no deeper level has the key.
//! - Versions: of one logical key the newest at or below the collection timestamp is kept (a
//!   tombstone goes too where no deeper level has the key), all older ones go, if the oldest boundary
//!   sees the one that hides them. A key's versions are applied in the order of their timestamps.
//!
//! It sees entries in order, newest first, and looks at no value.

use crate::key;

/// A span below whose timestamp old versions are garbage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GcRule {
    pub start: Option<Vec<u8>>,
    pub end: Option<Vec<u8>>,
    pub below: u64,
}

impl GcRule {
    pub fn covers(&self, logical: &[u8]) -> bool {
        self.start.as_deref().is_none_or(|start| logical >= start)
            && self.end.as_deref().is_none_or(|end| logical < end)
    }
}

/// What to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Drop,
    Keep,
    /// Keep it with sequence number 0: every read sees it and nothing older is left.
    KeepAsOldest,
}

pub(crate) struct Filter {
    boundaries: Vec<u64>,
    versioned: bool,
    gc: Vec<GcRule>,
    key: Vec<u8>,
    /// The boundary that the last kept write of `key` belongs to.
    class: Option<u64>,
    logical: Vec<u8>,
    /// The newest version at or below the collection timestamp was seen.
    below: Option<u64>,
    hides_older: bool,
    started: bool,
}

impl Filter {
    /// `boundaries` rise and are not empty.
    pub fn new(boundaries: Vec<u64>, versioned: bool, gc: Vec<GcRule>) -> Self {
        assert!(boundaries.is_sorted() && !boundaries.is_empty(), "{boundaries:?}");
        Self {
            boundaries,
            versioned,
            gc,
            key: Vec::new(),
            class: None,
            logical: Vec::new(),
            below: None,
            hides_older: false,
            started: false,
        }
    }

    /// Judges the next entry. `is_bottom`: no deeper level has its logical key.
    pub fn judge(&mut self, key: &[u8], tag: u64, is_bottom: impl Fn(&[u8]) -> bool) -> Verdict {
        let seq = key::seq_of(tag);
        let class = self.boundaries.iter().copied().find(|boundary| *boundary >= seq);
        let oldest = self.boundaries.first().copied();
        let logical = key::logical(key, self.versioned);
        if !self.started || logical != self.logical {
            self.logical.clear();
            self.logical.extend_from_slice(logical);
            self.hides_older = false;
            self.below = self.gc.iter().filter(|r| r.covers(logical)).map(|r| r.below).max();
        }
        if self.started && key == self.key {
            // Between the same boundaries as a newer write of the key: no read ends here.
            if class.is_some() && class == self.class {
                return Verdict::Drop;
            }
        } else {
            self.key.clear();
            self.key.extend_from_slice(key);
        }
        self.started = true;
        self.class = class;
        if class.is_none() || class != oldest {
            return Verdict::Keep;
        }
        let gone = if self.versioned {
            self.is_garbage(key, tag, logical, &is_bottom)
        } else {
            key::is_delete(tag) && is_bottom(logical)
        };
        match gone {
            true => Verdict::Drop,
            false if is_bottom(logical) => Verdict::KeepAsOldest,
            false => Verdict::Keep,
        }
    }

    /// Of an entry that every read sees.
    fn is_garbage(
        &mut self,
        key: &[u8],
        tag: u64,
        logical: &[u8],
        is_bottom: &impl Fn(&[u8]) -> bool,
    ) -> bool {
        if self.hides_older {
            return true;
        }
        if self.below.is_none_or(|below| key::split(key).1 > below) {
            return false;
        }
        self.hides_older = true;
        key::is_delete(tag) && is_bottom(logical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpKind::{Delete, Put};
    use crate::key::{Target, tag};
    use Verdict::{Drop, Keep, KeepAsOldest};

    #[test]
    fn of_writes_between_two_boundaries_the_newest_stays() {
        let mut filter = Filter::new(vec![5, 10], false, Vec::new());
        let judged: Vec<_> =
            [12, 11, 9, 7, 5, 3].map(|seq| filter.judge(b"k", tag(seq, Put), |_| false)).into();
        assert_eq!(judged, [Keep, Keep, Keep, Drop, Keep, Drop]);
    }

    #[test]
    fn a_delete_goes_only_at_the_bottom_and_below_every_snapshot() {
        for (seq, is_bottom, wanted) in
            [(3, true, Drop), (3, false, Keep), (7, true, Keep), (12, true, Keep)]
        {
            let mut filter = Filter::new(vec![5, 10], false, Vec::new());
            assert_eq!(filter.judge(b"k", tag(seq, Delete), |_| is_bottom), wanted, "{seq}");
            assert_eq!(filter.judge(b"k", tag(1, Put), |_| is_bottom) == Drop, seq == 3);
        }
    }

    #[test]
    fn versions_below_the_newest_collectable_one_go_and_so_does_a_tombstone_at_the_bottom() {
        let rule = |below| vec![GcRule { start: None, end: Some(b"m".to_vec()), below }];
        let judge = |gc, key: &[u8], kind, boundary| -> Vec<Verdict> {
            let mut filter = Filter::new(vec![boundary], true, gc);
            let kinds = [(30, Put), (20, kind), (10, Put), (5, Put)];
            let keys = kinds.map(|(ts, kind)| (Target::versioned(key, ts), tag(ts, kind)));
            keys.iter().map(|(k, t)| filter.judge(k.as_bytes(), *t, |_| true)).collect()
        };
        assert_eq!(judge(rule(25), b"k", Put, 99), [KeepAsOldest, KeepAsOldest, Drop, Drop]);
        assert_eq!(judge(rule(25), b"k", Delete, 99), [KeepAsOldest, Drop, Drop, Drop]);
        assert_eq!(judge(rule(25), b"z", Put, 99), [KeepAsOldest; 4], "outside of the span");
        assert_eq!(judge(rule(4), b"k", Put, 99), [KeepAsOldest; 4]);
        assert_eq!(judge(rule(25), b"k", Put, 10), [Keep, Keep, KeepAsOldest, Drop]);
    }
}
