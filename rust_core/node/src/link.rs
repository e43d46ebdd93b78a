//! One peer as this node sees it: what waits to be sent to it, and what of its bytes is not yet
//! a whole frame.
//!
//! Stream 0 carries control and Raft, stream 1 bulk, so that bulk delays no vote. Each stream has
//! a queue with a bound; what does not fit is refused, and a Raft message that does not fit is
//! dropped, as on a network. Signs of life (heartbeats, their answers, what is told of the clock) wait
//! behind nothing: the newest of each leaves first, also while the clock may not be shown. A parcel with an entry over 512 KiB travels in pieces on stream 1
//! and is handed on when it is whole.

use std::collections::VecDeque;

use phantom_base::bytes::Reader;
use phantom_base::{Nanos, NodeId, Timestamp, mark};
use phantom_raft::{Parcel, decode_parcel, encode_parcel, encoded_len, is_parting};

use crate::frame::{
    BadFrame, Decoder, FRAME_BYTES_MAX, Frame, FrameBuilder, Route, SECTION_BYTES_MAX, Section,
};

/// Streams of a link.
pub const STREAMS: usize = 2;
/// Control and Raft.
pub const STREAM_CONTROL: u8 = 0;
/// Bulk: large entries, batches of queries.
pub const STREAM_BULK: u8 = 1;

/// A parcel above this travels in pieces: one entry of over 512 KiB, and what is around it.
const WHOLE_BYTES_MAX: usize = (512 << 10) + 65;
/// Content of one piece.
const PIECE_BYTES: usize = 256 << 10;
const PIECE_HEADER_BYTES: usize = 16;
/// The largest parcel that is put together: one entry of 20 MiB and what is around it.
const ASSEMBLED_BYTES_MAX: usize = (20 << 20) + (64 << 10);

/// A frame must have come whole so long after its first byte: 1 MiB at 100 KiB/s. A length that
/// changed on the way would otherwise swallow all that follows it, up to a megabyte.
const FRAME_TIME_MAX_NS: Nanos = 10_000_000_000;

/// Nothing was queued: the peer does not take bytes as fast as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue to the peer is full, or the message is over 1 MiB")]
pub struct QueueFull;

/// The newest heartbeat and the newest answer to one, which say all that older ones did; and so with
/// what is promised between the nodes.
#[derive(Debug, Default)]
struct Beats {
    heartbeat: Option<Vec<u8>>,
    answer: Option<Vec<u8>>,
    asked: Option<Vec<u8>>,
    given: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct OutQueue {
    waiting: VecDeque<(Section, Vec<u8>)>,
    bytes: usize,
}

/// A parcel of which pieces have come.
#[derive(Debug)]
struct Assembly {
    number: u64,
    total: usize,
    bytes: Vec<u8>,
}

/// What came from a peer, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Inbound {
    /// For the Raft machine.
    Parcel(Parcel),
    /// For whoever reads that section.
    Payload(Section, Vec<u8>),
}

/// A link to one peer.
#[derive(Debug)]
pub struct Link {
    /// What our frames say.
    out_route: Route,
    /// What its frames must say; `None` while it is not connected.
    in_route: Option<Route>,
    out: [OutQueue; STREAMS],
    beats: Beats,
    decoders: [Decoder; STREAMS],
    /// When the frame that is coming in on each stream began.
    began_at: [Option<Nanos>; STREAMS],
    /// When a frame came last.
    heard_at: Option<Nanos>,
    assembly: Option<Assembly>,
    next_piece: u64,
    /// Bound of each out-queue in bytes.
    queue_bytes_max: usize,
}

impl Link {
    /// A link that is not connected; `route` is what its outgoing frames say.
    pub fn new(route: Route, queue_bytes_max: usize) -> Self {
        Self {
            out_route: route,
            in_route: None,
            out: Default::default(),
            beats: Beats::default(),
            decoders: Default::default(),
            began_at: Default::default(),
            heard_at: None,
            assembly: None,
            next_piece: 0,
            queue_bytes_max,
        }
    }

    /// The peer has shaken hands as its `incarnation`-th life. What waited for an older
    /// connection is dropped: half of it may have been sent.
    pub fn connect(&mut self, incarnation: u32) {
        self.disconnect();
        let Route { cluster, from, to, .. } = self.out_route;
        self.in_route = Some(Route { cluster, from: to, to: from, incarnation });
    }

