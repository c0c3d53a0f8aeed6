//! A C struct that C may change under our feet: Rust holds its address and claims nothing about it.

use std::cell::UnsafeCell;
use std::marker::PhantomPinned;

/// The storage of a C struct behind `&T`. (`linux: rust/kernel/types.rs`)
#[repr(transparent)]
pub struct Opaque<T> {
    inner: UnsafeCell<T>,
    pinned: PhantomPinned,
}

impl<T> Opaque<T> {
    /// The address C knows it by.
    #[inline(always)]
    pub const fn get(&self) -> *mut T {
        UnsafeCell::raw_get(&self.inner)
    }
}

/// A type that is a C struct seen through a reference; gives it `from_raw` and `as_ptr`.
macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident($raw:ty)) => {
        $(#[$doc])*
        #[repr(transparent)]
        pub struct $name($crate::httpd::opaque::Opaque<$raw>);

        impl $name {
            /// Lends the C object for as long as the caller knows it to live.
            ///
            /// # Safety
            /// `raw` is not null and stays valid for `'a`.
            #[inline(always)]
            pub unsafe fn from_raw<'a>(raw: *mut $raw) -> &'a Self {
                debug_assert!(!raw.is_null());
                // SAFETY: same layout (`repr(transparent)`), valid for 'a (caller).
                unsafe { &*(raw as *const Self) }
            }

            /// As [`Self::from_raw`], with null as `None`.
            ///
            /// # Safety
            /// As [`Self::from_raw`].
            #[inline(always)]
            #[allow(dead_code, reason = "not every C type is optional somewhere")]
            pub unsafe fn from_raw_opt<'a>(raw: *mut $raw) -> Option<&'a Self> {
                // SAFETY: the caller's promise.
                if raw.is_null() { None } else { Some(unsafe { Self::from_raw(raw) }) }
            }

            /// The address C knows it by.
            #[inline(always)]
            pub fn as_ptr(&self) -> *mut $raw {
                self.0.get()
            }
        }
    };
}
/// Reads fields of a C struct behind an opaque reference.
macro_rules! fields {
    ($( $name:ident : $kind:tt ),* $(,)?) => {
        $( $crate::httpd::opaque::field!($name : $kind); )*
    };
}
macro_rules! field {
    ($name:ident : text) => {
        #[doc = concat!("The field `", stringify!($name), "`, `None` where it is null.")]
        #[inline]
        pub fn $name(&self) -> Option<&std::ffi::CStr> {
            // SAFETY: the struct is live behind `&self`; its strings live in its pool.
            unsafe { $crate::httpd::text::from_ptr((*self.as_ptr()).$name as *const _) }
        }
    };
    ($name:ident : int) => {
        #[doc = concat!("The field `", stringify!($name), "`.")]
        #[inline]
        #[allow(clippy::unnecessary_cast, reason = "C types differ between platforms")]
        pub fn $name(&self) -> i64 {
            // SAFETY: the struct is live behind `&self`.
            unsafe { (*self.as_ptr()).$name as i64 }
        }
    };
}
pub(super) use {field, fields, opaque};
