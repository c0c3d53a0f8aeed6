//! Classes that all interpreters of the child have in common.

#[cfg(Py_3_10)]
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// Makes a class immutable that CPython made mutable, as exception classes are.
///
/// Since Python 3.12 a mutable class gets its version tag, under which CPython remembers what it found
/// in the class, from the interpreter that asked first. Another interpreter gives the same tag to a
/// class of its own, and one is then taken for the other. Tags of immutable classes are one series.
pub fn make_immutable(class: &Bound<'_, PyType>) {
    // Before 3.10 there are no such classes, and one series of tags for all.
    #[cfg(Py_3_10)]
    // SAFETY: a live class that only this thread knows, under the GIL. It loses the tag it may have.
    unsafe {
        let raw = class.as_type_ptr();
        ffi::PyType_Modified(raw);
        (*raw).tp_flags |= ffi::Py_TPFLAGS_IMMUTABLETYPE;
    }
    #[cfg(not(Py_3_10))]
    let _ = class;
}

/// Does that for PyO3's own exception, the one of a panic.
pub(super) fn make_panics_immutable(py: Python<'_>) {
    make_immutable(&py.get_type::<pyo3::panic::PanicException>());
}
