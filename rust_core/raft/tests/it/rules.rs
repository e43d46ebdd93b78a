//! Refusals, batching and bounds: what scripts of one group do not show.

use phantom_base::{
    GroupId, LogIndex, Lsn, NodeId, ReplicaId, SeededRandom, Term, Timestamp, marks,
};
use phantom_raft::{
    BarrierOutcome, Body, Entry, Event, Identity, Limits, Machine, Member, Message, Outcome,
    Parcel, Position, Refused, Restored, RoleName, SupportState,
};

use crate::cluster::{Cluster, FakeLog, GROUP};

/// A cluster whose first node leads.
pub fn led(nodes: u32, limits: Limits) -> Cluster {
    let mut cluster = Cluster::new(nodes, limits, 1);
    (1..=nodes).for_each(|n| cluster.start(n, 0));
    let now = cluster.now;
    cluster.machine(1).campaign(now, GROUP, true).expect("nobody leads");
    cluster.pump(1);
    cluster.settle(&[]);
    cluster
}

fn propose(cluster: &mut Cluster, n: u32, bytes: usize) -> Result<LogIndex, Refused> {
    let now = cluster.now;
    cluster.machine(n).propose(now, GROUP, vec![0; bytes], 1)
}

#[test]
fn a_leader_is_busy_while_too_much_is_uncommitted() {
    let limits = Limits { uncommitted_group_bytes: 100, ..Limits::default() };
    let mut cluster = led(3, limits);
    assert!(cluster.propose(1, 1, &[0; 60]));
    assert!(!cluster.propose(1, 2, &[0; 60]), "120 bytes are over the bound");
    assert!(cluster.propose(1, 3, &[0; 40]));
    cluster.settle(&[]);
    assert!(cluster.propose(1, 4, &[0; 500]), "one entry may always be in flight");
    assert_eq!(propose(&mut cluster, 1, 1), Err(Refused::Busy));
    cluster.settle(&[]);
    assert_eq!(cluster.seen.acknowledged, 4);
}

#[test]
fn the_node_is_busy_with_all_its_groups_together() {
    let limits = Limits { uncommitted_node_bytes: 100, ..Limits::default() };
    let mut cluster = led(1, limits);
    assert!(cluster.propose(1, 1, &[0; 60]));
    assert_eq!(propose(&mut cluster, 1, 60), Err(Refused::Busy));
    cluster.settle(&[]);
    assert!(cluster.propose(1, 2, &[0; 60]), "what is committed counts no more");
}

#[test]
fn wishes_that_cannot_be_are_refused_by_name() {
    let mut cluster = led(3, Limits { entry_bytes_max: 10, ..Limits::default() });
    let now = cluster.now;
    let other = GroupId(9);
    assert_eq!(propose(&mut cluster, 1, 11), Err(Refused::TooLarge { bytes: 11 }));
    let refused = Err(Refused::NotLeader { leader: NodeId(1) });
    assert_eq!(propose(&mut cluster, 2, 1), refused);
    assert_eq!(cluster.machine(2).step_down(now, GROUP), refused.map(|_: LogIndex| ()));
    assert_eq!(cluster.machine(1).barrier(now, other, 1), Err(Refused::NoGroup));
    assert_eq!(cluster.machine(1).campaign(now, GROUP, true), Err(Refused::Leads));
    cluster.machine(1).stop(now);
    assert_eq!(cluster.machine(1).barrier(now, GROUP, 1), Err(Refused::Stopped));
}

#[test]
fn stopping_answers_everything_that_waits() {
    let mut cluster = led(3, Limits::default());
    cluster.propose(1, 7, b"x");
    cluster.barrier(1, 8);
    let now = cluster.now;
    let node = &mut cluster.nodes[0];
    let machine = node.machine.as_mut().expect("it runs");
    machine.stop(now);
    let ready = machine.ready(now, Timestamp::MAX, &node.log);
    assert_eq!(ready.done.len(), 1);
    assert_eq!(ready.done[0].outcome, Outcome::Unknown);
    assert_eq!(ready.barriers.len(), 1);
    let farewell = |(_, parcel): &(NodeId, Parcel)| matches!(parcel, Parcel::Group(message) if matches!(message.body, Body::Farewell { .. }));
    assert_eq!(ready.messages.iter().filter(|m| farewell(m)).count(), 2);
}

/// A campaign may begin before the node's own timer says that the leader is silent.
#[test]
fn a_campaign_refuses_the_barriers_that_its_former_leader_was_asked_for() {
    let mut cluster = led(3, Limits::default());
    cluster.cuts = vec![(1, 3), (2, 3)];
    cluster.barrier(3, 8);
    cluster.pump(3);
    cluster.now += cluster.limits.election_min_ns;
    let now = cluster.now;
    let node = &mut cluster.nodes[2];
    let machine = node.machine.as_mut().expect("it runs");
    assert_eq!(machine.campaign(now, GROUP, true), Ok(()), "the leader is silent");
    let ready = machine.ready(now, Timestamp::MAX, &node.log);
    let refused = BarrierOutcome::Refused(Refused::NotLeader { leader: NodeId::NONE });
    let answers: Vec<_> = ready.barriers.iter().map(|a| (a.token, a.outcome)).collect();
    assert_eq!(answers, [(8, refused)], "nobody would ask again for it");
}

