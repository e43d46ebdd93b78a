//! The file layer: the one way from the engine to a disk, real or simulated.
//!
//! - `RealFs` is the machine's file system; `real.rs` is the only file that may name `std::fs`.
//! - `SimFs` keeps, per inode and per directory, what would survive a power cut apart from what
//!   would not, and can be crashed at any call into any image that a disk may leave behind.
//! - `WatchedFs` knows how long a disk has not answered.
//! - Faults are a script in one text form (`FaultScript`), used by tests, scenarios and replays.
//!
//! All calls are synchronous and object-safe. Reads and writes may be short: `read_exact_at` and
//! `write_all_at` repeat them. A name is durable after `sync_dir` of its directory, content and
//! length after `sync_data` of the file; neither brings the other.
//!
//! This crate must not know what is in a file.

mod fault;
mod glob;
mod real;
mod sim;
mod watched;

use std::ffi::OsString;
use std::io;
use std::path::Path;

pub use fault::{Action, FaultScript, FaultSyntax, Op, Rule, SimErrno};
pub use real::RealFs;
pub use sim::{Crash, SimFs};
pub use watched::{Pending, WatchedFs};

/// What a file is for; faults and statistics are told apart by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileClass {
    /// A segment of the log.
    Log,
    /// An immutable sorted table.
    Table,
    /// The list of tables.
    Manifest,
    /// The pointer to the manifest.
    Current,
    /// The file that keeps a second process out.
    Lock,
    /// A file that is removed at open.
    Temp,
    /// A file of a flush hook, derived from rows.
    Derived,
}

/// How an existing file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Reads only.
    Read,
    /// Reads and writes.
    Write,
}

/// What the page cache is told about a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// It will be read from front to back.
    Sequential,
    /// It will be read in no order.
    Random,
    /// It will be read soon.
    WillNeed,
    /// It will not be read soon.
    DontNeed,
}

/// Room on the disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What may still be written.
    pub free: u64,
    /// The size of the disk.
    pub total: u64,
}

/// A held lock; dropping it lets go.
pub trait Lock: Send + Sync {}

/// An open file, shared by reference between threads.
pub type File = Box<dyn VfsFile>;

/// A file system. Paths are taken as they are given.
pub trait Vfs: Send + Sync {
    /// Makes a new file, open for reading and writing; `AlreadyExists` if the name is taken.
    fn create(&self, path: &Path, class: FileClass) -> io::Result<File>;
    /// Opens a file that exists.
    fn open(&self, path: &Path, mode: OpenMode, class: FileClass) -> io::Result<File>;
    /// Gives a file another name, over whatever had it, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file one more name.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a file's name away; open handles go on.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no promised order.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;
    /// Makes a directory; `AlreadyExists` if the name is taken.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Lets nobody but its owner into a directory; `PermissionDenied`, in words, where others could
    /// have put something into it: it is another user's, or they may write to it.
    fn keep_private(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Locks a file, made if absent; `WouldBlock` while somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
    /// Room on the disk.
    fn space(&self) -> io::Result<Space>;
}

/// An open file.
pub trait VfsFile: Send + Sync {
    /// Reads at `at`; may be short, 0 at or past the end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes at `at`, extending the file; may be short.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;
    /// Makes content and length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes content, length and times durable.
    fn sync_all(&self) -> io::Result<()>;
    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the length is zero.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reserves blocks for a range; extends the file with zeros if it ends earlier.
    fn allocate(&self, at: u64, len: u64) -> io::Result<()>;
    /// Tells the page cache what to expect; never fails.
    fn advise(&self, advice: Advice, at: u64, len: u64);
}

/// Reads exactly `buffer`; `UnexpectedEof` if the file ends before.
pub fn read_exact_at(file: &dyn VfsFile, buffer: &mut [u8], at: u64) -> io::Result<()> {
    let wanted = buffer.len();
    if read_up_to(file, buffer, at)? < wanted {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Reads until `buffer` is full or the file ends; returns how much there was.
pub fn read_up_to(file: &dyn VfsFile, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all of `bytes`, repeating short writes.
pub fn write_all_at(file: &dyn VfsFile, bytes: &[u8], at: u64) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write_at(rest, at + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
