//! `apache.RequestTimeout`: what is raised in a handler that is over its time (PythonRequestTimeout).

use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::interpreter::watch;

/// Raised in a handler that has run longer than PythonRequestTimeout allows.
///
/// A BaseException, so that `except Exception` lets it through. A handler may catch it to clean up; when
/// it then goes on, the exception is raised again after the directive's grace. The client gets 504, or,
/// where the response has begun, the end of the connection.
#[cfg_attr(
    Py_3_10,
    pyclass(frozen, immutable_type, extends = PyBaseException, name = "RequestTimeout", module = "mod_python.apache")
)]
#[cfg_attr(
    not(Py_3_10),
    pyclass(frozen, extends = PyBaseException, name = "RequestTimeout", module = "mod_python.apache")
)]
pub struct RequestTimeout;

#[pymethods]
impl RequestTimeout {
    /// CPython makes the object where it raises the class: that is how we know that it was raised.
    #[new]
    #[pyo3(signature = (*_args))]
    fn new(_args: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let py = _args.py();
        match watch::note_delivered(py) {
            // It was raised in there once more.
            Err(error) if error.is_instance(py, &class(py)) => return Err(error),
            Err(error) => error.write_unraisable(py, Some(class(py).as_any())),
            Ok(()) => {}
        }
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "a method of Python's")]
    fn __str__(&self) -> &'static str {
        "the handler has run longer than PythonRequestTimeout allows"
    }
}

/// The class; one for all interpreters of the child.
pub fn class(py: Python<'_>) -> Bound<'_, PyType> {
    py.get_type::<RequestTimeout>()
}
