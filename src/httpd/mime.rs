//! Which extensions mod_mime maps to this module; the publisher asks. (AddHandler)

use std::ffi::{c_char, c_void, CStr};

use super::Request;
use crate::ffi;

/// The beginning of mod_mime's per-directory record, unchanged in all releases of httpd 2.x.
#[repr(C)]
struct MimeDirConfig {
    extension_mappings: *mut ffi::apr_hash_t,
}

/// mod_mime's record of one extension, up to the field we read.
#[repr(C)]
struct ExtensionInfo {
    forced_type: *mut c_char,
    encoding_type: *mut c_char,
    language_type: *mut c_char,
    handler: *mut c_char,
}

/// The extensions without dots, each followed by a space; nothing where mod_mime is not loaded.
pub fn python_extensions(r: &Request) -> Vec<u8> {
    let mut found = Vec::new();
    // SAFETY: the record is mod_mime's own, found by its source file's name; its layout is above.
    unsafe {
        let module = ffi::ap_find_linked_module(c"mod_mime.c".as_ptr());
        if module.is_null() {
            return found;
        }
        let config =
            ffi::get_module_config((*r.as_ptr()).per_dir_config, module) as *const MimeDirConfig;
        if config.is_null() || (*config).extension_mappings.is_null() {
            return found;
        }
        let mut entry = ffi::apr_hash_first(r.pool().as_ptr(), (*config).extension_mappings);
        while !entry.is_null() {
            let mut key: *const c_void = std::ptr::null();
            let mut value: *mut c_void = std::ptr::null_mut();
            ffi::apr_hash_this(entry, &mut key, std::ptr::null_mut(), &mut value);
            let info = value as *const ExtensionInfo;
            if !info.is_null() && !key.is_null() {
                if let Some(handler) = super::text::from_ptr((*info).handler) {
                    if matches!(handler.to_bytes(), b"mod_python" | b"python-program") {
                        found.extend_from_slice(CStr::from_ptr(key as *const c_char).to_bytes());
                        found.push(b' ');
                    }
                }
            }
            entry = ffi::apr_hash_next(entry);
        }
    }
    found
}
