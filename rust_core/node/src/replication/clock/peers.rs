//! What other nodes tell of their physical times, and which time a majority has.
//!
//! Each node tells each other its physical time, every heartbeat, on an otherwise empty frame if need
//! be. A message takes time, so what it says is a *lower bound*: by now the sender's clock is at least
//! that far. The sender also tells how far it knows the receiver's clock to be ahead of its own, the
//! same bound seen from the other end. So neither round trips nor wall clocks are needed, and a
//! message that was late says less and never something wrong.
//!
//! A bound gets looser with age, for clocks are slewed; one of `SAMPLE_NS` is given up for a newer one.

use phantom_base::bytes::Reader;
use phantom_base::{Map, Nanos, NodeId};

use super::physical::{at_least_after, closer_after};
use crate::frame::BadFrame;

/// How long the best bound is preferred to the newest one.
const SAMPLE_NS: Nanos = 2_000_000_000;

/// What is told of a clock, and of the disk beside it. 25 bytes: physical u64, ahead i64, sync u64,
/// flags u8 (1: settled).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReport {
    /// The sender's physical time.
    pub physical_ns: Nanos,
    /// At least so far is the receiver's ahead of it; `i64::MIN` while the sender has not heard it.
    pub ahead_ns: i64,
    /// How long the sender's log takes to be durable.
    pub sync_ns: Nanos,
    /// Whether the sender stamps with it: then it is never put back.
    pub is_settled: bool,
}

impl ClockReport {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(25);
        bytes.extend_from_slice(&self.physical_ns.to_le_bytes());
        bytes.extend_from_slice(&self.ahead_ns.to_le_bytes());
        bytes.extend_from_slice(&self.sync_ns.to_le_bytes());
        bytes.push(u8::from(self.is_settled));
        bytes
    }

    /// Reads one; a time that takes 64 bits is nobody's.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadFrame> {
        let mut r = Reader::new(bytes);
        let physical_ns = r.u64()?;
        if i64::try_from(physical_ns).is_err() {
            return Err(BadFrame::Time(physical_ns));
        }
        let ahead_ns = r.u64()?.cast_signed();
        Ok(Self { physical_ns, ahead_ns, sync_ns: r.u64()?, is_settled: r.u8()? & 1 == 1 })
    }
}

#[derive(Debug)]
struct Told {
    newest: ClockReport,
    newest_at: Nanos,
    /// The best lower bound, and when it came.
    physical_ns: Nanos,
    at: Nanos,
    /// Whether the newest came over the link that is up.
    is_of_link: bool,
}

impl Told {
    fn is_fresh(&self, now: Nanos) -> bool {
        now.saturating_sub(self.newest_at) < SAMPLE_NS
    }

    fn knows_us(&self) -> bool {
        self.newest.ahead_ns != i64::MIN
    }

    fn at_least(&self, now: Nanos) -> Nanos {
        at_least_after(self.physical_ns, now.saturating_sub(self.at))
    }
}

/// What the connected peers of a node have told; `now` is monotonic here.
#[derive(Debug)]
pub struct PeerClocks {
    /// All of the cluster, this node among them.
    members: usize,
    told: Map<NodeId, Told>,
    /// Which life of each peer was linked last.
    lives: Map<NodeId, u32>,
}

impl PeerClocks {
    pub fn new(members: usize) -> Self {
        Self { members, told: Map::new(), lives: Map::new() }
    }

    /// A link has come; another life of the peer may have another clock.
    pub fn connected(&mut self, peer: NodeId, incarnation: u32) {
        if self.lives.insert(peer, incarnation) != Some(incarnation) {
            self.told.remove(&peer);
        }
        self.disconnected(peer);
    }

    /// A link has gone. What was told holds for a while: a clock that is refused is heard of over
    /// links that last for a moment.
    pub fn disconnected(&mut self, peer: NodeId) {
        if let Some(told) = self.told.get_mut(&peer) {
            told.is_of_link = false;
        }
    }

    /// Whether a peer knows by this link how our clocks differ, and takes what is sent to it.
    pub fn is_acquainted(&self, peer: NodeId) -> bool {
        let told = self.told.get(&peer).filter(|told| told.is_of_link);
        told.is_some_and(|told| told.knows_us() && told.newest.is_settled)
    }

    /// Whether a peer has spoken over this link and not heard anything yet.
    pub fn is_asking(&self, peer: NodeId) -> bool {
        self.told.get(&peer).is_some_and(|told| told.is_of_link && !told.knows_us())
    }

    pub fn hear(&mut self, peer: NodeId, report: ClockReport, now: Nanos) {
        let physical_ns = report.physical_ns;
        let first = Told { newest: report, newest_at: now, physical_ns, at: now, is_of_link: true };
        let told = self.told.entry(peer).or_insert(first);
        let stays_put = report.is_settled && told.newest.is_settled;
        let is_better = told.at_least(now) > report.physical_ns;
        if !(stays_put && is_better && now.saturating_sub(told.at) < SAMPLE_NS) {
            (told.physical_ns, told.at) = (report.physical_ns, now);
        }
        (told.newest, told.newest_at, told.is_of_link) = (report, now, true);
    }

