//! The leaders of the groups that this node leads, by group; they come with leadership and go when
//! nothing of it is left.

use std::collections::VecDeque;

use phantom_base::{GroupId, Map, NodeId};

use crate::leader::work::Origin;
use crate::leader::{Context, Effect, GroupLeader, Input, Replica, RequestId, Shared, Worked};
use crate::runtime::Mailbox;

/// What a worker posts.
pub type Posted = (GroupId, RequestId, Worked);

/// All leaders of a node.
pub struct Leaders {
    groups: Map<GroupId, GroupLeader>,
    shared: Shared,
    effects: VecDeque<Effect>,
    /// What workers have come to.
    pub worked: Mailbox<Posted>,
}

impl Leaders {
    pub fn new(shared: Shared, worked: Mailbox<Posted>) -> Self {
        Self { groups: Map::new(), shared, effects: VecDeque::new(), worked }
    }

    /// How many requests have not ended, and how many statements were begun again.
    pub fn counts(&self) -> (usize, u64) {
        (self.groups.values().map(GroupLeader::count).sum(), self.shared.repeats)
    }

    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Gives an input to the leader of a group.
    pub fn step(&mut self, replica: &mut dyn Replica, group: GroupId, input: Input) {
        if let Input::Led(_) = input {
            self.groups.entry(group).or_insert_with(|| GroupLeader::new(group));
        }
        let shared = &mut self.shared;
        let mut context = Context { shared, replica, effects: &mut self.effects };
        let Some(leader) = self.groups.get_mut(&group) else {
            // What is for requests is of some that have ended.
            if let Input::Run(origin, _) = input {
                context.not_leader(group, origin);
            }
            return;
        };
        leader.step(input, &mut context);
        if leader.is_idle() {
            self.groups.remove(&group);
        }
    }

    /// The group at which a gateway of another node has a request: its messages do not say.
    pub fn group_of(&self, origin: Origin) -> Option<GroupId> {
        self.groups.iter().find(|(_, leader)| leader.has(origin)).map(|(group, _)| *group)
    }

    /// The link to a gateway is gone.
    pub fn gateway_gone(&mut self, replica: &mut dyn Replica, gateway: NodeId) {
        self.effects.retain(
            |effect| !matches!(effect, Effect::Reply(origin, _) if origin.gateway == gateway),
        );
        for group in self.groups.keys().copied().collect::<Vec<_>>() {
            self.step(replica, group, Input::GatewayGone(gateway));
        }
    }

    /// Lets writes look again for which the clock had no stamp.
    pub fn look_for_stamps(&mut self, replica: &mut dyn Replica) {
        if std::mem::take(&mut self.shared.awaits_stamps) {
            for group in self.groups.keys().copied().collect::<Vec<_>>() {
                self.step(replica, group, Input::Stamps);
            }
        }
    }
}
