//! The panic boundary: no Rust panic crosses into C.

use std::cell::RefCell;
use std::panic::{catch_unwind, AssertUnwindSafe};

use super::log;

thread_local! {
    /// What the panic hook saw, for the guard that stops the panic to log.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a callback's body; a panic becomes a log line and `on_panic`.
#[inline]
pub fn guard<R>(callback: &'static str, on_panic: R, body: impl FnOnce() -> R) -> R {
    let body = || {
        fault(callback);
        body()
    };
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(_) => {
            report(callback);
            on_panic
        }
    }
}

/// A panic on demand, for the tests of this boundary. In a debug build the environment variable
/// MOD_PYTHON_PANIC_FILE names a file; while that holds the name of a place, the first to pass there
/// removes the file and panics.
#[cfg(debug_assertions)]
pub fn fault(place: &str) {
    static FILE: std::sync::OnceLock<Option<std::path::PathBuf>> = std::sync::OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var_os("MOD_PYTHON_PANIC_FILE").map(Into::into));
    let Some(file) = file else { return };
    let asked = std::fs::read_to_string(file).is_ok_and(|wanted| wanted.trim() == place);
    if asked && std::fs::remove_file(file).is_ok() {
        panic!("a test asked for this one");
    }
}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn fault(_place: &str) {}

#[cold]
fn report(callback: &'static str) {
    let what = LAST
        .with(|last| last.borrow_mut().take())
        .unwrap_or_else(|| "unknown".into());
    log::main_server(
        log::Level::Crit,
        &format!(
            "MP0001: panic in {callback}: {what}. This is a bug in mod_python; please report it."
        ),
    );
}

/// Sends panic messages to the guard instead of raw lines to stderr.
pub fn install_hook() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string().replace('\n', " ");
        LAST.with(|last| *last.borrow_mut() = Some(text));
    }));
}
