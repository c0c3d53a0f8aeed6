//! The native half of `util.FieldStorage`: pairs of an urlencoded text, parts of a multipart body.

use std::ffi::CStr;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple, PyType};
use pyo3::{ffi, wrap_pyfunction};

use super::parse_qs::decode_replacing;
use super::requestobject::RequestObject;
use super::{errors, request_options, text};
use crate::forms::header::Value;
use crate::forms::multipart::{Kept, Parser, Part, Sink};
use crate::forms::{urlencoded, Error, Limits};

/// Adds the functions of this file to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_form, module)?)?;
    module.add_function(wrap_pyfunction!(_form_parts, module)?)?;
    module.add_function(wrap_pyfunction!(_form_fields, module)?)
}

/// The limits a program gave: fields, field_size, form_size, header_size, nesting.
type Given<'py> = [Option<Bound<'py, PyAny>>; 5];

/// A limit is what the program gave, else the PythonOption, else the default.
fn limits<'py>(req: &Bound<'py, PyAny>, given: Option<Given<'py>>) -> PyResult<Limits> {
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
        let number = match given {
            Some(given) => given.extract().ok(),
            None => match request_options::option(req, name)? {
                Some(value) => value.to_str().ok().and_then(|value| value.parse().ok()),
                None => continue,
            },
        };
        *place = number.ok_or_else(|| {
            let name = name.to_string_lossy();
            PyValueError::new_err(format!("{name} must be a whole number from 0"))
        })?;
    }
    Ok(limits)
}

/// Why parsing stopped.
enum Stop {
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
    fn into_py(self, req: &Bound<'_, PyAny>, refuse: &Bound<'_, PyAny>) -> PyErr {
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
/// values too unless they are not UTF-8: then bytes. The content type is that of a multipart body, for
/// _form_parts; else None. limits is None or a tuple of five, see util.FieldStorage.
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
    let pairs = PyList::empty(py);
    let facts = Facts::of(req)?;
    if facts.args.is_empty() && !facts.may_have_form {
        return Ok((pairs, None));
    }
    let limits = self::limits(req, limits)?;
    let keep = keep_blank_values.is_truthy()?;
    add_pairs(&pairs, &facts.args, keep, limits).map_err(|stop| stop.into_py(req, refuse))?;
    match facts.body(py)? {
        Body::None => Ok((pairs, None)),
        Body::Multipart => Ok((
            pairs,
            Some(PyBytes::new(py, &facts.content_type.unwrap_or_default())),
        )),
        Body::Urlencoded => {
            read_body(req, facts.length, limits.form_size)
                .and_then(|body| add_pairs(&pairs, body.as_bytes(), keep, limits))
                .map_err(|stop| stop.into_py(req, refuse))?;
            Ok((pairs, None))
        }
    }
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
        object.get().state.with(py, |r| {
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
    let mut blocks = Vec::new();
    let mut total = 0;
    loop {
        let block = read(req, size)?;
        let got = block.as_bytes().len();
        total += got;
        if total > limit {
            return Err(Stop::Form(Error::FormTooLarge(limit)));
        }
        if got < size && blocks.is_empty() {
            return Ok(block);
        }
        blocks.extend_from_slice(block.as_bytes());
        if got < size {
            return Ok(PyBytes::new(req.py(), &blocks));
        }
        size = 65_536;
    }
}

/// `req.read(size)`
fn read<'py>(req: &Bound<'py, PyAny>, size: usize) -> PyResult<Bound<'py, PyBytes>> {
    let block = req.call_method1(intern!(req.py(), "read"), (size,))?;
    Ok(block.cast_into::<PyBytes>()?)
}

/// Adds the names and values in `text` to `pairs`.
fn add_pairs(
    pairs: &Bound<'_, PyList>,
    text: &[u8],
    keep_blank_values: bool,
    limits: Limits,
) -> Result<(), Stop> {
    let py = pairs.py();
    let known = pairs.len() / 2;
    urlencoded::each_limited_pair(text, keep_blank_values, limits, known, |name, value| {
        pairs.append(decode_replacing(py, name))?;
        match value.is_ascii() || std::str::from_utf8(value).is_ok() {
            true => pairs.append(decode_replacing(py, value))?,
            false => pairs.append(PyBytes::new(py, value))?,
        }
        Ok(())
    })
}

/// _form_fields(pairs, StringField) -> list of fields
///
/// Does for all of `pairs`, as _form makes them, what StringField(value) and setting `name` do for one.
#[pyfunction]
#[pyo3(signature = (pairs, class, /))]
fn _form_fields<'py>(
    pairs: &Bound<'py, PyList>,
    class: &Bound<'py, PyType>,
) -> PyResult<Bound<'py, PyList>> {
    let py = pairs.py();
    let fields = PyList::empty(py);
    let mut items = pairs.iter();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        let field = if value.is_exact_instance_of::<PyString>() {
            let field = subclass_of_str(class, &value)?;
            field.setattr(intern!(py, "value"), value)?;
            field
        } else {
            class.call1((value,))?
        };
        field.setattr(intern!(py, "name"), name)?;
        fields.append(field)?;
    }
    Ok(fields)
}

