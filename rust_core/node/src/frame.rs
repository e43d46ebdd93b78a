//! Frames between nodes: the unit of checksum, identity and clock.
//!
//! ```text
//! frame     magic u16 | version u8 | kind u8 | cluster u32 | from u32 | to u32 | incarnation u32
//!           hlc u64 | len u32 | crc32c u32, then len bytes of sections          (little endian)
//! section   kind u8 | len u32 | bytes
//! piece     number u64 | offset u32 | total u32 | bytes         (kind PIECE, on stream 1)
//! ```
//!
//! The checksum covers all of the frame but itself. A frame is at most 1 MiB. Whatever is wrong
//! with one is the peer's error and closes the link: nothing of a wrong frame is believed.

use phantom_base::bytes::{Reader, Truncated};
use phantom_base::{ClockAhead, NodeId, SqlState, Timestamp, sqlstate};

/// The first two bytes of every frame.
const MAGIC: u16 = 0xD8F2;
/// The layout drawn above.
const VERSION: u8 = 1;
/// The only kind of frame: sections.
const KIND_SECTIONS: u8 = 1;

/// Bytes before the sections.
pub const HEADER_BYTES: usize = 36;
/// Where the checksum stands in the header.
const CRC_AT: usize = HEADER_BYTES - 4;
/// The largest frame, header included.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Bytes before a section's content.
pub const SECTION_HEADER_BYTES: usize = 5;
/// The largest content of a section.
pub const SECTION_BYTES_MAX: usize = FRAME_BYTES_MAX - HEADER_BYTES - SECTION_HEADER_BYTES;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Parcels of `phantom_raft`, one behind the other.
    Raft,
    /// Parcels about promises between the nodes: signs of life.
    Support,
    /// Parcels about read barriers.
    Barriers,
    /// A request to a group's leader; one a section.
    Requests,
    /// A reply; one a section.
    Replies,
    /// A message of the control plane; one a section.
    Control,
    /// A part of a parcel that is too large to delay what comes behind it.
    Piece,
    /// The sender's physical time and its disk's pace (`replication/clock`).
    Clock,
}

impl Section {
    /// Whether it is no word of Raft's or of the clock's.
    pub fn is_beside_raft(self) -> bool {
        matches!(self, Self::Requests | Self::Replies | Self::Control)
    }

