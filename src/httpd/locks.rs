//! The global mutexes of the running configuration: made in the parent, re-opened in each child.

use std::ffi::{CStr, CString};

use once_cell::sync::Lazy;
use parking_lot::RwLock;

use super::global_mutex::GlobalMutex;
use super::{mpm, Error, Pool};
use crate::ffi;

struct Lock {
    mutex: GlobalMutex,
    path: CString,
}

/// Replaced by each configuration, before its children are forked; the mutexes live in its pool.
static LOCKS: Lazy<RwLock<Vec<Lock>>> = Lazy::new(|| RwLock::new(Vec::new()));

/// How many mutexes are sensible: `wanted`, but not more than there can be clients, and at least 2.
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

/// Makes the mutexes of a configuration; returns how many there are.
///
/// # Errors
/// When fewer than two could be made: what the operating system refused.
pub fn create(pool: &Pool, directory: &CStr, count: usize) -> Result<usize, Error> {
    let mut made = Vec::with_capacity(count);
    let mut failure = None;
    for number in 0..count {
        let path = format!(
            "{}/mpmtx{}{number}",
            directory.to_string_lossy(),
            std::process::id()
        );
        let path = CString::new(path).unwrap_or_default();
        match GlobalMutex::create(pool, &path) {
            Ok(mutex) => made.push(Lock { mutex, path }),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    if let Some(error) = failure {
        if made.len() < 4 {
            return Err(error);
        }
        // Leave the system some: it was near its limit.
        made.truncate(made.len() - 2);
    }
    let count = made.len();
    *LOCKS.write() = made;
    Ok(count)
}

/// Re-opens the mutexes in a child.
///
/// # Errors
/// What the operating system refused.
pub fn child_init(pool: &Pool) -> Result<(), Error> {
    LOCKS
        .write()
        .iter_mut()
        .try_for_each(|lock| lock.mutex.child_init(pool, &lock.path))
}

/// How many there are.
pub fn count() -> usize {
    LOCKS.read().len()
}

/// The mutex of an index below [`count`].
pub fn get(index: usize) -> GlobalMutex {
    LOCKS.read()[index].mutex
}
