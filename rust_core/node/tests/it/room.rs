//! Disks that fill and empty under a cluster: who leads, what is refused, and that nothing is lost.
//! `seeds` says which seeds run.

use phantom_base::{Random, Set, Term};
use phantom_node::replication::Refused;
use phantom_node::replication::entry::EntryKind;
use phantom_raft::{RoleName, Room};
use phantom_vfs::{Crash, FaultScript};

use crate::machines::{MS, Node};
use crate::rules::{leader, settle};
use crate::seeds;
use crate::world::{GROUPS, Replica, World};

const ROWS: phantom_base::GroupId = GROUPS[1];
/// Under this a disk is short; under a quarter of it no entry is taken.
const RESERVE: u64 = 2 << 20;
const SHORT: u64 = RESERVE * 3 / 4;
const ALMOST_NOTHING: u64 = RESERVE / 8;
const PLENTY: u64 = 1 << 30;

fn started(nodes: u32) -> World {
    let mut world = World::new(1, nodes);
    world.common.disk_reserve = Some(RESERVE);
    (0..nodes as usize).for_each(|n| world.leave_free(n, PLENTY));
    (0..nodes as usize).for_each(|n| world.start(n));
    settle(&mut world, 5_000);
    assert!(world.has_converged());
    world
}

fn room(world: &World, n: usize) -> Room {
    world.nodes[n].up.as_ref().unwrap().replication.disk().room
}

/// Fills a disk and lets the node see it.
fn fill(world: &mut World, n: usize, free: u64) {
    world.leave_free(n, free);
    settle(world, 600);
    assert_ne!(room(world, n), Room::Enough);
}

/// Writes through a leader until so many are acknowledged.
fn write(world: &mut World, n: usize, count: usize) {
    let kept = |world: &World| world.common.judge.lock().kept.get(&ROWS).map_or(0, Set::len);
    let wanted = kept(world) + count;
    for _ in 0..count {
        world.propose(n, ROWS, 4_000).expect("it leads and has room");
        settle(world, 5);
    }
    settle(world, 1_000);
    assert_eq!(kept(world), wanted, "all were acknowledged");
}

fn refused(world: &mut World, n: usize) -> bool {
    let replication = &mut world.nodes[n].up.as_mut().unwrap().replication;
    let answer = replication.propose(ROWS, EntryKind::Noop, &[], 1 << 60);
    answer == Err(Refused::Raft(phantom_raft::Refused::DiskFull))
}

fn opens_a_barrier(world: &mut World, n: usize) -> bool {
    let before = world.common.judge.lock().barriers_opened;
    world.barrier(n, ROWS);
    settle(world, 1_000);
    world.common.judge.lock().barriers_opened > before
}

/// Who leads as soon as anybody does.
fn first_leader(world: &mut World) -> usize {
    let leads = |node: &Node<Replica>| {
        let status = node.up.as_ref().and_then(|up| up.replication.status(ROWS));
        status.is_some_and(|status| status.group.role == RoleName::Leader)
    };
    for _ in 0..60_000 {
        if let Some(n) = world.nodes.iter().position(leads) {
            return n;
        }
        world.calm_step(MS / 4);
    }
    panic!("nobody leads");
}

fn term(world: &World) -> Term {
    let status = |node: &Node<Replica>| node.up.as_ref()?.replication.status(ROWS);
    world.nodes.iter().filter_map(status).map(|status| status.group.term).max().unwrap()
}

fn applied(world: &World, n: usize) -> u64 {
    let replication = &world.nodes[n].up.as_ref().unwrap().replication;
    replication.status(ROWS).unwrap().mark.index.0
}

fn empty(world: &mut World) {
    (0..world.nodes.len()).for_each(|n| world.leave_free(n, PLENTY));
    settle(world, 5_000);
    assert!(world.has_converged(), "everything goes on by itself");
}

