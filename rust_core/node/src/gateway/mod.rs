//! The gateway: statements of this node that leaders of groups carry out, as flows.
//!
//! A flow is one sending of work to one leader, here or on a peer. Work is sent again, as a new flow,
//! where that is certain to be harmless: when the leader said that it is none, when nobody led, when a
//! read had not returned a row. What a leader had still to say of a flow that was left finds its name
//! forgotten, also where the work has come back to that leader. Rules, each a script in
//! `tests/scripts/gateway`:
//!
//! - A write whose leader went silent is unknown (40003) and never sent twice.
//! - A leader is lost to its flows when its link breaks, and also when the own replica follows another
//!   one and it says nothing: a paused process keeps its links. One that has handed over in order still
//!   answers what it was given.
//! - After a broken link a read is sent again once and no more, for it may be what ended the node there.
//! - A leader on this node gets work by value: nothing is encoded, and no plan is looked up by hash.
//!
//! A machine: `step` takes an input and leaves effects; what it may know of others it asks of `Leaders`.
//! An owner has one flow at a time and is its name for the gateway.
//!
//! ```text
//! flows    what is sent, and how far it is     wire     messages between nodes
//! leaving  leaders that are lost               parts    messages cut for frames
//! ```

mod flows;
mod leaving;
mod parts;
pub mod wire;

use std::collections::VecDeque;

use phantom_base::{Error, GroupId, Map, Nanos, NodeId, Set, Timestamp, sqlstate};
use phantom_types::QueryMemory;

pub use self::flows::Delivery;
use self::flows::Flow;
pub use self::parts::Parts;
use crate::frame::Section;
use crate::leader::work::{FlowId, Fragment, Reply, SystemRows, ToLeader, Work};
use crate::replication::entry::TxnId;

/// How long a statement waits while its group has no leader.
pub const LEADER_WAIT_NS: Nanos = 10_000_000_000;
/// How often waiting flows look for a leader, and sent ones whether theirs still leads.
pub const LOOK_AGAIN_NS: Nanos = 10_000_000;

/// Who gave work out. It has one flow at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A session of this node, and which of its statements.
    Session(u64, u64),
    /// The control plane, by its token.
    Control(u64),
}

/// Work to give out.
pub struct Start {
    /// Who wants it.
    pub owner: Owner,
    /// Whose leader does it.
    pub group: GroupId,
    /// The applied catalog that it was bound to.
    pub catalog_version: u64,
    /// What to do.
    pub work: Work,
}

/// What happens to a gateway.
pub enum Input {
    /// Work to give out.
    Start(Start),
    /// A leader says something of a flow.
    Reply(NodeId, FlowId, Reply),
    /// The owner has taken rows of so many bytes: their sender may send more.
    Taken(Owner, usize),
    /// The owner wants no more; it hears nothing of the flow afterwards.
    Cancel(Owner),
    /// The owner of a write asks for its end. Its leader still tells how it ended: it may be too late.
    AskToCancel(Owner),
    /// The link to a peer is gone.
    PeerGone(NodeId),
    /// Time has passed.
    Time,
}

/// What a gateway wants done; effects are carried out in their order.
#[derive(Debug)]
pub enum Effect {
    /// Something for the leader of a group, which is on this node.
    Here(GroupId, ToLeader),
    /// A message for a peer.
    Send(NodeId, Section, Vec<u8>),
    /// Something for an owner.
    Tell(Owner, News),
}

/// What a flow has for its owner.
#[derive(Debug)]
pub enum News {
    /// Rows.
    Rows(Delivery),
    /// Rows of system relations; the end.
    SystemRows(SystemRows),
    /// The end: how many rows, and when it committed.
    Finished(u64, Timestamp),
    /// The end: why.
    Failed(Error),
}

/// What this node knows of others.
pub trait Leaders {
    /// Who leads a group; none if nobody is known to.
    fn leader(&self, group: GroupId) -> NodeId;
    /// Whether there is a link to a peer.
    fn is_connected(&self, peer: NodeId) -> bool;
    /// Whether a peer has said anything within `patience`.
    fn hears(&self, peer: NodeId, patience: Nanos) -> bool;
    /// The newest stamp that this node has issued or seen.
    fn hlc(&self) -> Timestamp;
}

/// What a step works with beside its input.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What this node knows of others.
    pub leaders: &'a dyn Leaders,
    /// Monotonic time.
    pub now: Nanos,
}

/// All flows of a node.
pub struct Gateway {
    node: NodeId,
    /// What owners have given out, by its flow at this moment.
    live: Map<FlowId, Box<Flow>>,
    /// Their flows.
    by_owner: Map<Owner, FlowId>,
    next_flow: FlowId,
    /// How much was given out: no two transactions have one number.
    given: u64,
    /// Flows that are at no leader.
    waiting: Set<FlowId>,
    /// Plans that a peer has been sent since its link came up.
    sent_plans: Map<NodeId, Set<u128>>,
    effects: VecDeque<Effect>,
    look_again: Nanos,
    /// When sent flows look whether their leader still leads.
    check_leaders: Nanos,
    memory: QueryMemory,
}

