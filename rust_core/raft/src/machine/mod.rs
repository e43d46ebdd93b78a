//! All groups of a node behind one set of verbs.
//!
//! The caller's loop: give messages (`step`), wishes (`propose`, `barrier`, `campaign`), time
//! (`tick`), durability (`durable`) and progress of apply (`applied`); then take a `Ready`, push
//! its records, call `pushed` with their end, and carry the rest out. Records of one `Ready` are a
//! *batch*: what relies on it is held back until the log address of its end is durable.

mod out;
mod support;

use std::collections::VecDeque;
use std::sync::Arc;

use phantom_base::{GroupId, LogIndex, Lsn, Map, Nanos, NodeId, Random, Set, Timestamp};

pub use out::{Act, Batch, Out};

use crate::group::{Context, Group, GroupStatus};
use crate::support::Support;
use crate::types::Noop;
use crate::{
    Committed, Contradiction, Entries, Event, Heartbeat, HeartbeatAnswer, Identity, Limits,
    LostWhy, Message, Parcel, Ready, Refused, Restored, Room, SupportState, Token,
};

/// How many bits of a context count within one start of the node.
const CONTEXT_BITS: u32 = 40;

/// The replicas of one node.
pub struct Machine {
    identity: Identity,
    limits: Limits,
    noop: Noop,
    random: Box<dyn Random>,
    contexts: u64,
    groups: Map<GroupId, Group>,
    /// Groups that the next `Ready` must look at: a node has thousands, and most are idle.
    touched: Set<GroupId>,
    /// Groups in which a round of reads waits for a stamp.
    unstamped: Set<GroupId>,
    out: Out,
    /// Batches that were pushed and are not yet durable, with their ends.
    pushed: VecDeque<(Batch, Lsn)>,
    next_tick: Nanos,
    next_heartbeat: Nanos,
    room: Room,
    support: Support,
    uncertainty_ms: u64,
    stopped: bool,
}

impl Machine {
    /// A machine without groups, of a node that has promised what `support` says in former lives.
    /// `noop` is the body of the entry with which a leader begins its
    /// term; `random` spreads election timeouts.
    pub fn new(
        identity: Identity,
        limits: Limits,
        support: &SupportState,
        noop: impl Into<Arc<[u8]>>,
        random: Box<dyn Random>,
    ) -> Self {
        assert!(identity.node != NodeId::NONE, "a node has a number");
        assert!(identity.incarnation < 1 << (64 - CONTEXT_BITS), "{identity:?}");
        Self {
            identity,
            limits,
            noop: noop.into(),
            random,
            contexts: u64::from(identity.incarnation) << CONTEXT_BITS,
            groups: Map::new(),
            touched: Set::new(),
            unstamped: Set::new(),
            out: Out::default(),
            pushed: VecDeque::new(),
            next_tick: 0,
            next_heartbeat: 0,
            room: Room::Enough,
            support: Support::restore(identity.incarnation, limits.support_ns, support),
            uncertainty_ms: 0,
            stopped: false,
        }
    }

    /// Takes up a replica with what the log remembers of it.
    pub fn add_group(&mut self, now: Nanos, restored: Restored, entries: &dyn Entries) {
        let gid = restored.gid;
        assert!(!self.groups.contains_key(&gid), "{gid} exists");
        let peers = restored.members.iter().map(|member| member.node);
        peers.filter(|peer| *peer != self.identity.node).for_each(|p| self.support.meet(p));
        let (mut cx, _) = self.split(now);
        let group = Group::restore(restored, entries, &mut cx);
        if let Some((peer, epoch)) = group.promised() {
            self.support.remember(peer, epoch);
        }
        self.groups.insert(gid, group);
        self.touched.insert(gid);
        self.next_tick = now;
    }

    fn split(&mut self, now: Nanos) -> (Context<'_>, &mut Map<GroupId, Group>) {
        let cx = Context {
            now,
            identity: self.identity,
            limits: &self.limits,
            random: &mut *self.random,
            noop: &self.noop,
            contexts: &mut self.contexts,
            room: self.room,
            support: &self.support,
            uncertainty_ms: self.uncertainty_ms,
            out: &mut self.out,
        };
        (cx, &mut self.groups)
    }

    fn with<T>(
        &mut self,
        now: Nanos,
        gid: GroupId,
        act: impl FnOnce(&mut Group, &mut Context<'_>) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        if self.stopped {
            return Err(Refused::Stopped);
        }
        let (mut cx, groups) = self.split(now);
        let group = groups.get_mut(&gid).ok_or(Refused::NoGroup)?;
        let answer = act(group, &mut cx);
        if answer.is_ok() {
            self.touched.insert(gid);
        }
        answer
    }

