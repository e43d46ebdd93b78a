//! The block cache: unpacked blocks by (file, offset), weighted in bytes.
//!
//! Its hasher and the number of its shards are fixed, so that one seed is one run. Eviction is
//! `quick_cache`'s (S3-FIFO like). Files are numbered once and for all, so a block of a removed file is
//! never asked for again and ages out.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use phantom_base::sync::{AtomicU64, Ordering};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

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

/// Mixes the two numbers of a key by a 128-bit multiplication (as wyhash does): the names are ours,
/// so nobody chooses them to collide, and a general hasher would cost more than the look-up.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93;
        self.0 = wide as u64 ^ (wide >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(crate) struct BlockCache {
    blocks: Cache<Key, Arc<Block>, Bytes, BuildHasherDefault<Mix>>,
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
