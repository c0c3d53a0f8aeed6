//! The environ of a WSGI application, PEP 3333. (library.md 5.7)

use std::ffi::CStr;

use hashbrown::HashMap;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::requestobject::RequestObject;
use super::{request_cgi, text};
use crate::httpd::{ssl, Request};
use crate::interpreter::GilCell;

/// Names of variables as Python objects: the same few dozen at each request.
static NAMES: GilCell<Option<Names>> = GilCell::new(None);

type Names = HashMap<Box<[u8]>, Py<PyString>>;

/// Clients invent header names; beyond this many they are made anew each time.
const MOST_NAMES: usize = 512;

/// Builds the environ for a request below `base`; None when the URI is not below it.
///
/// template holds the variables that are the same for all requests. `req.path_info` is set to what
/// follows base. Texts are str with one character per byte.
#[pyfunction]
pub fn _wsgi_environ<'py>(
    req: &Bound<'py, RequestObject>,
    base: &Bound<'py, PyAny>,
    template: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let py = req.py();
    let state = &req.get().state;
    let base = text::to_c(base)?;
    let is_below = state.detached(py, |r| prepare(r, &base))?;
    if !is_below {
        return Ok(None);
    }
    let environ = template.copy()?;
    // Collected first: dict operations allocate, and the table is only lent.
    state.with(py, |r| fill(py, r, &base, &environ))??;
    environ.set_item(intern!(py, "wsgi.input"), req)?;
    Ok(Some(environ))
}

/// Sets path_info and the CGI variables; whether the URI is `base` or below it.
fn prepare(r: &Request, base: &CStr) -> bool {
    let uri = r.uri().unwrap_or_default().to_bytes();
    let Some(rest) = uri.strip_prefix(base.to_bytes()) else {
        return false;
    };
    if !matches!(rest.first(), None | Some(b'/')) {
        return false;
    }
    let rest = r.pool().cstr(rest);
    r.set_path_info(Some(rest.to_bytes()));
    request_cgi::add_cgi_vars(r);
    true
}

fn fill(py: Python<'_>, r: &Request, base: &CStr, environ: &Bound<'_, PyDict>) -> PyResult<()> {
    let mut https = false;
    for entry in r.subprocess_env().entries() {
        let Some(value) = entry.value else { continue };
        if entry.key.to_bytes() == b"HTTPS" {
            https = !value.to_bytes().eq_ignore_ascii_case(b"off");
        }
        set(environ, &name(py, entry.key)?, value)?;
    }
    set(environ, intern!(py, "SCRIPT_NAME"), base)?;
    match r.path_info().filter(|info| !info.is_empty()) {
        Some(info) => set(environ, intern!(py, "PATH_INFO"), info)?,
        None => {
            if environ.contains(intern!(py, "PATH_INFO"))? {
                environ.del_item(intern!(py, "PATH_INFO"))?;
            }
        }
    }
    if let Some(authorization) = r.headers_in().get(c"Authorization") {
        set(environ, intern!(py, "HTTP_AUTHORIZATION"), authorization)?;
    }
    https = https || ssl::is_https(r.connection());
    let scheme = if https {
        intern!(py, "https")
    } else {
        intern!(py, "http")
    };
    environ.set_item(intern!(py, "wsgi.url_scheme"), scheme)
}

fn set(environ: &Bound<'_, PyDict>, name: &Bound<'_, PyString>, value: &CStr) -> PyResult<()> {
    let value = text::from_latin1(environ.py(), value);
    // SAFETY: a dict, a str and a str.
    let status = unsafe { ffi::PyDict_SetItem(environ.as_ptr(), name.as_ptr(), value.as_ptr()) };
    if status == 0 {
        Ok(())
    } else {
        Err(PyErr::fetch(environ.py()))
    }
}

fn name<'py>(py: Python<'py>, name: &CStr) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: looking up and inserting a new name run no Python.
    unsafe {
        NAMES.with(py, |names| {
            let names = names.get_or_insert_default();
            if let Some(known) = names.get(name.to_bytes()) {
                return Ok(known.bind(py).clone());
            }
            let made = text::from_latin1(py, name);
            if names.len() < MOST_NAMES {
                // Hashed once, and for ever.
                made.hash()?;
                names.insert(name.to_bytes().into(), made.clone().unbind());
            }
            Ok(made)
        })
    }
}
