//! Exceptions that leave a handler: logged, and shown to the client where PythonDebug says so. (phases.md 2.6)

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::callback;
use crate::_apache::errors;
use crate::httpd::{log, Request, Status};

/// The result that SERVER_RETURN carries, and the status for req.status.
pub type Returned<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>);

/// Whether an exception is SERVER_RETURN, and the result and status it carries.
pub fn server_return<'py>(py: Python<'py>, error: &PyErr) -> Option<PyResult<Returned<'py>>> {
    if !error.is_instance(py, errors::server_return(py)) {
        return None;
    }
    let args = error
        .value(py)
        .getattr(pyo3::intern!(py, "args"))
        .and_then(|args| Ok(args.cast_into::<PyTuple>()?));
    let parts = args.and_then(|args| {
        let result = args.get_item(0)?;
        let status = if args.len() == 2 {
            Some(args.get_item(1)?)
        } else {
            None
        };
        Ok((result, status))
    });
    Some(parts.map_err(|unusable| during(py, error, unusable)))
}

/// An error about what an exception carries: the traceback then tells where that was raised, too.
pub fn during(py: Python<'_>, first: &PyErr, error: PyErr) -> PyErr {
    // SAFETY: live exceptions, and a live traceback or none; the reference to the first goes to the
    // second.
    unsafe {
        if let Some(traceback) = first.traceback(py) {
            ffi::PyException_SetTraceback(first.value(py).as_ptr(), traceback.as_ptr());
        }
        let context = first.value(py).clone().into_any().into_ptr();
        ffi::PyException_SetContext(error.value(py).as_ptr(), context);
    }
    error
}

/// What an error report needs to know.
pub struct Report<'a, 'py> {
    pub callback: &'a Bound<'py, PyAny>,
    pub phase: &'a str,
    pub handler: &'a str,
    pub debug: bool,
    /// The request object or None.
    pub req: Option<&'a Bound<'py, PyAny>>,
    /// The filter object or None.
    pub filter: Option<&'a Bound<'py, PyAny>>,
    /// The server object or None, for events without request.
    pub srv: Option<&'a Bound<'py, PyAny>>,
}

/// `CallBack.ReportError`; its result is httpd's answer.
#[cold]
pub fn report(py: Python<'_>, report: &Report<'_, '_>, error: PyErr) -> Status {
    let result = (|| -> PyResult<i32> {
        let keywords = PyDict::new(py);
        keywords.set_item("req", report.req)?;
        keywords.set_item("filter", report.filter)?;
        keywords.set_item("srv", report.srv)?;
        keywords.set_item("phase", report.phase)?;
        keywords.set_item("hname", report.handler)?;
        keywords.set_item("debug", i32::from(report.debug))?;
        let arguments = (error.get_type(py), error.value(py), error.traceback(py));
        report
            .callback
            .call_method("ReportError", arguments, Some(&keywords))?
            .extract()
    })();
    match result {
        Ok(status) => Status(status),
        Err(second) => {
            // Reporting failed itself (MemoryError, RecursionError ...): say both, somewhere.
            for failure in [&error, &second] {
                for line in callback::format_traceback(py, failure) {
                    let line = format!("{} {}: {line}", report.phase, report.handler);
                    log::main_server(log::Level::Err, &line);
                }
            }
            Status::INTERNAL_SERVER_ERROR
        }
    }
}

/// Logs a traceback for a request, where nobody else gets to report it: there was no memory for `req`, say.
#[cold]
pub fn log_traceback(py: Python<'_>, r: &Request, error: &PyErr) {
    for line in callback::format_traceback(py, error) {
        log_request(r, &line);
    }
}

/// Logs an ERR line for a request.
pub fn log_request(r: &Request, message: &str) {
    log::request(r, log::Level::Err as i32, message.as_bytes());
}
