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
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(_) => {
            report(callback);
            on_panic
        }
    }
}

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
