//! One item of a dict, looked up again only where the dict has changed.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::interpreter::GilCell;

/// A key and the dict it belongs to, with what was found last.
pub struct KnownItem {
    dict: Py<PyDict>,
    key: Py<PyString>,
    seen: GilCell<Seen>,
}

/// What was found. The dict has the reference as long as it is of that version.
#[derive(Clone, Copy)]
struct Seen {
    version: u64,
    item: *mut ffi::PyObject,
}

// SAFETY: only an address, until a thread with the GIL finds the dict unchanged.
unsafe impl Send for Seen {}

impl KnownItem {
    pub fn new(dict: Py<PyDict>, key: Py<PyString>) -> Self {
        let seen = GilCell::new(Seen {
            version: NO_VERSION,
            item: std::ptr::null_mut(),
        });
        Self { dict, key, seen }
    }

    pub fn dict<'py>(&self, py: Python<'py>) -> &Bound<'py, PyDict> {
        self.dict.bind(py)
    }

    pub fn key<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        self.key.bind(py)
    }

    /// What was found, borrowed from the dict, where that has not changed; null where there was none.
    #[inline]
    pub fn seen(&self, py: Python<'_>) -> Option<*mut ffi::PyObject> {
        let seen = self.seen.get(py);
        (seen.version != NO_VERSION && seen.version == self.version()).then_some(seen.item)
    }

    /// The item, borrowed from the dict; null where there is none.
    ///
    /// # Errors
    /// What comparing keys raised.
    #[inline]
    pub fn get(&self, py: Python<'_>) -> PyResult<*mut ffi::PyObject> {
        match self.seen(py) {
            Some(item) => Ok(item),
            None => self.look_up(py),
        }
    }

    fn look_up(&self, py: Python<'_>) -> PyResult<*mut ffi::PyObject> {
        let version = self.version();
        // SAFETY: a dict and a str.
        let item = unsafe { ffi::PyDict_GetItemWithError(self.dict.as_ptr(), self.key.as_ptr()) };
        if item.is_null() && PyErr::occurred(py) {
            return Err(PyErr::fetch(py));
        }
        // Comparing keys that are no str may run anything.
        if version == self.version() {
            self.seen.replace(py, Seen { version, item });
        }
        Ok(item)
    }

    /// What changes whenever the dict does, and is never [`NO_VERSION`].
    #[cfg(not(Py_3_14))]
    #[inline]
    #[allow(deprecated)]
    fn version(&self) -> u64 {
        // SAFETY: a live dict; PEP 509 describes the field.
        unsafe { (*self.dict.as_ptr().cast::<ffi::PyDictObject>()).ma_version_tag }
    }

    /// CPython 3.14 keeps none.
    #[cfg(Py_3_14)]
    #[inline]
    fn version(&self) -> u64 {
        NO_VERSION
    }
}

/// Nothing was seen yet.
const NO_VERSION: u64 = 0;
