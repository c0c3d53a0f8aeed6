//! Configuration of a request for the package's own handlers: one value, without a table for Python.

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::requestobject::RequestObject;
use super::{file_stamp, text};
use crate::config::DirConfig;

/// A PythonOption of the request, None where it is unset.
///
/// What a program wrote into `req.get_options()` counts. Anything that is no request of ours is asked
/// through its own `get_options`.
pub fn option<'py>(req: &Bound<'py, PyAny>, key: &CStr) -> PyResult<Option<Bound<'py, PyString>>> {
    let py = req.py();
    let Ok(object) = req.cast::<RequestObject>() else {
        let name = text::from_c(py, key)?;
        let value = req
            .call_method0("get_options")?
            .call_method1("get", (name,))?;
        return Ok(value.cast_into().ok());
    };
    with_option(object, key, |value| text::from_c_opt(py, value))?
}

/// Lends a PythonOption of one of our requests to a closure, which runs no Python code.
pub fn with_option<R>(
    object: &Bound<'_, RequestObject>,
    key: &CStr,
    found: impl FnOnce(Option<&CStr>) -> R,
) -> PyResult<R> {
    let py = object.py();
    let object = object.get();
    match object.options_made(py) {
        Some(table) => table.get().with(py, |table| found(table.get(key))),
        None => object.state().with(py, |r| {
            found(DirConfig::of(r).and_then(|config| config.option(key)))
        }),
    }
}

/// Whether any option of the request may have a key that starts like this.
pub fn has_any(req: &Bound<'_, PyAny>, prefix: &[u8]) -> PyResult<bool> {
    let py = req.py();
    let Ok(object) = req.cast::<RequestObject>() else {
        return Ok(true);
    };
    if object.get().options_made(py).is_some() {
        return Ok(true);
    }
    object.get().state().with(py, |r| {
        let Some(config) = DirConfig::of(r) else {
            return false;
        };
        let found = config.options.find(&mut |row| {
            let start = row.key.to_bytes().get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        });
        found.is_some()
    })
}

/// _option(req, name) -> str or None
///
/// The PythonOption `name` of the request, for less than `req.get_options()` costs.
#[pyfunction]
#[pyo3(signature = (req, name, /))]
pub fn _option<'py>(
    req: &Bound<'py, PyAny>,
    name: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyString>>> {
    option(req, &text::to_c_arg(name)?)
}

/// _is_current(req, path, stamp) -> bool
///
/// Whether _file_stamp(path) still is `stamp`. With PythonAutoReload Off nobody looks: then it is.
#[pyfunction]
#[pyo3(signature = (req, path, stamp, /))]
pub fn _is_current(
    req: &Bound<'_, RequestObject>,
    path: &Bound<'_, PyAny>,
    stamp: Option<u64>,
) -> PyResult<bool> {
    let looks = |config: &DirConfig<'_>| config.settings.auto_reloads();
    let state = req.get().state();
    if !state.with(req.py(), |r| DirConfig::of(r).is_none_or(looks))? {
        return Ok(true);
    }
    Ok(file_stamp::of(path)? == stamp)
}

/// _get_post_head(req) -> bool
///
/// Does `req.allow_methods(["GET", "POST", "HEAD"])`; whether the method is one of these.
#[pyfunction]
#[pyo3(signature = (req, /))]
pub fn _get_post_head(req: &Bound<'_, RequestObject>) -> PyResult<bool> {
    const METHODS: [&CStr; 3] = [c"GET", c"POST", c"HEAD"];
    req.get().state().with(req.py(), |r| {
        r.allow_methods(&METHODS, false);
        r.method().is_some_and(|method| METHODS.contains(&method))
    })
}

/// _debug(req) -> bool
///
/// Whether PythonDebug is on for the request.
#[pyfunction]
#[pyo3(signature = (req, /))]
pub fn _debug(req: &Bound<'_, RequestObject>) -> PyResult<bool> {
    let on = |config: &DirConfig<'_>| config.settings.debugs();
    req.get()
        .state()
        .with(req.py(), |r| DirConfig::of(r).is_some_and(on))
}