    /// Takes a parcel from a peer. Parcels for groups that are not here are dropped. After an error
    /// the peer is not to be believed: close its link.
    pub fn step(&mut self, now: Nanos, from: NodeId, parcel: Parcel) -> Result<(), Contradiction> {
        assert!(from != self.identity.node, "nobody writes to itself");
        if self.stopped {
            return Ok(());
        }
        match parcel {
            Parcel::Group(message) => self.step_group(now, from, message),
            Parcel::Heartbeat(beat) => self.step_heartbeat(now, from, &beat),
            Parcel::HeartbeatAnswer(answer) => {
                let (mut cx, groups) = self.split(now);
                for line in &answer.lines {
                    if let Some(group) = groups.get_mut(&line.gid) {
                        group.on_line_answer(from, line, answer.short_of_room, &mut cx);
                    }
                }
                self.touched.extend(answer.lines.iter().map(|line| line.gid));
                Ok(())
            }
            Parcel::SupportAsked(wish) => {
                let answer = self.support.on_asked(from, wish).map(Parcel::SupportGiven);
                self.out.messages.extend(answer.map(|answer| (from, answer)));
                Ok(())
            }
            Parcel::SupportGiven(promise) => {
                self.support.on_given(from, promise);
                Ok(())
            }
        }
    }

    fn step_group(
        &mut self,
        now: Nanos,
        from: NodeId,
        message: Message,
    ) -> Result<(), Contradiction> {
        let gid = message.gid;
        let (mut cx, groups) = self.split(now);
        let Some(group) = groups.get_mut(&gid) else {
            phantom_base::mark!("message_of_unknown_group_dropped");
            return Ok(());
        };
        group.step(from, message, &mut cx)?;
        let next = group.next_tick(&cx);
        self.next_tick = self.next_tick.min(next);
        self.touched.insert(gid);
        Ok(())
    }

    fn step_heartbeat(
        &mut self,
        now: Nanos,
        from: NodeId,
        beat: &Heartbeat,
    ) -> Result<(), Contradiction> {
        let (mut cx, groups) = self.split(now);
        let mut lines = Vec::with_capacity(beat.lines.len());
        let mut believed = Ok(());
        for line in &beat.lines {
            let Some(group) = groups.get_mut(&line.gid) else { continue };
            match group.on_line(from, line, &mut cx) {
                Ok(answer) => lines.extend(answer),
                Err(lie) => {
                    believed = Err(lie);
                    break;
                }
            }
        }
        self.touched.extend(lines.iter().map(|line| line.gid));
        believed?;
        if !lines.is_empty() {
            let short_of_room = self.room != Room::Enough;
            let answer = Parcel::HeartbeatAnswer(HeartbeatAnswer { short_of_room, lines });
            self.out.messages.push((from, answer));
        }
        Ok(())
    }

    /// Proposes an entry in a group that this node leads; `token` comes back in `Ready::done`.
    pub fn propose(
        &mut self,
        now: Nanos,
        gid: GroupId,
        data: impl Into<Arc<[u8]>>,
        token: Token,
    ) -> Result<LogIndex, Refused> {
        self.with(now, gid, |group, cx| group.propose(data.into(), token, cx))
    }

    /// Asks for a read barrier; `token` comes back in `Ready::barriers`.
    pub fn barrier(&mut self, now: Nanos, gid: GroupId, token: Token) -> Result<(), Refused> {
        self.with(now, gid, |group, cx| group.barrier(token, cx))
    }

    /// Begins an election; legal at any time.
    pub fn campaign(&mut self, now: Nanos, gid: GroupId, prevote: bool) -> Result<(), Refused> {
        self.with(now, gid, |group, cx| group.campaign(prevote, cx))
    }

    /// Gives leadership up; the followers may elect at once.
    pub fn step_down(&mut self, now: Nanos, gid: GroupId) -> Result<(), Refused> {
        self.with(now, gid, |group, cx| group.step_down(LostWhy::Asked, cx))
    }

    /// Hands leadership over as soon as a member misses nothing; until then nothing is proposed. If
    /// none catches up within an election timeout, this node leads on.
    pub fn leave(&mut self, now: Nanos, gid: GroupId) -> Result<(), Refused> {
        self.with(now, gid, Group::leave)
    }

    /// Says how much room the node's disk has. Leaders elsewhere hear of it with the next heartbeat.
    pub fn set_room(&mut self, room: Room) {
        self.room = room;
    }

