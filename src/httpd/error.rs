//! What httpd and APR can refuse.

use crate::ffi;

/// An APR status that means failure, with what was being done.
#[derive(thiserror::Error, Debug, Clone)]
pub enum Error {
    /// APR returned this status.
    #[error("{what}: {} ({status})", strerror(*status))]
    Apr {
        what: &'static str,
        status: ffi::apr_status_t,
    },
    /// The client went away or stayed silent past the timeout.
    #[error("{0}")]
    Client(&'static str),
    /// httpd wants this HTTP status answered.
    #[error("HTTP status {0}")]
    Http(std::os::raw::c_int),
    /// There is none for a pool.
    #[error("out of memory")]
    Memory,
}

impl Error {
    /// An error from an APR status; `Ok` for `APR_SUCCESS`.
    pub fn check(what: &'static str, status: ffi::apr_status_t) -> Result<(), Self> {
        if status == 0 {
            Ok(())
        } else {
            Err(Self::Apr { what, status })
        }
    }
}

/// APR's text of a status.
pub fn strerror(status: ffi::apr_status_t) -> String {
    let mut text = [0u8; 256];
    // SAFETY: APR writes at most the given length, NUL included.
    unsafe {
        ffi::apr_strerror(status, text.as_mut_ptr().cast(), text.len());
    }
    let end = memchr::memchr(0, &text).unwrap_or(text.len());
    String::from_utf8_lossy(&text[..end]).into_owned()
}
