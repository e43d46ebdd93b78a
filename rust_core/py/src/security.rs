//! `Security`: what is asked of connections, and what they are encrypted with.

use std::sync::Arc;

use phantom_node::runtime::real::RealClock;
use phantom_reactor::doors;
use phantom_reactor::filter::{Certificates, Pem};
use pyo3::prelude::*;

use crate::raise;

/// What is asked of connections.
#[pyclass(frozen, module = "phantomdb._core")]
pub struct Security(pub doors::Security);

#[pymethods]
impl Security {
    #[new]
    #[pyo3(signature = (*, files, is_insecure, distrusts_loopback))]
    fn new(
        files: Option<(Vec<u8>, Vec<u8>, Vec<u8>)>,
        is_insecure: bool,
        distrusts_loopback: bool,
    ) -> PyResult<Self> {
        let read = |(certificate, key, authority)| {
            Certificates::read(&Pem { certificate, key, authority }, Arc::new(RealClock::new()))
        };
        let certificates = files.map(read).transpose().map_err(|error| raise(&error))?;
        let certificates = certificates.map(Arc::new);
        Ok(Self(doors::Security { certificates, is_insecure, distrusts_loopback }))
    }

    fn own(&self) -> Option<(String, String, u64)> {
        let own = self.0.certificates.as_ref()?.own();
        Some((own.name.clone(), own.cluster.clone(), own.ends.as_secs()))
    }

    fn left_s(&self) -> Option<u64> {
        Some(self.0.certificates.as_ref()?.left().as_secs())
    }
}
