//! Flows on their way to leaders, and what leaders say of them.

use phantom_base::{Error, Nanos, NodeId, Result, Set, sqlstate};
use phantom_types::codec::row::RowLayout;
use phantom_types::{Batch, Datum, Share, TypeId};

use super::parts::MESSAGE_BYTES_MAX;
use super::{
    Context, Effect, Gateway, LEADER_WAIT_NS, LOOK_AGAIN_NS, News, Owner, no_leader, wire,
};
use crate::frame::Section;
use crate::leader::PLAN_BYTES_MAX;
use crate::leader::work::{Call, FlowId, Fragment, Reply, Rows, ToLeader, Work};

/// Portal, session and flow have a copy each of a statement's values.
pub const COPIES: usize = 3;
/// How often a statement follows a hint to another leader.
const NOT_LEADER_MAX: u32 = 8;
/// Plans of which it is known that a peer has them.
const SENT_PLANS_MAX: usize = 4_096;

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

/// Work that an owner has given out.
pub struct Flow {
    pub owner: Owner,
    /// Named whenever it is sent.
    pub fragment: Fragment,
    pub is_write: bool,
    /// `None` while it waits for a leader.
    pub sent: Option<Sent>,
    /// How its rows travel; made when the first come from a peer.
    layout: Option<RowLayout>,
    refusals: u32,
    /// How often its leader was lost.
    pub losses: u32,
    /// Those losses that were broken links.
    pub breaks: u32,
    /// When it ends for want of a leader, while it waits for one.
    pub give_up: Nanos,
    pub has_rows: bool,
    /// For its plan and values.
    _memory: Share,
}

/// A flow at a leader.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub to: NodeId,
    /// When the leader is given up, while nobody is known to lead.
    pub doubt_ends: Option<Nanos>,
}

impl Flow {
    pub fn new(owner: Owner, fragment: Fragment, give_up: Nanos, memory: Share) -> Self {
        let is_write = match &fragment.work {
            Work::Query(query) => match &query.call {
                Call::Local { planned, .. } => planned.query.is_write(),
                Call::Remote { .. } => unreachable!("a gateway gives out what was bound here"),
            },
            Work::ReadRows(_) => false,
            Work::WriteRows(_) => true,
        };
        Self {
            owner,
            fragment,
            is_write,
            sent: None,
            layout: None,
            refusals: 0,
            losses: 0,
            breaks: 0,
            give_up,
            has_rows: false,
            _memory: memory,
        }
    }

    /// Whether a node has it.
    pub fn is_at(&self, node: NodeId) -> bool {
        self.sent.is_some_and(|sent| sent.to == node)
    }

    /// Rows of a leader, which wait here until a client takes them.
    ///
    /// # Errors
    /// `XX000` for bytes that are no rows; `53200` where the account has no room for them. What a
    /// write returns has happened and is not refused: its leader had it in its own account.
    fn deliver(&mut self, rows: Rows, mut memory: Share) -> Result<Delivery> {
        self.has_rows = true;
        let credit = rows.size_bytes();
        let batch = match rows {
            Rows::Local(batch) => batch,
            Rows::Remote { count, bytes } => {
                let work = &self.fragment.work;
                let layout = self.layout.get_or_insert_with(|| RowLayout::new(&types_of(work)));
                decode_rows(layout, count, &bytes)?
            }
        };
        if self.is_write {
            memory.count(batch.size_bytes());
        } else {
            memory.resize(batch.size_bytes())?;
        }
        Ok(Delivery { batch, credit, memory })
    }
}

impl Gateway {
    /// Sends a flow to its leader, or lets it wait for one.
    pub(super) fn send(&mut self, context: Context<'_>, id: FlowId) {
        let flow = self.live.get(&id).expect("only live flows are sent");
        let leader = context.leaders.leader(flow.fragment.group);
        let is_here = leader == self.node;
        if !is_here && (leader == NodeId::NONE || !context.leaders.is_connected(leader)) {
            self.wait(id, context.now + LOOK_AGAIN_NS);
            return;
        }
        let id = self.rename(id);
        self.waiting.remove(&id);
        let flow = self.live.get_mut(&id).expect("it has just got its name");
        flow.sent = Some(Sent { to: leader, doubt_ends: None });
        if is_here {
            let fragment = Fragment { flow: id, ..flow.fragment.clone() };
            self.effects.push_back(Effect::Here(fragment.group, ToLeader::Run(fragment)));
            return;
        }
        let has_tree = match &flow.fragment.work {
            Work::Query(query) => match &query.call {
                Call::Local { planned, .. } => {
                    let sent = self.sent_plans.entry(leader).or_default();
                    is_unknown(sent, planned.hash, &planned.encoded)
                }
                Call::Remote { .. } => true,
            },
            Work::ReadRows(_) | Work::WriteRows(_) => false,
        };
        let message = wire::encode_work(&flow.fragment, id, has_tree);
        if message.len() > MESSAGE_BYTES_MAX {
            let error = too_large("statement", message.len());
            self.finish(id, News::Failed(error));
            return;
        }
        self.effects.push_back(Effect::Send(leader, Section::Requests, message));
    }

