//! The reactor's thread: the loop around doors and sockets, and the queues to and from the control
//! plane.
//!
//! It sleeps in one place, for the network, the workers' bell, verbs or the next timer. The control
//! plane posts verbs and takes events; neither side waits for the other, and no lock is held while
//! anything is done. The thread ends when it is told to or when the node cannot go on; it closes every
//! connection then and lets the core go. An end that nobody hears of ends the process.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use phantom_base::sync::{Condvar, Mutex};
use phantom_base::{Clock, Error, Nanos, Random, Spawner, sqlstate};
use phantom_node::control;
use phantom_node::core::NodeCore;
use phantom_node::runtime::{Bell, Runtime};

use crate::doors::{Doors, Endings, Kind, Laps, Limits, Security};
use crate::net::real::RealNet;
use crate::traffic::{Event, Verb};
use crate::view::{Counters, Pace, View, Window};
use crate::waiting::{Unanswered, Waiting};

/// A turn of so long is told: others wait for it.
const SLOW_TURN_NS: Nanos = 50_000_000;
/// How long the control plane may take to hear that the node has ended.
const HEAR_OF_THE_END: Duration = Duration::from_secs(1);

/// A listening socket, and who comes in there.
pub struct Listening {
    /// Bound and listening.
    pub socket: OwnedFd,
    /// Who comes in.
    pub kind: Kind,
}

/// What goes in between two turns.
#[derive(Default)]
struct Inbox {
    verbs: Vec<Verb>,
    core: Option<(NodeCore, Arc<Runtime>)>,
    security: Option<Security>,
    /// How long the last sync may take.
    stop: Option<Duration>,
}

struct Shared {
    inbox: Mutex<Inbox>,
    /// Rung for the reactor.
    bell: Bell,
    events: Mutex<Waiting>,
    /// Rung for the control plane.
    news: Bell,
    window: Window,
    end: Mutex<End>,
    ended: Condvar,
}

/// How the thread has ended.
#[derive(Default)]
struct End {
    how: Option<Result<(), Error>>,
    is_heard_of: bool,
}

/// What a reactor works with.
pub struct World {
    /// The time of its timers.
    pub clock: Arc<dyn Clock>,
    /// How long what waits that the control plane leaves waiting.
    pub random: Box<dyn Random>,
    /// Ends the process, for an error that the control plane does not hear of.
    pub end_process: fn(&Error),
}

/// The control plane's end of a reactor.
pub struct Reactor {
    shared: Arc<Shared>,
}

