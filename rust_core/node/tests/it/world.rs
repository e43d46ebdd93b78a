//! Replication on machines: groups of replicas without requests or sessions, and a judge who sees
//! what each of them proposes, applies and is told.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use phantom_base::sync::Mutex;
use phantom_base::{Error, GroupId, NodeId, Set, Timestamp};
use phantom_lsm::{Batch, Keyspace};
use phantom_node::frame::BadFrame;
use phantom_node::replication::entry::{BoundTable, EntryKind, encode_batch};
use phantom_node::replication::{self, Replication, Settings};
use phantom_node::runtime::Runtime;
use phantom_raft::{BarrierAnswer, Event, Limits};
use phantom_vfs::Vfs;

use crate::judge::{Judge, Witness};
use crate::machines::{DIR, Life, MS, Machines, Node, Place, Polled};

pub const GROUPS: [GroupId; 2] = [GroupId::SYSTEM, GroupId::ROWS];

/// Nodes with replication alone.
pub type World = Machines<Replica>;

/// The replication of a node that runs.
pub struct Replica {
    pub replication: Replication,
    pub runtime: Arc<Runtime>,
    /// Tokens that this life owes an answer.
    owed: Set<u64>,
}

/// What all replicas of a world share.
pub struct Common {
    pub judge: Arc<Mutex<Judge>>,
    /// What nodes have told.
    pub events: Vec<(NodeId, Event)>,
    pub log_bytes_max: u64,
    pub disk_reserve: Option<u64>,
}

impl Default for Common {
    fn default() -> Self {
        let events = Vec::new();
        Self { judge: Arc::default(), events, log_bytes_max: 1 << 30, disk_reserve: None }
    }
}

fn answer(error: &replication::Error) -> Error {
    Error::new(error.sqlstate(), error.to_string())
}

impl Life for Replica {
    type Common = Common;

    fn open(place: Place, common: &mut Common) -> Result<Self, Error> {
        let Place { fs, cluster, runtime, clock, random } = place;
        let settings = Settings {
            cluster: Some(cluster),
            limits: Limits::default(),
            memory_bytes: 16 << 20,
            memtable_bytes: 64 << 10,
            segment_bytes: 64 << 10,
            release_entries: 4,
            log_bytes_max: common.log_bytes_max,
            disk_reserve: common.disk_reserve,
            observer: Box::new(Witness(Arc::clone(&common.judge))),
            ..Settings::default()
        };
        let runtime_too = Arc::clone(&runtime);
        let opened = Replication::open(fs, Path::new(DIR), settings, runtime_too, clock, random);
        let replication = opened.map_err(|error| answer(&error))?;
        Ok(Self { replication, runtime, owed: Set::new() })
    }

    fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn replication(&mut self) -> &mut Replication {
        &mut self.replication
    }

    fn disconnected(&mut self, peer: NodeId) {
        self.replication.disconnected(peer);
    }

    fn feed(&mut self, peer: NodeId, stream: u8, bytes: &[u8]) -> Result<usize, BadFrame> {
        let fed = self.replication.feed(peer, stream, bytes)?;
        assert_eq!(fed, bytes.len(), "Raft's own bytes press nobody back");
        Ok(fed)
    }

    fn poll(&mut self, id: NodeId, common: &mut Common) -> Result<Polled, Error> {
        let effects = self.replication.poll(2 * MS).map_err(|error| answer(&error))?;
        let mut judge = common.judge.lock();
        for done in &effects.done {
            self.owed.remove(&done.token);
            judge.done(done);
        }
        for answer in &effects.barriers {
            self.owed.remove(&answer.token);
            judge.barrier(answer);
        }
        let mut told = String::new();
        let mut elections = Vec::new();
        for event in effects.events {
            write!(told, "{event:?}").expect("a string");
            judge.event(id, &event);
            if let Event::ElectionDue(gids) = &event {
                elections.extend(gids);
            }
            common.events.push((id, event));
        }
        for gid in GROUPS {
            judge.mark(id, gid, self.replication.status(gid).expect("a group").mark);
        }
        let (moved, sleep_ns) = (effects.moved, effects.sleep_ns);
        Ok(Polled { out: effects.out, elections, told: told.into_bytes(), moved, sleep_ns })
    }

