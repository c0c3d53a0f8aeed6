//! The error log. (http_log.h)

use std::ffi::{c_int, CString};
use std::sync::atomic::{AtomicPtr, Ordering};

use super::{Conn, Request, Server};
use crate::ffi;

/// A log level, as syslog and httpd number them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(i32)]
pub enum Level {
    Emerg = 0,
    Alert = 1,
    Crit = 2,
    Err = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

/// The main server of the running configuration, for messages that belong to nobody else.
static MAIN: AtomicPtr<ffi::server_rec> = AtomicPtr::new(std::ptr::null_mut());

/// Remembers where messages without a request go.
///
/// The record lives in the configuration pool: `post_config` calls this for each configuration.
pub fn set_main_server(server: &Server) {
    MAIN.store(server.as_ptr(), Ordering::Release);
}

/// The main server of the running configuration; `None` before `post_config`.
pub fn main() -> Option<&'static Server> {
    // SAFETY: null or a server of the running configuration, which lives as long as the child.
    unsafe { Server::from_raw_opt(MAIN.load(Ordering::Acquire)) }
}

const FILE: &std::ffi::CStr = c"mod_python";
const FORMAT: *const std::ffi::c_char = c"%s".as_ptr();

fn module_index() -> c_int {
    // SAFETY: httpd writes the index once, while it loads the module.
    unsafe { (*ffi::module_record()).module_index }
}

/// A message without NULs; text after one would be lost to C.
fn text(message: &[u8]) -> CString {
    CString::new(message).unwrap_or_else(|error| {
        let cleaned: Vec<u8> = error
            .into_vec()
            .into_iter()
            .map(|byte| if byte == 0 { b' ' } else { byte })
            .collect();
        CString::new(cleaned).expect("NULs were replaced")
    })
}

/// Logs for a request, with `level` as a number because Python programs pass any.
pub fn request(r: &Request, level: c_int, message: &[u8]) {
    let message = text(message);
    // SAFETY: a live request; `%s` takes the one string.
    unsafe {
        ffi::ap_log_rerror_(
            FILE.as_ptr(),
            0,
            module_index(),
            level,
            0,
            r.as_ptr(),
            FORMAT,
            message.as_ptr(),
        );
    }
}

/// Logs for a connection.
pub fn conn(c: &Conn, level: c_int, message: &[u8]) {
    let message = text(message);
    // SAFETY: a live connection.
    unsafe {
        ffi::ap_log_cerror_(
            FILE.as_ptr(),
            0,
            module_index(),
            level,
            0,
            c.as_ptr(),
            FORMAT,
            message.as_ptr(),
        );
    }
}

/// Logs for a server, or to the main error log where it is `None`.
pub fn server(s: Option<&Server>, level: c_int, message: &[u8]) {
    let message = text(message);
    let s = s.map_or(MAIN.load(Ordering::Acquire), Server::as_ptr);
    // SAFETY: null or a live server.
    unsafe {
        ffi::ap_log_error_(
            FILE.as_ptr(),
            0,
            module_index(),
            level,
            0,
            s,
            FORMAT,
            message.as_ptr(),
        );
    }
}

/// Logs a message of ours that belongs to no request.
pub fn main_server(level: Level, message: &str) {
    server(None, level as c_int, message.as_bytes());
}

/// Logs while httpd starts, when its error log may still be the terminal.
pub fn startup(s: &Server, level: Level, message: &str) {
    let message = text(message.as_bytes());
    // SAFETY: a live server.
    unsafe {
        ffi::ap_log_error_(
            FILE.as_ptr(),
            0,
            module_index(),
            level as c_int | ffi::MP_APLOG_STARTUP as c_int,
            0,
            s.as_ptr(),
            FORMAT,
            message.as_ptr(),
        );
    }
}

/// As [`startup`], into the error log only.
pub fn startup_quiet(s: &Server, level: Level, message: &str) {
    server(Some(s), level as c_int, message.as_bytes());
}
