//! Locks among all threads of all children: bytes of one file without a name, locked with fcntl. (fcntl(2))
//!
//! Such a lock belongs to a process. So any thread may give it back, as it must be when httpd ends a
//! request on another thread than it began; the kernel frees what a dead child held; and there can be one
//! for every key. Threads of one process first agree among themselves. (APR's global mutexes belong to a
//! thread by default, and are few.)
//!
//! The file is the parent's and stays the same when the configuration is read again: children of before
//! and after a graceful restart exclude each other.

use std::collections::HashSet;
use std::ffi::c_int;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use once_cell::sync::Lazy;
use parking_lot::{Condvar, Mutex};

use super::{mpm, Error};
use crate::ffi;

/// The descriptor of the file; -1 before there is one.
static FILE: AtomicI32 = AtomicI32::new(-1);
/// How many numbered locks the running configuration has.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// The locks of keys begin here.
const KEYS: i64 = 1 << 32;

/// The number of a lock is hash enough.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_i64(&mut self, number: i64) {
        // Numbered locks differ in the low bits only, and the table looks at the high ones too.
        self.0 = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// What the threads of this process have, or are about to get from the other processes.
#[derive(Default)]
struct Here {
    taken: HashSet<i64, BuildHasherDefault<Itself>>,
    waiting: usize,
}

static HERE: Lazy<Mutex<Here>> = Lazy::new(Mutex::default);
static GIVEN_BACK: Condvar = Condvar::new();

/// How many locks are sensible: `wanted`, but not more than there can be clients, and at least 2.
pub fn sensible(wanted: usize) -> (usize, i32, i32) {
    let threads = match mpm::query(ffi::AP_MPMQ_MAX_THREADS as i32) {
        n if n > 0 => n,
        _ => 1,
    };
    let processes = match mpm::query(ffi::AP_MPMQ_MAX_DAEMON_USED as i32) {
        n if n > 0 => n,
        _ => mpm::query(ffi::AP_MPMQ_MAX_DAEMONS as i32).max(1),
    };
    let clients = (threads as usize).saturating_mul(processes as usize);
    // Index 0 is for dbm files, so sessions need another.
    (wanted.min(clients).max(2), processes, threads)
}

/// Makes the locks of a configuration, in the parent.
///
/// # Errors
/// What the operating system refused.
pub fn create(count: usize) -> Result<(), Error> {
    if FILE.load(Ordering::Acquire) < 0 {
        // SAFETY: the name is a constant.
        let file = unsafe { libc::memfd_create(c"mod_python locks".as_ptr(), libc::MFD_CLOEXEC) };
        if file < 0 {
            return Err(last_error("creating the file of the global locks"));
        }
        FILE.store(file, Ordering::Release);
    }
    COUNT.store(count, Ordering::Release);
    Ok(())
}

/// How many numbered locks there are.
pub fn count() -> usize {
    COUNT.load(Ordering::Acquire)
}

fn last_error(what: &'static str) -> Error {
    let status = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    Error::Apr { what, status }
}

/// One of the locks: not recursive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lock(i64);

impl Lock {
    /// The lock of a number below [`count`].
    pub fn numbered(number: usize) -> Self {
        Self(number as i64)
    }

    /// The lock of a key with this hash.
    pub fn keyed(hash: u64) -> Self {
        Self(KEYS + (hash >> 2) as i64)
    }

    /// The lock of the session cache.
    pub fn socache() -> Self {
        Self(KEYS - 1)
    }

    /// Waits for the lock.
    ///
    /// # Errors
    /// What the operating system refused.
    pub fn lock(self) -> Result<(), Error> {
        let mut here = HERE.lock();
        while !here.taken.insert(self.0) {
            here.waiting += 1;
            GIVEN_BACK.wait(&mut here);
            here.waiting -= 1;
        }
        drop(here);
        self.take_from_others()
            .inspect_err(|_| self.give_back_here())
    }

