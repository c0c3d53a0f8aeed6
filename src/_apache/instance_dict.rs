//! The instance dict of an object, without making one.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

extern "C" {
    /// Exported by all supported CPythons; pyo3 leaves it out for its underscore.
    fn _PyObject_GetDictPtr(object: *mut ffi::PyObject) -> *mut *mut ffi::PyObject;
}

/// The dict of attributes that were set on an object; `None` where none ever was.
#[inline]
pub fn of<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyDict>> {
    // SAFETY: null, or the address of the slot inside the live object; the slot holds null or a dict.
    unsafe {
        let slot = _PyObject_GetDictPtr(object.as_ptr());
        if slot.is_null() || (*slot).is_null() {
            return None;
        }
        Some(Bound::from_borrowed_ptr(object.py(), *slot).cast_into_unchecked())
    }
}

/// Whether attributes were set on an object.
#[inline]
pub fn is_used(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: as above, without taking a reference.
    unsafe {
        let slot = _PyObject_GetDictPtr(object.as_ptr());
        !slot.is_null() && !(*slot).is_null() && ffi::PyDict_Size(*slot) > 0
    }
}

/// Whether nobody ever saw the dict of an object, or set anything in it.
#[inline]
pub fn is_untouched(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: as above.
    unsafe {
        let slot = _PyObject_GetDictPtr(object.as_ptr());
        slot.is_null()
            || (*slot).is_null()
            || (ffi::Py_REFCNT(*slot) == 1 && ffi::PyDict_Size(*slot) == 0)
    }
}
