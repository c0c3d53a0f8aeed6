//! `_apache.parse_qs` and `_apache.parse_qsl`: query strings to Python objects.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use super::bytes_room;
use crate::_apache::text;
use crate::forms::urlencoded;

/// parse_qsl(qs[, keep_blank_values[, strict_parsing]]) -> list of (name, value)
///
/// qs is str or bytes, names and values are of the same type. ``&`` and ``;`` separate pairs; pairs whose
/// value is empty are left out unless keep_blank_values is true. strict_parsing is accepted for
/// compatibility. In str, bytes that are not UTF-8 become U+FFFD. Raises TypeError for other types.
#[pyfunction]
#[pyo3(signature = (*args), text_signature = "(qs, keep_blank_values=0, strict_parsing=0, /)")]
pub fn parse_qsl<'py>(args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyList>> {
    let py = args.py();
    let (kind, qs, keep_blank_values) = arguments(args)?;
    let list = PyList::empty(py);
    urlencoded::each_pair(&text::encode(&qs)?, keep_blank_values, |name, value| {
        list.append((kind.make(py, name)?, kind.make(py, value)?))
    })?;
    Ok(list)
}

/// parse_qs(qs[, keep_blank_values[, strict_parsing]]) -> dict from name to list of values
///
/// Arguments and errors are those of parse_qsl.
#[pyfunction]
#[pyo3(signature = (*args), text_signature = "(qs, keep_blank_values=0, strict_parsing=0, /)")]
pub fn parse_qs<'py>(args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyDict>> {
    let py = args.py();
    let (kind, qs, keep_blank_values) = arguments(args)?;
    let dict = PyDict::new(py);
    urlencoded::each_pair(&text::encode(&qs)?, keep_blank_values, |name, value| {
        let (name, value) = (kind.make(py, name)?, kind.make(py, value)?);
        match dict.get_item(&name)? {
            Some(values) => values.cast_into::<PyList>()?.append(value),
            None => dict.set_item(name, PyList::new(py, [value])?),
        }
    })?;
    Ok(dict)
}

/// The type of qs, qs, and keep_blank_values.
fn arguments<'py>(args: &Bound<'py, PyTuple>) -> PyResult<(Kind, Bound<'py, PyAny>, bool)> {
    let count = args.len();
    if count == 0 || count > 3 {
        let bound = if count == 0 {
            "at least 1 argument"
        } else {
            "at most 3 arguments"
        };
        return Err(PyTypeError::new_err(format!(
            "function takes {bound} ({count} given)"
        )));
    }
    let qs = args.get_item(0)?;
    let kind = if qs.is_instance_of::<PyString>() {
        Kind::Text
    } else if qs.is_instance_of::<PyBytes>() {
        Kind::Bytes
    } else {
        return Err(PyTypeError::new_err("not an ISO-8859-1 string"));
    };
    Ok((kind, qs, count > 1 && args.get_item(1)?.is_truthy()?))
}

/// The type of the argument, which is that of the result.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bytes,
}

impl Kind {
    fn make<'py>(self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Kind::Text => decode_replacing(py, bytes).map(Bound::into_any),
            Kind::Bytes => bytes_room::copy(py, bytes).map(Bound::into_any),
        }
    }
}

/// Decodes UTF-8 the way forms are decoded: what is not UTF-8 becomes U+FFFD, as in urllib.
///
/// # Errors
/// MemoryError.
pub fn decode_replacing<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let length = bytes.len() as ffi::Py_ssize_t;
    // SAFETY: a new ASCII str has room for `length` bytes, which are written before anybody sees it.
    // Otherwise CPython reads `length` bytes and the name of the error handler, a C string. Both fail
    // only without memory.
    unsafe {
        let raw = if length > 1 && bytes.is_ascii() {
            let raw = ffi::PyUnicode_New(length, 127);
            if !raw.is_null() {
                let data = ffi::PyUnicode_DATA(raw) as *mut u8;
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
            }
            raw
        } else {
            ffi::PyUnicode_DecodeUTF8(bytes.as_ptr().cast(), length, c"replace".as_ptr())
        };
        Bound::from_owned_ptr_or_err(py, raw).map(|text| text.cast_into_unchecked())
    }
}