impl Reactor {
    /// Makes the thread, which serves peers at once and clients when it is told to.
    ///
    /// # Errors
    /// If the process may open no more descriptors, or a socket does not listen.
    pub fn start(
        listening: Vec<Listening>,
        limits: Limits,
        security: Security,
        world: World,
        spawner: &dyn Spawner,
    ) -> io::Result<Self> {
        let mut net = RealNet::new()?;
        let mut doors = Doors::new(limits);
        doors.timed_by(Arc::clone(&world.clock));
        doors.secure(security);
        for Listening { socket, kind } in listening {
            let listener = net.listen(socket)?;
            doors.add_door(listener, kind);
        }
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            bell: Bell::with_eventfd()?,
            events: Mutex::default(),
            news: Bell::with_eventfd()?,
            window: Window::default(),
            end: Mutex::default(),
            ended: Condvar::new(),
        });
        net.watch(shared.bell.fd().expect("it was made with one"))?;
        let thread = Thread {
            shared: Arc::clone(&shared),
            net,
            doors,
            world,
            runtime: None,
            pace: Pace::default(),
            turns: Turns::default(),
        };
        spawner.spawn("reactor", 0, Box::new(move || thread.run()));
        Ok(Self { shared })
    }

    /// Gives the reactor the core that `runtime` works for. It can be seen from now on.
    pub fn attach(&self, mut core: NodeCore, runtime: Arc<Runtime>) {
        let none = Turns::default().counters(0, 0, Endings::default());
        self.shared.window.show(View::of(&mut core, none));
        self.put(|inbox| inbox.core = Some((core, runtime)));
    }

    /// Says what is asked of connections from now on.
    pub fn secure(&self, security: Security) {
        self.put(|inbox| inbox.security = Some(security));
    }

    /// Says what is wanted, in this order.
    pub fn post(&self, verbs: Vec<Verb>) {
        self.put(|inbox| inbox.verbs.extend(verbs));
    }

    fn put(&self, change: impl FnOnce(&mut Inbox)) {
        change(&mut self.shared.inbox.lock());
        self.shared.bell.ring();
    }

    /// Readable while there are events.
    pub fn wakefd(&self) -> BorrowedFd<'_> {
        self.shared.news.fd().expect("it was made with one")
    }

    /// The oldest events that were not taken, in order; the descriptor stays readable while there
    /// are more.
    pub fn take_events(&self, limit: usize) -> Vec<Event> {
        // A ring that crosses a hush may leave it readable although nothing rings.
        self.shared.news.empty();
        self.shared.news.hush();
        let mut events = self.shared.events.lock();
        let taken = events.take(limit);
        if !events.is_empty() {
            self.shared.news.ring();
        }
        taken
    }

    /// The node as it was a moment ago; `None` before it has a core.
    pub fn view(&self) -> Option<Arc<View>> {
        self.shared.window.look()
    }

    /// Whether the thread has ended, and why if it was not told to. Whoever has asked knows it.
    pub fn end(&self) -> Option<Result<(), Error>> {
        let mut end = self.shared.end.lock();
        if end.how.is_some() {
            end.is_heard_of = true;
            self.shared.ended.notify_all();
        }
        end.how.clone()
    }

    /// Closes every connection and the core, whose disk is waited for so long; waits for the end.
    ///
    /// # Errors
    /// `58030` if the last sync fails or does not end; what had ended the node before.
    pub fn stop(&self, patience: Duration) -> Result<(), Error> {
        self.put(|inbox| inbox.stop = Some(patience));
        let mut end = self.shared.end.lock();
        end.is_heard_of = true;
        self.shared.ended.notify_all();
        loop {
            match &end.how {
                Some(how) => return how.clone(),
                None => self.shared.ended.wait(&mut end),
            }
        }
    }
}

struct Thread {
    shared: Arc<Shared>,
    net: RealNet,
    doors: Doors,
    world: World,
    runtime: Option<Arc<Runtime>>,
    pace: Pace,
    turns: Turns,
}

/// What turns have taken so far.
#[derive(Clone, Copy, Debug, Default)]
struct Turns {
    count: u64,
    ns: Nanos,
    slow: u64,
    /// Groups that a campaign was begun for without the control plane.
    elections_alone: u64,
}

impl Turns {
    fn counters(self, connections: usize, links: usize, endings: Endings) -> Counters {
        let counted = [
            ("turns", self.count),
            ("turn_us", self.ns / 1_000),
            ("slow_turns", self.slow),
            ("elections_alone", self.elections_alone),
            ("connections", connections as u64),
            ("links", links as u64),
        ];
        Counters { counted: counted.to_vec(), endings }
    }
}

impl Thread {
    fn run(mut self) {
        let how = match self.serve() {
            Ok(patience) => self.doors.detach().map_or(Ok(()), |core| core.close(patience)),
            Err(error) => Err(error),
        };
        // Connections close with their sockets; peers and clients are told by the system.
        drop(self.net);
        let failed = how.clone().err();
        let mut end = self.shared.end.lock();
        end.how = Some(how);
        self.shared.ended.notify_all();
        self.shared.news.ring();
        let Some(error) = failed else { return };
        let is_deaf = |end: &mut End| !end.is_heard_of;
        if self.shared.ended.wait_while_for(&mut end, is_deaf, HEAR_OF_THE_END).timed_out() {
            (self.world.end_process)(&error);
        }
    }

