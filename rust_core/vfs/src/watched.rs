//! A file layer that knows how long its disk has not answered.
//!
//! A disk that hangs returns no error: whoever called it waits. So each call that changes something
//! is noted while it is under way, and anybody may ask how old the oldest is. Reads are not noted:
//! many are answered by memory, and what they wait for is a disk whose writes wait too.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

use phantom_base::sync::Mutex;
use phantom_base::{Clock, Map, Nanos};

use crate::{Advice, File, FileClass, Lock, OpenMode, Space, Vfs, VfsFile};

/// Calls that have not come back, with when they were made.
pub struct Pending {
    clock: Arc<dyn Clock>,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    next: u64,
    /// Numbers rise with time: the first is the oldest.
    since: Map<u64, Nanos>,
}

impl Pending {
    /// How long the oldest call has been under way; 0 if there is none.
    pub fn oldest(&self) -> Nanos {
        let now = self.clock.monotonic_ns();
        let since = self.calls.lock().since.first_key_value().map(|(_, since)| *since);
        since.map_or(0, |since| now.saturating_sub(since))
    }

    fn during<T>(&self, call: impl FnOnce() -> T) -> T {
        struct Ended<'a>(&'a Pending, u64);
        impl Drop for Ended<'_> {
            fn drop(&mut self) {
                self.0.calls.lock().since.remove(&self.1);
            }
        }
        let now = self.clock.monotonic_ns();
        let mut calls = self.calls.lock();
        let number = calls.next;
        calls.next += 1;
        calls.since.insert(number, now);
        drop(calls);
        let _ended = Ended(self, number);
        call()
    }
}

/// A file layer whose calls are noted.
pub struct WatchedFs {
    fs: Arc<dyn Vfs>,
    pending: Arc<Pending>,
}

impl WatchedFs {
    /// Notes the calls to `fs` by `clock`'s monotonic time.
    pub fn new(fs: Arc<dyn Vfs>, clock: Arc<dyn Clock>) -> Self {
        Self { fs, pending: Arc::new(Pending { clock, calls: Mutex::default() }) }
    }

    /// What is under way.
    pub fn pending(&self) -> Arc<Pending> {
        Arc::clone(&self.pending)
    }

    fn watch(&self, file: File) -> File {
        Box::new(WatchedFile { file, pending: self.pending() })
    }
}

impl Vfs for WatchedFs {
    fn create(&self, path: &Path, class: FileClass) -> io::Result<File> {
        self.pending.during(|| self.fs.create(path, class)).map(|file| self.watch(file))
    }
    fn open(&self, path: &Path, mode: OpenMode, class: FileClass) -> io::Result<File> {
        self.fs.open(path, mode, class).map(|file| self.watch(file))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pending.during(|| self.fs.rename(from, to))
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pending.during(|| self.fs.link(from, to))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.pending.during(|| self.fs.remove(path))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.fs.list(dir)
    }
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.pending.during(|| self.fs.make_dir(path))
    }
    fn keep_private(&self, dir: &Path) -> io::Result<()> {
        self.pending.during(|| self.fs.keep_private(dir))
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.pending.during(|| self.fs.sync_dir(dir))
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.fs.lock(path)
    }
    fn space(&self) -> io::Result<Space> {
        self.fs.space()
    }
}

struct WatchedFile {
    file: File,
    pending: Arc<Pending>,
}

impl VfsFile for WatchedFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(buffer, at)
    }
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.pending.during(|| self.file.write_at(bytes, at))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.pending.during(|| self.file.sync_data())
    }
    fn sync_all(&self) -> io::Result<()> {
        self.pending.during(|| self.file.sync_all())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.pending.during(|| self.file.set_len(len))
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn allocate(&self, at: u64, len: u64) -> io::Result<()> {
        self.pending.during(|| self.file.allocate(at, len))
    }
    fn advise(&self, advice: Advice, at: u64, len: u64) {
        self.file.advise(advice, at, len);
    }
}

#[cfg(test)]
mod tests {
    use phantom_base::sync::{AtomicU64, Ordering};

    use super::*;
    use crate::SimFs;

    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn wall_ns(&self) -> Nanos {
            0
        }
        fn monotonic_ns(&self) -> Nanos {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn the_oldest_call_under_way_is_told_and_none_that_has_come_back() {
        let clock = Arc::new(Hand(AtomicU64::new(100)));
        let fs = WatchedFs::new(Arc::new(SimFs::new(1)), Arc::clone(&clock) as _);
        let pending = fs.pending();
        let file = fs.create(Path::new("file"), FileClass::Log).unwrap();
        file.write_at(b"x", 0).unwrap();
        assert_eq!(pending.oldest(), 0, "both have come back");
        pending.during(|| {
            clock.0.store(130, Ordering::Relaxed);
            pending.during(|| {
                clock.0.store(150, Ordering::Relaxed);
                assert_eq!(pending.oldest(), 50);
            });
            assert_eq!(pending.oldest(), 50, "a younger one came back");
        });
        assert_eq!(pending.oldest(), 0);
        let failed = pending.during(|| fs.remove(Path::new("nothing")));
        assert!(failed.is_err());
        assert_eq!(pending.oldest(), 0, "a call that failed has come back too");
    }
}
