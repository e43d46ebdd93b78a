//! What a client may count on, whatever it does to its connection.

use phantom_reactor::net::ListenerId;
use phantom_reactor::net::sim::SimTrouble;
use phantom_reactor::traffic::{Event, Verb};

use crate::client::{Client, message, query, startup};
use crate::cluster::{Cluster, MS, PG, Plan};
use crate::control::plan;

const S: u64 = 1_000 * MS;

fn alone() -> Cluster {
    Cluster::serving(Plan::of(1))
}

/// Connections, sessions, links of the node.
fn counts(cluster: &mut Cluster) -> (usize, usize, usize) {
    cluster.up(0).doors.counts()
}

#[test]
fn a_client_hears_the_same_however_its_bytes_and_ours_are_cut() {
    let script =
        [startup(), query("SELECT 1; SELECT 'two'"), query("SELECT 1/0"), query("SELECT 3")];
    let run = |trouble: SimTrouble, seed: u64| {
        let mut cluster = Cluster::serving(Plan { seed, ..Plan::of(1) });
        cluster.net.set_trouble(trouble);
        let mut client = Client::dial(&cluster, 0, PG);
        client.say(&script.concat());
        cluster.until_ready(&mut client, script.len());
        let kinds: Vec<u8> = client.messages().iter().map(|(kind, _)| *kind).collect();
        (String::from_utf8(kinds).unwrap(), client.values(), client.errors())
    };
    let plain = run(SimTrouble::default(), 1);
    assert_eq!(plain.1, ["1", "two", "3"]);
    assert_eq!(plain.2, ["22012"]);
    for seed in 2..12 {
        let trouble = SimTrouble {
            short: 2,
            again: 3,
            slow: 10,
            nodes: 9,
            delay_max: 3 * MS,
            ..SimTrouble::default()
        };
        assert_eq!(run(trouble, seed), plain, "seed {seed}");
    }
}

#[test]
fn a_client_that_closes_its_half_is_told_what_it_has_asked_for() {
    let mut cluster = alone();
    let mut client = Client::connect(&cluster, 0);
    cluster.until_ready(&mut client, 1);
    client.say(&query("SELECT 7"));
    client.finish();
    cluster.until_ended(&mut client);
    assert_eq!((client.values(), client.was_reset), (vec!["7".to_owned()], false));
    cluster.until("nothing is held", |cluster| counts(cluster) == (0, 0, 0));
}

#[test]
fn a_client_that_misspoke_hears_why_and_is_read_on() {
    let mut cluster = alone();
    let mut client = Client::connect(&cluster, 0);
    cluster.until_ready(&mut client, 1);
    client.say(&message(b'!', b"what"));
    // It goes on speaking: what is not read when we close would reset the connection.
    client.say(&vec![0; 400 << 10]);
    cluster.until("it is told", |_| {
        client.pump();
        !client.errors().is_empty()
    });
    client.say(&[0; 1000]);
    cluster.until_ended(&mut client);
    assert_eq!((client.errors(), client.was_reset), (vec!["08P01".to_owned()], false));
    assert_eq!(counts(&mut cluster).0, 1, "its end is waited for");
    let told = cluster.now();
    cluster.until("it is let go", |cluster| counts(cluster) == (0, 0, 0));
    assert!(cluster.now() - told <= 2 * S + 10 * MS, "but not for ever");
    client.close();
}

#[test]
fn one_that_misspoke_and_hangs_up_is_gone_at_once() {
    let mut cluster = alone();
    let mut client = Client::connect(&cluster, 0);
    cluster.until_ready(&mut client, 1);
    client.say(&message(b'!', b"what"));
    cluster.until_ended(&mut client);
    client.close();
    cluster.steps(5);
    assert_eq!(counts(&mut cluster), (0, 0, 0));
}

#[test]
fn a_connection_that_begins_no_session_is_closed_after_a_while() {
    let mut cluster = alone();
    let mut silent = Client::dial(&cluster, 0, PG);
    let mut slow = Client::dial(&cluster, 0, PG);
    let mut begun = Client::connect(&cluster, 0);
    cluster.until_ready(&mut begun, 1);
    slow.say(&startup()[..20]);
    (0..59).for_each(|_| cluster.calm_step(S));
    silent.pump();
    slow.pump();
    assert!(!silent.has_ended && !slow.has_ended, "59 s are not too long");
    (0..2).for_each(|_| cluster.calm_step(S));
    silent.pump();
    slow.pump();
    assert!(silent.has_ended && slow.has_ended && silent.heard.is_empty());
    (0..600).for_each(|_| cluster.calm_step(S));
    begun.say(&query("SELECT 1"));
    cluster.until_ready(&mut begun, 2);
    assert_eq!(counts(&mut cluster), (1, 1, 0));
}

