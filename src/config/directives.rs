//! The command table, one row per directive, and what each does when httpd reads it. (directives.md 1.1)

use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr::{null, null_mut};

use super::argument;
use super::cmd::{arg, register_filter, Cmd};
use super::hlist::Entry;
use super::phase::Phase;
use super::{limits, Filter, Import, InterpPerServer, PythonOption};
use crate::ffi;
use crate::httpd::socache::Choice;

/// A table for httpd, ended by a null name.
#[repr(transparent)]
pub struct Commands([ffi::command_rec; COUNT]);

// SAFETY: httpd only reads the table.
unsafe impl Sync for Commands {}

impl Commands {
    /// What the module record points to.
    pub const fn as_ptr(&self) -> *const ffi::command_rec {
        self.0.as_ptr()
    }
}

const OR_ALL: c_int = ffi::MP_OR_ALL as c_int;
const SERVER: c_int = ffi::MP_RSRC_CONF as c_int;
const NOT_HTACCESS: c_int = (ffi::MP_RSRC_CONF | ffi::MP_ACCESS_CONF) as c_int;
const COUNT: usize = 38;

pub static COMMANDS: Commands = Commands([
    handlers(
        c"PythonPostReadRequestHandler",
        Phase::PostReadRequest,
        SERVER,
        c"Python handlers that run right after the request was read.",
    ),
    handlers(
        c"PythonTransHandler",
        Phase::Trans,
        SERVER,
        c"Python handlers that map the URI to a file name.",
    ),
    handlers(
        c"PythonHeaderParserHandler",
        Phase::HeaderParser,
        OR_ALL,
        c"Python handlers that look at the headers early.",
    ),
    handlers(
        c"PythonInitHandler",
        Phase::Init,
        OR_ALL,
        c"Python handlers that run first in a request.",
    ),
    handlers(
        c"PythonAccessHandler",
        Phase::Access,
        OR_ALL,
        c"Python handlers that control access without a user.",
    ),
    handlers(
        c"PythonAuthenHandler",
        Phase::Authen,
        OR_ALL,
        c"Python handlers that find out who the user is.",
    ),
    handlers(
        c"PythonAuthzHandler",
        Phase::Authz,
        OR_ALL,
        c"Python handlers that find out what the user may do.",
    ),
    handlers(
        c"PythonTypeHandler",
        Phase::Type,
        OR_ALL,
        c"Python handlers that choose type, language and handler.",
    ),
    handlers(
        c"PythonFixupHandler",
        Phase::Fixup,
        OR_ALL,
        c"Python handlers for last changes before the content.",
    ),
    handlers(
        c"PythonHandler",
        Phase::Handler,
        OR_ALL,
        c"Python handlers that produce the content.",
    ),
    handlers(
        c"PythonLogHandler",
        Phase::Log,
        OR_ALL,
        c"Python handlers of the logging phase.",
    ),
    handlers(
        c"PythonCleanupHandler",
        Phase::Cleanup,
        OR_ALL,
        c"Python handlers that run when the request is destroyed.",
    ),
    handlers(
        c"PythonConnectionHandler",
        Phase::Connection,
        SERVER,
        c"A Python handler that owns whole connections.",
    ),
    handlers(
        c"PythonMapToStorageHandler",
        Phase::MapToStorage,
        SERVER,
        c"Python handlers that map the file name to something stored.",
    ),
    handlers(
        c"PythonQuickHandler",
        Phase::Quick,
        SERVER,
        c"Python handlers that may answer before a request is looked at.",
    ),
    take1(
        c"PythonAuthnProvider",
        python_authn_provider,
        OR_ALL,
        c"the module with check_password and get_realm_hash, for AuthBasicProvider python.",
    ),
    raw(
        c"PythonHandlerModule",
        python_handler_module,
        OR_ALL,
        c"Modules that have handlers for several phases.",
    ),
    take12(
        c"PythonInputFilter",
        python_input_filter,
        NOT_HTACCESS,
        c"a Python input filter and the name to register it under.",
    ),
    take12(
        c"PythonOutputFilter",
        python_output_filter,
        NOT_HTACCESS,
        c"a Python output filter and the name to register it under.",
    ),
    take2(
        c"PythonImport",
        python_import,
        SERVER,
        c"a module[::function] to import when a child starts, and the interpreter's name.",
    ),
    take1(
        c"PythonPath",
        python_path,
        OR_ALL,
        c"a Python expression for sys.path.",
    ),
    take12(
        c"PythonOption",
        python_option,
        OR_ALL,
        c"a key and a value for programs; without a value the key is unset.",
    ),
    flag(
        c"PythonAutoReload",
        python_auto_reload,
        OR_ALL,
        c"whether changed modules are imported again.",
    ),
    flag(
        c"PythonDebug",
        python_debug,
        OR_ALL,
        c"whether tracebacks are sent to the client.",
    ),
    flag(
        c"PythonEnablePdb",
        python_enable_pdb,
        OR_ALL,
        c"whether handlers run under pdb where httpd runs with -X.",
    ),
    take1(
        c"PythonInterpreter",
        python_interpreter,
        OR_ALL,
        c"the name of the interpreter to use.",
    ),
    flag(
        c"PythonInterpPerDirectory",
        python_interp_per_directory,
        OR_ALL,
        c"whether each directory of files has an interpreter of its own.",
    ),
    flag(
        c"PythonInterpPerDirective",
        python_interp_per_directive,
        OR_ALL,
        c"whether each place of a directive has an interpreter of its own.",
    ),
    flag(
        c"PythonOptimize",
        python_optimize,
        SERVER,
        c"whether Python drops assertions and docstrings.",
    ),
    take1(
        c"PythonInterpPerServer",
        python_interp_per_server,
        SERVER,
        c"Auto, On or Off: whether each ServerName has an interpreter of its own.",
    ),
    take1(
        c"PythonHome",
        python_home,
        SERVER,
        c"the directory of a Python installation or virtual environment.",
    ),
    take1(
        c"PythonSessionCache",
        python_session_cache,
        SERVER,
        c"where SocacheSession keeps sessions: a shared object cache provider[:arguments], or none.",
    ),
    take12(
        c"PythonRequestTimeout",
        limits::python_request_timeout,
        OR_ALL,
        c"how many seconds a handler may run, 0 for ever; and how many it gets to clean up.",
    ),
    take12(
        c"PythonWedgeAction",
        limits::python_wedge_action,
        SERVER,
        c"log or recycle: what is done about a handler that is stuck; and the seconds others get to end.",
    ),
    flag(
        c"PythonStatus",
        limits::python_status,
        SERVER,
        c"whether children count their requests, for SetHandler python-status and mod_status.",
    ),
    take1(
        c"PythonMaxRequests",
        limits::python_max_requests,
        SERVER,
        c"how many Python requests a child serves before it is replaced, 0 for any number.",
    ),
    take1(
        c"PythonMaxMemory",
        limits::python_max_memory,
        SERVER,
        c"how much memory (bytes, or with K, M or G) a child may occupy before it is replaced, 0 for any.",
    ),
    END,
]);

