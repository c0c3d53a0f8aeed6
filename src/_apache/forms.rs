//! `_apache._form`: what `util.FieldStorage` finds in a query string and in an urlencoded body.

use std::ffi::CStr;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use pyo3::wrap_pyfunction;

use super::bytes_room;
use super::parse_qs::decode_replacing;
use super::requestobject::RequestObject;
use super::{errors, field_names, form_encoding, form_fields, form_parts, request_options, text};
use crate::forms::{urlencoded, Error, Limits};

/// Adds the functions of this file to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_form, module)?)?;
    module.add_function(wrap_pyfunction!(form_parts::_form_parts, module)?)?;
    module.add_function(wrap_pyfunction!(form_fields::_form_fields, module)?)
}

/// The limits a program gave: fields, field_size, form_size, header_size, nesting.
pub type Given<'py> = [Option<Bound<'py, PyAny>>; 5];

/// A limit is what the program gave, else the PythonOption, else the default.
pub fn limits<'py>(req: &Bound<'py, PyAny>, given: Option<Given<'py>>) -> PyResult<Limits> {
    let mut limits = Limits::default();
    if !request_options::has_any(req, b"mod_python.util.max_")? && given.is_none() {
        return Ok(limits);
    }
    const OPTIONS: [&CStr; 5] = [
        c"mod_python.util.max_fields",
        c"mod_python.util.max_field_size",
        c"mod_python.util.max_form_size",
        c"mod_python.util.max_header_size",
        c"mod_python.util.max_nesting",
    ];
    let places = [
        &mut limits.fields,
        &mut limits.field_size,
        &mut limits.form_size,
        &mut limits.header_size,
        &mut limits.nesting,
    ];
    let given = given.unwrap_or_default();
    for ((place, name), given) in places.into_iter().zip(OPTIONS).zip(given) {
        let value = match given {
            Some(given) => given,
            None => match request_options::option(req, name)? {
                Some(value) => value.into_any(),
                None => continue,
            },
        };
        let text = value.str()?;
        *place = text.to_str()?.parse().map_err(|_| {
            let name = name.to_string_lossy();
            PyValueError::new_err(format!("{name} must be a whole number from 0, not {text}"))
        })?;
    }
    Ok(limits)
}

/// Why parsing stopped.
pub enum Stop {
    Form(Error),
    Python(PyErr),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Form(error)
    }
}

impl From<PyErr> for Stop {
    fn from(error: PyErr) -> Self {
        Stop::Python(error)
    }
}

impl Stop {
    /// The exception that leaves the parser: what `refuse(req, status, message)` raises for a bad form.
    pub fn into_py(self, req: &Bound<'_, PyAny>, refuse: &Bound<'_, PyAny>) -> PyErr {
        match self {
            Stop::Python(error) => error,
            Stop::Form(error) => {
                let status = if error.is_too_large() { 413 } else { 400 };
                match refuse.call1((req, status, error.to_string())) {
                    Ok(_) => PyRuntimeError::new_err("refuse() must raise an exception"),
                    Err(raised) => raised,
                }
            }
        }
    }
}

/// _form(req, keep_blank_values, limits, refuse) -> (pairs, content type)
///
/// The fields of the query string and of an urlencoded body: name, value, name, value ... Names are str,
/// values too unless they are not UTF-8: then bytes. Under PythonOption mod_python.util.encoding all are
/// str, decoded as that. The content type is that of a multipart body, for _form_parts; else None. limits is None or a tuple of five, see util.FieldStorage.
/// refuse(req, status, message) is called for a form over a limit, and raises. Raises
/// SERVER_RETURN(411) or (501) for a body that is no form.
#[pyfunction]
#[pyo3(signature = (req, keep_blank_values, limits, refuse, /))]
fn _form<'py>(
    req: &Bound<'py, PyAny>,
    keep_blank_values: &Bound<'py, PyAny>,
    limits: Option<Given<'py>>,
    refuse: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyList>, Option<Bound<'py, PyBytes>>)> {
    let py = req.py();
    let facts = Facts::of(req)?;
    let mut pairs = Vec::new();
    let mut multipart = None;
    if !facts.args.is_empty() || facts.may_have_form {
        let limits = self::limits(req, limits)?;
        let encoding = form_encoding::of(req)?;
        let encoding = encoding.as_deref();
        let keep = keep_blank_values.is_truthy()?;
        let refused = |stop: Stop| stop.into_py(req, refuse);
        add_pairs(py, &mut pairs, &facts.args, keep, limits, encoding).map_err(refused)?;
        match facts.body(py)? {
            Body::None => {}
            Body::Multipart => {
                multipart = facts
                    .content_type
                    .as_deref()
                    .map(|it| bytes_room::copy(py, it))
                    .transpose()?;
            }
            Body::Urlencoded => read_body(req, facts.length, limits.form_size)
                .and_then(|body| add_pairs(py, &mut pairs, body.as_bytes(), keep, limits, encoding))
                .map_err(refused)?,
        }
    }
    Ok((PyList::new(py, pairs)?, multipart))
}

/// What the headers of a request say about a form.
struct Facts {
    args: Vec<u8>,
    is_post: bool,
    /// The method is one whose body is looked at.
    may_have_form: bool,
    content_type: Option<Vec<u8>>,
    length: Option<usize>,
    is_chunked: bool,
}

enum Body {
    None,
    Urlencoded,
    Multipart,
}

