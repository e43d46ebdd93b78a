//! How a data directory becomes a node of a cluster, once in its life.
//!
//! A formation says who the first members are and which of them this node is. It lies in a `node`
//! slot of the log, beside the groups that it founds; what was formed is never formed again.
//!
//! ```text
//! formation  version u16 | cluster u64 | node u32 | count u32 of member   (little endian)
//! member     node u32 | name: u16 + UTF-8 | address: u16 + UTF-8
//! group      count u16 of (node u32 | replica u32)     the stream's configuration slot
//! charter    bytes of the control plane: what the members agreed on, for a member that missed it
//! promises   see `clock/promises`
//! bound      stamp u64 | slack in ms u64           of the clock; one release wrote no slack
//! state      term u64 | vote u32 | commit u64 | lead u32 | lead_epoch u64      its state slot
//! ```

use std::path::Path;
use std::sync::Arc;

use phantom_base::bytes::{Reader, Truncated};
use phantom_base::{Clock, GroupId, LogIndex, Nanos, NodeId, ReplicaId, Set, Term, Timestamp};
use phantom_log::{Level, Log, Record, Stream};
use phantom_lsm::{Engine, EngineOptions};
use phantom_raft::{HardState, Member};
use phantom_vfs::Vfs;

use super::clock::Bound;
use super::error::{Error, Result};

/// `node` slots of the log.
pub mod node_slot {
    /// The formation.
    pub const FORMATION: u64 = 1;
    /// How often the node has started, u32.
    pub const INCARNATION: u64 = 2;
    /// The clock's bound, u64, and how far ahead of the clock it was in ms, u64.
    pub const HLC_BOUND: u64 = 3;
    /// The message that founded the cluster.
    pub const CHARTER: u64 = 4;
    /// What other nodes were promised.
    pub const SUPPORT: u64 = 5;
}

/// `state` slots of a group's stream.
pub mod group_slot {
    /// Term, vote, commit.
    pub const HARD_STATE: u16 = 0;
    /// The members.
    pub const CONFIGURATION: u16 = 1;
}

/// 1 was of a release that knew no promises: it would vote over them, and must not open what this
/// one has written.
const VERSION: u16 = 2;
/// The oldest that is read; whoever opens it writes it again as the newest.
const VERSION_MIN: u16 = 1;
/// The groups of a new cluster.
const FIRST_GROUPS: [GroupId; 2] = [GroupId::SYSTEM, GroupId::ROWS];
const MEMBERS_MAX: usize = 5;

/// A member of a new cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormedMember {
    /// Its number.
    pub node: NodeId,
    /// Its name, for people.
    pub name: String,
    /// Where its peers reach it.
    pub address: String,
}

/// What makes a directory a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formation {
    /// The cluster's number: a hash over what its first node drew and its first members.
    pub cluster: u64,
    /// Which of the members this node is.
    pub node: NodeId,
    /// All first members; one to five. All of them vote in all first groups.
    pub members: Vec<FormedMember>,
}

impl Formation {
    /// The cluster's number as frames carry it.
    pub fn frame_cluster(&self) -> u32 {
        ((self.cluster >> 32) ^ (self.cluster & 0xFFFF_FFFF)) as u32
    }

