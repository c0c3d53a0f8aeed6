//! `_apache._process_lock` and `_process_unlock`: one thread of the child at a time, whatever its interpreter.
//!
//! A lock of Python's belongs to one interpreter; the working directory belongs to the process.

use parking_lot::lock_api::RawReentrantMutex;
use parking_lot::{RawMutex, RawThreadId};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::interpreter::thread::detach;

static LOCK: RawReentrantMutex<RawMutex, RawThreadId> = RawReentrantMutex::INIT;

/// Waits until no other thread of this process is between this and _process_unlock.
///
/// A thread may take it again, and gives it back as often.
#[pyfunction]
pub fn _process_lock(py: Python<'_>) {
    if !LOCK.try_lock() {
        detach(py, || LOCK.lock());
    }
}

/// Gives it back. RuntimeError on a thread that does not have it.
#[pyfunction]
pub fn _process_unlock() -> PyResult<()> {
    if !LOCK.is_owned_by_current_thread() {
        return Err(PyRuntimeError::new_err(
            "this thread does not hold the process lock",
        ));
    }
    // SAFETY: this thread holds it.
    unsafe { LOCK.unlock() };
    Ok(())
}