    /// The connection is gone.
    pub fn disconnect(&mut self) {
        self.in_route = None;
        self.out = Default::default();
        self.beats = Beats::default();
        self.decoders = Default::default();
        self.began_at = Default::default();
        self.heard_at = None;
        self.assembly = None;
    }

    /// Whether the peer has shaken hands.
    pub fn is_connected(&self) -> bool {
        self.in_route.is_some()
    }

    /// When the peer last said anything on this link.
    pub fn heard_at(&self) -> Option<Nanos> {
        self.heard_at
    }

    /// Whether bytes wait on a stream.
    pub fn has_out(&self, stream: u8) -> bool {
        self.out.get(usize::from(stream)).is_some_and(|queue| !queue.waiting.is_empty())
    }

    /// Whether a heartbeat or an answer to one waits.
    pub fn has_beats(&self) -> bool {
        let Beats { heartbeat, answer, asked, given } = &self.beats;
        [heartbeat, answer, asked, given].into_iter().any(Option::is_some)
    }

    /// Queues a parcel, unless the peer is away or its queue is full: Raft sends again.
    pub fn send_parcel(&mut self, parcel: &Parcel) {
        if !self.is_connected() {
            return;
        }
        let mut bytes = Vec::with_capacity(encoded_len(parcel));
        encode_parcel(parcel, &mut bytes);
        match parcel {
            Parcel::Heartbeat(_) => return self.beats.heartbeat = Some(bytes),
            Parcel::HeartbeatAnswer(_) => return self.beats.answer = Some(bytes),
            Parcel::SupportAsked(_) => return self.beats.asked = Some(bytes),
            Parcel::SupportGiven(_) => return self.beats.given = Some(bytes),
            Parcel::Group(_) => {}
        }
        let sent = if bytes.len() > WHOLE_BYTES_MAX {
            self.send_pieces(&bytes)
        } else {
            let about_reads = matches!(parcel, Parcel::Group(m) if m.body.is_barrier());
            let section = if about_reads { Section::Barriers } else { Section::Raft };
            self.send(STREAM_CONTROL, section, bytes)
        };
        if sent.is_err() {
            mark!("parcel_dropped_before_a_full_queue");
        }
    }

    fn send_pieces(&mut self, bytes: &[u8]) -> Result<(), QueueFull> {
        let [_, bulk] = &self.out;
        if bulk.bytes + bytes.len() > self.queue_bytes_max {
            return Err(QueueFull);
        }
        self.next_piece += 1;
        let total = u32::try_from(bytes.len()).expect("an entry is at most 20 MiB");
        let mut offset = 0_u32;
        for chunk in bytes.chunks(PIECE_BYTES) {
            let mut piece = Vec::with_capacity(PIECE_HEADER_BYTES + chunk.len());
            piece.extend_from_slice(&self.next_piece.to_le_bytes());
            piece.extend_from_slice(&offset.to_le_bytes());
            piece.extend_from_slice(&total.to_le_bytes());
            piece.extend_from_slice(chunk);
            self.push(STREAM_BULK, Section::Piece, piece);
            offset += chunk.len() as u32;
        }
        Ok(())
    }

    /// Queues the content of a section; refused whole if it is too large or the queue is full.
    pub fn send(&mut self, stream: u8, section: Section, bytes: Vec<u8>) -> Result<(), QueueFull> {
        let queue = self.out.get(usize::from(stream)).ok_or(QueueFull)?;
        let full = queue.bytes > 0 && queue.bytes + bytes.len() > self.queue_bytes_max;
        if full || bytes.len() > SECTION_BYTES_MAX || !self.is_connected() {
            return Err(QueueFull);
        }
        self.push(stream, section, bytes);
        Ok(())
    }

    fn push(&mut self, stream: u8, section: Section, bytes: Vec<u8>) {
        let queue = self.out.get_mut(usize::from(stream)).expect("checked by the caller");
        queue.bytes += bytes.len();
        queue.waiting.push_back((section, bytes));
    }

    /// Takes a frame of signs of life, if there are any; `clock` is what is told of the clock. Nothing
    /// in it depends on `hlc`, which is the least there is while the clock may not be shown.
    pub fn take_beats(&mut self, clock: Option<Vec<u8>>, hlc: Timestamp) -> Option<Vec<u8>> {
        let mut builder = FrameBuilder::new(&self.out_route, hlc);
        if let Some(clock) = clock {
            builder.add(Section::Clock, &clock);
        }
        let Beats { heartbeat, answer, asked, given } = std::mem::take(&mut self.beats);
        for promise in [asked, given].into_iter().flatten() {
            builder.add(Section::Support, &promise);
        }
        for beat in [heartbeat, answer].into_iter().flatten() {
            builder.add(Section::Raft, &beat);
        }
        (!builder.is_empty()).then(|| builder.finish())
    }

