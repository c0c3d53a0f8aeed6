//! CPython's life in a child: started once after the fork, never finalised. Never heard of a request.

pub mod alarm;
mod bound;
mod delicate;
mod fork;
pub mod gil_cell;
pub mod given_back;
mod heap;
pub mod home;
pub mod registry;
mod release;
pub mod shared_class;
pub mod stacks;
pub mod thread;
pub mod watch;

use std::ffi::{CStr, CString};
use std::os::raw::c_int;
use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::prelude::*;

pub use fork::is_forked;
pub use gil_cell::GilCell;
pub use registry::Interpreter;

#[cfg(Py_GIL_DISABLED)]
compile_error!("mod_python relies on the GIL; build it for a Python that has one");

/// The Python this module was built and linked with.
pub const PYTHON_VERSION: &str = env!("MOD_PYTHON_PYTHON_VERSION");
/// Its executable, from which CPython finds its library whatever `python3` comes first in PATH.
pub const PYTHON_EXECUTABLE: &str = env!("MOD_PYTHON_EXECUTABLE");

/// Why a child has no Python.
#[derive(thiserror::Error, Debug, Clone)]
pub enum StartError {
    #[error("{0}")]
    Home(#[from] home::HomeError),
    #[error("the running libpython is {found}, but this module was built for Python {PYTHON_VERSION}; build mod_python with PYO3_PYTHON naming the Python to use")]
    Version { found: String },
    #[error("CPython refused to start{place}: {message}")]
    Refused { place: String, message: String },
}

/// What a child's Python is started with.
pub struct Start<'a> {
    /// PythonHome.
    pub home: Option<&'a CStr>,
    /// PythonOptimize.
    pub optimize: bool,
    /// Registers built-in modules; called before Python starts.
    pub inittab: fn(),
}

static STARTED: OnceLock<Result<(), StartError>> = OnceLock::new();

/// Starts CPython in this process; later calls answer what the first one did.
///
/// The calling thread keeps the thread state that CPython makes for it, and lets go of the GIL.
pub fn start(options: &Start<'_>) -> &'static Result<(), StartError> {
    STARTED.get_or_init(|| {
        check_version()?;
        let program = match options.home {
            Some(home) => home::resolve(home)?,
            None => home::Program {
                executable: Some(c_string(PYTHON_EXECUTABLE)),
                home: None,
                is_venv: false,
            },
        };
        heap::teach();
        (options.inittab)();
        if program.is_venv {
            // As `activate` does it: CPython would not look for the environment. Nobody else looks
            // at the variables meanwhile, since a child starts its threads after `child_init`.
            std::env::remove_var("PYTHONHOME");
        }
        initialize(&program, options.optimize)?;
        // SAFETY: Python was just started by this thread, which holds the GIL.
        unsafe { registry::adopt_main() };
        fork::watch();
        Ok(())
    })
}

/// Whether Python runs in this process.
pub fn is_running() -> bool {
    matches!(STARTED.get(), Some(Ok(())))
}

/// Why it does not run; `None` before [`start`].
pub fn failure() -> Option<&'static StartError> {
    STARTED.get().and_then(|started| started.as_ref().err())
}

fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

/// `3.11.2` -> `3.11`
pub(crate) fn minor_version(version: &str) -> &str {
    match version.match_indices('.').nth(1) {
        Some((at, _)) => &version[..at],
        None => version,
    }
}

/// The version of the libpython that is loaded, such as `3.11.2`.
pub fn running_version() -> String {
    // SAFETY: a static string, available before initialisation.
    let found = unsafe { CStr::from_ptr(ffi::Py_GetVersion()) }.to_string_lossy();
    found.split(' ').next().unwrap_or_default().to_string()
}

fn check_version() -> Result<(), StartError> {
    let found = running_version();
    if minor_version(&found) == minor_version(PYTHON_VERSION) {
        Ok(())
    } else {
        Err(StartError::Version { found })
    }
}