    /// Turns until it is told to stop; how long the last sync may take.
    fn serve(&mut self) -> Result<Duration, Error> {
        let mut ready = Vec::new();
        let mut sleep_ns: Nanos = 0;
        loop {
            ready.clear();
            let at_most = (sleep_ns < Nanos::MAX).then(|| Duration::from_nanos(sleep_ns));
            let rang = self.net.wait(at_most, &mut ready).map_err(|error| broken(&error))?;
            if rang {
                self.shared.bell.hush();
                if let Some(runtime) = &self.runtime {
                    runtime.heard();
                }
            }
            let inbox = std::mem::take(&mut *self.shared.inbox.lock());
            if let Some(patience) = inbox.stop {
                return Ok(patience);
            }
            if let Some(security) = inbox.security {
                self.doors.secure(security);
            }
            if let Some((core, runtime)) = inbox.core {
                let bell = runtime.wakefd().expect("a runtime with threads has a bell");
                self.net.watch(bell).map_err(|error| broken(&error))?;
                self.runtime = Some(runtime);
                self.doors.attach(core);
            }
            let now = self.world.clock.monotonic_ns();
            self.go_on_alone(now);
            let turn = self.doors.turn(&mut self.net, &ready, inbox.verbs, now)?;
            let slow = self.count(turn.laps);
            let told = self.tell(now, turn.moved, slow);
            let due = self.pace.due_at().min(self.shared.events.lock().wakes_at());
            sleep_ns = if told { 0 } else { turn.sleep_ns.min(due.saturating_sub(now)) };
        }
    }

    /// Hands over what is for the control plane, which then sees a node at least as new. Whether
    /// sessions were told that it does not answer.
    fn tell(&mut self, now: Nanos, moved: bool, slow: Option<Event>) -> bool {
        let mut events = self.doors.take_events();
        events.extend(slow);
        if self.pace.turned(now, moved, !events.is_empty()) {
            self.show(now);
        }
        if events.is_empty() {
            return false;
        }
        let mut waiting = self.shared.events.lock();
        let random = &mut *self.world.random;
        let unanswered: Vec<Unanswered> =
            events.into_iter().filter_map(|event| waiting.push(event, now, random).err()).collect();
        let is_gone = waiting.is_gone();
        drop(waiting);
        self.shared.news.ring();
        let told = !unanswered.is_empty();
        self.answer(unanswered, is_gone);
        told
    }

    /// Shows the node as it is now, if there is one.
    fn show(&mut self, now: Nanos) {
        let counters = self.counters();
        let Some(core) = self.doors.look() else { return };
        let disk_waits = core.disk_waits_ns() > 0;
        self.shared.window.show(View::of(core, counters));
        self.pace.shown(now, disk_waits);
    }

    /// Counts a turn; what is to be told if it was slow.
    fn count(&mut self, laps: Laps) -> Option<Event> {
        let ns = laps.total_ns();
        self.turns.count += 1;
        self.turns.ns += ns;
        let is_slow = ns >= SLOW_TURN_NS;
        self.turns.slow += u64::from(is_slow);
        is_slow.then(|| Event::SlowTurn(ns / 1_000_000, laps.to_string()))
    }

    fn counters(&self) -> Counters {
        let (connections, _, links) = self.doors.counts();
        self.turns.counters(connections, links, *self.doors.endings())
    }

    /// Does what cannot wait any longer for a control plane that does not come.
    fn go_on_alone(&mut self, now: Nanos) {
        let (overdue, is_gone) = {
            let mut waiting = self.shared.events.lock();
            (waiting.overdue(now), waiting.is_gone())
        };
        if !overdue.campaign.is_empty()
            && let Some(core) = self.doors.core()
        {
            self.turns.elections_alone += overdue.campaign.len() as u64;
            core.replication().campaign(&overdue.campaign, true);
        }
        if overdue.leaves
            && let Some(core) = self.doors.core()
        {
            let groups: Vec<_> = core.replication().groups().collect();
            for group in groups {
                // Where nobody else could lead, this node does.
                let _ = core.replication().leave(group);
            }
        }
        self.answer(overdue.unanswered, is_gone);
    }

    fn answer(&mut self, unanswered: Vec<Unanswered>, is_gone: bool) {
        if unanswered.is_empty() {
            return;
        }
        let Some(core) = self.doors.core() else { return };
        let error = if is_gone {
            Error::new(sqlstate::CANNOT_CONNECT_NOW, "this node's control plane does not answer")
        } else {
            Error::new(sqlstate::INSUFFICIENT_RESOURCES, "too much waits for a decision")
        };
        let answer = control::encode_unanswered(&error);
        for (session, event) in unanswered {
            // It decodes, and a session that has gone wants none.
            let _ = core.resume_session(session, event, &answer);
        }
    }
}

fn broken(error: &io::Error) -> Error {
    Error::new(sqlstate::IO_ERROR, format!("the reactor cannot wait: {error}"))
}
