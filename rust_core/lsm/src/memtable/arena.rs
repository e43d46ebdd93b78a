//! Memory that is handed out in pieces and freed as a whole.
//!
//! Pieces never move, so pointers to them stay good for as long as the arena lives. Chunks double
//! from 16 KiB to 1 MiB; what is larger than a quarter of one gets a chunk of its own.
#![allow(unsafe_code, reason = "hands out raw memory; see the SAFETY comments")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

const ALIGN: usize = 8;
const CHUNK_MIN: usize = 16 << 10;
const CHUNK_MAX: usize = 1 << 20;

#[derive(Default)]
pub(super) struct Arena {
    chunks: Vec<(NonNull<u8>, Layout)>,
    /// The free rest of the last shared chunk.
    next: Option<NonNull<u8>>,
    rest: usize,
    chunk_bytes: usize,
}

// SAFETY: the arena owns its chunks, and nothing in it is bound to a thread.
unsafe impl Send for Arena {}

impl Arena {
    /// `bytes` of memory, aligned to 8, uninitialized, valid until the arena drops.
    pub fn allocate(&mut self, bytes: usize) -> NonNull<u8> {
        let bytes = bytes.next_multiple_of(ALIGN);
        assert!(bytes > 0, "a piece of nothing");
        if bytes > self.rest {
            if bytes > CHUNK_MAX / 4 {
                return self.chunk(bytes);
            }
            let size = (self.chunk_bytes * 2).clamp(CHUNK_MIN, CHUNK_MAX).max(bytes);
            self.next = Some(self.chunk(size));
            (self.rest, self.chunk_bytes) = (size, size);
        }
        let piece = self.next.expect("a chunk was made");
        // SAFETY: `rest >= bytes` bytes lie behind `piece` in its chunk.
        self.next = Some(unsafe { piece.add(bytes) });
        self.rest -= bytes;
        piece
    }

    fn chunk(&mut self, bytes: usize) -> NonNull<u8> {
        let layout = Layout::from_size_align(bytes, ALIGN).expect("a chunk is far below the limit");
        // SAFETY: `bytes` is not 0.
        let chunk = NonNull::new(unsafe { alloc(layout) });
        let chunk = chunk.unwrap_or_else(|| handle_alloc_error(layout));
        self.chunks.push((chunk, layout));
        chunk
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for (chunk, layout) in &self.chunks {
            // SAFETY: allocated in `chunk` with this layout, and freed only here.
            unsafe { dealloc(chunk.as_ptr(), *layout) };
        }
    }
}
