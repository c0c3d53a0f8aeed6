//! Where a thread must not be hit by an exception from outside: code that keeps locks by hand, or is about to
//! release them.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::release;

extern "C" {
    // Of Python 3.9, where pyo3-ffi knows it from 3.10 on for some ABIs only.
    fn PyThreadState_GetFrame(state: *mut ffi::PyThreadState) -> *mut ffi::PyObject;
}

/// Modules with code between taking a lock and seeing to its release, or between two changes that belong
/// together; each is done in a moment, unless it waits for another thread that is there.
const MODULES: [&str; 6] = [
    // The import system: a lock of a module that its owner left behind blocks all imports of it for good.
    "importlib._bootstrap",
    "importlib._bootstrap_external",
    "_frozen_importlib",
    "_frozen_importlib_external",
    // Handlers' locks are acquired without `with` (until Python 3.12).
    "logging",
    // ExitStack, between entering something and remembering it.
    "contextlib",
];

/// Functions of `threading` that may wait for long, and stand it. In others, `Condition.__enter__` among them,
/// a lock is held that nobody knows of yet.
const WAITING: [&str; 4] = ["wait", "wait_for", "join", "_wait_for_tstate_lock"];

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
    // SAFETY: alive, as the caller says.
    let Some(frame) = (unsafe { frame_of(py, state) }) else {
        return false;
    };
    if release::is_due(&frame).unwrap_or(false) || is_leaving(&frame) {
        return true;
    }
    let Some(module) = module_of(&frame) else {
        return false;
    };
    if let Some(name) = module.strip_prefix("mod_python.") {
        return OURS.contains(&name);
    }
    if module == "threading" {
        let is_waiting = name_of(&frame).is_some_and(|name| WAITING.contains(&name.as_str()));
        return !is_waiting || starts_a_thread(frame);
    }
    // A loop that lost a step of a task waits for it for ever. (It waits in `selectors`.)
    module.starts_with("asyncio.")
        || module == "selectors" && name_of(&frame).as_deref() != Some("select")
        || MODULES.contains(&module.as_str())
}

/// The innermost Python frame of a thread.
///
/// # Safety
/// The state is alive.
unsafe fn frame_of(py: Python<'_>, state: *mut ffi::PyThreadState) -> Option<Bound<'_, PyAny>> {
    // SAFETY: the GIL is held, and the state alive (caller); a new reference, or null without any frame.
    unsafe { Bound::from_owned_ptr_or_opt(py, PyThreadState_GetFrame(state)) }
}

/// The exception is being raised in this thread: what must not be left undone is done first.
///
/// # Errors
/// What that raises.
pub fn before_raised(py: Python<'_>) -> PyResult<()> {
    // SAFETY: attached, as `py` says.
    match unsafe { frame_of(py, ffi::PyThreadState_Get()) } {
        Some(frame) => release::do_first(&frame),
        None => Ok(()),
    }
}

/// Whether a frame has left a block and not begun what comes after: `finally`, or the call of `__exit__`. Python
/// 3.9 looks for exceptions there too.
#[cfg(not(Py_3_10))]
fn is_leaving(frame: &Bound<'_, PyAny>) -> bool {
    const POP_BLOCK: u8 = 87;
    let opcode = || -> PyResult<u8> {
        let py = frame.py();
        let code = frame.getattr(intern!(py, "f_code"))?;
        let last = frame.getattr(intern!(py, "f_lasti"))?;
        code.getattr(intern!(py, "co_code"))?
            .get_item(last)?
            .extract()
    };
    opcode().is_ok_and(|opcode| opcode == POP_BLOCK)
}

#[cfg(Py_3_10)]
fn is_leaving(_frame: &Bound<'_, PyAny>) -> bool {
    false
}

/// Whether a thread waits in `Thread.start` for the one it has started: before that one runs, CPython (until 3.11)
/// takes it for its starter, and would raise the exception in it, which then never says that it has started.
fn starts_a_thread(innermost: Bound<'_, PyAny>) -> bool {
    let mut next = Some(innermost);
    while let Some(frame) = next.filter(|frame| module_of(frame).as_deref() == Some("threading")) {
        if name_of(&frame).as_deref() == Some("start") {
            return true;
        }
        next = frame.getattr(intern!(frame.py(), "f_back")).ok();
    }
    false
}

/// The name of the module that a frame's code is of.
fn module_of(frame: &Bound<'_, PyAny>) -> Option<String> {
    let py = frame.py();
    let globals = frame.getattr(intern!(py, "f_globals")).ok()?;
    text(globals.get_item(intern!(py, "__name__")).ok()?)
}

/// The name of a frame's function.
fn name_of(frame: &Bound<'_, PyAny>) -> Option<String> {
    let py = frame.py();
    let code = frame.getattr(intern!(py, "f_code")).ok()?;
    text(code.getattr(intern!(py, "co_name")).ok()?)
}

fn text(object: Bound<'_, PyAny>) -> Option<String> {
    let text = object.cast_into::<PyString>().ok()?;
    Some(text.to_string_lossy().into_owned())
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
