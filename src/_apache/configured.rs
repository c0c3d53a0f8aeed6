//! `_apache._Configured`: a Python value made from a request's PythonOptions, once for each set of them.

use pyo3::prelude::*;

use super::requestobject::RequestObject;
use crate::config::DirConfig;
use crate::interpreter::GilCell;

/// More different sets of options than a site can have; then all are forgotten.
const MANY: usize = 64;

/// Called with a request, returns build(req.get_options()), without calling build again for options that
/// it has seen.
#[cfg_attr(
    Py_3_10,
    pyclass(frozen, immutable_type, name = "_Configured", module = "_apache")
)]
#[cfg_attr(
    not(Py_3_10),
    pyclass(frozen, name = "_Configured", module = "_apache")
)]
pub struct Configured {
    build: Py<PyAny>,
    known: GilCell<Vec<Known>>,
}

struct Known {
    /// Names and values, each with a NUL behind it.
    options: Box<[u8]>,
    value: Py<PyAny>,
}

/// Gives a request's options to `visit`, piece by piece as in [`Known::options`].
fn each_piece(req: &Bound<'_, RequestObject>, visit: &mut dyn FnMut(&[u8])) -> PyResult<()> {
    let py = req.py();
    let object = req.get();
    // What a program wrote into `req.get_options()` counts.
    if let Some(table) = object.options_made(py) {
        return table.get().with(py, |table| {
            for entry in table.entries() {
                visit(entry.key.to_bytes_with_nul());
                visit(entry.value.map_or(&b"\0"[..], |v| v.to_bytes_with_nul()));
            }
        });
    }
    object.state().with(py, |r| {
        if let Some(config) = DirConfig::of(r) {
            config.options.for_each(&mut |row| {
                visit(row.key.to_bytes_with_nul());
                visit(row.value.to_bytes_with_nul());
            });
        }
    })
}

#[pymethods]
impl Configured {
    #[new]
    #[pyo3(signature = (build, /))]
    fn new(build: Py<PyAny>) -> Self {
        Self {
            build,
            known: GilCell::new(Vec::new()),
        }
    }

    #[pyo3(signature = (req, /))]
    fn __call__<'py>(&self, req: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = req.py();
        let make = || {
            self.build
                .bind(py)
                .call1((req.call_method0("get_options")?,))
        };
        let Ok(req) = req.cast::<RequestObject>() else {
            return make();
        };
        // SAFETY: comparing bytes and taking a reference run no Python.
        let known = unsafe {
            self.known.with(py, |known| {
                for one in known.iter() {
                    let mut rest = Some(&*one.options);
                    each_piece(req, &mut |piece| {
                        rest = rest.and_then(|rest| rest.strip_prefix(piece));
                    })?;
                    if rest.is_some_and(<[u8]>::is_empty) {
                        return Ok(Some(one.value.bind(py).clone()));
                    }
                }
                Ok::<_, PyErr>(None)
            })?
        };
        if let Some(value) = known {
            return Ok(value);
        }
        let mut options = Vec::new();
        each_piece(req, &mut |piece| options.extend_from_slice(piece))?;
        let value = make()?;
        let new = Known {
            options: options.into(),
            value: value.clone().unbind(),
        };
        let mut old = Vec::new();
        // SAFETY: moving runs no Python; what is forgotten is dropped after.
        unsafe {
            self.known.with(py, |known| {
                if known.len() >= MANY {
                    old = std::mem::take(known);
                }
                known.push(new);
            });
        }
        drop(old);
        Ok(value)
    }
}
