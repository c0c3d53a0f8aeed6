//! `start_response`, `write` and the body of a WSGI answer, PEP 3333. (library.md 5.7)

use std::borrow::Cow;
use std::ffi::CStr;
use std::sync::Arc;

use pyo3::exceptions::{PyAssertionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use super::request_config::RequestState;
use super::requestobject::RequestObject;
use super::{request_io, text};
use crate::httpd::{log, Request};
use crate::interpreter::GilCell;

/// One answer: what the application announced, and what has been sent.
#[cfg_attr(
    Py_3_10,
    pyclass(frozen, immutable_type, name = "WsgiResponse", module = "_apache")
)]
#[cfg_attr(
    not(Py_3_10),
    pyclass(frozen, name = "WsgiResponse", module = "_apache")
)]
pub struct WsgiResponse {
    state: Arc<RequestState>,
    announced: GilCell<Announced>,
    progress: GilCell<Progress>,
}

/// What start_response was called with, as C strings in latin-1: `404 Not Found`, then the headers'
/// names and values. Empty before.
#[derive(Default)]
struct Announced {
    texts: Vec<u8>,
    /// Where each header's name begins, its value, and what follows.
    headers: Vec<[usize; 3]>,
}

impl Announced {
    /// Appends a text, which has no NUL; where it begins.
    fn push(&mut self, text: &[u8]) -> usize {
        debug_assert!(!text.contains(&0));
        let start = self.texts.len();
        self.texts.extend_from_slice(text);
        self.texts.push(0);
        start
    }

    fn add(&mut self, name: &[u8], value: &[u8]) {
        let (name, value) = (self.push(name), self.push(value));
        self.headers.push([name, value, self.texts.len()]);
    }

    fn text(&self, start: usize, end: usize) -> &CStr {
        // SAFETY: `push` put a text without NUL between the two, and a NUL at its end.
        unsafe { CStr::from_bytes_with_nul_unchecked(&self.texts[start..end]) }
    }

    /// None before start_response.
    fn status(&self) -> Option<&CStr> {
        CStr::from_bytes_until_nul(&self.texts).ok()
    }

    fn headers(&self) -> impl Iterator<Item = (&CStr, &CStr)> {
        (self.headers.iter())
            .map(|&[name, value, end]| (self.text(name, value), self.text(value, end)))
    }
}

#[derive(Clone, Copy, Default)]
struct Progress {
    /// The headers are out.
    is_sent: bool,
    has_status: bool,
    /// 204 and 304 have no body.
    is_bodiless: bool,
    /// Body bytes the application may still send; None where it announced no length.
    left: Option<i64>,
}

const HOP_BY_HOP: [&[u8]; 9] = [
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"te",
    b"trailer",
    b"trailers",
    b"transfer-encoding",
    b"upgrade",
];

/// The bytes a header's name consists of (RFC 9110, token).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

impl WsgiResponse {
    fn update(&self, py: Python<'_>, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.get(py);
        change(&mut progress);
        self.progress.replace(py, progress);
    }