    /// Takes frames of up to `limit` bytes in all, at least one frame if anything waits.
    pub fn take_out(&mut self, stream: u8, limit: usize, hlc: Timestamp) -> Option<Vec<u8>> {
        let queue = self.out.get_mut(usize::from(stream))?;
        let mut taken = Vec::new();
        while !queue.waiting.is_empty() {
            let room = if taken.is_empty() {
                limit.clamp(HEADER_ROOM, FRAME_BYTES_MAX)
            } else {
                limit.saturating_sub(taken.len()).min(FRAME_BYTES_MAX)
            };
            let mut builder = FrameBuilder::new(&self.out_route, hlc);
            while let Some((section, bytes)) = queue.waiting.front() {
                let fits = builder.len_with(bytes) <= room;
                let must = taken.is_empty() && builder.is_empty();
                if !fits && !must {
                    break;
                }
                builder.add(*section, bytes);
                queue.bytes -= bytes.len();
                queue.waiting.pop_front();
            }
            if builder.is_empty() {
                break;
            }
            taken.extend(builder.finish());
        }
        (!taken.is_empty()).then_some(taken)
    }

    /// Whether something waits on a stream that needs no stamp.
    pub fn has_beside(&self, stream: u8) -> bool {
        let queue = self.out.get(usize::from(stream));
        queue.is_some_and(|queue| queue.waiting.iter().any(needs_no_stamp))
    }

    /// Takes what travels beside Raft, in frames without a stamp: statements and control messages
    /// hold what stamps they need themselves. So leaves the word of a leader that goes; all else of
    /// Raft's waits on, in its order.
    pub fn take_beside(&mut self, stream: u8, limit: usize) -> Option<Vec<u8>> {
        let queue = self.out.get_mut(usize::from(stream))?;
        let waiting = std::mem::take(&mut queue.waiting);
        let (beside, rafts): (VecDeque<_>, VecDeque<_>) =
            waiting.into_iter().partition(needs_no_stamp);
        queue.waiting = beside;
        let taken = self.take_out(stream, limit, Timestamp::MIN);
        let queue = self.out.get_mut(usize::from(stream))?;
        queue.waiting.extend(rafts);
        taken
    }

    /// Takes bytes of the peer; whole frames come out of `next_frame`.
    pub fn feed(&mut self, stream: u8, bytes: &[u8]) -> Result<(), BadFrame> {
        let peer = self.out_route.to;
        let decoder = self.decoders.get_mut(usize::from(stream));
        let decoder = decoder.filter(|_| self.in_route.is_some()).ok_or(BadFrame::NoLink(peer))?;
        decoder.feed(bytes);
        Ok(())
    }

    /// The next whole frame of a stream. `now` is monotonic.
    pub fn next_frame(&mut self, stream: u8, now: Nanos) -> Result<Option<Frame>, BadFrame> {
        // Of either stream: on one that nothing follows nobody would look again.
        if self.began_at.iter().flatten().any(|at| now.saturating_sub(*at) > FRAME_TIME_MAX_NS) {
            mark!("frame_that_does_not_end");
            return Err(BadFrame::Unfinished);
        }
        let at = usize::from(stream);
        let (Some(route), Some(decoder), Some(began_at)) =
            (&self.in_route, self.decoders.get_mut(at), self.began_at.get_mut(at))
        else {
            return Err(BadFrame::NoLink(self.out_route.to));
        };
        let frame = decoder.next(route)?;
        if frame.is_some() || !decoder.is_within_frame() {
            *began_at = None;
            self.heard_at = if frame.is_some() { Some(now) } else { self.heard_at };
        } else {
            began_at.get_or_insert(now);
        }
        Ok(frame)
    }