#[test]
fn a_full_follower_is_spared_and_catches_up_when_it_has_room() {
    for free in [SHORT, ALMOST_NOTHING] {
        let mut world = started(3);
        let lead = leader(&world, ROWS);
        let full = (lead + 1) % 3;
        write(&mut world, lead, 10);
        let before = term(&world);
        fill(&mut world, full, free);
        let had = applied(&world, full);
        write(&mut world, lead, 200);
        assert_eq!((leader(&world, ROWS), term(&world)), (lead, before), "nobody else leads");
        assert_eq!(applied(&world, full), had, "it was sent nothing that it would have to keep");
        let space = world.nodes[full].up.as_ref().unwrap().replication.disk();
        assert!(space.free + (256 << 10) >= free, "{space:?}: the reserve is left alone");
        assert!(opens_a_barrier(&mut world, lead));
        empty(&mut world);
        assert!(applied(&world, full) >= had + 200);
        world.judge_contents();
    }
}

#[test]
fn the_catalogs_group_goes_on_in_the_reserve() {
    let mut world = started(3);
    let lead = leader(&world, GROUPS[0]);
    let full = (lead + 1) % 3;
    fill(&mut world, full, SHORT);
    for _ in 0..10 {
        world.propose(lead, GROUPS[0], 100).expect("it leads and has room");
        settle(&mut world, 50);
    }
    let before = world.common.judge.lock().barriers_opened;
    world.barrier(full, GROUPS[0]);
    settle(&mut world, 1_000);
    assert!(
        world.common.judge.lock().barriers_opened > before,
        "its sessions see the catalog's end"
    );
}

#[test]
fn a_full_leader_answers_what_is_in_flight_and_hands_over() {
    let mut world = started(3);
    let full = leader(&world, ROWS);
    let before = term(&world);
    world.leave_free(full, SHORT);
    for _ in 0..20 {
        world.propose(full, ROWS, 1_000).expect("it has not looked yet");
    }
    settle(&mut world, 3_000);
    let heir = leader(&world, ROWS);
    assert_ne!(heir, full);
    let kept = world.common.judge.lock().kept[&ROWS].len();
    assert_eq!(kept, 20, "no proposal's end is unknown");
    assert!(!world.nodes[full].up.as_mut().unwrap().replication.is_leaving(ROWS));
    write(&mut world, heir, 50);
    let after = term(&world);
    assert!(after.0 <= before.0 + 2, "{before} to {after}");
    settle(&mut world, 30_000);
    assert_eq!((leader(&world, ROWS), term(&world)), (heir, after), "it does not come back");
    empty(&mut world);
    world.judge_contents();
}

#[test]
fn a_full_node_leads_if_nobody_else_can_and_serves_reads() {
    let mut world = started(3);
    let lead = leader(&world, ROWS);
    write(&mut world, lead, 10);
    world.crash((lead + 1) % 3, Crash::KeepAll);
    fill(&mut world, (lead + 2) % 3, SHORT);
    fill(&mut world, lead, SHORT);
    let before = term(&world);
    assert!(refused(&mut world, lead));
    assert!(opens_a_barrier(&mut world, lead));
    // The leader restarts; the one that then leads is full as well.
    world.crash(lead, Crash::KeepAll);
    world.start(lead);
    assert_eq!(room(&world, lead), Room::Short, "it knows from the start");
    let next = first_leader(&mut world);
    let is_leaving =
        |world: &mut World| world.nodes[next].up.as_mut().unwrap().replication.is_leaving(ROWS);
    assert!(is_leaving(&mut world), "nobody has told yet that there is no other");
    settle(&mut world, 15_000);
    assert_eq!(leader(&world, ROWS), next);
    assert!(!is_leaving(&mut world));
    assert!(opens_a_barrier(&mut world, next));
    assert!(refused(&mut world, next));
    assert!(term(&world).0 <= before.0 + 3, "{before} to {}", term(&world));
    world.start((lead + 1) % 3);
    settle(&mut world, 15_000);
    let roomy = leader(&world, ROWS);
    assert_eq!(roomy, (lead + 1) % 3, "the one with room leads once it has caught up");
    assert!(refused(&mut world, roomy), "a majority is full all the same");
    assert!(opens_a_barrier(&mut world, roomy));
    empty(&mut world);
    write(&mut world, roomy, 10);
    world.judge_contents();
}

