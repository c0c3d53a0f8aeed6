//! httpd calls in: every hook in request order; each is a few lines.

use crate::ffi;

/// httpd lets us register.
pub extern "C" fn register(_pool: *mut ffi::apr_pool_t) {}
