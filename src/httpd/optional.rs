//! What other modules of httpd offer by name, where they are loaded. (apr_optional.h)

use std::ffi::CStr;

use crate::ffi;

/// An optional function of another module; `None` where that is not loaded.
pub fn optional(name: &CStr) -> ffi::apr_opt_fn_t {
    // SAFETY: looks a name up in APR's table.
    unsafe { ffi::apr_dynamic_fn_retrieve(name.as_ptr()) }
}
