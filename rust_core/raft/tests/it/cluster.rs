//! A cluster of machines in memory: links that hold encoded parcels, logs with a durable prefix,
//! and the invariants over all nodes. Nothing happens by itself: a script or a seed decides.

use std::collections::VecDeque;
use std::sync::Arc;

use phantom_base::bytes::Reader;
use phantom_base::{
    GroupId, LogIndex, Lsn, Map, Nanos, NodeId, OFFSET_MAX_MS, ReplicaId, SeededRandom, Term,
    Timestamp,
};
use phantom_raft::{
    BarrierOutcome, Body, Entries, Entry, Event, HardState, Identity, Limits, LogRecord, Machine,
    Member, Outcome, Parcel, Parting, Promise, Ready, Restored, SupportState, decode_parcel,
    encode_parcel,
};

pub const GROUP: GroupId = GroupId(1);

/// A log of one group: records, of which a prefix is durable.
#[derive(Default)]
pub struct FakeLog {
    records: Vec<LogRecord>,
    pub durable: usize,
    released: u64,
    state: HardState,
    pub support: SupportState,
    entries: Vec<Entry>,
}

impl FakeLog {
    fn push(&mut self, records: Vec<LogRecord>) -> Lsn {
        for record in records {
            self.take(record);
        }
        Lsn(self.records.len() as u64)
    }

    pub fn take(&mut self, record: LogRecord) {
        match &record {
            LogRecord::State { state, .. } => self.state = *state,
            LogRecord::Support(support) => self.support = support.clone(),
            LogRecord::Append { entries, .. } => {
                let first = entries[0].index;
                self.entries.retain(|entry| entry.index < first);
                self.entries.extend(entries.iter().cloned());
            }
        }
        self.records.push(record);
    }

    pub fn sync(&mut self) {
        self.durable = self.records.len();
    }

    pub fn pending(&self) -> usize {
        self.records.len() - self.durable
    }

    /// Loses all records but `kept` of those that are not durable.
    fn crash(&mut self, kept: usize) {
        let records: Vec<_> = self.records.drain(..).take(self.durable + kept).collect();
        let released = self.released;
        *self = Self { released, ..Self::default() };
        for record in records {
            self.take(record);
        }
        self.sync();
    }

    pub fn release(&mut self, upto: LogIndex) {
        self.released = self.released.max(upto.0);
    }

    pub fn state(&self) -> HardState {
        self.state
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.index.0 > self.released)
    }
}

impl Entries for FakeLog {
    fn bounds(&self, _: GroupId) -> (LogIndex, LogIndex) {
        let last = self.entries.last().map_or(0, |entry| entry.index.0);
        (LogIndex(self.released + 1), LogIndex(last))
    }

    fn term_at(&self, _: GroupId, index: LogIndex) -> Option<Term> {
        let known = self.entries.iter().filter(|entry| entry.index.0 >= self.released);
        known.filter(|entry| entry.index == index).map(|entry| entry.term).next()
    }

    fn read(&self, _: GroupId, from: LogIndex, bytes_max: usize) -> Vec<Entry> {
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let first = bytes == 0;
            bytes += entry.data.len() + 1;
            first || bytes <= bytes_max
        };
        self.entries().filter(|e| e.index >= from).take_while(fits).cloned().collect()
    }
}

pub struct Node {
    pub id: NodeId,
    pub machine: Option<Machine>,
    pub log: FakeLog,
    pub incarnation: u32,
    /// Its hybrid clock; stamps of a former life are below.
    pub hlc: Timestamp,
    /// How far its physical clock is ahead of the slowest.
    pub ahead_ms: u64,
    /// What was handed out to be applied and is not.
    pub to_apply: VecDeque<u64>,
    /// What was applied, by index from 1.
    pub applied: Vec<Entry>,
}

/// What the world saw; lines are what scripts print.
#[derive(Default)]
pub struct Seen {
    pub lines: Vec<String>,
    leaders: Map<Term, NodeId>,
    committed: Map<u64, Entry>,
    /// Highest index that a proposer was told to be committed.
    pub acknowledged: u64,
    pub superseded: Vec<(u64, Arc<[u8]>)>,
    /// By token: what had been acknowledged when the barrier was asked for.
    pub barriers: Map<u64, u64>,
    /// The first and the last stamp that was read by lease in each term, and how many were.
    leases: Map<Term, (Timestamp, Timestamp)>,
    pub lease_reads: u64,
    /// What a node's life counted on of each other.
    held: Map<(u32, u32, u32), Promise>,
    pub proposals: Map<u64, (u64, Arc<[u8]>)>,
}

