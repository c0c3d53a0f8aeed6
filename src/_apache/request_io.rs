//! Bodies in and out: what `req.read`, `readline`, `write`, `flush` and `sendfile` do.

use std::sync::Arc;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyOSError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::request_config::RequestState;
use super::{errors, text};
use crate::httpd::Error;

/// How much unflushed output httpd keeps before it hands all of it on, with what did not fit any more
/// (APR_BUCKET_BUFF_SIZE; see `apr_brigade_write` with a flush function).
const BUFFER: usize = 8000;
/// How much is asked of httpd at a time where the program did not say.
const CHUNK: usize = 64 * 1024;

/// `req.write`
#[inline]
pub fn write(state: &Arc<RequestState>, data: &Bound<'_, PyAny>, flush: bool) -> PyResult<()> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return write_bytes(state, data.py(), bytes.as_bytes(), flush);
    }
    if let Ok(string) = data.cast::<PyString>() {
        // Strict, unlike names and headers: what cannot be sent is the program's error.
        return write_bytes(state, data.py(), string.to_str()?.as_bytes(), flush);
    }
    let Ok(buffer) = PyBuffer::<u8>::get(data) else {
        return Err(PyTypeError::new_err(format!(
            "a bytes-like object is required, not '{}'",
            text::type_name(data)
        )));
    };
    // Another thread could change the memory while it is sent without the GIL, so it is copied.
    let copy = buffer.to_vec(data.py())?;
    write_bytes(state, data.py(), &copy, flush)
}

/// Writes bytes; a few of them, unflushed, stay in httpd's buffer and need not let go of the GIL.
#[inline]
fn write_bytes(
    state: &Arc<RequestState>,
    py: Python<'_>,
    bytes: &[u8],
    flush: bool,
) -> PyResult<()> {
    if bytes.is_empty() {
        return state.with(py, |_| ());
    }
    let unsent = state.unsent.get(py).saturating_add(bytes.len());
    let result = if !flush && unsent <= BUFFER {
        state.unsent.replace(py, unsent);
        state.with(py, |r| r.write(bytes))?
    } else {
        // Either way the buffer is empty afterwards.
        state.unsent.replace(py, 0);
        state.detached(py, |r| {
            r.write(bytes)?;
            if flush {
                r.flush()
            } else {
                Ok(())
            }
        })?
    };
    result.map_err(|error| match error {
        // Whichever step failed, it was a write.
        Error::Client(_) => PyOSError::new_err(crate::httpd::request_io::WRITE_FAILED),
        error => errors::to_py(py, error),
    })?;
    state
        .bytes_queued
        .replace(py, state.bytes_queued.get(py) + bytes.len() as i64);
    Ok(())
}

/// `req.flush`
pub fn flush(state: &Arc<RequestState>, py: Python<'_>) -> PyResult<()> {
    state
        .detached(py, |r| r.flush())?
        .map_err(|error| errors::to_py(py, error))?;
    state.unsent.replace(py, 0);
    Ok(())
}

/// `req.sendfile`
pub fn sendfile(
    state: &Arc<RequestState>,
    path: &Bound<'_, PyAny>,
    offset: i64,
    len: i64,
) -> PyResult<i64> {
    let py = path.py();
    if !path.is_instance_of::<PyString>()
        && !path.is_instance_of::<PyBytes>()
        && !path.hasattr("__fspath__")?
    {
        return Err(PyTypeError::new_err(format!(
            "argument 1 must be str, not {}",
            text::type_name(path)
        )));
    }
    let path = if path.hasattr("__fspath__")? {
        path.call_method0("__fspath__")?
    } else {
        path.clone()
    };
    let c_path = text::to_c_arg(&path)?;
    if offset < 0 {
        return Err(pyo3::exceptions::PyValueError::new_err(
            "offset must not be negative",
        ));
    }
    let length = if len < 0 { None } else { Some(len) };
    let sent = state
        .detached(py, |r| r.sendfile(&c_path, offset, length))?
        .map_err(|error| PyOSError::new_err(error.to_string()))?;
    state.unsent.replace(py, 0);
    state
        .bytes_queued
        .replace(py, state.bytes_queued.get(py) + sent);
    Ok(sent)
}

/// `req.read`
pub fn read<'py>(
    state: &Arc<RequestState>,
    py: Python<'py>,
    len: isize,
) -> PyResult<Bound<'py, PyBytes>> {
    if len == 0 {
        state.with(py, |_| ())?;
        return Ok(PyBytes::new(py, b""));
    }
    if len < 0 {
        return read_all(state, py);
    }
    let wanted = len as usize;
    let mut kept = take_kept(state, py, wanted);
    if kept.len() == wanted || at_end(state, py) {
        return Ok(PyBytes::new(py, &kept));
    }
    // A huge length is a limit, not a promise: grow with what comes.
    while kept.len() < wanted {
        let room = (wanted - kept.len()).min(CHUNK.max(kept.len()));
        if fill(state, py, &mut kept, room)? == 0 {
            break;
        }
    }
    Ok(PyBytes::new(py, &kept))
}

