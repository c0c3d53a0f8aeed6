//! The thread state that PyGILState finds on a thread: the one of the interpreter the thread is in.
//!
//! Python 3.12 sees to that. Before, CPython binds a thread to the first state made on it, for good; and an
//! extension that asks PyGILState in another interpreter runs in the wrong one, or waits for ever for the
//! GIL that its own thread holds. (sqlite3 of Python 3.10 does, where it closes a connection with functions
//! of a program's.)

/// Binds this thread, which is attached, to a state; tells to which it was bound.
#[cfg(Py_3_12)]
#[inline(always)]
pub fn bind(_state: *mut pyo3::ffi::PyThreadState) -> *mut pyo3::ffi::PyThreadState {
    std::ptr::null_mut()
}

#[cfg(not(Py_3_12))]
pub use until_3_11::bind;

#[cfg(not(Py_3_12))]
mod until_3_11 {
    use std::os::raw::c_void;
    use std::sync::atomic::{AtomicI64, Ordering};

    use pyo3::ffi;

    const UNKNOWN: i64 = -1;
    /// The key CPython keeps its binding under, which it tells nobody.
    static KEY: AtomicI64 = AtomicI64::new(UNKNOWN);

    /// Binds this thread, which is attached, to a state; tells to which it was bound.
    #[inline]
    pub fn bind(state: *mut ffi::PyThreadState) -> *mut ffi::PyThreadState {
        // SAFETY: a look at what CPython keeps for this thread.
        let bound = unsafe { ffi::PyGILState_GetThisThreadState() };
        if state != bound && !bound.is_null() && !state.is_null() {
            rebind(bound, state);
        }
        bound
    }

    #[cold]
    fn rebind(bound: *mut ffi::PyThreadState, state: *mut ffi::PyThreadState) {
        match KEY.load(Ordering::Relaxed) {
            UNKNOWN => find(bound, state),
            // SAFETY: CPython's own key, found below; its value is a state of this thread.
            key => unsafe {
                libc::pthread_setspecific(key as libc::pthread_key_t, state.cast::<c_void>());
            },
        }
    }

    /// Looks for the key: the one whose value is `bound`, and that PyGILState tells the other state by.
    fn find(bound: *mut ffi::PyThreadState, state: *mut ffi::PyThreadState) {
        // SAFETY: plain questions; a value that is not CPython's is put back.
        unsafe {
            let most = libc::sysconf(libc::_SC_THREAD_KEYS_MAX).clamp(0, 4096);
            for key in 0..most {
                let name = key as libc::pthread_key_t;
                if libc::pthread_getspecific(name) != bound.cast::<c_void>() {
                    continue;
                }
                if libc::pthread_setspecific(name, state.cast::<c_void>()) != 0 {
                    continue;
                }
                if ffi::PyGILState_GetThisThreadState() == state {
                    KEY.store(key, Ordering::Relaxed);
                    return;
                }
                libc::pthread_setspecific(name, bound.cast::<c_void>());
            }
        }
    }
}
