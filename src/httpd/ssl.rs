//! What mod_ssl tells of a connection, where it is loaded. (mod_ssl.h)

use std::ffi::{c_char, c_int, CStr};

use super::optional::optional;
use super::{Conn, Request};
use crate::ffi;

/// Whether the connection is encrypted.
pub fn is_https(c: &Conn) -> bool {
    type IsHttps = unsafe extern "C" fn(*mut ffi::conn_rec) -> c_int;
    let Some(function) = optional(c"ssl_is_https") else {
        return false;
    };
    // SAFETY: mod_ssl registers it with this signature.
    unsafe {
        let function: IsHttps = std::mem::transmute(function);
        function(c.as_ptr()) != 0
    }
}

/// A variable such as `SSL_PROTOCOL`, empty where it is unknown or unset; `None` without mod_ssl.
pub fn var_lookup<'a>(r: &'a Request, name: &CStr) -> Option<&'a CStr> {
    type VarLookup = unsafe extern "C" fn(
        *mut ffi::apr_pool_t,
        *mut ffi::server_rec,
        *mut ffi::conn_rec,
        *mut ffi::request_rec,
        *mut c_char,
    ) -> *mut c_char;
    let function = optional(c"ssl_var_lookup")?;
    // SAFETY: mod_ssl registers it with this signature; the value lives in the request's pool.
    unsafe {
        let function: VarLookup = std::mem::transmute(function);
        let value = function(
            r.pool().as_ptr(),
            r.server().as_ptr(),
            r.connection().as_ptr(),
            r.as_ptr(),
            name.as_ptr() as *mut c_char,
        );
        super::text::from_ptr(value)
    }
}
