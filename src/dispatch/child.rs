//! The life of a child: Python starts, modules are imported, cleanups run at the end. (phases.md 2.12)

use std::sync::{Once, OnceLock};

use pyo3::prelude::*;

use super::{callback, cleanup, interpreter_for, limits, monitor, status};
use crate::_apache::{child_cleanup, request_config, text};
use crate::config::{Import, ServerConfig, Settings, WedgeAction};
use crate::httpd::{log, mpm, Pool, Server};
use crate::interpreter::{self, Start};

/// Whether httpd runs as one process, in which a debugger makes sense: `-X`, which httpd notes as
/// `DEBUG`, or `-DONE_PROCESS`. (main.c; the MPMs take both for the same)
fn is_one_process() -> bool {
    static ONE: OnceLock<bool> = OnceLock::new();
    *ONE.get_or_init(|| mpm::config_define(c"DEBUG") || mpm::config_define(c"ONE_PROCESS"))
}

/// Whether a handler is to run under pdb: PythonEnablePdb, where somebody can sit at the prompt.
#[inline]
pub fn is_for_pdb(settings: &Settings<'_>) -> bool {
    settings.enable_pdb == Some(true) && (is_one_process() || tell_without_pdb())
}

/// Says, once in each child, why the switch has no effect.
#[cold]
fn tell_without_pdb() -> bool {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        log::main_server(
            log::Level::Warning,
            "MP0109: PythonEnablePdb is On, but httpd was not started with -X: \
             handlers run without pdb.",
        );
    });
    false
}

/// Sets a new child up; what fails is logged and leaves a child that answers 500 to Python requests.
pub fn init(pool: &Pool, server: &Server, inittab: fn()) {
    log::set_main_server(server);
    request_config::set_run_cleanups(cleanup::run);
    let config = ServerConfig::of(server);
    let start = Start {
        home: config.and_then(|config| config.python_home),
        optimize: config.is_some_and(|config| config.settings.optimize == Some(true)),
        inittab,
    };
    if let Err(error) = interpreter::start(&start) {
        log::main_server(log::Level::Crit, &format!("MP0101: {error}"));
        return;
    }
    interpreter_for::apply_plan();
    if let Some(config) = config {
        limits::start(config);
        if config.status == Some(true) {
            status::counting::start();
        }
    }
    monitor::prepare(monitor::Plan {
        recycle_within: config.and_then(|config| config.wedge_action).and_then(
            |action| match action {
                WedgeAction::Log => None,
                WedgeAction::Recycle(milliseconds) => Some(milliseconds),
            },
        ),
    });
    import(server);
    extern "C" fn child_over(_: *mut std::ffi::c_void) -> crate::httpd::pool::CleanupStatus {
        crate::httpd::guard::guard("child cleanup", (), || {
            // SAFETY: httpd has ended its worker threads.
            if !unsafe { child_cleanup::is_empty() } {
                child_cleanup::run_all();
            }
        });
        0
    }
    // SAFETY: the cleanup needs no data.
    unsafe { pool.on_clear(std::ptr::null_mut(), child_over) };
}

/// PythonImport entries of all servers, the last one of each first. (directives.md 1.10)
fn import(main: &Server) {
    for server in std::iter::successors(Some(main), |server| server.next()) {
        let Some(config) = interpreter_for::own_config(main, server) else {
            continue;
        };
        let mut imports = Vec::new();
        config.imports.for_each(&mut |import| imports.push(*import));
        for import in imports.into_iter().rev() {
            if !import_one(config, &import) {
                // Without the interpreter the rest would fail the same way.
                break;
            }
        }
    }
}

fn import_one(config: &ServerConfig<'_>, import: &Import<'_>) -> bool {
    let interpreter = match interpreter_for::get(import.interpreter) {
        Ok(interpreter) => interpreter,
        Err(error) => {
            log::main_server(log::Level::Err, &format!("directive_PythonImport: {error}"));
            return false;
        }
    };
    interpreter::enter(interpreter, |py| {
        let Some(callback) = callback::get(py, interpreter) else {
            return false;
        };
        let result = text::from_c_opt(py, config.settings.python_path).and_then(|path| {
            let name = text::from_c(py, import.module)?;
            callback.call_method1("import_at_start", (name, path, config.settings.debugs()))
        });
        if let Err(error) = result {
            callback::complain_traceback(py, &error);
            let name = import.module.to_string_lossy();
            log::main_server(
                log::Level::Err,
                &format!("directive_PythonImport: error importing {name}"),
            );
        }
        true
    })
}