    fn ended(self, common: &mut Common) {
        common.judge.lock().forget(&self.owed);
    }
}

impl World {
    /// Proposes a write of `bytes` to a group through a node; refused if it does not lead.
    pub fn propose(&mut self, n: usize, gid: GroupId, bytes: usize) -> Option<u64> {
        let token = self.token();
        let up = self.nodes[n].up.as_mut()?;
        let stamp = up.replication.tick_hlc()?;
        let body = write_body(gid, token, bytes);
        let index = up.replication.propose(gid, EntryKind::Batch, &body, token).ok()?;
        up.owed.insert(token);
        self.common.judge.lock().propose(token, gid, index, stamp);
        Some(token)
    }

    pub fn barrier(&mut self, n: usize, gid: GroupId) {
        let token = self.token();
        let Some(up) = self.nodes[n].up.as_mut() else { return };
        let Ok(answer) = up.replication.barrier(gid, token) else { return };
        let mut judge = self.common.judge.lock();
        judge.ask(token, gid);
        if let Some(outcome) = answer {
            judge.lease(gid, outcome);
            judge.barrier(&BarrierAnswer { token, gid, outcome });
        } else {
            up.owed.insert(token);
        }
    }

    /// Every acknowledged write is there and no superseded one is, on every node.
    pub fn judge_contents(&self) {
        let judge = self.common.judge.lock();
        for node in &self.nodes {
            let engine = node.up.as_ref().expect("all run at the end").replication.engine();
            for gid in GROUPS {
                let has = |token: &u64| {
                    let key = key_of(gid, *token);
                    engine.get(None, Keyspace::INTENTS, &key).expect("a read").is_some()
                };
                for token in judge.kept.get(&gid).into_iter().flatten() {
                    assert!(has(token), "{}: {gid} lost acknowledged write {token}", node.id);
                }
                for token in judge.lost.get(&gid).into_iter().flatten() {
                    assert!(!has(token), "{}: {gid} has superseded write {token}", node.id);
                }
            }
        }
    }

    /// Whether all nodes have applied the same, which is all that is committed.
    pub fn has_converged(&self) -> bool {
        let status = |node: &Node<Replica>, gid| node.up.as_ref()?.replication.status(gid);
        GROUPS.iter().all(|gid| {
            let all: Vec<_> = self.nodes.iter().map(|node| status(node, *gid)).collect();
            let leads = |s: &phantom_node::replication::Status| s.group.members.len() > 1;
            let has_leader = all.iter().flatten().any(leads) || self.nodes.len() == 1;
            let last = all.iter().flatten().map(|s| s.group.last).max();
            has_leader && all.iter().all(|s| s.as_ref().map(|s| s.mark.index) == last)
        })
    }

    /// Leaves so much free on a node's disk.
    pub fn leave_free(&self, n: usize, bytes: u64) {
        let fs = &self.nodes[n].fs;
        let space = fs.space().expect("a simulated disk tells");
        fs.set_budget(space.total - space.free + bytes);
    }
}

fn key_of(gid: GroupId, token: u64) -> Vec<u8> {
    [gid.0.to_be_bytes(), token.to_be_bytes()].concat()
}

fn write_body(gid: GroupId, token: u64, bytes: usize) -> Vec<u8> {
    let mut ops = Batch::new();
    ops.put(Keyspace::INTENTS, &key_of(gid, token), &vec![token as u8; bytes]);
    ops.put_at(Keyspace::DATA, b"row", Timestamp::from_ms(token).0, &token.to_le_bytes());
    let mut txn = [0; 16];
    txn[..8].copy_from_slice(&token.to_le_bytes());
    encode_batch(txn, &[BoundTable { oid: 1, version: 1 }], ops.bytes())
}
