//! What a pair of nodes may count on.

use phantom_base::NodeId;
use phantom_reactor::traffic::{Event, Peer, Verb};
use phantom_vfs::Crash;

use crate::client::{Client, query};
use crate::cluster::{Cluster, MS, PEER, Plan};

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes()[..], message].concat()
}

fn links(cluster: &mut Cluster) -> Vec<usize> {
    (0..cluster.nodes.len()).map(|n| cluster.up(n).doors.counts().2).collect()
}

#[test]
fn a_statement_through_each_node_is_answered() {
    let mut cluster = Cluster::serving(Plan::of(3));
    assert_eq!(links(&mut cluster), [2, 2, 2]);
    for n in 0..3 {
        let mut client = Client::connect(&cluster, n);
        cluster.until_ready(&mut client, 1);
        client.say(&query("SELECT 40 + 2"));
        cluster.until_ready(&mut client, 2);
        assert_eq!(client.values(), ["42"]);
    }
}

#[test]
fn a_link_that_breaks_is_told_and_comes_back() {
    let mut cluster = Cluster::serving(Plan::of(3));
    (0..3).for_each(|n| drop(cluster.take_told(n)));
    cluster.net.reset(0, 1);
    cluster.steps(20);
    let down = |told: &[Event], peer: u32| {
        told.iter().filter(|it| matches!(it, Event::LinkDown(of, ..) if of.0 == peer)).count()
    };
    assert_eq!(down(&cluster.take_told(0), 2), 1);
    assert_eq!(down(&cluster.take_told(1), 1), 1);
    assert_eq!(down(&cluster.take_told(2), 1), 0);
    cluster.until("the link is there again", |cluster| links(cluster) == [2, 2, 2]);
}

#[test]
fn a_peer_whose_power_went_is_linked_anew_when_it_is_back() {
    let mut cluster = Cluster::serving(Plan::of(3));
    cluster.end(1, false, Crash::KeepAll);
    // Nobody hears of it: what is sent stays under way.
    cluster.steps(3_000);
    assert_eq!(cluster.up(0).doors.counts().2, 2);
    cluster.start(1);
    cluster.until("its links are new", |cluster| links(cluster) == [2, 2, 2]);
    cluster.steps(1_000);
    assert_eq!(links(&mut cluster), [2, 2, 2], "and stay");
}

#[test]
fn a_stranger_at_the_peer_door_is_heard_once_and_not_for_long() {
    let mut cluster = Cluster::serving(Plan::of(1));
    let mut polite = Client::dial(&cluster, 0, PEER);
    polite.say(&framed(b"hello?"));
    cluster.until_ended(&mut polite);
    assert_eq!(polite.heard, framed(b"who?"));
    polite.close();
    for garbage in [framed(b""), vec![0xff; 64], vec![0, 0x20, 0, 0, 1]] {
        let mut rude = Client::dial(&cluster, 0, PEER);
        rude.say(&garbage);
        cluster.until_ended(&mut rude);
        assert!(rude.heard.is_empty());
        rude.close();
    }
    let mut silent = Client::dial(&cluster, 0, PEER);
    let mut slow = Client::dial(&cluster, 0, PEER);
    slow.say(&framed(b"hello?")[..6]);
    cluster.steps(4_900);
    silent.pump();
    slow.pump();
    assert!(!silent.has_ended && !slow.has_ended);
    cluster.steps(200);
    silent.pump();
    slow.pump();
    assert!(silent.has_ended && slow.has_ended);
    silent.close();
    slow.close();
    cluster.until("nothing is held", |cluster| cluster.up(0).doors.counts() == (0, 0, 0));
}

#[test]
fn half_a_link_is_no_link_and_the_same_stream_twice_is_refused() {
    let mut cluster = Cluster::serving(Plan::of(2));
    let told = |cluster: &mut Cluster| {
        cluster.take_told(0).into_iter().find_map(|event| match event {
            Event::First { conn, message, .. } if message == b"stream" => Some(conn),
            _ => None,
        })
    };
    let before = cluster.up(0).doors.counts();
    let mut wanted = Vec::new();
    for _ in 0..2 {
        let mut stranger = Client::dial(&cluster, 0, PEER);
        // The control plane of the test does not know it; the test adopts it first.
        cluster.take_told(0);
        stranger.say(&framed(b"stream"));
        cluster.pass(MS);
        cluster.run(0, 0);
        let conn = told(&mut cluster);
        wanted.push((stranger, conn));
    }
    for (stranger, conn) in &mut wanted {
        stranger.pump();
        let Some(conn) = *conn else { continue };
        let message = Some(b"welcome".to_vec());
        let peer = Peer { node: NodeId(2), incarnation: 9, features: 0 };
        let link = [9; 16];
        cluster.post(0, Verb::Adopt { conn, peer, link, stream: 0, message });
    }
    cluster.steps(6_000);
    for (stranger, _) in &mut wanted {
        stranger.pump();
    }
    assert!(wanted.iter().all(|(stranger, _)| stranger.has_ended), "neither makes a link");
    assert_eq!(cluster.up(0).doors.counts(), before, "and the old one stays");
}

#[test]
fn links_that_finish_lose_nothing() {
    let mut cluster = Cluster::serving(Plan::of(3));
    cluster.take_told(0);
    cluster.post(0, Verb::Control(NodeId(2), b"last words".to_vec()));
    cluster.post(0, Verb::FinishLinks);
    cluster.take_told(1);
    let mut heard = false;
    cluster.until("its peers have hung up", |cluster| {
        let told = cluster.take_told(1);
        heard |= told.contains(&Event::Control(NodeId(1), b"last words".to_vec()));
        let downs = cluster.nodes[0].told.iter();
        downs.filter(|it| matches!(it, Event::LinkDown(..))).count() >= 2
    });
    assert!(heard);
}

#[test]
fn every_node_tells_where_rows_are() {
    let mut cluster = Cluster::new(1, 3);
    (0..3).for_each(|n| cluster.start(n));
    // The system's set is in group 1, the first of tables in group 2; all members have both.
    let told = b"\x82\x82\x00\x81\x82\x01\x83\x01\x02\x03\x82\x01\x81\x82\x02\x83\x01\x02\x03";
    (0..3).for_each(|n| assert_eq!(cluster.core(n).placement(), told));
}
