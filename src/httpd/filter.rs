//! Filters in a request's chain. (util_filter.h)

use std::ffi::{c_int, c_void, CStr};

use super::brigade::Brigade;
use super::opaque::opaque;
use super::{Conn, Request};
use crate::ffi;

/// httpd's name of the filter that carries those registered on a request.
pub const DYNAMIC: &CStr = c"MOD_PYTHON";

/// A filter has dealt with the error itself. (http_protocol.h, `AP_FILTER_ERROR`)
pub const FILTER_ERROR: c_int = ffi::MP_AP_FILTER_ERROR;
/// APR's status of an unspecified failure.
pub const GENERAL_ERROR: c_int = ffi::MP_APR_EGENERAL as c_int;

opaque! {
    /// A filter's place in a chain.
    Filter(ffi::ap_filter_t)
}

/// How a filter of ours treats what comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Python is called.
    Active,
    /// `disable()` was called, or Python failed on input: data passes untouched.
    Transparent,
    /// The response has been ended (an error, an error page): what still comes is dropped.
    Ended,
}

/// What a filter of ours remembers between its calls; lives in the request's pool.
pub struct Context {
    /// The name it was registered under on the request; `None` for those of the configuration.
    pub name: Option<&'static CStr>,
    pub mode: std::cell::Cell<Mode>,
    /// Data that came and was not read yet.
    pub unread: *mut ffi::apr_bucket_brigade,
    /// Data that was written and not asked for yet (input filters).
    pub pending: *mut ffi::apr_bucket_brigade,
}

/// How upstream asked an input filter for data.
#[derive(Clone, Copy)]
pub struct ReadMode {
    pub mode: ffi::ap_input_mode_t,
    pub block: ffi::apr_read_type_e,
    pub length: i64,
}

impl ReadMode {
    /// Whether a Python filter is asked: for bytes or a line. Peeking goes past it.
    pub fn is_for_python(&self) -> bool {
        matches!(self.mode, ffi::AP_MODE_READBYTES | ffi::AP_MODE_GETLINE)
    }

    /// Whether upstream waits until there is something.
    pub fn is_blocking(&self) -> bool {
        self.block == ffi::APR_BLOCK_READ
    }

    /// Whether more than `length` bytes would be too many.
    pub fn is_limited(&self) -> bool {
        self.mode == ffi::AP_MODE_READBYTES && self.length > 0
    }
}

impl Filter {
    /// The request it filters; `None` for filters of a connection.
    pub fn request(&self) -> Option<&Request> {
        // SAFETY: null or live while the filter is called.
        unsafe { Request::from_raw_opt((*self.as_ptr()).r) }
    }

    /// Its connection.
    pub fn connection(&self) -> &Conn {
        // SAFETY: always set.
        unsafe { Conn::from_raw((*self.as_ptr()).c) }
    }

    /// The name it was registered under with httpd, in lower case.
    pub fn name(&self) -> &CStr {
        // SAFETY: httpd keeps the record for the life of the configuration.
        unsafe { CStr::from_ptr((*(*self.as_ptr()).frec).name) }
    }

    /// What it remembers, made at its first call.
    pub fn context<'a>(&'a self, r: &'a Request) -> &'a Context {
        // SAFETY: null, or what `add_dynamic` or this function put there; it lives in the request's pool.
        unsafe {
            if (*self.as_ptr()).ctx.is_null() {
                (*self.as_ptr()).ctx = new_context(r, None);
            }
            &*((*self.as_ptr()).ctx as *const Context)
        }
    }

    /// Hands a brigade to the next output filter.
    pub fn pass(&self, brigade: &Brigade) -> c_int {
        // SAFETY: live; the next filter takes the buckets.
        unsafe { ffi::ap_pass_brigade((*self.as_ptr()).next, brigade.as_ptr()) }
    }

    /// Asks the next input filter for data.
    pub fn fetch(&self, brigade: &Brigade, how: ReadMode) -> c_int {
        // SAFETY: live.
        unsafe {
            ffi::ap_get_brigade(
                (*self.as_ptr()).next,
                brigade.as_ptr(),
                how.mode,
                how.block,
                how.length,
            )
        }
    }

    /// Sends an error down the chain: httpd answers with its page, or, where the headers are out already,
    /// ends the connection so that the client notices.
    pub fn fail(&self, r: &Request, status: c_int) -> c_int {
        let brigade = Brigade::create(r.pool(), self.connection());
        let status = if r.sent_bodyct() != 0 {
            ffi::HTTP_BAD_GATEWAY as c_int
        } else {
            status
        };
        brigade.append_error(status);
        brigade.append_eos();
        let result = self.pass(brigade);
        if result == 0 {
            FILTER_ERROR
        } else {
            result
        }
    }

    /// Whether a status of [`Self::fetch`] only says that nothing is there yet.
    pub fn is_again(status: c_int) -> bool {
        status == libc::EAGAIN
    }
}

fn new_context(r: &Request, name: Option<&CStr>) -> *mut c_void {
    let name = name.map(|name| {
        let copy = r.pool().cstr(name.to_bytes());
        // SAFETY: the copy lives as long as the context, in the same pool.
        unsafe { std::mem::transmute::<&CStr, &'static CStr>(copy) }
    });
    let brigade = || Brigade::create(r.pool(), r.connection()).as_ptr();
    let (unread, pending) = (brigade(), brigade());
    let context = Context {
        name,
        mode: std::cell::Cell::new(Mode::Active),
        unread,
        pending,
    };
    r.pool().place(context) as *mut c_void
}

/// Inserts the carrier for a filter that was registered on the request.
pub fn add_dynamic(r: &Request, name: &CStr, is_input: bool) {
    let context = new_context(r, Some(name));
    // SAFETY: live; the context lives as long as the request.
    unsafe {
        let connection = (*r.as_ptr()).connection;
        if is_input {
            ffi::ap_add_input_filter(DYNAMIC.as_ptr(), context, r.as_ptr(), connection);
        } else {
            ffi::ap_add_output_filter(DYNAMIC.as_ptr(), context, r.as_ptr(), connection);
        }
    }
}