    /// What a frame's sections say, in order.
    pub fn open_frame(&mut self, frame: Frame) -> Result<Vec<Inbound>, BadFrame> {
        let mut inbound = Vec::new();
        for (section, bytes) in frame.sections {
            match section {
                Section::Raft | Section::Support | Section::Barriers => {
                    let mut reader = Reader::new(&bytes);
                    while !reader.is_empty() {
                        inbound.push(Inbound::Parcel(decode_parcel(&mut reader)?));
                    }
                }
                Section::Piece => {
                    if let Some(whole) = self.assemble(&bytes)? {
                        let parcel = decode_parcel(&mut Reader::new(&whole))?;
                        inbound.push(Inbound::Parcel(parcel));
                    }
                }
                // Read before the frame's stamp was believed.
                Section::Clock => {}
                _ => inbound.push(Inbound::Payload(section, bytes)),
            }
        }
        Ok(inbound)
    }

    fn assemble(&mut self, piece: &[u8]) -> Result<Option<Vec<u8>>, BadFrame> {
        let mut r = Reader::new(piece);
        let (number, offset, total) = (r.u64()?, r.u32()? as usize, r.u32()? as usize);
        if offset == 0 {
            if total > ASSEMBLED_BYTES_MAX {
                return Err(BadFrame::Piece);
            }
            self.assembly = Some(Assembly { number, total, bytes: Vec::new() });
        }
        let assembly = self.assembly.as_mut().ok_or(BadFrame::Piece)?;
        let follows = assembly.number == number
            && assembly.total == total
            && assembly.bytes.len() == offset
            && offset + r.rest().len() <= total;
        if !follows || r.is_empty() {
            return Err(BadFrame::Piece);
        }
        assembly.bytes.extend_from_slice(r.rest());
        if assembly.bytes.len() < total {
            return Ok(None);
        }
        Ok(self.assembly.take().map(|assembly| assembly.bytes))
    }

    /// The peer.
    pub fn peer(&self) -> NodeId {
        self.out_route.to
    }
}

/// A first frame is never smaller than this, whatever the caller's limit: one small section.
const HEADER_ROOM: usize = 4 << 10;

