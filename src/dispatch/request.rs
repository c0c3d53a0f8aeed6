//! Request phases: the handlers of a phase run in order, and their result is httpd's. (phases.md 2.2 to 2.5)

use std::ffi::CStr;
use std::sync::Arc;

use pyo3::exceptions::{PyAssertionError, PyOverflowError};
use pyo3::ffi;
use pyo3::prelude::*;

use super::error::{during, log_request, log_traceback, report, server_return, Report};
use super::interpreter_for::interpreter_for;
use super::resolve::{resolve, Wanted};
use super::status::counting;
use super::{callback, child, limits, timeout};
use crate::_apache::hlistobject;
use crate::_apache::request_config::{own_entry, RequestState};
use crate::_apache::request_lock;
use crate::_apache::requestobject::RequestObject;
use crate::config::hlist::Entry;
use crate::config::interp_name::{self, Name};
use crate::config::phase::Phase;
use crate::config::{calls_are_watched, DirConfig};
use crate::httpd::{Request, Status};
use crate::interpreter::{self, Interpreter};

/// Runs a phase; `DECLINED` without entering Python where no handler is configured or added.
#[inline]
pub fn run(phase: Phase, r: &Request) -> Status {
    let config = DirConfig::of(r);
    let configured = config.and_then(|config| config.handlers(phase, r));
    // SAFETY: this is httpd's thread for the request, and no Python code runs for it now.
    let has_added = RequestState::find(r).is_some_and(|state| unsafe { state.has_added(phase) });
    let (entries, by_suffix) = match configured {
        Some(found) => found,
        None if has_added => (&[][..], false),
        None => return Status::DECLINED,
    };
    let name = match config {
        Some(config) => interp_name::for_request(config, r, || {
            entries.first().and_then(|entry| entry.directory.resolve(r))
        }),
        None => Name::Main,
    };
    let interpreter = match interpreter_for(&name) {
        Ok(interpreter) => interpreter,
        Err(reason) => {
            log_request(
                r,
                &format!("python_handler: Can't get/create interpreter. {reason}"),
            );
            return Status::INTERNAL_SERVER_ERROR;
        }
    };
    let state = RequestState::of(r);
    let watched = calls_are_watched();
    if watched {
        counting::ask();
    }
    let result = interpreter::enter_for(interpreter, state.subject(), |py| {
        if watched {
            counting::entered(py);
        }
        let run = PhaseRun {
            py,
            interpreter,
            phase,
            r,
            state,
            config,
        };
        let gate = &state.conn.gate;
        let result = gate.during(py, || run.all(entries, by_suffix, has_added));
        if phase == Phase::Handler {
            request_lock::after_handlers(r, state, py);
        }
        result
    });
    if watched && phase == Phase::Handler {
        limits::served(r);
    }
    result
}

/// One phase of one request, inside its interpreter.
struct PhaseRun<'a, 'py> {
    py: Python<'py>,
    interpreter: &'static Interpreter,
    phase: Phase,
    r: &'a Request,
    state: &'a Arc<RequestState>,
    config: Option<&'a DirConfig<'a>>,
}

/// What came of one handler.
enum Outcome {
    Status(Status),
    /// A silent entry without such an object.
    Skipped,
}

