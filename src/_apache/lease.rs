//! Who may touch a connection's C objects, and until when.
//!
//! Whatever Python keeps (req, conn, tables, filters) holds a lease, never a bare pointer. A
//! connection and its requests share pools that know no locks, so their leases share one [`Gate`]:
//!
//! * The gate is open while httpd is inside one of our callbacks for that connection. Outside, httpd
//!   itself works on the pools without the GIL, and a Python thread that kept `req` is refused.
//! * Under the GIL a thread may use the objects, unless another thread is in the middle of an operation
//!   that let go of the GIL; then it waits.
//! * When the pool goes, the pointer is taken out of the lease; from then on every use raises.

use std::cell::Cell;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::interpreter::thread::detach;

/// Something that names this thread as long as it runs.
#[inline(always)]
fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| std::ptr::from_ref(here) as usize)
}

/// The shared lock of a connection's objects.
pub struct Gate {
    /// Callbacks of httpd in progress, nested ones counted.
    depth: Cell<u32>,
    /// The thread inside an operation without the GIL; 0 for none.
    owner: Cell<usize>,
    /// Such operations of that thread, nested ones counted.
    nested: Cell<u32>,
    waiting: Cell<u32>,
    lock: Mutex<()>,
    changed: Condvar,
}

// SAFETY: the cells are only touched by a thread that holds the GIL.
unsafe impl Send for Gate {}
// SAFETY: as above.
unsafe impl Sync for Gate {}

/// The gate's state around a nested callback.
#[must_use]
pub struct Entered {
    /// Callbacks in progress, this one included.
    depth: u32,
    owner: usize,
    nested: u32,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub const fn new() -> Self {
        Self {
            depth: Cell::new(0),
            owner: Cell::new(0),
            nested: Cell::new(0),
            waiting: Cell::new(0),
            lock: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// httpd calls in: opens the gate for the length of the callback.
    ///
    /// A callback inside an operation of this thread (a filter inside a write) lends the objects on to
    /// the Python code it runs.
    ///
    /// Every call is followed by one of [`Self::leave`]; see [`Self::during`].
    #[inline]
    pub fn enter(&self, _py: Python<'_>) -> Entered {
        let depth = self.depth.get() + 1;
        self.depth.set(depth);
        Entered {
            depth,
            owner: self.owner.replace(0),
            nested: self.nested.replace(0),
        }
    }

    /// Runs a callback's body with the gate open, and closes it whatever happens inside.
    #[inline]
    pub fn during<R>(&self, py: Python<'_>, body: impl FnOnce() -> R) -> R {
        struct Leave<'a, 'py>(&'a Gate, Python<'py>, Entered);
        impl Drop for Leave<'_, '_> {
            fn drop(&mut self) {
                self.0.leave(self.1, &self.2);
            }
        }
        let _leave = Leave(self, py, self.enter(py));
        body()
    }

    /// The callback returns to httpd; waits for operations that other threads have begun, also for those
    /// in whose middle httpd called Python again (another thread's flush, now in a filter).
    #[inline]
    pub fn leave(&self, py: Python<'_>, entered: &Entered) {
        while self.owner.get() != 0 || self.depth.get() != entered.depth {
            self.wait(py);
        }
        self.depth.set(entered.depth - 1);
        self.owner.set(entered.owner);
        self.nested.set(entered.nested);
    }

    /// Whether httpd is in none of our callbacks for the connection.
    #[inline]
    pub fn is_closed(&self, _py: Python<'_>) -> bool {
        self.depth.get() == 0
    }

    /// Whether some thread is inside an operation without the GIL.
    pub fn is_detached(&self, _py: Python<'_>) -> bool {
        self.owner.get() != 0
    }

    /// Whether this thread may use the objects under the GIL now; waits where it will be able to.
    #[inline]
    pub fn pass(&self, py: Python<'_>) -> PyResult<()> {
        let owner = self.owner.get();
        if owner == 0 && self.depth.get() > 0 {
            return Ok(());
        }
        self.pass_slowly(py)
    }

    #[cold]
    fn pass_slowly(&self, py: Python<'_>) -> PyResult<()> {
        let me = this_thread();
        while self.owner.get() != 0 && self.owner.get() != me {
            self.wait(py);
        }
        if self.depth.get() == 0 {
            return Err(PyRuntimeError::new_err(
                "this object can only be used while httpd is calling Python for its connection",
            ));
        }
        Ok(())
    }

    /// Whether [`Self::pass`] would let this thread through at once.
    #[inline(always)]
    pub fn is_passable(&self, _py: Python<'_>) -> bool {
        self.owner.get() == 0 && self.depth.get() > 0
    }

    /// Runs an operation without the GIL, alone with the connection's objects.
    ///
    /// The caller has passed the gate in this very moment, under the GIL.
    #[inline]
    pub fn detached<R>(&self, py: Python<'_>, body: impl FnOnce() -> R) -> R {
        self.owner.set(this_thread());
        self.nested.set(self.nested.get() + 1);
        struct End<'a>(&'a Gate);
        impl Drop for End<'_> {
            // Runs with the GIL: `detach` has taken it again, panic or not.
            fn drop(&mut self) {
                let nested = self.0.nested.get() - 1;
                self.0.nested.set(nested);
                if nested == 0 {
                    self.0.owner.set(0);
                    if self.0.waiting.get() > 0 {
                        self.0.changed.notify_all();
                    }
                }
            }
        }
        let _end = End(self);
        detach(py, body)
    }

    /// Waits without the GIL for a change, or a moment: the condition is looked at again either way.
    #[cold]
    fn wait(&self, py: Python<'_>) {
        self.waiting.set(self.waiting.get() + 1);
        detach(py, || {
            let mut lock = self.lock.lock();
            self.changed.wait_for(&mut lock, Duration::from_millis(20));
        });
        self.waiting.set(self.waiting.get() - 1);
    }

    /// Waits until no other thread is inside an operation; for the end of a lease.
    pub fn quiesce(&self, py: Python<'_>) {
        let me = this_thread();
        while self.owner.get() != 0 && self.owner.get() != me {
            self.wait(py);
        }
    }
}

/// What a use after the end raises.
#[cold]
pub fn gone(what: &str) -> PyErr {
    PyRuntimeError::new_err(format!(
        "the {what} is over: this object can no longer be used"
    ))
}