/// `str.__new__(class, value)`
fn subclass_of_str<'py>(
    class: &Bound<'py, PyType>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let args = PyTuple::new(class.py(), [value])?;
    // SAFETY: `str` is a type that has tp_new, which gets a subtype (it checks that) and arguments.
    unsafe {
        let new = (*std::ptr::addr_of!(ffi::PyUnicode_Type)).tp_new;
        let new = new.expect("BUG: str can be made");
        let raw = new(class.as_type_ptr(), args.as_ptr(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(class.py(), raw)
    }
}

/// _form_parts(req, block, content_type, limits, known, begin, refuse) -> None
///
/// Parses the body, read in blocks of `block` bytes. For each part
/// ``begin(name, filename, type, type_options, disposition, disposition_options, headers)`` is called; it
/// returns (write, end). The content goes to write(bytes) in blocks, then end(None) is called; with write
/// None the content is collected and given to end(bytes). known is the number of fields the form has
/// already; limits and refuse are as in _form.
#[pyfunction]
#[pyo3(signature = (req, block, content_type, limits, known, begin, refuse, /))]
fn _form_parts<'py>(
    req: &Bound<'py, PyAny>,
    block: usize,
    content_type: &[u8],
    limits: Option<Given<'py>>,
    known: usize,
    begin: Bound<'py, PyAny>,
    refuse: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let limits = self::limits(req, limits)?;
    parse_parts(req, block, content_type, limits, known, begin)
        .map_err(|stop| stop.into_py(req, refuse))
}

fn parse_parts<'py>(
    req: &Bound<'py, PyAny>,
    block: usize,
    content_type: &[u8],
    limits: Limits,
    known: usize,
    begin: Bound<'py, PyAny>,
) -> Result<(), Stop> {
    let mut parser = Parser::new(content_type, limits, known)?;
    let mut sink = Parts {
        begin,
        chunk: None,
        part: None,
        collected: Vec::new(),
    };
    loop {
        let chunk = read(req, block)?;
        if chunk.as_bytes().is_empty() {
            return parser.finish(&mut sink);
        }
        sink.chunk = Some(chunk.clone());
        parser.feed(chunk.as_bytes(), &mut sink)?;
    }
}

/// Hands parts to Python.
struct Parts<'py> {
    begin: Bound<'py, PyAny>,
    /// What was read last, to be passed on as it is where all of it belongs to one part.
    chunk: Option<Bound<'py, PyBytes>>,
    /// Of the present part: write, if it is not to be collected, and end.
    part: Option<(Option<Bound<'py, PyAny>>, Bound<'py, PyAny>)>,
    collected: Vec<u8>,
}

impl Sink for Parts<'_> {
    type Error = Stop;

    fn begin(&mut self, part: Part) -> Result<Kept, Stop> {
        let py = self.begin.py();
        let text = |bytes: &[u8]| decode_replacing(py, bytes);
        let options = |value: &Option<Value>| {
            PyList::new(
                py,
                value
                    .iter()
                    .flat_map(|value| &value.parameters)
                    .map(|(name, value)| (text(name), text(value))),
            )
        };
        let content_type = part
            .content_type
            .as_ref()
            .map(|value| value.first.as_slice());
        let content_type = match content_type {
            None => intern!(py, "text/plain").clone(),
            Some(value) if value.contains(&b'/') => text(value),
            Some(_) => intern!(py, "application/octet-stream").clone(),
        };
        let headers = PyList::new(
            py,
            part.headers
                .iter()
                .map(|(name, value)| (text::decode(py, name), text::decode(py, value))),
        )?;
        let result = self.begin.call1((
            part.name.as_deref().map(text),
            part.filename.as_deref().map(text),
            content_type,
            options(&part.content_type)?,
            part.disposition.as_ref().map(|value| text(&value.first)),
            options(&part.disposition)?,
            headers,
        ))?;
        let result = result.cast_into::<PyTuple>().map_err(PyErr::from)?;
        let (write, end) = result.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
        let write = (!write.is_none()).then_some(write);
        let kept = match write {
            Some(_) => Kept::Elsewhere,
            None => Kept::InMemory,
        };
        self.part = Some((write, end));
        Ok(kept)
    }

    fn data(&mut self, piece: &[u8]) -> Result<(), Stop> {
        let Some((Some(write), _)) = &self.part else {
            self.collected.extend_from_slice(piece);
            return Ok(());
        };
        match &self.chunk {
            Some(chunk) if std::ptr::eq(chunk.as_bytes(), piece) => write.call1((chunk,))?,
            _ => write.call1((PyBytes::new(write.py(), piece),))?,
        };
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        let Some((write, end)) = self.part.take() else {
            return Ok(());
        };
        match write {
            Some(_) => end.call1((end.py().None(),))?,
            None => {
                let collected = std::mem::take(&mut self.collected);
                end.call1((PyBytes::new(end.py(), &collected),))?
            }
        };
        Ok(())
    }
}
