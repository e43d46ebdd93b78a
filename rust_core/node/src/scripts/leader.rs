//! The leader of group 2 on node 1, over an engine in memory. Flows are of node 1 unless a peer is named.
//!
//! ```text
//! led TERM  lost                          leadership
//! run FLOW [peer=N] [catalog=N] SQL..     work
//! open R|ready [at=STAMP] [term=TERM]     a barrier of request R opens
//! refuse R not-leader|full|leaving        replication does not take what R asked
//! work R                                  a worker does the task of R and tells
//! take R  tell R                          the same in two
//! drive R                                 worker after worker, as long as R has a task
//! commit R  superseded R  unknown R       the end of R's entry; a committed one is applied
//! credit FLOW BYTES [peer=N]  cancel FLOW [peer=N]  gone N
//! clock stuck|runs  stamps                whether there are stamps; they may be asked for again
//! catalog R [error]                       the barrier for R's catalog has ended
//! schema VERSION                          the table's schema key says so
//! descriptor VERSION                      the newest applied descriptor; 0 is none
//! room BYTES                              all that statements may hold
//! hold                                    prints what is held, and how many requests there are
//! ```

use std::collections::VecDeque;
use std::path::Path;

use phantom_base::sync::Arc;
use phantom_base::{Error, GroupId, Map, NodeId, Term, Timestamp, sqlstate};
use phantom_lsm::{Engine, EngineOptions};
use phantom_raft::Outcome;
use phantom_types::{Account, QueryMemory};
use phantom_vfs::SimFs;

use super::{Scene, bound, eval, named, number, table};
use crate::catalog::Catalog;
use crate::gateway::wire;
use crate::leader::work::{Call, Fragment, Origin, Query, Reply, Rows, ToLeader, Work};
use crate::leader::{
    Context, Effect, GroupLeader, Input, NoRoom, READY, Refusal, Replica, Shared, Task, Worked,
};
use crate::replication::entry::decode_batch;
use crate::runtime::real::RealClock;

const GROUP: GroupId = GroupId::ROWS;
const OWN: NodeId = NodeId(1);

struct FakeReplica {
    last: u64,
    is_stuck: bool,
}

impl Replica for FakeReplica {
    fn tick(&mut self) -> Option<Timestamp> {
        if self.is_stuck {
            return None;
        }
        self.last += 1;
        Some(Timestamp(self.last))
    }

    fn leader(&self, _: GroupId) -> NodeId {
        NodeId(2)
    }
}

pub struct LeaderScene {
    leader: GroupLeader,
    shared: Shared,
    engine: Arc<Engine>,
    catalog: Catalog,
    replica: FakeReplica,
    effects: VecDeque<Effect>,
    tasks: Map<u64, Task>,
    worked: Map<u64, Worked>,
    bodies: Map<u64, Vec<u8>>,
    index: u64,
    term: u64,
    catalog_version: u64,
}

impl Scene for LeaderScene {
    fn new() -> Self {
        let options = EngineOptions::new([0; 16], Arc::new(RealClock::new()));
        let engine = Engine::open(Arc::new(SimFs::new(1)), Path::new("/db"), options);
        let engine = Arc::new(engine.expect("a fresh disk"));
        let catalog = Catalog::default();
        catalog.show(1, table().oid, Some(table()));
        catalog.show_schema(table().oid, 1);
        let shared = Self::shared(&engine, &catalog, 1 << 20);
        Self {
            leader: GroupLeader::new(GROUP),
            shared,
            engine,
            catalog,
            replica: FakeReplica { last: 10, is_stuck: false },
            effects: VecDeque::new(),
            tasks: Map::new(),
            worked: Map::new(),
            bodies: Map::new(),
            index: 0,
            term: 0,
            catalog_version: 1,
        }
    }

    fn run(&mut self, words: &[&str], seen: &mut Vec<String>) {
        match words[0] {
            "clock" => self.replica.is_stuck = words[1] == "stuck",
            "room" => {
                let bytes = number(words, 1) as usize;
                self.shared = Self::shared(&self.engine, &self.catalog, bytes);
            }
            "schema" => {
                let version = number(words, 1) as u32;
                self.catalog.show_schema(table().oid, version);
            }
            "descriptor" => {
                let version = number(words, 1) as u32;
                let table =
                    (version > 0).then(|| phantom_sql::catalog::Table { version, ..table() });
                self.catalog_version += 1;
                self.catalog.show(self.catalog_version, super::table().oid, table);
            }
            "drive" => self.drive(number(words, 1), seen),
            "take" => {
                let task = self.tasks.remove(&number(words, 1)).expect("it was given");
                self.worked.insert(number(words, 1), task.run());
            }
            "hold" => {
                let account = self.shared.memory.account.as_ref().expect("the scene has one");
                let (held, len) = (account.held(), self.leader.count());
                seen.push(format!("{len} requests hold {held} bytes"));
            }
            _ => {
                let input = self.input(words);
                self.step(input, seen);
            }
        }
    }
}

impl LeaderScene {
    fn shared(engine: &Arc<Engine>, catalog: &Catalog, bytes: usize) -> Shared {
        let memory = QueryMemory { bytes, account: Some(Account::new(bytes)) };
        Shared::new(OWN, Arc::clone(engine), catalog.clone(), memory)
    }

