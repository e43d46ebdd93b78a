//! Flows: work that this node, as a gateway, has given to leaders of groups.
//!
//! A flow goes to the group's leader, here or on a peer, and is sent again where that is certain to
//! be harmless: when the leader said that it is none, when nobody led, when a read had not returned
//! a row. A write whose leader went silent is unknown (40003) and never sent twice. A leader is lost
//! to its flows when its link breaks, and also when the own replica follows another one and it says
//! nothing: a paused process keeps its links. One that has handed over in order still answers what it
//! was given. After a broken link a read is sent again once and no more, for it may be what ended the
//! node there.
//!
//! Each time a flow is sent it gets a new name. What a leader had still to say when it was left finds
//! its name forgotten, also where the flow has come back to that leader.

use std::collections::VecDeque;

use phantom_base::{Error, GroupId, Map, Nanos, NodeId, Set, Timestamp, sqlstate};
use phantom_types::codec::row::RowLayout;
use phantom_types::{Batch, QueryMemory, Share, TypeId};

use super::message::{DispatchId, Run, ToGateway, ToLeader, Work};
use super::outbox::{MESSAGE_BYTES_MAX, Outbox};
use super::{PLAN_BYTES_MAX, Requests};
use crate::frame::Section;
use crate::replication::Replication;
use crate::replication::entry::TxnId;

/// How long a statement waits while its group has no leader.
pub const LEADER_WAIT_NS: Nanos = 10_000_000_000;
/// Portal, session and flow have a copy each of a statement's values.
const COPIES: usize = 3;
/// How often a statement follows a hint to another leader.
const NOT_LEADER_MAX: u32 = 8;
/// How often a read follows its group from a lost leader to the next.
const LOSSES_MAX: u32 = 3;
/// How often it does so because a link broke: what ended one node must not end all.
const BREAKS_MAX: u32 = 1;
/// How long a leader of the past may say nothing before its flows leave it. Each node tells the
/// others of itself twice a second.
const SILENCE_NS: Nanos = 2_000_000_000;
/// Plans of which it is known that a peer has them.
const SENT_PLANS_MAX: usize = 4_096;
/// How often waiting flows look for a leader, and sent ones whether theirs still leads.
pub const LOOK_AGAIN_NS: Nanos = 10_000_000;

/// A flow of this node, however often it is sent.
pub type FlowId = u64;

/// Who gave work out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A session of this node.
    Session(u64),
    /// The control plane, by its token.
    Control(u64),
}

/// Rows for a client that may take its time.
#[derive(Debug)]
pub struct Delivery {
    /// The rows.
    pub batch: Batch,
    /// The credit that they were sent on, in bytes.
    pub credit: usize,
    /// Their part of the node's memory.
    pub memory: Share,
}

/// What a flow has for its owner.
#[derive(Debug)]
pub enum FlowEvent {
    /// Rows.
    Rows(Delivery),
    /// Rows of system relations; the end.
    SystemRows(Vec<Vec<(Vec<u8>, u64)>>),
    /// The end: how many rows, and when it committed.
    Finished(u64, Timestamp),
    /// The end: why.
    Failed(Error),
}

struct Flow {
    owner: Owner,
    /// Named whenever it is sent.
    run: Run,
    is_write: bool,
    /// The types of its rows.
    layout: RowLayout,
    /// `None` while it waits for a leader.
    sent: Option<Sent>,
    /// The tree, for a leader that lacks it.
    tree: Option<phantom_base::sync::Arc<[u8]>>,
    refusals: u32,
    losses: u32,
    /// Those losses that were broken links.
    breaks: u32,
    /// When it ends for want of a leader, while it waits for one.
    give_up: Nanos,
    has_rows: bool,
    /// For its plan and values.
    _memory: Share,
}

/// A flow at a leader.
#[derive(Clone, Copy, Debug)]
struct Sent {
    to: NodeId,
    /// Its name there.
    dispatch: DispatchId,
    /// When the leader is given up, while nobody is known to lead.
    doubt_ends: Option<Nanos>,
}

