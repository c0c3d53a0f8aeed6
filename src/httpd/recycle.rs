//! A child ends itself in good order, and httpd starts another. (mpm_common.h, ap_listen.h, scoreboard.h)
//!
//! httpd has no function for that. What the MPMs understand:
//!
//! * prefork and its kin: the signal of a graceful restart, sent to the child alone, makes it close its
//!   listening sockets and exit after the request at hand.
//! * event and worker: an accept function that answers APR_EGENERAL says that this process has run out of
//!   something, and the child shuts down as it does for MaxConnectionsPerChild. The connection that was
//!   to be accepted stays in the queue for the other children. Such a child would tell its parent that it is
//!   sick, for which the parent, where it has no other, gives up: so the exit status is put right.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::{log, mpm};
use crate::ffi;

const NEVER: u64 = u64::MAX;

static BEGUN: AtomicBool = AtomicBool::new(false);
/// When [`look`] is to be called.
static NEXT: AtomicU64 = AtomicU64::new(NEVER);
/// When the process ends, whoever is still at work.
static DEADLINE: AtomicU64 = AtomicU64::new(NEVER);
static REFUSED: AtomicBool = AtomicBool::new(false);
/// How many threads are known to be stuck.
static STUCK: AtomicUsize = AtomicUsize::new(0);

/// How many looks in a row found nobody else at work.
static ALONE: AtomicU64 = AtomicU64::new(0);
/// So many are enough: httpd counts connections that it still writes to without a thread with a delay.
const SURELY_ALONE: u64 = 5;

/// How often the listener is woken, and the others are looked at, in milliseconds.
const INTERVAL: u64 = 100;

/// Whether this child is on its way out through us.
pub fn is_begun() -> bool {
    BEGUN.load(Ordering::Relaxed)
}

/// When [`look`] is to be called next; in the caller's milliseconds.
pub fn next_look() -> u64 {
    NEXT.load(Ordering::SeqCst)
}

/// Begins the end of this child, once; `why` goes to the log.
///
/// Without stuck threads it ends when all requests have. With some, the process ends when nobody else is
/// at work, and when the deadline comes at the latest.
pub fn begin(why: &str, stuck: Option<(usize, u64)>) {
    if let Some((threads, deadline)) = stuck {
        STUCK.fetch_max(threads, Ordering::SeqCst);
        // Earlier than one set before, or the first.
        DEADLINE.fetch_min(deadline, Ordering::SeqCst);
        NEXT.store(0, Ordering::SeqCst);
    }
    if BEGUN.swap(true, Ordering::SeqCst) {
        return;
    }
    if mpm::config_define(c"ONE_PROCESS") || mpm::config_define(c"DEBUG") {
        let message = format!("MP0711: {why}: httpd runs as one process, which goes on");
        log::main_server(log::Level::Notice, &message);
        DEADLINE.store(NEVER, Ordering::SeqCst);
        NEXT.store(NEVER, Ordering::SeqCst);
        return;
    }
    let message = format!("MP0710: this child takes no more requests and is replaced: {why}");
    log::main_server(log::Level::Notice, &message);
    if !mpm::is_threaded() {
        // SAFETY: to this process, whose MPM handles it.
        unsafe { libc::kill(libc::getpid(), libc::SIGUSR1) };
        return;
    }
    // SAFETY: a function of the right signature.
    unsafe { libc::atexit(exit_in_health) };
    refuse_connections();
    NEXT.store(0, Ordering::SeqCst);
}

/// Goes on with the exit, with a status that says that all is well.
extern "C" fn exit_in_health() {
    // SAFETY: called by exit(), whose other functions Linux goes on with.
    unsafe { libc::exit(0) }
}

/// Exchanges the accept functions of this process's listeners.
fn refuse_connections() {
    // SAFETY: the list of this process; the MPM reads the field once per connection, a word that is
    // replaced as a whole.
    unsafe {
        let mut listener = ffi::ap_listeners;
        while !listener.is_null() {
            std::ptr::addr_of_mut!((*listener).accept_func).write_volatile(Some(refuse));
            listener = (*listener).next;
        }
    }
}

