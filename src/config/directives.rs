//! The command table, one row per directive, and what each does when httpd reads it. (directives.md 1.1)

use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr::{null, null_mut};

use super::argument;
use super::cmd::{register_filter, switch, text, texts, Cmd};
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
        text!(python_authn_provider),
        OR_ALL,
        c"the module with check_password and get_realm_hash, for AuthBasicProvider python.",
    ),
    raw(
        c"PythonHandlerModule",
        text!(python_handler_module),
        OR_ALL,
        c"Modules that have handlers for several phases.",
    ),
    take12(
        c"PythonInputFilter",
        texts!(python_input_filter),
        NOT_HTACCESS,
        c"a Python input filter and the name to register it under.",
    ),
    take12(
        c"PythonOutputFilter",
        texts!(python_output_filter),
        NOT_HTACCESS,
        c"a Python output filter and the name to register it under.",
    ),
    take2(
        c"PythonImport",
        texts!(python_import),
        SERVER,
        c"a module[::function] to import when a child starts, and the interpreter's name.",
    ),
    take1(
        c"PythonPath",
        text!(python_path),
        OR_ALL,
        c"a Python expression for sys.path.",
    ),
    take12(
        c"PythonOption",
        texts!(python_option),
        OR_ALL,
        c"a key and a value for programs; without a value the key is unset.",
    ),
    flag(
        c"PythonAutoReload",
        switch!(python_auto_reload),
        OR_ALL,
        c"whether changed modules are imported again.",
    ),
    flag(
        c"PythonDebug",
        switch!(python_debug),
        OR_ALL,
        c"whether tracebacks are sent to the client.",
    ),
    flag(
        c"PythonEnablePdb",
        switch!(python_enable_pdb),
        OR_ALL,
        c"whether handlers run under pdb where httpd runs with -X.",
    ),
    take1(
        c"PythonInterpreter",
        text!(python_interpreter),
        OR_ALL,
        c"the name of the interpreter to use.",
    ),
    flag(
        c"PythonInterpPerDirectory",
        switch!(python_interp_per_directory),
        OR_ALL,
        c"whether each directory of files has an interpreter of its own.",
    ),
    flag(
        c"PythonInterpPerDirective",
        switch!(python_interp_per_directive),
        OR_ALL,
        c"whether each place of a directive has an interpreter of its own.",
    ),
    flag(
        c"PythonOptimize",
        switch!(python_optimize),
        SERVER,
        c"whether Python drops assertions and docstrings.",
    ),
    take1(
        c"PythonInterpPerServer",
        text!(python_interp_per_server),
        SERVER,
        c"Auto, On or Off: whether each ServerName has an interpreter of its own.",
    ),
    take1(
        c"PythonHome",
        text!(python_home),
        SERVER,
        c"the directory of a Python installation or virtual environment.",
    ),
    take1(
        c"PythonSessionCache",
        text!(python_session_cache),
        SERVER,
        c"where SocacheSession keeps sessions: a shared object cache provider[:arguments], or none.",
    ),
    take12(
        c"PythonRequestTimeout",
        texts!(limits::python_request_timeout),
        OR_ALL,
        c"how many seconds a handler may run, 0 for ever; and how many it gets to clean up.",
    ),
    take12(
        c"PythonWedgeAction",
        texts!(limits::python_wedge_action),
        SERVER,
        c"log or recycle: what is done about a handler that is stuck; and the seconds others get to end.",
    ),
    flag(
        c"PythonStatus",
        switch!(limits::python_status),
        SERVER,
        c"whether children count their requests, for SetHandler python-status and mod_status.",
    ),
    take1(
        c"PythonMaxRequests",
        text!(limits::python_max_requests),
        SERVER,
        c"how many Python requests a child serves before it is replaced, 0 for any number.",
    ),
    take1(
        c"PythonMaxMemory",
        text!(limits::python_max_memory),
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
        raw_args: Some(text!(python_handler)),
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

fn python_handler(cmd: &mut Cmd<'_>, args: &CStr) -> Result<(), String> {
    let phase = cmd.phase();
    let parsed = argument::parse(args.to_bytes());
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
}

fn python_handler_module(cmd: &mut Cmd<'_>, args: &CStr) -> Result<(), String> {
    let parsed = argument::parse(args.to_bytes());
    let place = cmd.place()?;
    if place.is_location && parsed.handlers().next().is_some() {
        cmd.dir.is_location = true;
    }
    for phase in Phase::of_handler_module() {
        // Anew for each phase: the same text means another function there, so its entry has a number of
        // its own.
        let entries = cmd.entries(&parsed, place, true);
        cmd.add(phase, &parsed, &entries);
    }
    Ok(())
}

fn python_input_filter(cmd: &mut Cmd<'_>, handler: &CStr, name: &CStr) -> Result<(), String> {
    filter(cmd, handler, name, true)
}

fn python_output_filter(cmd: &mut Cmd<'_>, handler: &CStr, name: &CStr) -> Result<(), String> {
    filter(cmd, handler, name, false)
}

fn filter(cmd: &mut Cmd<'_>, handler: &CStr, name: &CStr, is_input: bool) -> Result<(), String> {
    let name = if name.is_empty() { handler } else { name };
    let name = cmd.pool.cstr(&name.to_bytes().to_ascii_lowercase());
    register_filter(name, is_input)?;
    let place = cmd.place()?;
    let row = Filter {
        name,
        handler: cmd.pool.cstr(handler.to_bytes()),
        directory: place.directory,
        is_location: place.is_location,
        is_input,
    };
    cmd.dir.filters.push(cmd.pool, row);
    cmd.note_python();
    Ok(())
}

fn python_import(cmd: &mut Cmd<'_>, module: &CStr, interpreter: &CStr) -> Result<(), String> {
    let pool = cmd.pool;
    let row = Import {
        module: pool.cstr(module.to_bytes()),
        interpreter: pool.cstr(interpreter.to_bytes()),
    };
    cmd.server().imports.push(pool, row);
    Ok(())
}

fn python_option(cmd: &mut Cmd<'_>, key: &CStr, value: &CStr) -> Result<(), String> {
    let pool = cmd.pool;
    let row = PythonOption {
        key: pool.cstr(key.to_bytes()),
        value: pool.cstr(value.to_bytes()),
    };
    cmd.dir.options.push(pool, row);
    if cmd.at_server_level {
        cmd.server().options.push(pool, row);
    }
    Ok(())
}

fn python_path(cmd: &mut Cmd<'_>, expression: &CStr) -> Result<(), String> {
    let expression = cmd.pool.cstr(expression.to_bytes());
    cmd.set(|all| &mut all.python_path, expression)
}

fn python_auto_reload(cmd: &mut Cmd<'_>, on: bool) -> Result<(), String> {
    cmd.set(|all| &mut all.auto_reload, on)
}

fn python_debug(cmd: &mut Cmd<'_>, on: bool) -> Result<(), String> {
    cmd.set(|all| &mut all.debug, on)
}

fn python_enable_pdb(cmd: &mut Cmd<'_>, on: bool) -> Result<(), String> {
    cmd.set(|all| &mut all.enable_pdb, on)
}

fn python_interp_per_directive(cmd: &mut Cmd<'_>, on: bool) -> Result<(), String> {
    cmd.set(|all| &mut all.interp_per_directive, on)
}

fn python_optimize(cmd: &mut Cmd<'_>, on: bool) -> Result<(), String> {
    cmd.set(|all| &mut all.optimize, on)
}

fn python_interpreter(cmd: &mut Cmd<'_>, name: &CStr) -> Result<(), String> {
    let pool = cmd.pool;
    let name = pool.cstr(name.to_bytes());
    if !cmd.is_htaccess {
        cmd.server().interpreters.push(pool, name);
    }
    cmd.set(|all| &mut all.interpreter, name)
}

// Stored per directory only. (directives.md 1.3)
fn python_interp_per_directory(cmd: &mut Cmd<'_>, on: bool) -> Result<(), String> {
    cmd.dir.settings.interp_per_directory = Some(on);
    Ok(())
}

fn python_interp_per_server(cmd: &mut Cmd<'_>, value: &CStr) -> Result<(), String> {
    cmd.main_server_only("PythonInterpPerServer")?;
    let value = value.to_bytes();
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
}

fn python_home(cmd: &mut Cmd<'_>, directory: &CStr) -> Result<(), String> {
    cmd.main_server_only("PythonHome")?;
    if directory.to_bytes().first() != Some(&b'/') {
        return Err(format!("PythonHome {directory:?} must be an absolute path"));
    }
    let directory = cmd.pool.cstr(directory.to_bytes());
    cmd.server().python_home = Some(directory);
    Ok(())
}

fn python_session_cache(cmd: &mut Cmd<'_>, choice: &CStr) -> Result<(), String> {
    cmd.main_server_only("PythonSessionCache")?;
    let choice =
        Choice::parse(cmd.pool, choice).map_err(|error| format!("PythonSessionCache: {error}"))?;
    cmd.server().session_cache = Some(choice);
    Ok(())
}

fn python_authn_provider(cmd: &mut Cmd<'_>, handler: &CStr) -> Result<(), String> {
    let place = cmd.place()?;
    let entry = Entry {
        handler: cmd.pool.cstr(handler.to_bytes()),
        directory: place.directory,
        is_location: place.is_location,
        silent: false,
        id: 0,
    };
    cmd.dir.authn_provider = Some(cmd.pool.alloc(entry));
    Ok(())
}
