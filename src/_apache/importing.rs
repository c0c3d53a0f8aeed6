//! What the importer and the module `apache` ask about the running interpreter. (apache_module.md 4.4, 4.5)

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PyString};

use super::text;
use crate::interpreter::{registry, thread};

/// Counts the times that a module was executed again, or failed to be.
static RELOADS: AtomicU64 = AtomicU64::new(0);

/// A number that changes whenever what is known of handler modules may be out of date.
#[inline]
pub fn reloads() -> u64 {
    RELOADS.load(Ordering::Relaxed)
}

/// The name under which this thread entered its interpreter; None on a thread that Python made.
#[pyfunction]
pub fn _interpreter_name(py: Python<'_>) -> PyResult<Option<Bound<'_, PyString>>> {
    text::from_c_opt(
        py,
        thread::current().map(|interpreter| interpreter.name.as_c_str()),
    )
}

/// Whether this is the child's main interpreter, in which all extension modules work.
#[pyfunction]
pub fn _is_main_interpreter(py: Python<'_>) -> bool {
    registry::is_main_current(py)
}

/// Whether the child has no other interpreter.
#[pyfunction]
pub fn _is_only_interpreter() -> bool {
    registry::distinct().len() == 1
}

/// Gives a module another dict for its contents.
///
/// Functions defined before keep the dict they were defined in.
#[pyfunction]
pub fn _set_contents(module: &Bound<'_, PyModule>, contents: &Bound<'_, PyDict>) -> PyResult<()> {
    // SAFETY: what assigning to `__dict__` does for objects that allow it; a module keeps its dict in
    // the same place as they do.
    let status = unsafe {
        ffi::PyObject_GenericSetDict(module.as_ptr(), contents.as_ptr(), std::ptr::null_mut())
    };
    if status == 0 {
        Ok(())
    } else {
        Err(PyErr::fetch(module.py()))
    }
}

/// Has the dispatcher look up every handler again, because a module was executed again.
#[pyfunction]
pub fn _modules_changed() {
    RELOADS.fetch_add(1, Ordering::Relaxed);
}
