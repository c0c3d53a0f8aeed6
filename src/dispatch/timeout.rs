//! PythonRequestTimeout and PythonStatus around a call of a request's Python code.

use std::ffi::{c_int, CStr};
use std::sync::Arc;

use pyo3::prelude::*;

use super::status::counting::{self, Of, What};
use super::{callback, monitor};
use crate::_apache::request_config::{ConnState, RequestState};
use crate::_apache::{errors, request_timeout};
use crate::config::phase::Phase;
use crate::config::{calls_are_watched, has_timeouts, DirConfig};
use crate::httpd::{conn, log, Conn, Request, Status};
use crate::interpreter::watch::{self, Limit, Subject};
use crate::interpreter::Interpreter;

/// Python code called for a request.
pub struct Called<'a> {
    pub r: &'a Request,
    pub state: &'a Arc<RequestState>,
    /// The directive it was configured with, or the filter's name.
    pub what: &'a CStr,
    pub handler: &'a CStr,
    /// `None` for filters and the like.
    pub phase: Option<Phase>,
}

impl Subject for Called<'_> {
    fn log(&self, py: Python<'_>, level: c_int, message: &str) {
        // httpd may be at work on the request, and with it on the pool that logging takes memory from.
        if self.is_in_httpd(py) {
            log::server(Some(self.r.server()), level, message.as_bytes());
        } else {
            log::request(self.r, level, message.as_bytes());
        }
    }

    fn title(&self, _py: Python<'_>) -> String {
        let text = |text: Option<&CStr>| text.unwrap_or_default().to_string_lossy().into_owned();
        format!(
            "{} {}, {} {}",
            text(self.r.method()),
            text(self.r.uri()),
            self.what.to_string_lossy(),
            self.handler.to_string_lossy()
        )
    }

    fn is_in_httpd(&self, py: Python<'_>) -> bool {
        self.state.conn.gate.is_detached(py)
    }

    fn is_alone(&self) -> bool {
        !self.r.connection().is_secondary()
    }
}

/// Runs `body`, which imports and calls the Python code, within PythonRequestTimeout, and counts it unless
/// there was nothing to call.
///
/// The second part of the result says whether it failed because its time was over.
#[inline]
pub fn limited<R>(
    py: Python<'_>,
    interpreter: &'static Interpreter,
    called: &Called<'_>,
    config: Option<&DirConfig<'_>>,
    body: impl FnOnce() -> PyResult<Option<R>>,
) -> (PyResult<Option<R>>, bool) {
    if !calls_are_watched() {
        return (body(), false);
    }
    run(py, interpreter, called, config, body)
}

#[cold]
fn run<R>(
    py: Python<'_>,
    interpreter: &'static Interpreter,
    called: &Called<'_>,
    config: Option<&DirConfig<'_>>,
    body: impl FnOnce() -> PyResult<Option<R>>,
) -> (PyResult<Option<R>>, bool) {
    let what = What {
        of: Of::Request(called.r),
        phase: called.phase,
        directive: called.what.to_bytes(),
        handler: called.handler.to_bytes(),
    };
    let counted = counting::begin(py, &what);
    let (result, is_over) = watched(py, interpreter, called, config, body);
    if let Err(error) = &result {
        if has_timeouts() && !error.is_instance(py, errors::server_return(py)) {
            forget_parts(py, interpreter, error);
        }
    }
    match (counted, &result) {
        (Some(counted), Ok(None)) => drop(counted),
        (Some(counted), _) => counted.end(py, &what, result.as_ref().err(), is_over),
        (None, _) => {}
    }
    (result, is_over)
}

/// Puts in order what an import that was broken off has left: also by a failure that came of an earlier one.
fn forget_parts(py: Python<'_>, interpreter: &'static Interpreter, error: &PyErr) {
    let done = callback::get(py, interpreter)
        .map(|callback| callback.call_method1("forget_parts", (error.value(py),)));
    if let Some(Err(error)) = done {
        callback::complain_traceback(py, &error);
    }
}

fn watched<R>(
    py: Python<'_>,
    interpreter: &'static Interpreter,
    called: &Called<'_>,
    config: Option<&DirConfig<'_>>,
    body: impl FnOnce() -> PyResult<Option<R>>,
) -> (PyResult<Option<R>>, bool) {
    if called.phase == Some(Phase::Cleanup) {
        return (watch::shielded(py, interpreter, body), false);
    }
    let limit = config
        .and_then(|config| config.settings.request_timeout)
        .filter(|timeout| timeout.milliseconds > 0)
        .map(|timeout| Limit {
            time: timeout.milliseconds,
            grace: timeout.grace,
        });
    if limit.is_some() {
        // In an .htaccess file it may be the first one.
        monitor::need();
    }
    let (result, was_raised) = watch::during(py, interpreter, limit, called, body);
    let is_over = match &result {
        Ok(_) => false,
        Err(error) => was_raised || error.is_instance(py, &request_timeout::class(py)),
    };
    (result, is_over)
}

/// A connection handler that is called.
pub struct OfConnection<'a> {
    pub c: &'a Conn,
    pub state: &'a ConnState,
    pub handler: &'a CStr,
}

impl Subject for OfConnection<'_> {
    fn log(&self, _py: Python<'_>, level: c_int, message: &str) {
        log::server(Some(self.c.base_server()), level, message.as_bytes());
    }

    fn title(&self, _py: Python<'_>) -> String {
        format!(
            "{}, PythonConnectionHandler {}",
            counting::connection_line(self.c),
            self.handler.to_string_lossy()
        )
    }

    fn is_in_httpd(&self, py: Python<'_>) -> bool {
        self.state.gate.is_detached(py)
    }

    fn is_alone(&self) -> bool {
        !self.c.is_secondary()
    }
}

/// Runs `body`, which calls a connection handler, and counts it. It has no time limit: its protocol may well
/// keep a connection for days.
#[inline]
pub fn unlimited<R>(
    py: Python<'_>,
    interpreter: &'static Interpreter,
    called: &OfConnection<'_>,
    body: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    if !calls_are_watched() {
        return body();
    }
    let what = What {
        of: Of::Connection(called.c),
        phase: Some(Phase::Connection),
        directive: b"PythonConnectionHandler",
        handler: called.handler.to_bytes(),
    };
    let counted = counting::begin(py, &what);
    let (result, _) = watch::during(py, interpreter, None, called, body);
    if let Some(counted) = counted {
        counted.end(py, &what, result.as_ref().err(), false);
    }
    result
}

/// Runs `body` out of the exception's reach: what cleans up must not be cut short.
#[inline]
pub fn shielded<R>(
    py: Python<'_>,
    interpreter: &'static Interpreter,
    body: impl FnOnce() -> R,
) -> R {
    if !has_timeouts() {
        return body();
    }
    watch::shielded(py, interpreter, body)
}

/// What a request gets whose handler was over its time: 504, or the end of the connection where the
/// response has begun.
pub fn answer(r: &Request) -> Status {
    if r.sent_bodyct() == 0 {
        return Status::GATEWAY_TIME_OUT;
    }
    if r.eos_sent() == 0 {
        let connection = r.connection();
        connection.set_keepalive(conn::CLOSE);
        connection.set_aborted();
    }
    Status::DONE
}
