//! Filters in a request's chain. (util_filter.h)

use std::ffi::{c_char, c_int, c_void, CStr};

use super::brigade::Brigade;
use super::opaque::opaque;
use super::{conn, Conn, Request};
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

/// The Content-Length that others announced for what an output filter gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Announced {
    /// The filter was not called yet.
    Unknown,
    /// There at its first call; the address tells it from one that a program sets later.
    Before(*const c_char),
    /// Right, or taken back, or none.
    Settled,
}

/// What a filter of ours remembers between its calls; lives in the request's pool.
pub struct Context {
    /// The name it was registered under on the request; `None` for those of the configuration.
    pub name: Option<&'static CStr>,
    pub mode: std::cell::Cell<Mode>,
    /// What became of the length announced for the content (output filters).
    announced: std::cell::Cell<Announced>,
    /// Whether there was any content (output filters).
    has_data_come: std::cell::Cell<bool>,
    /// Data that came and was not read yet.
    pub unread: *mut ffi::apr_bucket_brigade,
    /// Data that was written and not asked for yet (input filters).
    pub pending: *mut ffi::apr_bucket_brigade,
    /// For what a call writes (output filters), to be used again: a pool gives nothing back before its end.
    queue: std::cell::Cell<*mut ffi::apr_bucket_brigade>,
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

    /// Hands a brigade to the next output filter, after Python could change what is in it.
    ///
    /// Whoever made the content may have announced its length (a file, a proxied server), and headers go
    /// out with the first brigade. httpd corrects the length where this one holds all; else it is taken
    /// back, unless the program has set another since. For HEAD there may be nothing to count: what a
    /// filter makes of nothing says nothing about GET.
    pub fn pass_changed(&self, brigade: &Brigade) -> c_int {
        if let Some(r) = self.request() {
            let context = self.context(r);
            let is_blind = r.header_only() != 0 && !context.has_data_come.get();
            if is_blind {
                brigade.drop_data();
            }
            let announced = context.announced.get();
            if announced != Announced::Settled {
                let is_kept = announced == Announced::now(r);
                if self.has_headers_to_come() {
                    let is_counted =
                        brigade.has_eos() && (r.header_only() == 0 || brigade.has_data());
                    if is_kept && !is_counted {
                        r.headers_out().unset(CONTENT_LENGTH);
                    }
                    context.announced.set(Announced::Settled);
                } else if is_kept && brigade.has_data() {
                    // It went out with what was passed on before: what comes now could be taken for
                    // the connection's next answer.
                    self.connection().set_keepalive(conn::CLOSE);
                    context.announced.set(Announced::Settled);
                }
            }
        }
        self.pass(brigade)
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
        let status = if self.has_headers_to_come() {
            status
        } else {
            ffi::HTTP_BAD_GATEWAY as c_int
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

    /// Whether the filter that sends the headers, and then leaves, is still to come in the chain.
    fn has_headers_to_come(&self) -> bool {
        // SAFETY: live filters, each linked to the next, with records that live as long as httpd.
        unsafe {
            let mut next = self.as_ptr();
            while !next.is_null() {
                if CStr::from_ptr((*(*next).frec).name) == HEADER_FILTER {
                    return true;
                }
                next = (*next).next;
            }
        }
        false
    }

    /// Whether a status of [`Self::fetch`] only says that nothing is there yet.
    pub fn is_again(status: c_int) -> bool {
        status == libc::EAGAIN
    }
}

/// httpd's filter that sends the headers. (http_core.c)
const HEADER_FILTER: &CStr = c"http_header";
const CONTENT_LENGTH: &CStr = c"Content-Length";

impl Announced {
    fn now(r: &Request) -> Self {
        let value = r.headers_out().get(CONTENT_LENGTH);
        value.map_or(Self::Settled, |value| Self::Before(value.as_ptr()))
    }
}

impl Context {
    /// Lends an empty brigade for what an output filter writes; a call inside of another gets one of its own.
    pub fn with_queue<R>(&self, r: &Request, body: impl FnOnce(&Brigade) -> R) -> R {
        let kept = self.queue.replace(std::ptr::null_mut());
        // SAFETY: null, or made below, in the request's pool.
        let queue = unsafe { Brigade::from_raw_opt(kept) };
        let queue = queue.unwrap_or_else(|| Brigade::create(r.pool(), r.connection()));
        let result = body(queue);
        queue.clear();
        self.queue.set(queue.as_ptr());
        result
    }

    /// An output filter gets a brigade: notes what [`Filter::pass_changed`] asks for.
    pub fn note(&self, r: &Request, brigade: &Brigade) {
        if r.header_only() != 0 && brigade.has_data() {
            self.has_data_come.set(true);
        }
        if self.announced.get() == Announced::Unknown {
            self.announced.set(Announced::now(r));
        }
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
        announced: std::cell::Cell::new(Announced::Unknown),
        has_data_come: std::cell::Cell::new(false),
        unread,
        pending,
        queue: std::cell::Cell::new(std::ptr::null_mut()),
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
