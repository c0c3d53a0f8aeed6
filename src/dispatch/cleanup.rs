//! The end of a request: registered cleanups, then PythonCleanupHandler. (phases.md 2.9)

use std::sync::Arc;

use pyo3::prelude::*;

use super::{request, timeout};
use crate::_apache::child_cleanup::{self, describe_failure};
use crate::_apache::request_config::{has_cleanup_handler, RequestState};
use crate::config::phase::Phase;
use crate::httpd::log;
use crate::interpreter::{self, thread};

/// Runs what is to run when a request is over; called with the gate open, before the lease ends.
pub fn run(py: Python<'_>, state: &Arc<RequestState>) {
    run_registered(py, state);
    let wanted = state.with(py, has_cleanup_handler).unwrap_or(false);
    if wanted {
        // The handlers choose their own interpreter.
        let ran = state.detached(py, |r| request::run(Phase::Cleanup, r));
        debug_assert!(ran.is_ok(), "BUG: the lease ends after the cleanups");
        run_registered(py, state);
    }
}

/// Calls the registered functions, newest first, also those they register themselves.
fn run_registered(py: Python<'_>, state: &Arc<RequestState>) {
    loop {
        // SAFETY: `pop` runs no Python.
        let Some(cleanup) = (unsafe { state.cleanups.with(py, Vec::pop) }) else {
            return;
        };
        thread::detach(py, || {
            interpreter::enter_for(cleanup.interpreter, state.subject(), |py| {
                let called = timeout::shielded(py, cleanup.interpreter, || {
                    child_cleanup::call(py, &cleanup.function, cleanup.data.as_ref())
                });
                if let Err(error) = called {
                    let lines = describe_failure(py, cleanup.function.bind(py), &error);
                    let logged = state.with(py, |r| {
                        for line in &lines {
                            log::request(r, log::Level::Err as i32, line.as_bytes());
                        }
                    });
                    debug_assert!(logged.is_ok(), "BUG: the lease ends after the cleanups");
                }
                drop(cleanup);
            });
        });
    }
}
