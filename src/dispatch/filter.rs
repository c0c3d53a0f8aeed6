//! Filters: Python is called for each brigade, or each read from upstream. (phases.md 2.7)

use std::ffi::{c_int, CStr, CString};
use std::sync::Arc;

use pyo3::prelude::*;

use super::error::{log_request, log_traceback, report, server_return, Report, Returned};
use super::interpreter_for::interpreter_for;
use super::resolve::{resolve, Wanted};
use super::{callback, child, timeout};
use crate::_apache::filterobject::{Call, FilterObject, Kind, Progress};
use crate::_apache::request_config::RequestState;
use crate::_apache::request_timeout;
use crate::config::interp_name;
use crate::config::DirConfig;
use crate::httpd::brigade::{Brigade, First};
use crate::httpd::filter::{Context, Filter, Mode, ReadMode, FILTER_ERROR, GENERAL_ERROR};
use crate::httpd::{Request, Status};
use crate::interpreter::{self, Interpreter};

const INTERNAL_SERVER_ERROR: c_int = crate::httpd::Status::INTERNAL_SERVER_ERROR.0;

/// What is to be called, and how it was configured.
struct Target {
    name: CString,
    handler: CString,
    directory: Option<CString>,
    is_location: bool,
}

/// The filter's configuration: on the request where it was registered there, else in scope of it.
fn target(f: &Filter, r: &Request, context: &Context, is_input: bool) -> Option<Target> {
    if let Some(name) = context.name {
        let state = RequestState::find(r)?;
        let interpreter = interpreter::registry::main()?;
        let added = interpreter::enter(interpreter, |py| state.added_filter(py, name, is_input))?;
        return Some(Target {
            name: f.name().to_owned(),
            handler: added.handler,
            directory: added.directory,
            is_location: false,
        });
    }
    let filter = DirConfig::of(r)?.filter(f.name(), is_input)?;
    Some(Target {
        name: f.name().to_owned(),
        handler: filter.handler.to_owned(),
        directory: filter.directory.resolve(r).map(CStr::to_owned),
        is_location: filter.is_location,
    })
}

/// What a call of the Python function means for the chain.
enum Outcome {
    /// It returned.
    Done(Progress),
    /// It failed, and an error page was written and flushed.
    PageWritten,
    /// It failed, or asked for this status.
    Failed(c_int),
}

/// An output filter gets a brigade.
pub fn output(f: &Filter, brigade: &Brigade) -> c_int {
    let Some(r) = f.request() else {
        return f.pass(brigade);
    };
    let context = f.context(r);
    match context.mode.get() {
        Mode::Transparent => return f.pass(brigade),
        Mode::Ended => {
            brigade.clear();
            return 0;
        }
        Mode::Active => {}
    }
    context.note(r, brigade);
    let Some(run) = Run::prepare(f, r, context, false) else {
        context.mode.set(Mode::Ended);
        brigade.clear();
        return f.fail(r, INTERNAL_SERVER_ERROR);
    };
    // SAFETY: made with the context, in the request's pool.
    let unread = unsafe { Brigade::from_raw(context.unread) };
    brigade.move_all(unread);
    context.with_queue(r, |queue| run.pass_on(unread, queue))
}

/// An input filter is asked for data.
pub fn input(f: &Filter, brigade: &Brigade, how: ReadMode) -> c_int {
    let Some(r) = f.request().filter(|_| how.is_for_python()) else {
        return f.fetch(brigade, how);
    };
    let context = f.context(r);
    // SAFETY: made with the context, in the request's pool.
    let (unread, pending) = unsafe {
        (
            Brigade::from_raw(context.unread),
            Brigade::from_raw(context.pending),
        )
    };
    if !pending.is_empty() {
        pending.move_all(brigade);
        return limit(brigade, pending, how);
    }
    if context.mode.get() != Mode::Active {
        if !unread.is_empty() {
            unread.move_all(brigade);
            return limit(brigade, pending, how);
        }
        return f.fetch(brigade, how);
    }
    let Some(run) = Run::prepare(f, r, context, true) else {
        context.mode.set(Mode::Transparent);
        return GENERAL_ERROR;
    };
    loop {
        let progress = match run.call(Kind::Input(how), unread, brigade) {
            Outcome::Done(progress) => progress,
            Outcome::PageWritten | Outcome::Failed(_) => {
                context.mode.set(Mode::Transparent);
                return GENERAL_ERROR;
            }
        };
        if progress.status != 0 && brigade.is_empty() {
            return progress.status;
        }
        if progress.is_closed {
            unread.clear();
            return limit(brigade, pending, how);
        }
        if context.mode.get() == Mode::Transparent {
            unread.move_all(brigade);
            return limit(brigade, pending, how);
        }
        if unread.first() == First::Eos {
            // The function saw the end and did not close: readers upstream must see it all the same.
            unread.clear();
            brigade.append_eos();
            return limit(brigade, pending, how);
        }
        // A reader that waits must get something; one whose filter did nothing gets nothing for ever.
        let goes_on = how.is_blocking() && brigade.is_empty() && progress.has_fetched;
        if !goes_on {
            return limit(brigade, pending, how);
        }
    }
}

