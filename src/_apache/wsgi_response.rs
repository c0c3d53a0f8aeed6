//! `start_response`, `write` and the body of a WSGI answer, PEP 3333. (library.md 5.7)

use std::borrow::Cow;
use std::ffi::CString;
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
#[pyclass(frozen, immutable_type, name = "WsgiResponse", module = "_apache")]
pub struct WsgiResponse {
    state: Arc<RequestState>,
    announced: GilCell<Announced>,
    progress: GilCell<Progress>,
}

/// What start_response was called with.
#[derive(Default)]
struct Announced {
    /// `404 Not Found`, in latin-1.
    status: Option<Vec<u8>>,
    headers: Vec<(CString, CString)>,
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

const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

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
                    .headers
                    .iter()
                    .any(|(name, _)| name.to_bytes().eq_ignore_ascii_case(b"content-length"));
                if !named {
                    let value = CString::new(length.to_string()).unwrap_or_default();
                    announced
                        .headers
                        .push((c"Content-Length".to_owned(), value));
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
            state: req.get().state.clone(),
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
        let status = check_status(status)?;
        let headers = check_headers(headers)?;
        let is_bodiless = status.starts_with(b"204") || status.starts_with(b"304");
        let _old = this.announced.replace(
            py,
            Announced {
                status: Some(status),
                headers,
            },
        );
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
        let items: Option<Vec<Bound<'_, PyAny>>> = if let Ok(list) = result.cast::<PyList>() {
            Some(list.iter().collect())
        } else if let Ok(tuple) = result.cast::<PyTuple>() {
            Some(tuple.iter().collect())
        } else {
            None
        };
        if let Some(items) = items {
            // Nothing of the application runs between the items: no need to hurry.
            if let [only] = items.as_slice() {
                if let Ok(bytes) = only.cast::<PyBytes>() {
                    self.announce_length(py, bytes.as_bytes().len())?;
                }
            }
            return items
                .iter()
                .try_for_each(|item| self.send_piece(item, false));
        }
        for item in result.try_iter()? {
            self.send_piece(&item?, true)?;
            let progress = self.progress.get(py);
            if progress.is_sent && progress.left.is_some_and(|left| left <= 0) {
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
        let Some(status) = announced.status else {
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
            r.set_status_line(Some(&status));
            for (name, value) in &announced.headers {
                match name.to_bytes() {
                    n if n.eq_ignore_ascii_case(b"content-type") => {
                        r.set_content_type(value.to_bytes())
                    }
                    n if n.eq_ignore_ascii_case(b"content-length") => {
                        // `check_headers` saw a number.
                        let length = value
                            .to_str()
                            .ok()
                            .and_then(|v| v.trim().parse::<i64>().ok());
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
fn check_status(status: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let Ok(string) = status.cast::<PyString>() else {
        let kind = text::type_name(status);
        return Err(PyTypeError::new_err(format!(
            "status must be a string, not '{kind}'"
        )));
    };
    let wrong =
        || PyValueError::new_err(format!("Invalid status line: {}", string.to_string_lossy()));
    let bytes = latin1(string).map_err(|_| wrong())?.into_owned();
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

fn check_headers(headers: &Bound<'_, PyAny>) -> PyResult<Vec<(CString, CString)>> {
    let Ok(list) = headers.cast::<PyList>() else {
        let kind = text::type_name(headers);
        return Err(PyTypeError::new_err(format!(
            "headers argument must be a list, not a '{kind}'"
        )));
    };
    list.iter().map(|header| check_header(&header)).collect()
}

fn check_header(header: &Bound<'_, PyAny>) -> PyResult<(CString, CString)> {
    let Ok(pair) = header.cast::<PyTuple>() else {
        let kind = text::type_name(header);
        return Err(PyTypeError::new_err(format!(
            "each header must be a tuple, not a '{kind}'"
        )));
    };
    let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
    let name_bytes = part(&name, "names")?;
    let value_bytes = part(&value, "values")?;
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+.^_`|~-".contains(b);
    let shown = |text: &Bound<'_, PyAny>| {
        text.repr()
            .map_or_else(|_| "?".into(), |repr| repr.to_string_lossy().into_owned())
    };
    let Some(name_bytes) = name_bytes.filter(|n| !n.is_empty() && n.iter().all(is_token)) else {
        return Err(PyValueError::new_err(format!(
            "Invalid header name: {}",
            shown(&name)
        )));
    };
    let text_name = String::from_utf8_lossy(&name_bytes).into_owned();
    let is_control = |b: &u8| matches!(b, 0..=8 | 10..=31 | 127);
    let wrong_value = || {
        PyValueError::new_err(format!(
            "Invalid value of header {text_name}: {}",
            shown(&value)
        ))
    };
    let value_bytes = value_bytes
        .filter(|v| !v.iter().any(is_control))
        .ok_or_else(wrong_value)?;
    if HOP_BY_HOP
        .iter()
        .any(|hop| hop.eq_ignore_ascii_case(&text_name))
    {
        return Err(PyValueError::new_err(format!(
            "{text_name} is a matter between server and client"
        )));
    }
    if name_bytes.eq_ignore_ascii_case(b"content-length") {
        let text = String::from_utf8_lossy(&value_bytes);
        if text.trim().parse::<i64>().map_or(true, |length| length < 0) {
            return Err(wrong_value());
        }
    }
    let c = |bytes: Cow<'_, [u8]>| CString::new(bytes.into_owned()).map_err(|_| wrong_value());
    Ok((c(name_bytes)?, c(value_bytes)?))
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
    Ok(latin1(string).ok())
}

/// One byte for each character; ASCII without a copy.
fn latin1<'a>(string: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(utf8) = string.to_str() {
        if utf8.is_ascii() {
            return Ok(Cow::Borrowed(utf8.as_bytes()));
        }
        let bytes: Option<Vec<u8>> = utf8
            .chars()
            .map(|c| u8::try_from(u32::from(c)).ok())
            .collect();
        if let Some(bytes) = bytes {
            return Ok(Cow::Owned(bytes));
        }
    }
    Err(PyValueError::new_err("not latin-1"))
}
