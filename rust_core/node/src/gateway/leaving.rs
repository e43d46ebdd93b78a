//! Leaders that are lost: what they had is sent again where that is harmless, else it is ended.

use phantom_base::{Error, Nanos, NodeId, sqlstate};

use super::{Context, Effect, Gateway, LEADER_WAIT_NS, News, wire};
use crate::frame::Section;
use crate::leader::work::{FlowId, ToLeader};

/// How often a read follows its group from a lost leader to the next.
const LOSSES_MAX: u32 = 3;
/// How often it does so because a link broke: what ended one node must not end all.
const BREAKS_MAX: u32 = 1;
/// How long a leader of the past may say nothing before its flows leave it. Each node tells the
/// others of itself twice a second.
const SILENCE_NS: Nanos = 2_000_000_000;

impl Gateway {
    /// A leader's node is gone: what it had is sent again if that is harmless.
    pub(super) fn peer_gone(&mut self, context: Context<'_>, peer: NodeId) {
        self.sent_plans.remove(&peer);
        // What waits to be sent to it would not arrive.
        self.effects.retain(|effect| !matches!(effect, Effect::Send(to, ..) if *to == peer));
        let there = self.live.iter_mut().filter(|(_, flow)| flow.is_at(peer)).map(|(id, flow)| {
            flow.breaks += 1;
            *id
        });
        for id in there.collect::<Vec<FlowId>>() {
            self.lose_leader(context, id, "the connection to its leader was lost");
        }
    }

    /// Takes back what is at silent nodes that this node's replicas follow no longer. One that is
    /// heard answers by itself, if only that it leads no more. Where nobody is followed the old
    /// leader may still answer, but not for ever.
    pub(super) fn leave_former_leaders(&mut self, context: Context<'_>) {
        let mut lost = Vec::new();
        for (id, flow) in &mut self.live {
            let Some(sent) = flow.sent.as_mut().filter(|sent| sent.to != self.node) else {
                continue;
            };
            let leader = context.leaders.leader(flow.fragment.group);
            if leader == sent.to {
                sent.doubt_ends = None;
            } else if leader != NodeId::NONE {
                if !context.leaders.hears(sent.to, SILENCE_NS) {
                    lost.push((*id, sent.to));
                }
            } else {
                let doubt_ends = sent.doubt_ends.get_or_insert(context.now + LEADER_WAIT_NS);
                if context.now >= *doubt_ends {
                    lost.push((*id, sent.to));
                }
            }
        }
        for (id, to) in lost {
            // Should it wake up, it need not go on.
            let cancel = wire::encode_to_leader(&ToLeader::Cancel(id), false);
            self.effects.push_back(Effect::Send(to, Section::Requests, cancel));
            self.lose_leader(context, id, "its leader was deposed before it answered");
        }
    }

    /// Ends a flow whose leader will not answer, or lets it wait for another if that is harmless.
    fn lose_leader(&mut self, context: Context<'_>, id: FlowId, why: &str) {
        let flow = self.live.get_mut(&id).expect("only live flows have leaders");
        let error = if flow.is_write {
            let message = format!("the statement may have committed or not: {why}");
            Error::new(sqlstate::STATEMENT_COMPLETION_UNKNOWN, message)
                .with_hint("Look whether it took effect before you send it again.")
        } else if flow.has_rows {
            let message = "the leader was lost after rows had been sent";
            Error::new(sqlstate::SERIALIZATION_FAILURE, message)
                .with_hint("Nothing was done; try again.")
        } else if flow.losses == LOSSES_MAX || flow.breaks > BREAKS_MAX {
            let message = format!("the leader was lost {} times: {why}", flow.losses + 1);
            Error::new(sqlstate::CANNOT_CONNECT_NOW, message)
                .with_hint("Nothing was done; see `phantomdb status`, then try again.")
        } else {
            flow.losses += 1;
            flow.give_up = context.now + LEADER_WAIT_NS;
            self.wait(id, context.now);
            return;
        };
        self.finish(id, News::Failed(error));
    }
}