const END: ffi::command_rec = row(
    null(),
    ffi::cmd_func { no_args: None },
    null_mut(),
    0,
    ffi::NO_ARGS,
    null(),
);

const fn row(
    name: *const c_char,
    func: ffi::cmd_func,
    data: *mut c_void,
    context: c_int,
    how: ffi::cmd_how,
    help: *const c_char,
) -> ffi::command_rec {
    ffi::command_rec {
        name,
        func,
        cmd_data: data,
        req_override: context,
        args_how: how,
        errmsg: help,
    }
}

const fn handlers(
    name: &'static CStr,
    phase: Phase,
    context: c_int,
    help: &'static CStr,
) -> ffi::command_rec {
    let func = ffi::cmd_func {
        raw_args: Some(python_handler),
    };
    row(
        name.as_ptr(),
        func,
        phase as usize as *mut c_void,
        context,
        ffi::RAW_ARGS,
        help.as_ptr(),
    )
}

type Raw = unsafe extern "C" fn(*mut ffi::cmd_parms, *mut c_void, *const c_char) -> *const c_char;
type Two = unsafe extern "C" fn(
    *mut ffi::cmd_parms,
    *mut c_void,
    *const c_char,
    *const c_char,
) -> *const c_char;
type Flag = unsafe extern "C" fn(*mut ffi::cmd_parms, *mut c_void, c_int) -> *const c_char;

