//! A wrong wall clock costs nothing; one machine's time that has run ahead costs that one as long as
//! it is ahead.

use std::sync::atomic::Ordering;

use phantom_vfs::Crash;

use super::{is_served, leadership};
use crate::machines::MS;
use crate::rules::{settle, started};
use crate::world::{GROUPS, World};

const GID: phantom_base::GroupId = GROUPS[1];
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;

fn set_wall(world: &World, nodes: &[usize], offset_ns: i64) {
    for n in nodes {
        world.nodes[*n].clock.offset_ns.store(offset_ns, Ordering::Relaxed);
    }
}

#[test]
fn wall_clocks_that_jump_end_no_leadership_and_hold_up_no_write() {
    let cases: [(&[usize], i64); 5] = [
        (&[0, 1], 45 * SECOND),
        (&[0, 1, 2], 8 * HOUR),
        (&[2], 8 * HOUR),
        (&[1], -8 * HOUR),
        (&[0, 1], -45 * SECOND),
    ];
    for (nodes, offset_ns) in cases {
        let mut world = started(3);
        let before = leadership(&world, GID).expect("a leader");
        set_wall(&world, nodes, offset_ns);
        (0..60).for_each(|_| assert!(is_served(&mut world, GID), "{nodes:?} {offset_ns}"));
        set_wall(&world, nodes, 0);
        (0..10).for_each(|_| assert!(is_served(&mut world, GID), "{nodes:?} after {offset_ns}"));
        assert_eq!(leadership(&world, GID), Some(before), "{nodes:?} {offset_ns}");
    }
}

#[test]
fn a_restart_under_a_wrong_wall_clock_and_one_after_it_take_no_longer_than_any() {
    for nodes in [&[2][..], &[0, 1, 2]] {
        let mut world = started(3);
        set_wall(&world, nodes, 8 * HOUR);
        settle(&mut world, 2_000);
        for offset in [8 * HOUR, 0, -HOUR] {
            for n in nodes {
                world.crash(*n, Crash::KeepAll);
            }
            set_wall(&world, nodes, offset);
            for n in nodes {
                world.start(*n);
            }
            settle(&mut world, 5_000);
            assert!(is_served(&mut world, GID), "{nodes:?} {offset}");
            settle(&mut world, 500);
            assert!(world.has_converged(), "{nodes:?} {offset}");
        }
    }
}

#[test]
fn nodes_that_are_new_under_wrong_wall_clocks_form_a_cluster_at_once() {
    let mut world = World::new(5, 3);
    for (n, offset) in [8 * HOUR, 0, -HOUR].into_iter().enumerate() {
        set_wall(&world, &[n], offset);
        world.start(n);
    }
    settle(&mut world, 5_000);
    assert!(is_served(&mut world, GID));
}

#[test]
fn a_cluster_of_one_goes_on_whatever_its_wall_clock_says() {
    let mut world = started(1);
    for offset in [8 * HOUR, 0, -8 * HOUR] {
        set_wall(&world, &[0], offset);
        assert!(is_served(&mut world, GID), "{offset}");
        world.crash(0, Crash::KeepAll);
        world.start(0);
        settle(&mut world, 4_000);
        assert!(is_served(&mut world, GID), "{offset}, and after a restart");
    }
}

/// A day without the others, and its monotonic clock was a little fast: it may have stamped what lies
/// in their future.
#[test]
fn a_node_whose_time_has_run_ahead_is_out_as_long_as_it_was_ahead() {
    let mut world = started(3);
    let (away, _) = leadership(&world, GID).expect("a leader");
    world.nodes[away].clock.run_ahead(6_000 * 1_000_000);
    settle(&mut world, 3_000);
    let up = world.nodes[away].up.as_mut().unwrap();
    assert_eq!(up.replication.tick_hlc(), None, "it is silent");
    let others = (0..3).filter(|n| *n != away);
    let leader = others.map(|n| world.nodes[n].up.as_ref().unwrap().replication.leader(GID));
    assert!(leader.max().unwrap().0 as usize != away + 1, "another leads");
    settle(&mut world, 4_000);
    assert!(is_served(&mut world, GID));
    assert!(world.nodes[away].up.as_mut().unwrap().replication.tick_hlc().is_some());
    settle(&mut world, 1_000);
    assert!(world.has_converged());
}

#[test]
fn a_node_that_was_away_for_hours_takes_the_others_time_when_it_is_back() {
    let mut world = started(3);
    world.crash(2, Crash::KeepAll);
    for n in 0..2 {
        world.nodes[n].clock.run_ahead(3_600_000 * MS);
    }
    settle(&mut world, 3_000);
    world.start(2);
    settle(&mut world, 2_000);
    assert!(world.nodes[2].up.as_mut().unwrap().replication.tick_hlc().is_some());
    assert!(world.has_converged());
}
