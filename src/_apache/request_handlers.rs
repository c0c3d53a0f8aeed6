//! Handlers and filters added on the way: `req.add_handler`, `req.register_output_filter` ...

use std::ffi::CString;

use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::hlistobject::Entry;
use super::request_config::{Added, AddedFilter};
use super::requestobject::RequestObject;
use super::text;
use crate::config::phase::Phase;
use crate::httpd::path;

/// `req.add_handler` (phases.md 2.5)
pub fn add_handler(
    req: &RequestObject,
    phase: &Bound<'_, PyAny>,
    handler: &Bound<'_, PyAny>,
    dir: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let py = phase.py();
    let phase = string(phase, 1)?;
    let handler = string(handler, 2)?;
    let known = Phase::from_directive(phase.to_bytes())
        .filter(|phase| !matches!(phase, Phase::Cleanup | Phase::Connection));
    let Some(phase) = known else {
        return Err(PyIndexError::new_err(format!(
            "Invalid phase: {}",
            phase.to_string_lossy()
        )));
    };
    let directory = directory(req, dir, 3)?;
    let entry = Entry {
        handler,
        directory,
        is_location: false,
        silent: false,
    };
    if req.state().phase.get(py) == Some(phase) {
        // The running list: its loop reaches the new entry.
        if let Some(list) = req.hlist_object(py)? {
            list.get().push(py, entry);
            return Ok(());
        }
    }
    phase.note_use();
    // SAFETY: `push` runs no Python.
    unsafe {
        req.state()
            .added
            .with(py, |added| added.push(Added { phase, entry }))
    };
    Ok(())
}

/// `req.register_input_filter`, `req.register_output_filter`
pub fn register_filter(
    req: &RequestObject,
    name: &Bound<'_, PyAny>,
    handler: &Bound<'_, PyAny>,
    dir: Option<&Bound<'_, PyAny>>,
    is_input: bool,
) -> PyResult<()> {
    let py = name.py();
    let filter = AddedFilter {
        name: string(name, 1)?,
        is_input,
        handler: string(handler, 2)?,
        directory: directory(req, dir, 3)?,
    };
    // SAFETY: `push` runs no Python.
    unsafe { req.state().filters.with(py, |filters| filters.push(filter)) };
    Ok(())
}

/// `req.add_input_filter`, `req.add_output_filter`
pub fn add_filter(req: &RequestObject, name: &Bound<'_, PyAny>, is_input: bool) -> PyResult<()> {
    let py = name.py();
    let name = string(name, 1)?;
    let added = req.state().added_filter(py, &name, is_input);
    req.state().with(py, |r| match (&added, is_input) {
        (Some(_), _) => crate::httpd::filter::add_dynamic(r, &name, is_input),
        (None, true) => r.add_input_filter(&name),
        (None, false) => r.add_output_filter(&name),
    })
}

fn string(value: &Bound<'_, PyAny>, argument: u32) -> PyResult<CString> {
    if !value.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!(
            "argument {argument} must be str, not {}",
            text::type_name(value)
        )));
    }
    text::to_c_arg(value)
}

/// The directory argument in httpd's form; None stays None.
fn directory(
    req: &RequestObject,
    dir: Option<&Bound<'_, PyAny>>,
    argument: u32,
) -> PyResult<Option<CString>> {
    let Some(dir) = dir.filter(|dir| !dir.is_none()) else {
        return Ok(None);
    };
    let text = string(dir, argument)?;
    let root = std::env::current_dir().ok().and_then(|path| {
        use std::os::unix::ffi::OsStringExt;
        CString::new(path.into_os_string().into_vec()).ok()
    });
    req.state().with(dir.py(), |r| {
        Some(path::directory(r.pool(), root.as_deref(), &text))
    })
}
