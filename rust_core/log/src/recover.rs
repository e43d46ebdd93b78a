//! Opening a log that exists: what is good, what is torn, what is damaged.
//!
//! - A segment that another follows, and every segment up to its trailer, must verify whole.
//! - In the last one, the first bytes that are no frame end the log. If a later frame says that they
//!   were durable, bytes were lost: that is corruption, and the open is refused, naming file and
//!   offset. Else they are a torn tail, none of it was ever acknowledged: a trailer and a sync there.
//! - A file that never got its header holds no frame; it is removed.
//!
//! What was read may come from the page cache alone, if a process was killed and the machine was not;
//! so the last segment is synced in any case before the open says what the log holds.
//!
//! A crash during any of this leaves a log that recovers to the same answer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use phantom_base::{Lsn, mark};
use phantom_vfs::{FileClass, OpenMode, Vfs, VfsFile, read_exact_at, write_all_at};

use crate::frame::{Found, Framing, PAGE};
use crate::header::{FILE_HEADER, FORMAT, FileHeader};
use crate::index::{Index, Segment};
use crate::record::Record;
use crate::{Error, LogOptions, Recovered, Result, codec};

/// The first bytes of a segment.
pub(crate) const MAGIC: [u8; 8] = *b"PHANTLOG";

/// The address of a new database's first segment: 0 stays before everything.
const FIRST_BASE: Lsn = Lsn(PAGE);

/// The file of a segment.
pub(crate) fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.log"))
}

/// Where the log goes on.
pub(crate) struct Outcome {
    pub next: (u64, Lsn),
    pub end: Lsn,
    pub recovered: Recovered,
}

struct Recovery<'a> {
    fs: &'a dyn Vfs,
    dir: &'a Path,
    options: &'a LogOptions,
    index: &'a mut Index,
    sink: &'a mut dyn FnMut(Lsn, Record<'_>) -> Result<()>,
    outcome: Outcome,
}