pub struct Cluster {
    pub now: Nanos,
    pub limits: Limits,
    pub nodes: Vec<Node>,
    pub links: Map<(u32, u32), VecDeque<Vec<u8>>>,
    /// Pairs of nodes whose messages are lost.
    pub cuts: Vec<(u32, u32)>,
    pub seen: Seen,
    /// Whether machines are told the time, so that they count on each other.
    pub has_clocks: bool,
    pub seed: u64,
    stamp: u64,
}

impl Cluster {
    pub fn new(nodes: u32, limits: Limits, seed: u64) -> Self {
        let node = |n| Node {
            id: NodeId(n),
            machine: None,
            log: FakeLog::default(),
            incarnation: 0,
            hlc: Timestamp::MIN,
            ahead_ms: 0,
            to_apply: VecDeque::new(),
            applied: Vec::new(),
        };
        let nodes = (1..=nodes).map(node).collect();
        Self {
            now: 1_000_000_000,
            limits,
            nodes,
            links: Map::new(),
            cuts: Vec::new(),
            seen: Seen::default(),
            has_clocks: false,
            seed,
            stamp: 0,
        }
    }

    pub fn node(&mut self, n: u32) -> &mut Node {
        &mut self.nodes[n as usize - 1]
    }

    pub fn machine(&mut self, n: u32) -> &mut Machine {
        self.look(n);
        self.node(n).machine.as_mut().expect("a running node")
    }

    /// Folds physical time into a node's clock, and tells its machine.
    fn look(&mut self, n: u32) {
        if !self.has_clocks {
            return;
        }
        let now_ms = self.now / 1_000_000;
        let node = self.node(n);
        node.hlc = node.hlc.max(Timestamp::from_ms(now_ms + node.ahead_ms));
        let hlc = node.hlc;
        if let Some(machine) = &mut node.machine {
            machine.look(hlc, OFFSET_MAX_MS);
        }
    }

    /// A fresh stamp of a node; without clocks one counts for all.
    fn tick_stamp(&mut self, n: u32) -> Timestamp {
        self.look(n);
        self.stamp += 1;
        if !self.has_clocks {
            return Timestamp(self.stamp);
        }
        let node = self.node(n);
        node.hlc = node.hlc.next();
        node.hlc
    }

    pub fn is_up(&self, n: u32) -> bool {
        self.nodes[n as usize - 1].machine.is_some()
    }

    /// Starts a node with what its log holds; `flushed` entries need not be applied again.
    pub fn start(&mut self, n: u32, flushed: u64) {
        let member = |n| Member { node: NodeId(n), replica: ReplicaId(n) };
        let members = (1..=self.nodes.len() as u32).map(member).collect();
        let (now, limits, seed) = (self.now, self.limits, self.seed);
        let node = self.node(n);
        assert!(node.machine.is_none(), "n{n} runs");
        node.incarnation += 1;
        let identity = Identity { node: node.id, incarnation: node.incarnation };
        let random = SeededRandom::new(seed).fork(u64::from(n) << 32 | u64::from(node.incarnation));
        let mut machine =
            Machine::new(identity, limits, &node.log.support, *b"noop", Box::new(random));
        let applied = LogIndex(flushed);
        let hard = node.log.state();
        let restored =
            Restored { gid: GROUP, me: member(n), members, hard, applied, spares_full: true };
        machine.add_group(now, restored, &node.log);
        node.applied.truncate(flushed as usize);
        node.to_apply.clear();
        node.machine = Some(machine);
    }

    /// Stops a node as a power cut does; `kept` records that were not durable survive.
    pub fn crash(&mut self, n: u32, kept: usize) {
        let node = self.node(n);
        node.machine = None;
        node.log.crash(kept);
    }

