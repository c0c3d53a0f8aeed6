//! One request of a WSGI application, from its name to the end of its answer. (library.md 5.7)

use std::ffi::{CStr, CString};

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::requestobject::RequestObject;
use super::wsgi_environ::Environs;
use super::wsgi_response::WsgiResponse;
use super::{request_options, text};
use crate::httpd::{log, Status};
use crate::interpreter::GilCell;

const APPLICATION: &CStr = c"mod_python.wsgi.application";
const BASE_URI: &CStr = c"mod_python.wsgi.base_uri";

/// How long an application is used before its file is looked at again, in microseconds.
const RELOAD_INTERVAL: i64 = 1_000_000;

/// The WSGI applications of one interpreter.
#[cfg_attr(
    Py_3_10,
    pyclass(frozen, immutable_type, name = "_WsgiGateway", module = "_apache")
)]
#[cfg_attr(
    not(Py_3_10),
    pyclass(frozen, name = "_WsgiGateway", module = "_apache")
)]
pub struct Gateway {
    /// find(req, name) -> the application, or something false
    find: Py<PyAny>,
    /// send(req, response, result), for results that are no list
    send: Py<PyAny>,
    environs: Environs,
    applications: GilCell<Vec<Application>>,
}

struct Application {
    name: CString,
    callable: Py<PyAny>,
    /// When it was looked up, in microseconds.
    found: i64,
}

#[pymethods]
impl Gateway {
    /// template: the variables that are the same for all requests.
    #[new]
    fn new(find: Py<PyAny>, send: Py<PyAny>, template: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = template.py();
        let template = template.copy()?;
        template.set_item("wsgi.url_scheme", intern!(py, "http"))?;
        template.set_item("wsgi.input", py.None())?;
        template.set_item("wsgi.errors", py.None())?;
        Ok(Self {
            find,
            send,
            environs: Environs::new(template.unbind()),
            applications: GilCell::new(Vec::new()),
        })
    }

    /// Answers with what the application returns; DECLINED if there is none for this URI.
    ///
    /// KeyError if the option that names the application is not set.
    fn run(&self, req: &Bound<'_, RequestObject>) -> PyResult<i32> {
        let py = req.py();
        let known = self.known(req)?;
        let Some(environ) = self.environ(req)? else {
            return Ok(Status::DECLINED.0);
        };
        let application = match known {
            Some(application) => application,
            None => self.found(req)?,
        };
        if !application.is_truthy()? {
            let name = request_options::option(req, APPLICATION)?;
            let name = name.map_or_else(|| Ok(String::new()), |name| repr(&name))?;
            warn(
                req,
                &format!(
                    "WSGI handler: mod_python.wsgi.application ({name}) not found, declining."
                ),
            )?;
            return Ok(Status::DECLINED.0);
        }
        let response = Bound::new(py, WsgiResponse::new(req))?;
        let start_response = response.getattr(intern!(py, "start_response"))?;
        let result = application.call1((environ, start_response))?;
        if result.is_exact_instance_of::<PyList>() {
            response.get().send(&result)?;
        } else {
            self.send.bind(py).call1((req, &response, result))?;
        }
        response.get().finish(py)?;
        Ok(Status::OK.0)
    }

    /// The environ of PEP 3333; None, after a warning, if the URI is not below the base URI.
    ///
    /// Raises ValueError if the base URI ends with a slash.
    fn environ<'py>(
        &self,
        req: &Bound<'py, RequestObject>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let py = req.py();
        let state = req.get().state();
        let option = request_options::with_option(req, BASE_URI, |base| base.map(CStr::to_owned))?;
        let base = match option {
            Some(base) if base.to_bytes().ends_with(b"/") => return Err(wrong_base(py, &base)),
            Some(base) => Some(base),
            None => state
                .with(py, |r| state.location(r, py))?
                .map(without_slash),
        };
        let base = base.as_deref().unwrap_or_default();
        let Some(environ) = self.environs.make(py, state, base)? else {
            let uri = state.with(py, |r| text::from_c_opt(py, r.uri()))??;
            let uri = uri.map_or_else(|| Ok("None".into()), |uri| repr(&uri))?;
            let base = repr(text::from_c(py, base)?.as_any())?;
            warn(
                req,
                &format!(
                    "WSGI handler: req.uri ({uri}) does not start with mod_python.wsgi.base_uri ({base}), declining."
                ),
            )?;
            return Ok(None);
        };
        environ.set_item(intern!(py, "wsgi.input"), req)?;
        // SAFETY: lent by the interpreter's sys; null where a program deleted it.
        let errors = unsafe {
            Bound::from_borrowed_ptr_or_opt(py, ffi::PySys_GetObject(c"stderr".as_ptr()))
        };
        environ.set_item(intern!(py, "wsgi.errors"), errors)?;
        Ok(Some(environ))
    }
}

impl Gateway {
    /// The application where it was looked up a moment ago.
    fn known<'py>(&self, req: &Bound<'py, RequestObject>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = req.py();
        let now = req.get().state().with(py, |r| r.request_time())?;
        let known = request_options::with_option(req, APPLICATION, |name| {
            let name = name?;
            // SAFETY: taking a reference runs no Python.
            let application = unsafe {
                self.applications.with(py, |applications| {
                    let known = applications.iter().find(|a| a.name.as_c_str() == name)?;
                    (now - known.found <= RELOAD_INTERVAL).then(|| known.callable.bind(py).clone())
                })
            };
            Some(application)
        })?;
        known.ok_or_else(|| PyKeyError::new_err(APPLICATION.to_string_lossy().into_owned()))
    }

    /// Imports the application, or looks whether its module has changed.
    fn found<'py>(&self, req: &Bound<'py, RequestObject>) -> PyResult<Bound<'py, PyAny>> {
        let py = req.py();
        let name = request_options::option(req, APPLICATION)?
            .ok_or_else(|| PyKeyError::new_err(APPLICATION.to_string_lossy().into_owned()))?;
        let found = req.get().state().with(py, |r| r.request_time())?;
        let callable = self.find.bind(py).call1((req, &name))?;
        let name = text::to_c(&name)?;
        let entry = Application {
            name,
            callable: callable.clone().unbind(),
            found,
        };
        // SAFETY: moving entries in and out runs no Python; the old one is dropped afterwards.
        let _old = unsafe {
            self.applications.with(py, |applications| {
                match applications.iter_mut().find(|a| a.name == entry.name) {
                    Some(known) => Some(std::mem::replace(known, entry)),
                    None => {
                        applications.push(entry);
                        None
                    }
                }
            })
        };
        Ok(callable)
    }
}

fn without_slash(location: CString) -> CString {
    match location.to_bytes().strip_suffix(b"/") {
        Some(rest) => CString::new(rest).unwrap_or_default(),
        None => location,
    }
}

#[cold]
fn wrong_base(py: Python<'_>, base: &CStr) -> PyErr {
    match text::from_c(py, base).and_then(|base| repr(base.as_any())) {
        Ok(base) => PyValueError::new_err(format!(
            "PythonOption 'mod_python.wsgi.base_uri' ({base}) must not end with '/'"
        )),
        Err(error) => error,
    }
}

fn repr(object: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(object.repr()?.to_string_lossy().into_owned())
}

fn warn(req: &Bound<'_, RequestObject>, message: &str) -> PyResult<()> {
    req.call_method1("log_error", (message, log::Level::Warning as i32))?;
    Ok(())
}
