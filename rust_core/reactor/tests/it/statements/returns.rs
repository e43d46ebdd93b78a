//! A leader sleeps, its statements leave it, and it wakes up and leads again: what it still had to
//! say of its first time must not be taken for an answer of its second.

use phantom_base::{GroupId, NodeId};
use phantom_node::link::STREAM_BULK;

use super::client::{Answer, Client};
use super::control;
use super::costly::CASE_1;
use super::resets::{answered, connected, leader, small_steps, started};
use super::workload::SCAN;
use crate::cluster::Cluster;

const ROWS: u64 = 20;
/// All rows together are more than a gateway lets a leader send before it has taken any.
const VALUE_BYTES: usize = 100 << 10;
const BULK: u8 = STREAM_BULK;
const PATIENCE_STEPS: u64 = 10_000;
/// After which a leader of the past is left for its silence.
const SILENCE_STEPS: u64 = 2_100;
/// After which no dial takes the place of another's link any more.
const DIALS_STEPS: u64 = 1_500;
/// In which votes have come.
const VOTES_STEPS: u64 = 80;

fn requests(cluster: &mut Cluster, n: usize) -> u64 {
    control::counter(&cluster.core(n).stats(), "requests")
}

/// Small steps until something is so; the client must not be answered before.
fn unanswered_until(
    cluster: &mut Cluster,
    client: &mut Client,
    what: &str,
    is_so: impl Fn(&mut Cluster) -> bool,
) {
    for _ in 0..PATIENCE_STEPS {
        if is_so(cluster) {
            return;
        }
        assert_eq!(small_steps(cluster, client, 1), None, "answered before: {what}");
    }
    panic!("not within {PATIENCE_STEPS} steps: {what}");
}

/// Lets a node lead as soon as nobody follows a sleeping one any more.
fn succeed(cluster: &mut Cluster, client: &mut Client, successor: usize, seen_by: usize) {
    let id = NodeId(successor as u32 + 1);
    cluster.keeps_elections = Some(GroupId::ROWS);
    for _ in 0..PATIENCE_STEPS / VOTES_STEPS {
        let mut leads = |n: usize| cluster.core(n).replication().leader(GroupId::ROWS) == id;
        if [successor, seen_by].into_iter().all(&mut leads) {
            cluster.keeps_elections = None;
            return;
        }
        // Refused while it follows somebody.
        let _ = cluster.core(successor).replication().campaign(&[GroupId::ROWS], true);
        assert_eq!(small_steps(cluster, client, VOTES_STEPS), None, "answered too early");
    }
    panic!("no new leader");
}

#[test]
fn a_read_whose_link_broke_once_still_follows_its_group_to_another_leader() {
    let mut cluster = started();
    assert_eq!(cluster.ask(0, "INSERT INTO rows VALUES (1, 'one')").error, None);
    let first = leader(&mut cluster);
    let (gateway, second) = ((first + 1) % 3, (first + 2) % 3);
    let mut client = connected(&mut cluster, gateway);
    (0..3).for_each(|n| cluster.up(n).runtime().let_sql_wait(true));
    client.query(SCAN);
    assert_eq!(small_steps(&mut cluster, &mut client, VOTES_STEPS), None, "a worker has it");
    cluster.net.reset(first, gateway);
    assert_eq!(small_steps(&mut cluster, &mut client, VOTES_STEPS), None, "it was sent again");
    cluster.nodes[first].paused_until = u64::MAX;
    succeed(&mut cluster, &mut client, second, gateway);
    cluster.up(second).runtime().let_sql_wait(false);
    let answer = cluster.calm_until(SCAN, |cluster| answered(cluster, &mut client));
    assert_eq!((answer.error, answer.rows.len()), (None, 1));
}

#[test]
fn a_late_answer_of_a_former_stay_ends_no_statement_that_came_back() {
    let mut cluster = started();
    let value = "v".repeat(VALUE_BYTES);
    for row in 1..=ROWS {
        let answer = cluster.ask(0, &format!("INSERT INTO rows VALUES ({row}, '{value}')"));
        assert_eq!(answer.error, None);
    }
    let first = leader(&mut cluster);
    let (gateway, second) = ((first + 1) % 3, (first + 2) % 3);

    // What the leader says takes long; it waits until the gateway has taken a part of the rows.
    cluster.keep((first, gateway, BULK), true);
    let mut client = connected(&mut cluster, gateway);
    client.query(SCAN);
    unanswered_until(&mut cluster, &mut client, "the read is at its leader", |cluster| {
        requests(cluster, first) == 1
    });
    assert_eq!(small_steps(&mut cluster, &mut client, 200), None);
    assert_eq!(requests(&mut cluster, first), 1, "not all rows were sent");

    // It sleeps, and another is elected, whom the read does not reach.
    cluster.nodes[first].paused_until = u64::MAX;
    cluster.keep((gateway, second, BULK), true);
    succeed(&mut cluster, &mut client, second, gateway);
    assert_eq!(small_steps(&mut cluster, &mut client, SILENCE_STEPS), None);

    // It wakes up, and hears that the read was taken back.
    cluster.nodes[first].paused_until = 0;
    unanswered_until(&mut cluster, &mut client, "the read is cancelled", |cluster| {
        requests(cluster, first) == 0
    });

    // It leads again, and the read comes back to it before its first answers have arrived.
    cluster.nodes[second].paused_until = u64::MAX;
    succeed(&mut cluster, &mut client, first, gateway);
    unanswered_until(&mut cluster, &mut client, "the read has come back", |cluster| {
        requests(cluster, first) == 1
    });
    cluster.nodes[second].paused_until = 0;
    cluster.keep((gateway, second, BULK), false);
    cluster.keep((first, gateway, BULK), false);
    let answer = cluster.calm_until(SCAN, |cluster| answered(cluster, &mut client));
    assert_eq!((answer.error, answer.rows.len() as u64), (None, ROWS));
}