/// Gives upstream no more than it asked for; the rest waits for its next read.
fn limit(brigade: &Brigade, pending: &Brigade, how: ReadMode) -> c_int {
    if !how.is_limited() {
        return 0;
    }
    match brigade.cut(how.length, pending) {
        Ok(()) => 0,
        Err(_) => GENERAL_ERROR,
    }
}

/// A filter about to be called.
struct Run<'a> {
    f: &'a Filter,
    r: &'a Request,
    context: &'a Context,
    target: Target,
    interpreter: &'static Interpreter,
    config: DirConfig<'a>,
}

impl<'a> Run<'a> {
    fn prepare(
        f: &'a Filter,
        r: &'a Request,
        context: &'a Context,
        is_input: bool,
    ) -> Option<Self> {
        let Some(target) = target(f, r, context, is_input) else {
            log_request(r, "python_filter: Could not find registered filter.");
            return None;
        };
        let config = DirConfig::of(r).copied().unwrap_or(DirConfig::EMPTY);
        let name = {
            let directory = target.directory.as_deref();
            interp_name::for_request(&config, r, || {
                directory.map(|dir| r.pool().cstr(dir.to_bytes()))
            })
        };
        match interpreter_for(&name) {
            Ok(interpreter) => Some(Self {
                f,
                r,
                context,
                target,
                interpreter,
                config,
            }),
            Err(reason) => {
                log_request(
                    r,
                    &format!("python_filter: Can't get/create interpreter. {reason}"),
                );
                None
            }
        }
    }

    /// Calls the function of an output filter for what is unread, until it has had its chance, and passes on
    /// what it writes.
    fn pass_on(&self, unread: &Brigade, queue: &Brigade) -> c_int {
        loop {
            let before = unread.first();
            if before == First::Nothing {
                // Only metadata of others was left, and it is in the queue.
                break self.f.pass(queue);
            }
            match self.call(Kind::Output, unread, queue) {
                Outcome::Failed(status) => {
                    self.context.mode.set(Mode::Ended);
                    unread.clear();
                    queue.clear();
                    break self.f.fail(self.r, status);
                }
                Outcome::PageWritten => {
                    self.context.mode.set(Mode::Ended);
                    unread.clear();
                    queue.append_eos();
                    break self.f.pass_changed(queue);
                }
                Outcome::Done(progress) if progress.is_closed => {
                    unread.clear();
                    break progress.status;
                }
                Outcome::Done(progress) => {
                    if self.context.mode.get() == Mode::Transparent {
                        let is_untouched = progress.consumed == 0 && queue.is_empty();
                        unread.move_all(queue);
                        break if is_untouched {
                            self.f.pass(queue)
                        } else {
                            self.f.pass_changed(queue)
                        };
                    }
                    let goes_on = progress.consumed > 0
                        && progress.status == 0
                        && !matches!(unread.first(), First::Nothing | First::Eos);
                    if goes_on {
                        continue;
                    }
                    // The function has had its chance; the end of the stream is never lost.
                    if unread.has_eos() {
                        queue.append_eos();
                    } else {
                        queue.append_flush();
                    }
                    unread.clear();
                    let status = self.f.pass_changed(queue);
                    break if progress.status != 0 {
                        progress.status
                    } else {
                        status
                    };
                }
            }
        }
    }

    /// Calls the function once.
    fn call(&self, kind: Kind, unread: &Brigade, queue: &Brigade) -> Outcome {
        let state = RequestState::of(self.r);
        interpreter::enter_for(self.interpreter, state.subject(), |py| {
            state.conn.gate.during(py, || {
                if state.interpreter.get(py).is_none() {
                    state.interpreter.replace(py, Some(self.interpreter));
                }
                self.call_attached(py, state, kind, unread, queue)
            })
        })
    }

    fn call_attached(
        &self,
        py: Python<'_>,
        state: &Arc<RequestState>,
        kind: Kind,
        unread: &Brigade,
        queue: &Brigade,
    ) -> Outcome {
        let call = Call {
            kind,
            filter: self.f,
            context: self.context,
            input: unread,
            output: queue,
        };
        let target = &self.target;
        let object = Bound::new(
            py,
            FilterObject::new(
                state.clone(),
                call,
                target.name.clone(),
                Some(target.handler.clone()),
                target.directory.clone(),
            ),
        );
        let filter = match object {
            Ok(filter) => filter,
            Err(error) => {
                log_traceback(py, self.r, &error);
                return Outcome::Failed(INTERNAL_SERVER_ERROR);
            }
        };
        let result = self.run_function(py, &filter, matches!(kind, Kind::Input(_)));
        let outcome = match result {
            Ok(()) => Ok(()),
            Err(error) => self.failed(py, state, &filter, matches!(kind, Kind::Input(_)), error),
        };
        let progress = filter.get().end(py);
        match outcome {
            Ok(()) => Outcome::Done(progress),
            Err(failed) => failed,
        }
    }

