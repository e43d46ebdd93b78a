//! `NodeCore` and `Effects`.

use std::path::Path;
use std::sync::Arc;

use phantom_base::sync::Mutex;
use phantom_base::{Clock, Error, GroupId, NodeId, SeededRandom, Severity, SqlState, sqlstate};
use phantom_node::core;
use phantom_node::runtime::Runtime;
use phantom_node::runtime::real::{RealClock, RealSpawner, share_arenas};
use phantom_node::session::Door;
use phantom_node::{claim, control, replication};
use phantom_vfs::{RealFs, Vfs};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::{CoreError, raise};

/// What one `poll` has for the loop.
#[pyclass(frozen, get_all, module = "phantomdb._core")]
pub struct Effects {
    out: Vec<(u32, u8)>,
    sessions: Vec<u64>,
    control: Vec<(u32, Py<PyBytes>)>,
    rows: Vec<(u64, Py<PyBytes>)>,
    events: Vec<Py<PyBytes>>,
    sleep_us: u64,
}

/// One node.
#[pyclass(frozen, module = "phantomdb._core")]
pub struct NodeCore {
    /// `None` once it is closed. Never contended: one thread calls.
    core: Mutex<Option<core::NodeCore>>,
    runtime: Arc<Runtime>,
}

fn file_layer(directory: &str) -> Arc<dyn Vfs> {
    Arc::new(RealFs::new(directory))
}

fn io(what: &str, error: &std::io::Error) -> PyErr {
    let code = match error.kind() {
        std::io::ErrorKind::InvalidData => sqlstate::DATA_CORRUPTED,
        std::io::ErrorKind::StorageFull => sqlstate::DISK_FULL,
        std::io::ErrorKind::NotADirectory => sqlstate::INVALID_PARAMETER_VALUE,
        std::io::ErrorKind::PermissionDenied => sqlstate::INSUFFICIENT_PRIVILEGE,
        std::io::ErrorKind::DirectoryNotEmpty => sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
        _ => sqlstate::IO_ERROR,
    };
    raise(&Error::new(code, format!("{what}: {error}")))
}

fn replication_error(error: &replication::Error) -> PyErr {
    raise(&Error::new(error.sqlstate(), error.to_string()))
}

impl NodeCore {
    fn with<T>(&self, call: impl FnOnce(&mut core::NodeCore) -> T) -> PyResult<T> {
        let mut core = self.core.lock();
        match core.as_mut() {
            Some(core) => Ok(call(core)),
            None => Err(CoreError::new_err(("55000", "the node is closed"))),
        }
    }
}

#[pymethods]
impl NodeCore {
    #[staticmethod]
    fn claim(directory: &str, fresh: [u8; 16]) -> PyResult<[u8; 16]> {
        let fs = file_layer(directory);
        claim::claim(&fs, Path::new(directory), fresh).map_err(|error| io(directory, &error))
    }

    #[staticmethod]
    fn form(py: Python<'_>, directory: &str, formation: &[u8], charter: &[u8]) -> PyResult<()> {
        let formation = control::decode_formation(formation).map_err(|error| raise(&error))?;
        let fs = file_layer(directory);
        py.detach(|| replication::form(&fs, Path::new(directory), &formation, charter))
            .map_err(|error| replication_error(&error))
    }

    #[staticmethod]
    fn open(py: Python<'_>, directory: &str, settings: &[u8], seed: u64) -> PyResult<Self> {
        let settings = control::decode_settings(settings).map_err(|error| raise(&error))?;
        let fs = file_layer(directory);
        claim::guard(&fs, Path::new(directory)).map_err(|error| io(directory, &error))?;
        let clock: Arc<dyn Clock> = Arc::new(RealClock::new());
        share_arenas();
        let runtime = Runtime::threads(Arc::new(RealSpawner), settings.cores);
        let runtime = Arc::new(runtime.map_err(|error| io("the workers", &error))?);
        let random = Box::new(SeededRandom::new(seed));
        let opened = Arc::clone(&runtime);
        let core = py
            .detach(|| {
                core::NodeCore::open(fs, Path::new(directory), &settings, opened, clock, random)
            })
            .map_err(|error| raise(&error))?;
        Ok(Self { core: Mutex::new(Some(core)), runtime })
    }

    fn identity(&self) -> PyResult<Vec<u8>> {
        self.with(|core| core.identity())
    }

    fn placement(&self) -> PyResult<Vec<u8>> {
        self.with(|core| core.placement())
    }

    fn wakefd(&self) -> i32 {
        use std::os::fd::AsRawFd;
        self.runtime.wakefd().expect("a runtime with threads has a bell").as_raw_fd()
    }

    fn heard(&self) {
        self.runtime.heard();
    }

    fn poll(&self, py: Python<'_>) -> PyResult<Effects> {
        let effects = self.with(core::NodeCore::poll)?.map_err(|error| raise(&error))?;
        let bytes = |bytes: Vec<u8>| PyBytes::new(py, &bytes).unbind();
        Ok(Effects {
            out: effects.out.into_iter().map(|(peer, stream)| (peer.0, stream)).collect(),
            sessions: effects.sessions,
            control: effects.control.into_iter().map(|(peer, m)| (peer.0, bytes(m))).collect(),
            rows: effects.rows.into_iter().map(|(token, row)| (token, bytes(row))).collect(),
            events: effects.events.into_iter().map(bytes).collect(),
            sleep_us: effects.sleep_ns.div_ceil(1_000),
        })
    }

