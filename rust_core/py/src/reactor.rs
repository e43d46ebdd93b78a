//! `Reactor`: the thread of a node's sockets, its events and verbs.
//!
//! A verb is posted and nothing is waited for; an event is a tuple that begins with its kind.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use phantom_base::{Error, GroupId, Nanos, NodeId, SeededRandom, sqlstate};
use phantom_node::runtime::real::{RealClock, RealSpawner, end_at_once};
use phantom_reactor::doors::{Kind, Limits};
use phantom_reactor::net::ConnId;
use phantom_reactor::thread::{self, Listening, World};
use phantom_reactor::traffic::{Event, LinkName, Peer, Verb};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::node::NodeCore;
use crate::security::Security;
use crate::{CoreError, raise};

/// What a process ends with whose disk has failed, and one whose data is damaged.
const DISK_FAILED: i32 = 7;
const DAMAGED: i32 = 6;

/// The sockets of a node and the thread that serves them.
#[pyclass(frozen, module = "phantomdb._core")]
pub struct Reactor(thread::Reactor);

fn end_process(error: &Error) {
    let code = if error.sqlstate == sqlstate::DATA_CORRUPTED { DAMAGED } else { DISK_FAILED };
    end_at_once(code);
}

fn nanos(seconds: f64) -> Nanos {
    Duration::from_secs_f64(seconds).as_nanos() as Nanos
}

/// Takes a descriptor that its owner has given away.
#[allow(unsafe_code, reason = "a number becomes an owner; see the SAFETY comment")]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: whoever calls `start` has detached it from its socket, so nobody else closes it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn tuple_of(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    let bytes = |bytes: &[u8]| PyBytes::new(py, bytes);
    match event {
        Event::Core(it) => ("core", bytes(&it)).into_pyobject(py),
        Event::ElectionDue(groups) => {
            let groups: Vec<u64> = groups.into_iter().map(|group| group.0).collect();
            ("election_due", groups).into_pyobject(py)
        }
        Event::Control(peer, message) => ("control", peer.0, bytes(&message)).into_pyobject(py),
        Event::Ended(token, outcome) => ("ended", token, bytes(&outcome)).into_pyobject(py),
        Event::Session(session, number, kind, body) => {
            ("session", session, number, kind, bytes(&body)).into_pyobject(py)
        }
        Event::SessionGone(session) => ("session_gone", session).into_pyobject(py),
        Event::First { conn, from, certified, message } => {
            ("first", conn.number(), from, certified, bytes(&message)).into_pyobject(py)
        }
        Event::Answer { token, conn, certified, message } => {
            ("answer", token, conn.number(), certified, bytes(&message)).into_pyobject(py)
        }
        Event::DialFailed(token, why) => ("dial_failed", token, why).into_pyobject(py),
        Event::LinkUp(peer, link) => ("link_up", peer.0, bytes(&link)).into_pyobject(py),
        Event::LinkDown(peer, link, why) => {
            ("link_down", peer.0, bytes(&link), why).into_pyobject(py)
        }
        Event::DoorFull(door) => ("door_full", door.0).into_pyobject(py),
        Event::AcceptFailed(door, why) => ("accept_failed", door.0, why).into_pyobject(py),
        Event::ClientsGone => ("clients_gone",).into_pyobject(py),
        Event::SlowTurn(ms, took) => ("slow_turn", ms, took).into_pyobject(py),
    }
}

#[pymethods]
impl Reactor {
    #[staticmethod]
    fn start(
        peers: Vec<RawFd>,
        clients: Vec<RawFd>,
        slots: (usize, usize),
        startup_s: f64,
        handshake_s: f64,
        security: &Security,
        seed: u64,
    ) -> PyResult<Self> {
        let listening = |fds: Vec<RawFd>, kind| {
            fds.into_iter().map(move |fd| Listening { socket: own(fd), kind })
        };
        let listening =
            listening(peers, Kind::Peers).chain(listening(clients, Kind::Clients)).collect();
        let (peers_max, clients_max) = slots;
        let limits = Limits {
            peers_max,
            clients_max,
            startup_ns: nanos(startup_s),
            handshake_ns: nanos(handshake_s),
            ..Limits::default()
        };
        let world = World {
            clock: Arc::new(RealClock::new()),
            random: Box::new(SeededRandom::new(seed)),
            end_process,
        };
        thread::Reactor::start(listening, limits, security.0.clone(), world, &RealSpawner)
            .map(Self)
            .map_err(|error| CoreError::new_err(("58030", format!("the reactor: {error}"))))
    }