const fn raw(name: &'static CStr, f: Raw, context: c_int, help: &'static CStr) -> ffi::command_rec {
    row(
        name.as_ptr(),
        ffi::cmd_func { raw_args: Some(f) },
        null_mut(),
        context,
        ffi::RAW_ARGS,
        help.as_ptr(),
    )
}
const fn take1(
    name: &'static CStr,
    f: Raw,
    context: c_int,
    help: &'static CStr,
) -> ffi::command_rec {
    row(
        name.as_ptr(),
        ffi::cmd_func { take1: Some(f) },
        null_mut(),
        context,
        ffi::TAKE1,
        help.as_ptr(),
    )
}
const fn take2(
    name: &'static CStr,
    f: Two,
    context: c_int,
    help: &'static CStr,
) -> ffi::command_rec {
    row(
        name.as_ptr(),
        ffi::cmd_func { take2: Some(f) },
        null_mut(),
        context,
        ffi::TAKE2,
        help.as_ptr(),
    )
}
const fn take12(
    name: &'static CStr,
    f: Two,
    context: c_int,
    help: &'static CStr,
) -> ffi::command_rec {
    row(
        name.as_ptr(),
        ffi::cmd_func { take2: Some(f) },
        null_mut(),
        context,
        ffi::TAKE12,
        help.as_ptr(),
    )
}
const fn flag(
    name: &'static CStr,
    f: Flag,
    context: c_int,
    help: &'static CStr,
) -> ffi::command_rec {
    row(
        name.as_ptr(),
        ffi::cmd_func { flag: Some(f) },
        null_mut(),
        context,
        ffi::FLAG,
        help.as_ptr(),
    )
}

unsafe extern "C" fn python_handler(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    args: *const c_char,
) -> *const c_char {
    // SAFETY: httpd calls directive functions with valid arguments.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            let phase = cmd.phase();
            let parsed = argument::parse(arg(args).to_bytes());
            let has_no_file = matches!(phase, Phase::PostReadRequest | Phase::Trans | Phase::Quick);
            if parsed.has_bar && has_no_file {
                let name = phase.directive().to_string_lossy();
                return Err(format!("{name} does not accept \"| .ext\" syntax."));
            }
            let place = cmd.place()?;
            let entries = cmd.entries(&parsed, place, false);
            if place.is_location && !entries.is_empty() {
                cmd.dir.is_location = true;
            }
            cmd.add(phase, &parsed, &entries);
            Ok(())
        })
    }
}

unsafe extern "C" fn python_handler_module(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    args: *const c_char,
) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            let parsed = argument::parse(arg(args).to_bytes());
            let place = cmd.place()?;
            if place.is_location && parsed.handlers().next().is_some() {
                cmd.dir.is_location = true;
            }
            for phase in Phase::of_handler_module() {
                // Anew for each phase: the same text means another function there, so its entry has
                // a number of its own.
                let entries = cmd.entries(&parsed, place, true);
                cmd.add(phase, &parsed, &entries);
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn python_input_filter(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    handler: *const c_char,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: as above.
    unsafe { filter(cmd, dir, arg(handler), arg(name), true) }
}

unsafe extern "C" fn python_output_filter(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    handler: *const c_char,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: as above.
    unsafe { filter(cmd, dir, arg(handler), arg(name), false) }
}

/// # Safety
/// As the directive functions.
unsafe fn filter(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    handler: &CStr,
    name: &CStr,
    is_input: bool,
) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            let name = if name.is_empty() { handler } else { name };
            let name = cmd.pool.cstr(&name.to_bytes().to_ascii_lowercase());
            register_filter(name, is_input)?;
            let place = cmd.place()?;
            let handler = cmd.pool.cstr(handler.to_bytes());
            let row = Filter {
                name,
                handler,
                directory: place.directory,
                is_location: place.is_location,
                is_input,
            };
            cmd.dir.filters.push(cmd.pool, row);
            cmd.note_python();
            Ok(())
        })
    }
}

unsafe extern "C" fn python_import(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    module: *const c_char,
    interpreter: *const c_char,
) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            let row = Import {
                module: cmd.pool.cstr(arg(module).to_bytes()),
                interpreter: cmd.pool.cstr(arg(interpreter).to_bytes()),
            };
            let pool = cmd.pool;
            cmd.server().imports.push(pool, row);
            Ok(())
        })
    }
}