impl Facts {
    fn of(req: &Bound<'_, PyAny>) -> PyResult<Facts> {
        let py = req.py();
        let Ok(object) = req.cast::<RequestObject>() else {
            return Facts::of_lookalike(req);
        };
        object.get().state().with(py, |r| {
            let headers = r.headers_in();
            let bytes = |text: &CStr| text.to_bytes().to_vec();
            let may_have_form = matches!(
                r.method().map(CStr::to_bytes),
                Some(b"POST" | b"PUT" | b"PATCH")
            );
            let header = |name| headers.get(name).filter(|_| may_have_form);
            Facts {
                args: r.args().map(bytes).unwrap_or_default(),
                is_post: r.method() == Some(c"POST"),
                may_have_form,
                content_type: header(c"Content-Type").map(bytes),
                length: header(c"Content-Length")
                    .and_then(|length| length.to_str().ok()?.parse().ok()),
                is_chunked: header(c"Transfer-Encoding").is_some(),
            }
        })
    }

    /// For what programs put in the place of a request.
    fn of_lookalike(req: &Bound<'_, PyAny>) -> PyResult<Facts> {
        let py = req.py();
        let args = req.getattr(intern!(py, "args"))?;
        let method = req.getattr(intern!(py, "method"))?;
        let method = text::encode(&method)?;
        let headers = req.getattr(intern!(py, "headers_in"))?;
        let header = |name: &str| -> PyResult<Option<Vec<u8>>> {
            let value = headers.call_method1(intern!(py, "get"), (name,))?;
            match value.is_none() {
                true => Ok(None),
                false => Ok(Some(text::encode(&value)?.into_owned())),
            }
        };
        let length = header("Content-Length")?;
        let number = length.and_then(|length| String::from_utf8(length).ok()?.parse().ok());
        Ok(Facts {
            args: match args.is_none() {
                true => Vec::new(),
                false => text::encode(&args)?.into_owned(),
            },
            is_post: method.as_ref() == b"POST",
            may_have_form: matches!(method.as_ref(), b"POST" | b"PUT" | b"PATCH"),
            content_type: header("Content-Type")?,
            length: number,
            is_chunked: header("Transfer-Encoding")?.is_some(),
        })
    }

    /// What kind of form the body is.
    fn body(&self, py: Python<'_>) -> PyResult<Body> {
        if !self.may_have_form {
            return Ok(Body::None);
        }
        let starts = |start: &[u8]| {
            let content_type = self.content_type.as_deref().unwrap_or_default();
            let found = content_type.get(..start.len());
            found.is_some_and(|found| found.eq_ignore_ascii_case(start))
        };
        let urlencoded = starts(b"application/x-www-form-urlencoded");
        if !self.is_post && !urlencoded {
            // A document, which the handler reads.
            return Ok(Body::None);
        }
        if self.length.is_none() && !self.is_chunked {
            return Err(errors::raise_status(py, 411));
        }
        if urlencoded || self.content_type.is_none() {
            Ok(Body::Urlencoded)
        } else if starts(b"multipart/") {
            Ok(Body::Multipart)
        } else {
            Err(errors::raise_status(py, 501))
        }
    }
}

/// The whole body, if it has no more than `limit` bytes.
fn read_body<'py>(
    req: &Bound<'py, PyAny>,
    length: Option<usize>,
    limit: usize,
) -> Result<Bound<'py, PyBytes>, Stop> {
    if length.is_some_and(|length| length > limit) {
        return Err(Stop::Form(Error::FormTooLarge(limit)));
    }
    // One byte more than announced, so that a short answer tells the end.
    let mut size = length.unwrap_or(65_535) + 1;
    let mut body = Vec::new();
    loop {
        let block = read(req, size)?;
        let got = block.as_bytes().len();
        let total = body.len() + got;
        if total > limit {
            return Err(Stop::Form(Error::FormTooLarge(limit)));
        }
        let is_all = got == 0 || (got < size && length.is_some_and(|length| total >= length));
        if is_all && body.is_empty() {
            return Ok(block);
        }
        body.extend_from_slice(block.as_bytes());
        if is_all {
            return Ok(bytes_room::copy(req.py(), &body)?);
        }
        size = 65_536;
    }
}

/// `req.read(size)`
pub fn read<'py>(req: &Bound<'py, PyAny>, size: usize) -> PyResult<Bound<'py, PyBytes>> {
    let block = req.call_method1(intern!(req.py(), "read"), (size,))?;
    Ok(block.cast_into::<PyBytes>()?)
}

/// Adds the names and values in `text` to `pairs`.
fn add_pairs<'py>(
    py: Python<'py>,
    pairs: &mut Vec<Bound<'py, PyAny>>,
    text: &[u8],
    keep_blank_values: bool,
    limits: Limits,
    encoding: Option<&CStr>,
) -> Result<(), Stop> {
    let known = pairs.len() / 2;
    urlencoded::each_limited_pair(text, keep_blank_values, limits, known, |name, value| {
        if encoding.is_some() {
            pairs.push(form_encoding::decode(py, name, encoding)?.into_any());
            pairs.push(form_encoding::decode(py, value, encoding)?.into_any());
            return Ok(());
        }
        pairs.push(field_names::get(py, name)?.into_any());
        let is_text = value.is_ascii() || std::str::from_utf8(value).is_ok();
        pairs.push(match is_text {
            true => decode_replacing(py, value)?.into_any(),
            false => bytes_room::copy(py, value)?.into_any(),
        });
        Ok(())
    })
}
