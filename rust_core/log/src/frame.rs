//! Frames: how a record lies in a file, so that its bytes prove where they belong.
//!
//! ```text
//! file     header 64 B, then pages of 32 KiB; a frame lies in one page; a rest under 24 B is zero
//! frame    crc32c u32 | length u16 | part u8 | kind u8 | lsn u64 | durable u64 | payload
//! part     1 whole, 2 first, 3 middle, 4 last
//! ```
//!
//! Little endian. The crc is seeded with the database's name and covers all after itself; `lsn` is
//! the frame's own address (base of the file plus offset), so stale, misdirected or foreign bytes
//! never verify. `durable` is an address below which everything was known durable when the frame was
//! made: a later frame with a larger one proves that damaged bytes were not merely torn.
//!
//! The manifest is written in the same frames. Nothing here knows what a payload means.

use std::borrow::Cow;

use phantom_base::Lsn;
use phantom_base::bytes::Reader;

/// Bytes of a page.
pub const PAGE: u64 = 32 << 10;
/// Bytes of a frame before its payload.
pub const FRAME_HEADER: u64 = 24;

const WHOLE: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// What frames of one file have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    seed: u32,
    /// The address of the file's first byte.
    pub base: Lsn,
}

/// A frame that verified.
struct Frame<'a> {
    part: u8,
    kind: u8,
    durable: Lsn,
    payload: &'a [u8],
    /// The offset behind it.
    end: u64,
}

/// A record that verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    /// What it is.
    pub kind: u8,
    /// The offset of its first frame.
    pub at: u64,
    /// The offset behind its last frame.
    pub end: u64,
    /// Its content.
    pub payload: Cow<'a, [u8]>,
}

/// What stands at an offset.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A record.
    Record(Framed<'a>),
    /// The end of the file, with no byte left over.
    End,
    /// Bytes that are no frame, at this offset.
    Bad(u64),
}

impl Framing {
    /// The framing of the file whose first byte has the address `base`.
    pub fn new(database: &[u8; 16], base: Lsn) -> Self {
        Self { seed: crc32c::crc32c(database), base }
    }

    /// Appends a record's frames to `out`, whose end has the file offset `at`. Returns the offset of
    /// its first frame.
    pub fn encode(
        &self,
        out: &mut Vec<u8>,
        at: u64,
        durable: Lsn,
        kind: u8,
        payload: &[u8],
    ) -> u64 {
        let (mut at, mut rest, mut start) = (at, payload, None);
        loop {
            let room = PAGE - at % PAGE;
            if room < FRAME_HEADER {
                out.resize(out.len() + room as usize, 0);
                at += room;
                continue;
            }
            let (piece, later) = rest.split_at(rest.len().min((room - FRAME_HEADER) as usize));
            let part = match (start.is_none(), later.is_empty()) {
                (true, true) => WHOLE,
                (true, false) => FIRST,
                (false, false) => MIDDLE,
                (false, true) => LAST,
            };
            start = start.or(Some(at));
            self.encode_frame(out, at, durable, [part, kind], piece);
            at += FRAME_HEADER + piece.len() as u64;
            rest = later;
            if let (Some(start), true) = (start, rest.is_empty()) {
                return start;
            }
        }
    }

    fn encode_frame(
        &self,
        out: &mut Vec<u8>,
        at: u64,
        durable: Lsn,
        part_and_kind: [u8; 2],
        piece: &[u8],
    ) {
        let mut header = [0; FRAME_HEADER as usize];
        header[4..6].copy_from_slice(&(piece.len() as u16).to_le_bytes());
        header[6..8].copy_from_slice(&part_and_kind);
        header[8..16].copy_from_slice(&(self.base.0 + at).to_le_bytes());
        header[16..24].copy_from_slice(&durable.0.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(self.seed, &header[4..]), piece);
        header[..4].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(piece);
    }

