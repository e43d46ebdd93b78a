//! How long a cluster takes to serve after its nodes were started, in simulated time.

use phantom_vfs::Crash;

use crate::machines::MS;
use crate::rules::{leader, settle, started};
use crate::world::{GROUPS, World};

/// Milliseconds until a write is acknowledged and a read by lease is open.
fn served_after(world: &mut World) -> u64 {
    let begin = world.now();
    let reads = world.common.judge.lock().lease_reads;
    let (mut write, mut is_written) = (None, false);
    while world.now() < begin + 60_000 * MS {
        for n in 0..world.nodes.len() {
            write = write.or_else(|| world.propose(n, GROUPS[1], 100));
            let judge = world.common.judge.lock();
            is_written = write.is_some_and(|token| !judge.awaits(token));
            drop(judge);
            if is_written {
                world.barrier(n, GROUPS[1]);
            }
        }
        if is_written && world.common.judge.lock().lease_reads > reads {
            return (world.now() - begin) / MS;
        }
        settle(world, 1);
    }
    panic!("nothing is served within a minute");
}

/// Stops a node as SIGTERM does.
fn stop(world: &mut World, n: usize) {
    let mut up = world.nodes[n].up.take().expect("it runs");
    up.replication.stop().expect("its disk is well");
    up.replication.close().expect("its disk is well");
    let fs = world.nodes[n].fs.crash(1, Crash::LoseAll);
    world.nodes[n].fs = fs;
    for other in (0..world.nodes.len()).filter(|other| *other != n) {
        world.reset(n, other);
    }
}

#[test]
fn a_cluster_of_one_serves_at_once_when_it_is_new_or_was_stopped() {
    let mut world = World::new(3, 1);
    world.start(0);
    let ms = served_after(&mut world);
    assert!(ms <= 50, "new, it took {ms} ms");
    for time in [0, 700, 5_000] {
        settle(&mut world, time);
        stop(&mut world, 0);
        world.start(0);
        let ms = served_after(&mut world);
        assert!(ms <= 50, "stopped after {time} ms more, it took {ms} ms");
    }
    world.judge_contents();
}

#[test]
fn a_cluster_of_one_that_was_killed_serves_when_its_clock_has_passed_its_bound() {
    let mut world = World::new(3, 1);
    world.start(0);
    for time in [1_000, 1_250, 5_100] {
        settle(&mut world, time);
        world.crash(0, Crash::LoseAll);
        world.start(0);
        let ms = served_after(&mut world);
        assert!(ms <= 1_200, "killed after {time} ms more, it took {ms} ms");
    }
    world.judge_contents();
}

#[test]
fn three_nodes_that_were_killed_serve_within_five_seconds() {
    for comes_back in [true, false] {
        let mut world = started(3);
        settle(&mut world, 1_234);
        let former = leader(&world, GROUPS[1]);
        (0..3).for_each(|n| world.crash(n, Crash::LoseAll));
        // Without the leader that they have promised to help alone it is not over before.
        let starting = (0..3).filter(|n| comes_back || *n != former);
        starting.for_each(|n| world.start(n));
        let ms = served_after(&mut world);
        assert!(ms <= 5_000, "it took {ms} ms, with the leader: {comes_back}");
    }
}

#[test]
fn three_nodes_that_were_stopped_elect_by_their_timers() {
    let mut world = started(3);
    (0..3).for_each(|n| stop(&mut world, n));
    (0..3).for_each(|n| world.start(n));
    let ms = served_after(&mut world);
    assert!(ms <= 2_500, "it took {ms} ms");
}

/// Nobody has to say that a leader is dead: its support lapses, and the first to withdraw it stands.
#[test]
fn a_dead_leader_is_replaced_when_its_support_has_lapsed() {
    for seed in 0..5 {
        let mut world = started(3);
        settle(&mut world, 100 * seed);
        let former = leader(&world, GROUPS[1]);
        world.crash(former, Crash::LoseAll);
        let ms = served_after(&mut world);
        assert!(ms <= 2_000, "it took {ms} ms");
    }
}
