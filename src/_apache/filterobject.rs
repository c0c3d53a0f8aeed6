//! `mp_filter`: one call of a filter. (objects.md 3.7)

use std::ffi::{c_int, CString};
use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::bytes_room::{self, Room};
use super::request_config::RequestState;
use super::request_io;
use super::requestobject::RequestObject;
use super::text;
use crate::httpd::brigade::{Brigade, First};
use crate::httpd::filter::{Context, Filter, Mode, ReadMode, GENERAL_ERROR};
use crate::interpreter::GilCell;

/// `read()` without length gives at most this much at a time, so that memory stays flat whatever is sent.
const MOST_AT_ONCE: usize = 4 << 20;
/// Written data beyond this is handed to the next output filter without waiting for a flush.
const MOST_QUEUED: usize = 1 << 20;

/// Bytes objects of this size and more are sent as they are, without a copy.
const LENT: usize = 4096;

/// Which kind of filter is called, and with what.
#[derive(Clone, Copy)]
pub enum Kind {
    Output,
    Input(ReadMode),
    /// An SSI tag: writes go into mod_include's own brigade.
    Include,
}

/// httpd's side of the call; gone when it returns.
#[derive(Clone, Copy)]
pub struct Call {
    pub kind: Kind,
    pub filter: *const Filter,
    pub context: *const Context,
    /// What is read from.
    pub input: *const Brigade,
    /// What is written to.
    pub output: *const Brigade,
}

// SAFETY: only used under the gate of the request's connection, while the call lasts.
unsafe impl Send for Call {}

/// What the call has come to.
#[derive(Clone, Copy, Default)]
pub struct Progress {
    pub is_closed: bool,
    /// Bytes read, or brigades passed on.
    pub consumed: usize,
    /// Whether upstream of an input filter was asked.
    pub has_fetched: bool,
    pub queued: usize,
    /// The status of the last brigade operation.
    pub status: c_int,
}

/// One call of a filter: what came can be read, what is written goes on.
///
/// Each call gets a new object, which can be used until the function returns.
#[cfg_attr(
    Py_3_10,
    pyclass(
        frozen,
        weakref,
        immutable_type,
        name = "mp_filter",
        module = "builtins"
    )
)]
#[cfg_attr(
    not(Py_3_10),
    pyclass(frozen, weakref, name = "mp_filter", module = "builtins")
)]
pub struct FilterObject {
    state: Arc<RequestState>,
    call: GilCell<Option<Call>>,
    progress: GilCell<Progress>,
    name: CString,
    handler: Option<CString>,
    dir: Option<CString>,
    is_input: bool,
    softspace: GilCell<i32>,
    req: GilCell<Option<Py<RequestObject>>>,
}

impl FilterObject {
    /// An object for a call that begins.
    pub fn new(
        state: Arc<RequestState>,
        call: Call,
        name: CString,
        handler: Option<CString>,
        dir: Option<CString>,
    ) -> Self {
        let is_input = matches!(call.kind, Kind::Input(_));
        Self {
            state,
            call: GilCell::new(Some(call)),
            progress: GilCell::new(Progress::default()),
            name,
            handler,
            dir,
            is_input,
            softspace: GilCell::new(0),
            req: GilCell::new(None),
        }
    }

    /// The call is over: nothing of httpd's can be touched through this object any more.
    pub fn end(&self, py: Python<'_>) -> Progress {
        self.state.conn.gate.quiesce(py);
        self.call.replace(py, None);
        drop(self.req.take(py));
        self.progress.get(py)
    }

    /// What the call has come to so far.
    pub fn progress(&self, py: Python<'_>) -> Progress {
        self.progress.get(py)
    }

    /// Changes the progress and gives what the closure makes of it.
    #[inline]
    fn update<R>(&self, py: Python<'_>, change: impl FnOnce(&mut Progress) -> R) -> R {
        // SAFETY: the closures below touch numbers only.
        unsafe { self.progress.with(py, change) }
    }

