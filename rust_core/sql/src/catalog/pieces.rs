//! A map cut into pieces that its versions share: a change copies one piece and the list of them.
//!
//! Which piece a key belongs to is the caller's to say, the same each time. With pieces of bounded
//! size a change costs a part of what a whole copy would.

use phantom_base::Map;
use phantom_base::sync::Arc;

/// The map; a clone shares all pieces.
#[derive(Clone, Debug)]
pub struct Pieces<K, V> {
    pieces: Map<u32, Arc<Map<K, V>>>,
}

impl<K, V> Default for Pieces<K, V> {
    fn default() -> Self {
        Self { pieces: Map::new() }
    }
}

impl<K: Ord + Clone, V: Clone> Pieces<K, V> {
    /// The value of a key in its piece.
    pub fn get(&self, piece: u32, key: &K) -> Option<&V> {
        self.pieces.get(&piece)?.get(key)
    }

    /// Puts a value under a key.
    pub fn insert(&mut self, piece: u32, key: K, value: V) {
        Arc::make_mut(self.pieces.entry(piece).or_default()).insert(key, value);
    }

    /// Takes a key out; the value that it had.
    pub fn remove(&mut self, piece: u32, key: &K) -> Option<V> {
        let found = self.pieces.get_mut(&piece).filter(|entries| entries.contains_key(key))?;
        let entries = Arc::make_mut(found);
        let removed = entries.remove(key);
        if entries.is_empty() {
            self.pieces.remove(&piece);
        }
        removed
    }

    /// All values, in the order of pieces and of keys in each.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.pieces.values().flat_map(|entries| entries.values())
    }

    /// How many pieces this map and another do not share.
    #[cfg(test)]
    pub fn own_pieces(&self, other: &Self) -> usize {
        let shares = |piece: &u32, entries: &Arc<Map<K, V>>| {
            other.pieces.get(piece).is_some_and(|theirs| Arc::ptr_eq(theirs, entries))
        };
        self.pieces.iter().filter(|(piece, entries)| !shares(piece, entries)).count()
    }
}
