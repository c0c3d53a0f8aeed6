//! Bytes objects that are filled in place, and lent to httpd without a copy.

use std::mem::MaybeUninit;
use std::os::raw::c_int;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::interpreter::given_back;

extern "C" {
    /// Documented API, which pyo3 leaves out for its underscore.
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> c_int;
}

/// A bytes object that is not yet shown to anybody.
pub struct Room<'py> {
    py: Python<'py>,
    raw: *mut ffi::PyObject,
    pub capacity: usize,
}

impl<'py> Room<'py> {
    /// Takes memory; raises MemoryError where there is none.
    pub fn new(py: Python<'py>, capacity: usize) -> PyResult<Self> {
        // SAFETY: under the GIL; null with an exception set means no memory. At least one byte, because
        // CPython shares the empty object.
        let raw = unsafe {
            ffi::PyBytes_FromStringAndSize(
                std::ptr::null(),
                isize::try_from(capacity.max(1)).unwrap_or(isize::MAX),
            )
        };
        if raw.is_null() {
            return Err(PyErr::fetch(py));
        }
        Ok(Self { py, raw, capacity })
    }

    /// The memory to fill.
    pub fn memory(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: `capacity` bytes that nobody else knows of.
        unsafe {
            std::slice::from_raw_parts_mut(ffi::PyBytes_AsString(self.raw).cast(), self.capacity)
        }
    }

    /// Fills a part.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        for (target, byte) in self.memory()[at..].iter_mut().zip(bytes) {
            target.write(*byte);
        }
    }

    /// Grows or shrinks; what was filled stays.
    pub fn resize(&mut self, capacity: usize) -> PyResult<()> {
        // SAFETY: the only reference. On failure CPython frees the object and leaves null.
        if unsafe { _PyBytes_Resize(&mut self.raw, capacity as isize) } != 0 {
            return Err(PyErr::fetch(self.py));
        }
        self.capacity = capacity;
        Ok(())
    }

    /// The finished object, of which `length` bytes are filled.
    pub fn finish(mut self, length: usize) -> PyResult<Bound<'py, PyBytes>> {
        if length == 0 {
            return Ok(PyBytes::new(self.py, b""));
        }
        if length < self.capacity {
            self.resize(length)?;
        }
        let raw = std::mem::replace(&mut self.raw, std::ptr::null_mut());
        // SAFETY: a bytes object, whose reference is handed over.
        Ok(unsafe { Bound::from_owned_ptr(self.py, raw).cast_into_unchecked() })
    }

    /// What was filled, for the case that the object will not be finished.
    ///
    /// # Safety
    /// The first `length` bytes are filled.
    pub unsafe fn filled(&self, from: usize, length: usize) -> &[u8] {
        // SAFETY: the caller's promise.
        unsafe {
            let start = ffi::PyBytes_AsString(self.raw).cast::<u8>();
            std::slice::from_raw_parts(start.add(from), length - from)
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        // SAFETY: our reference, or null.
        unsafe { ffi::Py_XDECREF(self.raw) }
    }
}

/// A bytes object with a copy of these bytes; raises MemoryError where there is no memory.
pub fn copy<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: under the GIL; a new object, or null with an exception set.
    unsafe {
        let raw = ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as isize);
        Bound::from_owned_ptr_or_err(py, raw).map(|object| object.cast_into_unchecked())
    }
}

/// Where the contents of a bytes object begin, from its address.
fn header(bytes: &Bound<'_, PyBytes>) -> usize {
    bytes.as_bytes().as_ptr() as usize - bytes.as_ptr() as usize
}

/// Takes a reference that [`give_back`] returns, and gives the address of the contents.
///
/// The contents can be read until then, with or without the GIL: bytes objects never change.
pub fn lend(bytes: &Bound<'_, PyBytes>) -> (*const u8, usize) {
    HEADER.store(header(bytes), Ordering::Relaxed);
    let contents = bytes.as_bytes();
    let lent = (contents.as_ptr(), contents.len());
    std::mem::forget(bytes.clone());
    lent
}

/// The same for all bytes objects; known once the first was lent.
static HEADER: AtomicUsize = AtomicUsize::new(0);

/// Gives a lent object back by the address of its contents; called by APR from any thread.
///
/// # Safety
/// `lend` gave this address, and it is given back once.
pub unsafe extern "C" fn give_back(contents: *mut std::ffi::c_void) {
    crate::httpd::guard::guard("bytes object", (), || {
        let object = contents as usize - HEADER.load(Ordering::Relaxed);
        if let Some(object) = NonNull::new(object as *mut ffi::PyObject) {
            // SAFETY: `lend` left this reference, to an object that is exactly `bytes`.
            unsafe { given_back::leave(object) }
        }
    });
}
