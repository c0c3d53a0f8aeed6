//! Connection handlers: a Python function owns the whole connection. (phases.md 2.8)

use pyo3::exceptions::PyAssertionError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::error::{report, Report};
use super::interpreter_for::interpreter_for;
use super::resolve::{resolve, Wanted};
use super::{callback, child, timeout};
use crate::_apache::connobject::ConnObject;
use crate::_apache::hlistobject::{self, HList};
use crate::_apache::log_stream;
use crate::_apache::request_config::ConnState;
use crate::_apache::serverobject::ServerObject;
use crate::config::hlist::Entry;
use crate::config::interp_name;
use crate::config::phase::Phase;
use crate::config::ServerConfig;
use crate::httpd::{log, time, Conn, Status};
use crate::interpreter::{self, Interpreter};

/// Calls the handler of the connection's server; `DECLINED` where there is none.
pub fn run(c: &Conn) -> Status {
    let Some(config) = ServerConfig::of(c.base_server()) else {
        return Status::DECLINED;
    };
    let Some([entry, ..]) = config.connection else {
        return Status::DECLINED;
    };
    // The streams of an HTTP/2 connection are no connections of their own.
    if c.is_secondary() {
        return Status::DECLINED;
    }
    let name = interp_name::for_connection(&config.settings, c.base_server());
    let interpreter = match interpreter_for(&name) {
        Ok(interpreter) => interpreter,
        Err(reason) => {
            let message = format!("python_connection: Can't get/create interpreter. {reason}");
            log::conn(c, log::Level::Err as i32, message.as_bytes());
            return Status::INTERNAL_SERVER_ERROR;
        }
    };
    let state = ConnState::of(c);
    interpreter::enter_for(interpreter, state.subject(), |py| {
        let result = state.gate.during(py, || {
            Bound::new(py, ConnObject::new(state.clone())).map(|object| {
                let called = timeout::OfConnection {
                    c,
                    state,
                    handler: entry.handler,
                };
                let result = timeout::unlimited(py, interpreter, &called, || {
                    call(py, interpreter, config, entry, &object)
                });
                object.get().set_hlist(py, None);
                result.unwrap_or_else(|error| failed(py, interpreter, c, config, entry, error))
            })
        });
        state.gate.during(py, || log_stream::end_of_connection(py));
        result.unwrap_or_else(|error| {
            for line in callback::format_traceback(py, &error) {
                log::conn(c, log::Level::Err as i32, line.as_bytes());
            }
            Status::INTERNAL_SERVER_ERROR
        })
    })
}

fn call(
    py: Python<'_>,
    interpreter: &'static Interpreter,
    config: &ServerConfig<'_>,
    entry: &Entry<'_>,
    object: &Bound<'_, ConnObject>,
) -> PyResult<Status> {
    let directory = entry.directory.as_text();
    let shown = hlistobject::Entry {
        handler: entry.handler.to_owned(),
        directory: directory.map(std::ffi::CStr::to_owned),
        is_location: entry.is_location,
        silent: entry.silent,
    };
    object
        .get()
        .set_hlist(py, Some(Py::new(py, HList::new(vec![shown], 0))?));
    let settings = &config.settings;
    let wanted = Wanted {
        handler: entry.handler,
        default: Phase::Connection.default_function(),
        directory: directory.filter(|_| !entry.is_location),
        python_path: settings.python_path,
        auto_reload: settings.auto_reloads(),
        log: settings.debugs(),
        silent: false,
        id: entry.id,
        now: time::now(),
        argument_name: "conn",
    };
    let Some(handler) = resolve(py, interpreter, &wanted, object.as_any())? else {
        return Ok(Status::DECLINED);
    };
    let result = if child::is_for_pdb(settings) {
        match callback::get(py, interpreter) {
            Some(callback) => callback.call_method1("run_pdb", (handler, object))?,
            None => return Ok(Status::INTERNAL_SERVER_ERROR),
        }
    } else {
        handler.call1((object,))?
    };
    // SAFETY: a type check of a live object.
    let is_int = unsafe { ffi::PyLong_CheckExact(result.as_ptr()) } != 0;
    match result.extract::<i32>() {
        Ok(number) if is_int => Ok(Status(number)),
        _ => Err(PyAssertionError::new_err(format!(
            "ConnectionHandler '{}' returned invalid return code.",
            entry.handler.to_string_lossy()
        ))),
    }
}

#[cold]
fn failed(
    py: Python<'_>,
    interpreter: &'static Interpreter,
    c: &Conn,
    config: &ServerConfig<'_>,
    entry: &Entry<'_>,
    error: PyErr,
) -> Status {
    let server = Bound::new(py, ServerObject::of(c.base_server()));
    let (Some(callback), Ok(server)) = (callback::get(py, interpreter), server) else {
        return Status::INTERNAL_SERVER_ERROR;
    };
    let details = Report {
        callback: &callback,
        phase: "ConnectionHandler",
        handler: &entry.handler.to_string_lossy(),
        // Never shown to the peer, which may not speak HTTP.
        debug: config.settings.debugs(),
        req: None,
        filter: None,
        srv: Some(server.as_any()),
    };
    report(py, &details, error)
}
