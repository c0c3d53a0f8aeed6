//! For `cargo test`: libapr is an ordinary library, and httpd's variables need an address.
//!
//! httpd's functions stay undefined; a test that calls one fails when it does, not when it starts.

use super::{ap_directive_t, apr_pool_t};
use std::os::raw::{c_char, c_int, c_void};

#[link(name = "apr-1")]
extern "C" {
    fn apr_initialize() -> c_int;
}
#[link(name = "aprutil-1")]
extern "C" {}

#[no_mangle]
static mut ap_conftree: *mut ap_directive_t = std::ptr::null_mut();
#[no_mangle]
static mut ap_server_root: *const c_char = std::ptr::null();
#[no_mangle]
static mut ap_pglobal: *mut apr_pool_t = std::ptr::null_mut();
#[no_mangle]
static mut ap_scoreboard_image: *mut c_void = std::ptr::null_mut();

#[no_mangle]
static mut core_module: std::mem::MaybeUninit<super::module> = std::mem::MaybeUninit::zeroed();

/// Readies APR for a test.
pub fn initialize() {
    // SAFETY: counted by APR; never ended, as tests run in threads.
    unsafe {
        assert_eq!(apr_initialize(), 0);
    }
}