/// The rest of the body; straight into the bytes object where its length was announced.
fn read_all<'py>(state: &Arc<RequestState>, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
    let mut all = take_kept(state, py, usize::MAX);
    if at_end(state, py) {
        return Ok(PyBytes::new(py, &all));
    }
    set_up(state, py)?;
    let announced = state.with(py, |r| {
        if r.read_chunked() != 0 {
            0
        } else {
            r.remaining() - r.read_length()
        }
    })?;
    // The announcement is the client's word: memory is taken as bytes come.
    let mut room = usize::try_from(announced)
        .unwrap_or(0)
        .clamp(CHUNK, 1 << 20);
    loop {
        let got = fill(state, py, &mut all, room)?;
        if got == 0 {
            return Ok(PyBytes::new(py, &all));
        }
        room = CHUNK.max(all.len()).min(1 << 24);
    }
}

/// `req.readline`
pub fn readline<'py>(
    state: &Arc<RequestState>,
    py: Python<'py>,
    len: isize,
) -> PyResult<Bound<'py, PyBytes>> {
    state.with(py, |_| ())?;
    let limit = usize::try_from(len).unwrap_or(usize::MAX);
    if limit == 0 {
        return Ok(PyBytes::new(py, b""));
    }
    let mut searched = 0;
    loop {
        // SAFETY: searching runs no Python.
        let found = unsafe {
            state.body.with(py, |body| {
                let unread = &body.buffer[body.start..];
                match memchr::memchr(b'\n', &unread[searched..]) {
                    Some(at) => Some(searched + at + 1),
                    None => {
                        searched = unread.len();
                        (searched >= limit).then_some(limit)
                    }
                }
            })
        };
        if let Some(end) = found {
            return Ok(PyBytes::new(py, &take_kept(state, py, end.min(limit))));
        }
        if at_end(state, py) {
            return Ok(PyBytes::new(py, &take_kept(state, py, usize::MAX)));
        }
        let mut more = Vec::new();
        let got = fill(state, py, &mut more, CHUNK)?;
        if got > 0 {
            // SAFETY: as above.
            unsafe {
                state.body.with(py, |body| {
                    if body.start > 0 {
                        body.buffer.drain(..body.start);
                        body.start = 0;
                    }
                    body.buffer.extend_from_slice(&more);
                });
            }
        }
    }
}

/// Up to `wanted` bytes of what was read ahead.
fn take_kept(state: &RequestState, py: Python<'_>, wanted: usize) -> Vec<u8> {
    // SAFETY: copying runs no Python.
    unsafe {
        state.body.with(py, |body| {
            let unread = body.buffer.len() - body.start;
            if wanted >= unread {
                let mut taken = std::mem::take(&mut body.buffer);
                taken.drain(..body.start);
                body.start = 0;
                return taken;
            }
            let taken = body.buffer[body.start..body.start + wanted].to_vec();
            body.start += wanted;
            taken
        })
    }
}

fn at_end(state: &RequestState, py: Python<'_>) -> bool {
    // SAFETY: runs no Python.
    unsafe { state.body.with(py, |body| body.is_at_end) }
}

/// Prepares reading, once.
fn set_up(state: &RequestState, py: Python<'_>) -> PyResult<()> {
    // SAFETY: runs no Python.
    let is_set_up = unsafe {
        state
            .body
            .with(py, |body| std::mem::replace(&mut body.is_set_up, true))
    };
    if is_set_up {
        return Ok(());
    }
    let has_body = state
        .detached(py, |r| r.setup_body())?
        .map_err(|error| errors::to_py(py, error))?;
    // SAFETY: as above.
    unsafe { state.body.with(py, |body| body.is_at_end = !has_body) };
    Ok(())
}

/// Waits for up to `room` bytes of the body and appends them; 0 at its end.
fn fill(
    state: &RequestState,
    py: Python<'_>,
    target: &mut Vec<u8>,
    room: usize,
) -> PyResult<usize> {
    set_up(state, py)?;
    if at_end(state, py) {
        return Ok(0);
    }
    let old = target.len();
    target
        .try_reserve(room)
        .map_err(|_| pyo3::exceptions::PyMemoryError::new_err(()))?;
    target.resize(old + room, 0);
    let result = state.detached(py, |r| r.read_body_into(&mut target[old..]))?;
    let got = match result {
        Ok(got) => got,
        Err(error) => {
            target.truncate(old);
            return Err(errors::to_py(py, error));
        }
    };
    target.truncate(old + got);
    if got == 0 {
        // SAFETY: runs no Python.
        unsafe { state.body.with(py, |body| body.is_at_end = true) };
    }
    Ok(got)
}
