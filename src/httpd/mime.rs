//! What mod_mime has to do with us: the extensions it maps to this module, which the publisher asks
//! for (AddHandler), and its part in the phase that finds a file's type.

use std::cell::Cell;
use std::ffi::{c_char, c_void, CStr};

use super::{Request, Status};
use crate::ffi;

thread_local! {
    /// The request whose type the other modules are being asked for.
    static ASKED: Cell<*mut ffi::request_rec> = const { Cell::new(std::ptr::null_mut()) };
}

/// Whether [`ask_others`] is at work for the request: then our own hook has had its turn.
pub fn is_asking_others(r: &Request) -> bool {
    ASKED.get() == r.as_ptr()
}

/// The type and the handler of a request, to see whether somebody changes them.
#[derive(Clone, Copy)]
pub struct Found {
    content_type: *const c_char,
    handler: *const c_char,
}

impl Found {
    pub fn by(r: &Request) -> Found {
        // SAFETY: live.
        unsafe {
            Found {
                content_type: (*r.as_ptr()).content_type,
                handler: (*r.as_ptr()).handler,
            }
        }
    }
}

/// Lets the other modules say what they know of a file whose type has been found already.
///
/// mod_mime knows more than types: what AddHandler names, encodings, languages. Our hook comes before it,
/// and the first hook to answer OK is the last. A type and a handler that were not there `before` stay.
pub fn ask_others(r: &Request, before: Found) -> Status {
    let ours = Found::by(r);
    let asked_before = ASKED.replace(r.as_ptr());
    // SAFETY: live. The texts lie in its pool, or are constants.
    let status = unsafe {
        let status = ffi::ap_run_type_checker(r.as_ptr());
        if ours.content_type != before.content_type {
            ffi::ap_set_content_type(r.as_ptr(), ours.content_type);
        }
        if ours.handler != before.handler {
            (*r.as_ptr()).handler = ours.handler;
        }
        status
    };
    ASKED.set(asked_before);
    match Status(status) {
        Status::DECLINED => Status::OK,
        status => status,
    }
}

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
