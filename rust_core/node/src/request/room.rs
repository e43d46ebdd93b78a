//! What a write is told when disks are full.

use phantom_base::{Error, GroupId, NodeId, sqlstate};
use phantom_mvcc::Ticket;

use super::Requests;
use crate::replication::Replication;

impl Requests {
    /// Ends a write for which there is no room; nothing was done. If another node is about to lead
    /// the group, the gateway waits for that one; else it is 53100. `what` is written to.
    pub(super) fn no_room(&mut self, replication: &mut Replication, ticket: Ticket, what: &str) {
        let group = self.get(ticket).group;
        if replication.is_leaving(group) {
            phantom_base::mark!("a_write_waits_for_a_leader_with_room");
            let active = self.end(ticket);
            self.not_leader(replication, active.origin, group);
        } else {
            self.fail(ticket, disk_full(replication, group, what));
        }
    }
}

fn disk_full(replication: &Replication, group: GroupId, what: &str) -> Error {
    let disk = replication.disk();
    let own = replication.node();
    let mut full: Vec<NodeId> = replication
        .status(group)
        .into_iter()
        .flat_map(|status| status.group.members)
        .filter(|member| member.short_of_room && member.node != own)
        .map(|member| member.node)
        .collect();
    let message = if disk.is_short() {
        full.insert(0, own);
        let (free, total) = (shown(disk.free), shown(disk.total));
        let (name, reserve) = (name_of(replication, own), shown(disk.reserve));
        format!(
            "could not extend {what}: the disk of node {name} has {free} of {total} free, \
             and {reserve} are kept in reserve"
        )
    } else {
        format!("could not extend {what}: too few members of group {} have room", group.0)
    };
    let names: Vec<&str> = full.iter().map(|node| name_of(replication, *node)).collect();
    let names = names.join(", ");
    Error::new(sqlstate::DISK_FULL, message)
        .with_detail(format!("Full disks of group {}: {names}. Nothing was done.", group.0))
        .with_hint("Free space on them, or enlarge them: writes then go on by themselves.")
}

fn name_of(replication: &Replication, node: NodeId) -> &str {
    let members = &replication.formation().members;
    members.iter().find(|member| member.node == node).map_or("?", |member| &member.name)
}

/// A size for people.
fn shown(bytes: u64) -> String {
    if bytes >= 10 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}
