//! What waits for the control plane, and what is done without it when it does not come.
//!
//! A control plane that is slow costs decisions and nothing else. So what it leaves waiting is looked
//! at with every turn, and each rule here is one of what happens then:
//!
//! - An election that it has not heard of for a while is held without it (`Overdue::campaign`).
//! - Events that nobody has taken for long say that nobody is there: what is led here is for others to
//!   lead, and sessions that wait for a decision are told so, those that come later at once.
//! - The queue is bounded; a session beyond the bound is told, and the node goes on.
//!
//! It decides by the time it is given and does nothing itself.

use std::collections::VecDeque;

use phantom_base::{GroupId, Nanos, Random};
use phantom_node::session::SessionId;

use crate::traffic::Event;

/// How many events wait at most. More than sessions and links have at once.
const EVENTS_MAX: usize = 1 << 16;
/// How long an election waits for the control plane, and for as long again at random: others of
/// these nodes may be in the same trouble.
const ELECTION_NS: Nanos = 300_000_000;
/// How long events wait before nobody is there.
const GONE_NS: Nanos = 10_000_000_000;
/// How often leaderships that came back meanwhile are given away again.
const AGAIN_NS: Nanos = 1_000_000_000;

/// An event that will not be answered: whose, and which.
pub type Unanswered = (SessionId, u64);

/// What is to be done without the control plane.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Groups to campaign for.
    pub campaign: Vec<GroupId>,
    /// Whether leaderships are to be handed over.
    pub leaves: bool,
    /// Sessions that have waited in vain.
    pub unanswered: Vec<Unanswered>,
}

#[derive(Debug)]
struct Waits {
    since: Nanos,
    /// An election is held without the control plane from here on.
    due: Nanos,
    event: Event,
}

/// Events that the control plane has not taken.
#[derive(Debug)]
pub struct Waiting {
    events: VecDeque<Waits>,
    /// Nobody is there; when leaderships are given away again.
    gone: Option<Nanos>,
    /// Nothing is overdue before: thousands of turns a second look at nothing else.
    wakes_at: Nanos,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { events: VecDeque::new(), gone: None, wakes_at: Nanos::MAX }
    }
}

impl Waiting {
    /// Lets an event wait; gives back one of a session that cannot.
    pub fn push(
        &mut self,
        event: Event,
        now: Nanos,
        random: &mut dyn Random,
    ) -> Result<(), Unanswered> {
        let is_in_vain = self.gone.is_some() || self.events.len() >= EVENTS_MAX;
        match event {
            Event::Session(session, number, ..) if is_in_vain => Err((session, number)),
            // It is told again when the next timer of those groups has run out.
            Event::ElectionDue(_) if self.events.len() >= EVENTS_MAX => Ok(()),
            event => {
                let due = now + ELECTION_NS + random.below(ELECTION_NS);
                self.events.push_back(Waits { since: now, due, event });
                self.wakes_at = self.wakes_at.min(self.due_next());
                Ok(())
            }
        }
    }

    /// Takes the oldest events: somebody is there.
    pub fn take(&mut self, limit: usize) -> Vec<Event> {
        self.gone = None;
        let count = self.events.len().min(limit);
        if count == self.events.len() {
            self.wakes_at = Nanos::MAX;
        }
        self.events.drain(..count).map(|waits| waits.event).collect()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether nobody has been there for long.
    pub fn is_gone(&self) -> bool {
        self.gone.is_some()
    }

    /// What is to be done without the control plane by now.
    pub fn overdue(&mut self, now: Nanos) -> Overdue {
        let mut overdue = Overdue::default();
        if now < self.wakes_at {
            return overdue;
        }
        for waits in &mut self.events {
            if let Event::ElectionDue(groups) = &mut waits.event
                && waits.due <= now
            {
                overdue.campaign.append(groups);
            }
        }
        self.events.retain(|waits| !is_nothing(&waits.event));
        if self.gone.is_none() && self.events.front().is_some_and(|w| now >= w.since + GONE_NS) {
            self.gone = Some(now);
        }
        if let Some(at) = &mut self.gone
            && now >= *at
        {
            *at = now + AGAIN_NS;
            overdue.leaves = true;
            self.events.retain(|waits| {
                let Event::Session(session, number, ..) = &waits.event else { return true };
                overdue.unanswered.push((*session, *number));
                false
            });
        }
        let is_election = |waits: &&Waits| matches!(waits.event, Event::ElectionDue(_));
        let elections = self.events.iter().filter(is_election).map(|waits| waits.due);
        let gone = self.gone.or_else(|| Some(self.events.front()?.since + GONE_NS));
        self.wakes_at = elections.chain(gone).min().unwrap_or(Nanos::MAX);
        overdue
    }

    /// When `overdue` should be asked again at the latest.
    pub fn wakes_at(&self) -> Nanos {
        self.wakes_at
    }

    /// When the newest event wants something done, or the oldest, if there is no other.
    fn due_next(&self) -> Nanos {
        let gone = self.gone.or_else(|| Some(self.events.front()?.since + GONE_NS));
        let newest = self.events.back().filter(|w| matches!(w.event, Event::ElectionDue(_)));
        gone.into_iter().chain(newest.map(|waits| waits.due)).min().unwrap_or(Nanos::MAX)
    }
}

fn is_nothing(event: &Event) -> bool {
    matches!(event, Event::ElectionDue(groups) if groups.is_empty())
}

#[cfg(test)]
mod tests {
    use phantom_base::SeededRandom;

