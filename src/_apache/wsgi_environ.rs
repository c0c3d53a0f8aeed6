//! The environ of a WSGI application, PEP 3333. (library.md 5.7)
//!
//! Two requests in a row mostly have the same variables, and most of them the same values. So an environ
//! begins as a copy of an earlier one whose names are the same, and only values that differ are set.

use std::collections::HashSet;
use std::ffi::{CStr, CString};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::request_config::RequestState;
use super::{request_cgi, text};
use crate::httpd::table::Raw as RawTable;
use crate::httpd::{ssl, CText, Request, Table};
use crate::interpreter::GilCell;

/// Sets of names that are remembered; clients differ in the headers they send.
const MOST_SHAPES: usize = 16;

/// Longer values are made anew each time.
const LONGEST_KEPT: usize = 256;

/// Variables that have no place in memory once their request is over.
const SECRETS: [&CStr; 3] = [
    c"HTTP_AUTHORIZATION",
    c"HTTP_COOKIE",
    c"HTTP_PROXY_AUTHORIZATION",
];

/// Makes the environs of one interpreter.
pub struct Environs {
    /// What is the same for all requests, and `wsgi.input` and `wsgi.errors` without their values.
    template: Py<PyDict>,
    shapes: GilCell<Vec<Shape>>,
    /// The shape of the last environ.
    latest: GilCell<usize>,
    /// The next to be forgotten once there are too many.
    oldest: GilCell<usize>,
}

/// Environs with the same names in the same order.
struct Shape {
    slots: Vec<Slot>,
    /// An earlier environ; None where names collide, and only httpd's own tables know who wins.
    model: Option<Py<PyDict>>,
}

/// One variable of a shape.
struct Slot {
    name: CString,
    object: Py<PyString>,
    /// The value in the model.
    kept: Option<CString>,
    /// Environs since the value last was the model's.
    misses: u32,
}

/// What httpd was asked for an environ.
enum Prepared {
    NotBelow,
    /// `subprocess_env` has everything, as after `req.add_cgi_vars()`.
    Merged,
    /// httpd's variables, not merged with `subprocess_env`.
    Apart(*mut RawTable),
}

/// What came of filling a copy of a model.
enum Filled {
    /// Whether HTTPS is on by a variable.
    Done(bool),
    Other(Option<usize>),
}

impl Environs {
    pub fn new(template: Py<PyDict>) -> Self {
        Self {
            template,
            shapes: GilCell::new(Vec::new()),
            latest: GilCell::new(0),
            oldest: GilCell::new(0),
        }
    }

