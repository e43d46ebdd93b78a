//! One promise at a time, and a pair under drawn trouble: messages lost, repeated and late, restarts,
//! clocks that step.

use phantom_base::{NodeId, Random, SeededRandom, Timestamp};

use super::{Promise, Support, SupportState};

const PEER: NodeId = NodeId(2);
const SECOND: u64 = 1_000_000_000;
const FIRST: u64 = (1 << 32) + 1;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_ms(ms)
}

/// A node whose first bound is durable, at 1,000 ms of its clock.
fn node() -> Support {
    let mut support = Support::restore(1, SECOND, &SupportState::default());
    support.meet(PEER);
    support.look(at(1_000));
    let record = support.take_record().expect("nothing can be promised without a bound");
    assert_eq!(record.bound, at(4_000));
    support.durable(record.bound);
    support
}

fn wish(epoch: u64, ms: u64) -> Promise {
    Promise { epoch, until: at(ms) }
}

#[test]
fn it_asks_for_as_long_as_the_support_lasts_and_not_while_its_disk_is_late() {
    let mut support = node();
    assert_eq!(support.ask(), [(PEER, wish(FIRST, 2_000))]);
    support.is_silent = true;
    assert_eq!(support.ask(), []);
    let mut timeless = Support::restore(1, SECOND, &SupportState::default());
    timeless.meet(PEER);
    assert_eq!(timeless.ask(), [], "the clock may not be known yet");
}

#[test]
fn a_promise_is_kept_until_the_clock_has_passed_it_and_withdrawn_for_good() {
    let mut support = node();
    assert_eq!(support.on_asked(PEER, wish(FIRST, 2_000)), Some(wish(FIRST, 2_000)));
    assert_eq!(support.on_asked(PEER, wish(FIRST, 1_500)), Some(wish(FIRST, 2_000)), "not shorter");
    support.look(at(2_000));
    assert_eq!(support.withdraw(), []);
    assert!(support.binds(PEER, FIRST));
    support.look(at(2_001));
    assert_eq!(support.withdraw(), [PEER]);
    assert!(!support.binds(PEER, FIRST));
    let no = Promise { epoch: FIRST, until: Timestamp::MIN };
    assert_eq!(support.on_asked(PEER, wish(FIRST, 3_000)), Some(no));
    assert_eq!(support.on_asked(PEER, wish(FIRST + 1, 3_000)), Some(wish(FIRST + 1, 3_000)));
    assert_eq!(support.take_record().expect("it is durable").withdrawn, [(PEER, FIRST)]);
}

#[test]
fn nothing_is_promised_beyond_the_durable_bound_nor_far_beyond_the_own_clock() {
    let mut support = node();
    support.look(at(3_500));
    assert_eq!(support.on_asked(PEER, wish(FIRST, 4_500)), Some(wish(FIRST, 4_000)));
    let record = support.take_record().expect("half of it is gone");
    assert_eq!(record.bound, at(6_500));
    assert_eq!(support.take_record(), None, "one is under way");
    assert_eq!(support.on_asked(PEER, wish(FIRST, 4_500)), Some(wish(FIRST, 4_000)));
    support.durable(record.bound);
    assert_eq!(support.on_asked(PEER, wish(FIRST, 4_500)), Some(wish(FIRST, 4_500)));
    assert_eq!(support.on_asked(PEER, wish(FIRST, 6_400)), Some(wish(FIRST, 4_750)));
}

#[test]
fn after_a_restart_promises_last_until_the_bound_that_was_found() {
    let state = SupportState { bound: at(4_000), withdrawn: vec![(PEER, 3)] };
    let mut support = Support::restore(2, SECOND, &state);
    support.remember(PEER, 5);
    assert!(!support.binds(PEER, 3) && support.binds(PEER, 5));
    support.look(at(4_000));
    assert_eq!(support.withdraw(), []);
    support.look(at(4_001));
    assert_eq!(support.withdraw(), [PEER]);
    assert!(!support.binds(PEER, 5));
}

#[test]
fn what_an_asker_was_promised_before_its_restart_holds_as_long_as_it_would_have() {
    let mut support = node();
    support.on_asked(PEER, wish(FIRST, 2_000));
    let reborn = FIRST + (1 << 32);
    assert_eq!(support.on_asked(PEER, wish(reborn, 2_100)), Some(wish(reborn, 2_100)));
    support.withdraw();
    assert!(support.binds(PEER, FIRST));
    support.look(at(2_001));
    assert_eq!(support.withdraw(), [], "the newer one holds");
    assert!(!support.binds(PEER, FIRST) && support.binds(PEER, reborn));
    assert_eq!(support.on_asked(PEER, wish(FIRST, 9_000)).map(|no| no.until), Some(Timestamp::MIN));
}

