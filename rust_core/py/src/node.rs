//! `NodeCore`: directories, and a node until a reactor has it.

use std::path::Path;
use std::sync::Arc;

use phantom_base::sync::Mutex;
use phantom_base::{Clock, Error, SeededRandom, sqlstate};
use phantom_node::core;
use phantom_node::runtime::Runtime;
use phantom_node::runtime::real::{RealClock, RealSpawner, share_arenas};
use phantom_node::{claim, control, replication};
use phantom_vfs::{RealFs, Vfs};
use pyo3::prelude::*;

use crate::{CoreError, raise};

/// One node: opened here, and a reactor's from then on.
#[pyclass(frozen, module = "phantomdb._core")]
pub struct NodeCore {
    /// `None` once a reactor has it.
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
    /// Gives the core to a reactor, and what it runs on.
    pub fn take(&self) -> PyResult<(core::NodeCore, Arc<Runtime>)> {
        let core = self.core.lock().take();
        let core = core.ok_or_else(|| CoreError::new_err(("55000", "a reactor has this node")))?;
        Ok((core, Arc::clone(&self.runtime)))
    }

    fn ask(&self, question: impl FnOnce(&core::NodeCore) -> Vec<u8>) -> PyResult<Vec<u8>> {
        match self.core.lock().as_ref() {
            Some(core) => Ok(question(core)),
            None => Err(CoreError::new_err(("55000", "a reactor has this node"))),
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
        self.ask(core::NodeCore::identity)
    }

    fn placement(&self) -> PyResult<Vec<u8>> {
        self.ask(core::NodeCore::placement)
    }
}
