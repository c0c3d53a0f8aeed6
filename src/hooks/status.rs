//! The status page, and our section of mod_status.

use std::ffi::c_int;
use std::ptr::null;

use crate::dispatch::status::page;
use crate::ffi;
use crate::httpd::guard::guard;
use crate::httpd::{Request, Status};

/// The section appears where mod_status is loaded.
pub fn register() {
    type Hook = unsafe extern "C" fn(*mut ffi::request_rec, c_int) -> c_int;
    let hook: Hook = section;
    // SAFETY: APR casts the function back to the type that mod_status.h declares.
    unsafe {
        ffi::apr_optional_hook_add(
            c"status_hook".as_ptr(),
            Some(std::mem::transmute::<Hook, unsafe extern "C" fn()>(hook)),
            null(),
            null(),
            ffi::MP_APR_HOOK_MIDDLE,
        );
    }
}

unsafe extern "C" fn section(r: *mut ffi::request_rec, flags: c_int) -> c_int {
    guard("status_hook", Status::DECLINED, || {
        // SAFETY: mod_status's request.
        let r = unsafe { Request::from_raw(r) };
        page::section(r, flags & ffi::AP_STATUS_SHORT as c_int != 0)
    })
    .0
}