#[test]
fn each_peer_has_epochs_of_its_own() {
    let mut support = node();
    support.meet(NodeId(3));
    support.ask();
    support.on_given(NodeId(3), wish(FIRST, 1_900));
    support.on_given(PEER, wish(FIRST, 9_000));
    assert_eq!(support.held(PEER), wish(FIRST, 2_000), "nobody promises more than was asked for");
    support.on_given(PEER, Promise { epoch: FIRST, until: Timestamp::MIN });
    assert_eq!(support.held(PEER), Promise { epoch: FIRST + 1, until: Timestamp::MIN });
    assert_eq!(support.held(NodeId(3)), wish(FIRST, 1_900));
}

/// A node, what of it is durable, and what it has logged since.
struct Side {
    support: Support,
    durable: SupportState,
    pending: Vec<SupportState>,
    clock_ms: u64,
    incarnation: u32,
}

impl Side {
    fn new() -> Self {
        let durable = SupportState::default();
        let support = Support::restore(1, SECOND, &durable);
        Self { support, durable, pending: Vec::new(), clock_ms: 1_000, incarnation: 1 }
    }

    fn sync(&mut self) {
        if let Some(newest) = self.pending.pop() {
            self.pending.clear();
            self.support.durable(newest.bound);
            self.durable = newest;
        }
    }

    /// Loses what was not durable; the clock goes on above what it has shown.
    fn restart(&mut self, peer: NodeId, promised: Option<u64>) {
        self.pending.clear();
        self.incarnation += 1;
        self.support = Support::restore(self.incarnation, SECOND, &self.durable);
        self.support.meet(peer);
        if let Some(epoch) = promised {
            self.support.remember(peer, epoch);
        }
    }

    fn look(&mut self) {
        self.support.look(at(self.clock_ms));
        self.support.withdraw();
        self.pending.extend(self.support.take_record());
    }
}

/// One asks, one promises. What the asker was told holds until the promiser's clock has passed it.
fn pair(seed: u64) -> u64 {
    let mut random = SeededRandom::new(seed);
    let (asker_id, promiser_id) = (NodeId(1), NodeId(2));
    let (mut asker, mut promiser) = (Side::new(), Side::new());
    asker.support.meet(promiser_id);
    promiser.support.meet(asker_id);
    let (mut wishes, mut answers) = (Vec::new(), Vec::new());
    let (mut newest, mut fortified, mut told) = (0, None, 0);
    for _ in 0..2_000 {
        let late = |waiting: &Vec<Promise>, random: &mut SeededRandom| {
            (!waiting.is_empty()).then(|| random.below(waiting.len() as u64) as usize)
        };
        match random.below(12) {
            0 | 1 => asker.clock_ms += random.below(300),
            2 | 3 => promiser.clock_ms += random.below(300),
            4 => wishes.extend(asker.support.ask().into_iter().map(|(_, wish)| wish)),
            5 | 6 => {
                let Some(i) = late(&wishes, &mut random) else { continue };
                let wish = if random.one_in(4) { wishes[i] } else { wishes.swap_remove(i) };
                answers.extend(promiser.support.on_asked(asker_id, wish));
                // As a group does: it remembers an epoch in a record, which is durable with it.
                fortified = promiser.support.supported(asker_id).or(fortified);
            }
            7 | 8 => {
                let Some(i) = late(&answers, &mut random) else { continue };
                let answer = if random.one_in(4) { answers[i] } else { answers.swap_remove(i) };
                asker.support.on_given(promiser_id, answer);
            }
            9 | 10 => promiser.sync(),
            _ if random.one_in(10) => promiser.restart(asker_id, fortified),
            _ if random.one_in(10) => asker.restart(promiser_id, None),
            _ => {}
        }
        asker.look();
        promiser.look();
        let held = asker.support.held(promiser_id);
        told += u64::from(held.until > Timestamp::MIN);
        assert!(held.epoch >= newest, "epochs never fall");
        newest = held.epoch;
        let is_kept = promiser.support.binds(asker_id, held.epoch);
        assert!(is_kept || promiser.support.hlc() > held.until, "{held:?} was withdrawn early");
        assert!(held.until <= promiser.support.bound, "{held:?} is over {:?}", promiser.support);
        assert_eq!(promiser.support.check(), Vec::<String>::new());
    }
    told
}

#[test]
fn promises_hold_whatever_happens() {
    let told: u64 = (0..200).map(pair).sum();
    assert!(told > 10_000, "only {told} promises were looked at");
}
