//! What the text of forms is encoded in: UTF-8, or what `PythonOption mod_python.util.encoding` names.

use std::ffi::{CStr, CString};

use pyo3::exceptions::{PyLookupError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::parse_qs::decode_replacing;
use super::{request_options, text};

const OPTION: &CStr = c"mod_python.util.encoding";

/// The encoding that the request's configuration names, None for UTF-8.
pub fn of(req: &Bound<'_, PyAny>) -> PyResult<Option<CString>> {
    if !request_options::has_any(req, OPTION.to_bytes())? {
        return Ok(None);
    }
    let Some(name) = request_options::option(req, OPTION)? else {
        return Ok(None);
    };
    let name = text::to_c_arg(name.as_any())?;
    let is_utf8 = [&b"utf-8"[..], b"utf8", b""]
        .iter()
        .any(|known| name.as_bytes().eq_ignore_ascii_case(known));
    Ok((!is_utf8).then(|| name.as_c_str().to_owned()))
}

/// Decodes text of a form; bytes that mean nothing in the encoding become U+FFFD.
///
/// # Errors
/// ValueError if Python knows no text encoding of that name.
pub fn decode<'py>(
    py: Python<'py>,
    bytes: &[u8],
    encoding: Option<&CStr>,
) -> PyResult<Bound<'py, PyString>> {
    let Some(encoding) = encoding else {
        return decode_replacing(py, bytes);
    };
    // SAFETY: CPython reads `length` bytes and two C strings.
    let decoded = unsafe {
        let raw = ffi::PyUnicode_Decode(
            bytes.as_ptr().cast(),
            bytes.len() as ffi::Py_ssize_t,
            encoding.as_ptr(),
            c"replace".as_ptr(),
        );
        Bound::from_owned_ptr_or_err(py, raw)
    };
    match decoded {
        Ok(decoded) => Ok(decoded.cast_into()?),
        Err(error) if error.is_instance_of::<PyLookupError>(py) => {
            let option = OPTION.to_string_lossy();
            Err(PyValueError::new_err(format!(
                "PythonOption {option}: {}",
                error.value(py)
            )))
        }
        Err(error) => Err(error),
    }
}
