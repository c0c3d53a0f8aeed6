//! What wakes the monitor thread: a moment, a deadline that came closer, or a signal that asks for stacks.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::OnceLock;
use std::time::Instant;

/// A moment that never comes.
pub const NEVER: u64 = u64::MAX;

/// The pipe's ends; -1 before [`open`].
static READ: AtomicI32 = AtomicI32::new(-1);
static WRITE: AtomicI32 = AtomicI32::new(-1);
/// When the monitor looks around by itself; 0 while it is awake.
static WAKES_AT: AtomicU64 = AtomicU64::new(0);
static STACKS_WANTED: AtomicBool = AtomicBool::new(false);

/// Milliseconds since some moment at this process's start.
#[inline]
pub fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    // One, so that 0 is always past.
    u64::try_from(start.elapsed().as_millis()).map_or(NEVER - 1, |milliseconds| milliseconds + 1)
}

/// Makes the pipe, and takes SIGUSR2, which no MPM uses, as the wish to see all stacks.
///
/// # Errors
/// errno of pipe(2) or sigaction(2).
pub fn open() -> std::io::Result<()> {
    let mut ends: [c_int; 2] = [-1, -1];
    // SAFETY: fills two ints; the descriptors are nobody else's; the handler is async-signal-safe.
    unsafe {
        if libc::pipe(ends.as_mut_ptr()) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        for end in ends {
            libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
            libc::fcntl(end, libc::F_SETFL, libc::O_NONBLOCK);
        }
        READ.store(ends[0], Ordering::Release);
        WRITE.store(ends[1], Ordering::Release);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as extern "C" fn(c_int) as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigemptyset(&mut action.sa_mask);
        if libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()) != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

extern "C" fn on_signal(_: c_int) {
    // SAFETY: errno is this thread's.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let saved = unsafe { *errno };
    STACKS_WANTED.store(true, Ordering::SeqCst);
    wake();
    // SAFETY: as above.
    unsafe { *errno = saved };
}

/// Wakes the monitor. Async-signal-safe.
pub fn wake() {
    let end = WRITE.load(Ordering::Acquire);
    if end >= 0 {
        // SAFETY: a byte to a pipe of ours. A full pipe has woken it already.
        unsafe { libc::write(end, c"!".as_ptr().cast(), 1) };
    }
}

/// Something happens at `moment`: wakes the monitor where it would sleep longer.
#[inline]
pub fn at(moment: u64) {
    if moment < WAKES_AT.load(Ordering::SeqCst) {
        wake();
    }
}

/// Sleeps until `until`, or until something comes first.
///
/// `nearest` is asked after the sleep has been announced: what is set later wakes us itself.
pub fn sleep(until: u64, nearest: impl FnOnce() -> u64) {
    WAKES_AT.store(until, Ordering::SeqCst);
    let until = until.min(nearest());
    let timeout = match until {
        NEVER => -1,
        until => c_int::try_from(until.saturating_sub(now())).unwrap_or(c_int::MAX),
    };
    let mut end = libc::pollfd {
        fd: READ.load(Ordering::Acquire),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut bytes = [0u8; 64];
    // SAFETY: one record; the bytes are thrown away.
    unsafe {
        if libc::poll(&mut end, 1, timeout) > 0 {
            while libc::read(end.fd, bytes.as_mut_ptr().cast(), bytes.len()) > 0 {}
        }
    }
    WAKES_AT.store(0, Ordering::SeqCst);
}

/// Whether a signal asked for stacks since the last call.
pub fn take_stacks_wanted() -> bool {
    STACKS_WANTED.swap(false, Ordering::SeqCst)
}

/// Starts a thread of ours that httpd's signals never reach; `usr2` lets the one signal in.
///
/// # Errors
/// The system's refusal.
pub fn spawn(name: &str, usr2: bool, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    // SAFETY: masks of this thread, put back below; the new thread inherits what is set meanwhile.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        // Those a crash raises are for whoever crashes.
        for number in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGABRT,
            libc::SIGTRAP,
        ] {
            libc::sigdelset(&mut all, number);
        }
        if usr2 {
            libc::sigdelset(&mut all, libc::SIGUSR2);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let spawned = std::thread::Builder::new()
            .name(name.into())
            .stack_size(256 << 10)
            .spawn(body);
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        spawned.map(|_| ())
    }
}
