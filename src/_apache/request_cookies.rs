//! What `mod_python.Cookie` and `Session` ask about cookies, without the objects they would make for it.

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString};

use super::requestobject::RequestObject;
use super::text;
use crate::cookies;

/// _cookie_pairs(header) -> list of (name, value), or None
///
/// The cookies in the text of a Cookie header; None if it is not ASCII.
#[pyfunction]
#[pyo3(signature = (header, /))]
pub fn _cookie_pairs<'py>(header: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyList>>> {
    let py = header.py();
    let bytes = text::encode(header)?;
    if !bytes.is_ascii() {
        return Ok(None);
    }
    let pairs = PyList::empty(py);
    for (name, value) in cookies::pairs(&bytes) {
        pairs.append((text::decode(py, name)?, text::decode(py, value)?))?;
    }
    Ok(Some(pairs))
}

/// _session_id(req, name) -> str or None
///
/// The value of the request's last cookie of that name, if it is 32 hex digits in lower case.
#[pyfunction]
#[pyo3(signature = (req, name, /))]
pub fn _session_id<'py>(
    req: &Bound<'py, RequestObject>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyString>>> {
    let py = req.py();
    let name = text::encode(name)?;
    req.get().state().with(py, |r| {
        let mut last = None;
        let is_cookie = |key: &CStr| key.to_bytes().eq_ignore_ascii_case(b"Cookie");
        for header in r
            .headers_in()
            .entries()
            .filter(|entry| is_cookie(entry.key))
        {
            let header = header.value.map_or(&b""[..], |value| value.to_bytes());
            let of_name = |pair: &(&[u8], &[u8])| pair.0 == &*name;
            last = cookies::pairs(header)
                .filter(of_name)
                .map(|(_, value)| value)
                .last()
                .or(last);
        }
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        last.filter(|value| value.len() == 32 && value.iter().all(is_digit))
            .map(|value| text::decode(py, value))
            .transpose()
    })?
}

/// Attributes of a cookie in the order in which they are sent: as Python spells them, as they are sent,
/// and whether the name alone is sent.
const ATTRIBUTES: [(&str, &str, bool); 12] = [
    ("version", "version", false),
    ("path", "path", false),
    ("domain", "domain", false),
    ("secure", "secure", true),
    ("comment", "comment", false),
    ("expires", "expires", false),
    ("max_age", "Max-Age", false),
    ("samesite", "samesite", false),
    ("commentURL", "commentURL", false),
    ("discard", "discard", true),
    ("port", "port", false),
    ("httponly", "httponly", true),
];

/// Appends a plain str or int; false for anything that could end the value or needs a closer look.
fn push(text: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    if let Ok(value) = value.cast_exact::<PyString>() {
        let bytes = text::encode(value)?;
        text.extend_from_slice(&bytes);
        return Ok(bytes.iter().all(|b| matches!(b, b' '..=b'~') && *b != b';'));
    }
    if value.is_exact_instance_of::<PyInt>() {
        text.extend_from_slice(text::encode(value.str()?.as_any())?.as_ref());
        return Ok(true);
    }
    Ok(false)
}

/// The text of a Set-Cookie header with a NUL behind it; None where Python has to look closer.
fn set_cookie(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    attributes: Option<&Bound<'_, PyDict>>,
    are_checked: bool,
) -> PyResult<Option<Vec<u8>>> {
    let mut text = Vec::with_capacity(96);
    if !name.is_exact_instance_of::<PyString>() || !push(&mut text, name)? {
        return Ok(None);
    }
    if text.is_empty() || text.iter().any(|byte| matches!(byte, b' ' | b'=')) {
        return Ok(None);
    }
    text.push(b'=');
    if !push(&mut text, value)? {
        return Ok(None);
    }
    let mut found = Vec::new();
    for (key, content) in attributes.iter().flat_map(|attributes| attributes.iter()) {
        let Ok(key) = key.cast::<PyString>() else {
            return Ok(None);
        };
        let key = text::encode(key)?;
        let Some(rank) = ATTRIBUTES.iter().position(|a| a.0.as_bytes() == &*key) else {
            return Ok(None);
        };
        found.push((rank, content));
    }
    found.sort_unstable_by_key(|(rank, _)| *rank);
    for (rank, content) in found {
        let (key, sent, is_flag) = ATTRIBUTES[rank];
        if !are_checked && matches!(key, "expires" | "max_age" | "samesite") {
            return Ok(None);
        }
        if content.is_none() || (is_flag && !content.is_truthy()?) {
            continue;
        }
        text.extend_from_slice(b"; ");
        text.extend_from_slice(sent.as_bytes());
        if !is_flag {
            text.push(b'=');
            if !push(&mut text, &content)? {
                return Ok(None);
            }
        }
    }
    text.push(0);
    Ok(Some(text))
}

/// _add_cookie(req, name, value, attributes, are_checked) -> bool
///
/// What mod_python.Cookie.add_cookie does, for a cookie of plain str and int without anything that would
/// have to be refused; False for all others, and nothing is done.
#[pyfunction]
#[pyo3(signature = (req, name, value, attributes, are_checked, /))]
pub fn _add_cookie(
    req: &Bound<'_, PyAny>,
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    attributes: Option<&Bound<'_, PyDict>>,
    are_checked: bool,
) -> PyResult<bool> {
    let Ok(req) = req.cast::<RequestObject>() else {
        return Ok(false);
    };
    let Some(text) = set_cookie(name, value, attributes, are_checked)? else {
        return Ok(false);
    };
    let Ok(text) = CStr::from_bytes_with_nul(&text) else {
        return Ok(false);
    };
    req.get().state().with(req.py(), |r| {
        let headers = r.headers_out();
        if headers.get(c"Set-Cookie").is_none() {
            headers.add(c"Cache-Control", c"no-cache=\"set-cookie\"");
        }
        headers.add(c"Set-Cookie", text);
    })?;
    Ok(true)
}