    fn run_function<'py>(
        &self,
        py: Python<'py>,
        filter: &Bound<'py, FilterObject>,
        is_input: bool,
    ) -> PyResult<()> {
        let settings = &self.config.settings;
        let wanted = Wanted {
            handler: &self.target.handler,
            default: if is_input {
                c"inputfilter"
            } else {
                c"outputfilter"
            },
            directory: self
                .target
                .directory
                .as_deref()
                .filter(|_| !self.target.is_location),
            python_path: settings.python_path,
            auto_reload: settings.auto_reloads(),
            log: settings.debugs(),
            silent: false,
            id: 0,
            now: self.r.request_time(),
            argument_name: "fltr",
        };
        let resolve = || resolve(py, self.interpreter, &wanted, filter.as_any());
        if child::is_for_pdb(settings) {
            if let Some(callback) = callback::get(py, self.interpreter) {
                if let Some(function) = resolve()? {
                    callback.call_method1("run_pdb", (function, filter))?;
                }
                return Ok(());
            }
        }
        let called = timeout::Called {
            r: self.r,
            state: RequestState::of(self.r),
            what: &self.target.name,
            handler: &self.target.handler,
            phase: None,
        };
        let (result, _) =
            timeout::limited(py, self.interpreter, &called, Some(&self.config), || {
                let function = resolve()?;
                function
                    .map(|function| function.call1((filter,)))
                    .transpose()
            });
        result.map(|_| ())
    }

    /// SERVER_RETURN, or an error to report.
    #[cold]
    fn failed(
        &self,
        py: Python<'_>,
        state: &Arc<RequestState>,
        filter: &Bound<'_, FilterObject>,
        is_input: bool,
        error: PyErr,
    ) -> Result<(), Outcome> {
        if let Some(parts) = server_return(py, &error) {
            match self.returned(py, state, parts) {
                Ok(0 | -1) => return Ok(()),
                Ok(-2) => return Err(Outcome::PageWritten),
                Ok(status) if (400..600).contains(&status) => return Err(Outcome::Failed(status)),
                Ok(_) => return Err(Outcome::Failed(INTERNAL_SERVER_ERROR)),
                Err(error) => {
                    log_traceback(py, self.r, &error);
                    return Err(Outcome::Failed(INTERNAL_SERVER_ERROR));
                }
            }
        }
        let Some(callback) = callback::get(py, self.interpreter) else {
            return Err(Outcome::Failed(INTERNAL_SERVER_ERROR));
        };
        let is_over = error.is_instance(py, &request_timeout::class(py));
        // A page makes no sense in a request's body, nor after the stream was closed.
        let debug = self.config.settings.debugs()
            && !is_input
            && !is_over
            && !filter.get().progress(py).is_closed;
        let details = Report {
            callback: &callback,
            phase: &self.target.name.to_string_lossy(),
            handler: &self.target.handler.to_string_lossy(),
            debug,
            req: None,
            filter: Some(filter.as_any()),
            srv: None,
        };
        match report(py, &details, error) {
            Status::DONE => Err(Outcome::PageWritten),
            _ if is_over => Err(Outcome::Failed(Status::GATEWAY_TIME_OUT.0)),
            _ => Err(Outcome::Failed(INTERNAL_SERVER_ERROR)),
        }
    }

    /// The result of SERVER_RETURN; a second argument goes into req.status.
    fn returned<'py>(
        &self,
        py: Python<'py>,
        state: &Arc<RequestState>,
        parts: PyResult<Returned<'py>>,
    ) -> PyResult<i32> {
        let (result, status) = parts?;
        if let Some(status) = status {
            let status: i32 = status.extract()?;
            if status != 0 {
                state.with(py, |r| r.set_status(status))?;
            }
        }
        match result.extract() {
            Ok(result) => Ok(result),
            Err(_) => {
                let class = result.get_type().repr()?.to_string_lossy().into_owned();
                log_request(self.r, &format!("Value raised with SERVER_RETURN is invalid. It is a {class}, but it must be a tuple or an int."));
                Ok(INTERNAL_SERVER_ERROR)
            }
        }
    }
}

/// What a filter answers when its own code panicked.
pub const PANICKED: c_int = FILTER_ERROR;
