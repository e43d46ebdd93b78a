//! What certificates change for clients and peers, and who is let in by them.

use std::sync::Arc;

use phantom_base::{Clock, Nanos};
use phantom_reactor::doors::Security;
use phantom_reactor::filter::{Certificates, Pem, Tls};
use phantom_reactor::net::sim::SimTrouble;
use phantom_reactor::traffic::Event;
use rustls::version;

use crate::client::{Client, query, startup};
use crate::cluster::{Cluster, MS, PEER, PG, Plan};
use authority::{Authority, Wanted, client};

#[path = "../kit/authority.rs"]
mod authority;

const S: u64 = 1_000 * MS;
/// SSLRequest.
const MAY_I: [u8; 8] = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];

/// The year 2030.
struct Then;

impl Clock for Then {
    fn wall_ns(&self) -> Nanos {
        1_893_456_000_000_000_000
    }

    fn monotonic_ns(&self) -> Nanos {
        0
    }
}

fn certified(pem: &Pem) -> Security {
    let certificates = Certificates::read(pem, Arc::new(Then)).unwrap();
    Security { certificates: Some(Arc::new(certificates)), ..Security::default() }
}

fn node(authority: &Authority, n: usize) -> Security {
    certified(&authority.sign(&Wanted::node(&format!("n{}", n + 1))))
}

/// Nodes with certificates.
fn cluster(plan: Plan, authority: &Authority) -> Cluster {
    let mut cluster = Cluster::running(plan);
    for n in 0..plan.nodes {
        cluster.up(n).doors.secure(node(authority, n));
    }
    cluster
}

fn counts(cluster: &mut Cluster) -> (usize, usize, usize) {
    cluster.up(0).doors.counts()
}

fn links(cluster: &mut Cluster) -> Vec<usize> {
    (0..cluster.nodes.len()).map(|n| cluster.up(n).doors.counts().2).collect()
}

/// The client's side, with a certificate for `role`.
fn side(authority: &Authority, role: Option<&Wanted<'_>>, protocols: &[&[u8]]) -> Tls {
    let shown = role.map(|wanted| authority.sign(wanted));
    let trusted = authority.sign(&Wanted::client("any"));
    client(&trusted, shown.as_ref(), &[&version::TLS13], protocols)
}

/// Asks, is allowed, and begins its handshake.
fn dial(cluster: &mut Cluster, tls: Tls) -> Client {
    let mut client = Client::dial(cluster, 0, PG);
    client.say(&MAY_I);
    cluster.until("it may encrypt", |_| {
        client.pump();
        client.heard == b"S"
    });
    client.heard.clear();
    client.encrypt(tls);
    client
}

#[test]
fn a_client_hears_the_same_however_its_encrypted_bytes_and_ours_are_cut() {
    let authority = Authority::new();
    let script = [startup(), query("SELECT 1; SELECT repeat('x', 300000)"), query("SELECT 1/0")];
    for seed in 1..8 {
        let mut cluster = cluster(Plan { seed, ..Plan::of(1) }, &authority);
        if seed > 1 {
            let (short, again, delay_max) = (2, 3, 3 * MS);
            let calm = SimTrouble::default();
            cluster.net.set_trouble(SimTrouble { short, again, delay_max, nodes: 9, ..calm });
        }
        let mut client = dial(&mut cluster, side(&authority, None, &[]));
        client.say(&script.concat());
        cluster.until_ready(&mut client, script.len());
        assert_eq!(client.values(), ["1".to_owned(), "x".repeat(300_000)], "seed {seed}");
        assert_eq!(client.errors(), ["22012"]);
        client.say(b"X\0\0\0\x04");
        cluster.until_ended(&mut client);
        assert!(client.was_told_end() && !client.was_reset, "it knows that this is the end");
        client.close();
        cluster.until("nothing is held", |cluster| counts(cluster) == (0, 0, 0));
    }
}

#[test]
fn a_client_may_encrypt_at_once() {
    let authority = Authority::new();
    let mut cluster = cluster(Plan::of(1), &authority);
    let mut client = Client::dial(&cluster, 0, PG);
    client.encrypt(side(&authority, None, &[b"postgresql"]));
    client.say(&startup());
    cluster.until_ready(&mut client, 1);
    // One that names no protocol may be no client of ours.
    let mut nameless = Client::dial(&cluster, 0, PG);
    nameless.encrypt(side(&authority, None, &[]));
    nameless.say(&startup());
    cluster.until_ended(&mut nameless);
    assert!(nameless.heard.is_empty());
}

