//! What a hook answers: `OK`, `DECLINED`, `DONE` or an HTTP status. (httpd.h)

use crate::ffi;
use std::os::raw::c_int;

/// A hook's result, with httpd's own numbers behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Status(pub c_int);

impl Status {
    pub const OK: Self = Self(ffi::OK as c_int);
    pub const DECLINED: Self = Self(ffi::DECLINED);
    pub const DONE: Self = Self(ffi::DONE);
    pub const UNAUTHORIZED: Self = Self(ffi::HTTP_UNAUTHORIZED as c_int);
    pub const FORBIDDEN: Self = Self(ffi::HTTP_FORBIDDEN as c_int);
    pub const INTERNAL_SERVER_ERROR: Self = Self(ffi::HTTP_INTERNAL_SERVER_ERROR as c_int);
    pub const GATEWAY_TIME_OUT: Self = Self(ffi::HTTP_GATEWAY_TIME_OUT as c_int);

    /// Whether httpd answers it with a page of its own.
    #[inline]
    pub fn is_error(self) -> bool {
        self.0 >= 300
    }
}
