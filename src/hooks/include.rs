//! mod_include meets a `#python` tag.

use crate::dispatch;
use crate::ffi;
use crate::httpd::brigade::Brigade;
use crate::httpd::filter::Filter;
use crate::httpd::guard::guard;
use crate::httpd::ssi::{self, Include};

unsafe extern "C" fn handle_python(
    include: *mut ffi::include_ctx_t,
    f: *mut ffi::ap_filter_t,
    brigade: *mut ffi::apr_bucket_brigade,
) -> ffi::apr_status_t {
    // SAFETY: live for the length of the call.
    let (include, f, brigade) = unsafe {
        (
            Include::from_raw(include),
            Filter::from_raw(f),
            Brigade::from_raw(brigade),
        )
    };
    if !guard("SSI tag", false, || {
        dispatch::include::run(include, f, brigade)
    }) {
        include.write_error(brigade);
    }
    0
}

/// Registers the tag in a new child, where mod_include is loaded.
pub fn register() {
    ssi::register(c"python", handle_python);
}
