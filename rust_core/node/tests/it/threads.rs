//! The same objects with real threads: three nodes of one process, driven by their eventfds.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use phantom_base::{Clock, GroupId, NodeId, SeededRandom};
use phantom_lsm::{Batch, Keyspace};
use phantom_node::replication::entry::{EntryKind, encode_batch};
use phantom_node::replication::{Effects, Formation, FormedMember, Replication, Settings, form};
use phantom_node::runtime::Runtime;
use phantom_node::runtime::real::{RealClock, RealSpawner};
use phantom_raft::{Event, Limits, Outcome};
use phantom_vfs::{SimFs, Vfs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Silence of a starved machine must not end a leadership.
const PATIENCE_NS: u64 = 600_000_000_000;

struct Node {
    replication: Replication,
    runtime: Arc<Runtime>,
}

fn start(n: u32, clock: &Arc<dyn Clock>) -> Node {
    let members = (1..=3)
        .map(|n| FormedMember { node: NodeId(n), name: format!("n{n}"), address: String::new() })
        .collect();
    let fs: Arc<dyn Vfs> = Arc::new(SimFs::new(u64::from(n)));
    let dir = Path::new("data");
    form(&fs, dir, &Formation { cluster: 1, node: NodeId(n), members }, b"").unwrap();
    let runtime = Arc::new(Runtime::threads(Arc::new(RealSpawner), 2).unwrap());
    let (election_min_ns, election_max_ns) = (PATIENCE_NS, PATIENCE_NS + 1);
    let limits = Limits { election_min_ns, election_max_ns, ..Limits::default() };
    let settings = Settings { limits, memory_bytes: 16 << 20, ..Settings::default() };
    let random = Box::new(SeededRandom::new(u64::from(n)));
    let clock = Arc::clone(clock);
    let replication =
        Replication::open(fs, dir, settings, Arc::clone(&runtime), clock, random).unwrap();
    Node { replication, runtime }
}

/// Polls all nodes once, carries their bytes, and returns what each had to say.
fn turn(nodes: &mut [Node]) -> Vec<Effects> {
    let mut all = Vec::new();
    for n in 0..nodes.len() {
        let effects = nodes[n].replication.poll(2_000_000).unwrap();
        let from = NodeId(n as u32 + 1);
        for (peer, stream) in &effects.out {
            while let Some(bytes) = nodes[n].replication.take_out(*peer, *stream, 1 << 20) {
                let to = &mut nodes[peer.0 as usize - 1].replication;
                assert_eq!(to.feed(from, *stream, &bytes), Ok(bytes.len()));
            }
        }
        all.push(effects);
    }
    all
}

/// Sleeps until a worker has something to say, or a timer is due.
fn wait(nodes: &[Node], effects: &[Effects]) {
    let busy = effects.iter().any(|e| !e.out.is_empty() || !e.done.is_empty());
    let sleep = effects.iter().map(|e| e.sleep_ns).min().unwrap();
    let fd = |node: &Node| node.runtime.wakefd().unwrap().try_clone_to_owned().unwrap();
    let fds: Vec<_> = nodes.iter().map(fd).collect();
    let mut fds: Vec<_> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let sleep = if busy { Duration::ZERO } else { Duration::from_nanos(sleep) };
    let sleep = Timespec::try_from(sleep).unwrap();
    poll(&mut fds, Some(&sleep)).unwrap();
}

fn body(n: u64) -> Vec<u8> {
    let mut ops = Batch::new();
    ops.put(Keyspace::INTENTS, &n.to_be_bytes(), &[7; 256]);
    encode_batch([0; 16], &[], ops.bytes())
}

#[test]
fn three_threaded_nodes_elect_commit_and_agree() {
    const WRITES: u64 = 2_000;
    let clock: Arc<dyn Clock> = Arc::new(RealClock::new());
    let mut nodes: Vec<_> = (1..=3).map(|n| start(n, &clock)).collect();
    for a in 0..3_u32 {
        for b in (0..3_u32).filter(|b| *b != a) {
            let incarnation = nodes[b as usize].replication.incarnation();
            nodes[a as usize]
                .replication
                .connected(NodeId(b + 1), incarnation, phantom_node::FEATURES)
                .unwrap();
        }
    }
    let (gid, mut leads, mut sent, mut done) = (GroupId::ROWS, false, 0, 0);
    // Once polled, each has passed its former bound, of which a new node has none.
    turn(&mut nodes);
    assert_eq!(nodes[0].replication.campaign(&[gid], true), [Ok(())]);
    while done < WRITES {
        while leads && sent < WRITES && sent < done + 200 {
            nodes[0].replication.propose(gid, EntryKind::Batch, &body(sent), sent).unwrap();
            sent += 1;
        }
        let effects = turn(&mut nodes);
        for event in &effects[0].events {
            leads |= matches!(event, Event::BecameLeader { gid, .. } if *gid == GroupId::ROWS);
            assert!(!matches!(event, Event::LostLeadership { .. }), "{event:?}");
        }
        for answer in &effects[0].done {
            assert_eq!((answer.token, answer.outcome), (done, Outcome::Committed));
            done += 1;
        }
        wait(&nodes, &effects);
    }
    let mark = nodes[0].replication.status(gid).unwrap().mark;
    while nodes.iter().any(|node| node.replication.status(gid).unwrap().mark != mark) {
        let effects = turn(&mut nodes);
        wait(&nodes, &effects);
    }
    for Node { replication, runtime } in nodes {
        for n in 0..WRITES {
            let value = replication.engine().get(None, Keyspace::INTENTS, &n.to_be_bytes());
            assert!(value.unwrap().is_some(), "write {n} on {}", replication.node());
        }
        replication.close().unwrap();
        runtime.close();
    }
}