    /// Takes and carries out what a node has ready, but for syncing and applying.
    pub fn pump(&mut self, n: u32) {
        let (now, stamp) = (self.now, self.tick_stamp(n));
        let node = &mut self.nodes[n as usize - 1];
        let Some(machine) = node.machine.as_mut() else { return };
        let ready = machine.ready(now, stamp, &node.log);
        let Ready { records, messages, committed, done, barriers, events } = ready;
        for record in &records {
            self.seen.lines.push(format!("n{n} logs {}", show_record(record)));
        }
        if !records.is_empty() {
            let end = node.log.push(records);
            machine.pushed(end);
        }
        for range in committed {
            self.seen.lines.push(format!("n{n} applies {}..={}", range.first, range.last));
            node.to_apply.extend(range.first.0..=range.last.0);
        }
        for event in &events {
            self.seen.lines.push(format!("n{n} event {event:?}"));
            if let Event::BecameLeader { term, .. } = event {
                let leader = *self.seen.leaders.entry(*term).or_insert(NodeId(n));
                assert_eq!(leader, NodeId(n), "two leaders in {term}");
            }
        }
        for done in done {
            let line = format!("n{n} done {} {:?} {}", done.token, done.outcome, done.index);
            self.seen.lines.push(line);
            self.seen.judge_done(done.token, done.index.0, done.outcome);
        }
        for answer in barriers {
            self.seen.lines.push(format!("n{n} barrier {} {:?}", answer.token, answer.outcome));
            let asked = self.seen.barriers.remove(&answer.token);
            if let phantom_raft::BarrierOutcome::Open { applied, .. } = answer.outcome {
                let asked = asked.expect("answered once");
                assert!(applied.0 >= asked, "stale barrier: {applied}, acknowledged {asked}");
            }
        }
        for (to, parcel) in messages {
            let pair = (n.min(to.0), n.max(to.0));
            let lost = self.cuts.iter().any(|(a, b)| pair == (*a.min(b), *a.max(b)));
            let arrow = if lost { "-x" } else { "->" };
            self.seen.lines.push(format!("n{n} {arrow} {to} {}", show_parcel(&parcel)));
            if lost {
                continue;
            }
            let shown = if self.has_clocks && self.shows_stamp(&parcel) { stamp.0 } else { 0 };
            let mut bytes = shown.to_le_bytes().to_vec();
            encode_parcel(&parcel, &mut bytes);
            self.links.entry((n, to.0)).or_default().push_back(bytes);
        }
        let broken = self.machine(n).check();
        assert!(broken.is_empty(), "{broken:#?}");
        if self.has_clocks {
            self.judge_promises(n);
        }
    }

    /// Signs of life and parting words may leave while the clock may not be shown.
    fn shows_stamp(&self, parcel: &Parcel) -> bool {
        let needs_none = match parcel {
            Parcel::Group(m) => matches!(m.body, Body::Farewell { .. } | Body::Handover { .. }),
            _ => true,
        };
        !needs_none || self.stamp.is_multiple_of(2)
    }

    /// What one node counts on, the other has not withdrawn, or its clock has passed it.
    fn judge_promises(&mut self, n: u32) {
        let (id, incarnation) = (NodeId(n), self.node(n).incarnation);
        for other in self.nodes.iter().filter(|other| other.id != id) {
            let Some(peer) = &other.machine else { continue };
            let held = self.nodes[n as usize - 1].machine.as_ref().expect("it runs").held(other.id);
            let is_withdrawn = peer.withdrawn(id) >= held.epoch;
            assert!(
                !is_withdrawn || other.hlc > held.until,
                "{} withdrew early from n{n}: {held:?} at {:?}",
                other.id,
                other.hlc
            );
            let before = self.seen.held.insert((n, other.id.0, incarnation), held);
            // A withdrawal may be told and then lost in a crash: the time was over all the same.
            let now_ms = self.nodes[n as usize - 1].hlc.ms() + OFFSET_MAX_MS;
            let holds = |before: Promise| before.epoch < held.epoch && before.until.ms() > now_ms;
            assert!(
                !before.is_some_and(holds),
                "n{n} gave up what {} had promised: {before:?}",
                other.id
            );
        }
    }

    /// Delivers the message at `at` of a link; a node that is down loses it.
    pub fn deliver(&mut self, from: u32, to: u32, at: usize) {
        let Some(bytes) = self.links.get_mut(&(from, to)).and_then(|link| link.remove(at)) else {
            return;
        };
        if self.is_up(to) {
            let (shown, bytes) = bytes.split_at(8);
            let shown = Timestamp(u64::from_le_bytes(shown.try_into().expect("a stamp")));
            let node = self.node(to);
            node.hlc = node.hlc.max(shown);
            let parcel = decode_parcel(&mut Reader::new(bytes)).expect("our own bytes");
            let now = self.now;
            let taken = self.machine(to).step(now, NodeId(from), parcel);
            taken.expect("nobody lies here");
            self.pump(to);
        }
    }

    pub fn sync(&mut self, n: u32) {
        let now = self.now;
        let node = self.node(n);
        node.log.sync();
        let lsn = Lsn(node.log.durable as u64);
        if let Some(machine) = &mut node.machine {
            machine.durable(now, lsn);
            self.pump(n);
        }
    }

