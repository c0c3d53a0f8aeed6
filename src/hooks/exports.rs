//! Other modules call in: our optional functions, declared in include/mod_python.h. (phases.md 2.12)

use std::ffi::{c_char, c_void, CStr};
use std::ptr::null_mut;

use crate::dispatch::guest;
use crate::ffi;
use crate::httpd::guard::guard;
use crate::httpd::{Conn, Request, Server};

/// `APR_REGISTER_OPTIONAL_FN` for each of them.
pub fn register() {
    let functions: [(&CStr, *const c_void); 5] = [
        (
            c"mp_acquire_interpreter",
            acquire_interpreter as *const c_void,
        ),
        (
            c"mp_release_interpreter",
            release_interpreter as *const c_void,
        ),
        (
            c"mp_get_request_object",
            get_request_object as *const c_void,
        ),
        (c"mp_get_server_object", get_server_object as *const c_void),
        (
            c"mp_get_connection_object",
            get_connection_object as *const c_void,
        ),
    ];
    for (name, function) in functions {
        // SAFETY: APR keeps the address of a function that is never unloaded, and casts it back to the
        // type that the header declares.
        unsafe {
            ffi::apr_dynamic_fn_register(
                name.as_ptr(),
                Some(std::mem::transmute::<*const c_void, unsafe extern "C" fn()>(function)),
            );
        }
    }
}

unsafe extern "C" fn acquire_interpreter(name: *const c_char) -> *mut c_void {
    guard("mp_acquire_interpreter", null_mut(), || {
        // SAFETY: null or a C string (mod_python.h).
        let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) });
        guest::acquire(name)
    })
}

unsafe extern "C" fn release_interpreter() {
    guard("mp_release_interpreter", (), guest::release)
}

unsafe extern "C" fn get_request_object(r: *mut ffi::request_rec) -> *mut c_void {
    guard("mp_get_request_object", null_mut(), || {
        // SAFETY: null or a live request (mod_python.h).
        guest::request(unsafe { Request::from_raw_opt(r) })
    })
}

unsafe extern "C" fn get_server_object(s: *mut ffi::server_rec) -> *mut c_void {
    guard("mp_get_server_object", null_mut(), || {
        // SAFETY: null or a server of the running configuration (mod_python.h).
        guest::server(unsafe { Server::from_raw_opt(s) })
    })
}

unsafe extern "C" fn get_connection_object(c: *mut ffi::conn_rec) -> *mut c_void {
    guard("mp_get_connection_object", null_mut(), || {
        // SAFETY: null or a live connection (mod_python.h).
        guest::connection(unsafe { Conn::from_raw_opt(c) })
    })
}
