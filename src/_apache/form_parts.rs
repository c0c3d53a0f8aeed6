//! `_apache._form_parts`: the parts of a multipart body, read block by block and handed to Python.

use std::ffi::CString;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use super::bytes_room;
use super::forms::{self, read, Given, Stop};
use super::{form_encoding, text};
use crate::forms::header::Value;
use crate::forms::multipart::{Kept, Parser, Part, Sink};
use crate::forms::Limits;

/// _form_parts(req, block, content_type, limits, known, begin, refuse) -> None
///
/// Parses the body, read in blocks of `block` bytes. For each part
/// ``begin(name, filename, type, type_options, disposition, disposition_options, headers)`` is called; it
/// returns (write, end). The content goes to write(bytes) in blocks, then end(None) is called; with write
/// None the content is collected and given to end(bytes), or decoded, as str, under PythonOption
/// mod_python.util.encoding. known is the number of fields the form has
/// already; limits and refuse are as in _form.
#[pyfunction]
#[pyo3(signature = (req, block, content_type, limits, known, begin, refuse, /))]
pub fn _form_parts<'py>(
    req: &Bound<'py, PyAny>,
    block: usize,
    content_type: &[u8],
    limits: Option<Given<'py>>,
    known: usize,
    begin: Bound<'py, PyAny>,
    refuse: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let limits = forms::limits(req, limits)?;
    let mut sink = Parts {
        begin,
        encoding: form_encoding::of(req)?,
        chunk: None,
        part: None,
        collected: Vec::new(),
    };
    parse_parts(req, block, content_type, limits, known, &mut sink)
        .map_err(|stop| stop.into_py(req, refuse))
}

fn parse_parts<'py>(
    req: &Bound<'py, PyAny>,
    block: usize,
    content_type: &[u8],
    limits: Limits,
    known: usize,
    sink: &mut Parts<'py>,
) -> Result<(), Stop> {
    let mut parser = Parser::new(content_type, limits, known)?;
    loop {
        let chunk = read(req, block)?;
        if chunk.as_bytes().is_empty() {
            return parser.finish(sink);
        }
        sink.chunk = Some(chunk.clone());
        parser.feed(chunk.as_bytes(), sink)?;
    }
}

/// Hands parts to Python.
struct Parts<'py> {
    begin: Bound<'py, PyAny>,
    /// What their text is encoded in, None for UTF-8.
    encoding: Option<CString>,
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
        let encoding = self.encoding.as_deref();
        let text = |bytes: &[u8]| form_encoding::decode(py, bytes, encoding);
        let options = |value: &Option<Value>| -> PyResult<_> {
            let list = PyList::empty(py);
            for (name, value) in value.iter().flat_map(|value| &value.parameters) {
                list.append((text(name)?, text(value)?))?;
            }
            Ok(list)
        };
        let content_type = part
            .content_type
            .as_ref()
            .map(|value| value.first.as_slice());
        let content_type = match content_type {
            None => intern!(py, "text/plain").clone(),
            Some(value) if value.contains(&b'/') => text(value)?,
            Some(_) => intern!(py, "application/octet-stream").clone(),
        };
        let headers = PyList::empty(py);
        for (name, value) in &part.headers {
            headers.append((text::decode(py, name)?, text::decode(py, value)?))?;
        }
        let result = self.begin.call1((
            part.name.as_deref().map(text).transpose()?,
            part.filename.as_deref().map(text).transpose()?,
            content_type,
            options(&part.content_type)?,
            part.disposition
                .as_ref()
                .map(|value| text(&value.first))
                .transpose()?,
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
            _ => write.call1((bytes_room::copy(write.py(), piece)?,))?,
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
                let py = end.py();
                match self.encoding.as_deref() {
                    None => end.call1((bytes_room::copy(py, &collected)?,))?,
                    encoding => end.call1((form_encoding::decode(py, &collected, encoding)?,))?,
                }
            }
        };
        Ok(())
    }
}
