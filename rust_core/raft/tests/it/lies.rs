//! What a peer may say that cannot be true: it is refused, nothing changes, and the node goes on.
//!
//! Each of these is a message that a peer with a bug, or one that was given an old copy of its disk,
//! would send in good faith. A node asserts its own rules and never a peer's.

use phantom_base::{LogIndex, NodeId, ReplicaId, Term};
use phantom_raft::{Body, Contradiction, Heartbeat, Limits, Line, Message, Parcel, Position};

use crate::cluster::{Cluster, GROUP};
use crate::rules::led;

/// Says it to `to`, which must refuse it, change nothing by it, and serve on.
fn refused(cluster: &mut Cluster, from: u32, to: u32, parcel: Parcel) -> Contradiction {
    let (now, before) = (cluster.now, cluster.machine(to).status(GROUP));
    let said = cluster.machine(to).step(now, NodeId(from), parcel);
    assert_eq!(cluster.machine(to).status(GROUP), before);
    assert!(cluster.propose(1, 7, b"after"), "node 1 leads on");
    cluster.settle(&[]);
    said.expect_err("it cannot be true")
}

fn message(from: u32, to: u32, term: u64, body: Body) -> Parcel {
    let (from, to) = (ReplicaId(from), ReplicaId(to));
    Parcel::Group(Message { gid: GROUP, from, to, term: Term(term), body })
}

/// All that only a leader says, in the term in which node 1 leads.
fn leaders_words() -> Vec<Body> {
    let (prev, commit) = (Position::default(), LogIndex(0));
    vec![
        Body::Append { prev, commit, entries: Vec::new() },
        Body::Commit { index: commit },
        Body::TooFarBehind { first: LogIndex(9) },
        Body::Round { context: 5 },
    ]
}

fn line(from: u32, to: u32, term: u64, commit: u64) -> Parcel {
    let (from, to, term) = (ReplicaId(from), ReplicaId(to), Term(term));
    let (commit, all_have) = (LogIndex(commit), LogIndex(0));
    let lines = vec![Line { gid: GROUP, from, to, term, commit, all_have }];
    Parcel::Heartbeat(Heartbeat { incarnation: 1, lines })
}

#[test]
fn a_second_leader_of_a_term_is_refused_by_the_first_and_by_its_followers() {
    let mut cluster = led(3, Limits::default());
    let term = cluster.machine(1).status(GROUP).expect("a group").term.0;
    for to in [1, 3] {
        for body in leaders_words() {
            let why = refused(&mut cluster, 2, to, message(2, to, term, body));
            assert!(matches!(why, Contradiction::TwoLeaders { .. }), "{why}");
        }
        let why = refused(&mut cluster, 2, to, line(2, to, term, 0));
        assert!(matches!(why, Contradiction::TwoLeaders { .. }), "{why}");
    }
}

#[test]
fn entries_that_are_not_there_are_counted_by_nobody() {
    let mut cluster = led(3, Limits::default());
    let term = cluster.machine(1).status(GROUP).expect("a group").term.0;
    let far = LogIndex(1_000);
    // To the leader by a follower, to a follower by its leader, and by one that would lead next.
    let lies = [
        (2, 1, message(2, 1, term, Body::Accepted { matched: far, epoch: 0 })),
        (1, 2, message(1, 2, term, Body::Commit { index: far })),
        (1, 2, line(1, 2, term, far.0)),
        (3, 2, message(3, 2, term + 1, Body::Commit { index: far })),
        (3, 2, line(3, 2, term + 1, far.0)),
    ];
    for (from, to, lie) in lies {
        let why = refused(&mut cluster, from, to, lie);
        assert!(matches!(why, Contradiction::NotHeld { index, .. } if index == far), "{why}");
    }
}
