//! A link breaks at every step of a statement: what is under way then must not answer it once more.

use phantom_base::GroupId;

use super::checker::{Checker, Op, value};
use super::client::{Answer, Client, Progress};
use super::cluster::Cluster;
use super::workload::{COUNT, SCAN, prepare};
use crate::machines::MS;

const ROWS: u64 = 20;
/// Simulated milliseconds in which a statement has gone to its leader and back.
const STEPS: u64 = 60;
const ADD: &str = "UPDATE counter SET n = n + 1 WHERE id = 1 RETURNING n";

pub fn leader(cluster: &mut Cluster) -> usize {
    cluster.calm_until("a leader is known everywhere", |cluster| {
        let mut leads = (0..cluster.nodes.len()).map(|n| {
            let status = cluster.core(n).replication().status(GroupId::ROWS).unwrap();
            status.group.leader.0 as usize
        });
        let first = leads.next().unwrap();
        (first > 0 && leads.all(|leader| leader == first)).then(|| first - 1)
    })
}

pub fn started() -> Cluster {
    started_with(4)
}

fn started_with(seed: u64) -> Cluster {
    let mut cluster = Cluster::new(seed, 3);
    (0..3).for_each(|n| cluster.start(n));
    prepare(&mut cluster);
    cluster
}

pub fn connected(cluster: &mut Cluster, n: usize) -> Client {
    let mut client = Client::connect(cluster, n).unwrap();
    cluster.calm_until("a greeting", |cluster| answered(cluster, &mut client));
    client
}

pub fn answered(cluster: &mut Cluster, client: &mut Client) -> Option<Answer> {
    match client.pump(cluster) {
        Progress::Waiting => None,
        Progress::Answered(answer) => Some(answer),
        Progress::Lost => panic!("the connection is lost"),
    }
}

/// Steps so small that a statement is at another place after each; the answer if it has come.
pub fn small_steps(cluster: &mut Cluster, client: &mut Client, steps: u64) -> Option<Answer> {
    for _ in 0..steps {
        if let Some(answer) = answered(cluster, client) {
            return Some(answer);
        }
        cluster.pass(MS);
        (0..cluster.nodes.len()).for_each(|n| cluster.run(n, 2));
    }
    None
}

/// What a read may say that had rows before its leader was lost: they are perhaps the client's.
const ROWS_WERE_SENT: (&str, &str) = ("40001", "the leader was lost after rows had been sent");

#[test]
fn a_link_that_breaks_at_any_step_changes_no_answer() {
    (1..=4).for_each(break_at_every_step);
}

fn break_at_every_step(seed: u64) {
    let mut cluster = started_with(seed);
    let mut checker = Checker::default();
    for row in 1..=ROWS {
        let begun = checker.begin(Op::Insert(vec![row]));
        let insert = format!("INSERT INTO rows VALUES ({row}, '{}')", value(row));
        checker.end(&begun, &cluster.ask(0, &insert));
    }
    let mut interrupted = 0;
    for (op, text) in [(Op::Scan, SCAN), (Op::Count, COUNT), (Op::Add, ADD)] {
        for steps in 0..STEPS {
            let leader = leader(&mut cluster);
            let gateway = (leader + 1) % 3;
            let mut client = connected(&mut cluster, gateway);
            let begun = checker.begin(op.clone());
            client.query(text);
            let early = small_steps(&mut cluster, &mut client, steps);
            interrupted += u32::from(early.is_none());
            cluster.reset(leader, gateway);
            cluster.dial();
            let answer = early.unwrap_or_else(|| {
                cluster.calm_until(text, |cluster| answered(cluster, &mut client))
            });
            let had_rows = !answer.rows.is_empty();
            let is_told = |(code, message): &(String, String)| {
                op == Op::Add || (had_rows && (code.as_str(), message.as_str()) == ROWS_WERE_SENT)
            };
            assert!(answer.error.as_ref().is_none_or(is_told), "{steps} steps: {answer:?}");
            checker.end(&begun, &answer);
            client.close(&mut cluster);
        }
    }
    assert!(interrupted > 60, "only {interrupted} statements were under way");
    let scans: Vec<_> = (0..3).map(|n| cluster.ask(n, SCAN)).collect();
    let counts: Vec<_> = (0..3).map(|n| cluster.ask(n, COUNT)).collect();
    checker.judge(&scans, &counts);
}
