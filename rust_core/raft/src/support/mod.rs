//! Who counts on whom: what this node has asked of each other node, and what it has promised them.
//!
//! A node asks every peer: "count on me, in epoch e, until u". Whoever promises that helps nobody
//! else to lead a group that the asker leads, until its own clock has passed u. One such promise a
//! pair of nodes carries the leases of all groups between them; what a group makes of it is in
//! `group/lease.rs`. (The idea is that of store liveness in `CockroachDB`.)
//!
//! - All time here is hybrid logical time, as the machine is told it: never a wall clock. A clock
//!   that is told late only makes this node more careful.
//! - A promise is never shortened. It is *withdrawn* only when the own clock has passed it, and then
//!   its epoch is withdrawn for good: the asker must ask in a newer one.
//! - No promise outlasts `bound`, which is durable and lies ahead, so that no promise waits for a
//!   disk. After a restart all promises of the former life last until the bound that was found.
//! - An epoch is the number of the asker's start, which is durable, and how often this peer withdrew
//!   since. So each peer has epochs of its own, none comes back, and none has to be logged.
//! - A withdrawal is logged before any vote that follows it, in the same log: by order it is durable
//!   when the vote is.

use phantom_base::{Map, NodeId, OFFSET_MAX_MS, Timestamp, mark, mutant};

#[cfg(test)]
mod tests;

/// How much further than a promise the bound is logged.
const AHEAD_MS: u64 = 2_000;
/// The bits of an epoch that count within one start.
const COUNT_BITS: u32 = 32;
const MS: u64 = 1_000_000;

/// "In this epoch, until then."
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// Which of the asker's epochs; 0 is none.
    pub epoch: u64,
    /// Until when; `MIN` says that the epoch is withdrawn.
    pub until: Timestamp,
}

/// What of it survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SupportState {
    /// No promise lasts longer.
    pub bound: Timestamp,
    /// Up to which epoch each peer's are withdrawn.
    pub withdrawn: Vec<(NodeId, u64)>,
}

/// What this node has asked of a peer.
#[derive(Debug)]
struct Asked {
    epoch: u64,
    /// The latest time that it asked for.
    until: Timestamp,
    /// What the peer has promised in this epoch.
    held: Timestamp,
}

/// What this node has promised a peer.
#[derive(Debug, Default)]
struct Given {
    epoch: u64,
    until: Timestamp,
    /// Until when it promised something in epochs before.
    older_until: Timestamp,
    withdrawn: u64,
}

/// A node's side of all its pairs.
#[derive(Debug)]
pub struct Support {
    incarnation: u32,
    lasts_ms: u64,
    ahead_ms: u64,
    hlc: Timestamp,
    /// Promises of former lives may last until then.
    floor: Timestamp,
    /// Durable.
    bound: Timestamp,
    /// Of the newest record.
    logged: Timestamp,
    /// Whether a withdrawal is not in any record yet.
    has_news: bool,
    /// The own disk is late: nobody should count on this node.
    pub is_silent: bool,
    asked: Map<NodeId, Asked>,
    given: Map<NodeId, Given>,
}

fn later(time: Timestamp, ms: u64) -> Timestamp {
    Timestamp(time.0.saturating_add(ms << 16))
}

impl Support {
    /// After the start that `incarnation` counts; `support_ns` is how long it asks for.
    pub fn restore(incarnation: u32, support_ns: u64, state: &SupportState) -> Self {
        let forgotten = mutant!("promise_forgotten_at_restart");
        let floor = if forgotten { Timestamp::MIN } else { state.bound };
        let given = |(peer, withdrawn): &(NodeId, u64)| {
            (*peer, Given { withdrawn: *withdrawn, ..Given::default() })
        };
        Self {
            incarnation,
            lasts_ms: support_ns / MS,
            ahead_ms: AHEAD_MS,
            hlc: Timestamp::MIN,
            floor,
            bound: state.bound,
            logged: state.bound,
            has_news: false,
            is_silent: false,
            asked: Map::new(),
            given: state.withdrawn.iter().map(given).collect(),
        }
    }