/// Whether nobody's time depends on what waits.
fn needs_no_stamp((section, bytes): &(Section, Vec<u8>)) -> bool {
    section.is_beside_raft() || (*section == Section::Raft && is_parting(bytes))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use phantom_base::{GroupId, LogIndex, ReplicaId, Term};
    use phantom_raft::{Body, Entry, Message, Position};

    use super::*;

    const ROUTE: Route = Route { cluster: 1, from: NodeId(1), to: NodeId(2), incarnation: 4 };

    fn append(bytes: usize) -> Parcel {
        let entry = Entry { index: LogIndex(1), term: Term(1), data: Arc::from(vec![b'x'; bytes]) };
        let body =
            Body::Append { prev: Position::default(), commit: LogIndex(0), entries: vec![entry] };
        let (from, to) = (ReplicaId(1), ReplicaId(2));
        Parcel::Group(Message { gid: GroupId(1), from, to, term: Term(1), body })
    }

    fn pair() -> (Link, Link) {
        let mut sender = Link::new(ROUTE, 32 << 20);
        sender.connect(9);
        let back = Route { from: NodeId(2), to: NodeId(1), incarnation: 9, ..ROUTE };
        let mut receiver = Link::new(back, 32 << 20);
        receiver.connect(4);
        (sender, receiver)
    }

    fn carry(sender: &mut Link, receiver: &mut Link, stream: u8, limit: usize) -> Vec<Inbound> {
        let mut inbound = Vec::new();
        while let Some(bytes) = sender.take_out(stream, limit, Timestamp::from_ms(1)) {
            assert!(bytes.len() <= limit.max(FRAME_BYTES_MAX));
            receiver.feed(stream, &bytes).unwrap();
            while let Some(frame) = receiver.next_frame(stream, 0).unwrap() {
                inbound.extend(receiver.open_frame(frame).unwrap());
            }
        }
        inbound
    }

    #[test]
    fn parcels_arrive_in_order_whatever_the_limit() {
        for limit in [1, 5_000, 1 << 20] {
            let (mut sender, mut receiver) = pair();
            let parcels: Vec<_> = (0..50).map(|n| append(n * 211)).collect();
            for parcel in &parcels {
                sender.send_parcel(parcel);
            }
            let came = carry(&mut sender, &mut receiver, STREAM_CONTROL, limit);
            let expected: Vec<_> = parcels.into_iter().map(Inbound::Parcel).collect();
            assert_eq!(came, expected, "limit {limit}");
        }
    }

    #[test]
    fn a_large_entry_travels_in_pieces_on_the_bulk_stream() {
        let (mut sender, mut receiver) = pair();
        let large = append(20 << 20);
        sender.send_parcel(&large);
        assert!(!sender.has_out(STREAM_CONTROL));
        let came = carry(&mut sender, &mut receiver, STREAM_BULK, 1 << 20);
        assert_eq!(came, [Inbound::Parcel(large)]);
    }

    #[test]
    fn a_missing_piece_closes_the_link() {
        let (mut sender, mut receiver) = pair();
        sender.send_parcel(&append(2 << 20));
        sender.out[1].waiting.remove(1);
        let bytes = sender.take_out(STREAM_BULK, 4 << 20, Timestamp::MIN).unwrap();
        receiver.feed(STREAM_BULK, &bytes).unwrap();
        let frame = receiver.next_frame(STREAM_BULK, 0).unwrap().unwrap();
        let mut opened = receiver.open_frame(frame);
        while let (Ok(_), Some(frame)) = (&opened, receiver.next_frame(STREAM_BULK, 0).unwrap()) {
            opened = receiver.open_frame(frame);
        }
        assert_eq!(opened, Err(BadFrame::Piece));
    }

    #[test]
    fn a_full_queue_refuses_and_a_new_connection_starts_empty() {
        let mut link = Link::new(ROUTE, 1000);
        assert_eq!(link.send(0, Section::Control, vec![1]), Err(QueueFull), "nobody is there");
        link.connect(1);
        link.send(0, Section::Control, vec![0; 900]).unwrap();
        assert_eq!(link.send(0, Section::Control, vec![0; 200]), Err(QueueFull));
        assert_eq!(link.send(7, Section::Control, vec![0]), Err(QueueFull));
        link.send(1, Section::Replies, vec![0; 200]).unwrap();
        link.connect(2);
        assert_eq!(link.take_out(0, 1 << 20, Timestamp::MIN), None);
    }

    #[test]
    fn a_length_that_changed_on_the_way_closes_the_link_in_time() {
        let (mut sender, mut receiver) = pair();
        sender.send_parcel(&append(10));
        let mut bytes = sender.take_out(STREAM_CONTROL, 1 << 20, Timestamp::MIN).unwrap();
        bytes[30] ^= 4; // Of the length's four bytes, the third: 256 KiB more.
        receiver.feed(STREAM_CONTROL, &bytes).unwrap();
        assert_eq!(receiver.next_frame(STREAM_CONTROL, 7), Ok(None));
        assert_eq!(receiver.next_frame(STREAM_CONTROL, 7 + FRAME_TIME_MAX_NS), Ok(None));
        let late = receiver.next_frame(STREAM_CONTROL, 8 + FRAME_TIME_MAX_NS);
        assert_eq!(late, Err(BadFrame::Unfinished));
    }

    #[test]
    fn what_travels_beside_raft_leaves_without_a_stamp_and_raft_waits_in_its_order() {
        let (mut sender, mut receiver) = pair();
        let Parcel::Group(message) = append(0) else { unreachable!("it is a group's") };
        let farewell =
            Parcel::Group(Message { body: Body::Farewell { served: Timestamp::MIN }, ..message });
        sender.send_parcel(&append(1));
        sender.send_parcel(&farewell);
        sender.send(STREAM_CONTROL, Section::Control, b"news".to_vec()).unwrap();
        sender.send_parcel(&append(2));
        assert!(sender.has_beside(STREAM_CONTROL) && !sender.has_beside(STREAM_BULK));
        let bytes = sender.take_beside(STREAM_CONTROL, 1 << 20).expect("news");
        assert_eq!(sender.take_beside(STREAM_CONTROL, 1 << 20), None);
        assert!(!sender.has_beside(STREAM_CONTROL) && sender.has_out(STREAM_CONTROL));
        receiver.feed(STREAM_CONTROL, &bytes).unwrap();
        let frame = receiver.next_frame(STREAM_CONTROL, 0).unwrap().expect("a frame");
        assert_eq!(frame.hlc, Timestamp::MIN);
        let news = receiver.open_frame(frame).unwrap();
        let control = Inbound::Payload(Section::Control, b"news".to_vec());
        assert_eq!(news, [Inbound::Parcel(farewell), control]);
        let rest = carry(&mut sender, &mut receiver, STREAM_CONTROL, 1 << 20);
        let parcels: Vec<_> = [append(1), append(2)].map(Inbound::Parcel).into();
        assert_eq!(rest, parcels);
    }
}