    /// Reads the record at `at`; `bytes` is the file from its first byte on.
    pub fn decode<'a>(&self, bytes: &'a [u8], at: u64) -> Found<'a> {
        let (mut at, mut start, mut whole) = (at, None, Vec::new());
        loop {
            let rest = bytes.get(at as usize..).unwrap_or_default();
            if rest.is_empty() && start.is_none() {
                return Found::End;
            }
            let room = PAGE - at % PAGE;
            if room < FRAME_HEADER {
                match rest.get(..room as usize) {
                    Some(gap) if gap.iter().all(|byte| *byte == 0) => at += room,
                    _ => return Found::Bad(at),
                }
                continue;
            }
            let Some(frame) = self.frame(bytes, at) else { return Found::Bad(at) };
            let (kind, end) = (frame.kind, frame.end);
            match (frame.part, start) {
                (WHOLE, None) => {
                    let payload = Cow::Borrowed(frame.payload);
                    return Found::Record(Framed { kind, at, end, payload });
                }
                (FIRST, None) => start = Some((at, kind)),
                (MIDDLE, Some((_, of))) if of == kind => {}
                (LAST, Some((at, of))) if of == kind => {
                    whole.extend_from_slice(frame.payload);
                    return Found::Record(Framed { kind, at, end, payload: Cow::Owned(whole) });
                }
                _ => return Found::Bad(at),
            }
            whole.extend_from_slice(frame.payload);
            at = end;
        }
    }

    fn frame<'a>(&self, bytes: &'a [u8], at: u64) -> Option<Frame<'a>> {
        let rest = bytes.get(at as usize..)?;
        let mut reader = Reader::new(rest);
        let crc = reader.u32().ok()?;
        let length = reader.u16().ok()?;
        let [part, kind] = reader.array().ok()?;
        let (lsn, durable) = (reader.u64().ok()?, reader.u64().ok()?);
        let end = at + FRAME_HEADER + u64::from(length);
        if lsn != self.base.0 + at || end > (at / PAGE + 1) * PAGE {
            return None;
        }
        let covered = rest.get(4..FRAME_HEADER as usize + usize::from(length))?;
        if crc32c::crc32c_append(self.seed, covered) != crc {
            return None;
        }
        let payload = covered.get(FRAME_HEADER as usize - 4..)?;
        Some(Frame { part, kind, durable: Lsn(durable), payload, end })
    }

    /// Whether a frame behind `bad` says that the bytes at `bad` were durable once. Its own address
    /// in it is the mark by which a frame is found at any offset.
    pub fn proves_durable(&self, bytes: &[u8], bad: u64) -> bool {
        let lost = Lsn(self.base.0 + bad);
        let marks = bytes.get(bad as usize + 8..).unwrap_or_default().windows(8);
        marks.zip(bad..).any(|(mark, at)| {
            mark == (self.base.0 + at).to_le_bytes()
                && self.frame(bytes, at).is_some_and(|frame| frame.durable > lost)
        })
    }
}

/// Whether any frame of the database stands in `bytes`, whatever base its file has.
pub(crate) fn holds_any_frame(database: &[u8; 16], bytes: &[u8]) -> bool {
    let marks = bytes.windows(8).skip(8).zip(0u64..);
    marks.into_iter().any(|(mark, at)| {
        let lsn = u64::from_le_bytes(mark.try_into().expect("windows of eight"));
        lsn.checked_sub(at)
            .is_some_and(|base| Framing::new(database, Lsn(base)).frame(bytes, at).is_some())
    })
}

/// The offset behind a record of `payload` bytes that is encoded at `at`.
pub fn end_of(at: u64, payload: usize) -> u64 {
    let (mut at, mut rest) = (at, payload as u64);
    loop {
        let room = PAGE - at % PAGE;
        if room < FRAME_HEADER {
            at += room;
            continue;
        }
        let piece = rest.min(room - FRAME_HEADER);
        at += FRAME_HEADER + piece;
        rest -= piece;
        if rest == 0 {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Lsn = Lsn(1 << 20);

    #[test]
    fn records_of_any_size_at_any_offset_come_back() {
        let framing = Framing::new(&[7; 16], BASE);
        for size in [0, 1, 100, 32_679, 32_680, 32_681, 100_000] {
            for at in [64, PAGE - 30, PAGE - 24, PAGE - 23, PAGE - 1, PAGE] {
                let payload: Vec<u8> = (0..size).map(|i| i as u8).collect();
                let mut file = vec![0; at as usize];
                let start = framing.encode(&mut file, at, Lsn(9), 5, &payload);
                assert_eq!(file.len() as u64, end_of(at, size), "{size} at {at}");
                let Found::Record(record) = framing.decode(&file, at) else {
                    panic!("{size} at {at} is bad")
                };
                assert_eq!((record.at, record.end, record.kind), (start, file.len() as u64, 5));
                assert_eq!(&*record.payload, &payload);
                assert_eq!(framing.decode(&file, file.len() as u64), Found::End);
            }
        }
    }

    #[test]
    fn any_flipped_bit_and_any_wrong_place_is_noticed() {
        let framing = Framing::new(&[7; 16], BASE);
        let mut file = vec![0; PAGE as usize - 10];
        framing.encode(&mut file, PAGE - 10, Lsn(0), 1, b"payload");
        for i in PAGE as usize - 10..file.len() {
            file[i] ^= 0x10;
            assert!(matches!(framing.decode(&file, PAGE - 10), Found::Bad(_)), "byte {i}");
            file[i] ^= 0x10;
        }
        let elsewhere = Framing::new(&[7; 16], Lsn(BASE.0 + PAGE));
        let foreign = Framing::new(&[8; 16], BASE);
        for other in [elsewhere, foreign] {
            assert!(matches!(other.decode(&file, PAGE - 10), Found::Bad(_)));
        }
    }

    #[test]
    fn a_later_frame_that_knew_more_durable_proves_the_damage() {
        let framing = Framing::new(&[7; 16], BASE);
        for (durable, proof) in [(BASE.0, false), (BASE.0 + 100, true)] {
            let mut file = Vec::new();
            framing.encode(&mut file, 0, BASE, 1, b"one");
            let end = file.len() as u64;
            framing.encode(&mut file, end, Lsn(durable), 1, b"two");
            file[25] ^= 1;
            assert_eq!(framing.decode(&file, 0), Found::Bad(0));
            assert_eq!(framing.proves_durable(&file, 0), proof);
        }
        let mut file = vec![1; 50];
        assert!(!holds_any_frame(&[7; 16], &file));
        framing.encode(&mut file, 50, BASE, 1, b"one");
        assert!(holds_any_frame(&[7; 16], &file) && !holds_any_frame(&[8; 16], &file));
    }
}