    fn attach(&self, core: &NodeCore) -> PyResult<()> {
        let (core, runtime) = core.take()?;
        self.0.attach(core, runtime);
        Ok(())
    }

    fn secure(&self, security: &Security) {
        self.0.secure(security.0.clone());
    }

    fn wakefd(&self) -> i32 {
        self.0.wakefd().as_raw_fd()
    }

    #[pyo3(signature = (limit = 256))]
    fn take_events<'py>(
        &self,
        py: Python<'py>,
        limit: usize,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        self.0.take_events(limit).into_iter().map(|event| tuple_of(py, event)).collect()
    }

    /// Raises what has ended the thread.
    fn check(&self) -> PyResult<()> {
        match self.0.end() {
            Some(Err(error)) => Err(raise(&error)),
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.view()?.status))
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.view()?.stats))
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let view = self.view()?;
        let counters = PyDict::new(py);
        for (name, number) in &view.counters.counted {
            counters.set_item(name, number)?;
        }
        for (reason, number) in view.counters.endings.all() {
            counters.set_item(format!("ended_{reason}"), number)?;
        }
        Ok(counters)
    }

    fn hlc(&self) -> PyResult<u64> {
        Ok(self.view()?.hlc.0)
    }

    // What the control plane wants of the core.

    fn resume(&self, session: u64, event: u64, outcome: Vec<u8>) {
        self.say(Verb::Resume(session, event, outcome));
    }

    fn cancel_by_key(&self, pid: u32, secret: u32) {
        self.say(Verb::CancelByKey(pid, secret));
    }

    fn read_rows(&self, token: u64, group: u64, spans: Vec<u8>) {
        self.say(Verb::ReadRows(token, GroupId(group), spans));
    }

    fn write_rows(&self, token: u64, group: u64, writes: Vec<u8>) {
        self.say(Verb::WriteRows(token, GroupId(group), writes));
    }

    fn barrier(&self, token: u64, group: u64) {
        self.say(Verb::Barrier(token, GroupId(group)));
    }

    fn look(&self, token: u64) {
        self.say(Verb::Look(token));
    }

    fn campaign(&self, groups: Vec<u64>) {
        self.say(Verb::Campaign(groups.into_iter().map(GroupId).collect()));
    }

    fn leave(&self, token: u64, group: u64) {
        self.say(Verb::Leave(token, GroupId(group)));
    }

    fn control(&self, peer: u32, message: Vec<u8>) {
        self.say(Verb::Control(NodeId(peer), message));
    }

    // .. of connections between nodes.

    fn dial(&self, token: u64, to: String, message: Vec<u8>) {
        self.say(Verb::Dial { token, to, message });
    }

    fn say_last(&self, conn: u64, message: Vec<u8>) {
        self.say(Verb::Say(ConnId::of(conn), message));
    }

    #[pyo3(signature = (conn, peer, link, stream, message = None))]
    fn adopt(
        &self,
        conn: u64,
        peer: (u32, u32, u64),
        link: LinkName,
        stream: u8,
        message: Option<Vec<u8>>,
    ) {
        let (node, incarnation, features) = peer;
        let peer = Peer { node: NodeId(node), incarnation, features };
        self.say(Verb::Adopt { conn: ConnId::of(conn), peer, link, stream, message });
    }

    fn close(&self, conn: u64) {
        self.say(Verb::Close(ConnId::of(conn)));
    }

    fn finish_links(&self) {
        self.say(Verb::FinishLinks);
    }

    // .. and of doors.

    fn open_clients(&self) {
        self.say(Verb::OpenClients);
    }

    fn drain(&self, grace_s: f64) {
        self.say(Verb::Drain(nanos(grace_s)));
    }

    fn stop(&self, py: Python<'_>, patience_s: f64) -> PyResult<()> {
        let patience = Duration::from_secs_f64(patience_s);
        py.detach(|| self.0.stop(patience)).map_err(|error| raise(&error))
    }
}

impl Reactor {
    fn say(&self, verb: Verb) {
        self.0.post(vec![verb]);
    }

    fn view(&self) -> PyResult<Arc<phantom_reactor::view::View>> {
        self.0.view().ok_or_else(|| CoreError::new_err(("55000", "the node is not open")))
    }
}