    /// The environ of a request below `base`; None when the URI is not below it.
    ///
    /// `req.path_info` is set to what follows base. Texts are str with one character per byte.
    pub fn make<'py>(
        &self,
        py: Python<'py>,
        state: &RequestState,
        base: &CStr,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let (environ, https) = match state.detached(py, |r| prepare(r, base))? {
            Prepared::NotBelow => return Ok(None),
            Prepared::Merged => self.merged(py, state, base)?,
            Prepared::Apart(common) => match self.copied(py, state, base, common)? {
                Some(made) => made,
                None => {
                    state.detached(py, request_cgi::add_cgi_vars)?;
                    self.merged(py, state, base)?
                }
            },
        };
        if https || state.with(py, |r| ssl::is_https(r.connection()))? {
            environ.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "https"))?;
        }
        Ok(Some(environ))
    }

    /// An environ that begins as a copy of an earlier one; None where httpd has to merge variables.
    fn copied<'py>(
        &self,
        py: Python<'py>,
        state: &RequestState,
        base: &CStr,
        common: *mut RawTable,
    ) -> PyResult<Option<(Bound<'py, PyDict>, bool)>> {
        let mut number = self.latest.get(py);
        // The second time with the right shape, if there is one.
        for _ in 0..2 {
            // SAFETY: taking a reference runs no Python.
            let model = unsafe {
                self.shapes.with(py, |shapes| {
                    let shape = shapes.get(number)?;
                    Some(shape.model.as_ref().map(|model| model.bind(py).clone()))
                })
            };
            // The copy may run Python (the garbage collector's finalizers), so it comes before httpd's
            // strings are looked at.
            let environ = match model {
                None => break,
                Some(model) => model.map(|model| model.copy()).transpose()?,
            };
            let filled = state.with(py, |r| {
                // SAFETY: the table lives in the request's pool. Setting text in a dict runs no Python.
                unsafe {
                    let variables = collect(r, base, Table::from_raw(common));
                    self.shapes.with(py, |shapes| match shapes.get_mut(number) {
                        Some(shape) if shape.is_for(&variables) => match &environ {
                            Some(environ) => shape.fill(&variables, environ).map(Filled::Done),
                            None => Ok(Filled::Done(false)),
                        },
                        _ => Ok(Filled::Other(
                            shapes.iter().position(|shape| shape.is_for(&variables)),
                        )),
                    })
                }
            })??;
            match filled {
                Filled::Done(https) => {
                    self.latest.replace(py, number);
                    return Ok(environ.map(|environ| (environ, https)));
                }
                Filled::Other(Some(other)) => number = other,
                Filled::Other(None) => break,
            }
        }
        self.learned(py, state, base, common)
    }

    /// An environ with names that no earlier one had; the next will be a copy of it.
    fn learned<'py>(
        &self,
        py: Python<'py>,
        state: &RequestState,
        base: &CStr,
        common: *mut RawTable,
    ) -> PyResult<Option<(Bound<'py, PyDict>, bool)>> {
        let environ = self.template.bind(py).copy()?;
        let (mut shape, collides, https) = state.with(py, |r| {
            // SAFETY: as in `copied`.
            let variables = unsafe { collect(r, base, Table::from_raw(common)) };
            let mut shape = Shape::of(py, &variables)?;
            let collides = collide(r, &variables);
            let https = shape.fill(&variables, &environ)?;
            PyResult::Ok((shape, collides, https))
        })??;
        if !collides {
            let model = environ.copy()?;
            for slot in shape.slots.iter().filter(|slot| slot.kept.is_none()) {
                model.set_item(&slot.object, intern!(py, ""))?;
            }
            shape.model = Some(model.unbind());
        }
        // SAFETY: moving a shape in and another one out runs no Python; that one is dropped afterwards.
        let _forgotten = unsafe {
            self.shapes.with(py, |shapes| {
                if shapes.len() < MOST_SHAPES {
                    shapes.push(shape);
                    self.latest.replace(py, shapes.len() - 1);
                    return None;
                }
                let oldest = self.oldest.get(py);
                self.oldest.replace(py, (oldest + 1) % MOST_SHAPES);
                self.latest.replace(py, oldest);
                Some(std::mem::replace(&mut shapes[oldest], shape))
            })
        };
        Ok((!collides).then_some((environ, https)))
    }

    /// The environ of what `subprocess_env` holds.
    fn merged<'py>(
        &self,
        py: Python<'py>,
        state: &RequestState,
        base: &CStr,
    ) -> PyResult<(Bound<'py, PyDict>, bool)> {
        let environ = self.template.bind(py).copy()?;
        let https = state.with(py, |r| fill_merged(py, r, base, &environ))??;
        Ok((environ, https))
    }
}

/// Sets path_info and asks httpd for its variables, if the URI is `base` or below it.
fn prepare(r: &Request, base: &CStr) -> Prepared {
    let uri = r.uri().unwrap_or_default().to_bytes();
    let Some(rest) = uri.strip_prefix(base.to_bytes()) else {
        return Prepared::NotBelow;
    };
    if !matches!(rest.first(), None | Some(b'/')) {
        return Prepared::NotBelow;
    }
    let rest = r.pool().cstr(rest);
    r.set_path_info(Some(rest.into()));
    let env = r.subprocess_env();
    if !env.is_empty() && env.get(c"GATEWAY_INTERFACE").is_some() {
        request_cgi::add_cgi_vars(r);
        return Prepared::Merged;
    }
    Prepared::Apart(r.common_vars().as_ptr())
}

type Variables<'a> = Vec<(CText<'a>, CText<'a>)>;

/// All variables of a request; of two with the same name the later one counts.
#[inline]
fn collect<'a>(r: &'a Request, base: &'a CStr, common: &'a Table) -> Variables<'a> {
    let own = r.subprocess_env();
    let mut variables = Vec::with_capacity(own.len() + common.len() + 8);
    let mut add = |name: &'static CStr, value: &'a CStr| {
        variables.push((CText::from(name), CText::from(value)));
    };
    add(c"GATEWAY_INTERFACE", c"CGI/1.1");
    add(c"SERVER_PROTOCOL", r.protocol().unwrap_or_default());
    add(c"REQUEST_METHOD", r.method().unwrap_or_default());
    add(c"QUERY_STRING", r.args().unwrap_or_default());
    add(c"REQUEST_URI", r.uri().unwrap_or_default());
    add(c"SCRIPT_NAME", base);
    // PEP 3333 lets an empty one be absent, but many applications look it up without asking.
    add(c"PATH_INFO", r.path_info().unwrap_or_default());
    if let Some(authorization) = r.headers_in().get(c"Authorization") {
        if common.get(c"HTTP_AUTHORIZATION").is_none() {
            add(c"HTTP_AUTHORIZATION", authorization);
        }
    }
    variables.extend(own.pairs());
    variables.extend(common.pairs());
    variables
}