unsafe extern "C" fn refuse(
    connection: *mut *mut c_void,
    _listener: *mut ffi::ap_listen_rec,
    _pool: *mut ffi::apr_pool_t,
) -> ffi::apr_status_t {
    REFUSED.store(true, Ordering::SeqCst);
    // SAFETY: where the MPM wants the connection.
    unsafe { *connection = std::ptr::null_mut() };
    ffi::MP_APR_EGENERAL as ffi::apr_status_t
}

/// Goes on with what [`begin`] began; called by the monitor, without the GIL.
pub fn look(now: u64) {
    if !is_begun() {
        return;
    }
    let is_threaded = mpm::is_threaded();
    if is_threaded && !REFUSED.load(Ordering::SeqCst) {
        wake_listener();
    }
    let deadline = DEADLINE.load(Ordering::SeqCst);
    if deadline == NEVER {
        let again = is_threaded && !REFUSED.load(Ordering::SeqCst);
        NEXT.store(
            if again {
                now.saturating_add(INTERVAL)
            } else {
                NEVER
            },
            Ordering::SeqCst,
        );
        return;
    }
    let is_alone = is_threaded
        && REFUSED.load(Ordering::SeqCst)
        && busy_threads().is_some_and(|busy| busy <= STUCK.load(Ordering::SeqCst));
    let alone = if is_alone {
        ALONE.load(Ordering::Relaxed) + 1
    } else {
        0
    };
    ALONE.store(alone, Ordering::Relaxed);
    if now >= deadline || alone >= SURELY_ALONE || !is_threaded {
        log::main_server(
            log::Level::Notice,
            "MP0712: this child ends now, with the handlers that are stuck",
        );
        // SAFETY: ends the process. Its destructors would wait for what is stuck.
        unsafe { libc::_exit(0) };
    }
    NEXT.store(deadline.min(now.saturating_add(INTERVAL)), Ordering::SeqCst);
}

/// Makes a connection to a listener, and lets it go: the MPM looks at its listeners then.
fn wake_listener() {
    // SAFETY: the list of this process and its addresses live as long as the configuration.
    unsafe {
        let listener = ffi::ap_listeners;
        if listener.is_null() || (*listener).bind_addr.is_null() {
            return;
        }
        let address = (*listener).bind_addr;
        let mut copy: libc::sockaddr_storage = std::mem::zeroed();
        let length = (*address).salen as usize;
        if length > std::mem::size_of_val(&copy) {
            return;
        }
        std::ptr::copy_nonoverlapping(
            std::ptr::addr_of!((*address).sa).cast::<u8>(),
            std::ptr::addr_of_mut!(copy).cast::<u8>(),
            length,
        );
        // A wildcard address connects to this host, on Linux and the BSDs.
        let socket = libc::socket(
            c_int::from(copy.ss_family),
            libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
            0,
        );
        if socket >= 0 {
            libc::connect(
                socket,
                std::ptr::addr_of!(copy).cast(),
                length as libc::socklen_t,
            );
            libc::close(socket);
        }
    }
}

/// How many of this child's threads serve a request or wait for its client; `None` where httpd does not
/// say, and where it is still writing to a client without a thread.
fn busy_threads() -> Option<usize> {
    // SAFETY: the scoreboard is mapped as long as the process lives; each field is a word that others may
    // be writing, and any of its values will do.
    unsafe {
        let board = ffi::ap_scoreboard_image;
        if board.is_null() || (*board).global.is_null() {
            return None;
        }
        let global = (*board).global;
        let children = usize::try_from((*global).server_limit).ok()?;
        let threads = usize::try_from((*global).thread_limit).ok()?;
        let child =
            (0..children).find(|child| (*(*board).parent.add(*child)).pid == libc::getpid())?;
        let process = (*board).parent.add(child);
        if (*process).write_completion != 0 {
            return None;
        }
        let workers = *(*board).servers.add(child);
        let is_busy = |worker: &usize| {
            let status = i32::from((*workers.add(*worker)).status);
            !matches!(
                status,
                ffi::MP_SERVER_DEAD
                    | ffi::MP_SERVER_READY
                    | ffi::MP_SERVER_STARTING
                    | ffi::MP_SERVER_GRACEFUL
            )
        };
        Some((0..threads).filter(is_busy).count())
    }
}