#[test]
fn plain_bytes_behind_the_question_end_the_connection() {
    let mut cluster = cluster(Plan::of(1), &Authority::new());
    let mut hasty = Client::dial(&cluster, 0, PG);
    hasty.say(&[&MAY_I[..], &startup()].concat());
    cluster.until_ended(&mut hasty);
    assert_eq!(hasty.errors(), ["08P01"]);
    // Also if they come a little later: they are no handshake.
    let mut late = Client::dial(&cluster, 0, PG);
    late.say(&MAY_I);
    late.say(&startup());
    cluster.until_ended(&mut late);
    assert_ne!(late.heard.first(), Some(&b'R'));
    late.close();
    hasty.close();
    cluster.until("nothing is held", |cluster| counts(cluster) == (0, 0, 0));
}

#[test]
fn one_client_too_many_hears_it_encrypted() {
    let authority = Authority::new();
    let mut cluster = cluster(Plan { sessions: 1, ..Plan::of(1) }, &authority);
    let mut first = dial(&mut cluster, side(&authority, None, &[]));
    first.say(&startup());
    cluster.until_ready(&mut first, 1);
    let mut second = dial(&mut cluster, side(&authority, None, &[]));
    second.say(&startup());
    cluster.until_ended(&mut second);
    assert_eq!((second.errors(), second.was_told_end()), (vec!["53300".to_owned()], true));
}

#[test]
fn a_connection_that_breaks_at_any_step_of_its_handshake_leaves_nothing() {
    let authority = Authority::new();
    let mut cluster = cluster(Plan::of(1), &authority);
    let mut opened = 0;
    for steps in 0..60 {
        let mut client = Client::dial(&cluster, 0, PG);
        client.encrypt(side(&authority, None, &[b"postgresql"]));
        client.say(&startup());
        for _ in 0..steps {
            cluster.steps(1);
            client.pump();
        }
        opened += client.ready();
        cluster.net.reset(1, 0);
        cluster.until("nothing is held", |cluster| counts(cluster) == (0, 0, 0));
    }
    assert!(opened > 0, "the last ones got so far");
}

#[test]
fn a_handshake_that_stops_is_closed_after_a_while() {
    let authority = Authority::new();
    let mut cluster = cluster(Plan::of(1), &authority);
    let mut silent = dial(&mut cluster, side(&authority, None, &[]));
    let mut mute = Client::dial(&cluster, 0, PG);
    mute.say(&MAY_I[..5]);
    (0..59).for_each(|_| cluster.calm_step(S));
    assert_eq!(counts(&mut cluster).0, 2);
    (0..3).for_each(|_| cluster.calm_step(S));
    silent.pump();
    mute.pump();
    assert!(silent.has_ended && mute.has_ended);
    assert_eq!(counts(&mut cluster), (0, 0, 0));
}

#[test]
fn many_handshakes_at_once_are_spread_over_turns() {
    let authority = Authority::new();
    let mut cluster = cluster(Plan::of(1), &authority);
    let mut clients: Vec<_> = (0..40).map(|_| Client::dial(&cluster, 0, PG)).collect();
    cluster.until("all are in", |cluster| counts(cluster).0 == 40);
    for client in &mut clients {
        client.encrypt(side(&authority, None, &[b"postgresql"]));
        client.say(&startup());
    }
    cluster.pass(100 * MS);
    cluster.run(0, 0);
    cluster.pass(100 * MS);
    let mut answered = 0;
    for client in &mut clients {
        client.pump();
        answered += usize::from(client.arrived > 0);
    }
    assert_eq!(answered, 16);
    for client in &mut clients {
        cluster.until_ready(client, 1);
    }
}

/// What a client hears at a door that trusts nobody: its session, or why not.
fn heard(cluster: &mut Cluster, mut client: Client) -> Option<String> {
    client.say(&startup());
    let mut heard = None;
    cluster.until("it is let in or told", |_| {
        client.pump();
        heard = client.errors().first().cloned();
        heard.is_some() || client.ready() > 0
    });
    heard
}