fn initialize(program: &home::Program, optimize: bool) -> Result<(), StartError> {
    // SAFETY: the documented order: pre-configuration, configuration, initialisation; the
    // configuration is cleared on each way out and its strings are copied by CPython.
    unsafe {
        let mut pre: ffi::PyPreConfig = std::mem::zeroed();
        ffi::PyPreConfig_InitPythonConfig(&mut pre);
        pre.parse_argv = 0;
        // httpd's environment is not ours to change; UTF-8 mode does what coercion would.
        pre.coerce_c_locale = 0;
        check(ffi::Py_PreInitialize(&pre), program)?;

        let mut config: ffi::PyConfig = std::mem::zeroed();
        ffi::PyConfig_InitPythonConfig(&mut config);
        let result = configure(&mut config, program, optimize)
            .and_then(|()| check(ffi::Py_InitializeFromConfig(&config), program));
        ffi::PyConfig_Clear(&mut config);
        result
    }
}

/// # Safety
/// `config` was initialised and is not cleared yet.
unsafe fn configure(
    config: &mut ffi::PyConfig,
    program: &home::Program,
    optimize: bool,
) -> Result<(), StartError> {
    config.install_signal_handlers = 0;
    config.parse_argv = 0;
    config.user_site_directory = 0;
    config.configure_c_stdio = 0;
    if optimize {
        config.optimization_level = 2;
    }
    let raw: *mut ffi::PyConfig = config;
    // SAFETY: fields of the live configuration; CPython copies the strings.
    unsafe {
        let mut argv = [c"mod_python".as_ptr()];
        check(
            ffi::PyConfig_SetBytesArgv(raw, 1, argv.as_mut_ptr()),
            program,
        )?;
        if let Some(executable) = &program.executable {
            let field = std::ptr::addr_of_mut!((*raw).program_name);
            check(
                ffi::PyConfig_SetBytesString(raw, field, executable.as_ptr()),
                program,
            )?;
            let field = std::ptr::addr_of_mut!((*raw).executable);
            check(
                ffi::PyConfig_SetBytesString(raw, field, executable.as_ptr()),
                program,
            )?;
        }
        if let Some(home) = &program.home {
            let field = std::ptr::addr_of_mut!((*raw).home);
            check(
                ffi::PyConfig_SetBytesString(raw, field, home.as_ptr()),
                program,
            )?;
        }
    }
    Ok(())
}

/// A `PyStatus` as a result; CPython's own `Py_ExitStatusException` would end the child.
fn check(status: ffi::PyStatus, program: &home::Program) -> Result<(), StartError> {
    // SAFETY: plain questions about a value.
    unsafe {
        if ffi::PyStatus_Exception(status) == 0 {
            return Ok(());
        }
        let text = |p: *const std::ffi::c_char| {
            if p.is_null() {
                String::new()
            } else {
                CStr::from_ptr(p).to_string_lossy().into_owned()
            }
        };
        let mut message = text(status.err_msg);
        let function = text(status.func);
        if !function.is_empty() {
            message = format!("{function}: {message}");
        }
        if ffi::PyStatus_IsExit(status) != 0 {
            message = format!("exit status {}", status.exitcode as c_int);
        }
        let place = match (&program.home, std::env::var("PYTHONHOME")) {
            (Some(home), _) => format!(" with PythonHome {}", home.to_string_lossy()),
            (None, Ok(home)) => format!(" with PYTHONHOME={home} in httpd's environment"),
            _ => String::new(),
        };
        Err(StartError::Refused { place, message })
    }
}

/// Runs `body` attached to an interpreter, on this thread's own thread state for it.
pub fn enter<R>(interpreter: &'static Interpreter, body: impl FnOnce(Python<'_>) -> R) -> R {
    thread::enter(interpreter, thread::Subject::NONE, body)
}

/// [`enter`], for something that `body` can ask for with [`thread::subject`].
pub fn enter_for<R>(
    interpreter: &'static Interpreter,
    subject: thread::Subject,
    body: impl FnOnce(Python<'_>) -> R,
) -> R {
    thread::enter(interpreter, subject, body)
}
