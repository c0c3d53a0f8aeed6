//! The instance dict of an object, without making one.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

extern "C" {
    /// Exported by all supported CPythons; pyo3 leaves it out for its underscore.
    fn _PyObject_GetDictPtr(object: *mut ffi::PyObject) -> *mut *mut ffi::PyObject;
}

/// The place of an object's dict; null where its type has none.
#[inline]
fn slot(object: &Bound<'_, PyAny>) -> *mut *mut ffi::PyObject {
    // SAFETY: a positive offset leads to the slot, which lies inside the live object; else CPython knows.
    unsafe {
        let raw = object.as_ptr();
        let offset = (*ffi::Py_TYPE(raw)).tp_dictoffset;
        if offset > 0 {
            raw.byte_offset(offset).cast()
        } else {
            _PyObject_GetDictPtr(raw)
        }
    }
}

/// The dict itself; null where none was made.
#[inline]
fn raw(object: &Bound<'_, PyAny>) -> *mut ffi::PyObject {
    let slot = slot(object);
    if slot.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: the slot holds null or a dict.
    unsafe { *slot }
}

/// The dict of attributes that were set on an object; `None` where none ever was.
#[inline]
pub fn of<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyDict>> {
    // SAFETY: null or a dict of the live object, and taken into a reference at once.
    let dict = unsafe { Bound::from_borrowed_ptr_or_opt(object.py(), raw(object)) };
    // SAFETY: as above.
    dict.map(|dict| unsafe { dict.cast_into_unchecked() })
}

/// Whether attributes were set on an object.
#[inline]
pub fn is_used(object: &Bound<'_, PyAny>) -> bool {
    let dict = raw(object);
    // SAFETY: a dict of the live object.
    !dict.is_null() && unsafe { length(dict) } > 0
}

/// Whether nobody has the dict of an object, and nothing is in it.
#[inline]
pub fn is_untouched(object: &Bound<'_, PyAny>) -> bool {
    let dict = raw(object);
    // SAFETY: as above.
    dict.is_null() || unsafe { ffi::Py_REFCNT(dict) == 1 && length(dict) == 0 }
}

/// What `PyDict_Size` says, which would be a call.
///
/// # Safety
/// A live dict.
#[inline]
unsafe fn length(dict: *mut ffi::PyObject) -> isize {
    // SAFETY: the caller's promise.
    unsafe { (*dict.cast::<ffi::PyDictObject>()).ma_used }
}
