//! A node's control plane, as far as these tests need it: whom it dials and links with, who campaigns
//! when, where a query runs.
//!
//! Its messages between nodes are plain bytes here: the doors never look at them.

use minicbor::{Decoder, Encoder};
use phantom_base::{GroupId, Map, Nanos, NodeId, Random, SeededRandom};
use phantom_node::FEATURES;
use phantom_node::link::STREAMS;
use phantom_reactor::net::ConnId;
use phantom_reactor::net::sim::address;
use phantom_reactor::traffic::{Event, LinkName, Peer, Verb};

use crate::cluster::{MS, PEER};

const FORMAT: u32 = 1;
/// After a dial that came to nothing: as long, and up to as long again.
const REDIAL: Nanos = 20 * MS;
/// How much later the node with the higher number dials after a link has gone, or both would take
/// each other's place for ever.
const HIGHER_DIALS_AFTER: Nanos = 1_000 * MS;
/// Between an election that is due and the campaign, at most.
const BACK_OFF_MAX: Nanos = 300 * MS;
/// How much longer a node without room on its disk lets the others try.
const PATIENCE_WHEN_FULL: Nanos = 3_000 * MS;

/// What is said first on each stream of a link.
#[derive(Clone, Copy)]
struct Hello {
    node: usize,
    incarnation: u32,
    link: LinkName,
    stream: u8,
}

impl Hello {
    fn encode(self) -> Vec<u8> {
        let node = (self.node as u32).to_be_bytes();
        let incarnation = self.incarnation.to_be_bytes();
        [&node[..], &incarnation, &self.link, &[self.stream]].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let link = bytes.get(8..24)?.try_into().ok()?;
        let stream = *bytes.get(24)?;
        Some(Self { node: number(0)? as usize, incarnation: number(4)?, link, stream })
    }

    /// Takes a connection for a stream of the link with who has said this.
    fn adopt(self, conn: ConnId, message: Option<Vec<u8>>) -> Verb {
        let Self { node, incarnation, link, stream } = self;
        let node = NodeId(node as u32 + 1);
        let peer = Peer { node, incarnation, features: FEATURES };
        Verb::Adopt { conn, peer, link, stream, message }
    }
}

/// A node's control plane.
pub struct Control {
    node: usize,
    nodes: usize,
    incarnation: u32,
    random: SeededRandom,
    next_token: u64,
    /// What was said, and to whom, in dials that were not answered.
    dials: Map<u64, (usize, Hello)>,
    linked: Vec<Option<LinkName>>,
    dial_at: Vec<Nanos>,
    /// The link that is dialled: one at a time.
    dialled: Vec<Option<LinkName>>,
    campaigns: Map<GroupId, Nanos>,
}

impl Control {
    pub fn new(node: usize, nodes: usize, incarnation: u32, random: SeededRandom) -> Self {
        Self {
            node,
            nodes,
            incarnation,
            random,
            next_token: 1,
            dials: Map::new(),
            linked: vec![None; nodes],
            dial_at: vec![0; nodes],
            dialled: vec![None; nodes],
            campaigns: Map::new(),
        }
    }

    /// What is due by itself: dials and campaigns.
    pub fn look(&mut self, now: Nanos, verbs: &mut Vec<Verb>) {
        let own = self.node;
        for peer in (0..self.nodes).filter(|peer| *peer != own) {
            let may_dial = self.linked[peer].is_none() && self.dialled[peer].is_none();
            if may_dial && now >= self.dial_at[peer] {
                self.dial(peer, verbs);
            }
        }
        let due: Vec<_> =
            self.campaigns.iter().filter(|(_, at)| **at <= now).map(|(gid, _)| *gid).collect();
        if !due.is_empty() {
            self.campaigns.retain(|gid, _| !due.contains(gid));
            verbs.push(Verb::Campaign(due));
        }
    }

    /// Gives up a campaign that is due.
    pub fn let_be(&mut self, group: GroupId) {
        self.campaigns.remove(&group);
    }

    fn came_to_nothing(&mut self, now: Nanos, peer: usize, link: LinkName) {
        self.dialled[peer].take_if(|dialled| *dialled == link);
        self.dial_at[peer] = now + REDIAL + self.random.below(REDIAL);
    }