    /// Says how long logs take to be durable: elections are given that time.
    pub fn set_sync(&mut self, sync_ns: Nanos) {
        self.limits.sync_ns = sync_ns;
        self.support.set_sync(sync_ns);
    }

    /// Whether a member with room is there that could lead a group in this node's place, now or
    /// as soon as it has caught up.
    pub fn has_heir(&mut self, now: Nanos, gid: GroupId) -> bool {
        let (cx, groups) = self.split(now);
        groups.get(&gid).is_some_and(|group| group.has_heir(&cx))
    }

    /// Whether a group is led here by a leader too new to know whose disks are full.
    pub fn awaits_room(&mut self, now: Nanos, gid: GroupId) -> bool {
        let (cx, groups) = self.split(now);
        groups.get(&gid).is_some_and(|group| group.awaits_room(&cx))
    }

    /// Whether a member is heard that may be elected, whatever it misses yet: what cannot be sent to
    /// it from here does not come sooner by waiting.
    pub fn has_successor(&mut self, now: Nanos, gid: GroupId) -> bool {
        let (cx, groups) = self.split(now);
        groups.get(&gid).is_some_and(|group| group.has_successor(&cx))
    }

    /// Whether such a member misses nothing, and nothing is in flight: giving leadership up costs
    /// no proposal its answer.
    pub fn may_hand_over(&mut self, now: Nanos, gid: GroupId) -> bool {
        let (cx, groups) = self.split(now);
        groups.get(&gid).is_some_and(|group| group.may_hand_over(&cx))
    }

    /// A new link to `peer` is up, or the old one is down: what was under way may be lost.
    pub fn connected(&mut self, peer: NodeId) {
        self.groups.values_mut().for_each(|group| group.on_connected(peer));
        self.touched.extend(self.groups.keys());
    }

    /// Lets time pass: timers, heartbeats, patience. Cheap when nothing is due.
    pub fn tick(&mut self, now: Nanos) {
        self.mind_support(now);
        if self.stopped || now < self.next_tick.min(self.next_heartbeat) {
            return;
        }
        let heartbeat = now >= self.next_heartbeat;
        if heartbeat {
            self.ask_support();
        }
        let (mut cx, groups) = self.split(now);
        let mut due = Vec::new();
        let mut next_tick = Nanos::MAX;
        let mut lines: Map<NodeId, Vec<_>> = Map::new();
        for (gid, group) in groups.iter_mut() {
            if group.tick(&mut cx) {
                if group.is_alone() {
                    // Nobody has to be asked, nor can be in the way. Refused if it just stood.
                    let _ = group.campaign(false, &mut cx);
                } else {
                    due.push(*gid);
                }
            }
            if heartbeat {
                for (peer, line) in group.lines() {
                    lines.entry(peer).or_default().push(line);
                }
            }
            next_tick = next_tick.min(group.next_tick(&cx));
        }
        if !due.is_empty() {
            self.out.events.push(Event::ElectionDue(due));
        }
        for (peer, lines) in lines {
            let beat = Heartbeat { incarnation: self.identity.incarnation, lines };
            self.out.messages.push((peer, Parcel::Heartbeat(beat)));
        }
        self.next_tick = next_tick.min(self.next_lapse(now));
        if heartbeat {
            self.next_heartbeat = now + self.limits.heartbeat_ns;
        }
    }

    /// When `tick` should be called again at the latest.
    pub fn next_tick(&self) -> Nanos {
        self.next_tick.min(self.next_heartbeat)
    }

    /// Whether `ready` may have something, though neither time nor the log have moved.
    pub fn has_ready(&self) -> bool {
        !self.touched.is_empty() || self.out.has_any()
    }

