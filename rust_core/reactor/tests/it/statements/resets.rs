//! A statement is left at every step: by a link that breaks, a client that cancels, one that goes. What
//! is under way then must not answer another one, and nothing that it held is held any more.

use phantom_base::GroupId;
use phantom_sql::catalog::Table;
use phantom_types::TypeId;

use super::checker::{Checker, Op, value};
use super::client::{Answer, Client, Progress};
use super::control;
use super::workload::{COUNT, SCAN, prepare};
use crate::cluster::Cluster;
use crate::cluster::MS;

const ROWS: u64 = 20;
/// Simulated milliseconds in which a statement has gone to its leader and back.
const STEPS: u64 = 60;
const ADD: &str = "UPDATE counter SET n = n + 1 WHERE id = 1 RETURNING n";

pub fn leader(cluster: &mut Cluster) -> usize {
    leader_of(cluster, GroupId::ROWS)
}

fn leader_of(cluster: &mut Cluster, group: GroupId) -> usize {
    cluster.calm_until("a leader is known everywhere", |cluster| {
        let mut leads = (0..cluster.nodes.len()).map(|n| {
            let status = cluster.core(n).replication().status(group).unwrap();
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
    let mut client = Client::connect(cluster, n);
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

/// A cluster whose groups are led by different nodes: the catalog's, the rows', and who leads none.
fn led_apart() -> (Cluster, [usize; 3]) {
    (1..)
        .find_map(|seed| {
            let mut cluster = started_with(seed);
            let system = leader_of(&mut cluster, GroupId::SYSTEM);
            let rows = leader(&mut cluster);
            (system != rows).then_some((cluster, [system, rows, 3 - system - rows]))
        })
        .expect("some seed")
}

fn cut(cluster: &mut Cluster, a: usize, b: usize) {
    cluster.net.reset(a, b);
    cluster.part(a, b);
}

#[test]
fn a_leader_whose_catalog_lags_waits_for_it() {
    let (mut cluster, [system, rows, gateway]) = led_apart();
    let mut client = connected(&mut cluster, gateway);
    cut(&mut cluster, system, rows);
    let table = control::table(2, "newer", &[("id", TypeId::INT8, -1)]);
    cluster.create(gateway, &table);
    client.query("INSERT INTO newer VALUES (1)");
    for _ in 0..100 {
        cluster.calm_step(5 * MS);
        assert_eq!(answered(&mut cluster, &mut client), None, "the leader cannot know the table");
    }
    cluster.net.mend_all();
    let answer = cluster.calm_until("an insert", |cluster| answered(cluster, &mut client));
    assert_eq!((answer.tag.as_str(), &answer.error), ("INSERT 0 1", &None));
}

#[test]
fn a_statement_whose_binding_anew_fails_leaves_its_time_to_itself() {
    let (mut cluster, [system, rows, gateway]) = led_apart();
    let table = control::table(2, "older", &[("id", TypeId::INT8, -1)]);
    cluster.create(system, &table);
    let mut client = connected(&mut cluster, gateway);
    let mut ask = |cluster: &mut Cluster, text: &str| {
        client.query(text);
        cluster.calm_until(text, |cluster| answered(cluster, &mut client))
    };
    assert_eq!(ask(&mut cluster, "SET statement_timeout = 15000").error, None);
    let select = "SELECT id FROM older WHERE id = 1";
    assert_eq!(ask(&mut cluster, select).error, None);
    // The gateway does not hear of the change, and cannot ask for it.
    cut(&mut cluster, system, gateway);
    for (group, puts) in control::change(&Table { version: 2, ..table }) {
        cluster.write_rows(rows, group, &puts);
    }
    for _ in 0..2 {
        let (code, message) = ask(&mut cluster, select).error.expect("the catalog is out of reach");
        assert_eq!(code, "57P03", "{message}");
    }
}

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
            cluster.net.reset(leader, gateway);
            let answer = early.unwrap_or_else(|| {
                cluster.calm_until(text, |cluster| answered(cluster, &mut client))
            });
            let had_rows = !answer.rows.is_empty();
            let is_told = |(code, message): &(String, String)| {
                op == Op::Add || (had_rows && (code.as_str(), message.as_str()) == ROWS_WERE_SENT)
            };
            assert!(answer.error.as_ref().is_none_or(is_told), "{steps} steps: {answer:?}");
            checker.end(&begun, &answer);
            client.close();
        }
    }
    assert!(interrupted > 60, "only {interrupted} statements were under way");
    let scans: Vec<_> = (0..3).map(|n| cluster.ask(n, SCAN)).collect();
    let counts: Vec<_> = (0..3).map(|n| cluster.ask(n, COUNT)).collect();
    checker.judge(&scans, &counts);
}

/// How a client or a link leaves a statement.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Reset,
    Cancel,
    Close,
}

/// Rows whose batches wait for each other, and for their client.
const LARGE_ROWS: u64 = 20;
const LARGE_BYTES: usize = 100 << 10;
/// What holds something at its leader, at its gateway, or at both.
const HOLDERS: [&str; 4] = [
    "SELECT * FROM rows",
    "SELECT * FROM rows ORDER BY v DESC, id",
    "SELECT a.v FROM rows a JOIN rows b ON a.id = b.id",
    "UPDATE rows SET v = v WHERE id < 15 RETURNING v",
];

fn held(cluster: &mut Cluster, n: usize) -> u64 {
    control::counter(&cluster.core(n).stats(), "sql_memory_bytes")
}

fn filled() -> Cluster {
    let mut cluster = started();
    for row in 1..=LARGE_ROWS {
        let text = format!("{row:05}").repeat(LARGE_BYTES / 5);
        let answer = cluster.ask(0, &format!("INSERT INTO rows VALUES ({row}, '{text}')"));
        assert_eq!(answer.error, None);
    }
    cluster
}

fn wait_until_nothing_is_held(cluster: &mut Cluster, after: &str) {
    cluster.calm_until(&format!("nothing is held after {after}"), |cluster| {
        (0..3).all(|n| held(cluster, n) == 0).then_some(())
    });
}

#[test]
fn what_a_statement_holds_comes_back_wherever_it_is_left() {
    let mut cluster = filled();
    let (mut at_leader, mut at_gateway) = (0, 0);
    for (at, text) in HOLDERS.iter().enumerate() {
        for steps in (0..STEPS).step_by(3) {
            let leader = leader(&mut cluster);
            let gateway = (leader + (steps as usize / 3 + at) % 3) % 3;
            let leave = [Leave::Reset, Leave::Cancel, Leave::Close][steps as usize % 4 % 3];
            let mut client = connected(&mut cluster, gateway);
            client.query(text);
            let early = small_steps(&mut cluster, &mut client, steps);
            assert!(early.iter().all(|answer| answer.error.is_none()), "{text}: {early:?}");
            at_leader = at_leader.max(held(&mut cluster, leader));
            at_gateway =
                at_gateway.max(if gateway == leader { 0 } else { held(&mut cluster, gateway) });
            match leave {
                Leave::Reset => {
                    cluster.net.reset(leader, (leader + 1) % 3);
                    cluster.net.reset(leader, (leader + 2) % 3);
                }
                Leave::Cancel => client.cancel(&mut cluster),
                Leave::Close => {}
            }
            if !matches!(leave, Leave::Close) && early.is_none() {
                cluster.calm_until(text, |cluster| answered(cluster, &mut client));
            }
            client.close();
            wait_until_nothing_is_held(
                &mut cluster,
                &format!("{steps} steps of {text}: {leave:?}"),
            );
        }
    }
    let least = LARGE_BYTES as u64 * LARGE_ROWS / 2;
    assert!(at_leader > least, "{at_leader} bytes at a leader");
    assert!(at_gateway > LARGE_BYTES as u64, "{at_gateway} bytes at another gateway");
}

#[test]
fn what_the_memory_of_statements_has_not_is_refused_and_statements_by_key_go_on_beside() {
    let mut cluster = filled();
    let at = leader(&mut cluster);
    let mut client = connected(&mut cluster, at);
    client.query("SELECT a.v, b.v FROM rows a CROSS JOIN rows b ORDER BY 1, 2");
    let mut answer = None;
    let mut beside = 0;
    while answer.is_none() {
        answer = small_steps(&mut cluster, &mut client, 1);
        let one = cluster.ask((at + 1) % 3, "SELECT n FROM counter WHERE id = 1");
        assert_eq!(one.error, None, "a statement by key");
        beside += 1;
    }
    let (code, message) = answer.and_then(|answer| answer.error).expect("it is refused");
    assert_eq!((code.as_str(), message.as_str()), ("53200", "out of memory"));
    assert!(beside > 1, "nothing was asked beside it");
    let refused = control::counter(&cluster.core(at).stats(), "sql_memory_refused");
    assert_eq!(refused, 1);
    client.close();
    wait_until_nothing_is_held(&mut cluster, "a refusal");
}

#[test]
fn large_messages_that_arrive_side_by_side_find_room_or_end_their_session() {
    const MESSAGE_BYTES: usize = 7 << 20;
    let mut cluster = started();
    let mut clients: Vec<_> = (0..3).map(|_| connected(&mut cluster, 0)).collect();
    let text = "x".repeat(MESSAGE_BYTES);
    for client in &mut clients[..2] {
        client.begin_query(&text);
    }
    cluster.calm_until("two messages are there", |cluster| {
        for client in &mut clients[..2] {
            assert_eq!(client.pump(cluster), Progress::Waiting);
        }
        (held(cluster, 0) >= 2 * MESSAGE_BYTES as u64).then_some(())
    });
    clients[2].begin_query(&text);
    cluster.calm_until("the third is refused", |cluster| {
        clients.retain_mut(|client| client.pump(cluster) == Progress::Waiting);
        (clients.len() == 2).then_some(())
    });
    assert_eq!(control::counter(&cluster.core(0).stats(), "sql_memory_refused"), 1);
    for client in clients {
        client.close();
    }
    wait_until_nothing_is_held(&mut cluster, "half messages");
}

#[test]
fn rows_that_a_gateway_has_no_room_for_are_refused_and_their_leader_is_told() {
    let mut cluster = filled();
    let at = leader(&mut cluster);
    let gateway = (at + 1) % 3;
    let mut taking = connected(&mut cluster, gateway);
    taking.begin_query(&"x".repeat((15 << 20) - (100 << 10)));
    let full = (15 << 20) - (300 << 10);
    cluster.calm_until("the gateway is full", |cluster| {
        let _ = taking.pump(cluster);
        (held(cluster, gateway) > full).then_some(())
    });
    let error = cluster.ask(gateway, "SELECT * FROM rows").error.expect("it is refused");
    assert_eq!(error.0, "53200");
    assert_eq!(cluster.ask(gateway, "SELECT n FROM counter WHERE id = 1").error, None);
    cluster.calm_until("the leader has ended its part", |cluster| {
        let requests = control::counter(&cluster.core(at).stats(), "requests");
        (requests == 0 && held(cluster, at) == 0).then_some(())
    });
    // What a write returns has happened.
    let returning = "UPDATE rows SET v = v WHERE id < 15 RETURNING v";
    let answer = cluster.ask(gateway, returning);
    assert_eq!((answer.error, answer.rows.len()), (None, 14));
    taking.close();
    wait_until_nothing_is_held(&mut cluster, "a full gateway");
}