    fn check(&self) -> Result<()> {
        let nodes: Set<_> = self.members.iter().map(|member| member.node).collect();
        let bad = |what| Err(Error::BadFormation(what));
        if self.members.is_empty() || self.members.len() > MEMBERS_MAX {
            return bad("has one to five members");
        }
        if nodes.len() != self.members.len() || nodes.contains(&NodeId::NONE) {
            return bad("gives each member a number of its own, from 1 on");
        }
        if !nodes.contains(&self.node) {
            return bad("names the node that accepts it");
        }
        let long = |text: &String| text.len() > usize::from(u16::MAX);
        if self.members.iter().any(|member| long(&member.name) || long(&member.address)) {
            return bad("has names and addresses of at most 65535 bytes");
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.cluster.to_le_bytes());
        bytes.extend_from_slice(&self.node.0.to_le_bytes());
        bytes.extend_from_slice(&(self.members.len() as u32).to_le_bytes());
        for member in &self.members {
            bytes.extend_from_slice(&member.node.0.to_le_bytes());
            for text in [&member.name, &member.address] {
                bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged = |what: &str| Error::Damaged(format!("the formation: {what}"));
        let cut = |error: Truncated| damaged(&error.to_string());
        let mut r = Reader::new(bytes);
        let version = r.u16().map_err(cut)?;
        if !(VERSION_MIN..=VERSION).contains(&version) {
            return Err(damaged(&format!("version {version}")));
        }
        let cluster = r.u64().map_err(cut)?;
        let node = NodeId(r.u32().map_err(cut)?);
        let count = r.u32().map_err(cut)?;
        let mut members = Vec::new();
        for _ in 0..count {
            let node = NodeId(r.u32().map_err(cut)?);
            let mut text = || -> Result<String> {
                let length = r.u16().map_err(cut)?;
                let bytes = r.take(usize::from(length)).map_err(cut)?;
                let text = std::str::from_utf8(bytes).map_err(|_| damaged("a name"))?;
                Ok(text.to_owned())
            };
            members.push(FormedMember { node, name: text()?, address: text()? });
        }
        let formation = Self { cluster, node, members };
        formation.check()?;
        Ok(formation)
    }

    /// The replicas of each first group, in the order of their numbers.
    fn replicas(&self) -> Vec<Member> {
        let number = |(i, member): (usize, &FormedMember)| Member {
            node: member.node,
            replica: ReplicaId(i as u32 + 1),
        };
        self.members.iter().enumerate().map(number).collect()
    }
}

/// The engine's name of a node's database: no two nodes share one.
fn database_name(formation: &Formation) -> [u8; 16] {
    let name = [formation.cluster.to_le_bytes(), u64::from(formation.node.0).to_le_bytes()];
    xxhash_rust::xxh3::xxh3_128(&name.concat()).to_le_bytes()
}

/// Forming needs no time.
struct NoClock;

impl Clock for NoClock {
    fn wall_ns(&self) -> Nanos {
        0
    }
    fn monotonic_ns(&self) -> Nanos {
        0
    }
}

/// Makes the node's data directory part of a cluster; durable when it returns. The same formation
/// again changes nothing; another one is refused. `charter` is kept beside it, unread.
pub fn form(fs: &Arc<dyn Vfs>, dir: &Path, formation: &Formation, charter: &[u8]) -> Result<()> {
    formation.check()?;
    let options = EngineOptions::new(database_name(formation), Arc::new(NoClock));
    let engine = Engine::open(Arc::clone(fs), dir, options)?;
    let log = engine.log();
    if let Some(bytes) = log.node_state(node_slot::FORMATION) {
        let formed = Formation::decode(&bytes)?;
        let same = formed == *formation;
        return if same { Ok(()) } else { Err(Error::AlreadyFormed { cluster: formed.cluster }) };
    }
    let configuration = encode_configuration(&formation.replicas());
    let encoded = formation.encode();
    let mut records: Vec<Record<'_>> = FIRST_GROUPS
        .iter()
        .map(|gid| Record::State {
            stream: Stream(gid.0),
            slot: group_slot::CONFIGURATION,
            bytes: &configuration,
        })
        .collect();
    records.push(Record::Node { slot: node_slot::CHARTER, bytes: charter });
    // Last: a crash between the records leaves a directory that can be formed again.
    records.push(Record::Node { slot: node_slot::FORMATION, bytes: &encoded });
    let end = log.push(&records)?;
    log.commit(end, Level::Durable)?;
    Ok(())
}

/// The formation of a log; `NotFormed` without one.
pub fn read_formation(log: &Log) -> Result<Formation> {
    let bytes = log.node_state(node_slot::FORMATION).ok_or(Error::NotFormed)?;
    Formation::decode(&bytes)
}

/// Writes a formation of a former release again, so that the release refuses it from now on; durable
/// with whatever is pushed next.
pub fn renew_formation(log: &Log, formation: &Formation) -> Result<()> {
    let newest = formation.encode();
    if log.node_state(node_slot::FORMATION).is_some_and(|bytes| *bytes != *newest) {
        log.push(&[Record::Node { slot: node_slot::FORMATION, bytes: &newest }])?;
    }
    Ok(())
}

fn encode_configuration(members: &[Member]) -> Vec<u8> {
    let mut bytes = (members.len() as u16).to_le_bytes().to_vec();
    for member in members {
        bytes.extend_from_slice(&member.node.0.to_le_bytes());
        bytes.extend_from_slice(&member.replica.0.to_le_bytes());
    }
    bytes
}

/// The groups of a log with their members and states.
pub fn read_groups(log: &Log) -> Result<Vec<(GroupId, Vec<Member>, HardState)>> {
    let mut groups = Vec::new();
    for stream in log.streams() {
        let damaged = |what: &str| Error::Damaged(format!("{} of stream {}", what, stream.0));
        let slot = log.state(stream, group_slot::CONFIGURATION);
        let bytes = slot.ok_or_else(|| damaged("no configuration"))?;
        let members = decode_configuration(&bytes).map_err(|_| damaged("the configuration"))?;
        let hard = match log.state(stream, group_slot::HARD_STATE) {
            Some(bytes) => decode_hard_state(&bytes).map_err(|_| damaged("the state"))?,
            None => HardState::default(),
        };
        groups.push((GroupId(stream.0), members, hard));
    }
    Ok(groups)
}

fn decode_configuration(bytes: &[u8]) -> std::result::Result<Vec<Member>, Truncated> {
    let mut r = Reader::new(bytes);
    let count = r.u16()?;
    let member =
        |r: &mut Reader<'_>| Ok(Member { node: NodeId(r.u32()?), replica: ReplicaId(r.u32()?) });
    (0..count).map(|_| member(&mut r)).collect()
}

/// A group's durable state as bytes.
pub fn encode_bound(bound: Bound) -> [u8; 16] {
    let numbers = u128::from(bound.slack_ms) << 64 | u128::from(bound.at.0);
    numbers.to_le_bytes()
}

fn decode_bound(bytes: &[u8]) -> std::result::Result<Bound, Truncated> {
    let mut r = Reader::new(bytes);
    let at = Timestamp(r.u64()?);
    let slack_ms = if r.is_empty() { Bound::SLACK_MS } else { r.u64()? };
    Ok(Bound { at, slack_ms })
}

/// The bound of the clock's former life; `None` of a node that has not stamped yet.
pub fn read_bound(log: &Log) -> Result<Option<Bound>> {
    let bound = log.node_state(node_slot::HLC_BOUND).map(|bytes| decode_bound(&bytes));
    bound.transpose().map_err(|_| Error::Damaged("the clock's bound".into()))
}

pub fn encode_hard_state(state: &HardState) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    bytes.extend_from_slice(&state.term.0.to_le_bytes());
    bytes.extend_from_slice(&state.vote.0.to_le_bytes());
    bytes.extend_from_slice(&state.commit.0.to_le_bytes());
    bytes.extend_from_slice(&state.lead.0.to_le_bytes());
    bytes.extend_from_slice(&state.lead_epoch.to_le_bytes());
    bytes
}

fn decode_hard_state(bytes: &[u8]) -> std::result::Result<HardState, Truncated> {
    let mut r = Reader::new(bytes);
    Ok(HardState {
        term: Term(r.u64()?),
        vote: ReplicaId(r.u32()?),
        commit: LogIndex(r.u64()?),
        lead: ReplicaId(r.u32()?),
        lead_epoch: r.u64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formation() -> Formation {
        let member = |n: u32| FormedMember {
            node: NodeId(n),
            name: format!("node-{n}"),
            address: format!("10.0.0.{n}:7000"),
        };
        Formation { cluster: 77, node: NodeId(2), members: (1..=3).map(member).collect() }
    }

    #[test]
    fn a_formation_comes_back_and_cut_bytes_are_damage() {
        let bytes = formation().encode();
        assert_eq!(Formation::decode(&bytes), Ok(formation()));
        for cut in 0..bytes.len() {
            let error = Formation::decode(&bytes[..cut]).unwrap_err();
            assert!(matches!(error, Error::Damaged(_)), "{error}");
        }
    }

    #[test]
    fn the_version_before_is_read_and_a_newer_one_is_not() {
        for (version, is_read) in [(0, false), (1, true), (VERSION, true), (VERSION + 1, false)] {
            let mut bytes = formation().encode();
            bytes[..2].copy_from_slice(&version.to_le_bytes());
            assert_eq!(Formation::decode(&bytes).is_ok(), is_read, "version {version}");
        }
    }

    #[test]
    fn a_formation_that_cannot_be_meant_is_refused() {
        let stranger = Formation { node: NodeId(9), ..formation() };
        let nobody = Formation { members: Vec::new(), ..formation() };
        let mut twice = formation();
        twice.members[0].node = NodeId(2);
        for bad in [stranger, nobody, twice] {
            assert!(matches!(bad.check(), Err(Error::BadFormation(_))));
        }
    }

    #[test]
    fn a_state_comes_back() {
        let state = HardState {
            term: Term(5),
            vote: ReplicaId(2),
            commit: LogIndex(9),
            lead: ReplicaId(3),
            lead_epoch: 0,
        };
        assert_eq!(decode_hard_state(&encode_hard_state(&state)), Ok(state));
        let bound = Bound { at: Timestamp(5 << 16 | 7), slack_ms: 4_000 };
        assert_eq!(decode_bound(&encode_bound(bound)), Ok(bound));
        let without_slack = Bound { slack_ms: Bound::SLACK_MS, ..bound };
        assert_eq!(decode_bound(&bound.at.0.to_le_bytes()), Ok(without_slack));
    }
}
