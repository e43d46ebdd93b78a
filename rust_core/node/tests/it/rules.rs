//! Rules of a node that no fault is needed to test.

use std::path::Path;
use std::sync::Arc;

use phantom_base::{GroupId, NodeId, Random, ReplicaId, SeededRandom};
use phantom_log::{Level, Record};
use phantom_lsm::{Engine, EngineOptions};
use phantom_node::FEATURES;
use phantom_node::frame::{BadFrame, FrameBuilder, Route, Section};
use phantom_node::replication::entry::EntryKind;
use phantom_node::replication::{Effects, form};
use phantom_node::replication::{Error, Formation, FormedMember, Refused, Replication, Settings};
use phantom_node::runtime::Runtime;
use phantom_node::runtime::real::RealSpawner;
use phantom_raft::{Body, Entry, Event, Message, Parcel, Position, encode_parcel};
use phantom_vfs::{Crash, FaultScript, SimFs, Vfs};

use crate::clock::NodeClock;
use crate::machines::MS;
use crate::world::{GROUPS, World};

fn formation(cluster: u64) -> Formation {
    let member = FormedMember { node: NodeId(1), name: "one".into(), address: String::new() };
    Formation { cluster, node: NodeId(1), members: vec![member] }
}

fn open(fs: &Arc<dyn Vfs>, dir: &str, cluster: Option<u64>) -> Result<Replication, Error> {
    let runtime = Arc::new(Runtime::inline(Arc::new(RealSpawner), SeededRandom::new(1)));
    let settings = Settings { cluster, memory_bytes: 16 << 20, ..Settings::default() };
    let (clock, random) = (Arc::new(NodeClock::still()), Box::new(SeededRandom::new(1)));
    Replication::open(Arc::clone(fs), Path::new(dir), settings, runtime, clock, random)
}

/// Runs all nodes for a while without faults.
pub fn settle(world: &mut World, ms: u64) {
    (0..ms).for_each(|_| world.calm_step(MS));
}

pub fn started(nodes: u32) -> World {
    let mut world = World::new(1, nodes);
    (0..nodes as usize).for_each(|n| world.start(n));
    settle(&mut world, 5_000);
    assert!(world.has_converged());
    world
}

pub fn leader(world: &World, gid: GroupId) -> usize {
    let leads = |n: &usize| {
        let up = world.nodes[*n].up.as_ref();
        let status = up.and_then(|up| up.replication.status(gid));
        status.is_some_and(|status| status.group.leader == NodeId(*n as u32 + 1))
    };
    (0..world.nodes.len()).find(leads).expect("a leader")
}

#[test]
fn a_node_accepts_one_formation_in_its_life() {
    let fs: Arc<dyn Vfs> = Arc::new(SimFs::new(1));
    let dir = Path::new("data");
    form(&fs, dir, &formation(7), b"").unwrap();
    form(&fs, dir, &formation(7), b"").unwrap();
    assert_eq!(form(&fs, dir, &formation(8), b""), Err(Error::AlreadyFormed { cluster: 7 }));
}

/// The release before would vote over promises.
#[test]
fn a_directory_of_the_release_before_opens_and_is_its_own_no_more() {
    let fs: Arc<dyn Vfs> = Arc::new(SimFs::new(1));
    let dir = Path::new("data");
    form(&fs, dir, &formation(7), b"").unwrap();
    // The formation's slot of the node, whose first field is the version.
    let version = |fs: &Arc<dyn Vfs>, put: Option<u16>| {
        let options = EngineOptions::new([0; 16], Arc::new(NodeClock::still()));
        let engine = Engine::open(Arc::clone(fs), dir, options).unwrap();
        let mut bytes = engine.log().node_state(1).unwrap().to_vec();
        if let Some(put) = put {
            bytes[..2].copy_from_slice(&put.to_le_bytes());
            let end = engine.log().push(&[Record::Node { slot: 1, bytes: &bytes }]).unwrap();
            engine.log().commit(end, Level::Durable).unwrap();
        }
        u16::from_le_bytes([bytes[0], bytes[1]])
    };
    assert_eq!(version(&fs, Some(1)), 1);
    assert_eq!(open(&fs, "data", Some(7)).unwrap().formation(), &formation(7));
    assert_eq!(version(&fs, None), 2);
    version(&fs, Some(3));
    assert!(matches!(open(&fs, "data", Some(7)).err(), Some(Error::Damaged(_))));
}