/// The same entry may come twice, with another's in between. What the disk keeps of the first is
/// no promise: a crash may keep the one in between as well, and not the second.
#[test]
fn an_entry_that_was_cut_and_comes_again_is_durable_only_with_its_second_record() {
    let member = |n| Member { node: NodeId(n), replica: ReplicaId(n) };
    let (me, members) = (member(5), (1..=5).map(member).collect());
    let (hard, applied) = Default::default();
    let restored = Restored { gid: GROUP, me, members, hard, applied, spares_full: true };
    let identity = Identity { node: me.node, incarnation: 1 };
    let random = Box::new(SeededRandom::new(1));
    let (mut log, stamp) = (FakeLog::default(), Timestamp(1));
    let mut machine =
        Machine::new(identity, Limits::default(), &SupportState::default(), *b"noop", random);
    machine.add_group(0, restored, &log);
    let entry = |index, term| Entry { index: LogIndex(index), term: Term(term), data: [].into() };
    let appends = [(1, 1, vec![entry(1, 1)]), (2, 2, vec![entry(1, 2)])];
    let again = (1, 3, vec![entry(1, 1), entry(2, 3)]);
    for (end, (leader, term, entries)) in (1..).zip(appends.into_iter().chain([again])) {
        let (prev, commit) = (Position::default(), LogIndex(u64::from(end == 3)));
        let body = Body::Append { prev, commit, entries };
        let (from, to, term) = (ReplicaId(leader), me.replica, Term(term));
        let message = Message { gid: GROUP, from, to, term, body };
        machine.step(0, NodeId(leader), Parcel::Group(message)).expect("it may be true");
        machine.ready(0, stamp, &log).records.into_iter().for_each(|record| log.take(record));
        machine.pushed(Lsn(end));
    }
    for (end, wanted) in [(1, None), (2, None), (3, Some(LogIndex(1)))] {
        machine.durable(0, Lsn(end));
        let committed = machine.ready(0, stamp, &log).committed;
        assert_eq!(committed.first().map(|range| range.last), wanted, "durable up to {end}");
        assert_eq!(machine.check(), Vec::<String>::new());
    }
}

/// R9: what was meant for, or comes from, another replica of the group.
#[test]
fn messages_of_another_replica_change_nothing() {
    let mut cluster = led(3, Limits::default());
    let now = cluster.now;
    let before = cluster.machine(2).status(GROUP);
    marks::reset();
    let (old, new) = (ReplicaId(2), ReplicaId(7));
    for (from, to) in [(ReplicaId(1), new), (new, old), (ReplicaId(3), old), (old, old)] {
        let body = Body::Farewell { served: Timestamp::MIN };
        let message = Message { gid: GROUP, from, to, term: Term(99), body };
        let taken = cluster.machine(2).step(now, NodeId(1), Parcel::Group(message));
        assert_eq!(taken, Ok(()));
    }
    assert_eq!(marks::count("message_of_another_replica_dropped"), 4);
    let body = Body::Farewell { served: Timestamp::MIN };
    let (from, to) = (ReplicaId(1), ReplicaId(2));
    let message = Message { gid: GroupId(9), from, to, term: Term(99), body };
    assert_eq!(cluster.machine(2).step(now, NodeId(1), Parcel::Group(message)), Ok(()));
    assert_eq!(marks::count("message_of_unknown_group_dropped"), 1);
    assert_eq!(cluster.machine(2).status(GROUP), before);
}

#[test]
fn all_groups_share_one_heartbeat_to_a_peer() {
    const GROUPS: u64 = 50;
    let logs = [FakeLog::default(), FakeLog::default()];
    let member = |n| Member { node: NodeId(n), replica: ReplicaId(n) };
    let mut machines: Vec<Machine> = (1..=2)
        .map(|n| {
            let identity = Identity { node: NodeId(n), incarnation: 1 };
            let random = Box::new(SeededRandom::new(1));
            let mut machine = Machine::new(
                identity,
                Limits::default(),
                &SupportState::default(),
                *b"noop",
                random,
            );
            for gid in (1..=GROUPS).map(GroupId) {
                let (me, members) = (member(n), vec![member(1), member(2)]);
                let (hard, applied) = Default::default();
                let restored = Restored { gid, me, members, hard, applied, spares_full: true };
                machine.add_group(0, restored, &logs[0]);
            }
            machine
        })
        .collect();
    for gid in (1..=GROUPS).map(GroupId) {
        machines[0].campaign(0, gid, false).expect("nobody leads");
    }
    let mut end = 0;
    let mut beats = 0;
    for turn in 0..40 {
        let n = turn % 2;
        let peer = NodeId(2 - n as u32);
        machines[n].tick(turn as u64 * 10_000_000);
        let ready = machines[n].ready(turn as u64, Timestamp(turn as u64), &logs[n]);
        if !ready.records.is_empty() {
            end += 1;
            machines[n].pushed(phantom_base::Lsn(end));
        }
        machines[n].durable(0, phantom_base::Lsn(end));
        for (to, parcel) in ready.messages {
            assert_eq!(to, peer);
            if let Parcel::Heartbeat(beat) = &parcel {
                assert_eq!(beat.lines.len() as u64, GROUPS, "every group has its line");
                beats += 1;
            }
            machines[1 - n].step(0, NodeId(n as u32 + 1), parcel).expect("it is true");
        }
        let due = |event: &Event| matches!(event, Event::ElectionDue(_));
        assert!(!ready.events.iter().any(due));
    }
    assert!((1..=3).contains(&beats), "{beats} heartbeats in 400 ms");
    for gid in (1..=GROUPS).map(GroupId) {
        let status = machines[1].status(gid).expect("a group");
        assert_eq!((status.role, status.leader), (RoleName::Follower, NodeId(1)));
    }
}
