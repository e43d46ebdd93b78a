//! Statements that take long by what they compute, not by what they read: a worker has them, other
//! sessions go on beside them, and they can be ended.
//!
//! Nothing here takes longer than a test may. That one was left to a worker is seen by its answer,
//! which does not come while no worker runs.

use super::client::{Answer, Client};
use super::control;
use super::resets::{answered, connected, leader, started};
use crate::cluster::Cluster;
use crate::cluster::MS;

/// More than the node's thread may do at once: tens of millions of steps.
const COSTLY: &str = "repeat($1::text, 20000) LIKE '%' || repeat($1::text, 2000) || 'b'";
/// 1, after as long.
pub const CASE_1: &str = "CASE WHEN repeat($1::text, 20000) LIKE '%' || repeat($1::text, 2000) || 'b' \
     THEN 9 ELSE 1 END";
/// Rounds in which a statement has gone to its leader and come back, and more.
const ROUNDS: u64 = 60;

/// Rounds in which no worker runs on the leader; the answer if it comes.
fn without_workers(
    cluster: &mut Cluster,
    client: &mut Client,
    of: usize,
    rounds: u64,
) -> Option<Answer> {
    for _ in 0..rounds {
        if let Some(answer) = answered(cluster, client) {
            return Some(answer);
        }
        cluster.pass(MS);
        (0..cluster.nodes.len()).for_each(|n| cluster.run(n, if n == of { 0 } else { 10 }));
    }
    None
}

fn finished(cluster: &mut Cluster, client: &mut Client, text: &str) -> Answer {
    cluster.calm_until(text, |cluster| answered(cluster, client))
}

fn said(cluster: &mut Cluster, client: &mut Client, text: &str) -> Answer {
    client.query(text);
    finished(cluster, client, text)
}

/// What statements by key answer: the text, its rows, and how far the counter is then.
fn statements() -> [(String, Vec<&'static str>, &'static str); 4] {
    let case = |yes: u32, no: u32| format!("CASE WHEN {COSTLY} THEN {yes} ELSE {no} END");
    [
        (format!("SELECT n FROM counter WHERE id = {}", case(2, 1)), vec!["0"], "0"),
        (format!("SELECT n + {} FROM counter WHERE id = 1", case(50, 7)), vec!["7"], "0"),
        (
            format!("UPDATE counter SET n = n + {} WHERE id = 1 RETURNING n", case(9, 1)),
            vec!["1"],
            "1",
        ),
        (format!("INSERT INTO counter VALUES ({}, 3) RETURNING id", case(9, 4)), vec!["4"], "1"),
    ]
}

#[test]
fn a_costly_statement_by_key_is_left_to_a_worker_of_its_leader() {
    let mut cluster = started();
    let at = leader(&mut cluster);
    for gateway in [at, (at + 1) % 3] {
        let mut client = connected(&mut cluster, gateway);
        said(&mut cluster, &mut client, "DELETE FROM counter WHERE id = 4");
        said(&mut cluster, &mut client, "UPDATE counter SET n = 0 WHERE id = 1");
        for (text, rows, counter) in statements() {
            client.execute(&text, &["a".to_owned()]);
            assert_eq!(without_workers(&mut cluster, &mut client, at, ROUNDS), None, "{text}");
            let answer = finished(&mut cluster, &mut client, &text);
            assert_eq!(answer.error, None, "{text}");
            let values: Vec<_> = answer.rows.iter().map(|row| row[0].as_deref().unwrap()).collect();
            assert_eq!(values, rows, "{text}");
            let n = said(&mut cluster, &mut client, "SELECT n FROM counter WHERE id = 1");
            assert_eq!(n.rows, [[Some(counter.to_owned())]], "{text}");
        }
        client.close();
    }
}

#[test]
fn a_costly_statement_by_key_that_is_cancelled_has_done_nothing_and_leaves_its_latches() {
    let mut cluster = started();
    let at = leader(&mut cluster);
    for gateway in [at, (at + 1) % 3] {
        let mut client = connected(&mut cluster, gateway);
        for (text, ..) in statements() {
            said(&mut cluster, &mut client, "SET statement_timeout = 30");
            client.execute(&text, &["a".to_owned()]);
            // Of a change the leader tells how it ended, when its worker has looked up.
            let answer = without_workers(&mut cluster, &mut client, at, ROUNDS);
            let answer = answer.unwrap_or_else(|| finished(&mut cluster, &mut client, &text));
            let (code, message) = answer.error.expect("an error");
            assert_eq!(code, "57014", "{text}");
            assert_eq!(message, "canceling statement due to statement timeout");
            said(&mut cluster, &mut client, "SET statement_timeout = 0");
        }
        let all = said(&mut cluster, &mut client, "SELECT id, n FROM counter");
        assert_eq!(all.rows, [[Some("1".to_owned()), Some("0".to_owned())]]);
        let free = said(&mut cluster, &mut client, "UPDATE counter SET n = n WHERE id = 1");
        assert_eq!(free.tag, "UPDATE 1");
        client.close();
        let requests =
            |cluster: &mut Cluster| control::counter(&cluster.core(at).stats(), "requests");
        cluster.calm_until("no request is left", |cluster| (requests(cluster) == 0).then_some(()));
    }
}

#[test]
fn a_costly_statement_without_a_table_lets_others_go_on_and_ends_with_its_time() {
    let mut cluster = Cluster::new(5, 1);
    cluster.start(0);
    let (mut one, mut other) = (connected(&mut cluster, 0), connected(&mut cluster, 0));
    let text = format!("SELECT {COSTLY}");

    one.execute(&text, &["a".to_owned()]);
    assert_eq!(without_workers(&mut cluster, &mut one, 0, ROUNDS), None);
    other.query("SELECT 1");
    let beside = without_workers(&mut cluster, &mut other, 0, ROUNDS).expect("it needs no worker");
    assert_eq!(beside.rows, [[Some("1".to_owned())]]);
    let answer = finished(&mut cluster, &mut one, &text);
    assert_eq!(answer.rows, [[Some("f".to_owned())]]);

    said(&mut cluster, &mut one, "SET statement_timeout = 30");
    one.execute(&text, &["a".to_owned()]);
    let answer = without_workers(&mut cluster, &mut one, 0, ROUNDS).expect("nobody is waited for");
    assert_eq!(answer.error.map(|(code, _)| code).as_deref(), Some("57014"));

    // What the first run still says is not taken for an answer of the next.
    said(&mut cluster, &mut one, "SET statement_timeout = 0");
    one.execute(&text, &["b".to_owned()]);
    let answer = finished(&mut cluster, &mut one, &text);
    assert_eq!((answer.error, answer.rows), (None, vec![vec![Some("t".to_owned())]]));
}