#[test]
fn what_not_all_members_have_named_is_named_by_none() {
    let mut world = started(3);
    let up = &mut world.nodes[0].up.as_mut().unwrap().replication;
    assert_eq!(up.named_by_all(), FEATURES);
    up.disconnected(NodeId(2));
    assert_eq!(up.named_by_all(), FEATURES, "who is away has named them");
    up.connected(NodeId(2), 2, FEATURES | 1 << 63).unwrap();
    assert_eq!(up.named_by_all(), FEATURES);
    up.connected(NodeId(2), 3, 0).unwrap();
    assert_eq!(up.named_by_all(), 0);
    let mut alone = World::new(1, 3);
    alone.start(0);
    assert_eq!(alone.nodes[0].up.as_ref().unwrap().replication.named_by_all(), 0);
}

#[test]
fn foreign_and_unformed_directories_are_refused() {
    let fs: Arc<dyn Vfs> = Arc::new(SimFs::new(1));
    assert_eq!(open(&fs, "data", None).err(), Some(Error::NotFormed));
    fs.make_dir(Path::new("data")).unwrap();
    assert_eq!(open(&fs, "data", None).err(), Some(Error::NotFormed));
    form(&fs, Path::new("data"), &formation(7), b"").unwrap();
    let foreign = Error::ForeignDirectory { expected: 8, found: 7 };
    assert_eq!(open(&fs, "data", Some(8)).err(), Some(foreign));
    assert_eq!(open(&fs, "data", Some(7)).unwrap().incarnation(), 1);
    assert_eq!(open(&fs, "data", None).unwrap().incarnation(), 2);
}

#[test]
fn a_cluster_of_one_serves_and_reopens() {
    let mut world = started(1);
    for _ in 0..20 {
        world.propose(0, GROUPS[1], 100).expect("it leads");
        world.barrier(0, GROUPS[1]);
        settle(&mut world, 3);
    }
    world.crash(0, Crash::LoseAll);
    world.start(0);
    settle(&mut world, 5_000);
    world.judge_contents();
    assert_eq!(world.common.judge.lock().kept[&GROUPS[1]].len(), 20);
}

#[test]
fn a_restarted_node_says_nothing_before_its_clock_has_passed_its_former_bound() {
    let mut world = started(3);
    let n = leader(&world, GROUPS[1]);
    world.crash(n, Crash::KeepAll);
    world.start(n);
    let starting = |world: &mut World| {
        let up = world.nodes[n].up.as_mut().unwrap();
        let refused = up.replication.campaign(&[GROUPS[1]], true) == [Err(Refused::Starting)];
        (refused, up.replication.tick_hlc().is_none())
    };
    let mut waited = 0;
    while starting(&mut world).0 {
        assert!(starting(&mut world).1, "no stamp is issued");
        settle(&mut world, 10);
        waited += 10;
        assert!(waited <= 1_100, "the bound is at most a second ahead");
    }
    assert!(waited >= 400, "it is extended at half way, so half a second is left at least");
}

/// Logged, it would end this node now and at each start: nothing can be done with it.
#[test]
fn an_entry_that_this_release_cannot_read_is_never_logged() {
    let mut world = started(3);
    let (gid, n) = (GROUPS[1], leader(&world, GROUPS[1]));
    let other = (n + 1) % 3;
    let (from, to) = (NodeId(n as u32 + 1), NodeId(other as u32 + 1));
    let up = &world.nodes[n].up.as_ref().unwrap().replication;
    let (cluster, incarnation) = (up.formation().frame_cluster(), up.incarnation());
    let (hlc, status) = (up.hlc(), up.status(gid).unwrap().group);
    let (term, index) = (status.term, status.last);
    for data in [&b""[..], &[9; 32], &[1, 0, 0, 0, 0, 0, 0, 0]] {
        let entry = Entry { index: index.next(), term, data: data.into() };
        let prev = Position { term, index };
        let body = Body::Append { prev, commit: status.commit, entries: vec![entry] };
        let (from_replica, to_replica) = (ReplicaId(from.0), ReplicaId(to.0));
        let message = Message { gid, from: from_replica, to: to_replica, term, body };
        let mut bytes = Vec::new();
        encode_parcel(&Parcel::Group(message), &mut bytes);
        let mut frame = FrameBuilder::new(&Route { cluster, from, to, incarnation }, hlc);
        frame.add(Section::Raft, &bytes);

        let follower = &mut world.nodes[other].up.as_mut().unwrap().replication;
        follower.connected(from, incarnation, 0).unwrap();
        let refused = follower.feed(from, 0, &frame.finish());
        assert!(matches!(refused, Err(BadFrame::Entry(_))), "{refused:?}");
        assert!(!follower.is_connected(from));
        assert_eq!(follower.status(gid).unwrap().group.last, index);
    }
}