#[test]
fn a_client_is_the_role_of_its_certificate_where_it_is_not_trusted() {
    let authority = Authority::new();
    let mut cluster = cluster(Plan::of(1), &authority);
    let security = Security { distrusts_loopback: true, ..node(&authority, 0) };
    cluster.up(0).doors.secure(security);
    let not_allowed = Some("28000".to_owned());
    let shown: [(Option<Wanted<'_>>, &Option<String>); 5] = [
        (None, &not_allowed),
        (Some(Wanted::client("postgres")), &None),
        (Some(Wanted::client("alice")), &not_allowed),
        (Some(Wanted::node("postgres")), &not_allowed),
        (Some(Wanted { cluster: "shop", ..Wanted::client("postgres") }), &not_allowed),
    ];
    for (wanted, wants) in &shown {
        let client = dial(&mut cluster, side(&authority, wanted.as_ref(), &[]));
        assert_eq!(&heard(&mut cluster, client), *wants, "{:?}", wanted.as_ref().map(|it| it.name));
    }
    let plain = Client::dial(&cluster, 0, PG);
    assert_eq!(heard(&mut cluster, plain), not_allowed);
    // Where the node is told to be insecure all are let in, but for a certificate that says another.
    let security = Security { is_insecure: true, distrusts_loopback: true, ..node(&authority, 0) };
    cluster.up(0).doors.secure(security);
    let plain = Client::dial(&cluster, 0, PG);
    assert_eq!(heard(&mut cluster, plain), None);
    let alice = dial(&mut cluster, side(&authority, Some(&Wanted::client("alice")), &[]));
    assert_eq!(heard(&mut cluster, alice), not_allowed);
}

#[test]
fn nodes_with_certificates_are_linked_and_know_whose_link_it_is() {
    let authority = Authority::new();
    for seed in 1..4 {
        let mut cluster = cluster(Plan { seed, ..Plan::of(3) }, &authority);
        if seed > 1 {
            let (short, again, delay_max) = (3, 5, 3 * MS);
            let calm = SimTrouble::default();
            cluster.net.set_trouble(SimTrouble { short, again, delay_max, nodes: 9, ..calm });
        }
        cluster.until("all are linked", |cluster| links(cluster) == [2, 2, 2]);
        for event in cluster.take_told(0) {
            let (Event::First { certified, .. } | Event::Answer { certified, .. }) = event else {
                continue;
            };
            assert!(["n2", "n3"].contains(&certified.unwrap().as_str()));
        }
        for n in 0..3 {
            let mut client = Client::connect(&cluster, n);
            cluster.until_ready(&mut client, 1);
            client.say(&query("SELECT 40 + 2"));
            cluster.until_ready(&mut client, 2);
            assert_eq!(client.values(), ["42"]);
        }
        cluster.net.reset(0, 1);
        cluster.steps(20);
        cluster.until("they are linked again", |cluster| links(cluster) == [2, 2, 2]);
    }
}

#[test]
fn a_node_without_certificates_or_with_a_clients_is_linked_to_nobody() {
    let authority = Authority::new();
    let strange = [Security::default(), node(&Authority::new(), 1)];
    for security in strange {
        let mut cluster = cluster(Plan::of(3), &authority);
        cluster.up(1).doors.secure(security);
        cluster.until("the others are linked", |cluster| links(cluster) == [1, 0, 1]);
        cluster.steps(3_000);
        assert_eq!(links(&mut cluster), [1, 0, 1]);
        let failed = |event: &Event| matches!(event, Event::DialFailed(..));
        assert!(cluster.take_told(1).iter().any(failed));
    }
    // A client's certificate is the authority's, and no node's.
    let mut cluster = cluster(Plan::of(1), &authority);
    let mut posing = Client::dial(&cluster, 0, PEER);
    posing.encrypt(side(&authority, Some(&Wanted::client("alice")), &[]));
    posing.say(&[&7_u32.to_be_bytes()[..], b"let me!"].concat());
    cluster.until_ended(&mut posing);
    assert!(!cluster.take_told(0).iter().any(|event| matches!(event, Event::First { .. })));
}

#[test]
fn links_of_nodes_with_certificates_that_finish_say_so() {
    let authority = Authority::new();
    let mut cluster = cluster(Plan::of(3), &authority);
    cluster.until("all are linked", |cluster| links(cluster) == [2, 2, 2]);
    (0..3).for_each(|n| drop(cluster.take_told(n)));
    cluster.post(0, phantom_reactor::traffic::Verb::FinishLinks);
    cluster.steps(100);
    let why = |event: &Event| match event {
        Event::LinkDown(_, _, why) => Some(why.clone()),
        _ => None,
    };
    let told: Vec<String> = cluster.take_told(1).iter().filter_map(why).collect();
    assert!(told.iter().any(|why| why == "the peer has hung up"), "{told:?}");
    assert!(!told.iter().any(|why| why.contains("cut short")), "{told:?}");
}
