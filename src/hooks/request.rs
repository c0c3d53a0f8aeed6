//! The phases of a request; only what httpd needs beside the handlers' own result is decided here.

use std::ffi::c_int;

use crate::_apache::request_config::{has_cleanup_handler, RequestState};
use crate::config::phase::{self, Phase};
use crate::config::DirConfig;
use crate::dispatch;
use crate::dispatch::error::log_request;
use crate::ffi;
use crate::httpd::guard::guard;
use crate::httpd::{mime, Request, Status};

/// Runs a hook's body behind the panic boundary. Not inlined, so that hooks with nothing to do need no
/// stack.
///
/// # Safety
/// `r` is what httpd gave the hook.
#[inline(never)]
unsafe fn hook(
    r: *mut ffi::request_rec,
    name: &'static str,
    body: impl FnOnce(&Request) -> Status,
) -> c_int {
    guard(name, Status::INTERNAL_SERVER_ERROR, || {
        // SAFETY: live for the length of the hook (caller).
        let r = unsafe { Request::from_raw(r) };
        let status = body(r);
        // The client has a complete response already: httpd's own when the body was refused, or another
        // request's. An error page after it would be taken for the next response.
        if status.is_error() && r.eos_sent() != 0 {
            return Status::DONE;
        }
        status
    })
    .0
}

/// Whether none of these phases can have anything to run: most requests of a server concern no Python at
/// all, and a few loads must be enough to know.
///
/// # Safety
/// `r` is what httpd gave the hook.
#[inline(always)]
unsafe fn idle<const N: usize>(r: *mut ffi::request_rec, phases: [Phase; N]) -> bool {
    if !phase::any_in_use(phases) {
        return true;
    }
    // SAFETY: live for the length of the hook (caller).
    let r = unsafe { Request::from_raw(r) };
    r.module_config().is_null()
        && DirConfig::of(r).is_some_and(|config| phases.iter().all(|phase| config.has_none(*phase)))
}

/// Hooks that only run the handlers of their phase.
macro_rules! plain_hooks {
    ($($name:ident = $phase:ident),* $(,)?) => { $(
        pub unsafe extern "C" fn $name(r: *mut ffi::request_rec) -> c_int {
            // SAFETY: httpd's request.
            unsafe {
                if idle(r, [Phase::$phase]) {
                    return Status::DECLINED.0;
                }
                hook(r, stringify!($name), |r| dispatch::request::run(Phase::$phase, r))
            }
        }
    )* };
}

pub unsafe extern "C" fn quick_handler(r: *mut ffi::request_rec, lookup_uri: c_int) -> c_int {
    // SAFETY: httpd's request.
    unsafe {
        // A look-up wants no content yet: what a handler wrote would come once more when the sub-request
        // is run.
        if lookup_uri != 0 || idle(r, [Phase::Quick]) {
            return Status::DECLINED.0;
        }
        hook(r, "quick_handler", |r| {
            dispatch::request::run(Phase::Quick, r)
        })
    }
}

plain_hooks! { map_to_storage = MapToStorage, access_checker = Access, auth_checker = Authz }

/// Tells later phases that the server's own PythonInitHandler has run.
const INIT_RAN: &std::ffi::CStr = c"python_init_ran";

pub unsafe extern "C" fn post_read_request(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd's request.
    unsafe {
        if idle(r, [Phase::Init, Phase::PostReadRequest]) {
            return Status::DECLINED.0;
        }
        hook(r, "post_read_request", |r| {
            let init = init(r);
            if init != Status::OK && init != Status::DECLINED {
                return init;
            }
            dispatch::request::run(Phase::PostReadRequest, r)
        })
    }
}

/// Runs PythonInitHandler once: as soon as one is in scope.
fn init(r: &Request) -> Status {
    let configured =
        DirConfig::of(r).is_some_and(|config| config.handlers(Phase::Init, r).is_some());
    if !configured || r.notes().get(INIT_RAN).is_some() {
        return Status::DECLINED;
    }
    r.notes().set(INIT_RAN, c"1");
    dispatch::request::run(Phase::Init, r)
}

pub unsafe extern "C" fn translate_name(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd's request.
    unsafe {
        let status = if idle(r, [Phase::Trans]) {
            Status::DECLINED.0
        } else {
            hook(r, "translate_name", |r| {
                dispatch::request::run(Phase::Trans, r)
            })
        };
        // A Location with Python handlers needs no file. (directives.md 1.15)
        let needs_no_file =
            || DirConfig::of(Request::from_raw(r)).is_some_and(|config| config.is_location);
        if status == Status::DECLINED.0 && needs_no_file() {
            return Status::OK.0;
        }
        status
    }
}

pub unsafe extern "C" fn header_parser(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd's request.
    unsafe {
        if idle(r, [Phase::Init, Phase::HeaderParser]) {
            return Status::DECLINED.0;
        }
        hook(r, "header_parser", |r| {
            let init = init(r);
            if init != Status::OK && init != Status::DECLINED {
                return init;
            }
            dispatch::request::run(Phase::HeaderParser, r)
        })
    }
}

pub unsafe extern "C" fn check_user_id(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd's request.
    unsafe {
        if idle(r, [Phase::Authen]) {
            return Status::DECLINED.0;
        }
        hook(r, "check_user_id", |r| {
            let result = dispatch::request::run(Phase::Authen, r);
            if result == Status::OK && r.user().is_none() {
                log_request(r, "python_handler: After PythonAuthenHandler req->user is NULL. Assign something to req.user if returning OK to avoid this error.");
                return Status::INTERNAL_SERVER_ERROR;
            }
            if result == Status::UNAUTHORIZED {
                r.note_basic_auth_failure();
            }
            result
        })
    }
}

pub unsafe extern "C" fn type_checker(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd's request.
    unsafe {
        if idle(r, [Phase::Type]) || mime::is_asking_others(Request::from_raw(r)) {
            return Status::DECLINED.0;
        }
        hook(r, "type_checker", |r| {
            let before = mime::Found::by(r);
            let result = dispatch::request::run(Phase::Type, r);
            if result == Status::OK {
                // Else a file that AddHandler makes a program would be sent as it is.
                return mime::ask_others(r, before);
            }
            result
        })
    }
}

pub unsafe extern "C" fn fixups(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd's request.
    unsafe {
        if idle(r, [Phase::Cleanup, Phase::Fixup]) {
            return Status::DECLINED.0;
        }
        hook(r, "fixups", |r| {
            expect_cleanup(r);
            dispatch::request::run(Phase::Fixup, r)
        })
    }
}

pub unsafe extern "C" fn handler(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd's request.
    unsafe {
        let request = Request::from_raw(r);
        if request.is_for_python() {
            hook(r, "handler", |r| dispatch::request::run(Phase::Handler, r))
        } else if request.is_for_python_status() {
            hook(r, "handler", dispatch::status::page::answer)
        } else {
            Status::DECLINED.0
        }
    }
}

pub unsafe extern "C" fn log_transaction(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd's request.
    unsafe {
        if idle(r, [Phase::Cleanup, Phase::Log]) {
            return Status::DECLINED.0;
        }
        hook(r, "log_transaction", |r| {
            expect_cleanup(r);
            dispatch::request::run(Phase::Log, r)
        })
    }
}

/// Makes sure the request's end is noticed where a PythonCleanupHandler is configured, also if no other
/// Python runs. A sub-request without any Python phase is a mere look-up (mod_dir makes several for one
/// directory) and has none.
fn expect_cleanup(r: &Request) {
    if r.main().is_none() && has_cleanup_handler(r) && crate::interpreter::is_running() {
        RequestState::of(r);
    }
}
