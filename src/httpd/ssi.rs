//! mod_include's tags. (mod_include.h)

use std::ffi::{c_char, CStr};

use super::brigade::Brigade;
use super::opaque::opaque;
use super::optional::optional;
use crate::ffi;

opaque! {
    /// mod_include's state while it works on a page.
    Include(ffi::include_ctx_t)
}

/// A tag's function, as mod_include calls it.
pub type TagFunction = unsafe extern "C" fn(
    *mut ffi::include_ctx_t,
    *mut ffi::ap_filter_t,
    *mut ffi::apr_bucket_brigade,
) -> ffi::apr_status_t;

/// Registers a tag, where mod_include is loaded.
pub fn register(tag: &'static CStr, function: TagFunction) {
    type Register = unsafe extern "C" fn(*mut c_char, Option<TagFunction>);
    if let Some(register) = optional(c"ap_register_include_handler") {
        // SAFETY: mod_include registers it with this signature; it keeps the tag's name.
        unsafe {
            let register: Register = std::mem::transmute(register);
            register(tag.as_ptr() as *mut c_char, Some(function));
        }
    }
}

impl Include {
    /// Whether output counts here: not inside a false `#if`.
    pub fn is_printing(&self) -> bool {
        self.flag(ffi::SSI_FLAG_PRINTING)
    }

    /// Whether `Options IncludesNOEXEC` forbids programs.
    pub fn is_noexec(&self) -> bool {
        self.flag(ffi::SSI_FLAG_NO_EXEC)
    }

    fn flag(&self, flag: u32) -> bool {
        // SAFETY: live.
        unsafe { (*self.as_ptr()).flags as u32 & flag != 0 }
    }

    /// The number of parameters of the tag.
    pub fn argc(&self) -> u32 {
        // SAFETY: live.
        unsafe { (*self.as_ptr()).argc }
    }

    /// The next parameter with its value, entities decoded; `None` at the end.
    pub fn next_parameter(&self) -> Option<(&CStr, Option<&CStr>)> {
        type GetTag =
            unsafe extern "C" fn(*mut ffi::include_ctx_t, *mut *mut c_char, *mut *mut c_char, i32);
        let get = optional(c"ap_ssi_get_tag_and_value")?;
        let (mut tag, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: mod_include registers it with this signature; the strings live in its pool.
        unsafe {
            let get: GetTag = std::mem::transmute(get);
            get(
                self.as_ptr(),
                &mut tag,
                &mut value,
                ffi::SSI_VALUE_DECODED as i32,
            );
            super::text::from_ptr(tag).map(|tag| (tag, super::text::from_ptr(value)))
        }
    }

    /// Puts mod_include's error text into the page.
    pub fn write_error(&self, brigade: &Brigade) {
        // SAFETY: live; the text lives in mod_include's configuration.
        if let Some(text) = unsafe { super::text::from_ptr((*self.as_ptr()).error_str) } {
            brigade.write(text.to_bytes());
        }
    }
}