    /// Applies up to `count` entries that were handed out.
    pub fn apply(&mut self, n: u32, count: usize) {
        let now = self.now;
        let node = &mut self.nodes[n as usize - 1];
        let Some(machine) = node.machine.as_mut() else { return };
        let mut last = None;
        for _ in 0..count {
            let Some(index) = node.to_apply.pop_front() else { break };
            let read = node.log.read(GROUP, LogIndex(index), 1);
            let entry = read.into_iter().next().expect("a durable entry");
            assert_eq!(node.applied.len() as u64 + 1, index, "applied in order, once");
            self.seen.judge_applied(&entry);
            node.applied.push(entry);
            last = Some(LogIndex(index));
        }
        if let Some(last) = last {
            machine.applied(now, GROUP, last);
            self.pump(n);
        }
    }

    pub fn propose(&mut self, n: u32, token: u64, data: &[u8]) -> bool {
        let (now, data): (_, Arc<[u8]>) = (self.now, Arc::from(data));
        let answer = self.machine(n).propose(now, GROUP, Arc::clone(&data), token);
        match answer {
            Ok(index) => {
                self.seen.proposals.insert(token, (index.0, data));
                self.seen.lines.push(format!("n{n} proposed at {index}"));
            }
            Err(refused) => self.seen.lines.push(format!("n{n} refused: {refused}")),
        }
        self.pump(n);
        answer.is_ok()
    }

    /// A read by lease, if the node has one; whether it had.
    pub fn lease(&mut self, n: u32) -> bool {
        if !self.has_clocks {
            return false;
        }
        let (now, stamp) = (self.now, self.tick_stamp(n));
        let opened = self.machine(n).lease(now, GROUP, stamp);
        if let Some(BarrierOutcome::Open { applied, stamp, term }) = opened {
            self.seen.lines.push(format!("n{n} reads by lease: {applied} {term}"));
            self.seen.judge_lease(applied, stamp, term);
        }
        opened.is_some()
    }

    pub fn barrier(&mut self, n: u32, token: u64) {
        let now = self.now;
        match self.machine(n).barrier(now, GROUP, token) {
            Ok(()) => {
                self.seen.barriers.insert(token, self.seen.acknowledged);
            }
            Err(refused) => self.seen.lines.push(format!("n{n} refused: {refused}")),
        }
        self.pump(n);
    }

    pub fn tick(&mut self, n: u32) {
        if self.is_up(n) {
            let now = self.now;
            self.machine(n).tick(now);
            self.pump(n);
        }
    }