/// All flows of a node.
pub struct Flows {
    node: NodeId,
    live: Map<FlowId, Flow>,
    next: FlowId,
    /// Flows by the names under which leaders have them.
    dispatched: Map<DispatchId, FlowId>,
    next_dispatch: DispatchId,
    waiting: Set<FlowId>,
    /// Plans that a peer has been sent since its link came up.
    sent_plans: Map<NodeId, Set<u128>>,
    events: VecDeque<(Owner, FlowId, FlowEvent)>,
    look_again: Nanos,
    /// When sent flows look whether their leader still leads.
    check_leaders: Nanos,
    outbox: Outbox,
    memory: QueryMemory,
}

/// What a flow is made of.
pub struct Start {
    /// Who wants it.
    pub owner: Owner,
    /// Whose leader does it.
    pub group: GroupId,
    /// The applied catalog that it was bound to.
    pub catalog_version: u64,
    /// What to do.
    pub work: Work,
    /// Whether it changes anything.
    pub is_write: bool,
    /// The types of its rows.
    pub types: Vec<TypeId>,
}

impl Flows {
    /// No flows yet.
    pub fn new(node: NodeId, memory: QueryMemory) -> Self {
        Self {
            node,
            live: Map::new(),
            next: 1,
            dispatched: Map::new(),
            next_dispatch: 1,
            waiting: Set::new(),
            sent_plans: Map::new(),
            events: VecDeque::new(),
            look_again: 0,
            check_leaders: 0,
            outbox: Outbox::new(memory.share()),
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

    /// Gives work out. `now` is monotonic.
    pub fn start(
        &mut self,
        replication: &mut Replication,
        requests: &mut Requests,
        now: Nanos,
        start: Start,
    ) -> FlowId {
        let id = self.next;
        self.next += 1;
        let mut work = start.work;
        let mut memory = self.memory.share();
        let refused = memory.resize(COPIES * work.size_bytes()).err();
        let tree = match &mut work {
            Work::Query(query) => query.tree.take(),
            Work::ReadRows(_) | Work::WriteRows(_) => None,
        };
        let run = Run {
            dispatch: 0,
            group: start.group,
            txn: txn_id(self.node, replication.hlc(), id),
            catalog_version: start.catalog_version,
            work,
        };
        let flow = Flow {
            owner: start.owner,
            run,
            is_write: start.is_write,
            layout: RowLayout::new(&start.types),
            sent: None,
            tree,
            refusals: 0,
            losses: 0,
            breaks: 0,
            give_up: now + LEADER_WAIT_NS,
            has_rows: false,
            _memory: memory,
        };
        self.live.insert(id, flow);
        match refused {
            None => self.dispatch(replication, requests, now, id),
            Some(error) => self.finish(id, FlowEvent::Failed(error)),
        }
        id
    }

    /// Sends a flow to its leader, or lets it wait for one.
    fn dispatch(
        &mut self,
        replication: &mut Replication,
        requests: &mut Requests,
        now: Nanos,
        id: FlowId,
    ) {
        self.take_back(id);
        let flow = self.live.get(&id).expect("only live flows are sent");
        let leader = replication.leader(flow.run.group);
        let is_here = leader == self.node;
        if !is_here && (leader == NodeId::NONE || !replication.is_connected(leader)) {
            self.waiting.insert(id);
            self.look_again = self.look_again.min(now + LOOK_AGAIN_NS);
            return;
        }
        // Values may be large: they are copied when they go, not whenever somebody looks.
        let dispatch = self.next_dispatch;
        let mut run = Run { dispatch, ..flow.run.clone() };
        if is_here {
            if let Work::Query(query) = &mut run.work {
                query.tree.clone_from(&flow.tree);
            }
            self.has_gone(id, leader);
            requests.run(replication, leader, run);
            return;
        }
        if let Work::Query(query) = &mut run.work
            && let Some(tree) = &flow.tree
            && is_unknown(self.sent_plans.entry(leader).or_default(), query.hash, tree)
        {
            query.tree = Some(tree.clone());
        }
        let message = ToLeader::Run(run).encode();
        if message.len() > MESSAGE_BYTES_MAX {
            let error = too_large("statement", message.len());
            self.finish(id, FlowEvent::Failed(error));
            return;
        }
        self.outbox.push(leader, Section::Requests, &message);
        self.has_gone(id, leader);
    }

    /// A flow is at a leader under the next name.
    fn has_gone(&mut self, id: FlowId, to: NodeId) {
        let dispatch = self.next_dispatch;
        self.next_dispatch += 1;
        self.dispatched.insert(dispatch, id);
        let flow = self.live.get_mut(&id).expect("only live flows are sent");
        let before = flow.sent.replace(Sent { to, dispatch, doubt_ends: None });
        assert!(before.is_none(), "a flow is at one leader at a time");
        self.waiting.remove(&id);
    }

    /// A flow is at no leader any more: nothing that is said of its last name is for it.
    fn take_back(&mut self, id: FlowId) {
        let sent = self.live.get_mut(&id).and_then(|flow| flow.sent.take());
        if let Some(sent) = sent {
            self.dispatched.remove(&sent.dispatch);
        }
    }

    /// Sends what waited, where a leader is known now; gives up what waited too long. Returns when
    /// to look again, if anything waits.
    pub fn look(
        &mut self,
        replication: &mut Replication,
        requests: &mut Requests,
        now: Nanos,
    ) -> Option<Nanos> {
        if now >= self.check_leaders {
            self.check_leaders = now + LOOK_AGAIN_NS;
            self.leave_former_leaders(replication, now);
        }
        if self.waiting.is_empty() {
            return None;
        }
        if now >= self.look_again {
            self.look_again = now + LOOK_AGAIN_NS;
            for id in self.waiting.iter().copied().collect::<Vec<_>>() {
                let flow = self.live.get(&id).expect("waiting flows are live");
                if now < flow.give_up {
                    self.dispatch(replication, requests, now, id);
                } else {
                    let error = no_leader(flow.run.group, flow.is_write);
                    self.finish(id, FlowEvent::Failed(error));
                }
            }
        }
        (!self.waiting.is_empty()).then_some(self.look_again)
    }

    /// Takes a reply of a leader.
    pub fn reply(
        &mut self,
        replication: &mut Replication,
        requests: &mut Requests,
        now: Nanos,
        from: NodeId,
        reply: ToGateway,
    ) {
        // What was given up in the meantime, or sent once more, is not waited for.
        let Some(id) = self.dispatched.get(&reply.dispatch()).copied() else { return };
        let flow = self.live.get_mut(&id).expect("what is at a leader is live");
        if flow.sent.is_none_or(|sent| sent.to != from) {
            return;
        }
        match reply {
            ToGateway::Rows { count, bytes, .. } => {
                flow.has_rows = true;
                match delivery(flow, count, &bytes, self.memory.share()) {
                    Ok(rows) => self.events.push_back((flow.owner, id, FlowEvent::Rows(rows))),
                    Err(error) => {
                        // Its leader would wait for credit that never comes.
                        if let Some(sent) = flow.sent {
                            self.cancel_dispatch(replication, requests, sent);
                        }
                        self.finish(id, FlowEvent::Failed(error));
                    }
                }
            }
            ToGateway::Finished { count, commit, .. } => {
                self.finish(id, FlowEvent::Finished(count, commit));
            }
            ToGateway::SystemRows { rows, .. } => self.finish(id, FlowEvent::SystemRows(rows)),
            ToGateway::Failed { error, .. } => self.finish(id, FlowEvent::Failed(error)),
            ToGateway::NeedPlan(_) => {
                self.sent_plans.entry(from).or_default().clear();
                self.dispatch(replication, requests, now, id);
            }
            ToGateway::NotLeader { leader, .. } => {
                flow.refusals += 1;
                if flow.refusals == 1 {
                    flow.give_up = now + LEADER_WAIT_NS;
                }
                if flow.refusals > NOT_LEADER_MAX && leader != NodeId::NONE {
                    let error = no_leader(flow.run.group, flow.is_write);
                    self.finish(id, FlowEvent::Failed(error));
                } else {
                    // The own replica hears of the leader soon; a hint may be older than that.
                    self.take_back(id);
                    self.waiting.insert(id);
                    self.look_again = self.look_again.min(now + LOOK_AGAIN_NS / 2);
                }
            }
        }
    }

    /// A leader's node is gone: what it had is sent again if that is harmless.
    pub fn peer_gone(&mut self, now: Nanos, peer: NodeId) {
        self.sent_plans.remove(&peer);
        self.outbox.forget(peer);
        let is_there = |flow: &Flow| flow.sent.is_some_and(|sent| sent.to == peer);
        let there = self.live.iter().filter(|(_, flow)| is_there(flow)).map(|(id, _)| *id);
        for id in there.collect::<Vec<FlowId>>() {
            self.live.get_mut(&id).expect("found among them").breaks += 1;
            self.lose_leader(now, id, "the connection to its leader was lost");
        }
    }

    /// Takes back what is at silent nodes that this node's replicas follow no longer. One that is
    /// heard answers by itself, if only that it leads no more. Where nobody is followed the old
    /// leader may still answer, but not for ever.
    fn leave_former_leaders(&mut self, replication: &Replication, now: Nanos) {
        let mut lost = Vec::new();
        for (id, flow) in &mut self.live {
            let Some(sent) = flow.sent.as_mut().filter(|sent| sent.to != self.node) else {
                continue;
            };
            let leader = replication.leader(flow.run.group);
            if leader == sent.to {
                sent.doubt_ends = None;
            } else if leader != NodeId::NONE {
                if !replication.hears(sent.to, SILENCE_NS) {
                    lost.push((*id, *sent));
                }
            } else if now >= *sent.doubt_ends.get_or_insert(now + LEADER_WAIT_NS) {
                lost.push((*id, *sent));
            }
        }
        for (id, sent) in lost {
            // Should it wake up, it need not go on.
            self.outbox.push(sent.to, Section::Requests, &ToLeader::Cancel(sent.dispatch).encode());
            self.lose_leader(now, id, "its leader was deposed before it answered");
        }
    }

    /// Ends a flow whose leader will not answer, or lets it wait for another if that is harmless.
    fn lose_leader(&mut self, now: Nanos, id: FlowId, why: &str) {
        let flow = self.live.get_mut(&id).expect("only live flows have leaders");
        if flow.is_write {
            let message = format!("the statement may have committed or not: {why}");
            let error = Error::new(sqlstate::STATEMENT_COMPLETION_UNKNOWN, message)
                .with_hint("Look whether it took effect before you send it again.");
            self.finish(id, FlowEvent::Failed(error));
        } else if flow.has_rows {
            let message = "the leader was lost after rows had been sent";
            let error = Error::new(sqlstate::SERIALIZATION_FAILURE, message)
                .with_hint("Nothing was done; try again.");
            self.finish(id, FlowEvent::Failed(error));
        } else if flow.losses == LOSSES_MAX || flow.breaks > BREAKS_MAX {
            let message = format!("the leader was lost {} times: {why}", flow.losses + 1);
            let error = Error::new(sqlstate::CANNOT_CONNECT_NOW, message)
                .with_hint("Nothing was done; see `phantomdb status`, then try again.");
            self.finish(id, FlowEvent::Failed(error));
        } else {
            flow.losses += 1;
            flow.give_up = now + LEADER_WAIT_NS;
            self.take_back(id);
            self.waiting.insert(id);
            self.look_again = now;
        }
    }

    /// The owner has taken rows: their sender may send more.
    pub fn taken(&mut self, requests: &mut Requests, id: FlowId, bytes: usize) {
        let Some(Sent { to, dispatch, .. }) = self.live.get(&id).and_then(|flow| flow.sent) else {
            return;
        };
        let bytes = bytes as u64;
        if to == self.node {
            requests.credit(to, dispatch, bytes);
        } else {
            self.outbox.push(to, Section::Requests, &ToLeader::Credit(dispatch, bytes).encode());
        }
    }

    /// The owner wants no more; it hears nothing of the flow afterwards.
    pub fn cancel(&mut self, replication: &mut Replication, requests: &mut Requests, id: FlowId) {
        self.waiting.remove(&id);
        let Some(flow) = self.live.remove(&id) else { return };
        if let Some(sent) = flow.sent {
            self.dispatched.remove(&sent.dispatch);
            self.cancel_dispatch(replication, requests, sent);
        }
        self.events.retain(|(_, flow, _)| *flow != id);
    }

    /// Asks for the end of a write that was given out. Its leader still tells how it ended: it may
    /// be too late. Whether there was such a write.
    pub fn ask_to_cancel(
        &mut self,
        replication: &mut Replication,
        requests: &mut Requests,
        id: FlowId,
    ) -> bool {
        let sent = self.live.get(&id).filter(|flow| flow.is_write).and_then(|flow| flow.sent);
        if let Some(sent) = sent {
            self.cancel_dispatch(replication, requests, sent);
        }
        sent.is_some()
    }

    fn cancel_dispatch(
        &mut self,
        replication: &mut Replication,
        requests: &mut Requests,
        sent: Sent,
    ) {
        let Sent { to, dispatch, .. } = sent;
        if to == self.node {
            requests.cancel(replication, to, dispatch);
        } else {
            self.outbox.push(to, Section::Requests, &ToLeader::Cancel(dispatch).encode());
        }
    }

    /// Sends a leader's reply to the gateway that waits for it; one that is too large to travel is
    /// replaced by its error (54000).
    pub fn send_reply(&mut self, gateway: NodeId, reply: &ToGateway) {
        let mut message = reply.encode();
        if message.len() > MESSAGE_BYTES_MAX {
            let (dispatch, error) = (reply.dispatch(), too_large("answer", message.len()));
            message = ToGateway::Failed { dispatch, error }.encode();
        }
        self.outbox.push(gateway, Section::Replies, &message);
    }

    /// Takes a part of what a peer says about statements; the whole message if it was the last.
    ///
    /// # Errors
    /// In words; the peer's link is to be closed.
    pub fn receive(
        &mut self,
        peer: NodeId,
        section: Section,
        part: &[u8],
    ) -> Result<Option<Vec<u8>>, &'static str> {
        self.outbox.receive(peer, section, part)
    }

    /// Hands messages over to the links; whether any still wait for room.
    pub fn flush(&mut self, replication: &mut Replication) -> bool {
        self.outbox.flush(replication)
    }

    /// Whether flows have something for their owners.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// What flows have for their owners.
    pub fn next_event(&mut self) -> Option<(Owner, FlowId, FlowEvent)> {
        self.events.pop_front()
    }

    fn finish(&mut self, id: FlowId, event: FlowEvent) {
        self.take_back(id);
        self.waiting.remove(&id);
        if let Some(flow) = self.live.remove(&id) {
            self.events.push_back((flow.owner, id, event));
        }
    }
}

/// A transaction's id: its begin timestamp, its gateway, its number there.
fn txn_id(node: NodeId, begin: Timestamp, flow: FlowId) -> TxnId {
    let mut id = [0; 16];
    let (stamp, rest) = id.split_at_mut(8);
    stamp.copy_from_slice(&begin.0.to_be_bytes());
    let (at, number) = rest.split_at_mut(4);
    at.copy_from_slice(&node.0.to_be_bytes());
    number.copy_from_slice(&((flow & 0xFFFF_FFFF) as u32).to_be_bytes());
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

/// Whether a peer has to be sent a plan. It does not keep large ones.
fn is_unknown(sent: &mut Set<u128>, hash: u128, tree: &[u8]) -> bool {
    if tree.len() > PLAN_BYTES_MAX {
        return true;
    }
    if sent.len() >= SENT_PLANS_MAX {
        sent.clear();
    }
    sent.insert(hash)
}

fn too_large(what: &str, bytes: usize) -> Error {
    let message = format!(
        "the {what} takes {bytes} bytes between nodes; at most {MESSAGE_BYTES_MAX} are sent"
    );
    Error::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
        .with_hint("Split it into several statements.")
}

/// Rows of a leader, which wait here until a client takes them.
///
/// # Errors
/// `XX000` for bytes that are no rows; `53200` where the account has no room for them. What a write
/// returns has happened and is not refused: its leader had it in its own account.
fn delivery(flow: &Flow, count: u64, bytes: &[u8], memory: Share) -> Result<Delivery, Error> {
    let batch = decode_rows(&flow.layout, count, bytes)?;
    let mut rows = Delivery { credit: bytes.len(), memory, batch };
    if flow.is_write {
        rows.memory.count(rows.batch.size_bytes());
    } else {
        rows.memory.resize(rows.batch.size_bytes())?;
    }
    Ok(rows)
}

fn decode_rows(layout: &RowLayout, count: u64, bytes: &[u8]) -> Result<Batch, Error> {
    let cut = |_| Error::internal("rows of a leader are cut");
    let mut reader = phantom_base::bytes::Reader::new(bytes);
    let mut rows: Vec<&[u8]> = Vec::new();
    while !reader.is_empty() {
        let length = reader.u32().map_err(cut)?;
        rows.push(reader.take(length as usize).map_err(cut)?);
    }
    if rows.len() as u64 != count {
        return Err(Error::internal("a leader sent fewer rows than it says"));
    }
    let columns: Vec<usize> = (0..layout.types().len()).collect();
    let defaults = vec![phantom_types::Datum::Null; columns.len()];
    layout.decode(&rows, &columns, &defaults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_too_large_to_travel_is_an_error_and_no_end_of_the_link() {
        let flows = |node| Flows::new(NodeId(node), QueryMemory::alone(0));
        let (mut leader, mut gateway) = (flows(1), flows(2));
        let bytes = vec![0; MESSAGE_BYTES_MAX];
        leader.send_reply(NodeId(2), &ToGateway::Rows { dispatch: 7, count: 1, bytes });
        let parts = leader.outbox.waiting(NodeId(2));
        let received = parts.iter().map(|part| gateway.receive(NodeId(1), Section::Replies, part));
        let message = received.last().expect("a part").expect("it fits").expect("it is whole");
        let reply = ToGateway::decode(&message).expect("a reply");
        let ToGateway::Failed { dispatch: 7, error } = reply else { panic!("{reply:?}") };
        assert_eq!(error.sqlstate, sqlstate::PROGRAM_LIMIT_EXCEEDED);
    }

    #[test]
    fn a_plan_is_sent_once_unless_it_is_too_large_to_be_kept() {
        let mut sent = Set::new();
        let (small, large) = (vec![0; PLAN_BYTES_MAX], vec![0; PLAN_BYTES_MAX + 1]);
        assert!(is_unknown(&mut sent, 1, &small));
        assert!(!is_unknown(&mut sent, 1, &small));
        assert!(is_unknown(&mut sent, 2, &large));
        assert!(is_unknown(&mut sent, 2, &large));
        for hash in 0..10_000 {
            is_unknown(&mut sent, hash, &small);
            assert!(sent.len() <= SENT_PLANS_MAX);
        }
    }
}