    /// Sends one piece of the body; what exceeds the announced length is cut off.
    fn send_piece(&self, data: &Bound<'_, PyAny>, flush: bool) -> PyResult<()> {
        let py = data.py();
        let bytes: Cow<'_, [u8]> = if let Ok(bytes) = data.cast::<PyBytes>() {
            Cow::Borrowed(bytes.as_bytes())
        } else if let Ok(string) = data.cast::<PyString>() {
            Cow::Borrowed(string.to_str()?.as_bytes())
        } else {
            let kind = text::type_name(data);
            return Err(PyTypeError::new_err(format!(
                "a WSGI body consists of bytes, not {kind}"
            )));
        };
        if bytes.is_empty() {
            return Ok(());
        }
        self.send_headers(py)?;
        let mut end = bytes.len();
        if let Some(left) = self.progress.get(py).left {
            end = end.min(usize::try_from(left.max(0)).unwrap_or(usize::MAX));
            self.update(py, |progress| {
                progress.left = Some(left - bytes.len() as i64)
            });
        }
        request_io::write_bytes(&self.state, py, &bytes[..end], flush)
    }

    /// The body has this item only.
    fn announce_only(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        match item.cast::<PyBytes>() {
            Ok(bytes) => self.announce_length(item.py(), bytes.as_bytes().len()),
            Err(_) => Ok(()),
        }
    }

    /// Adds a Content-Length where the whole length is known and the application named none.
    fn announce_length(&self, py: Python<'_>, length: usize) -> PyResult<()> {
        let progress = self.progress.get(py);
        if progress.is_sent || !progress.has_status || progress.is_bodiless {
            return Ok(());
        }
        if length == 0 && self.state.with(py, Request::header_only)? != 0 {
            return Ok(());
        }
        // SAFETY: a look at bytes and a push run no Python.
        unsafe {
            self.announced.with(py, |announced| {
                let named = announced
                    .headers()
                    .any(|(name, _)| name.to_bytes().eq_ignore_ascii_case(b"content-length"));
                if !named {
                    announced.add(b"Content-Length", length.to_string().as_bytes());
                }
            });
        }
        Ok(())
    }
}

#[pymethods]
impl WsgiResponse {
    #[new]
    pub fn new(req: &Bound<'_, RequestObject>) -> Self {
        Self {
            state: req.get().state().clone(),
            announced: GilCell::new(Announced::default()),
            progress: GilCell::new(Progress::default()),
        }
    }

