//! The `CallBack` object of an interpreter: what Python does for the dispatcher, set up on first use.

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::_apache::serverobject::ServerObject;
use crate::_apache::text;
use crate::httpd::{log, Server};
use crate::interpreter::{registry, thread, Interpreter};

/// The version of this module, which the Python package must have too.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The interpreter's `CallBack`; `None` after the reason was logged.
#[inline]
pub fn get<'py>(py: Python<'py>, interpreter: &Interpreter) -> Option<Bound<'py, PyAny>> {
    // SAFETY: taking a reference runs no Python.
    let known = unsafe {
        interpreter.callback.with(py, |slot| {
            slot.as_ref().map(|callback| callback.bind(py).clone())
        })
    };
    match known {
        Some(callback) => Some(callback),
        None => set_up(py, interpreter),
    }
}

#[cold]
fn set_up<'py>(py: Python<'py>, interpreter: &Interpreter) -> Option<Bound<'py, PyAny>> {
    let apache = match py.import("mod_python.apache") {
        Ok(apache) => apache,
        Err(error) => {
            complain("make_obcallback: could not import mod_python.apache.");
            complain_traceback(py, &error);
            let path = py
                .import("sys")
                .and_then(|sys| sys.getattr("path"))
                .and_then(|path| path.repr());
            if let Ok(path) = path {
                complain(&format!(
                    "make_obcallback: Python path being used \"{path}\"."
                ));
            }
            complain(&format!(
                "MP0107: version {VERSION} of the Python package mod_python has to be on Python's path: install it with the module, or name its directory in PYTHONPATH in httpd's environment"
            ));
            return None;
        }
    };
    let found = check_version(py, &apache);
    let result = main_server(py).and_then(|server| {
        apache.call_method1("init", (text::from_c(py, &interpreter.name)?, server))
    });
    match result {
        Ok(callback) if callback.hasattr("load").unwrap_or(false) => {
            let old = interpreter
                .callback
                .replace(py, Some(callback.clone().unbind()));
            drop(old);
            if registry::has_several_names(interpreter) {
                ask_for_name(py);
            }
            Some(callback)
        }
        Ok(_) => {
            complain(&format!(
                "MP0108: the Python package mod_python that was found, {found}, is another program's; version {VERSION} has to come before it on Python's path: install it with the module, or name its directory in PYTHONPATH in httpd's environment"
            ));
            None
        }
        Err(error) => {
            complain("make_obcallback: could not call init().");
            complain_traceback(py, &error);
            None
        }
    }
}

/// An interpreter has a second name: what its module `apache` says depends on the thread from now on.
///
/// Before [`set_up`] there is no such module, and that looks itself.
pub fn tell_of_names(interpreter: &'static Interpreter) {
    thread::enter(interpreter, thread::Subject::NONE, |py| {
        // SAFETY: looking at an Option runs no Python.
        if unsafe { interpreter.callback.with(py, |slot| slot.is_some()) } {
            ask_for_name(py);
        }
    });
}

fn ask_for_name(py: Python<'_>) {
    let told = py
        .import("mod_python.apache")
        .and_then(|apache| apache.call_method0("_ask_for_name"));
    if let Err(error) = told {
        complain("MP0113: apache.interpreter cannot be made to follow the names of the main interpreter, and stays the first one it was used under");
        complain_traceback(py, &error);
    }
}

/// Warns when the package on `sys.path` is not the one that belongs to this module; says what it is.
fn check_version(py: Python<'_>, apache: &Bound<'_, PyAny>) -> String {
    let text = |value: PyResult<Bound<'_, PyAny>>| {
        value.and_then(|value| value.str()).map_or_else(
            |_| "unknown".into(),
            |text| text.to_string_lossy().into_owned(),
        )
    };
    let found = text(
        py.import("mod_python")
            .and_then(|package| package.getattr("mp_version")),
    );
    let file = text(apache.getattr("__file__"));
    if found != VERSION {
        let warn = |message: String| log::main_server(log::Level::Warning, &message);
        warn(format!(
            "WARNING: mod_python version mismatch, expected '{VERSION}', found '{found}'."
        ));
        warn(format!("WARNING: mod_python modules location '{file}'."));
    }
    format!("version {found} in {file}")
}

fn main_server(py: Python<'_>) -> PyResult<Bound<'_, ServerObject>> {
    let server = log::main().ok_or_else(|| {
        pyo3::exceptions::PyRuntimeError::new_err("httpd has told of no server yet")
    })?;
    let server: &Server = server;
    Bound::new(py, ServerObject::of(server))
}

fn complain(message: &str) {
    log::main_server(log::Level::Err, message);
}

/// Logs a traceback, one line for each of its lines.
pub fn complain_traceback(py: Python<'_>, error: &PyErr) {
    for line in format_traceback(py, error) {
        complain(&line);
    }
}

/// The lines of a traceback; never fails.
pub fn format_traceback(py: Python<'_>, error: &PyErr) -> Vec<String> {
    let formatted = py.import("traceback").and_then(|traceback| {
        let parts = traceback.call_method1(
            "format_exception",
            (error.get_type(py), error.value(py), error.traceback(py)),
        )?;
        parts.extract::<Vec<String>>()
    });
    match formatted {
        Ok(parts) => parts.concat().lines().map(str::to_string).collect(),
        Err(_) => {
            let text = error.value(py).str();
            let text = text
                .as_ref()
                .map_or("<unprintable>".into(), |text: &Bound<'_, PyString>| {
                    text.to_string_lossy().into_owned()
                });
            vec![format!(
                "{}: {text}",
                text::type_name(error.value(py).as_any())
            )]
        }
    }
}
