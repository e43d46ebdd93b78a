//! The reactor's thread: the loop around doors and sockets, and the queues to and from the control
//! plane.
//!
//! It sleeps in one place, for the network, the workers' bell, verbs or the next timer. The control
//! plane posts verbs and takes events; neither side waits for the other, and no lock is held while
//! anything is done. The thread ends when it is told to or when the node cannot go on; it closes every
//! connection then and lets the core go.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use phantom_base::sync::{Condvar, Mutex};
use phantom_base::{Clock, Error, Nanos, Spawner, sqlstate};
use phantom_node::core::NodeCore;
use phantom_node::runtime::{Bell, Runtime};

use crate::doors::{Doors, Kind, Limits, Security};
use crate::net::real::RealNet;
use crate::traffic::{Event, Verb};

/// A listening socket, and who comes in there.
pub struct Listening {
    /// Bound and listening.
    pub socket: OwnedFd,
    /// Who comes in.
    pub kind: Kind,
    /// How many at once.
    pub slots: usize,
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
    events: Mutex<Vec<Event>>,
    /// Rung for the control plane.
    news: Bell,
    /// How the thread ended.
    end: Mutex<Option<Result<(), Error>>>,
    ended: Condvar,
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
        clock: Arc<dyn Clock>,
        spawner: &dyn Spawner,
    ) -> io::Result<Self> {
        let mut net = RealNet::new()?;
        let mut doors = Doors::new(limits);
        for Listening { socket, kind, slots } in listening {
            let listener = net.listen(socket)?;
            doors.add_door(listener, kind, slots);
        }
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            bell: Bell::with_eventfd()?,
            events: Mutex::default(),
            news: Bell::with_eventfd()?,
            end: Mutex::default(),
            ended: Condvar::new(),
        });
        net.watch(shared.bell.fd().expect("it was made with one"))?;
        let thread = Thread { shared: Arc::clone(&shared), net, doors, clock, runtime: None };
        spawner.spawn("reactor", 0, Box::new(move || thread.run()));
        Ok(Self { shared })
    }

    /// Gives the reactor the core that `runtime` works for.
    pub fn attach(&self, core: NodeCore, runtime: Arc<Runtime>) {
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

    /// All events since the last time, in order.
    pub fn take_events(&self) -> Vec<Event> {
        // A ring that crosses a hush may leave it readable although nothing rings.
        self.shared.news.empty();
        self.shared.news.hush();
        std::mem::take(&mut self.shared.events.lock())
    }

    /// Whether the thread has ended, and why if it was not told to.
    pub fn end(&self) -> Option<Result<(), Error>> {
        self.shared.end.lock().clone()
    }

    /// Closes every connection and the core, whose disk is waited for so long; waits for the end.
    ///
    /// # Errors
    /// `58030` if the last sync fails or does not end; what had ended the node before.
    pub fn stop(&self, patience: Duration) -> Result<(), Error> {
        self.put(|inbox| inbox.stop = Some(patience));
        let mut end = self.shared.end.lock();
        loop {
            match &*end {
                Some(end) => return end.clone(),
                None => self.shared.ended.wait(&mut end),
            }
        }
    }
}

struct Thread {
    shared: Arc<Shared>,
    net: RealNet,
    doors: Doors,
    clock: Arc<dyn Clock>,
    runtime: Option<Arc<Runtime>>,
}

impl Thread {
    fn run(mut self) {
        let end = match self.serve() {
            Ok(patience) => self.doors.detach().map_or(Ok(()), |core| core.close(patience)),
            Err(error) => Err(error),
        };
        // Connections close with their sockets; peers and clients are told by the system.
        drop(self.net);
        *self.shared.end.lock() = Some(end);
        self.shared.ended.notify_all();
        self.shared.news.ring();
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
            let now = self.clock.monotonic_ns();
            let turn = self.doors.turn(&mut self.net, &ready, inbox.verbs, now)?;
            sleep_ns = turn.sleep_ns;
            let events = self.doors.take_events();
            if !events.is_empty() {
                self.shared.events.lock().extend(events);
                self.shared.news.ring();
            }
        }
    }
}

fn broken(error: &io::Error) -> Error {
    Error::new(sqlstate::IO_ERROR, format!("the reactor cannot wait: {error}"))
}
