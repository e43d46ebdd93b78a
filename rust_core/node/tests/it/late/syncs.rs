//! Where all disks are slow, all is slow and nobody is dead; where one is, another leads.

use super::{is_served, leadership, write_for};
use crate::machines::MS;
use crate::rules::{settle, started};
use crate::world::GROUPS;

const GID: phantom_base::GroupId = GROUPS[1];

#[test]
fn a_leadership_outlives_syncs_that_are_slow_everywhere() {
    for sync_ms in [100, 500, 1_000, 2_000] {
        let mut world = started(3);
        let before = leadership(&world, GID).expect("a leader");
        world.nodes.iter_mut().for_each(|node| node.sync_ns = sync_ms * MS);
        let seconds = 60;
        let writes = write_for(&mut world, GID, seconds * 1_000 * MS);
        assert_eq!(leadership(&world, GID), Some(before), "{sync_ms} ms a sync");
        // A write waits for the sync under way and for its own.
        let least = seconds * 1_000 / (2 * sync_ms + 100);
        assert!(writes >= least, "{sync_ms} ms a sync: {writes} writes, {least} expected");
    }
}

#[test]
fn a_leader_is_elected_where_syncs_are_slow_and_keeps_its_term() {
    for sync_ms in [500, 2_000] {
        let mut world = started(3);
        world.nodes.iter_mut().for_each(|node| node.sync_ns = sync_ms * MS);
        settle(&mut world, 20 * sync_ms);
        let (former, term) = leadership(&world, GID).expect("a leader");
        let up = world.nodes[former].up.as_mut().unwrap();
        up.replication.step_down(GID).unwrap();
        settle(&mut world, 10 * sync_ms + 5_000);
        let (_, now) = leadership(&world, GID).expect("another leader");
        assert!(now.0 - term.0 <= 3, "{sync_ms} ms a sync: {term:?}, then {now:?}");
        settle(&mut world, 30_000);
        assert_eq!(leadership(&world, GID).map(|(_, term)| term), Some(now));
    }
}

#[test]
fn no_heartbeat_waits_for_disks_that_hang() {
    let mut world = started(3);
    let before = GROUPS.map(|gid| leadership(&world, gid).expect("a leader"));
    let end = world.now() + 20_000 * MS;
    world.nodes.iter_mut().for_each(|node| node.hangs_until = end);
    settle(&mut world, 20_000);
    assert_eq!(GROUPS.map(|gid| leadership(&world, gid).expect("it leads on")), before);
    settle(&mut world, 500);
    assert!(is_served(&mut world, GID));
    assert_eq!(GROUPS.map(|gid| leadership(&world, gid).expect("it leads on")), before);
}

#[test]
fn a_leader_that_is_slow_alone_is_replaced_and_stays_a_member() {
    for (sync_ms, hang_ms) in [(500, 0), (2_000, 0), (0, 8_000)] {
        let mut world = started(3);
        let (slow, _) = leadership(&world, GID).expect("a leader");
        let now = world.now();
        world.nodes[slow].sync_ns = sync_ms * MS;
        world.nodes[slow].hangs_until = now + hang_ms * MS;
        write_for(&mut world, GID, 25_000 * MS);
        let (leader, _) = leadership(&world, GID).expect("a leader");
        assert_ne!(leader, slow, "{sync_ms} ms a sync, hung for {hang_ms}");
        assert!(is_served(&mut world, GID), "a majority is quick");
    }
}
