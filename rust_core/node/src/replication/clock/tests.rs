//! What the clock does, at the moments that matter.

use phantom_base::sync::{AtomicU64, Ordering};

use super::*;

/// Milliseconds of the monotonic clock, and by how many the wall clock is ahead of it.
struct Set {
    monotonic: AtomicU64,
    wall_ahead: AtomicU64,
}

impl Set {
    fn at(monotonic: u64, wall_ahead: u64) -> Self {
        Self { monotonic: AtomicU64::new(monotonic), wall_ahead: AtomicU64::new(wall_ahead) }
    }

    fn pass(&self, ms: u64) {
        self.monotonic.fetch_add(ms, Ordering::Relaxed);
    }

    fn set_wall(&self, ahead: u64) {
        self.wall_ahead.store(ahead, Ordering::Relaxed);
    }
}

impl Clock for Set {
    fn wall_ns(&self) -> Nanos {
        self.monotonic_ns() + self.wall_ahead.load(Ordering::Relaxed) * MS
    }

    fn monotonic_ns(&self) -> Nanos {
        self.monotonic.load(Ordering::Relaxed) * MS
    }
}

const HOUR_MS: u64 = 3_600_000;

/// Of a peer that stamps, with its physical time in ms and how far it sees us ahead of it.
fn report(at_ms: u64, we_are_ahead_ms: i64) -> ClockReport {
    let (physical_ns, ahead_ns) = (at_ms * MS, we_are_ahead_ms * MS.cast_signed());
    ClockReport { physical_ns, ahead_ns, sync_ns: 0, is_settled: true }
}

fn physical_ms(stamps: &mut Stamps, clock: &Set) -> u64 {
    stamps.report(NodeId(9), clock).physical_ns / MS
}

/// The clock of a member of three at 100,000 ms that stamps.
fn settled(clock: &Set) -> Stamps {
    let bound = Bound { at: Timestamp::from_ms(100_000), slack_ms: AHEAD_MS };
    let mut stamps = Stamps::restore(Some(bound), 3, clock);
    clock.pass(AHEAD_MS + 1);
    cover(&mut stamps, clock);
    assert!(stamps.tick(clock).is_some());
    stamps
}

/// Lets the log make durable whatever bound is wanted.
fn cover(stamps: &mut Stamps, clock: &Set) {
    if let Some(bound) = stamps.look(clock, Lsn(0)) {
        stamps.extended(bound, Lsn(1));
        stamps.look(clock, Lsn(1));
    }
}

#[test]
fn no_stamp_lies_above_a_durable_bound() {
    let clock = Set::at(10_000, 0);
    let mut stamps = Stamps::restore(None, 1, &clock);
    let bound = stamps.look(&clock, Lsn(0)).expect("the first bound");
    assert_eq!(bound, Bound { at: Timestamp::from_ms(11_000), slack_ms: 1_000 });
    stamps.extended(bound, Lsn(5));
    assert_eq!(stamps.tick(&clock), None, "it is logged and not durable");
    assert_eq!(stamps.look(&clock, Lsn(5)), None);
    assert!(stamps.tick(&clock).is_some());
    clock.pass(501);
    let next = stamps.look(&clock, Lsn(5)).expect("half of it is used");
    stamps.extended(next, Lsn(9));
    assert!(stamps.tick(&clock).is_some(), "nobody waits for the extension");
    clock.pass(699);
    assert_eq!(stamps.look(&clock, Lsn(5)), None);
    assert_eq!(stamps.tick(&clock), None, "the disk is slow: silence");
    stamps.look(&clock, Lsn(9));
    assert!(stamps.tick(&clock).is_some());
}

#[test]
fn a_restart_waits_until_its_clock_has_passed_the_former_bound_whatever_the_wall_clock_says() {
    for wall_ahead in [0, 8 * HOUR_MS] {
        let clock = Set::at(5_000, wall_ahead);
        let bound = Bound { at: Timestamp::from_ms(10_700), slack_ms: 1_000 };
        let mut stamps = Stamps::restore(Some(bound), 3, &clock);
        clock.pass(1_000);
        assert_eq!(stamps.look(&clock, Lsn(0)), None);
        assert!(!stamps.is_settled());
        clock.pass(1);
        let bound = stamps.look(&clock, Lsn(0)).expect("a bound of its own");
        assert_eq!(bound.at, Timestamp::from_ms(11_701), "no farther ahead than ever");
        assert!(stamps.is_settled());
        stamps.extended(bound, Lsn(1));
        assert_eq!(stamps.tick(&clock), None);
        stamps.look(&clock, Lsn(1));
        assert!(stamps.tick(&clock).expect("settled and durable") > Timestamp::from_ms(10_700));
    }
}

