//! Input and output filters; the names come from directives, `MOD_PYTHON` carries those of a request.

use std::ffi::{c_int, CStr};

use crate::dispatch;
use crate::dispatch::filter::PANICKED;
use crate::ffi;
use crate::httpd::brigade::Brigade;
use crate::httpd::filter::{Filter, ReadMode, DYNAMIC};
use crate::httpd::guard::guard;

unsafe extern "C" fn output_filter(
    f: *mut ffi::ap_filter_t,
    brigade: *mut ffi::apr_bucket_brigade,
) -> ffi::apr_status_t {
    guard("output filter", PANICKED, || {
        // SAFETY: live for the length of the call.
        let (f, brigade) = unsafe { (Filter::from_raw(f), Brigade::from_raw(brigade)) };
        dispatch::filter::output(f, brigade)
    })
}

unsafe extern "C" fn input_filter(
    f: *mut ffi::ap_filter_t,
    brigade: *mut ffi::apr_bucket_brigade,
    mode: ffi::ap_input_mode_t,
    block: ffi::apr_read_type_e,
    length: ffi::apr_off_t,
) -> ffi::apr_status_t {
    guard("input filter", PANICKED, || {
        // SAFETY: live for the length of the call.
        let (f, brigade) = unsafe { (Filter::from_raw(f), Brigade::from_raw(brigade)) };
        dispatch::filter::input(
            f,
            brigade,
            ReadMode {
                mode,
                block,
                length,
            },
        )
    })
}

/// Makes a name known to httpd; httpd keeps a copy and takes repeated registrations.
pub fn register(name: &CStr, is_input: bool) -> c_int {
    // SAFETY: functions of the signatures httpd declares.
    unsafe {
        if is_input {
            ffi::ap_register_input_filter(
                name.as_ptr(),
                Some(input_filter),
                None,
                ffi::AP_FTYPE_RESOURCE,
            );
        } else {
            ffi::ap_register_output_filter(
                name.as_ptr(),
                Some(output_filter),
                None,
                ffi::AP_FTYPE_RESOURCE,
            );
        }
    }
    0
}

/// Registers the carrier of filters that are registered on requests.
pub fn register_dynamic() {
    register(DYNAMIC, true);
    register(DYNAMIC, false);
}