    fn connected(&self, peer: u32, incarnation: u32) -> PyResult<()> {
        self.with(|core| core.connected(NodeId(peer), incarnation))?
            .map_err(|error| CoreError::new_err(("08P01", error.to_string())))
    }

    fn disconnected(&self, peer: u32) -> PyResult<()> {
        self.with(|core| core.disconnected(NodeId(peer)))
    }

    fn feed(&self, peer: u32, stream: u8, data: &[u8]) -> PyResult<usize> {
        self.with(|core| core.feed(NodeId(peer), stream, data))?
            .map_err(|error| CoreError::new_err(("08P01", error.to_string())))
    }

    #[pyo3(signature = (peer, stream, limit = 1 << 20))]
    fn take_out<'py>(
        &self,
        py: Python<'py>,
        peer: u32,
        stream: u8,
        limit: usize,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let out = self.with(|core| core.take_out(NodeId(peer), stream, limit))?;
        Ok(out.map(|out| PyBytes::new(py, &out)))
    }

    fn send_control(&self, peer: u32, message: Vec<u8>) -> PyResult<()> {
        self.with(|core| core.send_control(NodeId(peer), message))
    }

    fn hlc(&self) -> PyResult<u64> {
        self.with(|core| core.replication().hlc().0)
    }

    fn campaign(&self, groups: Vec<u64>) -> PyResult<Vec<String>> {
        let gids: Vec<GroupId> = groups.into_iter().map(GroupId).collect();
        let codes = self.with(|core| core.replication().campaign(&gids, true))?;
        Ok(codes
            .into_iter()
            .map(|code| code.map_or_else(|refused| refused.to_string(), |()| "begun".to_owned()))
            .collect())
    }

    fn step_down(&self, group: u64) -> PyResult<bool> {
        self.with(|core| core.replication().step_down(GroupId(group)).is_ok())
    }

    fn leave(&self, group: u64) -> PyResult<bool> {
        self.with(|core| core.replication().leave(GroupId(group)).is_ok())
    }

    fn status(&self) -> PyResult<Vec<u8>> {
        self.with(|core| core.status())
    }

    fn stats(&self) -> PyResult<Vec<u8>> {
        self.with(|core| core.stats())
    }

    fn barrier(&self, group: u64, token: u64) -> PyResult<()> {
        self.with(|core| core.barrier(GroupId(group), token))
    }

    fn read_rows(&self, token: u64, group: u64, spans: &[u8]) -> PyResult<()> {
        self.with(|core| core.read_rows(token, GroupId(group), spans))?
            .map_err(|error| raise(&error))
    }

    fn write_rows(&self, token: u64, group: u64, writes: &[u8]) -> PyResult<()> {
        self.with(|core| core.write_rows(token, GroupId(group), writes))?
            .map_err(|error| raise(&error))
    }

    fn open_session(&self) -> PyResult<u64> {
        self.with(|core| core.open_session(Door::Pg))?.map_err(|error| raise(&error))
    }

    fn feed_session(&self, session: u64, data: &[u8]) -> PyResult<usize> {
        self.with(|core| core.feed_session(session, data))
    }

    #[pyo3(signature = (session, limit = 1 << 18))]
    fn take_session_out<'py>(
        &self,
        py: Python<'py>,
        session: u64,
        limit: usize,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let out = self.with(|core| core.take_session_out(session, limit))?;
        Ok(out.map(|out| PyBytes::new(py, &out)))
    }

    fn session_is_starting(&self, session: u64) -> PyResult<bool> {
        self.with(|core| core.session_is_starting(session))
    }

    fn session_is_closing(&self, session: u64) -> PyResult<bool> {
        self.with(|core| core.session_is_closing(session))
    }

    fn next_session_event<'py>(
        &self,
        py: Python<'py>,
        session: u64,
    ) -> PyResult<Option<(u64, &'static str, Bound<'py, PyBytes>)>> {
        let event = self.with(|core| core.next_session_event(session))?;
        Ok(event.map(|event| (event.id, event.kind, PyBytes::new(py, &event.body))))
    }

    fn resume_session(&self, session: u64, event: u64, outcome: &[u8]) -> PyResult<()> {
        self.with(|core| core.resume_session(session, event, outcome))?
            .map_err(|error| raise(&error))
    }

    fn cancel_session(&self, session: u64, code: &str, message: &str) -> PyResult<()> {
        let code = SqlState::parse(code).unwrap_or(sqlstate::INTERNAL_ERROR);
        let mut error = Error::new(code, message);
        if code == sqlstate::ADMIN_SHUTDOWN {
            error = error.with_severity(Severity::Fatal);
        }
        self.with(|core| core.cancel_session(session, error))
    }

    fn end_idle_session(&self, session: u64) -> PyResult<()> {
        self.with(|core| core.end_idle_session(session))
    }

    fn cancel_by_key(&self, pid: u32, secret: u32) -> PyResult<bool> {
        self.with(|core| core.cancel_by_key(pid, secret))
    }

    fn close_session(&self, session: u64) -> PyResult<()> {
        self.with(|core| core.close_session(session))
    }

    fn close(&self, py: Python<'_>, patience_s: f64) -> PyResult<()> {
        let Some(core) = self.core.lock().take() else { return Ok(()) };
        let patience = std::time::Duration::from_secs_f64(patience_s);
        py.detach(|| core.close(patience)).map_err(|error| raise(&error))
    }
}