    /// Takes all that is to be done. `stamp` is a fresh stamp of the node's clock, for rounds
    /// that begin here (R14); the frames of this `Ready` must carry it or a later one. Without one
    /// rounds wait.
    pub fn ready(
        &mut self,
        now: Nanos,
        stamp: impl Into<Option<Timestamp>>,
        entries: &dyn Entries,
    ) -> Ready {
        let stamp = stamp.into();
        let mut touched = std::mem::take(&mut self.touched);
        if stamp.is_some() {
            touched.append(&mut self.unstamped);
        }
        let (mut cx, groups) = self.split(now);
        let (mut committed, mut unstamped) = (Vec::new(), Set::new());
        for gid in touched {
            let Some(group) = groups.get_mut(&gid) else { continue };
            group.go_if_ready(&mut cx);
            match stamp {
                Some(stamp) => group.begin_round(stamp, &mut cx),
                None if group.wants_round() => drop(unstamped.insert(gid)),
                None => {}
            }
            group.send_appends(entries, &mut cx);
            if let Some((first, last)) = group.take_committed() {
                committed.push(Committed { gid, first, last });
            }
        }
        self.unstamped.extend(unstamped);
        let out = &mut self.out;
        let ready = Ready {
            records: std::mem::take(&mut out.records),
            messages: std::mem::take(&mut out.messages),
            committed,
            done: std::mem::take(&mut out.done),
            barriers: std::mem::take(&mut out.barriers),
            events: std::mem::take(&mut out.events),
        };
        if !ready.records.is_empty() {
            // Its end is not known before `pushed`.
            assert!(out.unpushed.is_none(), "the records of the Ready before were not pushed");
            out.unpushed = Some(out.batch);
            out.batch = out.batch.next();
        }
        ready
    }

    /// The records of the last `Ready` are queued in the log and end at `end`.
    pub fn pushed(&mut self, end: Lsn) {
        let batch = self.out.unpushed.take().expect("a Ready with records came before");
        let last = self.pushed.back().map_or(Lsn(0), |(_, lsn)| *lsn);
        assert!(end > last, "{end} after {last}: records are pushed in order");
        self.pushed.push_back((batch, end));
    }

    /// The log is durable up to `lsn`: what waited for it may happen.
    pub fn durable(&mut self, now: Nanos, lsn: Lsn) {
        while let Some((batch, _)) = self.pushed.front().copied().filter(|(_, end)| *end <= lsn) {
            self.pushed.pop_front();
            self.out.durable = batch;
            for act in self.out.release(batch) {
                self.act(now, act);
            }
        }
    }

    fn act(&mut self, now: Nanos, act: Act) {
        match act {
            Act::Send { to, parcel } => self.out.messages.push((to, parcel)),
            Act::Promises { bound } => self.support.durable(bound),
            Act::OwnVote { gid, term } => {
                self.touched.insert(gid);
                let (mut cx, groups) = self.split(now);
                let group = groups.get_mut(&gid).expect("groups stay");
                group.own_vote_synced(term, &mut cx);
                let next = group.next_tick(&cx);
                self.next_tick = self.next_tick.min(next);
            }
            Act::Durable { gid, upto } => {
                self.touched.insert(gid);
                let (mut cx, groups) = self.split(now);
                groups.get_mut(&gid).expect("groups stay").synced(upto, &mut cx);
            }
        }
    }

    /// The caller has applied up to `index`.
    pub fn applied(&mut self, now: Nanos, gid: GroupId, index: LogIndex) {
        let (mut cx, groups) = self.split(now);
        groups.get_mut(&gid).expect("only own groups are applied").applied(index, &mut cx);
        self.touched.insert(gid);
    }

    /// The caller has released entries up to `upto` in the log.
    pub fn released(&mut self, gid: GroupId, upto: LogIndex) {
        self.groups.get_mut(&gid).expect("only own groups are released").released(upto);
    }

    /// Up to where all members of the group hold its entries durably, as far as is known here.
    pub fn all_have(&self, gid: GroupId) -> Option<LogIndex> {
        self.groups.get(&gid).map(Group::all_have)
    }

    /// Ends everything that waits and refuses everything that comes; take a last `Ready`.
    pub fn stop(&mut self, now: Nanos) {
        let (mut cx, groups) = self.split(now);
        for group in groups.values_mut() {
            group.stop(&mut cx);
        }
        self.stopped = true;
    }

    /// A replica's state; `None` if this node has none.
    pub fn status(&self, gid: GroupId) -> Option<GroupStatus> {
        self.groups.get(&gid).map(Group::status)
    }

    /// Whom this node follows in a group, itself included; `NONE` while nobody is known to lead.
    pub fn leader(&self, gid: GroupId) -> NodeId {
        self.groups.get(&gid).map_or(NodeId::NONE, Group::leader_node)
    }

    /// The groups of this node.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + use<'_> {
        self.groups.keys().copied()
    }

    /// Broken invariants, in words; empty while all is well.
    pub fn check(&self) -> Vec<String> {
        let mut broken: Vec<String> = self.groups.values().flat_map(Group::check).collect();
        broken.extend(self.support.check());
        let uncommitted: usize = self.groups.values().map(Group::uncommitted_bytes).sum();
        if uncommitted != self.out.uncommitted {
            broken.push(format!("uncommitted: {uncommitted} is not {}", self.out.uncommitted));
        }
        broken
    }
}