    fn dial(&mut self, peer: usize, verbs: &mut Vec<Verb>) {
        let (a, b) = (self.random.next_u64(), self.random.next_u64());
        let link = (u128::from(a) << 64 | u128::from(b)).to_be_bytes();
        self.dialled[peer] = Some(link);
        let Self { node, incarnation, .. } = *self;
        for stream in 0..STREAMS as u8 {
            let token = self.next_token;
            self.next_token += 1;
            let hello = Hello { node, incarnation, link, stream };
            self.dials.insert(token, (peer, hello));
            verbs.push(Verb::Dial { token, to: address(peer, PEER), message: hello.encode() });
        }
    }

    /// Answers an event, if it wants an answer.
    pub fn decide(&mut self, now: Nanos, event: &Event, is_full: bool, verbs: &mut Vec<Verb>) {
        match event {
            Event::ElectionDue(groups) => {
                let patience = if is_full { PATIENCE_WHEN_FULL } else { 0 };
                for group in groups {
                    let at = now + patience + self.random.below(BACK_OFF_MAX);
                    self.campaigns.entry(*group).or_insert(at);
                }
            }
            Event::First { conn, message, .. } => verbs.push(match Hello::decode(message) {
                Some(hello) => {
                    let Self { node, incarnation, .. } = *self;
                    hello.adopt(*conn, Some(Hello { node, incarnation, ..hello }.encode()))
                }
                None => Verb::Say(*conn, b"who?".to_vec()),
            }),
            Event::Answer { token, conn, message, .. } => {
                // What is closed is told as a dial that failed.
                let adopted = self.dials.get(token).and_then(|(peer, said)| {
                    let hello = Hello::decode(message).filter(|hello| hello.node == *peer)?;
                    let hello = Hello { link: said.link, stream: said.stream, ..hello };
                    Some(hello.adopt(*conn, None))
                });
                verbs.push(adopted.unwrap_or(Verb::Close(*conn)));
            }
            Event::DialFailed(token, _) => {
                if let Some((peer, hello)) = self.dials.remove(token) {
                    self.came_to_nothing(now, peer, hello.link);
                }
            }
            Event::LinkUp(peer, link) => {
                let peer = peer.0 as usize - 1;
                self.linked[peer] = Some(*link);
                self.dialled[peer].take_if(|dialled| dialled == link);
                self.dials.retain(|_, (_, said)| said.link != *link);
            }
            Event::LinkDown(peer, link, _) => {
                // What nobody could be was asked for by a message that a fault has made.
                let peer = (peer.0 as usize).wrapping_sub(1);
                if peer >= self.nodes {
                    return;
                }
                self.linked[peer].take_if(|linked| linked == link);
                let wait = if peer < self.node { HIGHER_DIALS_AFTER } else { 0 };
                self.came_to_nothing(now, peer, *link);
                self.dials.retain(|_, (_, said)| said.link != *link);
                self.dial_at[peer] += wait;
            }
            Event::Session(session, event, kind, body) => {
                assert_eq!(*kind, "plan", "nothing else is asked for here");
                verbs.push(Verb::Resume(*session, *event, plan(body)));
            }
            _ => {}
        }
    }
}

/// The answer to a session's event: the whole query to the one group of rows, or to the gateway.
pub fn plan(body: &[u8]) -> Vec<u8> {
    let mut input = Decoder::new(body);
    input.array().unwrap();
    assert_eq!(input.u32().unwrap(), FORMAT);
    input.skip().unwrap();
    let reads_tables = input.array().unwrap() != Some(0);
    let group = if reads_tables { GroupId::ROWS.0 } else { 0 };
    let mut plan = Vec::new();
    let mut out = Encoder::new(&mut plan);
    out.array(2).unwrap().u32(FORMAT).unwrap().array(1).unwrap();
    out.array(2).unwrap().u64(group).unwrap().u8(0).unwrap();
    let mut answer = Vec::new();
    Encoder::new(&mut answer).array(2).unwrap().u8(0).unwrap().bytes(&plan).unwrap();
    answer
}

/// A counter of a node.
pub fn counter(stats: &[u8], name: &str) -> u64 {
    let mut input = Decoder::new(stats);
    let count = input.map().unwrap().unwrap();
    let counters = (0..count).map(|_| (input.str().unwrap(), input.u64().unwrap()));
    counters.into_iter().find(|(of, _)| *of == name).expect("a counter").1
}

/// Whether rows were written, by the answer of the core.
pub fn is_ok(outcome: &[u8]) -> bool {
    let mut input = Decoder::new(outcome);
    input.array().unwrap();
    input.bool().unwrap()
}