    /// The call, where it still lasts.
    #[inline]
    fn live(&self, py: Python<'_>) -> PyResult<Live<'_>> {
        self.state.with(py, |_| ())?;
        let call = self.call.get(py).ok_or_else(|| {
            PyRuntimeError::new_err("the filter's call is over: this object can no longer be used")
        })?;
        // SAFETY: the addresses are valid while the call lasts, and `end` waits for operations.
        unsafe {
            Ok(Live {
                kind: call.kind,
                filter: &*call.filter,
                context: call.context.as_ref(),
                input: &*call.input,
                output: &*call.output,
            })
        }
    }

    fn open(&self, py: Python<'_>) -> PyResult<Live<'_>> {
        let live = self.live(py)?;
        if self.update(py, |progress| progress.is_closed) {
            return Err(PyValueError::new_err("I/O operation on closed filter"));
        }
        Ok(live)
    }

    /// Runs an operation on brigades without the GIL.
    fn detached<R>(&self, py: Python<'_>, body: impl FnOnce() -> R) -> PyResult<R> {
        self.state.detached(py, |_| body())
    }

    /// `read` and `readline`: `None` at the end of the stream.
    fn take<'py>(
        &self,
        py: Python<'py>,
        limit: usize,
        stop: Option<u8>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let live = self.open(py)?;
        if let Some(bytes) = live.input.in_memory(limit) {
            let end = stop.and_then(|stop| memchr::memchr(stop, bytes));
            let bytes = end.map_or(bytes, |at| &bytes[..=at]);
            let taken = bytes_room::copy(py, bytes)?;
            let length = bytes.len();
            live.input.advance(length);
            self.took(py, &live, length);
            return Ok(Some(taken));
        }
        let wants_fetch = !self.progress.get(py).has_fetched;
        let (gathered, fetched) = self.detached(py, || {
            let mut fetched = false;
            if let Kind::Input(how) = live.kind {
                if wants_fetch && live.input.is_empty() {
                    fetched = true;
                    let status = live.filter.fetch(live.input, how);
                    if status != 0 && !Filter::is_again(status) {
                        return (Err((status, "Input filter read error")), fetched);
                    }
                }
            }
            let gathered = live.input.gather(limit, stop, live.output);
            let gathered = gathered.map_err(|_| (GENERAL_ERROR, "Filter read error"));
            (gathered, fetched)
        })?;
        if fetched {
            self.update(py, |progress| progress.has_fetched = true);
        }
        match gathered {
            Ok(0) if live.input.first() == First::Eos => Ok(None),
            Ok(length) => {
                let mut room = Room::new(py, length)?;
                if length > 0 {
                    live.input.take_out(&mut room.memory()[..length]);
                }
                self.took(py, &live, length);
                room.finish(length).map(Some)
            }
            Err((status, message)) => {
                self.update(py, |progress| progress.status = status);
                Err(PyOSError::new_err(message))
            }
        }
    }

    /// Data was taken out of the input. A FLUSH behind it has done its work.
    fn took(&self, py: Python<'_>, live: &Live<'_>, length: usize) {
        if live.input.first() == First::Flush {
            live.input.drop_first();
        }
        self.update(py, |progress| progress.consumed += length);
    }

    /// Hands what is queued to the next output filter.
    fn pass(&self, py: Python<'_>, live: &Live<'_>) -> PyResult<c_int> {
        if !matches!(live.kind, Kind::Output) {
            return Ok(0);
        }
        let status = self.detached(py, || live.filter.pass_changed(live.output))?;
        self.update(py, |progress| {
            progress.queued = 0;
            progress.status = status;
        });
        Ok(status)
    }
}

/// The addresses of a call as references, for the length of one operation.
struct Live<'a> {
    kind: Kind,
    filter: &'a Filter,
    context: Option<&'a Context>,
    input: &'a Brigade,
    output: &'a Brigade,
}

#[pymethods]
impl FilterObject {
    /// 1 once close() was called.
    #[getter]
    fn closed(&self, py: Python<'_>) -> i32 {
        i32::from(self.progress.get(py).is_closed)
    }

