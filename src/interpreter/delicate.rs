//! Where a thread must not be hit by an exception from outside: code that keeps locks by hand.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;

extern "C" {
    // Of Python 3.9, where pyo3-ffi knows it from 3.10 on for some ABIs only.
    fn PyThreadState_GetFrame(state: *mut ffi::PyThreadState) -> *mut ffi::PyObject;
}

/// Modules with code between taking a lock and seeing to its release, or between two changes that belong
/// together; each is done in a moment, unless it waits for another thread that is there.
const MODULES: [&str; 5] = [
    // The import system: a lock of a module that its owner left behind blocks all imports of it for good.
    "importlib._bootstrap",
    "importlib._bootstrap_external",
    "_frozen_importlib",
    "_frozen_importlib_external",
    // Handlers' locks are acquired without `with` (until Python 3.12).
    "logging",
];

/// Those of the package mod_python.
const OURS: [&str; 6] = [
    "_callback",
    "_importer",
    "_pages",
    // These take a lock that all children share, or have a file open.
    "_psp_cache",
    "_session.dbm",
    "_session.file",
];

/// Whether the innermost Python frame of a thread belongs to such code.
///
/// # Safety
/// The state is alive.
pub unsafe fn is_at_work(py: Python<'_>, state: *mut ffi::PyThreadState) -> bool {
    // Making the frame object could begin a collection, whose finalizers could let the other thread run.
    let _paused = Paused::new();
    // SAFETY: the GIL is held, and the state alive (caller); a new reference, or null without any frame.
    let frame = unsafe { Bound::from_owned_ptr_or_opt(py, PyThreadState_GetFrame(state)) };
    let Some(frame) = frame else {
        return false;
    };
    let name = frame
        .getattr(intern!(py, "f_globals"))
        .and_then(|globals| globals.get_item(intern!(py, "__name__")));
    name.is_ok_and(|name| {
        name.extract::<&str>()
            .is_ok_and(|name| match name.strip_prefix("mod_python.") {
                Some(name) => OURS.contains(&name),
                None => MODULES.contains(&name),
            })
    })
}

/// No collections of garbage, as long as it lives.
struct Paused {
    #[cfg(Py_3_10)]
    was_on: bool,
}

impl Paused {
    fn new() -> Self {
        Self {
            // SAFETY: of the current interpreter, under its GIL.
            #[cfg(Py_3_10)]
            was_on: unsafe { ffi::PyGC_Disable() } == 1,
        }
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        #[cfg(Py_3_10)]
        if self.was_on {
            // SAFETY: as above.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
