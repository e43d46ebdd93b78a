//! What must be true of a replica between any two calls.

use phantom_base::LogIndex;

use super::{Group, Role};
use crate::progress::State;

impl Group {
    /// Broken invariants, in words; empty while all is well.
    pub fn check(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut must = |holds: bool, rule: &str| {
            if !holds {
                broken.push(format!("{} on {}: {rule}: {self:?}", self.gid, self.me.node));
            }
        };
        let last = self.log.last_position();
        must(self.commit <= last.index, "what is committed is in the log");
        must(self.handed <= self.commit, "only what is committed is handed out");
        must(self.applied <= self.handed, "only what was handed out is applied");
        must(self.handed <= self.log.durable(), "only what is durable is handed out");
        must(last.term <= self.term, "no entry is of a newer term");
        must(self.log.first().previous() <= self.applied, "only what is applied is released");
        match &self.role {
            Role::Leader(leader) => {
                must(self.leader == Some(self.me.replica), "a leader knows itself");
                must(self.vote == Some(self.me.replica), "a leader voted for itself");
                must(last.term == self.term, "a leader has an entry of its term");
                let ahead = |index: LogIndex| index > last.index;
                for follower in &leader.followers {
                    must(!ahead(follower.matched), "nobody matches more than there is");
                    must(follower.next > follower.matched, "what matches is not sent again");
                    if let State::Replicate(window) = &follower.state {
                        let sent = window.last();
                        must(sent.is_none_or(|i| i < follower.next), "what is in flight was sent");
                    }
                }
            }
            Role::Candidate(_) => {
                must(self.vote == Some(self.me.replica), "a candidate voted for itself");
                must(self.leader.is_none(), "a candidate knows no leader of its term");
            }
            Role::PreCandidate(_) => must(self.leader.is_none(), "who hears a leader asks nobody"),
            Role::Follower => {
                must(self.leader != Some(self.me.replica), "a follower does not lead");
            }
        }
        broken
    }
}