    use super::*;

    const S: Nanos = 1_000_000_000;

    struct Fixture(Waiting, SeededRandom);

    impl Fixture {
        fn new() -> Self {
            Self(Waiting::default(), SeededRandom::new(1))
        }

        fn push(&mut self, event: Event, now: Nanos) -> Result<(), Unanswered> {
            self.0.push(event, now, &mut self.1)
        }
    }

    fn election() -> Event {
        Event::ElectionDue(vec![GroupId(1), GroupId(2)])
    }

    fn session(number: u64) -> Event {
        Event::Session(number, 10 + number, "plan", Vec::new())
    }

    #[test]
    fn an_election_that_nobody_heard_of_is_held_once() {
        let mut waiting = Fixture::new();
        waiting.push(election(), S).unwrap();
        assert_eq!(waiting.0.overdue(S + ELECTION_NS - 1), Overdue::default());
        let due = waiting.0.wakes_at();
        assert!((S + ELECTION_NS..S + 2 * ELECTION_NS).contains(&due));
        assert_eq!(waiting.0.overdue(due).campaign, [GroupId(1), GroupId(2)]);
        assert_eq!(waiting.0.overdue(due + S), Overdue::default());
        assert!(waiting.0.is_empty() && waiting.0.wakes_at() == Nanos::MAX);
    }

    #[test]
    fn an_election_that_was_heard_of_is_the_control_planes() {
        let mut waiting = Fixture::new();
        waiting.push(election(), S).unwrap();
        assert_eq!(waiting.0.take(9), [election()]);
        assert_eq!(waiting.0.overdue(9 * S), Overdue::default());
    }

    #[test]
    fn events_come_in_their_order_and_no_more_than_were_asked_for() {
        let mut waiting = Fixture::new();
        for number in 0..5 {
            waiting.push(session(number), S).unwrap();
        }
        assert_eq!(waiting.0.take(2), [session(0), session(1)]);
        assert_eq!(waiting.0.take(9), [session(2), session(3), session(4)]);
    }

    #[test]
    fn where_nobody_comes_sessions_are_told_and_others_lead() {
        let mut waiting = Fixture::new();
        waiting.push(session(1), S).unwrap();
        waiting.push(Event::ClientsGone, S).unwrap();
        waiting.push(session(2), 3 * S).unwrap();
        let gone = waiting.0.wakes_at();
        assert_eq!(gone, S + GONE_NS);
        assert_eq!(waiting.0.overdue(gone - 1), Overdue::default());
        let overdue = waiting.0.overdue(gone);
        assert_eq!((overdue.leaves, overdue.unanswered), (true, vec![(1, 11), (2, 12)]));
        assert_eq!(waiting.push(session(3), gone), Err((3, 13)), "at once from now on");
        assert!(!waiting.0.overdue(gone + 1).leaves);
        assert!(waiting.0.overdue(gone + AGAIN_NS).leaves, "and again");
        assert_eq!(waiting.0.take(9), [Event::ClientsGone], "nothing else was lost");
        waiting.push(session(4), gone).expect("somebody is there");
    }

    #[test]
    fn a_full_queue_refuses_sessions_and_keeps_what_it_has() {
        let mut waiting = Fixture::new();
        for _ in 0..EVENTS_MAX {
            waiting.push(Event::ClientsGone, S).unwrap();
        }
        assert_eq!(waiting.push(session(1), S), Err((1, 11)));
        waiting.push(election(), S).unwrap();
        waiting.push(Event::SessionGone(1), S).unwrap();
        assert_eq!(waiting.0.take(usize::MAX).len(), EVENTS_MAX + 1);
    }
}
