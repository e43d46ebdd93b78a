//! Read barriers by read-index rounds (Raft thesis 6.4).
//!
//! A leader that knows its commit index to be the newest (an entry of its own term is committed)
//! asks all members "am I still your leader?" under a context never used before (R14; reuse once
//! gave stale reads for years: etcd#20418). A majority of yeses proves that no newer leader had
//! committed anything when the round began. All barriers that wait share a round, and a later
//! round's yes counts for the earlier ones. A follower asks its leader to do that, without data,
//! and opens when it has applied what the leader had committed. A leader that has a lease asks
//! nobody (`lease`).

use std::collections::VecDeque;

use phantom_base::{LogIndex, Nanos, ReplicaId, Set, Term, Timestamp, mark, mutant};

use super::{Context, Group};
use crate::quorum::majority;
use crate::{BarrierAnswer, BarrierOutcome, Body, Refused, Token};

/// Who waits for a round.
#[derive(Clone, Copy, Debug)]
enum Waiter {
    Own(Token),
    Follower { replica: ReplicaId, request: u64 },
}

/// A question that is under way. Its term is the group's: a new term fails it.
#[derive(Debug)]
struct Round {
    context: u64,
    /// Committed when it began.
    index: LogIndex,
    stamp: Timestamp,
    waiters: Vec<Waiter>,
    yes: Set<ReplicaId>,
}

/// A follower's question to its leader.
#[derive(Debug)]
struct Ask {
    request: u64,
    tokens: Vec<Token>,
    asked_at: Nanos,
}

/// Confirmed; waits for `index` to be applied here.
#[derive(Debug)]
struct Opening {
    token: Token,
    index: LogIndex,
    stamp: Timestamp,
    term: Term,
}

/// All barriers of a group.
#[derive(Debug, Default)]
pub struct Barriers {
    waiting: Vec<Waiter>,
    rounds: VecDeque<Round>,
    asks: Vec<Ask>,
    openings: Vec<Opening>,
    /// Tokens in all of the above.
    tokens: usize,
}

impl Barriers {
    pub fn asking(&self) -> bool {
        !self.asks.is_empty()
    }
}

impl Group {
    /// Asks for a barrier; the answer comes with `token`.
    pub fn barrier(&mut self, token: Token, cx: &mut Context<'_>) -> Result<(), Refused> {
        if self.leader.is_none() {
            return Err(self.not_leader());
        }
        if self.barriers.tokens >= cx.limits.tokens_max {
            return Err(Refused::Busy);
        }
        self.barriers.tokens += 1;
        self.barriers.waiting.push(Waiter::Own(token));
        Ok(())
    }

    /// Whether somebody waits for a round to begin.
    pub fn wants_round(&self) -> bool {
        !self.barriers.waiting.is_empty()
    }

    /// Begins one round, or asks the leader once, for all that wait. `stamp` is the clock's now.
    pub fn begin_round(&mut self, stamp: Timestamp, cx: &mut Context<'_>) {
        if self.barriers.waiting.is_empty() {
            return;
        }
        if mutant!("barrier_skipped") {
            return self.skip_round(stamp, cx);
        }
        if self.has_lease(stamp, cx) {
            mark!("round_spared_by_a_lease");
            for waiter in std::mem::take(&mut self.barriers.waiting) {
                self.confirm(waiter, self.commit, stamp, cx);
            }
        } else if self.is_leader() {
            if !self.has_committed_own() {
                mark!("barrier_waits_for_own_term");
                return;
            }
            let waiters = std::mem::take(&mut self.barriers.waiting);
            let context = cx.fresh_context();
            let yes = [self.me.replica].into();
            let round = Round { context, index: self.commit, stamp, waiters, yes };
            self.barriers.rounds.push_back(round);
            self.broadcast(self.term, &Body::Round { context }, cx);
            self.close_rounds(cx);
        } else if let Some(leader) = self.leader {
            let request = cx.fresh_context();
            let tokens = std::mem::take(&mut self.barriers.waiting)
                .into_iter()
                .map(|waiter| match waiter {
                    Waiter::Own(token) => token,
                    Waiter::Follower { .. } => unreachable!("only a leader is asked"),
                })
                .collect();
            self.barriers.asks.push(Ask { request, tokens, asked_at: cx.now });
            self.send(leader, self.term, Body::Ask { request }, cx);
        }
    }

    /// The bug that the mutation gate brings back: a read that asks nobody.
    fn skip_round(&mut self, stamp: Timestamp, cx: &mut Context<'_>) {
        for waiter in std::mem::take(&mut self.barriers.waiting) {
            self.confirm(waiter, self.applied, stamp, cx);
        }
    }

    pub(super) fn on_round_answer(&mut self, from: ReplicaId, context: u64, cx: &mut Context<'_>) {
        if !self.is_leader() {
            return;
        }
        // Whoever says yes to a later question would have said so to the earlier ones.
        for round in self.barriers.rounds.iter_mut().filter(|round| round.context <= context) {
            round.yes.insert(from);
        }
        self.heard(from, cx.now);
        self.close_rounds(cx);
    }