#[test]
fn a_door_lets_in_as_many_as_it_has_slots_and_the_rest_in_turn() {
    let mut cluster = Cluster::serving(Plan { slots: 2, ..Plan::of(1) });
    let mut inside: Vec<_> = (0..2).map(|_| Client::connect(&cluster, 0)).collect();
    for client in &mut inside {
        cluster.until_ready(client, 1);
    }
    let mut outside = Client::connect(&cluster, 0);
    cluster.steps(500);
    outside.pump();
    assert!(outside.heard.is_empty() && !outside.has_ended, "it waits");
    let full = |event: &Event| *event == Event::DoorFull(ListenerId(0));
    assert_eq!(cluster.take_told(0).iter().filter(|event| full(event)).count(), 1);
    inside.pop().unwrap().close();
    cluster.until_ready(&mut outside, 1);
    assert_eq!(counts(&mut cluster), (2, 2, 0));
}

#[test]
fn those_who_left_while_they_waited_take_nobodys_place() {
    let plan = Plan { slots: 4, sessions: 2, ..Plan::of(1) };
    let mut cluster = Cluster::serving(plan);
    let mut inside: Vec<_> = (0..2).map(|_| Client::connect(&cluster, 0)).collect();
    for client in &mut inside {
        cluster.until_ready(client, 1);
    }
    let mut waiting: Vec<_> = (0..40).map(|_| Client::dial(&cluster, 0, PG)).collect();
    cluster.steps(100);
    let mut last = Client::connect(&cluster, 0);
    waiting.drain(..).for_each(Client::close);
    inside.drain(..).for_each(Client::close);
    cluster.until_ready(&mut last, 1);
    assert_eq!(counts(&mut cluster), (1, 1, 0));
}

#[test]
fn one_client_too_many_hears_it_after_its_first_message() {
    let mut cluster = Cluster::serving(Plan { sessions: 1, ..Plan::of(1) });
    let mut first = Client::connect(&cluster, 0);
    cluster.until_ready(&mut first, 1);
    let mut refused = Client::dial(&cluster, 0, PG);
    cluster.steps(100);
    refused.pump();
    assert!(refused.heard.is_empty(), "clients speak first");
    refused.say(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]);
    cluster.until("encryption is refused", |_| {
        refused.pump();
        refused.heard == b"N"
    });
    refused.heard.clear();
    refused.say(&startup());
    cluster.until_ended(&mut refused);
    assert_eq!((refused.errors(), refused.was_reset), (vec!["53300".to_owned()], false));
    refused.close();
    first.close();
    cluster.until("both are gone", |cluster| counts(cluster) == (0, 0, 0));
    let mut next = Client::connect(&cluster, 0);
    cluster.until_ready(&mut next, 1);
}

#[test]
fn a_client_that_does_not_read_is_not_read_and_others_go_on() {
    let mut cluster = alone();
    let mut deaf = Client::connect(&cluster, 0);
    cluster.until_ready(&mut deaf, 1);
    deaf.is_deaf = true;
    let wide = query(&format!("SELECT repeat('x', {})", 200 << 10));
    for _ in 0..40 {
        deaf.say(&wide);
    }
    // And as much again as the ways between them hold.
    deaf.say(&query(&format!("SELECT '{}'", "y".repeat(2 << 20))));
    for _ in 0..200 {
        deaf.pump();
        cluster.calm_step(MS);
    }
    assert!(deaf.unsaid() > 1 << 20, "{} bytes are left", deaf.unsaid());
    let mut other = Client::connect(&cluster, 0);
    cluster.until_ready(&mut other, 1);
    other.say(&query("SELECT 1"));
    cluster.until_ready(&mut other, 2);
    // It reads again, and has all its answers.
    deaf.is_deaf = false;
    cluster.until_ready(&mut deaf, 42);
    assert_eq!(deaf.values().len(), 41);
    assert_eq!(deaf.unsaid(), 0);
}

