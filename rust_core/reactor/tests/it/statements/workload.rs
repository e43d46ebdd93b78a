//! Clients of a cluster. Each has a connection to a node, sends one statement at a time, and tells
//! the checker what became of it; when its node is gone it comes again.

use phantom_base::Random;
use phantom_types::TypeId;

use super::checker::{Begun, Checker, Op, value};
use super::client::{Client, Progress};
use super::control;
use crate::cluster::Cluster;

const CLIENTS_A_NODE: usize = 2;
pub const SCAN: &str = "SELECT id, v FROM rows ORDER BY id";
pub const COUNT: &str = "SELECT n FROM counter WHERE id = 1";

/// Makes the tables, while there is no trouble.
pub fn prepare(cluster: &mut Cluster) {
    let rows = [("id", TypeId::INT8, -1), ("v", TypeId::TEXT, -1)];
    cluster.create(0, &control::table(0, "rows", &rows));
    let counter = [("id", TypeId::INT4, -1), ("n", TypeId::INT8, -1)];
    cluster.create(0, &control::table(1, "counter", &counter));
    let other = 1.min(cluster.nodes.len() - 1);
    let answer = cluster.ask(other, "INSERT INTO counter VALUES (1, 0)");
    assert_eq!(answer.tag, "INSERT 0 1", "{answer:?}");
}

enum Doing {
    /// No connection.
    Away,
    Greeting(Client),
    Idle(Client),
    Statement(Client, Begun),
}

struct Worker {
    node: usize,
    doing: Doing,
}

/// All clients.
pub struct Workload {
    workers: Vec<Worker>,
    /// One in so many steps of a client that waits, it goes away instead; 0 is never.
    pub impatience: u64,
}

impl Workload {
    pub fn new(nodes: usize) -> Self {
        let nodes = (0..nodes).flat_map(|node| [node; CLIENTS_A_NODE]);
        let workers = nodes.map(|node| Worker { node, doing: Doing::Away }).collect();
        Self { workers, impatience: 0 }
    }

    /// Lets every client do what it can now; new statements only if `goes_on`.
    pub fn step(&mut self, cluster: &mut Cluster, checker: &mut Checker, goes_on: bool) {
        for worker in &mut self.workers {
            let doing = std::mem::replace(&mut worker.doing, Doing::Away);
            let waits = matches!(doing, Doing::Statement(..));
            let leaves = waits && self.impatience > 0 && cluster.random.one_in(self.impatience);
            worker.doing = match doing {
                Doing::Statement(client, begun) if leaves => {
                    client.close();
                    checker.lost(begun);
                    Doing::Away
                }
                doing => next(doing, worker.node, cluster, checker, goes_on),
            };
        }
    }

    /// Whether no statement waits for its answer.
    pub fn is_idle(&self) -> bool {
        !self.workers.iter().any(|worker| matches!(worker.doing, Doing::Statement(..)))
    }
}

fn next(
    doing: Doing,
    node: usize,
    cluster: &mut Cluster,
    checker: &mut Checker,
    goes_on: bool,
) -> Doing {
    match doing {
        Doing::Away => {
            if !goes_on || cluster.nodes[node].up.is_none() || cluster.is_paused(node) {
                return Doing::Away;
            }
            Doing::Greeting(Client::connect(cluster, node))
        }
        Doing::Greeting(mut client) => match client.pump(cluster) {
            Progress::Waiting => Doing::Greeting(client),
            Progress::Answered(answer) => {
                assert_eq!(answer.error, None, "a greeting");
                Doing::Idle(client)
            }
            Progress::Lost => Doing::Away,
        },
        Doing::Idle(client) if !goes_on => Doing::Idle(client),
        Doing::Idle(mut client) => {
            let op = draw(cluster, checker);
            send(&mut client, &op, cluster.random.one_in(4));
            let begun = checker.begin(op);
            Doing::Statement(client, begun)
        }
        Doing::Statement(mut client, begun) => match client.pump(cluster) {
            Progress::Waiting => Doing::Statement(client, begun),
            Progress::Answered(answer) => {
                checker.end(&begun, &answer);
                Doing::Idle(client)
            }
            Progress::Lost => {
                checker.lost(begun);
                Doing::Away
            }
        },
    }
}

fn draw(cluster: &mut Cluster, checker: &Checker) -> Op {
    let next = checker.next_row();
    match cluster.random.below(12) {
        0..=2 => Op::Insert(vec![next]),
        3 => Op::Insert(vec![next, next + 1]),
        4..=6 => Op::Add,
        // Newer rows more often: they are the ones that may be missing.
        7..=9 => Op::Read(next - cluster.random.below(next.min(10)).min(next - 1)),
        10 => Op::Count,
        _ => Op::Scan,
    }
}

/// Sends a statement, with its values beside it as drivers do, or all in its text.
fn send(client: &mut Client, op: &Op, as_text: bool) {
    let (text, values): (&str, Vec<String>) = match op {
        Op::Insert(rows) if rows.len() == 1 => {
            ("INSERT INTO rows VALUES ($1, $2)", rows_and_values(rows))
        }
        Op::Insert(rows) => {
            assert_eq!(rows.len(), 2);
            ("INSERT INTO rows VALUES ($1, $2), ($3, $4)", rows_and_values(rows))
        }
        Op::Add => ("UPDATE counter SET n = n + 1 WHERE id = 1 RETURNING n", Vec::new()),
        Op::Read(row) => ("SELECT id, v FROM rows WHERE id = $1", vec![row.to_string()]),
        Op::Count => (COUNT, Vec::new()),
        Op::Scan => (SCAN, Vec::new()),
    };
    if as_text {
        let quote = |text: String, (n, value): (usize, &String)| {
            text.replace(&format!("${}", n + 1), &format!("'{value}'"))
        };
        client.query(&values.iter().enumerate().fold(text.to_owned(), quote));
    } else {
        client.execute(text, &values);
    }
}

fn rows_and_values(rows: &[u64]) -> Vec<String> {
    rows.iter().flat_map(|row| [row.to_string(), value(*row)]).collect()
}
