//! `mp_hlist`: a cursor over the handlers of the running phase. (objects.md 3.6)

use std::ffi::CString;

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::text;
use crate::interpreter::GilCell;

/// One handler, independent of the pool it was configured in.
#[derive(Clone)]
pub struct Entry {
    pub handler: CString,
    pub directory: Option<CString>,
    pub is_location: bool,
    pub silent: bool,
}

/// The handlers of the current phase, configured ones first, and a position among them.
#[cfg_attr(
    Py_3_10,
    pyclass(frozen, immutable_type, name = "mp_hlist", module = "builtins")
)]
#[cfg_attr(not(Py_3_10), pyclass(frozen, name = "mp_hlist", module = "builtins"))]
pub struct HList {
    entries: GilCell<Vec<Entry>>,
    position: GilCell<usize>,
}

impl HList {
    /// A list standing at a position.
    pub fn new(entries: Vec<Entry>, position: usize) -> Self {
        Self {
            entries: GilCell::new(entries),
            position: GilCell::new(position),
        }
    }

    /// The entry it stands at; `None` past the end.
    pub fn current(&self, py: Python<'_>) -> Option<Entry> {
        let position = self.position.get(py);
        // SAFETY: cloning runs no Python.
        unsafe {
            self.entries
                .with(py, |entries| entries.get(position).cloned())
        }
    }

    /// Moves on; past the end nothing happens.
    pub fn advance(&self, py: Python<'_>) {
        // SAFETY: `len` runs no Python.
        let length = unsafe { self.entries.with(py, |entries| entries.len()) };
        self.position
            .replace(py, (self.position.get(py) + 1).min(length));
    }

    /// Appends a handler, which the running loop will reach.
    pub fn push(&self, py: Python<'_>, entry: Entry) {
        // SAFETY: `push` runs no Python.
        unsafe { self.entries.with(py, |entries| entries.push(entry)) }
    }
}

#[pymethods]
impl HList {
    /// Moves to the next handler. At the end nothing happens.
    fn next(&self, py: Python<'_>) {
        self.advance(py);
    }

    /// The handler as configured, `module::object`; None past the end.
    #[getter]
    fn handler<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        let current = self.current(py);
        text::from_c_opt(py, current.as_ref().map(|entry| entry.handler.as_c_str()))
    }

    /// 1 when a missing object is no error (PythonHandlerModule); None past the end.
    #[getter]
    fn silent(&self, py: Python<'_>) -> Option<i32> {
        self.current(py).map(|entry| i32::from(entry.silent))
    }

    /// 1 when the directive stands in a <Location>; None past the end.
    #[getter]
    fn is_location(&self, py: Python<'_>) -> Option<i32> {
        self.current(py).map(|entry| i32::from(entry.is_location))
    }

    /// The directory of the directive, or the text of its <Location>; None where there is none.
    #[getter]
    fn directory<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        let directory = self.current(py).and_then(|entry| entry.directory);
        text::from_c_opt(py, directory.as_deref())
    }

    /// Past the end every name reads as None; the dispatcher of old tested for the end that way.
    fn __getattr__(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        if self.current(py).is_none() && !name.starts_with("__") {
            return Ok(py.None());
        }
        Err(PyAttributeError::new_err(name.to_string()))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Some(entry) = self.current(py) else {
            return Ok("{}".into());
        };
        let quoted = |text: &std::ffi::CStr| -> PyResult<String> {
            Ok(text::from_c(py, text)?
                .repr()?
                .to_string_lossy()
                .into_owned())
        };
        let directory = match &entry.directory {
            Some(directory) => format!(",'directory':{}", quoted(directory)?),
            None => String::new(),
        };
        Ok(format!(
            "{{'handler':{}{directory},'is_location':{},'silent':{}}}",
            quoted(&entry.handler)?,
            if entry.is_location { "True" } else { "False" },
            u8::from(entry.silent),
        ))
    }
}
