//! The room on the node's disk: looked at aside, judged here, minded by the groups.
//!
//! A part of the disk is a *reserve* for flushes, compactions, terms and votes. A worker asks how
//! much is free, four times a second and whenever the log has grown by a part of the reserve; no
//! write waits for the answer. Under the reserve (`Short`) groups propose nothing and other nodes
//! are told; under a quarter of it (`None`) entries of leaders are not taken either. Both end with
//! an eighth of the reserve more than they began with, so that one file that comes and goes does
//! not make a node waver.
//!
//! Groups that a full node leads are handed over: first whatever is in flight is answered and a
//! member with room has caught up, then leadership is given up. If it comes back all the same, it
//! stays for a while.

use std::io;
use std::sync::Arc;

use phantom_base::{GroupId, Lsn, Map, Nanos, mark};
use phantom_lsm::disk_reserve;
use phantom_raft::Room;
use phantom_vfs::{Space, Vfs};

use super::Replication;
use crate::runtime::{Mailbox, Pool, Runtime};

/// Between two looks.
const LOOK_EVERY_NS: Nanos = 250_000_000;
/// The log may grow by this part of the reserve between two looks.
const LOOK_PART: u64 = 64;
/// Under this part of the reserve no entry is taken.
const NONE_PART: u64 = 4;
/// So much of the reserve more must be free again before a state ends.
const MARGIN_PART: u64 = 8;
/// How long writes wait for a leadership to be handed over before they are refused.
const LEAVE_NS: Nanos = 2_000_000_000;
/// How long a leadership that was given up and came back is kept.
const KEEP_NS: Nanos = 10_000_000_000;

/// What is known of the disk; sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskReport {
    /// What it has room for.
    pub room: Room,
    /// Free when it was last looked at.
    pub free: u64,
    /// Its size.
    pub total: u64,
    /// What is kept for the node itself.
    pub reserve: u64,
}

impl DiskReport {
    /// Whether it is under its reserve.
    pub fn is_short(&self) -> bool {
        self.room != Room::Enough
    }

    /// The report after a look.
    fn after(&self, space: Space, said: Option<u64>) -> Self {
        let Space { free, total } = space;
        let reserve = disk_reserve(said, total);
        let margin = |is_in: bool| if is_in { reserve / MARGIN_PART } else { 0 };
        let room = if free < reserve / NONE_PART + margin(self.room == Room::None) {
            Room::None
        } else if free < reserve + margin(self.is_short()) {
            Room::Short
        } else {
            Room::Enough
        };
        Self { room, free, total, reserve }
    }
}

/// A group that this node should no longer lead.
#[derive(Clone, Copy, Debug, Default)]
struct Leaving {
    /// Since when there is somebody to hand it to.
    since: Option<Nanos>,
    /// It is kept until then.
    kept_until: Nanos,
}

/// Watches one disk.
pub(super) struct RoomWatch {
    fs: Arc<dyn Vfs>,
    said: Option<u64>,
    report: DiskReport,
    looks: Mailbox<io::Result<Space>>,
    is_looking: bool,
    next_look: Nanos,
    /// Where the log ended at the last look, and where it ends now.
    looked_at: Lsn,
    log_end: Lsn,
    leaving: Map<GroupId, Leaving>,
}

impl RoomWatch {
    /// Looks for the first time. `said` replaces the reserve that follows from the disk's size.
    pub fn open(fs: Arc<dyn Vfs>, said: Option<u64>, runtime: &Runtime) -> io::Result<Self> {
        let unknown = DiskReport { room: Room::Enough, free: 0, total: 0, reserve: 0 };
        let report = unknown.after(fs.space()?, said);
        Ok(Self {
            fs,
            said,
            report,
            looks: runtime.mailbox(),
            is_looking: false,
            next_look: 0,
            looked_at: Lsn(0),
            log_end: Lsn(0),
            leaving: Map::new(),
        })
    }

    pub fn report(&self) -> DiskReport {
        self.report
    }

    /// When to look again; never while it is looked.
    pub fn next_look(&self) -> Nanos {
        if self.is_looking { Nanos::MAX } else { self.next_look }
    }

    /// The log ends here now.
    pub fn pushed(&mut self, end: Lsn) {
        self.log_end = self.log_end.max(end);
    }

