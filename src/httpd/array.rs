//! `apr_array_header_t` of strings, read only. (apr_tables.h)

use std::ffi::{c_char, CStr};

use crate::ffi;

/// Copies out an array of C strings; null entries are skipped.
///
/// # Safety
/// `array` is null or a live array of `char *`.
pub unsafe fn strings<'a>(array: *const ffi::apr_array_header_t) -> Vec<&'a CStr> {
    if array.is_null() {
        return Vec::new();
    }
    // SAFETY: `nelts` pointers follow at `elts` (APR).
    unsafe {
        let elements = (*array).elts as *const *const c_char;
        (0..(*array).nelts as usize)
            .map(|index| *elements.add(index))
            .filter(|text| !text.is_null())
            .map(|text| CStr::from_ptr(text))
            .collect()
    }
}
