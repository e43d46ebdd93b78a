//! The manifest: which tables there are, and how far the log is in them.
//!
//! ```text
//! manifest-N   file header 64 B (magic PHANTMAN), then edits in the log's frames (kinds below)
//! CURRENT      file header 64 B (magic PHANTCUR) whose file number is N
//! ```
//!
//! - An edit is synced before what it replaces is removed (D4), and files and names are synced before
//!   an edit names them (D3).
//! - Behind each synced edit stands a mark, a frame that knows the edit durable: rot in the last edit
//!   cannot pass for a torn one.
//! - Every open, and every 4 MiB, begins a new manifest with a snapshot of the state; CURRENT goes
//!   over by temp file, sync, rename and a sync of the directory.
//! - The first failed write or sync ends all edits: which of the two states a restart will find is
//!   unknown.

mod edit;

use std::io;
use std::path::{Path, PathBuf};

use phantom_base::Lsn;
use phantom_log::frame::{Found, Framing};
use phantom_log::header::{FILE_HEADER, FORMAT, FileHeader};
use phantom_vfs::{File, FileClass, OpenMode, Vfs, read_exact_at, write_all_at};

pub(crate) use edit::{Edit, Placed, State};

use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"PHANTMAN";
const CURRENT_MAGIC: [u8; 8] = *b"PHANTCUR";
const EDIT: u8 = 1;
const MARK: u8 = 2;
/// Bytes after which a new manifest is begun, if the state is much smaller.
const ROLL_BYTES: u64 = 4 << 20;

pub(crate) struct Manifest {
    dir: PathBuf,
    database: [u8; 16],
    pub number: u64,
    file: File,
    framing: Framing,
    at: u64,
    /// Behind the last synced edit: before its mark, which only the next sync covers.
    durable: Lsn,
    snapshot_bytes: u64,
}

fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("manifest-{number:010}"))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::io(format!("{what} {}", path.display()), error)
}

fn read_all(fs: &dyn Vfs, path: &Path, class: FileClass) -> Result<Option<Vec<u8>>> {
    let file = match fs.open(path, OpenMode::Read, class) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path, &error)),
    };
    let len = file.len().map_err(|e| failed("measure", path, &e))?;
    let mut bytes = vec![0; len as usize];
    read_exact_at(&*file, &mut bytes, 0).map_err(|e| failed("read", path, &e))?;
    Ok(Some(bytes))
}

/// The database's name and the state that its manifest holds; `None` if there is no database yet.
pub(crate) fn load(fs: &dyn Vfs, dir: &Path) -> Result<Option<(u64, [u8; 16], State)>> {
    let current = dir.join("CURRENT");
    let Some(bytes) = read_all(fs, &current, FileClass::Current)? else { return Ok(None) };
    let head = |bytes: &[u8], magic, file: &Path| {
        let corrupt = |what| Error::Corruption { file: file.to_owned(), offset: 0, what };
        let header =
            FileHeader::decode(bytes, magic).ok_or_else(|| corrupt("the file's header"))?;
        if header.format > FORMAT {
            let what = format!("{} is of a newer release", file.display());
            return Err(Error::Unsupported { what });
        }
        Ok(header)
    };
    let pointer = head(&bytes, CURRENT_MAGIC, &current)?;
    let path = path_of(dir, pointer.file);
    let corrupt = |offset, what| Error::Corruption { file: path.clone(), offset, what };
    let bytes = read_all(fs, &path, FileClass::Manifest)?;
    let bytes = bytes.ok_or_else(|| corrupt(0, "the manifest is missing"))?;
    let header = head(&bytes, MAGIC, &path)?;
    if (header.database, header.file) != (pointer.database, pointer.file) {
        return Err(corrupt(0, "the manifest is not the one that CURRENT names"));
    }
    let framing = Framing::new(&header.database, header.base);
    let (mut state, mut at, mut edits) = (State::default(), FILE_HEADER, 0);
    loop {
        match framing.decode(&bytes, at) {
            Found::Record(record) => {
                if record.kind == EDIT {
                    let edit = Edit::decode(&record.payload)
                        .map_err(|_| corrupt(record.at, "an edit is cut short"))?;
                    let edit = edit.ok_or_else(|| Error::Unsupported {
                        what: format!("{} has an edit of a newer release", path.display()),
                    })?;
                    state.apply(&edit).map_err(|what| corrupt(record.at, what))?;
                    edits += 1;
                }
                at = record.end;
            }
            Found::Bad(bad) if framing.proves_durable(&bytes, bad) => {
                return Err(corrupt(bad, "a durable edit"));
            }
            Found::End | Found::Bad(_) => break,
        }
    }
    if edits == 0 {
        // CURRENT named it only after its snapshot was synced.
        return Err(corrupt(FILE_HEADER, "the manifest's snapshot"));
    }
    Ok(Some((pointer.file, header.database, state)))
}

impl Manifest {
    /// Writes a new manifest that holds `state`, and turns CURRENT over to it.
    pub fn begin(
        fs: &dyn Vfs,
        dir: &Path,
        database: [u8; 16],
        number: u64,
        state: &State,
    ) -> io::Result<Self> {
        let path = path_of(dir, number);
        // Addresses differ between manifests, so no frame of one verifies in another.
        let base = Lsn(number << 40);
        let header = FileHeader { magic: MAGIC, format: FORMAT, database, file: number, base };
        let file = fs.create(&path, FileClass::Manifest)?;
        write_all_at(&*file, &header.encode(), 0)?;
        let framing = Framing::new(&database, base);
        let dir = dir.to_owned();
        let mut manifest = Self {
            dir,
            database,
            number,
            file,
            framing,
            at: FILE_HEADER,
            durable: base,
            snapshot_bytes: 0,
        };
        manifest.append(&state.snapshot())?;
        manifest.snapshot_bytes = manifest.at;
        manifest.turn_current(fs)?;
        Ok(manifest)
    }

    fn turn_current(&self, fs: &dyn Vfs) -> io::Result<()> {
        fs.sync_dir(&self.dir)?;
        let temp = self.dir.join(format!("CURRENT-{}.tmp", self.number));
        let file = fs.create(&temp, FileClass::Current)?;
        let header = FileHeader {
            magic: CURRENT_MAGIC,
            format: FORMAT,
            database: self.database,
            file: self.number,
            base: Lsn(0),
        };
        write_all_at(&*file, &header.encode(), 0)?;
        file.sync_data()?;
        fs.rename(&temp, &self.dir.join("CURRENT"))?;
        fs.sync_dir(&self.dir)
    }

    /// Makes an edit durable.
    pub fn append(&mut self, edit: &Edit) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.framing.encode(&mut bytes, self.at, self.durable, EDIT, &edit.encode());
        write_all_at(&*self.file, &bytes, self.at)?;
        self.file.sync_data()?;
        self.at += bytes.len() as u64;
        self.durable = Lsn(self.framing.base.0 + self.at);
        bytes.clear();
        self.framing.encode(&mut bytes, self.at, self.durable, MARK, &[]);
        write_all_at(&*self.file, &bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Makes the mark behind the last edit durable too.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Whether a new manifest would be much smaller.
    pub fn is_long(&self) -> bool {
        self.at > ROLL_BYTES.max(10 * self.snapshot_bytes)
    }
}