/// Reads every segment of `dir` into `index`; batches go to `sink`.
pub(crate) fn recover(
    fs: &dyn Vfs,
    dir: &Path,
    options: &LogOptions,
    index: &mut Index,
    sink: &mut dyn FnMut(Lsn, Record<'_>) -> Result<()>,
) -> Result<Outcome> {
    let outcome =
        Outcome { next: (1, FIRST_BASE), end: FIRST_BASE, recovered: Recovered::default() };
    let mut recovery = Recovery { fs, dir, options, index, sink, outcome };
    let numbers = recovery.numbers()?;
    for (i, number) in numbers.iter().enumerate() {
        recovery.segment(*number, i + 1 == numbers.len())?;
    }
    if recovery.index.without_floor() {
        let what = "a stream begins behind entries that nobody released";
        return Err(Error::Corruption { file: dir.to_owned(), offset: 0, what });
    }
    Ok(recovery.outcome)
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::io(format!("{what} {}", path.display()), error)
}

impl Recovery<'_> {
    /// The numbers of the segments, in order and without a gap.
    fn numbers(&self) -> Result<Vec<u64>> {
        let names = self.fs.list(self.dir).map_err(|e| failed("list", self.dir, &e))?;
        let mut numbers: Vec<u64> = names
            .iter()
            .filter_map(|name| name.to_str()?.strip_suffix(".log")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        if let Some(pair) = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
            let file = path_of(self.dir, pair[0] + 1);
            return Err(Error::Corruption { file, offset: 0, what: "a segment is missing" });
        }
        Ok(numbers)
    }

    fn segment(&mut self, number: u64, is_last: bool) -> Result<()> {
        let path = path_of(self.dir, number);
        let mode = if is_last { OpenMode::Write } else { OpenMode::Read };
        let file = self.fs.open(&path, mode, FileClass::Log);
        let file: Arc<dyn VfsFile> = Arc::from(file.map_err(|e| failed("open", &path, &e))?);
        let len = file.len().map_err(|e| failed("measure", &path, &e))?;
        let mut bytes = vec![0; len as usize];
        read_exact_at(&*file, &mut bytes, 0).map_err(|e| failed("read", &path, &e))?;
        let Some(header) = FileHeader::decode(&bytes, MAGIC) else {
            return self.headless(number, &path, &bytes, is_last);
        };
        self.check_header(&header, number, &path)?;
        self.outcome.recovered.bytes += len;

        let framing = Framing::new(&self.options.database, header.base);
        self.index
            .segments
            .insert(header.base, Segment::new(number, header.base, Some(file.clone())));
        let end = match self.records(&framing, &bytes, &path)? {
            Stop::Trailer(end) => {
                if is_last {
                    // A process that was killed may have written it without the sync behind it.
                    file.sync_data().map_err(|e| failed("sync", &path, &e))?;
                }
                end
            }
            Stop::At { bad, end } => {
                if !is_last || framing.proves_durable(&bytes, bad) {
                    let what = if bad < len { "a durable frame" } else { "the trailer is missing" };
                    return Err(Error::Corruption { file: path, offset: bad, what });
                }
                self.outcome.recovered.cut_bytes += len - end.min(len);
                seal(&*file, &framing, end).map_err(|e| failed("seal", &path, &e))?
            }
        };
        let used = len.max(end).max(u64::from(self.options.segment_bytes));
        let end = Lsn(header.base.0 + end);
        self.index.segment_of(header.base).end = end;
        self.outcome.end = end;
        self.outcome.next = (number + 1, Lsn(header.base.0 + used.next_multiple_of(PAGE)));
        Ok(())
    }

    /// A file without a header: a crash while it was made, unless it holds frames.
    fn headless(&mut self, number: u64, path: &Path, bytes: &[u8], is_last: bool) -> Result<()> {
        if !is_last || crate::frame::holds_any_frame(&self.options.database, bytes) {
            let (file, what) = (path.to_owned(), "the file's header");
            return Err(Error::Corruption { file, offset: 0, what });
        }
        mark!("log_file_without_header_removed");
        self.fs.remove(path).map_err(|e| failed("remove", path, &e))?;
        self.fs.sync_dir(self.dir).map_err(|e| failed("sync", self.dir, &e))?;
        self.outcome.next.0 = self.outcome.next.0.max(number);
        Ok(())
    }

    fn check_header(&self, header: &FileHeader, number: u64, path: &Path) -> Result<()> {
        let file = path.to_owned();
        if header.format > FORMAT {
            let what = "the segment is of a newer release";
            return Err(Error::Unsupported { file, offset: 8, what });
        }
        let wrong = if header.database != self.options.database {
            Some("the segment is of another database")
        } else if header.file != number {
            Some("the segment has another number")
        } else if header.base < self.outcome.end {
            Some("the segment begins before its predecessor ends")
        } else {
            None
        };
        wrong.map_or(Ok(()), |what| Err(Error::Corruption { file, offset: 0, what }))
    }

    fn records(&mut self, framing: &Framing, bytes: &[u8], path: &Path) -> Result<Stop> {
        let mut at = FILE_HEADER;
        loop {
            let record = match framing.decode(bytes, at) {
                Found::Record(record) => record,
                Found::End => return Ok(Stop::At { bad: at, end: at }),
                Found::Bad(bad) => return Ok(Stop::At { bad, end: at }),
            };
            if record.kind == codec::TRAILER {
                return Ok(Stop::Trailer(record.end));
            }
            let refuse =
                |what| Error::Corruption { file: path.to_owned(), offset: record.at, what };
            if record.kind == codec::MOVED || record.kind > codec::TRAILER || record.kind == 0 {
                let (file, what) = (path.to_owned(), "a record of this kind is not read");
                return Err(Error::Unsupported { file, offset: record.at, what });
            }
            let mut entries = Vec::new();
            let decoded = codec::decode(record.kind, &record.payload, &mut entries);
            let decoded = decoded.map_err(|_| refuse("a record is shorter than its kind"))?;
            let base = framing.base.0;
            if let Some(found) = decoded {
                let (from, to) = (Lsn(base + record.at), Lsn(base + record.end));
                let applied = self.index.apply(&found, from, to, true);
                applied.map_err(|misfit| refuse(misfit.0))?;
                if let Record::Batch { .. } = found {
                    (self.sink)(to, found)?;
                }
            }
            self.index.shrink_cache(Lsn(u64::MAX));
            at = record.end;
        }
    }
}

enum Stop {
    /// The offset behind the trailer.
    Trailer(u64),
    /// Where bytes are no frame, and where the last whole record ends.
    At { bad: u64, end: u64 },
}

/// Ends a segment at `at`; returns the offset behind the trailer.
fn seal(file: &dyn VfsFile, framing: &Framing, at: u64) -> io::Result<u64> {
    // The trailer says that all before it is durable; after a kill without a crash it may not be yet.
    file.sync_data()?;
    let mut bytes = Vec::new();
    framing.encode(&mut bytes, at, Lsn(framing.base.0 + at), codec::TRAILER, &[]);
    write_all_at(file, &bytes, at)?;
    let end = at + bytes.len() as u64;
    file.set_len(end)?;
    file.sync_data()?;
    Ok(end)
}