    /// Its byte. 3 is kept for closed timestamps.
    pub fn code(self) -> u8 {
        match self {
            Self::Raft => 1,
            Self::Support => 2,
            Self::Barriers => 4,
            Self::Requests => 5,
            Self::Replies => 6,
            Self::Control => 7,
            Self::Piece => 8,
            Self::Clock => 9,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        let consensus = [Self::Raft, Self::Support, Self::Barriers, Self::Piece, Self::Clock];
        let beside = [Self::Requests, Self::Replies, Self::Control];
        consensus.into_iter().chain(beside).find(|section| section.code() == code)
    }

    /// Whether the contents of neighbours may be joined: those that are sequences of parcels.
    pub fn joins(self) -> bool {
        matches!(self, Self::Raft | Self::Support | Self::Barriers)
    }
}

/// Why bytes of a peer close its link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// It is no frame at all.
    #[error("a frame begins with {0:#06x}")]
    Magic(u16),
    /// It is of a layout that this release does not read.
    #[error("a frame of version {version}, kind {kind}")]
    Version {
        /// Its version.
        version: u8,
        /// Its kind.
        kind: u8,
    },
    /// It is of another cluster.
    #[error("a frame of cluster {0:08x}")]
    Cluster(u32),
    /// It is not from the peer of this link, or not for this node.
    #[error("a frame from {from} to {to}")]
    Node {
        /// Who sent it.
        from: NodeId,
        /// For whom.
        to: NodeId,
    },
    /// It is from another life of the peer than the link's handshake named.
    #[error("a frame of incarnation {got}, the link is of {expected}")]
    Incarnation {
        /// What the frame says.
        got: u32,
        /// What the handshake said.
        expected: u32,
    },
    /// It is over the limit.
    #[error("a frame of {0} bytes")]
    Length(u32),
    /// Its bytes changed on the way.
    #[error("a frame's checksum does not hold")]
    Checksum,
    /// The peer's clock, or ours, is too far off.
    #[error(transparent)]
    Clock(#[from] ClockAhead),
    /// A section ends outside its frame.
    #[error("a section: {0}")]
    Section(#[from] Truncated),
    /// A section that this release does not know.
    #[error("a section of kind {0}")]
    SectionKind(u8),
    /// A parcel that is none.
    #[error("a message: {0}")]
    Parcel(#[from] phantom_raft::MalformedParcel),
    /// A message that cannot be true.
    #[error("a message: {0}")]
    Contradiction(#[from] phantom_raft::Contradiction),
    /// An entry that this release could never apply.
    #[error("a message with an entry that does not read: {0}")]
    Entry(#[from] crate::replication::entry::MalformedEntry),
    /// A physical time of the year 2262 or later.
    #[error("a physical time of {0} ns")]
    Time(u64),
    /// Pieces that do not fit together.
    #[error("a piece out of place")]
    Piece,
    /// A frame began and its end did not come: its length is wrong, or the link is dead.
    #[error("a frame that does not end")]
    Unfinished,
    /// There is no link to that peer, or no such stream.
    #[error("no link to {0}")]
    NoLink(NodeId),
}

impl BadFrame {
    /// The code that travels.
    pub fn sqlstate(&self) -> SqlState {
        sqlstate::PROTOCOL_VIOLATION
    }
}

/// Who may speak on a link, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The cluster, by the number in its frames.
    pub cluster: u32,
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// How often the sender has started.
    pub incarnation: u32,
}

/// Builds one frame from sections.
#[derive(Debug)]
pub struct FrameBuilder {
    bytes: Vec<u8>,
    /// The section that is open, and where its length stands.
    open: Option<(Section, usize)>,
}

impl FrameBuilder {
    /// An empty frame.
    pub fn new(route: &Route, hlc: Timestamp) -> Self {
        let mut bytes = Vec::with_capacity(4096);
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        bytes.extend_from_slice(&[VERSION, KIND_SECTIONS]);
        for number in [route.cluster, route.from.0, route.to.0, route.incarnation] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&hlc.0.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]); // Length and checksum follow in `finish`.
        assert_eq!(bytes.len(), HEADER_BYTES);
        Self { bytes, open: None }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_BYTES
    }

    /// How large the frame would be with this section.
    pub fn len_with(&self, content: &[u8]) -> usize {
        self.bytes.len() + SECTION_HEADER_BYTES + content.len()
    }

    /// Adds a section, or joins its content to the one before.
    pub fn add(&mut self, section: Section, content: &[u8]) {
        let joined = self.open.filter(|(open, _)| *open == section && section.joins());
        let at = joined.map_or_else(
            || {
                self.bytes.push(section.code());
                self.bytes.extend_from_slice(&[0; 4]);
                self.bytes.len() - 4
            },
            |(_, at)| at,
        );
        self.bytes.extend_from_slice(content);
        let len = u32::try_from(self.bytes.len() - at - 4).expect("a frame is at most 1 MiB");
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&len.to_le_bytes());
        }
        self.open = Some((section, at));
        assert!(self.bytes.len() <= FRAME_BYTES_MAX, "{} bytes in a frame", self.bytes.len());
    }

    /// The frame's bytes, sealed.
    pub fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.bytes.len() - HEADER_BYTES).expect("at most 1 MiB");
        let (header, sections) = self.bytes.split_at_mut(HEADER_BYTES);
        header.get_mut(CRC_AT - 4..CRC_AT).expect("a header").copy_from_slice(&len.to_le_bytes());
        let (covered, crc) = header.split_at_mut(CRC_AT);
        crc.copy_from_slice(&checksum(covered, sections).to_le_bytes());
        self.bytes
    }
}

fn checksum(header: &[u8], sections: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header), sections)
}

/// A frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The sender's clock.
    pub hlc: Timestamp,
    /// Kind and content, in order.
    pub sections: Vec<(Section, Vec<u8>)>,
}

/// Cuts a stream of bytes into frames; any split of the bytes gives the same frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Up to where it has been cut; dropped when more comes.
    taken: usize,
}

impl Decoder {
    /// Takes bytes as they come.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a frame has begun and not ended.
    pub fn is_within_frame(&self) -> bool {
        self.taken < self.buffer.len()
    }

    /// The next whole frame; `None` until more bytes come. After an error the link is closed:
    /// where the next frame begins cannot be known.
    pub fn next(&mut self, route: &Route) -> Result<Option<Frame>, BadFrame> {
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        let Some((header, rest)) = rest.split_at_checked(HEADER_BYTES) else { return Ok(None) };
        let (hlc, len, crc) = check_header(header, route)?;
        let Some(sections) = rest.get(..len) else { return Ok(None) };
        let (covered, _) = header.split_at(CRC_AT);
        if checksum(covered, sections) != crc {
            return Err(BadFrame::Checksum);
        }
        let frame = Frame { hlc, sections: split_sections(sections)? };
        self.taken += HEADER_BYTES + len;
        Ok(Some(frame))
    }
}