#[test]
fn a_node_alone_refuses_writes_and_takes_them_again() {
    let mut world = started(1);
    write(&mut world, 0, 10);
    fill(&mut world, 0, SHORT);
    let before = term(&world);
    settle(&mut world, 20_000);
    assert!(refused(&mut world, 0) && opens_a_barrier(&mut world, 0));
    assert_eq!(term(&world), before, "it does not hand over to nobody");
    world.leave_free(0, RESERVE + RESERVE / 16);
    settle(&mut world, 600);
    assert!(refused(&mut world, 0), "a little room is not enough yet");
    empty(&mut world);
    write(&mut world, 0, 10);
    world.judge_contents();
}

#[test]
fn a_disk_without_a_byte_ends_the_node_and_it_starts_again_with_a_few() {
    let mut world = started(3);
    let lead = leader(&world, ROWS);
    let full = (lead + 1) % 3;
    write(&mut world, lead, 30);
    world.leave_free(full, 0);
    // It writes before it has looked.
    for _ in 0..3 {
        world.propose(lead, ROWS, 4_000);
    }
    for _ in 0..3_000 {
        world.pass(MS);
        (0..3).for_each(|n| world.run(n, 100));
    }
    assert!(world.nodes[full].up.is_none(), "it could not keep what it was sent");
    write(&mut world, lead, 30);
    world.start(full);
    assert!(world.nodes[full].up.is_none(), "there is no room for the note that it starts");
    world.leave_free(full, ALMOST_NOTHING);
    world.start(full);
    settle(&mut world, 3_000);
    assert_eq!(room(&world, full), Room::None);
    write(&mut world, lead, 30);
    assert!(world.nodes[full].up.is_some(), "and it stays");
    empty(&mut world);
    world.judge_contents();
}

/// One seed: disks fill and empty, nodes fall and stand up, and writes go on.
fn fill_and_empty(seed: u64) -> u64 {
    let mut world = World::new(seed, 3);
    world.common.disk_reserve = Some(RESERVE);
    (0..3).for_each(|n| world.leave_free(n, PLENTY));
    (0..3).for_each(|n| world.start(n));
    for tick in 0..4_000 {
        let n = world.random.below(3) as usize;
        match world.random.below(1_000) {
            0..=2 => world.leave_free(n, PLENTY),
            3 => world.leave_free(n, SHORT),
            4 => world.leave_free(n, ALMOST_NOTHING),
            5 => world.leave_free(n, world.nodes[n].fs.changes() % 3_000),
            6 => world.crash(n, Crash::AnySubset(50)),
            7 => world.reset(n, (n + 1) % 3),
            _ => {}
        }
        if tick % 40 == 0 && world.nodes[n].up.is_none() {
            world.start(n);
        }
        if world.random.one_in(3) {
            let bytes = world.random.below(20_000) as usize;
            world.propose(n, ROWS, bytes);
            world.barrier(n, ROWS);
        }
        world.dial();
        let step = 1 + world.random.below(10);
        world.pass(step * MS);
        (0..3).for_each(|n| world.run(n, 20));
    }
    for n in 0..3 {
        world.nodes[n].fs.set_faults(FaultScript::default());
        world.leave_free(n, PLENTY);
        if world.nodes[n].up.is_none() {
            world.start(n);
        }
    }
    settle(&mut world, 15_000);
    assert!(world.has_converged(), "everything goes on by itself");
    let lead = leader(&world, ROWS);
    write(&mut world, lead, 3);
    world.judge_contents();
    world.common.judge.lock().kept[&ROWS].len() as u64
}

#[test]
fn disks_that_fill_and_empty_lose_nothing_acknowledged() {
    let (seeds, [kept]) = seeds::run_all("disks_that", 20, |seed| [fill_and_empty(seed)]);
    println!("{seeds} seeds: {kept} writes");
    assert!(kept > 40 * seeds, "too little happened: {kept}");
}
