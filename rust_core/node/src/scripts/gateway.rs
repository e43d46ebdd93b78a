//! The gateway of node 1; statements are for group 2.
//!
//! ```text
//! leader N                         node N leads the group; 0 is nobody
//! link N  break N                  the link to a peer comes up, or breaks
//! silent N  heard N                whether it says anything
//! read S  write S                  session S gives out a SELECT, an UPDATE
//! from N FLOW rows|finished|failed|need-plan|not-leader [N]     a leader says something
//! taken S BYTES  cancel S  ask S   the session takes rows, wants no more, asks for an end
//! pass MS                          time passes, and the gateway looks
//! ```

use phantom_base::sync::Arc;
use phantom_base::{Error, GroupId, Map, Nanos, NodeId, Set, Timestamp, sqlstate};
use phantom_types::{Batch, Column, Datum, QueryMemory, TypeId};

use super::{Scene, bound, eval, number};
use crate::gateway::{Context, Effect, Gateway, Input, Leaders, News, Owner, Start, wire};
use crate::leader::work::{Call, Query, Reply, Rows, ToLeader, Work};

const GROUP: GroupId = GroupId::ROWS;
const OWN: NodeId = NodeId(1);
const MS: Nanos = 1_000_000;

#[derive(Default)]
struct Known {
    leader: u32,
    linked: Set<NodeId>,
    silent: Set<NodeId>,
}

impl Leaders for Known {
    fn leader(&self, _: GroupId) -> NodeId {
        NodeId(self.leader)
    }

    fn is_connected(&self, peer: NodeId) -> bool {
        self.linked.contains(&peer)
    }

    fn hears(&self, peer: NodeId, _: Nanos) -> bool {
        !self.silent.contains(&peer)
    }

    fn hlc(&self) -> Timestamp {
        Timestamp(5)
    }
}

impl Known {
    fn learn(&mut self, what: &str, node: NodeId) {
        let _ = match what {
            "link" => self.linked.insert(node),
            "silent" => self.silent.insert(node),
            _ => self.silent.remove(&node),
        };
    }
}

pub struct GatewayScene {
    gateway: Gateway,
    known: Known,
    now: Nanos,
    /// Of each session its statement.
    statements: Map<u64, u64>,
}

impl Scene for GatewayScene {
    fn new() -> Self {
        let (gateway, known) = (Gateway::new(OWN, QueryMemory::alone(1 << 20)), Known::default());
        Self { gateway, known, now: 0, statements: Map::new() }
    }

    fn run(&mut self, words: &[&str], seen: &mut Vec<String>) {
        let node = || NodeId(number(words, 1) as u32);
        let input = match words[0] {
            "leader" => return self.known.leader = node().0,
            "link" | "silent" | "heard" => return self.known.learn(words[0], node()),
            "break" => {
                self.known.linked.remove(&node());
                Input::PeerGone(node())
            }
            "read" => self.start(number(words, 1), "SELECT v FROM t WHERE k = 1"),
            "write" => self.start(number(words, 1), "UPDATE t SET v = 2 WHERE k = 1"),
            "from" => Input::Reply(node(), number(words, 2), reply(words, node() == OWN)),
            "taken" => Input::Taken(self.owner(number(words, 1)), number(words, 2) as usize),
            "cancel" => Input::Cancel(self.owner(number(words, 1))),
            "ask" => Input::AskToCancel(self.owner(number(words, 1))),
            "pass" => {
                self.now += number(words, 1) * MS;
                Input::Time
            }
            other => panic!("unknown command {other}"),
        };
        self.gateway.step(input, Context { leaders: &self.known, now: self.now });
        while let Some(effect) = self.gateway.next_effect() {
            seen.push(shown(effect));
        }
    }
}

impl GatewayScene {
    fn owner(&self, session: u64) -> Owner {
        Owner::Session(session, self.statements.get(&session).copied().unwrap_or_default())
    }

    fn start(&mut self, session: u64, text: &str) -> Input {
        *self.statements.entry(session).or_default() += 1;
        let call = Call::Local { planned: bound(text), parameters: Arc::from([]) };
        let work = Work::Query(Box::new(Query { is_point: true, call, eval: eval() }));
        let owner = self.owner(session);
        Input::Start(Start { owner, group: GROUP, catalog_version: 1, work })
    }
}

/// What a leader says: by value here, in bytes from a peer.
fn reply(words: &[&str], is_local: bool) -> Reply {
    match words[3] {
        "rows" if is_local => {
            let mut column = Column::with_capacity(TypeId::INT4, 1);
            column.push(&Datum::Int4(7));
            Reply::Rows(Rows::Local(Batch::new(vec![column], 1)))
        }
        // One row of one int4: a byte of NULLs, then the value.
        "rows" => {
            let row = encoded_row();
            let bytes = [&(row.len() as u32).to_le_bytes()[..], &row].concat();
            Reply::Rows(Rows::Remote { count: 1, bytes })
        }
        "finished" => Reply::Finished { count: 1, commit: Timestamp(9) },
        "failed" => Reply::Failed(Error::new(sqlstate::UNIQUE_VIOLATION, "taken")),
        "need-plan" => Reply::NeedPlan,
        "not-leader" => {
            let leader = words.get(4).map_or(0, |node| node.parse().expect("a node"));
            Reply::NotLeader(NodeId(leader))
        }
        other => panic!("unknown reply {other}"),
    }
}

fn encoded_row() -> Vec<u8> {
    let mut row = Vec::new();
    let layout = phantom_types::codec::row::RowLayout::new(&[TypeId::INT4]);
    layout.encode(&[Datum::Int4(7)], &mut row).expect("a small row");
    row
}

fn shown(effect: Effect) -> String {
    match effect {
        Effect::Here(_, message) => format!("here: {}", said(&message)),
        Effect::Send(peer, _, bytes) => {
            let message = wire::decode_to_leader(&bytes).expect("a message");
            format!("to {peer}: {}", said(&message))
        }
        Effect::Tell(Owner::Session(session, _), news) => format!("tell {session}: {}", told(news)),
        Effect::Tell(Owner::Control(token), news) => {
            format!("tell control {token}: {}", told(news))
        }
    }
}

fn said(message: &ToLeader) -> String {
    match message {
        ToLeader::Run(fragment) => {
            let Work::Query(query) = &fragment.work else { panic!("only queries are given out") };
            let how = match &query.call {
                Call::Local { .. } => "by value",
                Call::Remote { tree: Some(_), .. } => "with its plan",
                Call::Remote { tree: None, .. } => "by its plan's hash",
            };
            format!("run {}, {how}", fragment.flow)
        }
        ToLeader::Credit(flow, bytes) => format!("credit {flow}, {bytes} bytes"),
        ToLeader::Cancel(flow) => format!("cancel {flow}"),
    }
}

fn told(news: News) -> String {
    match news {
        News::Rows(rows) => format!("rows {:?}", rows.batch.row(0)),
        News::SystemRows(rows) => format!("{} spans", rows.len()),
        News::Finished(count, commit) => format!("finished {count} at {}", commit.0),
        News::Failed(error) => format!("failed {} {}", error.sqlstate, error.message),
    }
}