    /// The name the filter was registered under, in lower case.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text::from_c(py, &self.name)
    }

    /// The request whose data is filtered.
    #[getter]
    fn req<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, RequestObject>> {
        // SAFETY: taking a reference runs no Python.
        let assigned = unsafe {
            self.req
                .with(py, |req| req.as_ref().map(|req| req.bind(py).clone()))
        };
        match assigned {
            Some(req) => Ok(req),
            None => RequestState::object(&self.state, py),
        }
    }

    #[setter]
    fn set_req(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let req = value.cast::<RequestObject>().map_err(|_| {
            PyTypeError::new_err(format!(
                "req must be mp_request, not {}",
                text::type_name(value)
            ))
        })?;
        drop(self.req.replace(value.py(), Some(req.clone().unbind())));
        Ok(())
    }

    /// 1 for an input filter.
    #[getter]
    fn is_input(&self) -> i32 {
        i32::from(self.is_input)
    }

    /// The handler as configured; None in SSI.
    #[getter]
    fn handler<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        text::from_c_opt(py, self.handler.as_deref())
    }

    /// The directory of the directive; str or None.
    #[getter]
    fn dir<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        text::from_c_opt(py, self.dir.as_deref())
    }

    /// A number for programs. Writable.
    #[getter]
    fn softspace(&self, py: Python<'_>) -> i32 {
        self.softspace.get(py)
    }

    #[setter]
    fn set_softspace(&self, py: Python<'_>, value: i32) {
        self.softspace.replace(py, value);
    }

    /// Reads up to len bytes, or what has come; b'' when there is no more in this call, None at the end.
    ///
    /// Raises OSError when the data cannot be had, ValueError after close().
    #[pyo3(signature = (len = -1), text_signature = "($self, len=-1)")]
    fn read<'py>(&self, py: Python<'py>, len: isize) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.take(py, usize::try_from(len).unwrap_or(MOST_AT_ONCE), None)
    }

    /// Reads up to and including a newline, as read().
    #[pyo3(signature = (len = -1), text_signature = "($self, len=-1)")]
    fn readline<'py>(&self, py: Python<'py>, len: isize) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.take(
            py,
            usize::try_from(len).unwrap_or(MOST_AT_ONCE),
            Some(b'\n'),
        )
    }

    /// Queues str (as UTF-8) or a bytes-like object for the next filter, or for the reader of an input filter.
    ///
    /// Raises OSError when the next filter fails, ValueError after close().
    fn write(&self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = data.py();
        let copy;
        let data = if data.is_instance_of::<PyBytes>() || data.is_instance_of::<PyString>() {
            data
        } else {
            // Before the call is looked at: copying may run Python code, which may end it.
            copy = request_io::copy_exported(data)?.into_any();
            &copy
        };
        let live = self.open(py)?;
        let length = if let Ok(bytes) = data.cast_exact::<PyBytes>() {
            let length = bytes.as_bytes().len();
            if length >= LENT {
                // SAFETY: APR gives the object back when the data has gone its way.
                unsafe {
                    live.output
                        .append_lent(bytes_room::lend(bytes), bytes_room::give_back)
                };
            } else {
                live.output.write(bytes.as_bytes());
            }
            length
        } else if let Ok(bytes) = data.cast::<PyBytes>() {
            live.output.write(bytes.as_bytes());
            bytes.as_bytes().len()
        } else {
            let bytes = data.cast::<PyString>()?.to_str()?.as_bytes();
            live.output.write(bytes);
            bytes.len()
        };
        if length == 0 {
            return Ok(());
        }
        let queued = self.update(py, |progress| {
            progress.queued += length;
            progress.queued
        });
        if queued > MOST_QUEUED && self.pass(py, &live)? != 0 {
            return Err(PyOSError::new_err(
                "Write failed, client closed connection.",
            ));
        }
        Ok(())
    }

    /// Sends what is queued on its way. Raises OSError when the next filter fails.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let live = self.live(py)?;
        live.output.append_flush();
        match self.pass(py, &live)? {
            0 => Ok(()),
            _ => Err(PyOSError::new_err("Flush failed.")),
        }
    }

    /// Ends the stream. Once is enough; more does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let live = self.live(py)?;
        if self.progress.get(py).is_closed {
            return Ok(());
        }
        self.update(py, |progress| progress.is_closed = true);
        if matches!(live.kind, Kind::Include) {
            return Ok(());
        }
        live.output.append_eos();
        self.pass(py, &live)?;
        Ok(())
    }

    /// Hands everything on untouched.
    fn pass_on(&self, py: Python<'_>) -> PyResult<()> {
        let live = self.live(py)?;
        let has_eos = live.input.has_eos();
        let status = self.detached(py, || match live.kind {
            Kind::Input(how) => {
                live.input.move_all(live.output);
                live.filter.fetch(live.output, how)
            }
            // Before what was written and not flushed, as it always was.
            Kind::Output => live.filter.pass(live.input),
            Kind::Include => 0,
        })?;
        let has_eos = has_eos || (self.is_input && live.output.has_eos());
        self.update(py, |progress| {
            progress.consumed += 1;
            progress.has_fetched = true;
            progress.is_closed |= has_eos;
            progress.status = status;
        });
        Ok(())
    }

    /// From now on data goes past this filter untouched.
    fn disable(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(context) = self.live(py)?.context {
            context.mode.set(Mode::Transparent);
        }
        Ok(())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let kind = if slf.get().is_input {
            "input"
        } else {
            "output"
        };
        format!(
            "<mp_filter object at {:p}: {kind} {}>",
            slf.as_ptr(),
            slf.get().name.to_string_lossy()
        )
    }
}
