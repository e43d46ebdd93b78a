//! What is kept to be found again, within bounds of number and size.
//!
//! When a bound is reached all of it is dropped: what is in use comes back by itself, and nothing must
//! be noted when it is used. One thing that takes a large part of the room is not kept at all.

use std::hash::Hash;

use phantom_base::{HashIndex, hash_index};

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many things.
    pub count: usize,
    /// Their sizes together, in bytes as `insert` is told.
    pub bytes: usize,
    /// The largest of them, in bytes.
    pub largest: usize,
}

/// Things by their keys.
pub struct Kept<K, V> {
    bounds: Bounds,
    things: HashIndex<K, (V, usize)>,
    bytes: usize,
}

impl<K: Hash + Eq, V> Kept<K, V> {
    /// Nothing yet.
    pub fn new(bounds: Bounds) -> Self {
        assert!(bounds.largest <= bounds.bytes, "the largest fits");
        Self { bounds, things: hash_index(), bytes: 0 }
    }

    /// What is kept under a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.things.get(key).map(|(thing, _)| thing)
    }

    /// Keeps a thing of so many bytes, if it is not too large.
    pub fn insert(&mut self, key: K, thing: V, bytes: usize) {
        self.remove(&key);
        if bytes > self.bounds.largest {
            return;
        }
        if self.things.len() >= self.bounds.count || self.bytes + bytes > self.bounds.bytes {
            self.things = hash_index();
            self.bytes = 0;
        }
        self.things.insert(key, (thing, bytes));
        self.bytes += bytes;
        assert!(self.bytes <= self.bounds.bytes, "no more is kept than may be");
    }

    /// Forgets what is kept under a key.
    pub fn remove(&mut self, key: &K) {
        if let Some((_, bytes)) = self.things.remove(key) {
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept<u32, u32> {
        Kept::new(Bounds { count: 3, bytes: 100, largest: 60 })
    }

    fn keys(kept: &Kept<u32, u32>) -> Vec<u32> {
        (0..10).filter(|key| kept.get(key).is_some()).collect()
    }

    #[test]
    fn a_bound_of_number_or_size_drops_what_was_there() {
        let mut few = kept();
        (0..4).for_each(|key| few.insert(key, key, 1));
        assert_eq!((keys(&few), few.bytes), (vec![3], 1));
        let mut large = kept();
        large.insert(1, 1, 60);
        large.insert(2, 2, 40);
        assert_eq!(keys(&large), [1, 2]);
        large.insert(3, 3, 1);
        assert_eq!((keys(&large), large.bytes), (vec![3], 1));
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_drops_nothing_but_its_former_self() {
        let mut kept = kept();
        kept.insert(1, 1, 10);
        kept.insert(2, 2, 10);
        kept.insert(2, 3, 61);
        assert_eq!((keys(&kept), kept.bytes), (vec![1], 10));
    }

    #[test]
    fn what_is_kept_again_counts_once() {
        let mut kept = kept();
        (0..50).for_each(|value| kept.insert(1, value, 50));
        assert_eq!((kept.get(&1), kept.bytes), (Some(&49), 50));
    }
}