    fn take_from_others(self) -> Result<(), Error> {
        loop {
            if self.fcntl(libc::F_SETLKW, libc::F_WRLCK) {
                return Ok(());
            }
            let error = last_error("locking a global lock");
            match error {
                Error::Apr { status, .. } if status == libc::EINTR => {}
                // The kernel sees processes that wait for each other, not that different threads do.
                Error::Apr { status, .. } if status == libc::EDEADLK => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                _ => return Err(error),
            }
        }
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// What the operating system refused.
    pub fn trylock(self) -> Result<bool, Error> {
        if !HERE.lock().taken.insert(self.0) {
            return Ok(false);
        }
        if self.fcntl(libc::F_SETLK, libc::F_WRLCK) {
            return Ok(true);
        }
        let error = last_error("trying a global lock");
        self.give_back_here();
        match error {
            Error::Apr { status, .. } if status == libc::EAGAIN || status == libc::EACCES => {
                Ok(false)
            }
            _ => Err(error),
        }
    }

    /// Gives the lock back; any thread of the process that has it may.
    ///
    /// # Errors
    /// What the operating system refused, and `EPERM` where no thread of this process has it.
    pub fn unlock(self) -> Result<(), Error> {
        const WHAT: &str = "unlocking a global lock";
        if !HERE.lock().taken.contains(&self.0) {
            return Error::check(WHAT, libc::EPERM);
        }
        let is_free = self.fcntl(libc::F_SETLK, libc::F_UNLCK);
        let result = if is_free {
            Ok(())
        } else {
            Err(last_error(WHAT))
        };
        self.give_back_here();
        result
    }

    fn give_back_here(self) {
        let mut here = HERE.lock();
        here.taken.remove(&self.0);
        if here.waiting > 0 {
            GIVEN_BACK.notify_all();
        }
    }

    fn fcntl(self, command: c_int, kind: c_int) -> bool {
        // SAFETY: a C struct of numbers.
        let mut range: libc::flock = unsafe { std::mem::zeroed() };
        range.l_type = kind as _;
        range.l_whence = libc::SEEK_SET as _;
        range.l_start = self.0 as _;
        range.l_len = 1;
        // SAFETY: the descriptor is open as long as the process lives, or -1 and refused.
        unsafe { libc::fcntl(FILE.load(Ordering::Acquire), command, &range) == 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    fn with_file() {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| create(8).unwrap());
    }

    /// Runs a body in a child process; its exit status.
    fn in_child(body: impl FnOnce() -> i32) -> i32 {
        // SAFETY: the child only uses locks of its own table, and ends without running destructors.
        unsafe {
            match libc::fork() {
                0 => libc::_exit(body()),
                pid => {
                    let mut status = 0;
                    libc::waitpid(pid, &mut status, 0);
                    libc::WEXITSTATUS(status)
                }
            }
        }
    }

    #[test]
    fn threads_exclude_each_other() {
        with_file();
        let lock = Lock::keyed(1);
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        lock.lock().unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        lock.unlock().unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn processes_exclude_each_other() {
        with_file();
        let (held, free) = (Lock::keyed(2 << 2), Lock::keyed(3 << 2));
        held.lock().unwrap();
        let status = in_child(|| {
            // What the parent had is not ours: the table is a copy.
            held.give_back_here();
            i32::from(held.trylock().unwrap()) + 2 * i32::from(free.trylock().unwrap())
        });
        assert_eq!(status, 2);
        // The child died with it.
        assert!(free.trylock().unwrap());
        free.unlock().unwrap();
        held.unlock().unwrap();
        assert_eq!(in_child(|| i32::from(held.trylock().unwrap_or(false))), 1);
    }

    #[test]
    fn another_thread_may_give_it_back() {
        with_file();
        let lock = Lock::keyed(4 << 2);
        lock.lock().unwrap();
        assert!(!lock.trylock().unwrap());
        std::thread::spawn(move || lock.unlock().unwrap())
            .join()
            .unwrap();
        assert!(lock.trylock().unwrap());
        lock.unlock().unwrap();
        let refused = lock.unlock().unwrap_err();
        assert!(matches!(refused, Error::Apr { status, .. } if status == libc::EPERM));
    }

    #[test]
    fn keys_and_numbers_are_apart() {
        with_file();
        let locks = [
            Lock::numbered(0),
            Lock::numbered(7),
            Lock::keyed(0),
            Lock::keyed(4),
            Lock::keyed(u64::MAX),
        ];
        for lock in locks {
            assert!(lock.trylock().unwrap());
        }
        for lock in locks {
            lock.unlock().unwrap();
        }
    }
}
