//! Errors of httpd and of this module as Python exceptions.

use pyo3::exceptions::{PyException, PyMemoryError, PyOSError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::httpd::Error;
use crate::interpreter::shared_class;

static SERVER_RETURN: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// `_apache.SERVER_RETURN`: one class for all interpreters of the child.
pub fn server_return(py: Python<'_>) -> &Bound<'_, PyType> {
    SERVER_RETURN
        .get_or_init(py, || {
            let base = py.get_type::<PyException>();
            let class = PyErr::new_type(
                py,
                c"_apache.SERVER_RETURN",
                Some(c"Raised with a status to end a handler: SERVER_RETURN(result) or (result, status)."),
                Some(&base),
                None,
            )
            .expect("BUG: an exception class can be made");
            shared_class::make_immutable(class.bind(py));
            class
        })
        .bind(py)
}

/// `SERVER_RETURN(status)`, for statuses that httpd asks for.
pub fn raise_status(py: Python<'_>, status: i32) -> PyErr {
    PyErr::from_type(server_return(py).clone(), (status,))
}

/// An error of httpd's in the form mod_python programs know.
pub fn to_py(py: Python<'_>, error: Error) -> PyErr {
    match error {
        Error::Client(message) => PyOSError::new_err(message),
        Error::Http(status) => raise_status(py, status),
        Error::Apr { what, status } => PyOSError::new_err((status, what)),
        Error::Memory => PyMemoryError::new_err(()),
    }
}
