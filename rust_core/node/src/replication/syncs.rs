//! How long logs take to be durable, here and elsewhere.
//!
//! Votes wait for syncs, so elections are given a time that follows the median of the members': where
//! all are slow, none is dead. A leader that is slow alone gives its groups up, for each write waits
//! for its own sync too; it gets them back only if nobody else takes them.

use phantom_base::{GroupId, Map, Nanos, mark};

use super::Replication;

/// Between two looks.
const LOOK_EVERY_NS: Nanos = 50_000_000;
/// Slower syncs than this do not lengthen elections any more.
const PACE_MAX_NS: Nanos = 2_000_000_000;
/// So many times the median is slow alone,
const SLOW_TIMES: u64 = 4;
/// unless it is quicker than this all the same.
const SLOW_FROM_NS: Nanos = 200_000_000;
/// A single sync says that a disk is slow when it has taken so long: by then the others, each of which
/// extends its clock's bound twice a second, have told whether theirs are slow, too.
const STALL_NS: Nanos = 1_500_000_000;
/// How long a leadership that was given up and came back is kept.
const KEEP_NS: Nanos = 10_000_000_000;

/// Watches the pace of the log.
#[derive(Debug, Default)]
pub(super) struct SyncWatch {
    next_look: Nanos,
    kept_until: Map<GroupId, Nanos>,
}

/// Between the slower and the quicker half; the upper of two in the middle.
fn median(mut times: Vec<Nanos>) -> Nanos {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

impl Replication {
    /// Looks at the pace of the members' logs if that is due, and acts on it.
    pub(super) fn mind_syncs(&mut self, now: Nanos) {
        if now < self.syncs.next_look {
            return;
        }
        self.syncs.next_look = now + LOOK_EVERY_NS;
        let pace = self.log.pace(now);
        // All members do not find out in the same moment that their disks have become slow.
        self.stamps.set_sync(pace.usual.max(pace.recent));
        self.mind_silence(pace.pending);
        let usual = median(self.stamps.syncs(now));
        self.machine.set_sync(usual.min(PACE_MAX_NS));
        let own = if pace.pending >= STALL_NS { pace.pending } else { pace.usual };
        if own >= SLOW_FROM_NS && own > SLOW_TIMES.saturating_mul(usual) {
            self.leave_to_quicker(now);
        }
    }

    fn leave_to_quicker(&mut self, now: Nanos) {
        let gids: Vec<GroupId> = self.machine.groups().collect();
        for gid in gids {
            let is_kept = self.syncs.kept_until.get(&gid).is_some_and(|until| now < *until);
            // While its disk hangs nothing leaves here that could catch an heir up.
            if !is_kept && self.machine.has_successor(now, gid) {
                mark!("slow_leader_gave_up");
                self.syncs.kept_until.insert(gid, now + KEEP_NS);
                let led = self.machine.step_down(now, gid);
                assert_eq!(led, Ok(()), "{gid}: only a leader has a successor");
            }
        }
    }
}
