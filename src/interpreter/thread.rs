//! One kept thread state per thread and interpreter, and the one way into Python.
//!
//! pyo3 calls `PyGILState_Ensure` wherever it does not know that the thread is attached, and that
//! deadlocks when the running thread state is not the one CPython bound to the thread. So all Python
//! work runs inside a pyo3 function called through its C entry: pyo3's own trampoline then counts the
//! thread as attached and asks nobody.

use std::cell::{Cell, RefCell};
use std::os::raw::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;

use super::{bound, given_back, Interpreter};
use crate::httpd::mpm;

thread_local! {
    /// This thread's state for each interpreter, by index.
    static STATES: RefCell<Vec<*mut ffi::PyThreadState>> = const { RefCell::new(Vec::new()) };
    /// What this thread is attached to, through us.
    static CURRENT: Cell<Current> = const { Cell::new(Current::NONE) };
    /// What this thread was attached to, and bound to, before each [`acquire`] that it has not released.
    static OUTER: RefCell<Vec<(Current, *mut ffi::PyThreadState)>> =
        const { RefCell::new(Vec::new()) };
    /// Whether Python made this thread: it may end at any time, and is to leave no state behind.
    static IS_PYTHONS: Cell<bool> = const { Cell::new(false) };
    /// Registered when a thread has its first state, so that it goes before what is above.
    static AT_END: AtEnd = const { AtEnd };
    /// On such a thread: how many calls are in progress that use each of its states, by index.
    static USES: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    /// What [`go`] is to run: a `&mut dyn FnMut(Python)` in two words.
    static JOB: Cell<Option<[*mut c_void; 2]>> = const { Cell::new(None) };
}

/// What a thread works for meanwhile, as its caller knows it: a kind and an address.
#[derive(Clone, Copy)]
pub struct Subject {
    pub kind: u32,
    pub address: *const c_void,
}

impl Subject {
    /// Nothing that anybody could ask for.
    pub const NONE: Self = Self {
        kind: 0,
        address: std::ptr::null(),
    };
}

/// A thread's attachment.
#[derive(Clone, Copy)]
struct Current {
    /// Null when the thread is detached.
    state: *mut ffi::PyThreadState,
    interpreter: Option<&'static Interpreter>,
    subject: Subject,
}

impl Current {
    const NONE: Self = Self {
        state: null_mut(),
        interpreter: None,
        subject: Subject::NONE,
    };
}