/// Checks all that a header says before its sections have come.
fn check_header(header: &[u8], route: &Route) -> Result<(Timestamp, usize, u32), BadFrame> {
    let mut r = Reader::new(header);
    let magic = r.u16()?;
    if magic != MAGIC {
        return Err(BadFrame::Magic(magic));
    }
    let [version, kind] = r.array()?;
    if (version, kind) != (VERSION, KIND_SECTIONS) {
        return Err(BadFrame::Version { version, kind });
    }
    let cluster = r.u32()?;
    if cluster != route.cluster {
        return Err(BadFrame::Cluster(cluster));
    }
    let (from, to) = (NodeId(r.u32()?), NodeId(r.u32()?));
    if (from, to) != (route.from, route.to) {
        return Err(BadFrame::Node { from, to });
    }
    let got = r.u32()?;
    if got != route.incarnation {
        return Err(BadFrame::Incarnation { got, expected: route.incarnation });
    }
    let hlc = Timestamp(r.u64()?);
    let len = r.u32()?;
    if len as usize > FRAME_BYTES_MAX - HEADER_BYTES {
        return Err(BadFrame::Length(len));
    }
    Ok((hlc, len as usize, r.u32()?))
}

fn split_sections(bytes: &[u8]) -> Result<Vec<(Section, Vec<u8>)>, BadFrame> {
    let mut r = Reader::new(bytes);
    let mut sections = Vec::new();
    while !r.is_empty() {
        let code = r.u8()?;
        let section = Section::from_code(code).ok_or(BadFrame::SectionKind(code))?;
        let len = r.u32()? as usize;
        sections.push((section, r.take(len)?.to_vec()));
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use phantom_base::{Random, SeededRandom};

    use super::*;

    const ROUTE: Route = Route { cluster: 0xC1, from: NodeId(2), to: NodeId(1), incarnation: 7 };

    fn frame() -> Vec<u8> {
        let mut builder = FrameBuilder::new(&ROUTE, Timestamp::from_ms(5));
        builder.add(Section::Raft, b"one");
        builder.add(Section::Raft, b"two");
        builder.add(Section::Requests, b"three");
        builder.add(Section::Requests, b"");
        builder.finish()
    }

    fn sections() -> Vec<(Section, Vec<u8>)> {
        vec![
            (Section::Raft, b"onetwo".to_vec()),
            (Section::Requests, b"three".to_vec()),
            (Section::Requests, Vec::new()),
        ]
    }

    #[test]
    fn any_split_of_the_bytes_gives_the_same_frames() {
        let bytes = [frame(), frame(), frame()].concat();
        let mut random = SeededRandom::new(3);
        for _ in 0..200 {
            let mut decoder = Decoder::default();
            let mut frames = Vec::new();
            let mut at = 0;
            while at < bytes.len() {
                let n = 1 + random.below(40) as usize;
                decoder.feed(&bytes[at..(at + n).min(bytes.len())]);
                at += n;
                while let Some(frame) = decoder.next(&ROUTE).unwrap() {
                    assert_eq!(frame.hlc, Timestamp::from_ms(5));
                    frames.push(frame.sections);
                }
            }
            assert_eq!(frames, [sections(), sections(), sections()]);
        }
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let whole = frame();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x40;
            let mut decoder = Decoder::default();
            decoder.feed(&changed);
            // A changed length may only make the decoder wait for bytes that never come.
            assert_ne!(decoder.next(&ROUTE).ok().flatten().map(|f| f.sections), Some(sections()));
            decoder.feed(&vec![0; FRAME_BYTES_MAX]);
            assert!(decoder.next(&ROUTE).is_err(), "byte {at}");
        }
    }

    #[test]
    fn frames_of_others_are_refused_by_name() {
        let refused = |route: Route| {
            let mut decoder = Decoder::default();
            decoder.feed(&frame());
            decoder.next(&route).unwrap_err()
        };
        assert_eq!(refused(Route { cluster: 9, ..ROUTE }), BadFrame::Cluster(0xC1));
        let node = BadFrame::Node { from: NodeId(2), to: NodeId(1) };
        assert_eq!(refused(Route { to: NodeId(3), ..ROUTE }), node);
        assert_eq!(refused(Route { from: NodeId(3), ..ROUTE }), node);
        let incarnation = BadFrame::Incarnation { got: 7, expected: 8 };
        assert_eq!(refused(Route { incarnation: 8, ..ROUTE }), incarnation);
    }
}