    /// start_response(status, headers[, exc_info]) -> write, see PEP 3333.
    #[pyo3(signature = (status, headers, exc_info = None))]
    fn start_response<'py>(
        slf: &Bound<'py, Self>,
        status: &Bound<'py, PyAny>,
        headers: &Bound<'py, PyAny>,
        exc_info: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        let progress = this.progress.get(py);
        let exc_info = match exc_info {
            Some(info) if info.is_truthy()? => Some(info),
            _ => None,
        };
        if let Some(info) = exc_info {
            if progress.is_sent {
                let error = info.get_item(1)?;
                let error = error.call_method1("with_traceback", (info.get_item(2)?,))?;
                return Err(PyErr::from_value(error));
            }
        } else if progress.has_status {
            return Err(PyAssertionError::new_err(
                "start_response() was called before, and without exc_info",
            ));
        }
        let mut announced = Announced {
            texts: Vec::with_capacity(256),
            headers: Vec::new(),
        };
        let status = check_status(status)?;
        let is_bodiless = status.starts_with(b"204") || status.starts_with(b"304");
        announced.push(&status);
        check_headers(headers, &mut announced)?;
        let _old = this.announced.replace(py, announced);
        this.update(py, |progress| {
            progress.has_status = true;
            progress.is_bodiless = is_bodiless;
        });
        slf.getattr(pyo3::intern!(py, "write"))
    }

    /// Sends bytes at once.
    fn write(&self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        self.send_piece(data, true)?;
        if self
            .progress
            .get(data.py())
            .left
            .is_some_and(|left| left < 0)
        {
            return Err(PyAssertionError::new_err(
                "more was written than Content-Length announced",
            ));
        }
        Ok(())
    }

    /// Sends the items of the application's iterable.
    pub fn send(&self, result: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = result.py();
        // Nothing of the application runs between the items of these: no need to hurry.
        if let Ok(list) = result.cast::<PyList>() {
            if list.len() == 1 {
                self.announce_only(&list.get_item(0)?)?;
            }
            return list
                .iter()
                .try_for_each(|item| self.send_piece(&item, false));
        }
        if let Ok(tuple) = result.cast::<PyTuple>() {
            if tuple.len() == 1 {
                self.announce_only(&tuple.get_item(0)?)?;
            }
            return tuple
                .iter()
                .try_for_each(|item| self.send_piece(&item, false));
        }
        for item in result.try_iter()? {
            self.send_piece(&item?, true)?;
            // Not before there is too much: programs do their last work after their last item.
            if self.progress.get(py).left.is_some_and(|left| left < 0) {
                break;
            }
        }
        Ok(())
    }

    /// Adds a Content-Length where the application named none, for a body of this length.
    fn announce(&self, py: Python<'_>, length: usize) -> PyResult<()> {
        self.announce_length(py, length)
    }

    /// Body bytes the application may still send; None where it announced no length.
    #[getter]
    fn left(&self, py: Python<'_>) -> Option<i64> {
        self.progress.get(py).left
    }

    #[setter]
    fn set_left(&self, py: Python<'_>, left: Option<i64>) {
        self.update(py, |progress| progress.left = left);
    }

    /// Gives status and headers to httpd, once.
    fn send_headers(&self, py: Python<'_>) -> PyResult<()> {
        if self.progress.get(py).is_sent {
            return Ok(());
        }
        let announced = self.announced.take(py);
        let Some(status) = announced.status().map(CStr::to_bytes) else {
            return Err(PyAssertionError::new_err(
                "MP0630: the WSGI application did not call start_response()",
            ));
        };
        let mut left = None;
        self.state.with(py, |r| {
            // Three digits, as `check_status` saw.
            r.set_status(
                status[..3]
                    .iter()
                    .fold(0, |number, digit| number * 10 + i32::from(digit - b'0')),
            );
            r.set_status_line(Some(r.pool().cstr(status).into()));
            for (name, value) in announced.headers() {
                match name.to_bytes() {
                    n if n.eq_ignore_ascii_case(b"content-type") => {
                        r.set_content_type(value.into())
                    }
                    n if n.eq_ignore_ascii_case(b"content-length") => {
                        // `check_header` saw a number.
                        let length = content_length(value.to_bytes());
                        if let Some(length) = length {
                            left = Some(length);
                            r.set_content_length(length);
                        }
                    }
                    _ => r.headers_out().add(name, value),
                }
            }
        })?;
        self.update(py, |progress| {
            progress.left = left;
            progress.is_sent = true;
        });
        Ok(())
    }

    /// Sends the headers if nothing else was sent; a body that is too short ends the connection.
    pub fn finish(&self, py: Python<'_>) -> PyResult<()> {
        self.send_headers(py)?;
        let progress = self.progress.get(py);
        let Some(missing) = progress
            .left
            .filter(|left| *left > 0 && !progress.is_bodiless)
        else {
            return Ok(());
        };
        self.state.with(py, |r| {
            if r.header_only() == 0 {
                // The client waits for the rest: only the end of the connection tells it.
                r.connection().set_keepalive(crate::httpd::conn::CLOSE);
                let message = format!(
                    "MP0631: the WSGI application sent {missing} bytes less than its Content-Length"
                );
                log::request(r, log::Level::Err as i32, message.as_bytes());
            }
        })
    }
}

/// `404 Not Found`, as latin-1.
fn check_status<'a>(status: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    let Ok(string) = status.cast::<PyString>() else {
        let kind = text::type_name(status);
        return Err(PyTypeError::new_err(format!(
            "status must be a string, not '{kind}'"
        )));
    };
    let wrong =
        || PyValueError::new_err(format!("Invalid status line: {}", string.to_string_lossy()));
    let bytes = latin1(string).ok_or_else(wrong)?;
    let is_code = matches!(
        bytes.get(..3),
        Some([b'2'..=b'9', b'0'..=b'9', b'0'..=b'9'])
    );
    let rest = bytes.get(3..).unwrap_or_default();
    let is_reason = match rest {
        [] => true,
        [b' ', reason @ ..] => reason
            .iter()
            .all(|b| matches!(b, b'\t' | b' '..=b'~' | 0x80..)),
        _ => false,
    };
    if is_code && is_reason {
        Ok(bytes)
    } else {
        Err(wrong())
    }
}