#[test]
fn a_read_is_sent_again_once_after_a_broken_link_and_no_more() {
    let mut cluster = started();
    let leader = leader(&mut cluster);
    let gateway = (leader + 1) % 3;
    let mut client = connected(&mut cluster, gateway);
    cluster.keep((leader, gateway, BULK), true);
    client.query(SCAN);
    let mut losses = 0;
    let answer = loop {
        if let Some(answer) = small_steps(&mut cluster, &mut client, 100) {
            break answer;
        }
        assert!(losses < 10, "the read goes on for ever");
        if cluster.are_linked(leader, gateway) {
            cluster.net.reset(leader, gateway);
            losses += 1;
        }
    };
    assert_eq!(losses, 2);
    let (code, message) = answer.error.expect("it ends");
    assert_eq!((code.as_str(), message.contains("lost 2 times")), ("57P03", true), "{message}");
}

/// A write that a worker has does not notice that its leader falls and rises, and that others write
/// meanwhile.
#[test]
fn a_write_that_a_worker_has_while_its_leader_falls_and_rises_overwrites_nothing() {
    for rises in [true, false] {
        for (text, expected) in [
            (format!("UPDATE counter SET n = n + {CASE_1} WHERE id = 1"), [(1, 3), (7, 5)]),
            (format!("UPDATE counter SET n = n + {CASE_1} WHERE n < 5"), [(1, 3), (7, 5)]),
            (
                format!("UPDATE counter SET n = 0 WHERE id = 1 AND n + {CASE_1} > 2"),
                [(1, 0), (7, 5)],
            ),
            (format!("INSERT INTO counter VALUES (7, {CASE_1})"), [(1, 2), (7, 5)]),
        ] {
            let mut cluster = started();
            let error = overtaken(&mut cluster, &text, rises).error.map(|(code, _)| code);
            let rows = cluster.ask(0, "SELECT id, n FROM counter ORDER BY id").rows;
            let row = |(id, n): (u32, u32)| vec![Some(id.to_string()), Some(n.to_string())];
            assert_eq!(rows, expected.map(row), "{text}: {error:?}");
            let is_insert = text.starts_with("INSERT");
            assert_eq!(error.as_deref(), is_insert.then_some("23505"), "{text}");
        }
    }
}

/// Runs a statement at a leader that falls while a worker has it, and rises again or not. Two add one
/// to the counter meanwhile, and one inserts row 7.
fn overtaken(cluster: &mut Cluster, text: &str, rises: bool) -> Answer {
    let first = leader(cluster);
    let (second, third) = ((first + 1) % 3, (first + 2) % 3);
    let mut client = connected(cluster, first);
    cluster.up(first).runtime().let_sql_wait(true);
    client.execute(text, &["a".to_owned()]);
    unanswered_until(cluster, &mut client, "it is at its leader", |cluster| {
        requests(cluster, first) == 1
    });
    assert_eq!(small_steps(cluster, &mut client, VOTES_STEPS), None, "a worker has it");
    for other in [second, third] {
        cluster.net.reset(first, other);
        cluster.part(first, other);
    }
    succeed(cluster, &mut client, second, third);
    let add = "UPDATE counter SET n = n + 1 WHERE id = 1";
    for other in [add, add, "INSERT INTO counter VALUES (7, 5)"] {
        let mut writer = connected(cluster, third);
        writer.query(other);
        let answer = (0..PATIENCE_STEPS).find_map(|_| small_steps(cluster, &mut writer, 1));
        assert_eq!(answer.expect("two of three answer").error, None);
    }
    cluster.net.mend_all();
    unanswered_until(cluster, &mut client, "it follows, and misses nothing", |cluster| {
        let id = NodeId(second as u32 + 1);
        let mut last =
            |n: usize| cluster.core(n).replication().status(GroupId::ROWS).unwrap().group.last;
        let misses_nothing = last(first) == last(second) && last(third) == last(second);
        misses_nothing && cluster.core(first).replication().leader(GroupId::ROWS) == id
    });
    // Dials of both sides have come to one link by then.
    assert_eq!(small_steps(cluster, &mut client, DIALS_STEPS), None, "a worker has it");
    if rises {
        cluster.nodes[second].paused_until = u64::MAX;
        succeed(cluster, &mut client, first, third);
        cluster.nodes[second].paused_until = 0;
    }
    cluster.up(first).runtime().let_sql_wait(false);
    cluster.calm_until(text, |cluster| answered(cluster, &mut client))
}