    /// There is a peer to count on.
    pub fn meet(&mut self, peer: NodeId) {
        let epoch = (u64::from(self.incarnation) << COUNT_BITS) + 1;
        let (until, held) = (Timestamp::MIN, Timestamp::MIN);
        self.asked.entry(peer).or_insert(Asked { epoch, until, held });
    }

    /// A group remembers that this node has promised something to `peer` in a former life.
    pub fn remember(&mut self, peer: NodeId, epoch: u64) {
        let given = self.given.entry(peer).or_default();
        given.epoch = given.epoch.max(epoch);
    }

    /// The clock has come so far.
    pub fn look(&mut self, hlc: Timestamp) {
        self.hlc = self.hlc.max(hlc);
    }

    /// The clock, as it was told last.
    pub fn hlc(&self) -> Timestamp {
        self.hlc
    }

    /// How long logs take to be durable: the bound is logged so much earlier.
    pub fn set_sync(&mut self, sync_ns: u64) {
        // A bound may have to wait for the sync before its own, and is renewed at half way.
        self.ahead_ms = AHEAD_MS.max(4 * (sync_ns / MS));
    }

    /// What is asked of every peer now; nothing while the clock is not known or the disk is late.
    pub fn ask(&mut self) -> Vec<(NodeId, Promise)> {
        if self.hlc == Timestamp::MIN || self.is_silent {
            return Vec::new();
        }
        let until = later(self.hlc, self.lasts_ms);
        let ask = |(peer, asked): (&NodeId, &mut Asked)| {
            asked.until = asked.until.max(until);
            (*peer, Promise { epoch: asked.epoch, until: asked.until })
        };
        self.asked.iter_mut().map(ask).collect()
    }

    /// A peer has answered.
    pub fn on_given(&mut self, peer: NodeId, promise: Promise) {
        let Some(asked) = self.asked.get_mut(&peer) else { return };
        let Promise { epoch, until } = promise;
        if until > Timestamp::MIN {
            if epoch == asked.epoch {
                // Nobody promises more than was asked for.
                asked.held = asked.held.max(until.min(asked.until));
            }
            return;
        }
        let is_of_this_life = epoch >> COUNT_BITS == u64::from(self.incarnation);
        if is_of_this_life && epoch >= asked.epoch {
            mark!("support_was_withdrawn");
            let next = epoch + 1;
            (asked.epoch, asked.held) = (next, Timestamp::MIN);
            if mutant!("own_epoch_shared_by_peers") {
                let all = self.asked.values_mut();
                all.for_each(|asked| (asked.epoch, asked.held) = (next, Timestamp::MIN));
            }
        }
    }

    /// A peer asks; the answer, unless there is nothing to say.
    pub fn on_asked(&mut self, peer: NodeId, wish: Promise) -> Option<Promise> {
        let most = later(self.hlc, self.lasts_ms + OFFSET_MAX_MS);
        let until = wish.until.min(self.bound).min(most);
        let given = self.given.entry(peer).or_default();
        if wish.epoch <= given.withdrawn {
            return Some(Promise { epoch: given.withdrawn, until: Timestamp::MIN });
        }
        if wish.epoch < given.epoch || until <= self.hlc {
            return None; // It has asked in a newer one since; or nothing can be promised now.
        }
        if wish.epoch > given.epoch {
            let older_until = given.older_until.max(given.until);
            let (epoch, until) = (wish.epoch, Timestamp::MIN);
            *given = Given { epoch, until, older_until, withdrawn: given.withdrawn };
        }
        given.until = given.until.max(until);
        assert!(given.until <= self.bound, "{given:?} is promised beyond {:?}", self.bound);
        Some(Promise { epoch: given.epoch, until: given.until })
    }

