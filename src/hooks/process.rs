//! The server starts, its children start.

use std::ffi::{c_int, CStr, CString};

use crate::config::{self, hlist, phase, ServerConfig};
use crate::dispatch;
use crate::ffi;
use crate::httpd::guard::{self, guard};
use crate::httpd::{locks, log, mpm, socache, Pool, Server};
use crate::interpreter;

/// httpd is about to read its configuration.
pub unsafe extern "C" fn pre_config(
    _conf: *mut ffi::apr_pool_t,
    _log: *mut ffi::apr_pool_t,
    _temp: *mut ffi::apr_pool_t,
) -> c_int {
    guard("pre_config", (), guard::install_hook);
    ffi::OK as c_int
}

/// Forgets what was noted of the configuration before: httpd loads the module anew, and reads its
/// directives after that. By the time of `pre_config` some may have been executed already: mod_perl does so
/// while httpd.conf is read.
pub fn forget_configuration() {
    hlist::reset_ids();
    config::reset_calls_are_watched();
    phase::reset_uses();
}

/// The configuration was read; the first of two readings is skipped.
pub unsafe extern "C" fn post_config(
    conf: *mut ffi::apr_pool_t,
    _log: *mut ffi::apr_pool_t,
    _temp: *mut ffi::apr_pool_t,
    server: *mut ffi::server_rec,
) -> c_int {
    guard(
        "post_config",
        ffi::HTTP_INTERNAL_SERVER_ERROR as c_int,
        || {
            // SAFETY: httpd's configuration pool and main server.
            let server = unsafe { Server::from_raw(server) };
            log::set_main_server(server);
            if mpm::is_preflight() {
                return ffi::OK as c_int;
            }
            let component = |text: String| {
                let text = CString::new(text).unwrap_or_default();
                // SAFETY: httpd copies the text.
                unsafe { ffi::ap_add_version_component(conf, text.as_ptr()) }
            };
            component(format!("mod_python/{}", env!("CARGO_PKG_VERSION")));
            component(format!("Python/{}", interpreter::running_version()));
            let plan = dispatch::interpreter_for::plan(server);
            log::startup_quiet(
                server,
                log::Level::Notice,
                &format!("MP0201: mod_python: {plan}"),
            );
            // SAFETY: httpd's configuration pool.
            let pool = unsafe { Pool::from_raw(conf) };
            prepare_status(server);
            match make_locks(server).and_then(|()| open_session_cache(pool, server)) {
                Ok(()) => ffi::OK as c_int,
                Err(message) => {
                    log::startup(server, log::Level::Err, &message);
                    ffi::HTTP_INTERNAL_SERVER_ERROR as c_int
                }
            }
        },
    )
}

/// PythonStatus: the memory that the children share.
fn prepare_status(server: &Server) {
    if ServerConfig::of(server).is_some_and(|config| config.status == Some(true)) {
        if let Err(error) = dispatch::status::counting::prepare() {
            let message =
                format!("MP0720: PythonStatus has no memory, and nothing is counted: {error}");
            log::startup(server, log::Level::Warning, &message);
        }
    }
}

fn open_session_cache(pool: &Pool, server: &Server) -> Result<(), String> {
    let choice = ServerConfig::of(server).and_then(|config| config.session_cache);
    socache::open(pool, server, choice).map_err(|error| format!("MP0205: {error}"))
}

/// How many global mutexes there are without a PythonOption.
const DEFAULT_LOCKS: usize = 8;

fn make_locks(server: &Server) -> Result<(), String> {
    let config = ServerConfig::of(server);
    let option = |key: &CStr| config.and_then(|config| config.option(key));
    let wanted = match option(c"mod_python.mutex_locks") {
        None => DEFAULT_LOCKS,
        Some(text) => match text.to_str().ok().and_then(|text| text.trim().parse().ok()) {
            Some(number) => number,
            None => {
                log::startup(server, log::Level::Warning, &format!("MP0202: PythonOption mod_python.mutex_locks {text:?} is not a number; {DEFAULT_LOCKS} are made"));
                DEFAULT_LOCKS
            }
        },
    };
    let (count, processes, threads) = locks::sensible(wanted);
    let notice = |message: String| log::startup_quiet(server, log::Level::Notice, &message);
    notice(format!("mod_python: Creating {count} session mutexes based on {processes} max processes and {threads} max threads."));
    if let Some(directory) = option(c"mod_python.mutex_directory") {
        let directory = directory.to_string_lossy();
        notice(format!("MP0203: mutex_directory {directory} is not used: the mutexes are in memory, and leave no files"));
    }
    locks::create(count).map_err(|error| format!("MP0204: {error}"))
}

/// A child was forked.
pub unsafe extern "C" fn child_init(pool: *mut ffi::apr_pool_t, server: *mut ffi::server_rec) {
    guard("child_init", (), || {
        // SAFETY: the child's pool and the main server.
        let (pool, server) = unsafe { (Pool::from_raw(pool), Server::from_raw(server)) };
        dispatch::child::init(pool, server, inittab);
        super::include::register();
    });
}

/// Makes our built-in modules known to Python before it starts.
fn inittab() {
    use crate::_apache::_apachemodule::_apache;
    use crate::_psp::_psp;
    pyo3::append_to_inittab!(_apache);
    pyo3::append_to_inittab!(_psp);
}
