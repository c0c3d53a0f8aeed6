//! `Require python module::function [argument ...]`: read with the configuration.

use std::ffi::{c_void, CStr};

use super::argument;
use super::hlist::Entry;
use super::section;
use crate::ffi;
use crate::httpd::Pool;

/// A line that was read, in the configuration's pool.
#[derive(Clone, Copy)]
pub struct Require<'p> {
    pub entry: Entry<'p>,
    pub arguments: &'p [&'p CStr],
}

/// Reads the rest of a `Require python` line.
///
/// # Errors
/// What is missing, as httpd's message.
///
/// # Safety
/// `cmd` is what httpd gave the provider's parse function.
pub unsafe fn parse(cmd: *mut ffi::cmd_parms, line: &CStr) -> Result<*const c_void, String> {
    // SAFETY: the caller's promise.
    let pool = unsafe { Pool::from_raw((*cmd).pool) };
    // SAFETY: as above.
    let place = unsafe { section::place(cmd, pool)? };
    let mut words = argument::words(line.to_bytes()).map(|word| pool.cstr(&word));
    let Some(handler) = words.next() else {
        return Err(
            "'Require python' needs a function: Require python module::function [argument ...]"
                .into(),
        );
    };
    let arguments: Vec<&CStr> = words.collect();
    let entry = Entry {
        handler,
        directory: place.directory,
        is_location: place.is_location,
        silent: false,
        id: 0,
    };
    let line = pool.alloc(Require {
        entry,
        arguments: pool.alloc_slice(&arguments),
    });
    Ok(std::ptr::from_ref(line).cast())
}