    /// Lets a flow wait until `look_again` at the latest; nothing that is said of it is for it.
    pub(super) fn wait(&mut self, id: FlowId, look_again: Nanos) {
        let id = self.rename(id);
        self.waiting.insert(id);
        self.look_again = self.look_again.min(look_again);
    }

    /// Gives work that has been at a leader another name: what that leader still says is of the old.
    fn rename(&mut self, id: FlowId) -> FlowId {
        let flow = self.live.get_mut(&id).expect("only live flows have names");
        if flow.sent.take().is_none() {
            return id;
        }
        let next = self.next_flow;
        self.next_flow += 1;
        self.by_owner.insert(flow.owner, next);
        let flow = self.live.remove(&id).expect("looked up above");
        self.live.insert(next, flow);
        next
    }

    /// Says something to the leader that has a flow, if one has it.
    pub(super) fn say(&mut self, id: FlowId, message: ToLeader) {
        let Some(flow) = self.live.get(&id) else { return };
        let Some(Sent { to, .. }) = flow.sent else { return };
        self.effects.push_back(if to == self.node {
            Effect::Here(flow.fragment.group, message)
        } else {
            Effect::Send(to, Section::Requests, wire::encode_to_leader(&message, false))
        });
    }

    /// Takes a reply of a leader.
    pub(super) fn reply(&mut self, context: Context<'_>, from: NodeId, id: FlowId, reply: Reply) {
        // What was given up in the meantime, or sent once more, is not waited for.
        let Some(flow) = self.live.get_mut(&id) else { return };
        if !flow.is_at(from) {
            return;
        }
        match reply {
            Reply::Rows(rows) => match flow.deliver(rows, self.memory.share()) {
                Ok(rows) => self.effects.push_back(Effect::Tell(flow.owner, News::Rows(rows))),
                Err(error) => {
                    // Its leader would wait for credit that never comes.
                    self.say(id, ToLeader::Cancel(id));
                    self.finish(id, News::Failed(error));
                }
            },
            Reply::Finished { count, commit } => self.finish(id, News::Finished(count, commit)),
            Reply::SystemRows(rows) => self.finish(id, News::SystemRows(rows)),
            Reply::Failed(error) => self.finish(id, News::Failed(error)),
            Reply::NeedPlan => {
                self.sent_plans.entry(from).or_default().clear();
                self.send(context, id);
            }
            Reply::NotLeader(leader) => {
                flow.refusals += 1;
                if flow.refusals == 1 {
                    flow.give_up = context.now + LEADER_WAIT_NS;
                }
                if flow.refusals > NOT_LEADER_MAX && leader != NodeId::NONE {
                    let error = no_leader(flow.fragment.group, flow.is_write);
                    self.finish(id, News::Failed(error));
                } else {
                    // The own replica hears of the leader soon; a hint may be older than that.
                    self.wait(id, context.now + LOOK_AGAIN_NS / 2);
                }
            }
        }
    }
}

/// The types of the rows that work returns.
fn types_of(work: &Work) -> Vec<TypeId> {
    match work {
        Work::Query(query) => match &query.call {
            Call::Local { planned, .. } => {
                planned.query.visible_targets().map(|target| target.expr.ty).collect()
            }
            Call::Remote { .. } => Vec::new(),
        },
        Work::ReadRows(_) | Work::WriteRows(_) => Vec::new(),
    }
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

/// What is told of a message that is too large to travel.
pub fn too_large(what: &str, bytes: usize) -> Error {
    let message = format!(
        "the {what} takes {bytes} bytes between nodes; at most {MESSAGE_BYTES_MAX} are sent"
    );
    Error::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
        .with_hint("Split it into several statements.")
}

fn decode_rows(layout: &RowLayout, count: u64, bytes: &[u8]) -> Result<Batch> {
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
    let defaults = vec![Datum::Null; columns.len()];
    layout.decode(&rows, &columns, &defaults)
}

#[cfg(test)]
mod tests {
    use super::*;

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
