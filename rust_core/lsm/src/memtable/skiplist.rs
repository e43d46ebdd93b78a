//! An insert-only skiplist (Pugh, "Skip Lists", 1990) over an arena: one writer at a time, readers
//! beside it without a lock.
//!
//! - A node is written whole before a pointer to it is published with `Release`; readers follow
//!   pointers with `Acquire`. Nodes never move, change or go before the list does.
//! - Writers take the list's lock, uncontended under the engine's commit lock. A writer remembers
//!   where it inserted last, so that keys in order cost a few comparisons each.
//!
//! ```text
//! node   tag u64 | key_len u16 | height u8 | 0 u8 | value_len u32 | next [ptr; height] | key | value
//! ```
#![allow(unsafe_code, reason = "nodes of variable size in an arena; see the SAFETY comments")]
#![allow(
    clippy::cast_ptr_alignment,
    reason = "the arena aligns to 8, and links are multiples of it"
)]

use std::cmp::Ordering as Order;
use std::ptr::{null_mut, slice_from_raw_parts};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use phantom_base::sync::Mutex;

use super::arena::Arena;
use crate::key;

const HEIGHT_MAX: usize = 12;

#[repr(C)]
pub(super) struct Node {
    tag: u64,
    key_len: u16,
    height: u8,
    zero: u8,
    value_len: u32,
}

const HEADER: usize = size_of::<Node>();
const LINK: usize = size_of::<AtomicPtr<Node>>();

/// A sorted list of internal keys with values.
pub(crate) struct SkipList {
    head: [AtomicPtr<Node>; HEIGHT_MAX],
    height: AtomicUsize,
    bytes: AtomicUsize,
    /// The newest timestamp of a versioned keyspace.
    newest: AtomicU64,
    writer: Mutex<Writer>,
}

struct Writer {
    arena: Arena,
    random: u32,
    /// The predecessors of the last node inserted; null is the head.
    last: [*mut Node; HEIGHT_MAX],
}

// SAFETY: the pointers are into the list's own arena, used under the writer's lock alone.
unsafe impl Send for Writer {}

/// A node of a list that is alive, or none.
#[derive(Clone, Copy)]
pub(crate) struct Position(*mut Node);

// SAFETY: a position is only dereferenced through the list (`SkipList::entry`, `next`), which keeps
// the node alive; nodes are immutable but for their atomic links.
unsafe impl Send for Position {}
// SAFETY: as above.
unsafe impl Sync for Position {}

/// A write in the list.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub key: &'a [u8],
    pub tag: u64,
    pub value: &'a [u8],
}

impl Position {
    pub fn is_none(self) -> bool {
        self.0.is_null()
    }
}

impl SkipList {
    pub fn new() -> Self {
        let last = [null_mut(); HEIGHT_MAX];
        Self {
            head: std::array::from_fn(|_| AtomicPtr::new(null_mut())),
            height: AtomicUsize::new(1),
            bytes: AtomicUsize::new(0),
            newest: AtomicU64::new(0),
            writer: Mutex::new(Writer { arena: Arena::default(), random: 0x9E37_79B9, last }),
        }
    }

    /// Bytes of nodes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// The newest timestamp noted.
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Notes a timestamp that is about to be inserted.
    pub fn note_timestamp(&self, ts: u64) {
        self.newest.fetch_max(ts, Ordering::Release);
    }

    /// Adds a write. Internal keys are unique: a sequence number is used once.
    pub fn insert(&self, key: &[u8], tag: u64, value: &[u8]) {
        assert!(u16::try_from(key.len()).is_ok(), "a key of {} bytes", key.len());
        assert!(u32::try_from(value.len()).is_ok(), "a value of {} bytes", value.len());
        let mut writer = self.writer.lock();
        let writer = &mut *writer;
        let height = writer.height();
        let known = self.height.load(Ordering::Relaxed);
        if !self.follows_last(writer, key, tag, known) {
            self.find_before(key, tag, &mut writer.last);
        }
        if height > known {
            // Levels above hold nothing; readers that see the new height find null links.
            writer.last[known..height].fill(null_mut());
            self.height.store(height, Ordering::Release);
        }
        let node = self.make(&mut writer.arena, key, tag, value, height);
        for (level, before) in writer.last.iter_mut().enumerate().take(height) {
            let link = self.link(*before, level);
            // SAFETY: `node` was made with `height` links, and `level` is below it.
            let next = unsafe { Self::link_of(node, level) };
            next.store(link.load(Ordering::Relaxed), Ordering::Relaxed);
            link.store(node, Ordering::Release);
            *before = node;
        }
    }

