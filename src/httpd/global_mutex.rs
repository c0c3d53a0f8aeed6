//! `apr_global_mutex_t`: a lock among all threads of all children. (apr_global_mutex.h, util_mutex.h)

use std::ffi::CStr;

use super::{Error, Pool};
use crate::ffi;

/// A mutex that lives in the pool it was created in.
#[derive(Clone, Copy)]
pub struct GlobalMutex(*mut ffi::apr_global_mutex_t);

// SAFETY: the mutex is made for use by any thread.
unsafe impl Send for GlobalMutex {}
// SAFETY: as above.
unsafe impl Sync for GlobalMutex {}

impl GlobalMutex {
    /// Creates the mutex in the parent, with permissions for the children's user.
    ///
    /// # Errors
    /// What APR or httpd's permission helper refused.
    pub fn create(pool: &Pool, path: &CStr) -> Result<Self, Error> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: the pool and the path live; APR copies the path.
        unsafe {
            let mechanism = ffi::APR_LOCK_DEFAULT;
            let status =
                ffi::apr_global_mutex_create(&mut raw, path.as_ptr(), mechanism, pool.as_ptr());
            Error::check("creating a global mutex", status)?;
            let status = ffi::ap_unixd_set_global_mutex_perms(raw);
            Error::check("giving the children access to a global mutex", status)?;
        }
        Ok(Self(raw))
    }

    /// Re-opens it in a child.
    ///
    /// # Errors
    /// What APR refused.
    pub fn child_init(&mut self, pool: &Pool, path: &CStr) -> Result<(), Error> {
        // SAFETY: created in the parent before the fork.
        let status =
            unsafe { ffi::apr_global_mutex_child_init(&mut self.0, path.as_ptr(), pool.as_ptr()) };
        Error::check("re-opening a global mutex in a child", status)
    }

    /// Waits for the lock.
    ///
    /// # Errors
    /// What the operating system refused.
    pub fn lock(&self) -> Result<(), Error> {
        // SAFETY: created and re-opened.
        Error::check("locking a global mutex", unsafe {
            ffi::apr_global_mutex_lock(self.0)
        })
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// What the operating system refused.
    pub fn trylock(&self) -> Result<bool, Error> {
        // SAFETY: as above.
        let status = unsafe { ffi::apr_global_mutex_trylock(self.0) };
        // APR_EBUSY, and on some systems the raw errno of a busy lock.
        if status == 70025 || status == libc::EBUSY || status == libc::EAGAIN {
            return Ok(false);
        }
        Error::check("trying a global mutex", status).map(|()| true)
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// What the operating system refused, for instance because it is not held.
    pub fn unlock(&self) -> Result<(), Error> {
        // SAFETY: as above.
        Error::check("unlocking a global mutex", unsafe {
            ffi::apr_global_mutex_unlock(self.0)
        })
    }
}
