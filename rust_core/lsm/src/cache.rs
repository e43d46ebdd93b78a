//! The block cache: unpacked blocks by (file, offset), weighted in bytes.
//!
//! Its hasher and the number of its shards are fixed, so that one seed is one run. Eviction is
//! `quick_cache`'s (S3-FIFO like). Files are numbered once and for all, so a block of a removed file is
//! never asked for again and ages out.

use std::hash::BuildHasherDefault;
use std::sync::Arc;

use phantom_base::sync::{AtomicU64, Ordering};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use xxhash_rust::xxh3::Xxh3Default;

use crate::table::Block;

const SHARDS: usize = 8;
/// What an average block weighs; only sizes the cache's tables.
const BLOCK_BYTES: u64 = 4 << 10;

type Key = (u64, u64);

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Arc<Block>> for Bytes {
    fn weight(&self, _: &Key, block: &Arc<Block>) -> u64 {
        block.weight()
    }
}

pub(crate) struct BlockCache {
    blocks: Cache<Key, Arc<Block>, Bytes, BuildHasherDefault<Xxh3Default>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl BlockCache {
    pub fn new(bytes: u64) -> Self {
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity((bytes / BLOCK_BYTES).max(16) as usize)
            .weight_capacity(bytes)
            .build()
            .expect("capacities are set");
        let blocks = Cache::with_options(
            options,
            Bytes,
            BuildHasherDefault::default(),
            DefaultLifecycle::default(),
        );
        Self { blocks, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    pub fn get(&self, file: u64, offset: u64) -> Option<Arc<Block>> {
        let found = self.blocks.get(&(file, offset));
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub fn insert(&self, file: u64, offset: u64, block: Arc<Block>) {
        self.blocks.insert((file, offset), block);
    }

    /// Changes how much it may hold.
    pub fn resize(&self, bytes: u64) {
        self.blocks.set_capacity(bytes);
    }

    /// Bytes held, hits, misses.
    pub fn counts(&self) -> (u64, u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (self.blocks.weight(), count(&self.hits), count(&self.misses))
    }
}