#[test]
fn a_clock_too_far_ahead_closes_the_link() {
    let mut world = started(3);
    world.nodes[0].clock.run_ahead(300 * MS);
    world.pass(200 * MS);
    // It may not show a stamp before a bound above it is durable.
    for _ in 0..3 {
        world.run(0, 100);
    }
    let up = world.nodes[0].up.as_mut().unwrap();
    up.replication.send(NodeId(2), 0, Section::Control, b"hello".to_vec()).unwrap();
    let bytes = up.replication.take_out(NodeId(2), 0, 1 << 20).expect("bytes");
    let other = &mut world.nodes[1].up.as_mut().unwrap().replication;
    let refused = other.feed(NodeId(1), 0, &bytes);
    assert!(matches!(refused, Err(BadFrame::Clock(_))), "{refused:?}");
    assert!(!other.is_connected(NodeId(1)));
    assert!(matches!(other.feed(NodeId(1), 0, &bytes), Err(BadFrame::NoLink(_))));
}

/// Bytes of anybody: a link may close, the node goes on.
#[test]
fn bytes_that_are_no_frames_only_close_the_link() {
    let mut world = started(3);
    let mut random = SeededRandom::new(7);
    let mut closed = 0;
    for _ in 0..300 {
        world.dial();
        settle(&mut world, 2);
        let sender = &mut world.nodes[0].up.as_mut().unwrap().replication;
        sender.send(NodeId(2), 0, Section::Control, vec![1; 50]).ok();
        let mut bytes = sender.take_out(NodeId(2), 0, 1 << 20).unwrap_or_default();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len() as u64 + 1) as usize;
            match random.below(3) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, random.next_u64() as u8),
                _ => bytes.extend((0..random.below(50)).map(|_| random.next_u64() as u8)),
            }
        }
        let receiver = &mut world.nodes[1].up.as_mut().unwrap().replication;
        if receiver.feed(NodeId(1), random.below(3) as u8, &bytes).is_err() {
            closed += 1;
            assert!(!receiver.is_connected(NodeId(1)));
        }
        world.reset(0, 1);
    }
    assert!(closed > 100, "only {closed} of 300 were seen to be wrong");
    settle(&mut world, 3_000);
    assert!(world.has_converged());
}

#[test]
fn messages_beside_rafts_arrive_in_order_and_press_back() {
    let mut world = started(3);
    let sender = &mut world.nodes[0].up.as_mut().unwrap().replication;
    for n in 0..100_u8 {
        sender.send(NodeId(2), 1, Section::Requests, vec![n; 400 << 10]).ok();
    }
    let mut came = Vec::new();
    let mut refused = 0;
    loop {
        let sender = &mut world.nodes[0].up.as_mut().unwrap().replication;
        let Some(bytes) = sender.take_out(NodeId(2), 1, 1 << 20) else { break };
        let receiver = &mut world.nodes[1].up.as_mut().unwrap().replication;
        while receiver.feed(NodeId(1), 1, &bytes) == Ok(0) {
            refused += 1;
            came.extend(receiver.poll(0).unwrap().received);
        }
    }
    let receiver = &mut world.nodes[1].up.as_mut().unwrap().replication;
    came.extend(receiver.poll(0).unwrap().received);
    assert_eq!(came.len(), 81, "32 MiB fit the queue");
    assert!(came.iter().zip(0..).all(|(message, n)| message.bytes[0] == n));
    assert!(refused > 0 || came.len() < 82);
}

#[test]
fn a_failed_sync_ends_the_node() {
    let mut world = started(1);
    let script = FaultScript::parse("op=sync class=log nth=1 -> error(EIO)").unwrap();
    world.nodes[0].fs.set_faults(script);
    world.propose(0, GROUPS[1], 100).expect("it leads");
    let up = world.nodes[0].up.as_mut().unwrap();
    let mut failed: Option<Error> = None;
    for _ in 0..10 {
        while up.runtime.step() {}
        failed = up.replication.poll(MS).err().or(failed);
    }
    let error = failed.expect("it surfaced");
    assert_eq!(error.sqlstate(), phantom_base::sqlstate::IO_ERROR, "{error}");
    assert_eq!(up.replication.poll(MS).err(), Some(error), "and nothing is tried again");
}

