//! `conn_rec`: one connection, and the bytes on it. (httpd.h, http_connection.h)

use std::ffi::{c_void, CStr};

use super::opaque::{fields, opaque};
use super::{Pool, Server, Table};
use crate::ffi;

/// The C struct, for those who keep its address in a lease.
pub type Raw = ffi::conn_rec;

/// `AP_CONN_CLOSE`, for [`Conn::set_keepalive`].
pub const CLOSE: u32 = ffi::AP_CONN_CLOSE;

opaque! {
    /// A client's connection, lent for a callback.
    Conn(ffi::conn_rec)
}

impl Conn {
    fields! {
        client_ip: text, remote_host: text, remote_logname: text, local_ip: text, local_host: text,
        id: int, aborted: int, keepalive: int, keepalives: int,
    }

    /// The connection's pool.
    #[inline]
    pub fn pool(&self) -> &Pool {
        // SAFETY: a live connection has a pool.
        unsafe { Pool::from_raw((*self.as_ptr()).pool) }
    }

    /// The server it came in on.
    #[inline]
    pub fn base_server(&self) -> &Server {
        // SAFETY: always set.
        unsafe { Server::from_raw((*self.as_ptr()).base_server) }
    }

    /// Notes of other modules about the connection.
    pub fn notes(&self) -> &Table {
        // SAFETY: always set.
        unsafe { Table::from_raw((*self.as_ptr()).notes) }
    }

    /// Whether the name was looked up both ways: -1, 0 or 1.
    pub fn double_reverse(&self) -> i64 {
        // SAFETY: live.
        unsafe { i64::from((*self.as_ptr()).double_reverse()) }
    }

    /// Whether httpd keeps the connection: `AP_CONN_*`.
    pub fn set_keepalive(&self, value: u32) {
        // SAFETY: live; the enum is an unsigned int.
        unsafe { (*self.as_ptr()).keepalive = value as _ }
    }

    /// Whatever is still written goes nowhere, and httpd closes the connection.
    pub fn set_aborted(&self) {
        // SAFETY: live.
        unsafe { (*self.as_ptr()).aborted = 1 }
    }

    /// The address and port of our end.
    pub fn local_addr(&self) -> (String, u16) {
        // SAFETY: always set.
        unsafe { address((*self.as_ptr()).local_addr) }
    }

    /// The address and port of the peer.
    pub fn client_addr(&self) -> (String, u16) {
        // SAFETY: always set.
        unsafe { address((*self.as_ptr()).client_addr) }
    }

    /// Our record about this connection; null before [`Self::set_module_config`].
    #[inline]
    pub fn module_config(&self) -> *mut c_void {
        // SAFETY: live; our module is registered.
        unsafe { ffi::get_module_config((*self.as_ptr()).conn_config, ffi::module_record()) }
    }

    /// Stores our record about this connection.
    #[inline]
    #[expect(
        clippy::not_unsafe_ptr_arg_deref,
        reason = "the address is stored, not followed"
    )]
    pub fn set_module_config(&self, value: *mut c_void) {
        // SAFETY: as above.
        unsafe { ffi::set_module_config((*self.as_ptr()).conn_config, ffi::module_record(), value) }
    }
}

/// A socket address as text and port.
///
/// # Safety
/// `raw` is null or a live address.
pub unsafe fn address(raw: *mut ffi::apr_sockaddr_t) -> (String, u16) {
    if raw.is_null() {
        return (String::new(), 0);
    }
    let mut text = [0 as std::ffi::c_char; 64];
    // SAFETY: APR writes at most the given length, NUL included.
    unsafe {
        if ffi::apr_sockaddr_ip_getbuf(text.as_mut_ptr(), text.len() as _, raw) != 0 {
            return (String::new(), (*raw).port);
        }
        (
            CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned(),
            (*raw).port,
        )
    }
}