    /// Takes a look's answer and asks for the next if it is due; whether it did either.
    fn look(&mut self, now: Nanos, runtime: &Runtime) -> bool {
        let mut moved = false;
        for space in self.looks.take() {
            moved = true;
            self.is_looking = false;
            match space {
                Ok(space) => self.report = self.report.after(space, self.said),
                // A disk that does not even tell fails in other ways soon; what was known stands.
                Err(_) => mark!("disk_did_not_tell_its_room"),
            }
        }
        let grown = self.log_end.0.saturating_sub(self.looked_at.0);
        let is_due = now >= self.next_look || grown > self.report.reserve / LOOK_PART;
        if is_due && !self.is_looking {
            self.is_looking = true;
            self.next_look = now + LOOK_EVERY_NS;
            self.looked_at = self.log_end;
            let (fs, looks) = (Arc::clone(&self.fs), self.looks.clone());
            runtime.submit(Pool::Background, Box::new(move || looks.post(fs.space())));
            moved = true;
        }
        moved
    }
}

impl Replication {
    /// What is known of the node's disk.
    pub fn disk(&self) -> DiskReport {
        self.watch.report()
    }

    /// Whether this node's disk is full and the group is about to be led by another node, or may be
    /// as soon as the members have told how theirs are: what is refused now will be taken there.
    pub fn is_leaving(&mut self, gid: GroupId) -> bool {
        let now = self.clock.monotonic_ns();
        let leaving = self.watch.leaving.get(&gid).copied().unwrap_or_default();
        let in_time = leaving.since.is_none_or(|since| now < since + LEAVE_NS);
        let has_heir = in_time && now >= leaving.kept_until && self.machine.has_heir(now, gid);
        self.disk().is_short() && (has_heir || self.machine.awaits_room(now, gid))
    }

    /// Looks at the disk if that is due, and acts on what it says; whether there was anything.
    pub(super) fn mind_room(&mut self, now: Nanos) -> bool {
        let before = self.disk().room;
        let moved = self.watch.look(now, &self.runtime);
        if self.disk().room != before {
            self.room_changed();
        }
        if self.disk().is_short() {
            self.hand_over(now);
        }
        moved
    }

    /// Tells everybody; a full disk gets back what flushed memtables and released entries hold.
    pub(super) fn room_changed(&mut self) {
        let report = self.disk();
        self.machine.set_room(report.room);
        self.pending.disk = Some(report);
        if report.is_short() {
            self.engine.freeze();
            self.engine_worker.ring();
        } else {
            self.watch.leaving.clear();
        }
    }

    fn hand_over(&mut self, now: Nanos) {
        let gids: Vec<GroupId> = self.machine.groups().collect();
        for gid in gids {
            let has_heir = self.machine.has_heir(now, gid);
            let leaving = self.watch.leaving.entry(gid).or_default();
            if !has_heir {
                leaving.since = None;
                continue;
            }
            leaving.since.get_or_insert(now);
            if now >= leaving.kept_until && self.machine.may_hand_over(now, gid) {
                *leaving = Leaving { since: None, kept_until: now + KEEP_NS };
                mark!("full_leader_handed_over");
                let led = self.machine.leave(now, gid);
                assert_eq!(led, Ok(()), "{gid}: only a leader has an heir");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_ends_with_more_room_than_it_began_with() {
        const MIB: u64 = 1 << 20;
        let mut report = DiskReport { room: Room::Enough, free: 0, total: 0, reserve: 0 };
        // 700 MiB: the reserve is 256 MiB, a quarter of it 64, an eighth 32.
        let steps = [
            (300, Room::Enough),
            (256, Room::Enough),
            (255, Room::Short),
            (287, Room::Short),
            (288, Room::Enough),
            (64, Room::Short),
            (63, Room::None),
            (95, Room::None),
            (96, Room::Short),
            (10, Room::None),
            (287, Room::Short),
            (10, Room::None),
            (288, Room::Enough),
        ];
        for (free, room) in steps {
            let space = Space { free: free * MIB, total: 700 * MIB };
            report = report.after(space, None);
            assert_eq!((report.room, report.reserve), (room, 256 * MIB), "{free} MiB are free");
        }
        let space = Space { free: 5, total: 700 * MIB };
        assert_eq!(report.after(space, Some(0)).room, Room::Enough, "no reserve was wanted");
    }
}
