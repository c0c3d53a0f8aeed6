//! `_apache._global_lock` and friends: locks among all threads of all children. (apache_module.md 4.2)

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::serverobject::ServerObject;
use crate::httpd::locks::{self, Lock};
use crate::httpd::{log, Server};
use crate::interpreter::thread::detach;
use crate::interpreter::watch;

/// Which lock a call means.
fn choose(
    server: &Bound<'_, PyAny>,
    key: &Bound<'_, PyAny>,
    index: isize,
) -> PyResult<(usize, *mut crate::httpd::server::Raw)> {
    let Ok(server) = server.cast::<ServerObject>() else {
        return Err(PyTypeError::new_err(
            "First argument must be a server object",
        ));
    };
    let server = server.get().server();
    let count = locks::count();
    let index = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) if index == -1 => index_of(key, count)?,
        Err(_) => usize::MAX,
    };
    if index >= count {
        let message = format!(
            "Index {} is out of range for number of global mutex locks",
            index as isize
        );
        log::server(Some(server), log::Level::Warning as i32, message.as_bytes());
        return Err(PyValueError::new_err(
            "Lock index is out of range for number of global mutex locks",
        ));
    }
    Ok((index, server.as_ptr()))
}

/// The lock of a key; lock 0 is for dbm files.
fn index_of(key: &Bound<'_, PyAny>, count: usize) -> PyResult<usize> {
    let hash = hash_of(key)?;
    if count < 2 {
        return Ok(0);
    }
    Ok((hash % (count as u64 - 1)) as usize + 1)
}

/// The hash of a key, the same in every child: Python's own of str differs between processes.
pub fn hash_of(key: &Bound<'_, PyAny>) -> PyResult<u64> {
    // Unhashable keys are errors, as they always were.
    key.hash()?;
    let text;
    let bytes: &[u8] = if let Ok(bytes) = key.cast::<PyBytes>() {
        bytes.as_bytes()
    } else {
        text = if key.is_instance_of::<PyString>() {
            super::text::encode(key)?.into_owned()
        } else {
            key.repr()?.to_string_lossy().into_owned().into_bytes()
        };
        &text
    };
    // FNV-1a
    Ok(bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

/// Says in the log that the operating system refused; the exception for it.
#[cold]
fn failed(
    server: *mut crate::httpd::server::Raw,
    what: &str,
    index: usize,
    error: &crate::httpd::Error,
) -> PyErr {
    // SAFETY: servers live as long as the child.
    let server = unsafe { Server::from_raw(server) };
    let message = format!("Failed to {what} global mutex lock at index {index}: {error}");
    log::server(Some(server), log::Level::Warning as i32, message.as_bytes());
    PyValueError::new_err(format!("Failed to {what} global mutex lock"))
}

/// Waits for the lock of a key, or of an index.
///
/// Not recursive: a thread that takes a lock twice waits for itself. Raises ValueError for an index out
/// of range, and when the operating system refuses.
#[pyfunction]
#[pyo3(signature = (server, key, index = -1), text_signature = "(server, key, index=-1)")]
pub fn _global_lock(
    server: &Bound<'_, PyAny>,
    key: &Bound<'_, PyAny>,
    index: isize,
) -> PyResult<()> {
    let (index, raw) = choose(server, key, index)?;
    let taken = detach(key.py(), || Lock::numbered(index).lock());
    // A RequestTimeout that came meanwhile would be raised before the program is in its `try`.
    watch::postpone(key.py());
    taken.map_err(|error| failed(raw, "acquire", index, &error))
}

/// Takes the lock if it is free; True when it was.
#[pyfunction]
#[pyo3(signature = (server, key, index = -1), text_signature = "(server, key, index=-1)")]
pub fn _global_trylock(
    server: &Bound<'_, PyAny>,
    key: &Bound<'_, PyAny>,
    index: isize,
) -> PyResult<bool> {
    let (index, raw) = choose(server, key, index)?;
    let taken = detach(key.py(), || Lock::numbered(index).trylock());
    watch::postpone(key.py());
    taken.map_err(|error| failed(raw, "acquire", index, &error))
}

/// Gives the lock back. Raises ValueError when it is not held.
#[pyfunction]
#[pyo3(signature = (server, key, index = -1), text_signature = "(server, key, index=-1)")]
pub fn _global_unlock(
    server: &Bound<'_, PyAny>,
    key: &Bound<'_, PyAny>,
    index: isize,
) -> PyResult<()> {
    let (index, raw) = choose(server, key, index)?;
    Lock::numbered(index)
        .unlock()
        .map_err(|error| failed(raw, "release", index, &error))
}
