//! A statement is cancelled while a worker has it; what the worker found must not answer the next.

use super::client::Client;
use super::cluster::Cluster;
use super::resets::{answered, connected, started};

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