    /// How far a peer's clock is ahead of `own`, at least.
    pub fn ahead_of(&self, peer: NodeId, own: Nanos, now: Nanos) -> i64 {
        let told = self.told.get(&peer);
        let signed = |time_ns: Nanos| i64::try_from(time_ns).unwrap_or(i64::MAX);
        told.map_or(i64::MIN, |told| signed(told.at_least(now)) - signed(own))
    }

    /// How far clocks of peers that were heard lately may be ahead of ours, at most.
    pub fn ahead_at_most(&self, now: Nanos) -> Nanos {
        let counts = |told: &&Told| told.is_fresh(now) && told.newest.is_settled && told.knows_us();
        let ahead = |told: &Told| {
            let closer = closer_after(now.saturating_sub(told.newest_at));
            closer.saturating_add_signed(told.newest.ahead_ns.saturating_neg())
        };
        self.told.values().filter(counts).map(ahead).max().unwrap_or_default()
    }

    /// The time that a majority has reached, at least, as far as settled peers tell.
    pub fn reached(&self, own: Nanos, now: Nanos) -> Option<Nanos> {
        let fresh = self.told.values().filter(|told| told.is_fresh(now));
        let settled = fresh.filter(|told| told.newest.is_settled);
        agreed(settled.map(|told| told.at_least(now)).chain([own]).collect(), self.members)
    }

    /// The same, at most: what the peers know of `own` is ahead of them.
    pub fn reached_at_most(&self, own: Nanos, now: Nanos) -> Option<Nanos> {
        let at_most = |told: &Told| {
            let counts = told.is_fresh(now) && told.newest.is_settled && told.knows_us();
            let closer = closer_after(now.saturating_sub(told.newest_at)).cast_signed();
            let ahead = told.newest.ahead_ns.saturating_sub(closer);
            counts.then(|| own.saturating_add_signed(ahead.saturating_neg()))
        };
        agreed(self.told.values().filter_map(at_most).chain([own]).collect(), self.members)
    }

    /// Where a node begins whose log knows no time: where a majority is or comes after.
    pub fn first(&self, own: Nanos, now: Nanos) -> Option<Nanos> {
        let mut times: Vec<_> = self.told.values().map(|t| t.at_least(now)).chain([own]).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        times.get(self.members / 2).copied()
    }

    /// How long logs take to be durable, by the members that are heard and by `own`.
    pub fn syncs(&self, own: Nanos, now: Nanos) -> Vec<Nanos> {
        let fresh = self.told.values().filter(|told| told.is_fresh(now));
        fresh.map(|told| told.newest.sync_ns).chain([own]).collect()
    }
}

/// The greatest time that a majority of members has. Who is silent counts as ahead, for nobody can
/// take its stamps back: then those that are heard must follow the fastest of them.
fn agreed(mut times: Vec<Nanos>, members: usize) -> Option<Nanos> {
    let silent = members.checked_sub(times.len()).expect("only members are heard");
    let place = (members / 2).checked_sub(silent)?;
    times.sort_unstable_by(|a, b| b.cmp(a));
    times.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Nanos = 1_000_000_000;

    #[test]
    fn a_majority_says_what_time_it_is_and_the_fastest_of_two_where_one_is_silent() {
        assert_eq!(agreed(vec![7], 1), Some(7));
        assert_eq!(agreed(vec![7, 90, 5], 3), Some(7), "one that is wrong moves nobody");
        assert_eq!(agreed(vec![90, 95, 5], 3), Some(90), "two do");
        assert_eq!(agreed(vec![7, 90], 3), Some(90));
        assert_eq!(agreed(vec![7], 3), None, "alone it knows nothing");
        assert_eq!(agreed(vec![7, 90], 2), Some(7));
        assert_eq!(agreed(vec![1, 2, 3, 4], 5), Some(3));
    }

    #[test]
    fn a_late_message_says_less_and_never_something_wrong() {
        let report = |physical_ns, is_settled| ClockReport {
            physical_ns,
            ahead_ns: i64::MIN,
            sync_ns: 0,
            is_settled,
        };
        let mut peers = PeerClocks::new(3);
        peers.hear(NodeId(2), report(100 * S, true), S);
        // Half a second on its way: the older bound is still the better one, and a little looser.
        peers.hear(NodeId(2), report(100 * S, true), S + S / 2);
        assert_eq!(peers.ahead_of(NodeId(2), 100 * S, S + S / 2), 475_000_000);
        peers.hear(NodeId(2), report(101 * S, true), 2 * S);
        assert_eq!(peers.ahead_of(NodeId(2), 100 * S, 2 * S), S.cast_signed());
        // Another life, or one that has stamped nothing yet, may have gone back.
        peers.hear(NodeId(2), report(50 * S, false), 2 * S);
        assert_eq!(peers.ahead_of(NodeId(2), 100 * S, 2 * S), -50 * S.cast_signed());
    }

    #[test]
    fn a_report_is_what_it_was_when_it_has_been_sent() {
        let report =
            ClockReport { physical_ns: 1 << 60, ahead_ns: -5, sync_ns: 7, is_settled: true };
        assert_eq!(ClockReport::decode(&report.encode()), Ok(report));
        assert!(ClockReport::decode(&report.encode()[..24]).is_err());
        let nobodys = ClockReport { physical_ns: 1 << 63, ..report };
        assert_eq!(ClockReport::decode(&nobodys.encode()), Err(BadFrame::Time(1 << 63)));
    }
}
