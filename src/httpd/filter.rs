//! Filters in a request's chain. (util_filter.h)

use std::ffi::{c_void, CStr};

use super::Request;
use crate::ffi;

/// httpd's name of the filter that carries those registered on a request.
pub const DYNAMIC: &CStr = c"MOD_PYTHON";

/// Inserts the carrier for a filter that was registered on the request, with its name as context.
pub fn add_dynamic(r: &Request, name: &CStr, is_input: bool) {
    let context = r.pool().strdup(name.to_bytes()) as *mut c_void;
    // SAFETY: live; the context lives as long as the request.
    unsafe {
        let connection = (*r.as_ptr()).connection;
        if is_input {
            ffi::ap_add_input_filter(DYNAMIC.as_ptr(), context, r.as_ptr(), connection);
        } else {
            ffi::ap_add_output_filter(DYNAMIC.as_ptr(), context, r.as_ptr(), connection);
        }
    }
}