fn check_headers(headers: &Bound<'_, PyAny>, announced: &mut Announced) -> PyResult<()> {
    let Ok(list) = headers.cast::<PyList>() else {
        let kind = text::type_name(headers);
        return Err(PyTypeError::new_err(format!(
            "headers argument must be a list, not a '{kind}'"
        )));
    };
    announced.headers.reserve(list.len() + 1);
    list.iter()
        .try_for_each(|header| check_header(&header, announced))
}

fn check_header(header: &Bound<'_, PyAny>, announced: &mut Announced) -> PyResult<()> {
    let Ok(pair) = header.cast::<PyTuple>() else {
        let kind = text::type_name(header);
        return Err(PyTypeError::new_err(format!(
            "each header must be a tuple, not a '{kind}'"
        )));
    };
    if pair.len() != 2 {
        let length = pair.len();
        return Err(PyValueError::new_err(format!(
            "expected tuple of length 2, but got tuple of length {length}"
        )));
    }
    let (name, value) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
    let name_bytes = part(&name, "names")?;
    let value_bytes = part(&value, "values")?;
    let is_token = |name: &[u8]| !name.is_empty() && name.iter().all(|b| TOKEN[usize::from(*b)]);
    let Some(name_bytes) = name_bytes.filter(|name| is_token(name)) else {
        return Err(PyValueError::new_err(format!(
            "Invalid header name: {}",
            shown(&name)
        )));
    };
    let wrong_value = || {
        let name = String::from_utf8_lossy(&name_bytes);
        let value = shown(&value);
        PyValueError::new_err(format!("Invalid value of header {name}: {value}"))
    };
    let is_control = |b: &u8| matches!(b, 0..=8 | 10..=31 | 127);
    let value_bytes = value_bytes
        .filter(|v| !v.iter().any(is_control))
        .ok_or_else(wrong_value)?;
    if HOP_BY_HOP
        .iter()
        .any(|hop| hop.eq_ignore_ascii_case(&name_bytes))
    {
        let name = String::from_utf8_lossy(&name_bytes);
        return Err(PyValueError::new_err(format!(
            "{name} is a matter between server and client"
        )));
    }
    if name_bytes.eq_ignore_ascii_case(b"content-length") && content_length(&value_bytes).is_none()
    {
        return Err(wrong_value());
    }
    announced.add(&name_bytes, &value_bytes);
    Ok(())
}

/// The number of a Content-Length, which is not negative.
fn content_length(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    text.trim()
        .parse::<i64>()
        .ok()
        .filter(|length| *length >= 0)
}

/// An object for a message.
fn shown(object: &Bound<'_, PyAny>) -> String {
    object
        .repr()
        .map_or_else(|_| "?".into(), |repr| repr.to_string_lossy().into_owned())
}

/// A header's name or value in latin-1; None where it has other characters.
fn part<'a>(value: &'a Bound<'_, PyAny>, what: &str) -> PyResult<Option<Cow<'a, [u8]>>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Some(Cow::Borrowed(bytes.as_bytes())));
    }
    let Ok(string) = value.cast::<PyString>() else {
        let kind = text::type_name(value);
        return Err(PyTypeError::new_err(format!(
            "header {what} must be strings, not '{kind}'"
        )));
    };
    Ok(latin1(string))
}

/// One byte for each character, ASCII without a copy; None where there are others than latin-1's.
fn latin1<'a>(string: &'a Bound<'_, PyString>) -> Option<Cow<'a, [u8]>> {
    let utf8 = string.to_str().ok()?;
    if utf8.is_ascii() {
        return Some(Cow::Borrowed(utf8.as_bytes()));
    }
    let bytes: Option<Vec<u8>> = utf8
        .chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect();
    bytes.map(Cow::Owned)
}
