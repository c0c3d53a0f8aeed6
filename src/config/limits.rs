//! The directives about how long handlers and children last, and what they tell of themselves.

use std::ffi::{c_char, c_int, c_void, CStr};

use super::argument::{bytes, seconds};
use super::cmd::{arg, Cmd};
use super::{set_calls_are_watched, RequestTimeout, WedgeAction, LIMITS, STATUS, TIMEOUTS};
use crate::ffi;

/// The seconds a handler gets after the exception was raised in it, where the directive names none.
const GRACE: u64 = 5_000;
/// The seconds other requests get to end where a child is recycled because of a stuck handler.
const RECYCLE_WITHIN: u64 = 30_000;

pub(super) unsafe extern "C" fn python_request_timeout(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    time: *const c_char,
    grace: *const c_char,
) -> *const c_char {
    // SAFETY: httpd calls directive functions with valid arguments.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            let wrong = |text: &CStr| {
                format!("PythonRequestTimeout takes seconds, such as 30 or 0.5, not {text:?}")
            };
            let (time, grace) = (arg(time), arg(grace));
            let milliseconds = seconds(time).ok_or_else(|| wrong(time))?;
            let grace = match grace.is_empty() {
                true => GRACE,
                false => seconds(grace)
                    .filter(|grace| *grace > 0)
                    .ok_or_else(|| wrong(grace))?,
            };
            let pool = cmd.pool;
            let value = Some(&*pool.alloc(RequestTimeout {
                text: pool.cstr(time.to_bytes()),
                milliseconds,
                grace,
            }));
            if milliseconds > 0 {
                set_calls_are_watched(TIMEOUTS);
            }
            cmd.dir.settings.request_timeout = value;
            if cmd.at_server_level {
                cmd.server().settings.request_timeout = value;
            }
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn python_wedge_action(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    action: *const c_char,
    within: *const c_char,
) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            cmd.main_server_only("PythonWedgeAction")?;
            let wrong = "PythonWedgeAction must be log, or recycle and the seconds that other requests get to end";
            let (action, within) = (arg(action).to_bytes(), arg(within));
            let action = if action.eq_ignore_ascii_case(b"log") && within.is_empty() {
                WedgeAction::Log
            } else if action.eq_ignore_ascii_case(b"recycle") {
                WedgeAction::Recycle(match within.is_empty() {
                    true => RECYCLE_WITHIN,
                    false => seconds(within).ok_or(wrong)?,
                })
            } else {
                return Err(wrong.into());
            };
            cmd.server().wedge_action = Some(action);
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn python_status(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    on: c_int,
) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            cmd.main_server_only("PythonStatus")?;
            cmd.server().status = Some(on != 0);
            if on != 0 {
                set_calls_are_watched(STATUS);
            }
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn python_max_requests(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    number: *const c_char,
) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            cmd.main_server_only("PythonMaxRequests")?;
            let text = arg(number);
            let number = text.to_str().ok().and_then(|text| text.parse().ok());
            set_calls_are_watched(LIMITS);
            cmd.server().max_requests =
                Some(number.ok_or_else(|| format!("PythonMaxRequests {text:?} is no number"))?);
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn python_max_memory(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    size: *const c_char,
) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            cmd.main_server_only("PythonMaxMemory")?;
            set_calls_are_watched(LIMITS);
            let text = arg(size);
            cmd.server().max_memory = Some(bytes(text).ok_or_else(|| {
                format!("PythonMaxMemory {text:?} must be a number of bytes, or one with K, M or G")
            })?);
            Ok(())
        })
    }
}
