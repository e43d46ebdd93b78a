//! Links to peers: bytes in, bytes out, and the messages that travel beside Raft's.

use phantom_base::{Nanos, NodeId};
use phantom_raft::{Body, Message, Parcel};

use super::Replication;
use super::clock::ClockReport;
use super::entry::{MalformedEntry, check_entry};
use crate::frame::{BadFrame, Frame, Section};
use crate::link::{Inbound, Link, QueueFull, STREAM_CONTROL};

/// A message of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Who sent it.
    pub from: NodeId,
    /// Requests, replies or control.
    pub section: Section,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// Checks what would be logged. An entry that does not read must never be: once it is, each start
/// of this node ends at it.
fn check_entries(parcel: &Parcel) -> Result<(), MalformedEntry> {
    match parcel {
        Parcel::Group(Message { body: Body::Append { entries, .. }, .. }) => {
            entries.iter().try_for_each(|entry| check_entry(&entry.data))
        }
        _ => Ok(()),
    }
}

impl Replication {
    /// A link to `peer` is up; the handshake said that it is in its `incarnation`-th life, and what
    /// its release can read (`FEATURES`). A link that was up before is replaced: what waited for it is dropped.
    pub fn connected(
        &mut self,
        peer: NodeId,
        incarnation: u32,
        features: u64,
    ) -> Result<(), BadFrame> {
        self.links.get_mut(&peer).ok_or(BadFrame::NoLink(peer))?.connect(incarnation);
        self.features.insert(peer, features);
        self.machine.connected(peer);
        self.stamps.peers().connected(peer, incarnation);
        // At once, and before anything with a stamp.
        self.reports_due.insert(peer, 0);
        Ok(())
    }

    /// The link to `peer` is down. What came over it and was not taken yet is dropped with it: its
    /// names of flows mean nothing on the next link.
    pub fn disconnected(&mut self, peer: NodeId) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.disconnect();
            self.machine.connected(peer);
            self.stamps.peers().disconnected(peer);
            self.reports_due.remove(&peer);
            self.pending.received.retain(|received| received.from != peer);
        }
    }

    /// Takes bytes of a peer; returns how many. Fewer than given means that what came before was
    /// not taken out of `Effects::received`: offer the rest again after the next `poll`. After an
    /// error the link is closed.
    pub fn feed(&mut self, peer: NodeId, stream: u8, bytes: &[u8]) -> Result<usize, BadFrame> {
        if self.received_bytes >= self.queue_bytes_max {
            return Ok(0);
        }
        let fed = self.take_frames(peer, stream, bytes);
        if fed.is_err() {
            self.disconnected(peer);
        }
        fed.map(|()| bytes.len())
    }

    fn take_frames(&mut self, peer: NodeId, stream: u8, bytes: &[u8]) -> Result<(), BadFrame> {
        self.link(peer)?.feed(stream, bytes)?;
        let now = self.clock.monotonic_ns();
        while let Some(frame) = self.link(peer)?.next_frame(stream, now)? {
            self.take_frame(peer, frame)?;
        }
        Ok(())
    }

    fn take_frame(&mut self, peer: NodeId, frame: Frame) -> Result<(), BadFrame> {
        let clocks = frame.sections.iter().filter(|(section, _)| *section == Section::Clock);
        for (_, bytes) in clocks {
            // First: it may say why the stamp beside it is so far ahead.
            self.stamps.hear(peer, ClockReport::decode(bytes)?, &*self.clock);
            if self.stamps.peers().is_asking(peer) {
                self.reports_due.insert(peer, 0);
            }
        }
        // Before anything that it carries is acted on: no path forgets the clock (C10).
        self.stamps.merge(frame.hlc, &*self.clock)?;
        self.tell_time();
        let now = self.clock.monotonic_ns();
        for inbound in self.link(peer)?.open_frame(frame)? {
            match inbound {
                Inbound::Parcel(parcel) if self.stamps.is_settled() => {
                    check_entries(&parcel)?;
                    self.machine.step(now, peer, parcel)?;
                }
                Inbound::Parcel(_) => phantom_base::mark!("parcel_dropped_before_hlc_bound"),
                Inbound::Payload(section, bytes) => {
                    self.received_bytes += bytes.len();
                    self.pending.received.push(Received { from: peer, section, bytes });
                }
            }
        }
        Ok(())
    }

    fn link(&mut self, peer: NodeId) -> Result<&mut Link, BadFrame> {
        self.links.get_mut(&peer).ok_or(BadFrame::NoLink(peer))
    }

    /// Takes frames for a peer, `limit` bytes at most but at least one frame; `None` if nothing
    /// waits. While the clock may not be shown, since its bound is not durable, only signs of life
    /// and what travels beside Raft leave, with no stamp: nobody's time depends on them. While the
    /// peer does not know yet how the clocks differ, or takes nothing, only signs of life do: it would
    /// close the link, or drop what comes.
    pub fn take_out(&mut self, peer: NodeId, stream: u8, limit: usize) -> Option<Vec<u8>> {
        let stamp = self.stamps.present(&*self.clock);
        let is_acquainted = self.stamps.peers().is_acquainted(peer);
        let shown = stamp.filter(|_| is_acquainted).unwrap_or_default();
        let clock = (stream == STREAM_CONTROL).then(|| self.due_report(peer)).flatten();
        let link = self.links.get_mut(&peer)?;
        let life = (stream == STREAM_CONTROL).then(|| link.take_beats(clock, shown)).flatten();
        let rest = match stamp {
            _ if !is_acquainted => None,
            Some(stamp) => link.take_out(stream, limit, stamp),
            None => link.take_beside(stream, limit),
        };
        match (life, rest) {
            (Some(life), Some(rest)) => Some([life, rest].concat()),
            (life, rest) => life.or(rest),
        }
    }

    /// What the peer is to be told of the clock now, if it is.
    fn due_report(&mut self, peer: NodeId) -> Option<Vec<u8>> {
        let now = self.clock.monotonic_ns();
        let due = self.reports_due.get_mut(&peer).filter(|at| **at <= now)?;
        *due = now + self.report_every;
        Some(self.stamps.report(peer, &*self.clock).encode())
    }

    /// Sends a message beside Raft's; refused whole if the peer is away or its queue is full.
    pub fn send(
        &mut self,
        peer: NodeId,
        stream: u8,
        section: Section,
        bytes: Vec<u8>,
    ) -> Result<(), QueueFull> {
        let own = [Section::Requests, Section::Replies, Section::Control];
        assert!(own.contains(&section), "{section:?} is the machine's");
        self.links.get_mut(&peer).ok_or(QueueFull)?.send(stream, section, bytes)
    }

    /// Whether the peer has said anything within `patience`: it lives, and runs.
    pub fn hears(&self, peer: NodeId, patience: Nanos) -> bool {
        let now = self.clock.monotonic_ns();
        let heard_at = self.links.get(&peer).and_then(Link::heard_at);
        heard_at.is_some_and(|at| now.saturating_sub(at) < patience)
    }

    /// Whether the peer has shaken hands.
    pub fn is_connected(&self, peer: NodeId) -> bool {
        self.links.get(&peer).is_some_and(Link::is_connected)
    }
}
