//! Collections whose iteration order is the same in every run.

use std::hash::BuildHasherDefault;

/// A map in key order. The default choice.
pub type Map<K, V> = std::collections::BTreeMap<K, V>;

/// A set in order. The default choice.
pub type Set<T> = std::collections::BTreeSet<T>;

/// A hash table with a fixed hasher, for look-ups on hot paths. Never iterate it where the order
/// can be seen.
#[expect(clippy::disallowed_types, reason = "the one place that may name it, with a fixed hasher")]
pub type HashIndex<K, V> =
    std::collections::HashMap<K, V, BuildHasherDefault<xxhash_rust::xxh3::Xxh3Default>>;

/// An empty `HashIndex`.
pub fn hash_index<K, V>() -> HashIndex<K, V> {
    HashIndex::default()
}