    /// Withdraws what the clock has passed; returns from whom.
    pub fn withdraw(&mut self) -> Vec<NodeId> {
        let early_ms = if mutant!("support_withdrawn_early") { 700 } else { 0 };
        let (now_ms, floor) = (self.hlc.ms() + early_ms, self.floor);
        // Whole milliseconds: stamps that are issued meanwhile let nothing lapse.
        let is_over = |until: Timestamp| now_ms > until.max(floor).ms();
        let mut lapsed = Vec::new();
        for (peer, given) in &mut self.given {
            let before = given.withdrawn;
            if given.epoch > 0 && is_over(given.older_until) {
                given.withdrawn = given.withdrawn.max(given.epoch - 1);
            }
            if given.epoch > given.withdrawn && is_over(given.last()) {
                mark!("support_withdrawn");
                given.withdrawn = given.epoch;
                lapsed.push(*peer);
            }
            self.has_news |= given.withdrawn > before;
        }
        lapsed
    }

    /// What is to be logged now, if something is.
    pub fn take_record(&mut self) -> Option<SupportState> {
        let is_short = self.is_short();
        if !is_short && !self.has_news {
            return None;
        }
        if is_short {
            let ahead_ms = self.lasts_ms + self.ahead_ms;
            self.logged = self.logged.max(later(self.hlc, ahead_ms));
        }
        self.has_news = false;
        Some(self.state(self.logged))
    }

    /// The least that has to be kept when this life ends well: no promise lasts longer than that.
    pub fn last_state(&self) -> SupportState {
        let longest = self.given.values().map(Given::last).max().unwrap_or_default();
        let bound = if self.floor > self.hlc { longest.max(self.floor) } else { longest };
        self.state(bound)
    }

    fn state(&self, bound: Timestamp) -> SupportState {
        let withdrawn = self.given.iter().filter(|(_, given)| given.withdrawn > 0);
        let withdrawn = withdrawn.map(|(peer, given)| (*peer, given.withdrawn)).collect();
        SupportState { bound, withdrawn }
    }

    fn is_short(&self) -> bool {
        let left_ms = self.hlc.ms() + self.lasts_ms + self.ahead_ms / 2;
        let is_idle = self.hlc == Timestamp::MIN || self.asked.is_empty();
        !is_idle && self.logged == self.bound && self.bound.ms() < left_ms
    }

    /// A record with that bound is durable.
    pub fn durable(&mut self, bound: Timestamp) {
        self.bound = self.bound.max(bound);
    }

    /// Whether a promise in that epoch holds: it was not withdrawn.
    pub fn binds(&self, peer: NodeId, epoch: u64) -> bool {
        self.given.get(&peer).is_none_or(|given| epoch > given.withdrawn)
    }

    /// The epoch in which `peer` may be counted on from now on.
    pub fn supported(&self, peer: NodeId) -> Option<u64> {
        let given = self.given.get(&peer)?;
        let holds = given.epoch > given.withdrawn && given.until >= self.hlc;
        (holds && given.until > Timestamp::MIN).then_some(given.epoch)
    }

    /// What `peer` has promised this node.
    pub fn held(&self, peer: NodeId) -> Promise {
        let asked = self.asked.get(&peer);
        asked.map_or_else(Promise::default, |a| Promise { epoch: a.epoch, until: a.held })
    }

    /// Up to which epoch what `peer` was promised is withdrawn.
    pub fn withdrawn(&self, peer: NodeId) -> u64 {
        self.given.get(&peer).map_or(0, |given| given.withdrawn)
    }

    /// Until when this node counts on itself.
    pub fn own(&self, now: Timestamp) -> Timestamp {
        later(now, self.lasts_ms)
    }

    /// In how many milliseconds the next promise lapses, if nobody asks again.
    pub fn next_lapse_ms(&self) -> Option<u64> {
        let holding = self.given.values().filter(|given| given.epoch > given.withdrawn);
        let next = holding.map(|given| given.last().max(self.floor)).min()?;
        Some((next.ms() + 1).saturating_sub(self.hlc.ms()).max(1))
    }

    /// Broken invariants, in words.
    pub fn check(&self) -> Vec<String> {
        let is_over = |given: &&Given| given.until > self.bound;
        let over = self.given.values().filter(is_over);
        over.map(|given| format!("{given:?} is promised beyond {:?}", self.bound)).collect()
    }
}

impl Given {
    fn last(&self) -> Timestamp {
        self.until.max(self.older_until)
    }
}
