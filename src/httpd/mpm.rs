//! What the MPM is and can do. (ap_mpm.h)

use std::ffi::c_int;

use crate::ffi;

/// `ap_mpm_query`; a code the MPM does not know answers 0.
pub fn query(code: c_int) -> c_int {
    let mut answer = 0;
    // SAFETY: the MPM writes one int, or none.
    let status = unsafe { ffi::ap_mpm_query(code, &mut answer) };
    if status == 0 {
        answer
    } else {
        0
    }
}

/// Whether a child serves several requests at once, in threads.
pub fn is_threaded() -> bool {
    query(ffi::AP_MPMQ_IS_THREADED as c_int) != 0
}

/// Whether this process is about to end.
pub fn is_stopping() -> bool {
    query(ffi::AP_MPMQ_MPM_STATE as c_int) == ffi::AP_MPMQ_STOPPING as c_int
}

/// How many children there can be at once: ServerLimit.
pub fn most_children() -> usize {
    usize::try_from(query(ffi::AP_MPMQ_HARD_LIMIT_DAEMONS as c_int)).unwrap_or(1)
}

/// Whether this is the first of the two readings of the configuration.
pub fn is_preflight() -> bool {
    // SAFETY: a plain query.
    unsafe {
        ffi::ap_state_query(ffi::AP_SQ_MAIN_STATE as c_int)
            == ffi::AP_SQ_MS_CREATE_PRE_CONFIG as c_int
    }
}

/// Whether `-D name` was given to httpd.
pub fn config_define(name: &std::ffi::CStr) -> bool {
    // SAFETY: reads the list of defines.
    unsafe { ffi::ap_exists_config_define(name.as_ptr()) != 0 }
}