    fn input(&mut self, words: &[&str]) -> Input {
        let request = || if words[1] == "ready" { READY } else { number(words, 1) };
        let origin = || {
            let gateway = named(words, "peer").map_or(OWN, |peer| NodeId(peer as u32));
            Origin { gateway, flow: number(words, 1) }
        };
        match words[0] {
            "led" => {
                self.term = number(words, 1);
                Input::Led(Term(self.term))
            }
            "lost" => Input::Lost,
            "run" => {
                let origin = origin();
                Input::Run(origin, fragment(origin, words))
            }
            "open" => {
                let at = named(words, "at").unwrap_or(self.replica.last + 1);
                self.replica.last = self.replica.last.max(at);
                let term = named(words, "term").unwrap_or(self.term);
                Input::Open(request(), Timestamp(at), Term(term))
            }
            "refuse" => Input::Refused(request(), refusal(words[2])),
            "work" => {
                let task = self.tasks.remove(&request()).expect("it was given");
                Input::Worked(request(), task.run())
            }
            "tell" => {
                Input::Worked(request(), self.worked.remove(&request()).expect("it was taken"))
            }
            "commit" => {
                let body = self.bodies.remove(&request()).expect("it was proposed");
                let batch = decode_batch(&body).expect("a batch");
                self.index += 1;
                let needs = self.engine.log().durable();
                self.engine.apply(batch.ops, &[(GROUP.0, self.index)], needs).expect("room");
                Input::Ended(request(), Outcome::Committed)
            }
            "superseded" => Input::Ended(request(), Outcome::Superseded),
            "unknown" => Input::Ended(request(), Outcome::Unknown),
            "credit" => Input::Credit(origin(), number(words, 2)),
            "cancel" => Input::Cancel(origin()),
            "gone" => Input::GatewayGone(NodeId(number(words, 1) as u32)),
            "stamps" => Input::Stamps,
            "catalog" => {
                let failed = Error::new(sqlstate::CANNOT_CONNECT_NOW, "group 1 has no leader");
                let result = if words.len() > 2 { Err(failed) } else { Ok(()) };
                Input::CatalogIsNew(request(), result)
            }
            other => panic!("unknown command {other}"),
        }
    }

    fn drive(&mut self, request: u64, seen: &mut Vec<String>) {
        let mut told = Vec::new();
        while let Some(task) = self.tasks.remove(&request) {
            self.step(Input::Worked(request, task.run()), &mut told);
        }
        let rows = told.iter().filter(|line| line.contains("rows")).count();
        let last = told.last().map_or("nothing", String::as_str);
        seen.push(format!("{} lines, {rows} of rows; the last: {last}", told.len()));
    }

    fn step(&mut self, input: Input, seen: &mut Vec<String>) {
        let mut context = Context {
            shared: &mut self.shared,
            replica: &mut self.replica,
            effects: &mut self.effects,
        };
        self.leader.step(input, &mut context);
        for effect in std::mem::take(&mut self.effects) {
            seen.push(self.carry(effect));
        }
    }

    fn carry(&mut self, effect: Effect) -> String {
        match effect {
            Effect::Barrier(_, READY) => "barrier ready".to_owned(),
            Effect::Barrier(_, request) => format!("barrier {request}"),
            Effect::Propose(_, request, body) => {
                let batch = decode_batch(&body).expect("a batch");
                let ops = phantom_lsm::Ops::new(batch.ops).count();
                self.bodies.insert(request, body);
                format!("propose {request}: {ops} rows")
            }
            Effect::Work(_, request, task) => {
                let shown = format!("work {request}: {task:?}");
                self.tasks.insert(request, task);
                shown
            }
            Effect::Catalog(_, request) => format!("catalog {request}"),
            Effect::Reply(Origin { gateway, flow }, reply) => {
                format!("{gateway} flow {flow}: {}", shown(&reply))
            }
        }
    }
}

/// Work that a gateway gives: by value here, in bytes from a peer.
fn fragment(origin: Origin, words: &[&str]) -> Fragment {
    let is_option = |word: &&&str| word.starts_with("peer=") || word.starts_with("catalog=");
    let text: Vec<&str> = words[2..].iter().skip_while(is_option).copied().collect();
    let planned = bound(&text.join(" "));
    let is_point = planned.point.is_some();
    let call = Call::Local { planned, parameters: Arc::from([]) };
    let work = Work::Query(Box::new(Query { is_point, call, eval: eval() }));
    let catalog = named(words, "catalog").unwrap_or(1);
    let fragment =
        Fragment { flow: origin.flow, ..Fragment::autocommit(GROUP, [7; 16], catalog, work) };
    if origin.gateway == OWN {
        return fragment;
    }
    let bytes = wire::encode_work(&fragment, origin.flow, true);
    let ToLeader::Run(fragment) = wire::decode_to_leader(&bytes).expect("work") else {
        panic!("work is read as work");
    };
    fragment
}

fn refusal(word: &str) -> Refusal {
    match word {
        "not-leader" => Refusal::NotLeader,
        "full" | "leaving" => {
            let is_leaving = word == "leaving";
            Refusal::NoRoom(NoRoom { is_leaving, own: None, full: vec!["n2".to_owned()] })
        }
        other => panic!("unknown refusal {other}"),
    }
}

fn shown(reply: &Reply) -> String {
    match reply {
        Reply::Rows(Rows::Local(batch)) => {
            let rows: Vec<_> = batch.selection().iter().map(|at| batch.row(at)).collect();
            if rows.len() > 3 { format!("{} rows", rows.len()) } else { format!("rows {rows:?}") }
        }
        Reply::Rows(Rows::Remote { count, .. }) => format!("{count} rows, encoded"),
        Reply::Finished { count, commit: Timestamp::MIN } => format!("finished {count}"),
        Reply::Finished { count, commit } => format!("finished {count} at {}", commit.0),
        Reply::Failed(error) => format!("failed {} {}", error.sqlstate, error.message),
        Reply::NotLeader(leader) => format!("not the leader, but {leader}"),
        Reply::NeedPlan => "the plan is needed".to_owned(),
        Reply::SystemRows(rows) => format!("{} spans", rows.len()),
    }
}