unsafe extern "C" fn python_option(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    key: *const c_char,
    value: *const c_char,
) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            let row = PythonOption {
                key: cmd.pool.cstr(arg(key).to_bytes()),
                value: cmd.pool.cstr(arg(value).to_bytes()),
            };
            cmd.dir.options.push(cmd.pool, row);
            if cmd.at_server_level {
                let pool = cmd.pool;
                cmd.server().options.push(pool, row);
            }
            Ok(())
        })
    }
}

/// A directive with one value, stored in the scope and, outside sections, in the server's record too.
macro_rules! setting {
    ($function:ident, $field:ident, text) => {
        unsafe extern "C" fn $function(
            cmd: *mut ffi::cmd_parms,
            dir: *mut c_void,
            value: *const c_char,
        ) -> *const c_char {
            // SAFETY: as above.
            unsafe {
                Cmd::run(cmd, dir, |cmd| {
                    let value = Some(cmd.pool.cstr(arg(value).to_bytes()));
                    cmd.dir.settings.$field = value;
                    if cmd.at_server_level {
                        cmd.server().settings.$field = value;
                    }
                    Ok(())
                })
            }
        }
    };
    ($function:ident, $field:ident, flag) => {
        unsafe extern "C" fn $function(
            cmd: *mut ffi::cmd_parms,
            dir: *mut c_void,
            on: c_int,
        ) -> *const c_char {
            // SAFETY: as above.
            unsafe {
                Cmd::run(cmd, dir, |cmd| {
                    let value = Some(on != 0);
                    cmd.dir.settings.$field = value;
                    if cmd.at_server_level {
                        cmd.server().settings.$field = value;
                    }
                    Ok(())
                })
            }
        }
    };
}

setting!(python_path, python_path, text);
setting!(python_auto_reload, auto_reload, flag);
setting!(python_debug, debug, flag);
setting!(python_enable_pdb, enable_pdb, flag);
setting!(python_interp_per_directive, interp_per_directive, flag);
setting!(python_optimize, optimize, flag);

unsafe extern "C" fn python_interpreter(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            let pool = cmd.pool;
            let name = pool.cstr(arg(name).to_bytes());
            cmd.dir.settings.interpreter = Some(name);
            if cmd.at_server_level {
                cmd.server().settings.interpreter = Some(name);
            }
            if !cmd.is_htaccess {
                cmd.server().interpreters.push(pool, name);
            }
            Ok(())
        })
    }
}

// Stored per directory only. (directives.md 1.3)
unsafe extern "C" fn python_interp_per_directory(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    on: c_int,
) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            cmd.dir.settings.interp_per_directory = Some(on != 0);
            Ok(())
        })
    }
}

unsafe extern "C" fn python_interp_per_server(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    value: *const c_char,
) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            cmd.main_server_only("PythonInterpPerServer")?;
            let value = arg(value).to_bytes();
            let choice = if value.eq_ignore_ascii_case(b"auto") {
                InterpPerServer::Auto
            } else if value.eq_ignore_ascii_case(b"on") {
                InterpPerServer::On
            } else if value.eq_ignore_ascii_case(b"off") {
                InterpPerServer::Off
            } else {
                return Err("PythonInterpPerServer must be Auto, On or Off".into());
            };
            cmd.server().interp_per_server = Some(choice);
            Ok(())
        })
    }
}

unsafe extern "C" fn python_home(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    value: *const c_char,
) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            cmd.main_server_only("PythonHome")?;
            let value = arg(value);
            if value.to_bytes().first() != Some(&b'/') {
                return Err(format!("PythonHome {value:?} must be an absolute path"));
            }
            let home = cmd.pool.cstr(value.to_bytes());
            cmd.server().python_home = Some(home);
            Ok(())
        })
    }
}

unsafe extern "C" fn python_session_cache(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    value: *const c_char,
) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            cmd.main_server_only("PythonSessionCache")?;
            let choice = Choice::parse(cmd.pool, arg(value))
                .map_err(|error| format!("PythonSessionCache: {error}"))?;
            cmd.server().session_cache = Some(choice);
            Ok(())
        })
    }
}

unsafe extern "C" fn python_authn_provider(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    handler: *const c_char,
) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        Cmd::run(cmd, dir, |cmd| {
            let place = cmd.place()?;
            let entry = Entry {
                handler: cmd.pool.cstr(arg(handler).to_bytes()),
                directory: place.directory,
                is_location: place.is_location,
                silent: false,
                id: 0,
            };
            cmd.dir.authn_provider = Some(cmd.pool.alloc(entry));
            Ok(())
        })
    }
}
