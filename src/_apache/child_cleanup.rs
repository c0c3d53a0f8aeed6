//! Functions to call when the child exits: `server.register_cleanup`, `apache.register_cleanup`.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::httpd::server::Raw;
use crate::httpd::{log, Server};
use crate::interpreter::{self, GilCell, Interpreter};

struct Cleanup {
    interpreter: &'static Interpreter,
    server: *mut Raw,
    function: Py<PyAny>,
    data: Option<Py<PyAny>>,
}

// SAFETY: the server lives as long as the child.
unsafe impl Send for Cleanup {}

static CLEANUPS: GilCell<Vec<Cleanup>> = GilCell::new(Vec::new());

/// Remembers a function, to be called in this interpreter; the last one registered is called first.
pub fn register(
    py: Python<'_>,
    interpreter: &'static Interpreter,
    server: &Server,
    function: &Bound<'_, PyAny>,
    data: Option<&Bound<'_, PyAny>>,
) {
    let cleanup = Cleanup {
        interpreter,
        server: server.as_ptr(),
        function: function.clone().unbind(),
        data: data.map(|data| data.clone().unbind()),
    };
    // SAFETY: `push` runs no Python.
    unsafe { CLEANUPS.with(py, |cleanups| cleanups.push(cleanup)) };
}

/// Whether anything was registered.
///
/// # Safety
/// Called when the child exits and no Python code is started any more.
pub unsafe fn is_empty() -> bool {
    // SAFETY: the caller's promise; at worst a registration of this very moment is missed.
    unsafe { CLEANUPS.peek() }.is_empty()
}

/// Calls all of them, newest first, also those registered meanwhile.
pub fn run_all() {
    let Some(main) = interpreter::registry::main() else {
        return;
    };
    loop {
        // SAFETY: `pop` runs no Python.
        let next = interpreter::enter(main, |py| unsafe { CLEANUPS.with(py, Vec::pop) });
        let Some(cleanup) = next else { return };
        interpreter::enter(cleanup.interpreter, |py| {
            if let Err(error) = call(py, &cleanup.function, cleanup.data.as_ref()) {
                for line in describe_failure(py, cleanup.function.bind(py), &error) {
                    // SAFETY: lives as long as the child.
                    let server = unsafe { Server::from_raw(cleanup.server) };
                    log::server(Some(server), log::Level::Err as i32, line.as_bytes());
                }
            }
            drop(cleanup);
        });
    }
}

/// Calls a cleanup function with its data, None if it has none.
///
/// # Errors
/// What the function raises.
pub fn call(py: Python<'_>, function: &Py<PyAny>, data: Option<&Py<PyAny>>) -> PyResult<()> {
    let function = function.bind(py);
    match data.map(|data| data.bind(py)) {
        None => function.call1((py.None(),))?,
        // As mod_python does it, and functions are written for it.
        Some(data) => match data.cast::<PyTuple>() {
            Ok(arguments) => function.call1(arguments.clone())?,
            Err(_) => function.call1((data,))?,
        },
    };
    Ok(())
}

/// The two log lines of a cleanup that raised. (phases.md 2.9)
pub fn describe_failure(py: Python<'_>, function: &Bound<'_, PyAny>, error: &PyErr) -> [String; 2] {
    let text = |object: &Bound<'_, PyAny>| {
        object.str().map_or_else(
            |_| "<unprintable>".to_string(),
            |s| s.to_string_lossy().into_owned(),
        )
    };
    [
        format!(
            "python_cleanup: Error calling cleanup object {}",
            text(function)
        ),
        format!(
            "    {}: {}",
            text(error.get_type(py).as_any()),
            text(error.value(py).as_any())
        ),
    ]
}
