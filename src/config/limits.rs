//! The directives about how long handlers and children last, and what they tell of themselves.

use std::ffi::CStr;

use super::argument::{bytes, seconds};
use super::cmd::Cmd;
use super::{set_calls_are_watched, RequestTimeout, WedgeAction, LIMITS, STATUS, TIMEOUTS};

/// The seconds a handler gets after the exception was raised in it, where the directive names none.
const GRACE: u64 = 5_000;
/// The seconds other requests get to end where a child is recycled because of a stuck handler.
const RECYCLE_WITHIN: u64 = 30_000;

pub(super) fn python_request_timeout(
    cmd: &mut Cmd<'_>,
    time: &CStr,
    grace: &CStr,
) -> Result<(), String> {
    let wrong = |text: &CStr| {
        format!("PythonRequestTimeout takes seconds, such as 30 or 0.5, not {text:?}")
    };
    let milliseconds = seconds(time).ok_or_else(|| wrong(time))?;
    let grace = match grace.is_empty() {
        true => GRACE,
        false => seconds(grace)
            .filter(|grace| *grace > 0)
            .ok_or_else(|| wrong(grace))?,
    };
    let pool = cmd.pool;
    let timeout: &_ = pool.alloc(RequestTimeout {
        text: pool.cstr(time.to_bytes()),
        milliseconds,
        grace,
    });
    if milliseconds > 0 {
        set_calls_are_watched(TIMEOUTS);
    }
    cmd.set(|all| &mut all.request_timeout, timeout)
}

pub(super) fn python_wedge_action(
    cmd: &mut Cmd<'_>,
    action: &CStr,
    within: &CStr,
) -> Result<(), String> {
    cmd.main_server_only("PythonWedgeAction")?;
    let wrong =
        "PythonWedgeAction must be log, or recycle and the seconds that other requests get to end";
    let action = action.to_bytes();
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
}

pub(super) fn python_status(cmd: &mut Cmd<'_>, on: bool) -> Result<(), String> {
    cmd.main_server_only("PythonStatus")?;
    cmd.server().status = Some(on);
    if on {
        set_calls_are_watched(STATUS);
    }
    Ok(())
}

pub(super) fn python_max_requests(cmd: &mut Cmd<'_>, number: &CStr) -> Result<(), String> {
    cmd.main_server_only("PythonMaxRequests")?;
    let most = number.to_str().ok().and_then(|text| text.parse().ok());
    let most = most.ok_or_else(|| format!("PythonMaxRequests {number:?} is no number"))?;
    set_calls_are_watched(LIMITS);
    cmd.server().max_requests = Some(most);
    Ok(())
}

pub(super) fn python_max_memory(cmd: &mut Cmd<'_>, size: &CStr) -> Result<(), String> {
    cmd.main_server_only("PythonMaxMemory")?;
    let most = bytes(size).ok_or_else(|| {
        format!("PythonMaxMemory {size:?} must be a number of bytes, or one with K, M or G")
    })?;
    set_calls_are_watched(LIMITS);
    cmd.server().max_memory = Some(most);
    Ok(())
}
