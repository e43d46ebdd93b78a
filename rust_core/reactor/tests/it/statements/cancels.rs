//! A statement is cancelled while a worker has it; what the worker found must not answer the next. One
//! that a disk has, and that may be too late to cancel, is not waited for without end.

use super::client::Client;
use super::resets::{answered, connected, started};
use super::workload::prepare;
use crate::cluster::Cluster;
use crate::cluster::MS;

/// No table, and no point plan: a worker of the gateway runs it.
const COUNT: &str = "SELECT count(*) + $1::int8";

/// Turns in which no worker does anything.
fn idle_workers(cluster: &mut Cluster, client: &mut Client) -> Option<super::client::Answer> {
    (0..10).find_map(|_| {
        let answer = answered(cluster, client);
        cluster.run(client.node, 0);
        answer
    })
}

#[test]
fn what_a_worker_found_for_a_cancelled_statement_is_not_the_answer_of_the_next() {
    let mut cluster = started();
    let mut client = connected(&mut cluster, 0);
    // Once before, so that both are one plan.
    client.execute(COUNT, &["1".to_owned()]);
    let first = cluster.calm_until(COUNT, |cluster| answered(cluster, &mut client));
    assert_eq!(first.rows, [[Some("2".to_owned())]]);

    client.execute(COUNT, &["10".to_owned()]);
    assert_eq!(idle_workers(&mut cluster, &mut client), None);
    client.cancel(&mut cluster);
    let cancelled = idle_workers(&mut cluster, &mut client).expect("it ends at once");
    assert_eq!(cancelled.error.expect("an error").0, "57014");

    client.execute(COUNT, &["100".to_owned()]);
    let next = cluster.calm_until(COUNT, |cluster| answered(cluster, &mut client));
    assert_eq!(next.rows, [[Some("101".to_owned())]]);
}

#[test]
fn a_write_that_a_disk_has_ends_by_its_timeout_as_unknown() {
    let mut cluster = Cluster::new(4, 1);
    cluster.start(0);
    prepare(&mut cluster);
    let mut client = connected(&mut cluster, 0);
    client.query("SET statement_timeout = 1000");
    cluster.calm_until("a setting", |cluster| answered(cluster, &mut client));

    client.query("INSERT INTO rows VALUES (1, 'one')");
    let asked_at = cluster.now();
    // The disk takes nothing: no worker comes back from it.
    let answer = loop {
        if let Some(answer) = answered(&mut cluster, &mut client) {
            break answer;
        }
        assert!(cluster.now() < asked_at + 5_000 * MS, "it waits for the disk");
        if cluster.now() > asked_at + 1_500 * MS {
            // Who asks again does not wait longer for it.
            client.cancel(&mut cluster);
        }
        cluster.pass(MS);
        cluster.run(0, 0);
    };
    let (code, message) = answer.error.expect("nobody knows what has become of it");
    assert_eq!(code, "40003", "{message}");
    assert!(message.contains("statement timeout"), "{message}");
    assert!(cluster.now() >= asked_at + 1_000 * MS, "it had its time");

    // When the disk is back, the session is as good as any, and so is the row.
    client.query("SELECT id FROM rows");
    let rows = cluster.calm_until("rows", |cluster| answered(cluster, &mut client));
    assert_eq!((rows.error, rows.rows.len()), (None, 1));
}
