//! Paths as httpd sees them: true names, globs and regular expressions. (apr_file_info.h, ap_regex.h)

use std::ffi::{CStr, CString};

use super::Pool;
use crate::ffi;

/// A regular expression compiled into a configuration pool.
#[derive(Clone, Copy)]
pub struct Regex(*mut ffi::ap_regex_t);

// SAFETY: a compiled pattern is read only.
unsafe impl Send for Regex {}
// SAFETY: as above.
unsafe impl Sync for Regex {}

impl Regex {
    /// Compiles; `None` for a malformed pattern. It is freed with the pool.
    pub fn compile(pool: &Pool, pattern: &CStr) -> Option<Self> {
        // SAFETY: httpd keeps the compiled form in the pool.
        let raw = unsafe {
            ffi::ap_pregcomp(pool.as_ptr(), pattern.as_ptr(), ffi::AP_REG_EXTENDED as i32)
        };
        if raw.is_null() {
            None
        } else {
            Some(Self(raw))
        }
    }

    /// Whether it matches somewhere in the text.
    pub fn is_match(&self, text: &CStr) -> bool {
        // SAFETY: compiled; no captures wanted.
        unsafe { ffi::ap_regexec(self.0, text.as_ptr(), 0, std::ptr::null_mut(), 0) == 0 }
    }
}

/// `apr_fnmatch`, in which `*` does not cross a slash.
pub fn fnmatch(pattern: &CStr, text: &CStr) -> bool {
    // SAFETY: two C strings.
    unsafe {
        ffi::apr_fnmatch(
            pattern.as_ptr(),
            text.as_ptr(),
            ffi::APR_FNM_PATHNAME as i32,
        ) == 0
    }
}

/// Whether the text has glob characters.
pub fn is_glob(text: &CStr) -> bool {
    // SAFETY: a C string.
    unsafe { ffi::apr_fnmatch_test(text.as_ptr()) != 0 }
}

/// A directory as httpd would name it: merged with `root` (or the working directory), true case and
/// symbolic names kept, with a trailing slash; the text itself where that fails.
pub fn directory(pool: &Pool, root: Option<&CStr>, text: &CStr) -> CString {
    let mut merged = std::ptr::null_mut();
    // SAFETY: the result lives in the pool and is copied at once.
    let bytes = unsafe {
        let status = ffi::apr_filepath_merge(
            &mut merged,
            root.map_or(std::ptr::null(), CStr::as_ptr),
            text.as_ptr(),
            ffi::APR_FILEPATH_TRUENAME as i32,
            pool.as_ptr(),
        );
        if status != 0 || merged.is_null() {
            return text.to_owned();
        }
        CStr::from_ptr(merged).to_bytes()
    };
    let mut bytes = bytes.to_vec();
    if bytes.last() != Some(&b'/') {
        bytes.push(b'/');
    }
    CString::new(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Whether the path names a directory.
pub fn is_directory(path: &CStr) -> bool {
    super::Finfo::stat(path, ffi::APR_FINFO_TYPE as i32)
        .is_ok_and(|finfo| finfo.filetype == ffi::APR_DIR as i32)
}
