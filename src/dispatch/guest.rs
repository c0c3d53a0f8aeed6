//! Python for other modules of httpd: what our optional functions do. (phases.md 2.12)

use std::cell::RefCell;
use std::ffi::{c_void, CStr};
use std::ptr::null_mut;
use std::sync::Arc;

use pyo3::prelude::*;

use super::{callback, interpreter_for};
use crate::_apache::connobject::ConnObject;
use crate::_apache::lease::Entered;
use crate::_apache::request_config::{ConnState, RequestState};
use crate::_apache::serverobject::ServerObject;
use crate::config::interp_name::MAIN;
use crate::httpd::{log, Conn, Request, Server};
use crate::interpreter::{self, thread, Interpreter};

/// One call of `mp_acquire_interpreter` that was not released yet.
struct Stay {
    interpreter: &'static Interpreter,
    /// Connections whose objects were asked for: they can be used until the release.
    open: Vec<(Arc<ConnState>, Entered)>,
}

thread_local! {
    static STAYS: RefCell<Vec<Stay>> = const { RefCell::new(Vec::new()) };
}

/// Attaches this thread to the interpreter of a name, made if need be; `None` is the main one.
///
/// The result is the `PyInterpreterState`, or null after the reason was logged.
pub fn acquire(name: Option<&CStr>) -> *mut c_void {
    let interpreter = match interpreter_for::get(name.unwrap_or(MAIN)) {
        Ok(interpreter) => interpreter,
        Err(reason) => return refuse(&reason),
    };
    thread::acquire(interpreter);
    // mod_python.apache is to know its interpreter, whoever comes first.
    let is_set_up = interpreter::enter(interpreter, |py| callback::get(py, interpreter).is_some());
    if !is_set_up {
        thread::release();
        return refuse("mod_python.apache could not be set up");
    }
    STAYS.with_borrow_mut(|stays| {
        stays.push(Stay {
            interpreter,
            open: Vec::new(),
        })
    });
    interpreter.state().cast()
}

fn refuse(reason: &str) -> *mut c_void {
    log::main_server(
        log::Level::Err,
        &format!("MP0801: mp_acquire_interpreter: {reason}"),
    );
    null_mut()
}

/// Ends the latest stay of this thread.
pub fn release() {
    let Some(stay) = STAYS.with_borrow_mut(Vec::pop) else {
        log::main_server(
            log::Level::Err,
            "MP0802: mp_release_interpreter: this thread has acquired no interpreter",
        );
        return;
    };
    interpreter::enter(stay.interpreter, |py| {
        for (state, entered) in stay.open.iter().rev() {
            state.gate.leave(py, entered);
        }
    });
    thread::release();
}

/// A new reference to the object that stands for a request; null with an exception set.
pub fn request(r: Option<&Request>) -> *mut c_void {
    object(r, |py, r| {
        let state = RequestState::of(r);
        open(py, &state.conn);
        Ok(RequestState::object(state, py)?.into_any())
    })
}

/// A new reference to an object for a server.
pub fn server(s: Option<&Server>) -> *mut c_void {
    object(s, |py, s| {
        Ok(Bound::new(py, ServerObject::of(s))?.into_any())
    })
}

/// A new reference to an object for a connection.
pub fn connection(c: Option<&Conn>) -> *mut c_void {
    object(c, |py, c| {
        let state = ConnState::of(c);
        open(py, state);
        Ok(Bound::new(py, ConnObject::new(state.clone()))?.into_any())
    })
}

/// Makes an object where Python is ours to use: null without `of`, and on a thread that has not acquired an
/// interpreter.
fn object<T>(
    of: Option<&T>,
    make: impl for<'py> FnOnce(Python<'py>, &T) -> PyResult<Bound<'py, PyAny>>,
) -> *mut c_void {
    let (Some(of), Some(interpreter)) = (of, thread::current()) else {
        return null_mut();
    };
    interpreter::enter(interpreter, |py| match make(py, of) {
        Ok(object) => object.into_ptr().cast(),
        Err(error) => {
            error.restore(py);
            null_mut()
        }
    })
}

/// Opens the gate of a connection until the stay ends. Without one, Python has called the other module from a
/// handler: then the gates that are open are enough.
fn open(py: Python<'_>, state: &Arc<ConnState>) {
    STAYS.with_borrow_mut(|stays| {
        let Some(stay) = stays.last_mut() else { return };
        if !stay.open.iter().any(|(known, _)| Arc::ptr_eq(known, state)) {
            stay.open.push((state.clone(), state.gate.enter(py)));
        }
    });
}
