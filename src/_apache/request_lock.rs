//! `_apache._request_lock`: global locks that belong to a request, for sessions.
//!
//! A request, with its sub-requests and redirects, may take one lock several times, and locks of several
//! keys although two keys can share a lock. What it holds is given back when its handlers are done, at the
//! latest when the next request of its connection wants one, or when it is over. The last two matter
//! because httpd ends a request only when its response is sent: with pipelining that is after the next
//! request ran, and with a slow client long after.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyTimeoutError, PyValueError};
use pyo3::prelude::*;

use super::counts;
use super::global_lock::hash_of;
use super::request_config::RequestState;
use super::requestobject::RequestObject;
use crate::config::phase::Phase;
use crate::config::DirConfig;
use crate::httpd::locks::Lock;
use crate::httpd::{log, Error, Request};
use crate::interpreter::thread::detach;

/// A lock that a request holds.
pub struct Held {
    lock: Lock,
    /// How many times it was taken.
    count: usize,
}

/// How long a request waits for a further lock that it must not wait for without limit.
const PATIENCE: Duration = Duration::from_secs(10);

/// The request that httpd read, of which this one is a sub-request or a redirect.
fn initial(r: &Request) -> &Request {
    let mut r = r;
    while let Some(outer) = r.main().or_else(|| r.prev()) {
        r = outer;
    }
    r
}

#[cold]
fn refused(error: Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// _request_lock(req, key) -> a lock, held until the object is gone
///
/// Waits until the request has the lock of a key. Raises ValueError when the operating system refuses, and
/// TimeoutError when the request holds another lock already and would have to wait for more than 10 seconds:
/// two requests that take the same two locks crosswise would wait for each other.
#[pyfunction]
#[pyo3(signature = (req, key, /))]
pub fn _request_lock(
    req: &Bound<'_, RequestObject>,
    key: &Bound<'_, PyAny>,
) -> PyResult<RequestLock> {
    let py = req.py();
    let lock = Lock::keyed(hash_of(key)?);
    let owner = req
        .get()
        .state()
        .with(py, |r| RequestState::of(initial(r)).clone())?;
    // SAFETY: replacing a weak reference runs no Python.
    let previous = unsafe {
        owner.conn.lock_owner.with(py, |known| {
            if known.as_ptr() == Arc::as_ptr(&owner) {
                return None;
            }
            std::mem::replace(known, Arc::downgrade(&owner)).upgrade()
        })
    };
    if let Some(previous) = previous {
        release_all(&previous, py);
    }
    if count_up(&owner, py, lock) {
        return Ok(RequestLock { owner, lock });
    }
    // SAFETY: looking runs no Python.
    let highest = unsafe {
        owner
            .locks
            .with(py, |held| held.iter().map(|held| held.lock).max())
    };
    // Free nearly always, and then the GIL need not be given away.
    if !lock.trylock().map_err(refused)? {
        let begin = Instant::now();
        let has_it = if highest < Some(lock) {
            // Everybody who waits here without limit holds only lower locks: nobody waits in a circle.
            detach(py, || lock.lock()).map_err(refused)?;
            true
        } else {
            detach(py, || try_for(PATIENCE, || lock.trylock())).map_err(refused)?
        };
        if let Some(counts) = counts::get() {
            counts.lock_wait(begin.elapsed(), has_it);
        }
        if !has_it {
            return Err(PyTimeoutError::new_err(
                "another request has held a lock for 10 seconds that is needed besides the one held \
                 already; open the sessions of a request in one order everywhere, or unlock one first",
            ));
        }
    }
    // SAFETY: pushing runs no Python.
    unsafe {
        owner
            .locks
            .with(py, |held| held.push(Held { lock, count: 1 }))
    };
    Ok(RequestLock { owner, lock })
}

/// Tries until it works or the time is over.
fn try_for<E>(patience: Duration, mut attempt: impl FnMut() -> Result<bool, E>) -> Result<bool, E> {
    let begin = Instant::now();
    let mut pause = Duration::from_micros(100);
    while !attempt()? {
        if begin.elapsed() > patience {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Ok(true)
}

/// Takes a lock once more that the request holds already.
fn count_up(owner: &RequestState, py: Python<'_>, lock: Lock) -> bool {
    // SAFETY: counting runs no Python.
    unsafe {
        owner.locks.with(py, |held| {
            match held.iter_mut().find(|held| held.lock == lock) {
                Some(held) => {
                    held.count += 1;
                    true
                }
                None => false,
            }
        })
    }
}

/// A lock that a request has, until the last reference to this object is gone.
///
/// If the request is over before, or its handlers are done, the lock is gone before.
#[cfg_attr(
    Py_3_10,
    pyclass(frozen, immutable_type, name = "_RequestLock", module = "_apache")
)]
#[cfg_attr(
    not(Py_3_10),
    pyclass(frozen, name = "_RequestLock", module = "_apache")
)]
pub struct RequestLock {
    owner: Arc<RequestState>,
    lock: Lock,
}

impl Drop for RequestLock {
    fn drop(&mut self) {
        // SAFETY: CPython destroys its objects under the GIL.
        let py = unsafe { Python::assume_attached() };
        // SAFETY: counting runs no Python.
        let is_last = unsafe {
            self.owner.locks.with(py, |held| {
                let Some(at) = held.iter().position(|held| held.lock == self.lock) else {
                    return false;
                };
                held[at].count -= 1;
                let is_last = held[at].count == 0;
                if is_last {
                    held.swap_remove(at);
                }
                is_last
            })
        };
        if is_last {
            give_back(self.lock);
        }
    }
}

fn give_back(lock: Lock) {
    if let Err(error) = lock.unlock() {
        // There is nobody to raise it to.
        log::main_server(log::Level::Warning, &format!("MP0643: {error}"));
    }
}

/// Gives back what a request holds.
#[cold]
pub fn release_all(owner: &RequestState, py: Python<'_>) {
    for held in owner.locks.take(py) {
        give_back(held.lock);
    }
}

/// The handlers of a request are done: gives its locks back, unless a later phase has Python handlers.
///
/// Called with the gate closed again, so that an outer request whose handler still runs keeps its own.
#[inline]
pub fn after_handlers(r: &Request, state: &RequestState, py: Python<'_>) {
    // SAFETY: looking runs no Python.
    let has_owner = unsafe {
        state
            .conn
            .lock_owner
            .with(py, |owner| owner.strong_count() > 0)
    };
    if has_owner {
        after_locked(r, state, py);
    }
}

#[cold]
fn after_locked(r: &Request, state: &RequestState, py: Python<'_>) {
    // SAFETY: looking and taking a reference run no Python.
    let owner = unsafe { state.conn.lock_owner.with(py, |owner| owner.upgrade()) };
    let Some(owner) = owner else { return };
    let first = initial(r);
    let comes_back = [Phase::Log, Phase::Cleanup].into_iter().any(|phase| {
        // SAFETY: this is httpd's thread for the request, and no Python code runs for it now.
        let is_added = unsafe { owner.has_added(phase) };
        let is_configured = |r| DirConfig::of(r).is_some_and(|c| c.handlers(phase, r).is_some());
        is_added || is_configured(first) || is_configured(r)
    });
    if !comes_back && state.conn.gate.is_closed(py) {
        release_all(&owner, py);
    }
}