#[test]
fn what_a_client_ran_ends_when_its_connection_is_gone() {
    let mut cluster = alone();
    cluster.keeps_plans = true;
    let mut client = Client::connect(&cluster, 0);
    cluster.until_ready(&mut client, 1);
    client.say(&query("SELECT count(*) FROM (VALUES (1)) v"));
    client.say(&query("SELECT 1 + 1"));
    cluster.steps(20);
    cluster.net.reset(1, 0);
    cluster.until("its session is gone", |cluster| counts(cluster) == (0, 0, 0));
    assert_eq!(cluster.counter(0, "sessions"), 0);
    // A plan that comes now is for nobody.
    let asked = cluster.take_told(0).into_iter().find_map(|event| match event {
        Event::Session(session, event, _, body) => Some((session, event, body)),
        _ => None,
    });
    if let Some((session, event, body)) = asked {
        cluster.post(0, Verb::Resume(session, event, plan(&body)));
    }
    cluster.steps(20);
    assert_eq!(cluster.counter(0, "flows"), 0);
}

#[test]
fn a_drain_ends_idle_sessions_at_once_and_busy_ones_when_they_have_answered() {
    let mut cluster = alone();
    let (mut idle, mut busy) = (Client::connect(&cluster, 0), Client::connect(&cluster, 0));
    cluster.until_ready(&mut idle, 1);
    cluster.until_ready(&mut busy, 1);
    busy.is_deaf = true;
    busy.say(&query(&format!("SELECT repeat('x', {})", 1 << 20)));
    cluster.steps(200);
    cluster.post(0, Verb::Drain(20 * S));
    cluster.until_ended(&mut idle);
    assert_eq!(idle.errors(), ["57P01"]);
    idle.close();
    let mut late = Client::connect(&cluster, 0);
    cluster.until_ended(&mut late);
    assert!(late.was_reset && late.heard.is_empty(), "nobody comes in");
    assert!(!cluster.take_told(0).contains(&Event::ClientsGone));
    busy.is_deaf = false;
    cluster.until_ended(&mut busy);
    assert_eq!(busy.values(), ["x".repeat(1 << 20)]);
    assert_eq!(busy.errors(), ["57P01"]);
    cluster.steps(10);
    assert!(cluster.take_told(0).contains(&Event::ClientsGone));
}

#[test]
fn a_drain_waits_no_longer_than_its_grace() {
    let mut cluster = alone();
    let mut busy = Client::connect(&cluster, 0);
    cluster.until_ready(&mut busy, 1);
    busy.is_deaf = true;
    busy.say(&query(&format!("SELECT repeat('x', {})", 4 << 20)));
    cluster.steps(200);
    cluster.post(0, Verb::Drain(3 * S));
    let begun = cluster.now();
    cluster.until("it is cut", |cluster| cluster.take_told(0).contains(&Event::ClientsGone));
    let took = cluster.now() - begun;
    assert!((3 * S..3 * S + 50 * MS).contains(&took), "{took}");
    assert_eq!(counts(&mut cluster), (0, 0, 0));
}

#[test]
fn clients_are_served_only_once_they_are_let_in() {
    let mut cluster = Cluster::running(Plan::of(1));
    // Before its first turn the control plane has not said so.
    cluster.up(0).doors.counts();
    let mut early = Client::connect(&cluster, 0);
    cluster.until_ready(&mut early, 1);
    assert_eq!(early.errors(), [""; 0]);
}

#[test]
fn thousands_of_idle_connections_cost_no_turns() {
    let plan = Plan { slots: 10_000, sessions: 10_000, ..Plan::of(1) };
    let mut cluster = Cluster::serving(plan);
    let mut clients: Vec<_> = (0..5_000).map(|_| Client::connect(&cluster, 0)).collect();
    cluster.until("all are in", |cluster| counts(cluster).0 == clients.len());
    for client in &mut clients {
        cluster.until_ready(client, 1);
    }
    for client in clients.iter_mut().step_by(500) {
        client.say(&query("SELECT 1"));
        cluster.until_ready(client, 2);
    }
    clients.into_iter().for_each(Client::close);
    cluster.until("all are gone", |cluster| counts(cluster) == (0, 0, 0));
    assert_eq!(cluster.counter(0, "sessions"), 0);
}