/// The C entry of [`go`].
static GO: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// Runs the job this thread has set; entered through C so that pyo3's trampoline stands around it.
#[pyfunction]
fn go(py: Python<'_>) {
    if let Some(job) = JOB.take() {
        // SAFETY: `trampoline` put the two words there for the length of this call.
        let job =
            unsafe { std::mem::transmute::<[*mut c_void; 2], &mut dyn FnMut(Python<'_>)>(job) };
        job(py);
    }
}

/// Makes the current state the main interpreter's for this thread, and lets go of the GIL.
///
/// # Safety
/// The thread holds the GIL with the state that initialised Python.
pub(super) unsafe fn adopt_current(main: &'static Interpreter) {
    // SAFETY: the GIL is held (caller).
    let entry = unsafe {
        let py = Python::assume_attached();
        super::shared_class::make_panics_immutable(py);
        let function =
            pyo3::wrap_pyfunction!(go, py).expect("BUG: a built-in function can be made");
        let raw = function.into_ptr();
        // A leaked reference keeps the method definition; its flags say how it is called.
        assert_eq!(
            ffi::PyCFunction_GetFlags(raw),
            ffi::METH_NOARGS,
            "BUG: `go` takes no arguments"
        );
        ffi::PyCFunction_GetFunction(raw)
    };
    let entry = entry.expect("BUG: a built-in function has a C entry");
    GO.store(entry as *mut c_void, Ordering::Release);
    // SAFETY: as above.
    keep(main, unsafe { ffi::PyEval_SaveThread() });
}

/// The interpreter this thread is in, by the name it was entered under; `None` on a thread that
/// Python made, and on one that let go of the GIL.
pub fn current() -> Option<&'static Interpreter> {
    CURRENT.get().interpreter
}

/// What this thread entered its interpreter for; what is there stays until the thread leaves it.
pub fn subject() -> Subject {
    CURRENT.get().subject
}

/// Remembers this thread's state for an interpreter.
pub(super) fn keep(interpreter: &Interpreter, state: *mut ffi::PyThreadState) {
    STATES.with_borrow_mut(|states| {
        if states.len() <= interpreter.index {
            states.resize(interpreter.index + 1, null_mut());
        }
        states[interpreter.index] = state;
    });
}

/// This thread's state for an interpreter, made on first use.
#[inline]
fn state(interpreter: &'static Interpreter) -> *mut ffi::PyThreadState {
    let known = STATES.with_borrow(|states| states.get(interpreter.index).copied());
    match known {
        Some(state) if !state.is_null() => state,
        _ => make_state(interpreter),
    }
}

#[cold]
fn make_state(interpreter: &'static Interpreter) -> *mut ffi::PyThreadState {
    // CPython binds a thread to the first state made on it, for PyGILState's sake. That is to be the
    // main interpreter's, so that extensions that use PyGILState find the one that serves there.
    if interpreter.index != 0 && CURRENT.get().state.is_null() {
        if let Some(main) = super::registry::main() {
            state(main);
        }
    }
    // SAFETY: a look at what CPython keeps for this thread.
    let is_known = !unsafe { ffi::PyGILState_GetThisThreadState() }.is_null();
    if is_known && STATES.with_borrow(|states| states.iter().all(|state| state.is_null())) {
        IS_PYTHONS.set(true);
    }
    // SAFETY: Python runs; this needs no GIL. It must not wait for one either: the thread that is to end a
    // busy handler would wait for ever in the main interpreter, since until Python 3.13 only those that
    // wait for the GIL in its own interpreter make that handler let go of it.
    let state = unsafe { ffi::PyThreadState_New(interpreter.state) };
    keep(interpreter, state);
    if !IS_PYTHONS.get() && !is_first_thread() {
        // It fails where the thread is ending.
        let _ = AT_END.try_with(|_| ());
    }
    state
}

/// Gives a thread's states back when it ends: mod_http2 lets its threads go when there is little to do, and
/// modules that use `mp_acquire_interpreter` may make as many as they like.
struct AtEnd;

impl Drop for AtEnd {
    fn drop(&mut self) {
        // The states of a process that ends go with it, and nobody waits for the GIL.
        if super::is_forked() || mpm::is_stopping() {
            return;
        }
        let states = STATES.try_with(RefCell::take).unwrap_or_default();
        // CPython has bound the thread to the main interpreter's, which therefore goes last.
        for state in states.into_iter().rev().filter(|state| !state.is_null()) {
            // SAFETY: a state of this thread's, which is not attached; nobody will find it any more. Clearing it may
            // run Python code.
            unsafe {
                ffi::PyEval_RestoreThread(state);
                CURRENT.set(Current {
                    state,
                    ..Current::NONE
                });
                super::watch::thread_over(Python::assume_attached());
                ffi::PyThreadState_Clear(state);
                CURRENT.set(Current::NONE);
                ffi::PyThreadState_DeleteCurrent();
            }
        }
    }
}

/// Whether this is the thread that the process began with, which ends with it.
fn is_first_thread() -> bool {
    // SAFETY: plain questions.
    unsafe { libc::syscall(libc::SYS_gettid) == libc::c_long::from(libc::getpid()) }
}

/// Whether Python made this thread, as far as [`enter`] was called on it.
pub fn is_pythons() -> bool {
    IS_PYTHONS.get()
}

/// On a thread of Python's own: a call begins to use the state of an interpreter.
#[cold]
fn begin_use(interpreter: &Interpreter) {
    USES.with_borrow_mut(|uses| {
        if uses.len() <= interpreter.index {
            uses.resize(interpreter.index + 1, 0);
        }
        uses[interpreter.index] += 1;
    });
}

/// Such a call ends: goes back to `outer`, and frees the state where no other call uses it.
///
/// # Safety
/// `state` is current, and `begin_use` was called for it.
#[cold]
unsafe fn end_use(
    interpreter: &Interpreter,
    state: *mut ffi::PyThreadState,
    outer: *mut ffi::PyThreadState,
) {
    let is_last = USES.with_borrow_mut(|uses| {
        uses[interpreter.index] -= 1;
        uses[interpreter.index] == 0
    });
    if !is_last {
        // SAFETY: as at the end of `enter`.
        return unsafe { go_back(state, outer) };
    }
    // First, because clearing it may run Python code, which may come back here.
    keep(interpreter, null_mut());
    // SAFETY: current (caller), and nobody will find it any more.
    unsafe {
        ffi::PyThreadState_Clear(state);
        if outer.is_null() {
            ffi::PyThreadState_DeleteCurrent();
        } else {
            ffi::PyThreadState_Swap(outer);
            ffi::PyThreadState_Delete(state);
        }
    }
}

/// Goes back from `state`, which is current, to what was before.
///
/// # Safety
/// As it says.
#[inline(always)]
unsafe fn go_back(state: *mut ffi::PyThreadState, outer: *mut ffi::PyThreadState) {
    // SAFETY: the caller's promise.
    unsafe {
        if outer.is_null() {
            ffi::PyEval_SaveThread();
        } else if outer != state {
            ffi::PyThreadState_Swap(outer);
        }
    }
}

/// Runs `body` attached to an interpreter.
///
/// The thread may be attached already (a filter called from a write that kept the GIL): then its
/// state is swapped for the time of the call.
#[inline]
pub fn enter<R>(
    interpreter: &'static Interpreter,
    subject: Subject,
    body: impl FnOnce(Python<'_>) -> R,
) -> R {
    let state = state(interpreter);
    let outer = CURRENT.replace(Current {
        state,
        interpreter: Some(interpreter),
        subject,
    });
    // SAFETY: `state` belongs to this thread and is not in use: `outer` is, or nothing is.
    unsafe {
        if outer.state.is_null() {
            ffi::PyEval_RestoreThread(state);
        } else if outer.state != state {
            ffi::PyThreadState_Swap(state);
        }
    }
    let was_bound = bound::bind(state);
    let is_pythons = IS_PYTHONS.get();
    if is_pythons {
        begin_use(interpreter);
    }
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| trampoline(body)));
    if outer.state.is_null() {
        super::fork::end_if_forked();
    }
    bound::bind(was_bound);
    // SAFETY: the same state is current again, whatever happened inside.
    unsafe {
        if is_pythons {
            end_use(interpreter, state, outer.state);
        } else {
            go_back(state, outer.state);
        }
    }
    CURRENT.set(outer);
    match result {
        Ok(result) => result,
        // The GIL is given back before the panic goes on to the guard at the C boundary.
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Attaches this thread to an interpreter until [`release`]: for C code, which cannot hand over a closure.
pub fn acquire(interpreter: &'static Interpreter) {
    let state = state(interpreter);
    let outer = CURRENT.replace(Current {
        state,
        interpreter: Some(interpreter),
        subject: Subject::NONE,
    });
    // SAFETY: as in `enter`.
    unsafe {
        if outer.state.is_null() {
            ffi::PyEval_RestoreThread(state);
        } else if outer.state != state {
            ffi::PyThreadState_Swap(state);
        }
    }
    OUTER.with_borrow_mut(|held| held.push((outer, bound::bind(state))));
    if IS_PYTHONS.get() {
        begin_use(interpreter);
    }
}

/// Goes back to what this thread was attached to before the latest [`acquire`]; false without one.
pub fn release() -> bool {
    let Some((outer, was_bound)) = OUTER.with_borrow_mut(Vec::pop) else {
        return false;
    };
    if outer.state.is_null() {
        super::fork::end_if_forked();
    }
    let current = CURRENT.get();
    bound::bind(was_bound);
    // SAFETY: `acquire` attached with this state, and everything entered since was left again.
    unsafe {
        match current.interpreter.filter(|_| IS_PYTHONS.get()) {
            Some(interpreter) => end_use(interpreter, current.state, outer.state),
            None => go_back(current.state, outer.state),
        }
    }
    CURRENT.set(outer);
    true
}

/// Runs `body` inside [`go`].
#[inline]
fn trampoline<R>(body: impl FnOnce(Python<'_>) -> R) -> R {
    let mut body = Some(body);
    let mut result = None;
    let mut job = |py: Python<'_>| {
        given_back::collect(py);
        if let Some(body) = body.take() {
            result = Some(std::panic::catch_unwind(std::panic::AssertUnwindSafe(
                || body(py),
            )));
        }
    };
    let job: &mut dyn FnMut(Python<'_>) = &mut job;
    // SAFETY: `go` turns the words back before this call returns.
    JOB.set(Some(unsafe {
        std::mem::transmute::<&mut dyn FnMut(Python<'_>), [*mut c_void; 2]>(job)
    }));
    // SAFETY: `GO` holds the C entry of a METH_NOARGS function without self; the thread is attached.
    unsafe {
        let entry: ffi::PyCFunction = std::mem::transmute(GO.load(Ordering::Acquire));
        let none = entry(null_mut(), null_mut());
        ffi::Py_XDECREF(none);
    }
    match result {
        Some(Ok(result)) => result,
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        None => panic!("BUG: the trampoline did not run its job"),
    }
}

/// Lets go of the GIL for what may block; `body` touches no Python object.
///
/// All such places use this rather than `Python::detach`, so that a callback that comes back on this
/// thread knows it is detached. The body runs on this very thread, so what it captures need not be
/// `Send`.
#[inline]
pub fn detach<R>(py: Python<'_>, body: impl FnOnce() -> R) -> R {
    struct SameThread<T>(T);
    // SAFETY: nothing changes threads; pyo3 asks for Send only to keep Python objects out.
    unsafe impl<T> Send for SameThread<T> {}
    impl<R, F: FnOnce() -> R> SameThread<F> {
        fn call(self) -> SameThread<R> {
            SameThread((self.0)())
        }
    }
    struct Restore(Current);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(Current::NONE));
    let body = SameThread(body);
    let result = py.detach(move || body.call()).0;
    given_back::collect(py);
    result
}

/// `Py_NewInterpreter`: the new interpreter's first thread state, which is this thread's.
pub(super) fn new_interpreter(_py: Python<'_>) -> Option<*mut ffi::PyThreadState> {
    // SAFETY: the GIL is held with the main interpreter's state, which is current again afterwards.
    unsafe {
        let main = ffi::PyThreadState_Get();
        let new = ffi::Py_NewInterpreter();
        ffi::PyThreadState_Swap(main);
        if new.is_null() {
            None
        } else {
            Some(new)
        }
    }
}
