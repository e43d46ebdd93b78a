//! Clocks that are wrong and disks that are slow: what each may cost, in simulated time.
//!
//! ```text
//! clocks   wall clocks that jump, and a machine whose time has run ahead
//! syncs    logs that take long everywhere, on one node, and for ever
//! ```

mod clocks;
mod syncs;

use phantom_base::{GroupId, Nanos, NodeId, Term};

use crate::machines::MS;
use crate::rules::settle;
use crate::world::World;

const STEP_MS: u64 = 5;

/// Who leads a group according to all nodes, and in which term; `None` if they do not agree.
fn leadership(world: &World, gid: GroupId) -> Option<(usize, Term)> {
    let mut said = world.nodes.iter().map(|node| {
        let group = node.up.as_ref()?.replication.status(gid)?.group;
        (group.leader != NodeId::NONE).then_some((group.leader.0 as usize - 1, group.term))
    });
    let first = said.next().flatten()?;
    said.all(|one| one == Some(first)).then_some(first)
}

/// Writes one entry after the other through whoever leads, for so long; how many were acknowledged.
fn write_for(world: &mut World, gid: GroupId, time: Nanos) -> u64 {
    let end = world.now() + time;
    let kept = |world: &World| {
        world.common.judge.lock().kept.get(&gid).map_or(0, |kept| kept.len() as u64)
    };
    let first = kept(world);
    let mut under_way: Option<u64> = None;
    while world.now() < end {
        let is_done = |token: &u64| !world.common.judge.lock().awaits(*token);
        if under_way.as_ref().is_none_or(is_done) {
            under_way = (0..world.nodes.len()).find_map(|n| world.propose(n, gid, 100));
        }
        (0..STEP_MS).for_each(|_| settle(world, 1));
    }
    kept(world) - first
}

/// The least so many seconds of writes may come to where nothing holds them up.
fn is_served(world: &mut World, gid: GroupId) -> bool {
    write_for(world, gid, 1_000 * MS) >= 5
}
