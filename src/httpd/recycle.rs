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
//!
//! Where ListenCoresBucketsRatio gives each group of children sockets of its own, httpd keeps the records of
//! all groups but the first to itself. There the listening sockets are replaced by ones that cannot accept,
//! which comes to the same, with a line of httpd's in the log.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{log, mpm};
use crate::ffi;

const NEVER: u64 = u64::MAX;

static BEGUN: AtomicBool = AtomicBool::new(false);
/// When [`look`] is to be called.
static NEXT: AtomicU64 = AtomicU64::new(NEVER);
/// When the process ends, whoever is still at work.
static DEADLINE: AtomicU64 = AtomicU64::new(NEVER);
static REFUSED: AtomicBool = AtomicBool::new(false);
/// Descriptors that no longer accept, of sockets with these inodes.
static REPLACED: Mutex<Vec<(c_int, libc::ino_t)>> = Mutex::new(Vec::new());

/// How many looks in a row found nobody else at work.
static ALONE: AtomicU64 = AtomicU64::new(0);
/// So many are enough: httpd counts connections with a delay.
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
/// It ends when all requests have. With a deadline, given because one is stuck, the process ends when nobody
/// else is at work, and when the deadline comes at the latest; but as usual where that one has come to its end.
pub fn begin(why: &str, deadline: Option<u64>) {
    if let Some(deadline) = deadline {
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

/// The listeners of the first group of children, which is mostly the only one.
fn listeners() -> impl Iterator<Item = *mut ffi::ap_listen_rec> {
    // SAFETY: the list lives as long as the configuration, and nobody changes it in a child.
    let (first, next) = unsafe {
        let first = ffi::ap_listeners;
        let next = |listener: &*mut ffi::ap_listen_rec| (**listener).next;
        (first, next)
    };
    std::iter::successors((!first.is_null()).then_some(first), move |listener| {
        let next = next(listener);
        (!next.is_null()).then_some(next)
    })
}

/// Exchanges the accept functions of this process's listeners, or their sockets.
fn refuse_connections() {
    let mut is_ours = false;
    for listener in listeners() {
        // SAFETY: a live record; the MPM reads the field once per connection, a word that is replaced as a
        // whole.
        unsafe {
            is_ours |= (*listener).active != 0;
            std::ptr::addr_of_mut!((*listener).accept_func).write_volatile(Some(refuse));
        }
    }
    if !is_ours {
        // Closed in this process, which is of another group.
        *REPLACED.lock() = replace_sockets();
    }
}

/// Puts a socket that cannot accept in the place of each listening one; descriptors and inodes of the new ones.
fn replace_sockets() -> Vec<(c_int, libc::ino_t)> {
    let mut replaced = Vec::new();
    let Ok(names) = std::fs::read_dir("/proc/self/fd") else {
        return replaced;
    };
    let descriptors: Vec<c_int> = names
        .filter_map(|name| name.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in descriptors {
        let Some(address) = listening_on(descriptor) else {
            continue;
        };
        // A program may listen too, somewhere else.
        // SAFETY: live records, whose addresses are as long as they say.
        let is_httpds = listeners().any(|listener| unsafe {
            let bound = (*listener).bind_addr;
            !bound.is_null() && bytes_of(bound) == address
        });
        if !is_httpds {
            continue;
        }
        // SAFETY: the new socket takes the place of one whose other descriptors stay as they are.
        unsafe {
            let family = i32::from(address.first_chunk().map_or(0, |b| u16::from_ne_bytes(*b)));
            let socket = libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
            if socket < 0 {
                continue;
            }
            if libc::dup3(socket, descriptor, libc::O_CLOEXEC) == descriptor {
                replaced.extend(inode(descriptor).map(|inode| (descriptor, inode)));
            }
            libc::close(socket);
        }
    }
    replaced
}

/// The address that a socket listens on; `None` for anything else.
fn listening_on(descriptor: c_int) -> Option<Vec<u8>> {
    // SAFETY: questions about a descriptor, with room for the answers.
    unsafe {
        let mut is_listening: c_int = 0;
        let mut length = std::mem::size_of::<c_int>() as libc::socklen_t;
        let asked = libc::getsockopt(
            descriptor,
            libc::SOL_SOCKET,
            libc::SO_ACCEPTCONN,
            std::ptr::addr_of_mut!(is_listening).cast(),
            &mut length,
        );
        if asked != 0 || is_listening == 0 {
            return None;
        }
        let mut address: libc::sockaddr_storage = std::mem::zeroed();
        let mut length = std::mem::size_of_val(&address) as libc::socklen_t;
        let named = libc::getsockname(
            descriptor,
            std::ptr::addr_of_mut!(address).cast(),
            &mut length,
        );
        let bytes = std::ptr::addr_of!(address).cast::<u8>();
        (named == 0).then(|| std::slice::from_raw_parts(bytes, length as usize).to_vec())
    }
}

/// The bytes of an address of APR's.
///
/// # Safety
/// It is alive.
unsafe fn bytes_of<'a>(address: *const ffi::apr_sockaddr_t) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = std::ptr::addr_of!((*address).sa).cast::<u8>();
        std::slice::from_raw_parts(bytes, (*address).salen as usize)
    }
}

fn inode(descriptor: c_int) -> Option<libc::ino_t> {
    // SAFETY: fills a plain record, or fails.
    unsafe {
        let mut record: libc::stat = std::mem::zeroed();
        (libc::fstat(descriptor, &mut record) == 0).then_some(record.st_ino)
    }
}

/// Notices that the MPM has closed the sockets that cannot accept.
fn look_at_replaced() {
    let replaced = REPLACED.lock();
    let is_there = |(descriptor, known): &(c_int, libc::ino_t)| inode(*descriptor) == Some(*known);
    if !replaced.is_empty() && !replaced.iter().any(is_there) {
        REFUSED.store(true, Ordering::SeqCst);
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

/// Goes on with what [`begin`] began; called by the monitor, without the GIL, with whether any request is over
/// its time now, and how many of the MPM's threads are stuck and have nothing else to do.
pub fn look(now: u64, is_any_over: bool, stuck: usize) {
    if !is_begun() {
        return;
    }
    let is_threaded = mpm::is_threaded();
    look_at_replaced();
    if is_threaded && !REFUSED.load(Ordering::SeqCst) {
        wake_listener();
    }
    if !is_any_over {
        DEADLINE.store(NEVER, Ordering::SeqCst);
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
        && connections().is_some_and(|open| stuck > 0 && open <= stuck);
    let alone = if is_alone {
        ALONE.load(Ordering::Relaxed) + 1
    } else {
        0
    };
    ALONE.store(alone, Ordering::Relaxed);
    if now >= deadline || alone >= SURELY_ALONE || (!is_threaded && stuck > 0) {
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

/// How many connections this child has, or threads that serve one: event counts the former, also those that wait
/// for their clients without a thread, and says nothing of its threads any more once it closed its
/// listening sockets; worker tells of its threads only. `None` where httpd does not say.
fn connections() -> Option<usize> {
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
        let connections = (*(*board).parent.add(child)).connections as usize;
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
        Some((0..threads).filter(is_busy).count().max(connections))
    }
}