#[test]
fn a_member_beyond_the_logs_bound_is_told_and_stays_out() {
    let mut world = World::new(1, 3);
    world.common.log_bytes_max = 256 << 10;
    (0..3).for_each(|n| world.start(n));
    settle(&mut world, 5_000);
    let lead = leader(&world, GROUPS[1]);
    let away = (lead + 1) % 3;
    world.crash(away, Crash::KeepAll);
    for _ in 0..300 {
        world.propose(lead, GROUPS[1], 4_000);
        settle(&mut world, 10);
    }
    world.start(away);
    settle(&mut world, 3_000);
    let told = |event: &Event| {
        matches!(event, Event::MemberTooFarBehind { gid, node, .. }
            if *gid == GROUPS[1] && node.0 as usize == away + 1)
    };
    for n in [lead, away] {
        let id = NodeId(n as u32 + 1);
        assert!(world.common.events.iter().any(|(node, event)| *node == id && told(event)), "{id}");
    }
    let up = world.nodes[away].up.as_mut().unwrap();
    assert!(up.replication.status(GROUPS[1]).unwrap().group.too_far_behind);
    let up = world.nodes[lead].up.as_ref().unwrap();
    assert_eq!(up.replication.status(GROUPS[1]).unwrap().group.leader.0 as usize, lead + 1);
}

#[test]
fn entries_go_once_all_have_them_and_tables_hold_them() {
    let mut world = started(3);
    let lead = leader(&world, GROUPS[1]);
    for _ in 0..200 {
        world.propose(lead, GROUPS[1], 4_000);
        settle(&mut world, 5);
    }
    settle(&mut world, 2_000);
    for node in &world.nodes {
        let replication = &node.up.as_ref().unwrap().replication;
        let group = replication.status(GROUPS[1]).unwrap().group;
        assert!(group.first.0 > 50, "{}: {group:?}", node.id);
        assert!(group.first.0 <= replication.engine().flushed_position(GROUPS[1].0) + 1);
    }
}

#[test]
fn a_quiet_group_holds_no_segment_of_the_log() {
    let mut world = started(3);
    for gid in GROUPS {
        let lead = leader(&world, gid);
        world.propose(lead, gid, 100).expect("it leads");
    }
    let lead = leader(&world, GROUPS[1]);
    for _ in 0..500 {
        world.propose(lead, GROUPS[1], 4_000);
        settle(&mut world, 5);
    }
    settle(&mut world, 2_000);
    for node in &world.nodes {
        let engine = node.up.as_ref().unwrap().replication.engine();
        let (bytes, end) = (engine.log().bytes(), engine.log().end().0);
        assert!(end > 2_000_000 && bytes < 700_000, "{}: {bytes} bytes of {end}", node.id);
    }
    // What stays of the quiet group is enough to start from and to lead with.
    (0..3).for_each(|n| world.crash(n, Crash::LoseAll));
    (0..3).for_each(|n| world.start(n));
    settle(&mut world, 5_000);
    for gid in GROUPS {
        let lead = leader(&world, gid);
        world.propose(lead, gid, 100).expect("it leads");
    }
    settle(&mut world, 1_000);
    assert!(world.has_converged());
    world.judge_contents();
}

#[test]
fn a_stopped_node_answers_everybody_and_takes_nothing() {
    let mut world = started(3);
    let lead = leader(&world, GROUPS[1]);
    world.propose(lead, GROUPS[1], 10).expect("it leads");
    // A follower's barrier waits for the leader's word; the leader's own would wait for nothing.
    let asking = (lead + 1) % 3;
    world.barrier(asking, GROUPS[1]);
    let stopped = world.nodes[asking].up.as_mut().unwrap().replication.stop().unwrap();
    assert_eq!(stopped.barriers.len(), 1);
    let replication = &mut world.nodes[lead].up.as_mut().unwrap().replication;
    let Effects { done, out, .. } = replication.stop().unwrap();
    assert_eq!(done.len(), 1);
    assert!(!out.is_empty(), "the followers hear of it");
    let refused = replication.propose(GROUPS[1], EntryKind::Noop, &[], 99);
    assert_eq!(refused, Err(Refused::Raft(phantom_raft::Refused::Stopped)));
}
