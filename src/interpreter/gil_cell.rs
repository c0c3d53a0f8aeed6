//! A cell that the GIL guards.

use std::cell::UnsafeCell;

use pyo3::Python;

/// A value that is only looked at by threads that hold the GIL.
///
/// All interpreters of a child share one GIL, so `Python<'_>` is proof enough. The value is moved or
/// copied in and out, or lent to a closure that must not run Python code.
pub struct GilCell<T>(UnsafeCell<T>);

// SAFETY: every access needs the GIL, so there is one at a time; the value may change threads.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Puts a value in and gives the old one back.
    #[inline]
    pub fn replace(&self, _py: Python<'_>, value: T) -> T {
        // SAFETY: the GIL is held, and no reference outlives a call.
        unsafe { std::mem::replace(&mut *self.0.get(), value) }
    }

    /// A copy of the value.
    #[inline]
    pub fn get(&self, _py: Python<'_>) -> T
    where
        T: Copy,
    {
        // SAFETY: as above.
        unsafe { *self.0.get() }
    }

    /// Takes the value, leaving the default.
    #[inline]
    pub fn take(&self, py: Python<'_>) -> T
    where
        T: Default,
    {
        self.replace(py, T::default())
    }

    /// Looks at the value without the GIL.
    ///
    /// # Safety
    /// Nobody else can use the cell meanwhile.
    #[inline]
    pub unsafe fn peek(&self) -> &T {
        // SAFETY: the caller's promise.
        unsafe { &*self.0.get() }
    }

    /// Puts a value in without the GIL; the old one is forgotten.
    ///
    /// # Safety
    /// Nobody else can use the cell meanwhile.
    #[inline]
    pub unsafe fn put(&self, value: T)
    where
        T: Copy,
    {
        // SAFETY: the caller's promise.
        unsafe { *self.0.get() = value }
    }

    /// Lends the value.
    ///
    /// # Safety
    /// `body` runs no Python code, drops no Python object and does not come back to this cell: any of
    /// them could give the GIL away or lend the value a second time.
    #[inline]
    pub unsafe fn with<R>(&self, _py: Python<'_>, body: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the caller's promise keeps the borrow unique.
        body(unsafe { &mut *self.0.get() })
    }
}
