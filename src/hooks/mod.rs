//! httpd calls in: every hook in request order; each is a few lines.

mod auth;
mod connection;
mod exports;
mod filter;
mod include;
mod process;
mod request;
mod status;

use std::ffi::{c_char, CStr};
use std::ptr::null;

use crate::ffi;
use crate::httpd::guard::guard;

const MIDDLE: i32 = ffi::MP_APR_HOOK_MIDDLE;

/// Names of modules for httpd's ordering of hooks, ended by null.
#[repr(transparent)]
struct Modules<const N: usize>([*const c_char; N]);
// SAFETY: pointers to constants.
unsafe impl<const N: usize> Sync for Modules<N> {}

const fn name(name: &'static CStr) -> *const c_char {
    name.as_ptr()
}

/// Our hooks come before these whatever the order of LoadModule lines; unconfigured, they decline.
static AUTHENTICATORS: Modules<4> = Modules([
    name(c"mod_auth_basic.c"),
    name(c"mod_auth_digest.c"),
    name(c"mod_auth_form.c"),
    null(),
]);
static AUTHORIZERS: Modules<2> = Modules([name(c"mod_authz_core.c"), null()]);
static TYPE_CHECKERS: Modules<3> =
    Modules([name(c"mod_mime_magic.c"), name(c"mod_mime.c"), null()]);

/// httpd lets us register.
///
/// # Safety
/// Called by httpd, with its configuration pool.
pub unsafe extern "C" fn register(pool: *mut ffi::apr_pool_t) {
    guard("register_hooks", (), || {
        process::forget_configuration();
        let none = null();
        // SAFETY: functions of the signatures httpd declares; the names are constants.
        unsafe {
            // The process.
            ffi::ap_hook_pre_config(Some(process::pre_config), none, none, MIDDLE);
            ffi::ap_hook_post_config(Some(process::post_config), none, none, MIDDLE);
            ffi::ap_hook_child_init(Some(process::child_init), none, none, MIDDLE);
            // A connection.
            ffi::ap_hook_process_connection(
                Some(connection::process_connection),
                none,
                none,
                MIDDLE,
            );
            // A request, in order.
            ffi::ap_hook_quick_handler(Some(request::quick_handler), none, none, MIDDLE);
            ffi::ap_hook_post_read_request(Some(request::post_read_request), none, none, MIDDLE);
            ffi::ap_hook_translate_name(Some(request::translate_name), none, none, MIDDLE);
            ffi::ap_hook_map_to_storage(Some(request::map_to_storage), none, none, MIDDLE);
            ffi::ap_hook_header_parser(Some(request::header_parser), none, none, MIDDLE);
            ffi::ap_hook_access_checker(Some(request::access_checker), none, none, MIDDLE);
            ffi::ap_hook_check_user_id(
                Some(request::check_user_id),
                none,
                AUTHENTICATORS.0.as_ptr(),
                MIDDLE,
            );
            ffi::ap_hook_auth_checker(
                Some(request::auth_checker),
                none,
                AUTHORIZERS.0.as_ptr(),
                MIDDLE,
            );
            ffi::ap_hook_type_checker(
                Some(request::type_checker),
                none,
                TYPE_CHECKERS.0.as_ptr(),
                MIDDLE,
            );
            ffi::ap_hook_fixups(Some(request::fixups), none, none, MIDDLE);
            ffi::ap_hook_handler(Some(request::handler), none, none, MIDDLE);
            ffi::ap_hook_log_transaction(Some(request::log_transaction), none, none, MIDDLE);
        }
        crate::config::cmd::set_register_filter(|name, is_input| {
            filter::register(name, is_input);
        });
        filter::register_dynamic();
        exports::register();
        status::register();
        // SAFETY: httpd's configuration pool.
        auth::register(unsafe { crate::httpd::Pool::from_raw(pool) });
    });
}
