//! The Python binding: converts, calls one function, converts back. It decides nothing.
//!
//! What may block (open, form, stop) lets go of the GIL; everything else answers at once and keeps it.
//! The threads of a node never attach to the interpreter.

mod node;
mod reactor;
mod security;

use pyo3::prelude::*;

pyo3::create_exception!(
    phantomdb,
    CoreError,
    pyo3::exceptions::PyException,
    "An answer of the core: (SQLSTATE, message)."
);

/// What the wheel refuses to be built with: classic bugs that a test build brings back.
#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("a wheel is never built with mutants");

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add("FEATURES", phantom_node::FEATURES)?;
    module.add("CoreError", module.py().get_type::<CoreError>())?;
    module.add_class::<node::NodeCore>()?;
    module.add_class::<security::Security>()?;
    module.add_class::<reactor::Reactor>()
}

/// An answer of the core as a Python exception: (SQLSTATE, message).
fn raise(error: &phantom_base::Error) -> PyErr {
    CoreError::new_err((error.sqlstate.as_str().to_owned(), error.message.clone()))
}