/// Whether a name is there twice, in whatever case, or replaced by httpd's own rules.
fn collide(r: &Request, variables: &Variables<'_>) -> bool {
    let mut seen = HashSet::new();
    let twice = !variables.iter().all(|(name, _)| {
        let name = name.as_c_str().to_bytes();
        seen.insert(name.to_ascii_uppercase())
    });
    // Names that an environ can lack, and the one that httpd looks up.
    let own = r.subprocess_env();
    twice
        || [c"PATH", c"HTTP_AUTHORIZATION"]
            .iter()
            .any(|name| own.contains(*name))
}

impl Shape {
    fn of(py: Python<'_>, variables: &Variables<'_>) -> PyResult<Self> {
        let slot = |(name, _): &(CText<'_>, CText<'_>)| {
            let name = name.as_c_str();
            Ok(Slot {
                name: name.to_owned(),
                object: text::from_latin1(py, name)?.unbind(),
                kept: None,
                misses: 0,
            })
        };
        Ok(Self {
            slots: variables.iter().map(slot).collect::<PyResult<_>>()?,
            model: None,
        })
    }

    #[inline]
    fn is_for(&self, variables: &Variables<'_>) -> bool {
        self.slots.len() == variables.len()
            && (self.slots.iter())
                .zip(variables)
                .all(|(slot, (name, _))| name.is(&slot.name))
    }

    /// Sets what differs from the model; whether HTTPS is on by a variable.
    #[inline]
    fn fill(&mut self, variables: &Variables<'_>, environ: &Bound<'_, PyDict>) -> PyResult<bool> {
        let py = environ.py();
        let mut https = false;
        let model = self.model.as_ref().map(|model| model.bind(py));
        for (slot, (_, value)) in self.slots.iter_mut().zip(variables) {
            if slot.kept.as_deref().is_some_and(|kept| value.is(kept)) {
                slot.misses = 0;
            } else {
                slot.set(value.as_c_str(), environ, model)?;
            }
            if slot.name.as_c_str() == c"HTTPS" {
                https = is_on(value.as_c_str());
            }
        }
        Ok(https)
    }
}

impl Slot {
    fn set(
        &mut self,
        value: &CStr,
        environ: &Bound<'_, PyDict>,
        model: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let name = self.object.bind(environ.py());
        let object = text::from_latin1(environ.py(), value)?;
        set(environ, name, &object)?;
        // A value that changes each time is kept ever more seldom.
        self.misses = self.misses.saturating_add(1);
        if self.misses.is_power_of_two()
            && value.count_bytes() <= LONGEST_KEPT
            && !SECRETS.contains(&self.name.as_c_str())
        {
            if let Some(model) = model {
                set(model, name, &object)?;
            }
            self.kept = Some(value.to_owned());
        }
        Ok(())
    }
}

/// As `fill`, from `subprocess_env`, where httpd has merged everything.
fn fill_merged(
    py: Python<'_>,
    r: &Request,
    base: &CStr,
    environ: &Bound<'_, PyDict>,
) -> PyResult<bool> {
    let mut https = false;
    for entry in r.subprocess_env().entries() {
        let Some(value) = entry.value else { continue };
        if entry.key == c"HTTPS" {
            https = is_on(value);
        }
        let name = text::from_latin1(py, entry.key)?;
        set(environ, &name, &text::from_latin1(py, value)?)?;
    }
    let script_name = text::from_latin1(py, base)?;
    set(environ, intern!(py, "SCRIPT_NAME"), &script_name)?;
    let path_info = text::from_latin1(py, r.path_info().unwrap_or_default())?;
    set(environ, intern!(py, "PATH_INFO"), &path_info)?;
    if let Some(value) = r.headers_in().get(c"Authorization") {
        let value = text::from_latin1(py, value)?;
        set(environ, intern!(py, "HTTP_AUTHORIZATION"), &value)?;
    }
    Ok(https)
}

fn is_on(https: &CStr) -> bool {
    !https.to_bytes().eq_ignore_ascii_case(b"off")
}

#[inline]
fn set(
    environ: &Bound<'_, PyDict>,
    name: &Bound<'_, PyString>,
    value: &Bound<'_, PyString>,
) -> PyResult<()> {
    // SAFETY: a dict, a str and a str.
    let status = unsafe { ffi::PyDict_SetItem(environ.as_ptr(), name.as_ptr(), value.as_ptr()) };
    if status == 0 {
        Ok(())
    } else {
        Err(PyErr::fetch(environ.py()))
    }
}