impl<'a, 'py> PhaseRun<'a, 'py> {
    fn all(&self, entries: &[Entry<'_>], by_suffix: bool, has_added: bool) -> Status {
        let py = self.py;
        let object = match RequestState::object_for_phase(self.state, py, self.interpreter) {
            Ok(object) => object,
            Err(error) => return self.no_object(&error),
        };
        let outer_phase = self.state.phase.replace(py, Some(self.phase));
        self.state.interpreter.replace(py, Some(self.interpreter));
        // SAFETY: noting runs no Python.
        unsafe {
            self.state
                .extension
                .with(py, |extension| extension.note(self.r, by_suffix))
        };
        self.state.run(py, entries);
        if has_added {
            let added = self.state.take_added(py, self.phase);
            if let Err(error) = self.state.run_with(self.r, py, entries, added) {
                return self.no_object(&error);
            }
        }
        let result = self.each(entries, &object);
        self.state.phase.replace(py, outer_phase);
        self.state.let_go(self.interpreter, object);
        result
    }

    /// The loop over the list, which grows when a handler adds one to the running phase.
    fn each(&self, entries: &[Entry<'_>], object: &Bound<'py, RequestObject>) -> Status {
        let py = self.py;
        let mut result = None;
        let mut position = 0;
        loop {
            let outcome = match self.state.hlist_made(py) {
                // Somebody looks at the list: it says where we are.
                Some(list) => match list.get().current(py) {
                    None => break,
                    Some(entry) => self.one(&EntryRef::of_owned(&entry), object),
                },
                None => match entries.get(position) {
                    None => break,
                    Some(entry) => {
                        self.state.set_position(py, position);
                        self.one(&EntryRef::of(entry, self.r), object)
                    }
                },
            };
            match outcome {
                Outcome::Skipped => {}
                Outcome::Status(status) => {
                    result = Some(status);
                    if !self.phase.goes_on(status) {
                        break;
                    }
                }
            }
            position += 1;
            if let Some(list) = self.state.hlist_made(py) {
                list.get().advance(py);
            }
        }
        // Only silent entries, none of which had anything to run.
        result.unwrap_or(Status::DECLINED)
    }

    fn one(&self, entry: &EntryRef<'_>, object: &Bound<'py, RequestObject>) -> Outcome {
        crate::httpd::guard::fault("dispatch");
        let settings = self
            .config
            .map(|config| config.settings)
            .unwrap_or_default();
        let wanted = Wanted {
            handler: entry.handler,
            default: self.phase.default_function(),
            directory: entry.directory.filter(|_| !entry.is_location),
            python_path: settings.python_path,
            auto_reload: settings.auto_reloads(),
            log: settings.debugs(),
            silent: entry.silent,
            id: entry.id,
            now: self.r.request_time(),
            argument_name: "req",
        };
        let resolve = || resolve(self.py, self.interpreter, &wanted, object.as_any());
        let result = if child::is_for_pdb(&settings) {
            match resolve() {
                Ok(Some(handler)) => self.under_pdb(&handler, object).map(|s| Some(Status(s))),
                other => other.map(|_| None),
            }
        } else if calls_are_watched() {
            self.watched(entry, resolve, object)
        } else {
            match resolve() {
                Ok(Some(handler)) => self.status_of(handler.call1((object,))).map(Some),
                other => other.map(|_| None),
            }
        };
        match result {
            Ok(None) => Outcome::Skipped,
            Ok(Some(status)) => Outcome::Status(status),
            Err(error) => Outcome::Status(self.report(entry, object, settings.debugs(), error)),
        }
    }

    /// Imports the handler and calls it within its time, and counts the call; `None` without a handler.
    #[cold]
    fn watched(
        &self,
        entry: &EntryRef<'_>,
        resolve: impl FnOnce() -> PyResult<Option<Bound<'py, PyAny>>>,
        object: &Bound<'py, RequestObject>,
    ) -> PyResult<Option<Status>> {
        let called = timeout::Called {
            r: self.r,
            state: self.state,
            what: self.phase.directive(),
            handler: entry.handler,
            phase: Some(self.phase),
        };
        let call = || {
            let handler = resolve()?;
            handler.map(|handler| handler.call1((object,))).transpose()
        };
        match timeout::limited(self.py, self.interpreter, &called, self.config, call) {
            (Err(error), true) => {
                self.report(entry, object, false, error);
                Ok(Some(timeout::answer(self.r)))
            }
            (Ok(None), _) => Ok(None),
            (Ok(Some(value)), _) => status(&value).map(Some),
            (Err(error), _) => self.status_of(Err(error)).map(Some),
        }
    }

    #[cold]
    fn under_pdb(
        &self,
        handler: &Bound<'py, PyAny>,
        object: &Bound<'py, RequestObject>,
    ) -> PyResult<i32> {
        let callback = callback::get(self.py, self.interpreter).ok_or_else(|| {
            pyo3::exceptions::PyRuntimeError::new_err("mod_python.apache could not be set up")
        })?;
        self.status_of(callback.call_method1("run_pdb", (handler, object)))
            .map(|status| status.0)
    }

    /// The status of what a handler returned; SERVER_RETURN is a way to return.
    #[inline]
    fn status_of(&self, result: PyResult<Bound<'py, PyAny>>) -> PyResult<Status> {
        match result {
            Ok(value) => status(&value),
            Err(error) => match server_return(self.py, &error) {
                None => Err(error),
                Some(parts) => {
                    let (result, req_status) = parts?;
                    if let Some(req_status) = req_status.filter(|s| s.is_truthy().unwrap_or(true)) {
                        let number = req_status.extract();
                        let number: i32 = number.map_err(|e| during(self.py, &error, e))?;
                        self.state.with(self.py, |r| r.set_status(number))?;
                    }
                    status(&result)
                }
            },
        }
    }

    #[cold]
    fn report(
        &self,
        entry: &EntryRef<'_>,
        object: &Bound<'py, RequestObject>,
        debug: bool,
        error: PyErr,
    ) -> Status {
        let py = self.py;
        let Some(callback) = callback::get(py, self.interpreter) else {
            log_request(self.r, "python_handler: Can't get/create interpreter.");
            return Status::INTERNAL_SERVER_ERROR;
        };
        let details = Report {
            callback: &callback,
            phase: &self.phase.directive().to_string_lossy(),
            handler: &entry.handler.to_string_lossy(),
            debug,
            req: Some(object.as_any()),
            filter: None,
            srv: None,
        };
        report(py, &details, error)
    }

    #[cold]
    fn no_object(&self, error: &PyErr) -> Status {
        log_traceback(self.py, self.r, error);
        Status::INTERNAL_SERVER_ERROR
    }
}

/// A handler's result as a status; only a plain int will do. (phases.md 2.4.2)
#[inline]
fn status(value: &Bound<'_, PyAny>) -> PyResult<Status> {
    // SAFETY: a type check of a live object.
    if unsafe { ffi::PyLong_CheckExact(value.as_ptr()) } == 0 {
        return Err(not_an_int(value));
    }
    match value.extract::<i32>() {
        Ok(number) => Ok(Status(number)),
        Err(_) => Err(PyOverflowError::new_err(format!(
            "Handler has returned {value}, which is no status that httpd could know"
        ))),
    }
}

#[cold]
fn not_an_int(value: &Bound<'_, PyAny>) -> PyErr {
    let class = value
        .get_type()
        .repr()
        .map_or_else(|_| "?".into(), |r| r.to_string_lossy().into_owned());
    PyAssertionError::new_err(format!(
        "Handler has returned result or raised SERVER_RETURN\nexception with argument having non integer type. Type of value returned\nwas {class}, whereas expected <class 'int'>."
    ))
}

/// A handler of the list, wherever it is kept.
struct EntryRef<'a> {
    handler: &'a CStr,
    directory: Option<&'a CStr>,
    is_location: bool,
    silent: bool,
    id: u32,
}

impl<'a> EntryRef<'a> {
    #[inline]
    fn of(entry: &Entry<'a>, r: &'a Request) -> Self {
        Self {
            handler: entry.handler,
            directory: entry.directory.resolve(r),
            is_location: entry.is_location,
            silent: entry.silent,
            id: entry.id,
        }
    }

    fn of_owned(entry: &'a hlistobject::Entry) -> Self {
        Self {
            handler: &entry.handler,
            directory: entry.directory.as_deref(),
            is_location: entry.is_location,
            silent: entry.silent,
            id: 0,
        }
    }
}

impl RequestState {
    /// The phase begins with configured and added handlers.
    fn run_with(
        &self,
        r: &Request,
        py: Python<'_>,
        entries: &[Entry<'_>],
        added: Vec<hlistobject::Entry>,
    ) -> PyResult<()> {
        let all = entries
            .iter()
            .map(|entry| own_entry(r, entry))
            .chain(added)
            .collect();
        let list = Bound::new(py, hlistobject::HList::new(all, 0))?;
        drop(self.hlist.replace(py, Some(list.unbind())));
        Ok(())
    }
}
