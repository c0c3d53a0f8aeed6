//! `_apache.parse_qs` and `_apache.parse_qsl`: query strings to Python objects.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use crate::_apache::text;
use crate::forms::urlencoded;

/// parse_qsl(qs[, keep_blank_values[, strict_parsing]]) -> list of (name, value)
///
/// qs is str or bytes, names and values are of the same type. ``&`` and ``;`` separate pairs; pairs whose
/// value is empty are left out unless keep_blank_values is true. strict_parsing is accepted for
/// compatibility. In str, bytes that are not UTF-8 become U+FFFD. Raises TypeError for other types.
#[pyfunction]
#[pyo3(signature = (qs, keep_blank_values=None, strict_parsing=None, /))]
pub fn parse_qsl<'py>(
    py: Python<'py>,
    qs: &Bound<'py, PyAny>,
    keep_blank_values: Option<&Bound<'py, PyAny>>,
    strict_parsing: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    let _ = strict_parsing;
    let kind = Kind::of(qs, "parse_qsl")?;
    let list = PyList::empty(py);
    for (name, value) in urlencoded::pairs(&text::encode(qs)?, is_true(keep_blank_values)?) {
        list.append((kind.make(py, &name), kind.make(py, &value)))?;
    }
    Ok(list)
}

/// parse_qs(qs[, keep_blank_values[, strict_parsing]]) -> dict from name to list of values
///
/// Arguments and errors are those of parse_qsl.
#[pyfunction]
#[pyo3(signature = (qs, keep_blank_values=None, strict_parsing=None, /))]
pub fn parse_qs<'py>(
    py: Python<'py>,
    qs: &Bound<'py, PyAny>,
    keep_blank_values: Option<&Bound<'py, PyAny>>,
    strict_parsing: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let _ = strict_parsing;
    let kind = Kind::of(qs, "parse_qs")?;
    let dict = PyDict::new(py);
    for (name, value) in urlencoded::pairs(&text::encode(qs)?, is_true(keep_blank_values)?) {
        let (name, value) = (kind.make(py, &name), kind.make(py, &value));
        match dict.get_item(&name)? {
            Some(values) => values.cast_into::<PyList>()?.append(value)?,
            None => dict.set_item(name, PyList::new(py, [value])?)?,
        }
    }
    Ok(dict)
}

/// The type of the argument, which is that of the result.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bytes,
}

impl Kind {
    fn of(qs: &Bound<'_, PyAny>, function: &str) -> PyResult<Kind> {
        if qs.is_instance_of::<PyString>() {
            Ok(Kind::Text)
        } else if qs.is_instance_of::<PyBytes>() {
            Ok(Kind::Bytes)
        } else {
            Err(PyTypeError::new_err(format!(
                "{function}() argument must be str or bytes, not {}",
                text::type_name(qs)
            )))
        }
    }

    fn make<'py>(self, py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyAny> {
        match self {
            Kind::Text => decode_replacing(py, bytes).into_any(),
            Kind::Bytes => PyBytes::new(py, bytes).into_any(),
        }
    }
}

/// Decodes UTF-8 the way forms are decoded: what is not UTF-8 becomes U+FFFD, as in urllib.
pub fn decode_replacing<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    // SAFETY: CPython reads `len` bytes; the error handler's name is a C string. Decoding with
    // replacement fails only without memory.
    unsafe {
        let raw = ffi::PyUnicode_DecodeUTF8(
            bytes.as_ptr().cast(),
            bytes.len() as ffi::Py_ssize_t,
            c"replace".as_ptr(),
        );
        Bound::from_owned_ptr(py, raw).cast_into_unchecked()
    }
}

/// The truth of an optional flag; without one false.
pub fn is_true(flag: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    flag.map_or(Ok(false), |flag| flag.is_truthy())
}
