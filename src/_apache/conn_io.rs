//! Raw bytes for connection handlers: what `conn.read`, `readline` and `write` do. (objects.md 3.2)

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::bytes_room;
use super::request_config::ConnState;
use super::{errors, request_io};
use crate::httpd::conn_io::{ConnBrigade, Read, READ_FAILED};
use crate::httpd::{Conn, Error};

/// How much one read without a length asks for.
const CHUNK: usize = 8192;

/// Runs an operation without the GIL, with a brigade that an earlier one has left.
fn detached<R>(
    state: &ConnState,
    py: Python<'_>,
    body: impl FnOnce(&Conn, &ConnBrigade) -> R,
) -> PyResult<R> {
    // SAFETY: `pop` runs no Python.
    let kept = unsafe { state.brigades.with(py, Vec::pop) };
    let (brigade, result) = state.detached(py, |c| {
        let brigade = kept.unwrap_or_else(|| c.make_brigade());
        let result = body(c, &brigade);
        (brigade, result)
    })?;
    // SAFETY: `push` runs no Python.
    unsafe { state.brigades.with(py, |brigades| brigades.push(brigade)) };
    Ok(result)
}

/// `conn.read`
pub fn read<'py>(
    state: &ConnState,
    py: Python<'py>,
    n: isize,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let limit = match n {
        0 => CHUNK,
        n if n > 0 => n as usize,
        _ => return read_all(state, py),
    };
    let mut ahead = state.read_ahead.take(py);
    if !ahead.is_empty() {
        let rest = ahead.split_off(ahead.len().min(limit));
        state.read_ahead.replace(py, rest);
        return bytes_room::copy(py, &ahead).map(Some);
    }
    match detached(state, py, |c, brigade| c.read(brigade, limit))? {
        Ok(Read::Data(data)) => bytes_room::copy(py, &data).map(Some),
        Ok(Read::Eos) => Ok(None),
        Err(error) => Err(errors::to_py(py, error)),
    }
}

/// Everything until the peer closes.
fn read_all<'py>(state: &ConnState, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let mut all = state.read_ahead.take(py);
    let had_some = !all.is_empty();
    let result = detached(state, py, |c, brigade| -> Result<(), Error> {
        loop {
            match c.read(brigade, CHUNK)? {
                Read::Data(data) => all.extend_from_slice(&data),
                Read::Eos => return Ok(()),
            }
        }
    })?;
    match result {
        Err(_) if all.is_empty() && !had_some => Err(PyOSError::new_err(READ_FAILED)),
        _ => bytes_room::copy(py, &all).map(Some),
    }
}

/// `conn.readline`
pub fn readline<'py>(
    state: &ConnState,
    py: Python<'py>,
    n: isize,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let limit = if n > 0 { n as usize } else { usize::MAX };
    let mut line = state.read_ahead.take(py);
    let mut ended = None;
    loop {
        let newline = memchr::memchr(b'\n', &line).map(|at| at + 1);
        let end = newline.unwrap_or(line.len()).min(limit);
        if newline.is_some() || line.len() >= limit || ended.is_some() {
            let rest = line.split_off(end);
            state.read_ahead.replace(py, rest);
            break;
        }
        match detached(state, py, Conn::read_line)? {
            Ok(Read::Data(data)) => line.extend_from_slice(&data),
            Ok(Read::Eos) => ended = Some(None),
            Err(error) => ended = Some(Some(error)),
        }
    }
    match ended {
        Some(Some(error)) if line.is_empty() => Err(errors::to_py(py, error)),
        Some(None) if line.is_empty() => Ok(None),
        _ => bytes_room::copy(py, &line).map(Some),
    }
}

/// `conn.write`
pub fn write(state: &ConnState, data: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = data.py();
    let copy;
    let bytes: &[u8] = if let Ok(bytes) = data.cast::<PyBytes>() {
        bytes.as_bytes()
    } else if let Ok(string) = data.cast::<PyString>() {
        string.to_str()?.as_bytes()
    } else {
        copy = request_io::copy_exported(data)?;
        copy.as_bytes()
    };
    if bytes.is_empty() {
        return state.with(py, |_| ());
    }
    detached(state, py, |c, brigade| c.write(brigade, bytes))
}
