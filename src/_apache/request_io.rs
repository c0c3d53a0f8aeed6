//! The response's body: what `req.write`, `flush` and `sendfile` do.

use std::sync::Arc;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyOSError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::request_config::RequestState;
use super::{errors, text};
use crate::httpd::request_io::{FLUSH_FAILED, WRITE_FAILED};
use crate::httpd::{Error, Request};

/// How much unflushed output httpd keeps before it hands all of it on, with what did not fit any more
/// (APR_BUCKET_BUFF_SIZE; see `apr_brigade_write` with a flush function).
const BUFFER: usize = 8000;

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
    write_buffer(state, data, flush)
}

/// Writes what another object exports: bytearray, memoryview, array ...
fn write_buffer(state: &Arc<RequestState>, data: &Bound<'_, PyAny>, flush: bool) -> PyResult<()> {
    let buffer = match PyUntypedBuffer::get(data) {
        Ok(buffer) if buffer.is_c_contiguous() => buffer,
        // Those of ctypes do not tell pyo3 enough.
        _ => {
            let copy = copy_exported(data)?;
            return write_bytes(state, data.py(), copy.as_bytes(), flush);
        }
    };
    // As in CPython's own write functions, a thread that changes the memory meanwhile changes what is
    // sent; the memory itself stays while it is exported.
    let memory = std::ptr::slice_from_raw_parts(buffer.buf_ptr().cast(), buffer.len_bytes());
    // SAFETY: exported until `buffer` is dropped.
    unsafe { write_memory(state, data.py(), memory, flush) }
}

/// The bytes that an object exports: those of a bytearray, a memoryview, an array ...
///
/// # Errors
/// TypeError where it exports none; what its own code raises.
pub fn copy_exported<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: a look at the object's type.
    if unsafe { pyo3::ffi::PyObject_CheckBuffer(data.as_ptr()) } == 0 {
        return Err(PyTypeError::new_err(format!(
            "a bytes-like object is required, not '{}'",
            text::type_name(data)
        )));
    }
    let copy = data.py().get_type::<PyBytes>().call1((data,))?;
    Ok(copy.cast_into()?)
}

#[inline]
pub fn write_bytes(
    state: &Arc<RequestState>,
    py: Python<'_>,
    bytes: &[u8],
    flush: bool,
) -> PyResult<()> {
    // SAFETY: borrowed for the length of the call.
    unsafe { write_memory(state, py, bytes, flush) }
}

/// Writes bytes; a few of them, unflushed, stay in httpd's buffer and need not let go of the GIL.
///
/// # Safety
/// The memory stays readable for the length of the call.
#[inline]
unsafe fn write_memory(
    state: &Arc<RequestState>,
    py: Python<'_>,
    memory: *const [u8],
    flush: bool,
) -> PyResult<()> {
    let length = memory.len();
    if length == 0 {
        return state.with(py, |_| ());
    }
    let unsent = state.unsent.get(py).saturating_add(length);
    let result = if state.head_sent.get(py) {
        state.with(py, Request::writable)?
    } else if !flush && unsent <= BUFFER {
        state.unsent.replace(py, unsent);
        // SAFETY: the caller's promise.
        state.with(py, |r| unsafe { r.write_memory(memory) })?
    } else {
        // Either way the buffer is empty afterwards.
        state.unsent.replace(py, 0);
        let (result, is_all) = state.detached(py, |r| {
            // SAFETY: the caller's promise.
            let written = unsafe { r.write_memory(memory) };
            let result = written.and_then(|()| if flush { r.flush() } else { Ok(()) });
            (result, r.wants_head_only())
        })?;
        state.head_sent.replace(py, is_all);
        result
    };
    result.map_err(|error| match error {
        // Whichever step failed, it was a write.
        Error::Client(FLUSH_FAILED) => PyOSError::new_err(WRITE_FAILED),
        error => errors::to_py(py, error),
    })?;
    state
        .bytes_queued
        .replace(py, state.bytes_queued.get(py) + length as i64);
    Ok(())
}

/// `req.flush`
pub fn flush(state: &Arc<RequestState>, py: Python<'_>) -> PyResult<()> {
    if state.head_sent.get(py) {
        return state.with(py, |_| ());
    }
    let (result, is_all) = state.detached(py, |r| (r.flush(), r.wants_head_only()))?;
    result.map_err(|error| errors::to_py(py, error))?;
    state.head_sent.replace(py, is_all);
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
    let is_sent = state.head_sent.get(py);
    let (result, is_all) = state.detached(py, |r| {
        (
            r.sendfile(&c_path, offset, length, !is_sent),
            r.wants_head_only(),
        )
    })?;
    let sent = result.map_err(|error| PyOSError::new_err(error.to_string()))?;
    state.head_sent.replace(py, is_all);
    state.unsent.replace(py, 0);
    state
        .bytes_queued
        .replace(py, state.bytes_queued.get(py) + sent);
    Ok(sent)
}

/// `req.send_interim_response`
pub fn send_interim_response(
    state: &RequestState,
    py: Python<'_>,
    status: i32,
    headers: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    if !(100..200).contains(&status) || status == 101 {
        return Err(pyo3::exceptions::PyValueError::new_err(format!(
            "{status} is not the status of an interim response"
        )));
    }
    let mut pairs = Vec::new();
    if let Some(headers) = headers.filter(|headers| !headers.is_none()) {
        let items = if headers.hasattr("items")? {
            headers.call_method0("items")?
        } else {
            headers.clone()
        };
        for pair in items.try_iter()? {
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair?.extract()?;
            let (name, value) = (text::to_c_arg(&name)?, text::to_c_arg(&value)?);
            let is_split =
                |text: &std::ffi::CStr| text.to_bytes().iter().any(|b| matches!(b, b'\r' | b'\n'));
            if is_split(&name) || is_split(&value) {
                return Err(pyo3::exceptions::PyValueError::new_err(format!(
                    "the header {name:?} holds a line break"
                )));
            }
            pairs.push((name, value));
        }
    }
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (name.as_c_str(), value.as_c_str()))
        .collect();
    if state.with(py, |r| r.sent_bodyct() != 0)? {
        return Err(pyo3::exceptions::PyRuntimeError::new_err(
            "the response has begun: an interim response comes before it",
        ));
    }
    state.detached(py, |r| r.send_interim_response(status, &pairs))
}
