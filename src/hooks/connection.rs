//! A connection begins.

use std::ffi::c_int;

use crate::dispatch;
use crate::ffi;
use crate::httpd::guard::guard;
use crate::httpd::{Conn, Status};

pub unsafe extern "C" fn process_connection(c: *mut ffi::conn_rec) -> c_int {
    guard("process_connection", Status::INTERNAL_SERVER_ERROR, || {
        // SAFETY: live for the length of the hook.
        dispatch::connection::run(unsafe { Conn::from_raw(c) })
    })
    .0
}