impl Gateway {
    /// No flows yet.
    pub fn new(node: NodeId, memory: QueryMemory) -> Self {
        Self {
            node,
            live: Map::new(),
            by_owner: Map::new(),
            next_flow: 1,
            given: 0,
            waiting: Set::new(),
            sent_plans: Map::new(),
            effects: VecDeque::new(),
            look_again: 0,
            check_leaders: 0,
            memory,
        }
    }

    /// How many flows have not ended.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether all have ended.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// What one query may take.
    pub fn memory(&self) -> &QueryMemory {
        &self.memory
    }

    /// Whether anything waits to be carried out.
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// What is to be done next.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether an owner's work changes something and is at a leader, which tells how it ends.
    pub fn is_write_at_leader(&self, owner: Owner) -> bool {
        let flow = self.by_owner.get(&owner).and_then(|flow| self.live.get(flow));
        flow.is_some_and(|flow| flow.is_write && flow.sent.is_some())
    }

    /// When time alone makes a difference again.
    pub fn next_look(&self) -> Option<Nanos> {
        (!self.waiting.is_empty()).then_some(self.look_again)
    }

    /// Takes an input.
    pub fn step(&mut self, input: Input, context: Context<'_>) {
        match input {
            Input::Start(start) => self.start(context, start),
            Input::Reply(from, id, reply) => self.reply(context, from, id, reply),
            Input::Taken(owner, bytes) => self.taken(owner, bytes),
            Input::Cancel(owner) => self.cancel(owner),
            Input::AskToCancel(owner) => self.ask_to_cancel(owner),
            Input::PeerGone(peer) => self.peer_gone(context, peer),
            Input::Time => self.look(context),
        }
    }

    fn start(&mut self, context: Context<'_>, start: Start) {
        self.given += 1;
        let txn = txn_id(self.node, context.leaders.hlc(), self.given);
        let Start { owner, group, catalog_version, work } = start;
        let mut memory = self.memory.share();
        let refused = memory.resize(flows::COPIES * work.size_bytes()).err();
        let fragment = Fragment::autocommit(group, txn, catalog_version, work);
        let flow = Flow::new(owner, fragment, context.now + LEADER_WAIT_NS, memory);
        let id = self.next_flow;
        self.next_flow += 1;
        self.live.insert(id, Box::new(flow));
        let before = self.by_owner.insert(owner, id);
        assert!(before.is_none(), "{owner:?} has one flow at a time");
        match refused {
            None => self.send(context, id),
            Some(error) => self.finish(id, News::Failed(error)),
        }
    }

    /// Sends what waited, where a leader is known now; gives up what waited too long.
    fn look(&mut self, context: Context<'_>) {
        let now = context.now;
        if now >= self.check_leaders {
            self.check_leaders = now + LOOK_AGAIN_NS;
            self.leave_former_leaders(context);
        }
        if self.waiting.is_empty() || now < self.look_again {
            return;
        }
        self.look_again = now + LOOK_AGAIN_NS;
        for id in self.waiting.iter().copied().collect::<Vec<_>>() {
            let flow = self.live.get(&id).expect("waiting flows are live");
            if now < flow.give_up {
                self.send(context, id);
            } else {
                let error = no_leader(flow.fragment.group, flow.is_write);
                self.finish(id, News::Failed(error));
            }
        }
    }

    fn taken(&mut self, owner: Owner, bytes: usize) {
        let Some(id) = self.by_owner.get(&owner).copied() else { return };
        self.say(id, ToLeader::Credit(id, bytes as u64));
    }

    fn cancel(&mut self, owner: Owner) {
        if let Some(id) = self.by_owner.remove(&owner) {
            self.say(id, ToLeader::Cancel(id));
            self.waiting.remove(&id);
            self.live.remove(&id);
        }
        self.effects.retain(|effect| !matches!(effect, Effect::Tell(to, _) if *to == owner));
    }

    fn ask_to_cancel(&mut self, owner: Owner) {
        let Some(id) = self.by_owner.get(&owner).copied() else { return };
        self.say(id, ToLeader::Cancel(id));
    }

    fn finish(&mut self, id: FlowId, news: News) {
        self.waiting.remove(&id);
        if let Some(flow) = self.live.remove(&id) {
            self.by_owner.remove(&flow.owner);
            self.effects.push_back(Effect::Tell(flow.owner, news));
        }
    }
}

/// A transaction's id: its begin timestamp, its gateway, its number there.
fn txn_id(node: NodeId, begin: Timestamp, number: u64) -> TxnId {
    let mut id = [0; 16];
    let (stamp, rest) = id.split_at_mut(8);
    stamp.copy_from_slice(&begin.0.to_be_bytes());
    let (at, last) = rest.split_at_mut(4);
    at.copy_from_slice(&node.0.to_be_bytes());
    last.copy_from_slice(&((number & 0xFFFF_FFFF) as u32).to_be_bytes());
    id
}

fn no_leader(group: GroupId, is_write: bool) -> Error {
    let message = format!("group {} has no leader", group.0);
    let code =
        if is_write { sqlstate::READ_ONLY_SQL_TRANSACTION } else { sqlstate::CANNOT_CONNECT_NOW };
    Error::new(code, message)
        .with_detail("A majority of its members must be up. Nothing was done.")
        .with_hint("See `phantomdb status` for the members that are missing.")
}
