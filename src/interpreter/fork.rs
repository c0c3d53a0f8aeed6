//! Processes that handlers fork: they may do their work, but never come back into httpd.
//!
//! A forked process shares the child's sockets and its pollset, so one that went on in httpd would serve
//! as a second worker that nobody knows of and spoil the first one's connections.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::httpd::log;

/// Whether this process was forked from a child that runs Python.
static FORKED: AtomicBool = AtomicBool::new(false);

extern "C" fn in_forked_process() {
    FORKED.store(true, Ordering::Relaxed);
}

/// Lets each process forked from this one know what it is. Called once, in a child.
pub(super) fn watch() {
    // SAFETY: the handler only stores a flag; the module is never unloaded.
    let failed = unsafe { libc::pthread_atfork(None, None, Some(in_forked_process)) };
    assert_eq!(failed, 0, "pthread_atfork has no memory");
}

/// Whether this process is one that a handler forked.
pub fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Ends a forked process that leaves Python for httpd; called where threads do that.
#[inline]
pub(super) fn end_if_forked() {
    if FORKED.load(Ordering::Relaxed) {
        end();
    }
}

#[cold]
fn end() -> ! {
    log::main_server(
        log::Level::Err,
        "MP0111: a process that a handler forked came back from the handler; it ends here, for httpd \
         serves requests in its own children only. Let it end with os._exit.",
    );
    // SAFETY: nothing of the child's is flushed or cleaned up a second time.
    unsafe { libc::_exit(1) }
}