    /// Whether the key belongs right behind the last one inserted, on all levels.
    fn follows_last(&self, writer: &Writer, key: &[u8], tag: u64, height: usize) -> bool {
        writer.last.iter().enumerate().take(height).all(|(level, before)| {
            let next = self.link(*before, level).load(Ordering::Relaxed);
            self.is_before(*before, key, tag) && (next.is_null() || !self.is_before(next, key, tag))
        })
    }

    fn make(
        &self,
        arena: &mut Arena,
        key: &[u8],
        tag: u64,
        value: &[u8],
        height: usize,
    ) -> *mut Node {
        let links = HEADER + height * LINK;
        let size = links + key.len() + value.len();
        self.bytes.fetch_add(size, Ordering::Relaxed);
        let raw = arena.allocate(size).as_ptr();
        let header = Node {
            tag,
            key_len: key.len() as u16,
            height: height as u8,
            zero: 0,
            value_len: value.len() as u32,
        };
        // SAFETY: `raw` is `size` bytes, aligned to 8, of this list alone until it is published; all
        // parts lie in it one after the other.
        unsafe {
            raw.cast::<Node>().write(header);
            for level in 0..height {
                let link = raw.add(HEADER + level * LINK).cast::<AtomicPtr<Node>>();
                link.write(AtomicPtr::new(null_mut()));
            }
            raw.add(links).copy_from_nonoverlapping(key.as_ptr(), key.len());
            raw.add(links + key.len()).copy_from_nonoverlapping(value.as_ptr(), value.len());
        }
        raw.cast()
    }

    /// The link of `node` on `level`; a null node is the head.
    fn link(&self, node: *mut Node, level: usize) -> &AtomicPtr<Node> {
        if node.is_null() {
            return &self.head[level];
        }
        // SAFETY: nodes reached on a level have a link there, and live as long as `self`.
        unsafe { Self::link_of(node, level) }
    }

    /// # Safety
    /// `node` must be of a living list and higher than `level`.
    unsafe fn link_of<'a>(node: *mut Node, level: usize) -> &'a AtomicPtr<Node> {
        // SAFETY: links lie behind the header; the caller vouches for node and level.
        unsafe {
            debug_assert!(usize::from((*node).height) > level, "no link on level {level}");
            &*node.cast::<u8>().add(HEADER + level * LINK).cast::<AtomicPtr<Node>>()
        }
    }

    #[expect(clippy::unused_self, reason = "its lifetime is that of the entry")]
    fn read(&self, node: *mut Node) -> Entry<'_> {
        // SAFETY: `node` is published and of this list, so it is whole and lives as long as `self`;
        // key and value lie behind its links. The slices do not cover the atomic links.
        unsafe {
            let header = &*node;
            let key_len = usize::from(header.key_len);
            let key = node.cast::<u8>().add(HEADER + usize::from(header.height) * LINK);
            let value = key.add(key_len);
            Entry {
                key: &*slice_from_raw_parts(key, key_len),
                tag: header.tag,
                value: &*slice_from_raw_parts(value, header.value_len as usize),
            }
        }
    }

    fn is_before(&self, node: *mut Node, key: &[u8], tag: u64) -> bool {
        if node.is_null() {
            return true;
        }
        let entry = self.read(node);
        key::compare((entry.key, entry.tag), (key, tag)) == Order::Less
    }

    /// The last node before a key on every level (null is the head); returns the first node at or
    /// behind the key, null at the end.
    ///
    /// That is the node which was compared: the link read once more may show one inserted since,
    /// and that one may be before the key.
    fn find_before(&self, key: &[u8], tag: u64, before: &mut [*mut Node; HEIGHT_MAX]) -> *mut Node {
        let (mut node, mut stop) = (null_mut(), null_mut());
        for level in (0..self.height.load(Ordering::Acquire)).rev() {
            loop {
                let next = self.link(node, level).load(Ordering::Acquire);
                // The node that ended the level above is compared once only.
                if next == stop {
                    break;
                }
                if next.is_null() || !self.is_before(next, key, tag) {
                    stop = next;
                    break;
                }
                node = next;
            }
            before[level] = node;
        }
        stop
    }

    /// The first entry at or behind an internal key.
    pub fn seek(&self, key: &[u8], tag: u64) -> Position {
        Position(self.find_before(key, tag, &mut [null_mut(); HEIGHT_MAX]))
    }

    /// The last entry before an internal key.
    pub fn seek_before(&self, key: &[u8], tag: u64) -> Position {
        let mut before = [null_mut(); HEIGHT_MAX];
        self.find_before(key, tag, &mut before);
        Position(before[0])
    }

    pub fn first(&self) -> Position {
        Position(self.head[0].load(Ordering::Acquire))
    }

    pub fn last(&self) -> Position {
        let mut node = null_mut();
        for level in (0..self.height.load(Ordering::Acquire)).rev() {
            loop {
                let next = self.link(node, level).load(Ordering::Acquire);
                if next.is_null() {
                    break;
                }
                node = next;
            }
        }
        Position(node)
    }

    pub fn next(&self, at: Position) -> Position {
        debug_assert!(!at.is_none(), "there is nothing behind the end");
        Position(self.link(at.0, 0).load(Ordering::Acquire))
    }

    /// What stands at a position of this list.
    pub fn entry(&self, at: Position) -> Option<Entry<'_>> {
        (!at.is_none()).then(|| self.read(at.0))
    }
}

