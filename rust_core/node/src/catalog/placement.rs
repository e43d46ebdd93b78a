//! Where rows are: of a table the colocation set, of a set the groups, of a group the replicas.
//!
//! Whoever wants to know asks here; the control plane reads the descriptors. So far a set has one
//! group, and every member of the formation has a replica of each.

use minicbor::Encoder;
use phantom_base::{GroupId, Map, NodeId};

/// The set of what no table's descriptor names: nodes and the catalog itself.
pub const SYSTEM_SET: u32 = 0;

/// Sets, their groups and the replicas of those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    sets: Map<u32, Vec<GroupId>>,
    replicas: Map<GroupId, Vec<NodeId>>,
}

impl Placement {
    /// Of a formation: its first group is the catalog's, and each further one is that of a set.
    pub fn of(groups: impl Iterator<Item = GroupId>, members: &[NodeId]) -> Self {
        let mut placement = Self::default();
        for (set, group) in (SYSTEM_SET..).zip(groups) {
            placement.sets.insert(set, vec![group]);
            placement.replicas.insert(group, members.to_vec());
        }
        placement
    }

    /// The group that holds all rows of a set; `None` for a set that is not known.
    pub fn group_of(&self, set: u32) -> Option<GroupId> {
        self.sets.get(&set)?.first().copied()
    }

    /// The sets of tables.
    pub fn sets(&self) -> impl Iterator<Item = u32> {
        self.sets.keys().copied().filter(|set| *set != SYSTEM_SET)
    }

    /// The nodes that have a replica of a group.
    pub fn replicas(&self, group: GroupId) -> &[NodeId] {
        self.replicas.get(&group).map_or(&[], Vec::as_slice)
    }

    /// Writes [[set, [[group, [node..]]..]]..].
    pub fn encode(&self) -> Vec<u8> {
        const WRITES: &str = "a Vec takes every write";
        let mut bytes = Vec::new();
        let mut out = Encoder::new(&mut bytes);
        out.array(self.sets.len() as u64).expect(WRITES);
        for (set, groups) in &self.sets {
            out.array(2).and_then(|out| out.u32(*set)).expect(WRITES);
            out.array(groups.len() as u64).expect(WRITES);
            for group in groups {
                let nodes = self.replicas(*group);
                out.array(2).and_then(|out| out.u64(group.0)).expect(WRITES);
                out.array(nodes.len() as u64).expect(WRITES);
                for node in nodes {
                    out.u32(node.0).expect(WRITES);
                }
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_group_is_the_catalogs_and_the_next_one_the_first_sets() {
        let groups = [GroupId::SYSTEM, GroupId::ROWS];
        let members = [1, 2, 3].map(NodeId);
        let placement = Placement::of(groups.into_iter(), &members);
        assert_eq!(placement.group_of(SYSTEM_SET), Some(GroupId::SYSTEM));
        assert_eq!(placement.group_of(1), Some(GroupId::ROWS));
        assert_eq!(placement.group_of(2), None);
        assert_eq!(placement.sets().collect::<Vec<_>>(), [1]);
        assert_eq!(placement.replicas(GroupId::ROWS), members);
        assert_eq!(placement.replicas(GroupId(3)), []);
        let bytes = b"\x82\x82\x00\x81\x82\x01\x83\x01\x02\x03\x82\x01\x81\x82\x02\x83\x01\x02\x03";
        assert_eq!(placement.encode(), bytes);
    }
}
