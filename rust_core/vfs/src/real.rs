//! The machine's file system. The only file of the workspace's engine that may name `std::fs`.
//!
//! `sync_data` is fdatasync, `lock` is flock (so a lock dies with its process), `space` is what an
//! unprivileged writer may still use. What is made here is its owner's alone, whatever the umask
//! says: files 0600, directories 0700.
#![expect(clippy::disallowed_methods, reason = "the one place where files are real")]

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use phantom_base::mutant;
use rustix::fs::{FallocateFlags, FlockOperation};

use crate::{Advice, File, FileClass, Lock, OpenMode, Space, Vfs, VfsFile};

/// Reads and writes of the owner.
const FILE_MODE: u32 = 0o600;
/// The same, and the names in it.
const DIR_MODE: u32 = 0o700;
/// Writes of the group and of all others.
const OTHERS_WRITE: u32 = 0o022;
/// All rights.
const MODE_BITS: u32 = 0o7777;

/// The real file system.
#[derive(Clone, Debug)]
pub struct RealFs {
    root: PathBuf,
}

impl RealFs {
    /// `root` is an existing directory on the disk whose room `space` reports; paths given to the
    /// other calls are not relative to it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

struct RealFile(fs::File);

struct RealLock(#[expect(dead_code, reason = "held for its drop, which unlocks")] fs::File);

impl Lock for RealLock {}

impl Vfs for RealFs {
    fn create(&self, path: &Path, _: FileClass) -> io::Result<File> {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(FILE_MODE).open(path)?;
        // A umask may have taken rights of the owner away, which the next start would miss.
        file.set_permissions(fs::Permissions::from_mode(FILE_MODE))?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path, mode: OpenMode, _: FileClass) -> io::Result<File> {
        let file = fs::OpenOptions::new().read(true).write(mode == OpenMode::Write).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(dir)?.map(|entry| entry.map(|e| e.file_name())).collect()
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(DIR_MODE).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(DIR_MODE))
    }

    fn keep_private(&self, dir: &Path) -> io::Result<()> {
        let found = fs::metadata(dir)?;
        if !found.is_dir() {
            return Err(rustix::io::Errno::NOTDIR.into());
        }
        let mode = found.mode() & MODE_BITS;
        let refuse = |why: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        let own = rustix::process::geteuid().as_raw();
        if found.uid() != own {
            return refuse(format!("it belongs to user {}, and this is user {own}", found.uid()));
        }
        if mode & OTHERS_WRITE != 0 {
            let how = "take their rights away with chmod 700, if nothing in it is theirs";
            return refuse(format!("others may write to it (mode {mode:04o}); {how}"));
        }
        if mode != DIR_MODE {
            fs::set_permissions(dir, fs::Permissions::from_mode(DIR_MODE))?;
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path)?;
        file.set_permissions(fs::Permissions::from_mode(FILE_MODE))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(RealLock(file)))
    }

    fn space(&self) -> io::Result<Space> {
        let disk = rustix::fs::statvfs(&self.root)?;
        Ok(Space { free: disk.f_bavail * disk.f_frsize, total: disk.f_blocks * disk.f_frsize })
    }
}

impl VfsFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(buffer, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.0.write_at(bytes, at)
    }

    fn sync_data(&self) -> io::Result<()> {
        if mutant!("sync_does_nothing") {
            return Ok(());
        }
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn allocate(&self, at: u64, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(&self.0, FallocateFlags::empty(), at, len)?)
    }

    fn advise(&self, advice: Advice, at: u64, len: u64) {
        let advice = match advice {
            Advice::Sequential => rustix::fs::Advice::Sequential,
            Advice::Random => rustix::fs::Advice::Random,
            Advice::WillNeed => rustix::fs::Advice::WillNeed,
            Advice::DontNeed => rustix::fs::Advice::DontNeed,
        };
        // Advice that a file system does not take is no error: nothing depends on it.
        let _ = rustix::fs::fadvise(&self.0, at, std::num::NonZeroU64::new(len), advice);
    }
}
