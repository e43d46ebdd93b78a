//! Leading while disks are full: who is sent entries, what is proposed, who should lead instead.
//!
//! A member whose disk is under its reserve says so with each heartbeat's answer. It is *spared*,
//! sent no entries, while a majority that is heard has room; it catches up from the log later. Without
//! such a majority nothing is proposed, and what is in the log already goes to all members: the
//! reserve is large enough for it, and the first entry of a term must commit before anybody reads.

use phantom_base::Nanos;

use super::{Context, Group, Role};
use crate::progress::{Progress, State};
use crate::quorum::majority;
use crate::{Entries, Room};

impl Group {
    pub(super) fn roomy<'a>(
        &'a self,
        cx: &Context<'_>,
    ) -> impl Iterator<Item = &'a Progress> + use<'a> {
        self.heard_of(cx).filter(|f| !f.is_short_of_room())
    }

    /// The followers of a leader that said something within an election timeout, or might have yet.
    fn heard_of<'a>(&'a self, cx: &Context<'_>) -> impl Iterator<Item = &'a Progress> + use<'a> {
        let (now, patience): (Nanos, Nanos) = (cx.now, cx.limits.election_min_ns);
        let followers = match &self.role {
            Role::Leader(leader) => leader.followers.as_slice(),
            _ => &[],
        };
        followers.iter().filter(move |f| now.saturating_sub(f.heard_at) < patience)
    }

    /// Whether this leader is too new to say whose disks are full: a member that is there has not
    /// told in this term. It lasts for a round trip, or an election timeout if the member is silent.
    pub fn awaits_room(&self, cx: &Context<'_>) -> bool {
        self.heard_of(cx).any(|f| f.short_of_room.is_none())
    }

    /// Whether entries commit without any member that is short of room. The leader's own log counts:
    /// it holds them whatever its disk is like.
    pub(super) fn can_spare_the_short(&self, cx: &Context<'_>) -> bool {
        1 + self.roomy(cx).count() >= majority(self.members.len())
    }

    /// Whether more may be proposed: here is room, and on a majority, as far as it has told. A
    /// majority that is merely silent is not a full one.
    pub(super) fn has_room(&self, cx: &Context<'_>) -> bool {
        let Role::Leader(leader) = &self.role else { return true };
        let any_is_short = leader.followers.iter().any(Progress::is_short_of_room);
        cx.room == Room::Enough && (!any_is_short || self.can_spare_the_short(cx))
    }

    /// Asks a member that is short of room where it stands, so that it learns what is committed of
    /// what it holds; if it is needed, it gets one append at a time, since it may take none.
    pub(super) fn send_to_the_short(
        &self,
        follower: &mut Progress,
        is_needed: bool,
        entries: &dyn Entries,
        cx: &mut Context<'_>,
    ) {
        match &follower.state {
            State::Probe { .. } => drop(self.send_append(follower, None, cx)),
            State::Replicate(window) if is_needed && window.last().is_none() => {
                self.send_append(follower, Some(entries), cx);
            }
            State::Replicate(_) | State::TooFarBehind => {}
        }
    }

    pub fn has_heir(&self, cx: &Context<'_>) -> bool {
        self.roomy(cx).any(|f| matches!(f.state, State::Replicate(_)))
    }

    pub fn has_successor(&self, cx: &Context<'_>) -> bool {
        self.roomy(cx).any(|f| f.state != State::TooFarBehind)
    }

    pub fn may_hand_over(&self, cx: &Context<'_>) -> bool {
        let last = self.log.last();
        self.commit == last && self.applied == last && self.roomy(cx).any(|f| f.matched == last)
    }
}
