//! The native half of `util.FieldStorage`: pairs of an urlencoded text, parts of a multipart body.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use super::parse_qs::decode_replacing;
use super::text;
use crate::forms::header::Value;
use crate::forms::multipart::{Kept, Parser, Part, Sink};
use crate::forms::{urlencoded, Error, Limits};

/// (fields, field_size, form_size, header_size, nesting), as `util` passes them.
type LimitsTuple = (usize, usize, usize, usize, usize);

fn limits((fields, field_size, form_size, header_size, nesting): LimitsTuple) -> Limits {
    Limits {
        fields,
        field_size,
        form_size,
        header_size,
        nesting,
    }
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
    /// The exception that leaves the parser: what `refuse(status, message)` raises for a bad form.
    fn into_py(self, refuse: &Bound<'_, PyAny>) -> PyErr {
        match self {
            Stop::Python(error) => error,
            Stop::Form(error) => {
                let status = if error.is_too_large() { 413 } else { 400 };
                match refuse.call1((status, error.to_string())) {
                    Ok(_) => PyRuntimeError::new_err("refuse() must raise an exception"),
                    Err(raised) => raised,
                }
            }
        }
    }
}

/// _form_pairs(text, keep_blank_values, limits, known, refuse) -> list of (name, value)
///
/// text is str or bytes, names are str, values too unless they are not UTF-8: then bytes. known is the
/// number of fields the form has already. refuse(status, message) is called for a form over a limit.
#[pyfunction]
#[pyo3(signature = (text, keep_blank_values, limits, known, refuse, /))]
pub fn _form_pairs<'py>(
    py: Python<'py>,
    text: &Bound<'py, PyAny>,
    keep_blank_values: &Bound<'py, PyAny>,
    limits: LimitsTuple,
    known: usize,
    refuse: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    let text = text::encode(text)?;
    let keep = keep_blank_values.is_truthy()?;
    for pair in urlencoded::limited_pairs(&text, keep, self::limits(limits), known) {
        let (name, value) = pair.map_err(|error| Stop::Form(error).into_py(refuse))?;
        let value = match std::str::from_utf8(&value) {
            Ok(_) => decode_replacing(py, &value).into_any(),
            Err(_) => PyBytes::new(py, &value).into_any(),
        };
        list.append((decode_replacing(py, &name), value))?;
    }
    Ok(list)
}

/// _form_parts(read, block, content_type, limits, known, begin, refuse) -> None
///
/// Parses the body that read(block) gives piece by piece. For each part
/// ``begin(name, filename, type, type_options, disposition, disposition_options, headers)`` is called; it
/// returns (write, end). The content goes to write(bytes) in blocks, then end(None) is called; with write
/// None the content is collected and given to end(bytes). refuse(status, message) is called for a
/// malformed form or one over a limit.
#[pyfunction]
#[pyo3(signature = (read, block, content_type, limits, known, begin, refuse, /))]
pub fn _form_parts<'py>(
    read: &Bound<'py, PyAny>,
    block: usize,
    content_type: &Bound<'py, PyAny>,
    limits: LimitsTuple,
    known: usize,
    begin: Bound<'py, PyAny>,
    refuse: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let content_type = text::encode(content_type)?;
    parse_parts(
        read,
        block,
        &content_type,
        self::limits(limits),
        known,
        begin,
    )
    .map_err(|stop| stop.into_py(refuse))
}

fn parse_parts<'py>(
    read: &Bound<'py, PyAny>,
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
        let chunk = read
            .call1((block,))?
            .cast_into::<PyBytes>()
            .map_err(PyErr::from)?;
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