impl Writer {
    /// A height of 1 with probability 3/4, one more with 1/4 each (xorshift32, Marsaglia 2003).
    fn height(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let zeros = (self.random | 1 << 31).trailing_zeros() as usize / 2;
        (1 + zeros).min(HEIGHT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use phantom_base::{Map, Random, SeededRandom};

    use super::*;

    fn collect(list: &SkipList) -> Vec<(Vec<u8>, u64, Vec<u8>)> {
        let mut out = Vec::new();
        let mut at = list.first();
        while let Some(entry) = list.entry(at) {
            out.push((entry.key.to_vec(), entry.tag, entry.value.to_vec()));
            at = list.next(at);
        }
        out
    }

    #[test]
    fn it_holds_what_a_sorted_map_holds_and_seeks_both_ways() {
        let mut random = SeededRandom::new(1);
        for ordered in [true, false] {
            let (list, mut map) = (SkipList::new(), Map::new());
            for i in 0..2_000u64 {
                let key = if ordered { i } else { random.below(500) }.to_be_bytes();
                let value = vec![i as u8; random.below(40) as usize];
                list.insert(&key, i << 8 | 1, &value);
                map.insert((key.to_vec(), std::cmp::Reverse(i << 8 | 1)), value);
            }
            let wanted: Vec<_> =
                map.iter().map(|((k, t), v)| (k.clone(), t.0, v.clone())).collect();
            assert_eq!(collect(&list), wanted);
            assert_eq!(list.entry(list.last()).unwrap().key, wanted.last().unwrap().0);
            for _ in 0..500 {
                let (key, tag) = (random.below(600).to_be_bytes(), random.below(2_000) << 8 | 0xFF);
                let at = wanted
                    .partition_point(|(k, t, _)| key::compare((k, *t), (&key, tag)) == Order::Less);
                let found = list.entry(list.seek(&key, tag)).map(|e| (e.key.to_vec(), e.tag));
                assert_eq!(found, wanted.get(at).map(|w| (w.0.clone(), w.1)));
                let before = list.entry(list.seek_before(&key, tag)).map(|e| e.tag);
                assert_eq!(before, at.checked_sub(1).map(|i| wanted[i].1));
            }
        }
    }

    #[test]
    fn large_values_and_empty_keys_have_room() {
        let list = SkipList::new();
        list.insert(b"", 1 << 8, &vec![3; 3 << 20]);
        list.insert(b"", 2 << 8, b"");
        assert_eq!(collect(&list)[1].2.len(), 3 << 20);
        assert!(list.bytes() > 3 << 20);
    }

    #[test]
    fn a_seek_beside_a_writer_never_stands_on_a_write_newer_than_it_asked_for() {
        let (list, written) = (SkipList::new(), AtomicU64::new(1));
        let total = if cfg!(miri) { 100 } else { 300_000 };
        list.insert(b"k", 1 << 8, b"");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for seq in 2..=total {
                    list.insert(b"k", seq << 8, b"");
                    written.store(seq, Ordering::Release);
                }
            });
            scope.spawn(|| {
                let mut seq = 0;
                while seq < total {
                    seq = written.load(Ordering::Acquire);
                    let found = list.entry(list.seek(b"k", key::read_tag(seq))).unwrap();
                    assert_eq!(key::seq_of(found.tag), seq);
                }
            });
        });
    }

    #[test]
    fn readers_beside_a_writer_see_a_sorted_list_of_whole_entries() {
        let list = SkipList::new();
        let total = if cfg!(miri) { 100 } else { 20_000u64 };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = SeededRandom::new(2);
                for i in 1..=total {
                    let key = random.next_u64().to_be_bytes();
                    list.insert(&key, i << 8 | 1, &key);
                }
            });
            scope.spawn(|| {
                let mut seen = 0;
                while seen < total {
                    let all = collect(&list);
                    assert!(all.len() as u64 >= seen, "entries do not go");
                    assert!(
                        all.windows(2).all(|w| w[0].0 <= w[1].0) && all.iter().all(|e| e.0 == e.2)
                    );
                    seen = all.len() as u64;
                }
            });
        });
    }
}