#[test]
fn slow_syncs_are_covered_ahead_and_a_restart_knows_by_how_much() {
    let clock = Set::at(10_000, 0);
    let mut stamps = Stamps::restore(None, 1, &clock);
    stamps.set_sync(800 * MS);
    let bound = stamps.look(&clock, Lsn(0)).expect("the first bound");
    assert_eq!(bound, Bound { at: Timestamp::from_ms(14_000), slack_ms: 4_000 });
    stamps.set_sync(60_000 * MS);
    assert_eq!(stamps.ahead_ms(), 10_000, "a disk that hangs makes no restart wait for ever");
    let mut restarted = Stamps::restore(Some(bound), 1, &clock);
    assert_eq!(physical_ms(&mut restarted, &clock), 10_000);
}

#[test]
fn a_wrong_wall_clock_moves_time_by_a_twentieth_of_how_long_it_is_wrong() {
    let clock = Set::at(10_000, 0);
    let mut stamps = Stamps::restore(None, 1, &clock);
    cover(&mut stamps, &clock);
    clock.set_wall(8 * HOUR_MS);
    clock.pass(2_000);
    assert_eq!(physical_ms(&mut stamps, &clock), 12_100);
    clock.set_wall(0);
    clock.pass(1_000);
    assert_eq!(physical_ms(&mut stamps, &clock), 13_050);
    clock.pass(2_000);
    assert_eq!(physical_ms(&mut stamps, &clock), 15_000, "and it is back, slowly, as it left");
}

#[test]
fn a_node_behind_a_majority_goes_forward_at_once_and_not_with_one_alone() {
    let clock = Set::at(0, 0);
    let mut stamps = settled(&clock);
    stamps.hear(NodeId(2), report(100_000, 0), &clock);
    stamps.hear(NodeId(3), report(900_000, 0), &clock);
    assert!(physical_ms(&mut stamps, &clock) < 101_000, "one of three is wrong");
    stamps.hear(NodeId(2), report(800_000, 0), &clock);
    assert_eq!(physical_ms(&mut stamps, &clock), 800_000);
    assert!(stamps.merge(Timestamp::from_ms(800_200), &clock).is_ok());
}

#[test]
fn a_wrong_wall_clock_never_leads_a_node_out_of_its_cluster() {
    let clock = Set::at(0, 8 * HOUR_MS);
    let mut stamps = settled(&clock);
    let mut others_ms = physical_ms(&mut stamps, &clock);
    for _ in 0..2_000 {
        clock.pass(100);
        others_ms += 100;
        let own = physical_ms(&mut stamps, &clock).cast_signed();
        let ahead = own - others_ms.cast_signed();
        assert!((-1..=60).contains(&ahead), "{ahead} ms ahead");
        (2..=3).for_each(|n| stamps.hear(NodeId(n), report(others_ms, ahead), &clock));
        cover(&mut stamps, &clock);
        assert!(stamps.is_settled());
    }
}

#[test]
fn a_node_ahead_of_the_majority_is_silent_until_that_has_passed_its_stamps() {
    let clock = Set::at(0, 0);
    let mut stamps = settled(&clock);
    stamps.take_news();
    let (own, last) = (physical_ms(&mut stamps, &clock), stamps.last());
    for n in 2..=3 {
        stamps.hear(NodeId(n), report(own - 8_000, 8_000), &clock);
    }
    assert!(!stamps.is_settled());
    assert_eq!(stamps.take_news(), [ClockNews::Waits { wait_ns: 8_000 * MS }]);
    clock.pass(7_900);
    cover(&mut stamps, &clock);
    assert_eq!((stamps.is_settled(), stamps.tick(&clock)), (false, None));
    clock.pass(101);
    cover(&mut stamps, &clock);
    assert!(stamps.tick(&clock).expect("as long as it was ahead, and no longer") > last);
}

#[test]
fn a_new_node_with_a_wrong_clock_takes_the_others_time_before_it_stamps() {
    let clock = Set::at(10_000, 8 * HOUR_MS);
    let mut stamps = Stamps::restore(None, 3, &clock);
    assert_eq!(stamps.look(&clock, Lsn(0)), None, "nothing so far ahead becomes durable");
    let new = ClockReport { is_settled: false, ..report(20_000, 0) };
    stamps.hear(NodeId(2), new, &clock);
    assert!(stamps.is_settled());
    let bound = stamps.look(&clock, Lsn(0)).expect("a bound");
    assert_eq!(bound.at, Timestamp::from_ms(20_000 + AHEAD_MS));
}