    /// Syncs, delivers and applies everything, but for `held` nodes' syncs, until all is quiet.
    pub fn settle(&mut self, held: &[u32]) {
        for _ in 0..1_000 {
            let mut quiet = true;
            for n in 1..=self.nodes.len() as u32 {
                if self.is_up(n) && !held.contains(&n) && self.node(n).log.pending() > 0 {
                    self.sync(n);
                    quiet = false;
                }
                if !self.node(n).to_apply.is_empty() {
                    self.apply(n, usize::MAX);
                    quiet = false;
                }
            }
            let waiting = |(link, queue): (&(u32, u32), &VecDeque<_>)| {
                (!queue.is_empty()).then_some((*link, queue.len()))
            };
            let links: Vec<_> = self.links.iter().filter_map(waiting).collect();
            for ((from, to), count) in links {
                (0..count).for_each(|_| self.deliver(from, to, 0));
                quiet = false;
            }
            if quiet {
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }
}

impl Seen {
    fn judge_done(&mut self, token: u64, index: u64, outcome: Outcome) {
        let (at, data) = self.proposals.remove(&token).expect("answered once");
        assert_eq!(at, index);
        match outcome {
            Outcome::Committed => {
                assert_eq!(self.committed[&index].data, data, "another entry was acknowledged");
                self.acknowledged = self.acknowledged.max(index);
            }
            Outcome::Superseded => self.superseded.push((index, data)),
            Outcome::Unknown => {}
        }
    }

    /// It sees all that was acknowledged, and no other term was read by lease at its stamp.
    fn judge_lease(&mut self, applied: LogIndex, stamp: Timestamp, term: Term) {
        let newest = self.acknowledged;
        assert!(applied.0 >= newest, "stale lease: {applied}, acknowledged {newest}");
        self.lease_reads += 1;
        let own = self.leases.entry(term).or_insert((stamp, stamp));
        *own = (own.0.min(stamp), own.1.max(stamp));
        for (other, (first, last)) in &self.leases {
            let is_apart = match other.cmp(&term) {
                std::cmp::Ordering::Less => *last < stamp,
                std::cmp::Ordering::Greater => stamp < *first,
                std::cmp::Ordering::Equal => true,
            };
            assert!(is_apart, "{stamp:?} in {term}, {first:?} to {last:?} in {other}");
        }
    }

    fn judge_applied(&mut self, entry: &Entry) {
        let known = self.committed.entry(entry.index.0).or_insert_with(|| entry.clone());
        assert_eq!(known, entry, "committed entries never change");
    }

    /// Superseded proposals were really lost. Proposals must differ in their data.
    pub fn judge_superseded(&self) {
        for (index, data) in &self.superseded {
            assert_ne!(&self.committed[index].data, data, "called lost, but committed");
        }
    }

    pub fn committed(&self) -> &Map<u64, Entry> {
        &self.committed
    }
}

pub fn show_record(record: &LogRecord) -> String {
    match record {
        LogRecord::State { state, .. } => {
            let HardState { term, vote, commit, lead, lead_epoch } = state;
            let epoch = show_epoch(*lead_epoch);
            format!("state {term} vote={vote} commit={commit} lead={lead}{epoch}")
        }
        LogRecord::Support(state) => {
            let withdrawn: Vec<_> =
                state.withdrawn.iter().map(|(n, e)| format!(" {n}:{}", show_numbers(*e))).collect();
            format!("promises bound={} withdrawn={withdrawn:?}", state.bound.ms())
        }
        LogRecord::Append { entries, .. } => format!("append {entries:?}"),
    }
}

pub fn show_parcel(parcel: &Parcel) -> String {
    match parcel {
        Parcel::Group(message) => {
            let text = match &message.body {
                Body::Append { prev, commit, entries } => {
                    format!("Append after {prev:?} commit={commit} {entries:?}")
                }
                Body::Round { context } => format!("Round {}", show_context(*context)),
                Body::RoundAnswer { context } => format!("RoundAnswer {}", show_context(*context)),
                Body::Ask { request } => format!("Ask {}", show_context(*request)),
                Body::Answer { request, index, stamp } => {
                    format!("Answer {} {index} {stamp:?}", show_context(*request))
                }
                Body::PreVote { last } => format!("PreVote {{ last: {last:?} }}"),
                Body::Vote { last, permit } if *permit == Parting::default() => {
                    format!("Vote {{ last: {last:?} }}")
                }
                Body::PreVoteAnswer { granted, .. } => {
                    format!("PreVoteAnswer {{ granted: {granted} }}")
                }
                Body::Farewell { .. } => "Farewell".to_owned(),
                Body::Handover { heir, .. } => format!("Handover {{ heir: {heir:?} }}"),
                Body::Accepted { matched, epoch } => {
                    format!("Accepted {{ matched: {matched:?} }}{}", show_epoch(*epoch))
                }
                other => format!("{other:?}"),
            };
            format!("{} {text}", message.term)
        }
        Parcel::Heartbeat(beat) => {
            let line = beat.lines[0];
            format!("{} Heartbeat commit={} all_have={}", line.term, line.commit, line.all_have)
        }
        Parcel::HeartbeatAnswer(answer) => {
            let line = answer.lines[0];
            let epoch = show_epoch(line.epoch);
            format!("{} HeartbeatAnswer applied={}{epoch}", line.term, line.applied)
        }
        Parcel::SupportAsked(wish) => format!("SupportAsked {}", show_promise(*wish)),
        Parcel::SupportGiven(given) => format!("SupportGiven {}", show_promise(*given)),
    }
}

/// An epoch: incarnation and number.
fn show_numbers(epoch: u64) -> String {
    format!("{}.{}", epoch >> 32, epoch & u64::from(u32::MAX))
}

/// Nothing for none.
fn show_epoch(epoch: u64) -> String {
    if epoch == 0 { String::new() } else { format!(" epoch={}", show_numbers(epoch)) }
}

fn show_promise(promise: Promise) -> String {
    let until = promise.until.ms();
    let epoch = show_numbers(promise.epoch);
    if until == 0 { format!("withdrawn={epoch}") } else { format!("epoch={epoch} until={until}") }
}

/// Incarnation and number.
fn show_context(context: u64) -> String {
    format!("{}.{}", context >> 40, context & ((1 << 40) - 1))
}
