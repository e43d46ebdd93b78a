//! A node's own name before it is a member of a cluster: 16 random bytes, kept in its directory.
//!
//! A formation names its members by these, so that a wiped disk is a new node and not an old one
//! without its votes. The file `candidate` is written once and never changed. A directory that holds
//! what no node puts there is somebody else's, and is refused.
//!
//! ```text
//! candidate   magic 8 | name 16 | crc32c u32 (little endian, over all before it)
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;

use phantom_vfs::{FileClass, OpenMode, Vfs};

const MAGIC: &[u8; 8] = b"phanname";
const FILE: &str = "candidate";
const BYTES: usize = 28;

/// The name of a node.
pub type Name = [u8; 16];

/// The name that a directory has, or `fresh` from now on; durable on return.
///
/// # Errors
/// Those of the file layer; `InvalidData` for a file that is damaged, `PermissionDenied` for a
/// directory that others own or may write to, `DirectoryNotEmpty` for one with files of theirs.
pub fn claim(fs: &Arc<dyn Vfs>, dir: &Path, fresh: Name) -> io::Result<Name> {
    if guard(fs, dir)? {
        refuse_strangers(fs, dir)?;
    }
    let path = dir.join(FILE);
    match fs.open(&path, OpenMode::Read, FileClass::Current) {
        Ok(file) => {
            let mut bytes = [0; BYTES];
            let read = file.read_at(&mut bytes, 0)?;
            parse(bytes.get(..read).unwrap_or_default()).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display()))
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_dir(fs, dir)?;
            write(fs, dir, &fresh)?;
            Ok(fresh)
        }
        Err(error) => Err(error),
    }
}

/// Lets nobody else into a node's directory; whether it is there.
///
/// # Errors
/// `PermissionDenied` for one that others own or may write to.
pub fn guard(fs: &Arc<dyn Vfs>, dir: &Path) -> io::Result<bool> {
    match fs.keep_private(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a node that was ended in the middle of its formation may have left, and what comes with a
/// file system.
fn may_be_there(name: &str) -> bool {
    const NAMES: [&str; 6] = [FILE, "LOCK", "CURRENT", "log", "tables", "lost+found"];
    NAMES.contains(&name)
        || name.starts_with("manifest-")
        || Path::new(name).extension().is_some_and(|extension| extension == "tmp")
}

fn refuse_strangers(fs: &Arc<dyn Vfs>, dir: &Path) -> io::Result<()> {
    let names = fs.list(dir)?;
    let stranger = names.iter().find(|name| !name.to_str().is_some_and(may_be_there));
    stranger.map_or(Ok(()), |name| {
        let why = format!("it holds {}, which no node has put there", name.display());
        Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, why))
    })
}

fn make_dir(fs: &Arc<dyn Vfs>, dir: &Path) -> io::Result<()> {
    match fs.make_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn write(fs: &Arc<dyn Vfs>, dir: &Path, name: &Name) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    // Made aside and renamed: a crash leaves the whole file or none.
    let aside = dir.join("candidate.tmp");
    match fs.remove(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = fs.create(&aside, FileClass::Temp)?;
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        at += file.write_at(rest, at as u64)?;
    }
    file.sync_data()?;
    fs.rename(&aside, &dir.join(FILE))?;
    fs.sync_dir(dir)
}

fn parse(bytes: &[u8]) -> Option<Name> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    let name = content.strip_prefix(MAGIC)?.try_into().ok()?;
    (crc32c::crc32c(content) == u32::from_le_bytes(*crc)).then_some(name)
}

#[cfg(test)]
mod tests {
    use phantom_vfs::RealFs;

    use super::*;

    #[test]
    fn a_directory_keeps_its_first_name_and_damage_is_refused() {
        let root = std::env::temp_dir().join(format!("phantom-claim-{}", std::process::id()));
        let fs: Arc<dyn Vfs> = Arc::new(RealFs::new("/"));
        let dir = root.as_path();
        assert_eq!(claim(&fs, dir, [7; 16]).expect("made"), [7; 16]);
        assert_eq!(claim(&fs, dir, [8; 16]).expect("kept"), [7; 16]);
        let path = dir.join(FILE);
        let file = fs.open(&path, OpenMode::Write, FileClass::Current).expect("there");
        file.write_at(&[0], 12).expect("written");
        let error = claim(&fs, dir, [9; 16]).expect_err("damaged");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        fs.remove(&path).expect("removed");
    }
}
