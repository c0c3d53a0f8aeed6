//! `_apache._socache_store` and friends: sessions in httpd's shared object cache.

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::bytes_room;
use super::requestobject::RequestObject;
use super::text;
use crate::httpd::socache::{self, Cache, Key, Refusal};

/// The open cache, or RuntimeError.
fn cache() -> PyResult<&'static Cache> {
    socache::get().map_err(|why| {
        PyRuntimeError::new_err(format!(
            "MP0640: SocacheSession has no session cache: {why}"
        ))
    })
}

/// The key of a session id, which is 32 hex digits.
fn key(sid: &Bound<'_, PyAny>) -> PyResult<Key> {
    let digits = text::encode(sid)?;
    let mut key = Key::default();
    let mut is_hex = digits.len() == 2 * key.len();
    for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).unwrap_or_default();
        match u8::from_str_radix(pair, 16) {
            Ok(value) => *byte = value,
            Err(_) => is_hex = false,
        }
    }
    if is_hex && digits.iter().all(u8::is_ascii_hexdigit) {
        Ok(key)
    } else {
        Err(PyValueError::new_err("a session id has 32 hex digits"))
    }
}

fn to_py(refusal: Refusal) -> PyErr {
    match refusal {
        Refusal::TooLarge { .. } => PyValueError::new_err(format!("MP0641: {refusal}")),
        Refusal::Failed { .. } => PyOSError::new_err(format!("MP0642: {refusal}")),
    }
}

/// _socache_store(req, sid, value, expires)
///
/// Stores bytes for a session id until a time in seconds since the epoch. Raises RuntimeError without a
/// session cache, ValueError for a value it does not take, and OSError when it fails or is down.
#[pyfunction]
#[pyo3(signature = (req, sid, value, expires, /))]
pub fn _socache_store(
    req: &Bound<'_, RequestObject>,
    sid: &Bound<'_, PyAny>,
    value: &Bound<'_, PyBytes>,
    expires: f64,
) -> PyResult<()> {
    let (cache, key, value) = (cache()?, key(sid)?, value.as_bytes());
    let expires = (expires * 1e6) as i64;
    req.get()
        .state()
        .detached(req.py(), |r| cache.store(r.server(), &key, value, expires))?
        .map_err(to_py)
}

/// _socache_retrieve(req, sid) -> bytes or None
///
/// What is stored for a session id. Raises RuntimeError without a session cache, and OSError when it fails
/// or is down.
#[pyfunction]
#[pyo3(signature = (req, sid, /))]
pub fn _socache_retrieve<'py>(
    req: &Bound<'py, RequestObject>,
    sid: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let (cache, key) = (cache()?, key(sid)?);
    let found = req
        .get()
        .state()
        .detached(req.py(), |r| cache.retrieve(r.server(), &key))?
        .map_err(to_py)?;
    found
        .map(|value| bytes_room::copy(req.py(), &value))
        .transpose()
}

/// _socache_remove(req, sid)
///
/// Removes what is stored for a session id, if anything is. Raises as _socache_retrieve.
#[pyfunction]
#[pyo3(signature = (req, sid, /))]
pub fn _socache_remove(req: &Bound<'_, RequestObject>, sid: &Bound<'_, PyAny>) -> PyResult<()> {
    let (cache, key) = (cache()?, key(sid)?);
    req.get()
        .state()
        .detached(req.py(), |r| cache.remove(r.server(), &key))?
        .map_err(to_py)
}
