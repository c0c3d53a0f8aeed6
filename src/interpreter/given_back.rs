//! References to bytes objects that come back without the GIL, and wait for the next thread that has it.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pyo3::ffi;
use pyo3::prelude::*;

/// Room that is kept for the next response; a longer list than this frees its memory.
const KEPT: usize = 1024;

struct Reference(NonNull<ffi::PyObject>);

// SAFETY: only an address, until a thread with the GIL drops what it stands for.
unsafe impl Send for Reference {}

static WAITING: Mutex<Vec<Reference>> = Mutex::new(Vec::new());
static IS_WAITING: AtomicBool = AtomicBool::new(false);

/// Leaves a reference to the next thread that enters Python, or comes back to it.
///
/// pyo3 does the same with a dropped `Py`, for a multiple of the price: a response through a Python filter
/// gives back one for each block.
///
/// # Safety
/// The reference is the caller's own, and to an object of the very type `bytes`, whose end runs no code.
pub unsafe fn leave(object: NonNull<ffi::PyObject>) {
    WAITING.lock().push(Reference(object));
    IS_WAITING.store(true, Ordering::Release);
}

/// Drops what other threads left.
#[inline(always)]
pub fn collect(py: Python<'_>) {
    if IS_WAITING.load(Ordering::Relaxed) {
        drop_all(py);
    }
}

#[cold]
fn drop_all(_py: Python<'_>) {
    let mut waiting = WAITING.lock();
    IS_WAITING.store(false, Ordering::Relaxed);
    for reference in waiting.drain(..) {
        // SAFETY: under the GIL, and `leave` handed the reference over; freeing bytes comes back to nobody.
        unsafe { ffi::Py_DECREF(reference.0.as_ptr()) }
    }
    waiting.shrink_to(KEPT);
}
