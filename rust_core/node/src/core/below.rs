//! What gateways and leaders may ask of replication, and what they are told when it refuses.

use phantom_base::{Error, GroupId, Nanos, NodeId, Timestamp};

use crate::gateway;
use crate::leader::{FullDisk, NoRoom, Refusal, Replica};
use crate::replication::{Refused, Replication};

impl Replica for Replication {
    fn tick(&mut self) -> Option<Timestamp> {
        self.tick_hlc()
    }

    fn leader(&self, group: GroupId) -> NodeId {
        Self::leader(self, group)
    }
}

impl gateway::Leaders for Replication {
    fn leader(&self, group: GroupId) -> NodeId {
        Self::leader(self, group)
    }

    fn is_connected(&self, peer: NodeId) -> bool {
        Self::is_connected(self, peer)
    }

    fn hears(&self, peer: NodeId, patience: Nanos) -> bool {
        Self::hears(self, peer, patience)
    }

    fn hlc(&self) -> Timestamp {
        Self::hlc(self)
    }
}

/// Why replication did not take what a request of a group asked.
pub fn refusal(replication: &mut Replication, group: GroupId, refused: Refused) -> Refusal {
    match refused {
        Refused::Starting
        | Refused::Raft(phantom_raft::Refused::NotLeader { .. } | phantom_raft::Refused::NoGroup) => {
            Refusal::NotLeader
        }
        Refused::Raft(phantom_raft::Refused::DiskFull) => {
            Refusal::NoRoom(no_room(replication, group))
        }
        refused => Refusal::Failed(Error::new(refused.sqlstate(), refused.to_string())),
    }
}

fn no_room(replication: &mut Replication, group: GroupId) -> NoRoom {
    let is_leaving = replication.is_leaving(group);
    let (disk, node) = (replication.disk(), replication.node());
    let members = replication.status(group).into_iter().flat_map(|status| status.group.members);
    let mut full: Vec<NodeId> = members
        .filter(|member| member.short_of_room && member.node != node)
        .map(|member| member.node)
        .collect();
    let own = disk.is_short().then(|| {
        full.insert(0, node);
        let (name, free) = (name_of(replication, node), disk.free);
        FullDisk { name, free, total: disk.total, reserve: disk.reserve }
    });
    let full = full.into_iter().map(|node| name_of(replication, node)).collect();
    NoRoom { is_leaving, own, full }
}

fn name_of(replication: &Replication, node: NodeId) -> String {
    let members = &replication.formation().members;
    members.iter().find(|member| member.node == node).map_or("?", |member| &member.name).to_owned()
}