    fn heard(&mut self, from: ReplicaId, now: Nanos) {
        if let super::Role::Leader(leader) = &mut self.role {
            let mut followers = leader.followers.iter_mut();
            if let Some(follower) = followers.find(|f| f.member.replica == from) {
                follower.heard_at = now;
            }
        }
    }

    fn close_rounds(&mut self, cx: &mut Context<'_>) {
        let needed = majority(self.members.len());
        while self.barriers.rounds.front().is_some_and(|round| round.yes.len() >= needed) {
            let round = self.barriers.rounds.pop_front().expect("just seen");
            for waiter in round.waiters {
                self.confirm(waiter, round.index, round.stamp, cx);
            }
        }
        self.open_barriers(cx);
    }

    fn confirm(&mut self, waiter: Waiter, index: LogIndex, stamp: Timestamp, cx: &mut Context<'_>) {
        match waiter {
            Waiter::Own(token) => {
                let opening = Opening { token, index, stamp, term: self.term };
                self.barriers.openings.push(opening);
                self.open_barriers(cx);
            }
            Waiter::Follower { replica, request } => {
                self.send(replica, self.term, Body::Answer { request, index, stamp }, cx);
            }
        }
    }

    pub(super) fn on_ask(&mut self, from: ReplicaId, request: u64, cx: &mut Context<'_>) {
        let waiting = self.barriers.waiting.len();
        if self.is_leader() && waiting < cx.limits.tokens_max {
            self.barriers.waiting.push(Waiter::Follower { replica: from, request });
        }
    }

    pub(super) fn on_answer(
        &mut self,
        request: u64,
        index: LogIndex,
        stamp: Timestamp,
        cx: &mut Context<'_>,
    ) {
        let found = self.barriers.asks.iter().position(|ask| ask.request == request);
        let Some(at) = found else { return }; // Answered before: questions are repeated.
        let ask = self.barriers.asks.remove(at);
        let term = self.term;
        let openings = ask.tokens.into_iter().map(|token| Opening { token, index, stamp, term });
        self.barriers.openings.extend(openings);
        self.open_barriers(cx);
    }

    /// Answers what is confirmed and applied.
    pub(super) fn open_barriers(&mut self, cx: &mut Context<'_>) {
        let (gid, applied) = (self.gid, self.applied);
        for opening in self.barriers.openings.extract_if(.., |o| o.index <= applied) {
            let Opening { token, stamp, term, .. } = opening;
            self.barriers.tokens -= 1;
            let outcome = BarrierOutcome::Open { applied, stamp, term };
            cx.out.barriers.push(BarrierAnswer { token, gid, outcome });
        }
    }

    /// Refuses all that is not confirmed: the leadership that it relied on has changed.
    pub(super) fn fail_barriers(&mut self, refused: Refused, cx: &mut Context<'_>) {
        let barriers = &mut self.barriers;
        let waiting = std::mem::take(&mut barriers.waiting);
        let in_rounds = std::mem::take(&mut barriers.rounds).into_iter().flat_map(|r| r.waiters);
        let own = waiting.into_iter().chain(in_rounds).filter_map(|waiter| match waiter {
            Waiter::Own(token) => Some(token),
            Waiter::Follower { .. } => None, // It asks again, or hears of the new leader.
        });
        let asked = std::mem::take(&mut barriers.asks).into_iter().flat_map(|ask| ask.tokens);
        for token in own.chain(asked) {
            barriers.tokens -= 1;
            let outcome = BarrierOutcome::Refused(refused);
            cx.out.barriers.push(BarrierAnswer { token, gid: self.gid, outcome });
        }
    }

    /// Refuses what was confirmed too: nothing will be applied any more.
    pub(super) fn stop_barriers(&mut self, cx: &mut Context<'_>) {
        self.fail_barriers(Refused::Stopped, cx);
        for Opening { token, .. } in std::mem::take(&mut self.barriers.openings) {
            self.barriers.tokens -= 1;
            let outcome = BarrierOutcome::Refused(Refused::Stopped);
            cx.out.barriers.push(BarrierAnswer { token, gid: self.gid, outcome });
        }
        assert_eq!(self.barriers.tokens, 0, "{}: every barrier is answered once", self.gid);
    }

    /// The newest round is asked again with each heartbeat: its messages may be lost. Same
    /// round, same context; a yes to it was said after it began, whenever it is said.
    pub(super) fn repeat_round(&mut self, cx: &mut Context<'_>) {
        let Some(round) = self.barriers.rounds.back() else { return };
        for member in self.others().filter(|member| !round.yes.contains(&member.replica)) {
            self.send(member.replica, self.term, Body::Round { context: round.context }, cx);
        }
    }

    /// A question without an answer is repeated; its leader may have lost it.
    pub(super) fn repeat_asks(&mut self, cx: &mut Context<'_>) {
        let (Some(leader), now) = (self.leader, cx.now) else { return };
        let patience = cx.limits.heartbeat_ns * 2;
        let mut again = Vec::new();
        for ask in &mut self.barriers.asks {
            if now.saturating_sub(ask.asked_at) >= patience {
                ask.asked_at = now;
                again.push(ask.request);
            }
        }
        for request in again {
            self.send(leader, self.term, Body::Ask { request }, cx);
        }
    }
}
