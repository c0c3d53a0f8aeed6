//! `mp_request`: the `req` that handlers get. (objects.md 3.1)
//!
//! This file lists its attributes and methods; bodies of more than a few lines are in `request_body.rs`,
//! `request_io.rs`, `request_handlers.rs` and `request_cgi.rs`.

use std::os::raw::c_int;
use std::sync::Arc;

use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use super::connobject::ConnObject;
use super::finfoobject::FileInfo;
use super::hlistobject::HList;
use super::request_config::{Cleanup, RequestState};
use super::serverobject::ServerObject;
use super::spare_request::{is_alone, Owner};
use super::tableobject::{TableObject, Which};
use super::{
    configtable, instance_dict, request_body, request_cgi, request_handlers, request_io, text,
};
use crate::config::phase::Phase;
use crate::httpd::{log, ssl, Request};
use crate::interpreter::{registry, GilCell};

/// The request that is being handled. One object stands for one request of httpd in all its phases.
///
/// It can be used until the request is over; afterwards every use raises RuntimeError. Programs may set
/// attributes of their own, which live as long as the request.
#[cfg_attr(
    Py_3_10,
    pyclass(
        frozen,
        dict,
        weakref,
        immutable_type,
        name = "mp_request",
        module = "builtins"
    )
)]
#[cfg_attr(
    not(Py_3_10),
    pyclass(frozen, dict, weakref, name = "mp_request", module = "builtins")
)]
pub struct RequestObject {
    pub owner: Owner,
    tables: GilCell<[Option<Py<TableObject>>; Which::COUNT]>,
    /// A bit for each table that is the request's; the others wait for one.
    lent: GilCell<u8>,
    connection: GilCell<Option<Py<ConnObject>>>,
    server: GilCell<Option<Py<ServerObject>>>,
    config: GilCell<Option<Py<TableObject>>>,
    options: GilCell<Option<Py<TableObject>>>,
}

const _: () = assert!(
    Which::COUNT <= u8::BITS as usize,
    "a bit of `lent` for each"
);

impl RequestObject {
    /// The object of a request; there is at most one at a time.
    pub fn new(state: Arc<RequestState>) -> Self {
        Self {
            owner: Owner::new(state),
            tables: GilCell::new([const { None }; Which::COUNT]),
            lent: GilCell::new(0),
            connection: GilCell::new(None),
            server: GilCell::new(None),
            config: GilCell::new(None),
            options: GilCell::new(None),
        }
    }

    /// What is known of the request.
    #[inline]
    pub fn state(&self) -> &Arc<RequestState> {
        self.owner.state()
    }

    /// Whether there are objects of its attributes, which belong to the request.
    #[inline]
    pub fn has_made_any(&self, py: Python<'_>) -> bool {
        // SAFETY: looking runs no Python.
        let has_connection = unsafe { self.connection.with(py, |connection| connection.is_some()) };
        has_connection || self.lent.get(py) != 0 || self.has_made_changeable(py)
    }

    /// Whether among them are some that programs change: a new `req` must not lose that.
    #[inline]
    fn has_made_changeable(&self, py: Python<'_>) -> bool {
        // SAFETY: as above.
        unsafe {
            self.server.with(py, |server| server.is_some())
                || self.options.with(py, |table| table.is_some())
                || self.config.with(py, |table| table.is_some())
        }
    }

    /// Takes them out, for the caller to drop.
    #[cold]
    pub fn take_made(&self, py: Python<'_>) -> impl Sized {
        self.lent.replace(py, 0);
        (
            self.tables.replace(py, [const { None }; Which::COUNT]),
            self.connection.take(py),
            self.server.take(py),
            self.config.take(py),
            self.options.take(py),
        )
    }

    /// The same, but keeps the tables that nobody else has: they will be another request's.
    pub fn take_made_but_tables(&self, py: Python<'_>) -> impl Sized {
        let lent = self.lent.replace(py, 0);
        let mut left = [const { (None, None) }; Which::COUNT];
        // SAFETY: looking and moving run no Python.
        unsafe {
            self.tables.with(py, |tables| {
                for (index, slot) in tables.iter_mut().enumerate() {
                    left[index] = match slot {
                        _ if lent & (1 << index) == 0 => continue,
                        Some(table) if is_alone(table.as_ptr()) => {
                            (table.get().lend(py, None), None)
                        }
                        noticed => (None, noticed.take()),
                    };
                }
            });
        }
        (
            left,
            self.connection.take(py),
            self.server.take(py),
            self.config.take(py),
            self.options.take(py),
        )
    }

    #[inline]
    fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&Request) -> R) -> PyResult<R> {
        self.state().with(py, body)
    }

    /// Whether the object carries something that a new one would not: attributes, changed options.
    #[inline]
    pub fn is_needed(this: &Bound<'_, Self>) -> bool {
        instance_dict::is_used(this) || this.get().has_made_changeable(this.py())
    }

    /// What `get_options()` returned, if it was called.
    pub fn options_made<'py>(&self, py: Python<'py>) -> Option<Bound<'py, TableObject>> {
        // SAFETY: taking a reference runs no Python.
        unsafe {
            self.options.with(py, |table| {
                table.as_ref().map(|table| table.bind(py).clone())
            })
        }
    }

    /// The running list as an object.
    pub fn hlist_object<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, HList>>> {
        self.with(py, |r| self.state().hlist(r, py))?
    }

    /// Lets go of all it refers to, so that cycles through its attributes end with the request.
    pub fn release(this: &Bound<'_, Self>) {
        let py = this.py();
        if let Some(dict) = instance_dict::of(this) {
            dict.clear();
        }
        drop(this.get().take_made(py));
    }

    fn table<'py>(&self, py: Python<'py>, which: Which) -> PyResult<Bound<'py, TableObject>> {
        // SAFETY: taking a reference runs no Python.
        let known = unsafe {
            self.tables.with(py, |tables| {
                tables[which as usize].as_ref().map(|t| t.bind(py).clone())
            })
        };
        let bit = 1 << which as u8;
        match known {
            Some(table) if self.lent.get(py) & bit != 0 => Ok(table),
            // Kept of a request before.
            Some(table) if !self.owner.is_none(py) => {
                table.get().lend(py, Some(self.state().clone()));
                self.lent.replace(py, self.lent.get(py) | bit);
                Ok(table)
            }
            _ => {
                let table = Bound::new(py, TableObject::of_request(self.state().clone(), which))?;
                if !self.owner.is_none(py) {
                    // SAFETY: the slot was empty: nothing is dropped.
                    unsafe {
                        self.tables.with(py, |tables| {
                            tables[which as usize] = Some(table.clone().unbind())
                        })
                    };
                    self.lent.replace(py, self.lent.get(py) | bit);
                }
                Ok(table)
            }
        }
    }

    fn related<'py>(
        &self,
        py: Python<'py>,
        of: impl FnOnce(&Request) -> Option<&Request>,
    ) -> PyResult<Option<Bound<'py, RequestObject>>> {
        let state = self.with(py, |r| of(r).map(|other| RequestState::of(other).clone()))?;
        state
            .map(|state| RequestState::object(&state, py))
            .transpose()
    }

    fn strings<'py>(
        &self,
        py: Python<'py>,
        of: impl FnOnce(&Request) -> Vec<&std::ffi::CStr>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let texts: Vec<_> = self.with(py, |r| {
            of(r)
                .into_iter()
                .map(|text| text::from_c(py, text))
                .collect::<PyResult<Vec<_>>>()
        })??;
        PyTuple::new(py, texts)
    }
}

/// An object kept in a cell, made on first use.
fn kept<'py, T: pyo3::PyClass>(
    py: Python<'py>,
    cell: &GilCell<Option<Py<T>>>,
    make: impl FnOnce() -> PyResult<Bound<'py, T>>,
) -> PyResult<Bound<'py, T>> {
    // SAFETY: taking a reference runs no Python.
    if let Some(known) = unsafe { cell.with(py, |slot| slot.as_ref().map(|o| o.bind(py).clone())) }
    {
        return Ok(known);
    }
    let made = make()?;
    cell.replace(py, Some(made.clone().unbind()));
    Ok(made)
}

/// An int for C; OverflowError for one that does not fit.
fn c_int_of(value: &Bound<'_, PyAny>) -> PyResult<c_int> {
    let number: i64 = value.extract()?;
    c_int::try_from(number).map_err(|_| {
        pyo3::exceptions::PyOverflowError::new_err(format!("{number} does not fit a C int"))
    })
}

fn readonly<T>() -> PyResult<T> {
    Err(PyAttributeError::new_err("readonly attribute"))
}

/// Makes the one `#[pymethods]` block out of tables of attributes and ordinary methods.
macro_rules! request_methods {
    (
        text { $( $(#[$tdoc:meta])* $text:ident $(= $tset:ident)? ),* $(,)? }
        optional { $( $(#[$odoc:meta])* $opt:ident = $oset:ident ),* $(,)? }
        int { $( $(#[$idoc:meta])* $int:ident $(= $iset:ident)? ),* $(,)? }
        table { $( $(#[$bdoc:meta])* $table:ident = $which:ident ),* $(,)? }
        $($methods:tt)*
    ) => {
        #[pymethods]
        impl RequestObject {
            $(
                $(#[$tdoc])*
                #[getter]
                fn $text<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
                    self.with(py, |r| text::from_c_opt(py, r.$text()))?
                }
                $(
                    #[setter($text)]
                    fn $tset(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
                        let text = text::to_text(value)?;
                        self.with(value.py(), |r| r.$tset(Some(text.as_c())))
                    }
                )?
            )*
            $(
                $(#[$odoc])*
                #[getter]
                fn $opt<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
                    self.with(py, |r| text::from_c_opt(py, r.$opt()))?
                }
                #[setter($opt)]
                fn $oset(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
                    if value.is_none() {
                        return self.with(value.py(), |r| r.$oset(None));
                    }
                    let text = text::to_text(value)?;
                    self.with(value.py(), |r| r.$oset(Some(text.as_c())))
                }
            )*
            $(
                $(#[$idoc])*
                #[getter]
                fn $int(&self, py: Python<'_>) -> PyResult<i64> {
                    self.with(py, |r| r.$int())
                }
                $(
                    #[setter($int)]
                    fn $iset(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
                        let number = c_int_of(value)?;
                        self.with(value.py(), |r| r.$iset(number))
                    }
                )?
            )*
            $(
                $(#[$bdoc])*
                #[getter]
                fn $table<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, TableObject>> {
                    self.table(py, Which::$which)
                }
            )*
            $($methods)*
        }
    };
}

request_methods! {
    text {
        /// The first line of the request; str or None.
        the_request,
        /// The protocol, such as "HTTP/1.1".
        protocol,
        /// The host of the URI or the Host header, without port; str or None.
        hostname,
        /// The method, such as "GET".
        method,
        /// The Range header's value; str or None.
        range,
        /// How the content is encoded; str or None.
        content_encoding,
        /// The variant list validator of content negotiation; str or None.
        vlist_validator,
        /// The URI as sent, with query.
        unparsed_uri,
        /// The client's address, as mod_remoteip or the connection tells.
        useragent_ip,
        /// The status line; httpd replaces it when its code differs from `status`. Writable.
        status_line = set_status_line,
        /// How the client was authenticated; str or None. Writable.
        ap_auth_type = set_ap_auth_type,
        /// The decoded path of the URI. Writable.
        uri = set_uri,
        /// The file the URI was mapped to; None before mapping and in Locations. Writable.
        filename = set_filename,
        /// `filename` in its true form; str or None. Writable.
        canonical_filename = set_canonical_filename,
        /// What follows the file in the URI. Writable.
        path_info = set_path_info,
    }
    optional {
        /// The name of the handler httpd will call; str or None. Writable.
        handler = set_handler,
        /// The query string, undecoded and without '?'; str or None. Writable.
        args = set_args,
    }
    int {
        /// 1 for an HTTP/0.9 style request, which gets no headers. Writable.
        assbackwards = set_assbackwards,
        /// One of apache.PROXYREQ_*. Writable.
        proxyreq = set_proxyreq,
        /// 1 for HEAD.
        header_only,
        /// The protocol as a number: 1001 is HTTP/1.1.
        proto_num,
        /// The HTTP status of the response. Writable.
        status = set_status,
        /// One of apache.M_*; HEAD counts as M_GET.
        method_number,
        /// A bit mask of allowed methods.
        allowed,
        /// Non-zero once body output has started.
        sent_bodyct,
        /// Body bytes sent.
        bytes_sent,
        /// The length given to set_content_length.
        clength,
        /// Body bytes announced and not at their end.
        remaining,
        /// Body bytes read.
        read_length,
        /// How the body is read: one of apache.REQUEST_*.
        read_body,
        /// 1 while a chunked body is read.
        read_chunked,
        /// 1 while the client waits for "100 Continue".
        expecting_100,
        /// 1 to tell clients not to cache. Writable.
        no_cache = set_no_cache,
        /// 1 when no local copy exists. Writable.
        no_local_copy = set_no_local_copy,
        /// What to do with path_info: one of apache.AP_REQ_*_PATH_INFO. Writable.
        used_path_info = set_used_path_info,
        /// 1 once the end of the response was sent.
        eos_sent,
    }
    table {
        /// The request's headers.
        headers_in = HeadersIn,
        /// The response's headers, left out of error responses.
        headers_out = HeadersOut,
        /// Headers that are sent with error responses too, and kept over internal redirects.
        err_headers_out = ErrHeadersOut,
        /// The environment for CGI and SSI.
        subprocess_env = SubprocessEnv,
        /// Notes that modules leave each other.
        notes = Notes,
    }

    /// The connection the request came on.
    #[getter]
    fn connection<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, ConnObject>> {
        self.with(py, |_| ())?;
        kept(py, &self.connection, || Bound::new(py, ConnObject::new(self.state().conn.clone())))
    }

    /// The virtual host the request is for. Attributes set on it last for this request; it is
    /// there after the request's end too.
    #[getter]
    fn server<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, ServerObject>> {
        match self.with(py, |r| ServerObject::of(r.server())) {
            Ok(server) => kept(py, &self.server, || Bound::new(py, server)),
            // CherryPy's handler keeps its first request, to log to that one's server.
            Err(over) => match self.state().last_server(py) {
                Some(server) => Bound::new(py, ServerObject::of(server)),
                None => Err(over),
            },
        }
    }

    /// The request this one was redirected to, or None.
    #[getter]
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, RequestObject>>> {
        self.related(py, Request::next)
    }

    /// The request this one was redirected from, or None, with the attributes set on it.
    #[getter]
    fn prev<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, RequestObject>>> {
        self.related(py, Request::prev)
    }

    /// The main request where this is a sub-request, or None.
    #[getter]
    fn main<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, RequestObject>>> {
        self.related(py, Request::main)
    }

    /// When the request began: seconds since the epoch, as float.
    #[getter]
    fn request_time(&self, py: Python<'_>) -> PyResult<f64> {
        self.with(py, |r| r.request_time() as f64 / 1e6)
    }

    /// The time of the newest part of the resource: seconds since the epoch, as float.
    #[getter]
    fn mtime(&self, py: Python<'_>) -> PyResult<f64> {
        self.with(py, |r| r.mtime() as f64 / 1e6)
    }

    /// 1 while the response is chunked. Writable: 0 suppresses chunking.
    #[getter]
    fn chunked(&self, py: Python<'_>) -> PyResult<i64> {
        self.with(py, Request::chunked)
    }

    #[setter]
    fn set_chunked(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let number = c_int_of(value).map_err(|_| PyTypeError::new_err("chunked must be a integer"))?;
        self.with(value.py(), |r| r.set_chunked(number))
    }

    /// The content type of the response; str or None. Writable.
    #[getter]
    fn content_type<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.with(py, |r| text::from_c_opt(py, r.content_type()))?
    }

    #[setter]
    fn set_content_type(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let text = text::to_text(value)?;
        self.with(value.py(), |r| r.set_content_type(text.as_c()))?;
        self.state().content_type_set.replace(value.py(), true);
        Ok(())
    }

    /// The authenticated user, decoded as latin-1; str or None. Writable.
    #[getter]
    fn user<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.with(py, |r| r.user().map(|user| text::from_latin1(py, user)).transpose())?
    }

    #[setter]
    fn set_user(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let user = text::encode_latin1(value)?;
        self.with(value.py(), |r| r.set_user(Some(r.pool().cstr(&user).into())))
    }

    /// Extension methods in the Allow header; a tuple of str.
    #[getter]
    fn allowed_methods<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.strings(py, Request::allowed_methods)
    }

    /// Extension methods allowed by modules; a tuple of str.
    #[getter]
    fn allowed_xmethods<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.strings(py, Request::allowed_xmethods)
    }

    /// The languages of the content; a tuple of str.
    #[getter]
    fn content_languages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.strings(py, Request::content_languages)
    }

    /// What httpd knows of the file. Assign an mp_finfo to change it.
    #[getter]
    fn finfo(&self, py: Python<'_>) -> PyResult<FileInfo> {
        self.with(py, |r| FileInfo { inner: r.finfo() })
    }

    #[setter]
    fn set_finfo(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let finfo = value.cast::<FileInfo>().map_err(|_| PyTypeError::new_err("finfo must be a finfoobject"))?;
        self.with(value.py(), |r| r.set_finfo(&finfo.get().inner))
    }

    /// The URI in parts: (scheme, hostinfo, user, password, hostname, port, path, query, fragment).
    #[getter]
    fn parsed_uri<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (texts, port) = self.with(py, |r| {
            let uri = r.parsed_uri();
            (uri.texts.map(|part| text::from_c_opt(py, part)), uri.port)
        })?;
        let mut parts: Vec<Py<PyAny>> = Vec::with_capacity(9);
        for (index, part) in texts.into_iter().enumerate() {
            if index == 5 {
                parts.push(port.into_pyobject(py)?.into_any().unbind());
            }
            parts.push(part?.into_pyobject(py)?.into_any().unbind());
        }
        PyTuple::new(py, parts)
    }

    /// The client's (address, port).
    #[getter]
    fn useragent_addr(&self, py: Python<'_>) -> PyResult<(String, u16)> {
        self.with(py, Request::useragent_addr)
    }

    /// The name of the interpreter that serves the request.
    #[getter]
    fn interpreter<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.with(py, |r| text::from_c(py, self.state().interpreter_name(r).as_cstr()))?
    }

    /// The sum of the bytes given to write and sendfile.
    #[getter]
    fn _bytes_queued(&self, py: Python<'_>) -> PyResult<i64> {
        self.with(py, |_| ())?;
        Ok(self.state().bytes_queued.get(py))
    }

    /// A capsule with the address of the request_rec, for C extensions.
    #[getter]
    fn _request_rec<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let address = self.with(py, |r| r.as_ptr() as usize)?;
        super::capsule(py, address)
    }

    /// 1 once content_type was assigned.
    #[getter]
    fn _content_type_set(&self, py: Python<'_>) -> PyResult<i32> {
        self.with(py, |_| ())?;
        Ok(i32::from(self.state().content_type_set.get(py)))
    }

    #[setter(_content_type_set)]
    fn refuse_content_type_set(&self, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        readonly()
    }

    /// The running phase, such as "PythonHandler"; None between phases.
    #[getter]
    fn phase<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.with(py, |_| ())?;
        text::from_c_opt(py, self.state().phase.get(py).map(Phase::directive))
    }

    #[setter(phase)]
    fn set_phase(&self, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        readonly()
    }

    /// The suffix that chose the handlers, '' where the file has none, or None.
    #[getter]
    fn extension<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.with(py, |_| ())?;
        // SAFETY: copying runs no Python.
        let extension = unsafe { self.state().extension.with(py, |extension| extension.get()) };
        extension.map(|suffix| text::decode(py, &suffix)).transpose()
    }

    #[setter(extension)]
    fn set_extension(&self, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        readonly()
    }

    /// The handlers of the running or last phase; None before any.
    #[getter]
    fn hlist<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, HList>>> {
        self.hlist_object(py)
    }

    #[setter(hlist)]
    fn set_hlist(&self, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        readonly()
    }

    /// Adds the variables that CGI and SSI have in common to subprocess_env.
    fn add_common_vars(&self, py: Python<'_>) -> PyResult<()> {
        self.state().detached(py, Request::add_common_vars)
    }

    /// Fills subprocess_env with the variables of a CGI script.
    fn add_cgi_vars(&self, py: Python<'_>) -> PyResult<()> {
        self.state().detached(py, request_cgi::add_cgi_vars)
    }

    /// Adds a handler to a phase of this request: the running one, or a later one.
    ///
    /// phase is the directive, such as "PythonLogHandler"; handler is "module::object"; dir is put
    /// into sys.path. Raises IndexError for an unknown phase.
    #[pyo3(signature = (phase, handler, dir = None))]
    fn add_handler(&self, phase: &Bound<'_, PyAny>, handler: &Bound<'_, PyAny>, dir: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        request_handlers::add_handler(self, phase, handler, dir)
    }

    /// Puts an input filter, registered with httpd or on this request, into the request's chain.
    fn add_input_filter(&self, name: &Bound<'_, PyAny>) -> PyResult<()> {
        request_handlers::add_filter(self, name, true)
    }

    /// Puts an output filter, registered with httpd or on this request, into the request's chain.
    fn add_output_filter(&self, name: &Bound<'_, PyAny>) -> PyResult<()> {
        request_handlers::add_filter(self, name, false)
    }

    /// Makes an input filter known for this request only.
    #[pyo3(signature = (name, handler, dir = None))]
    fn register_input_filter(&self, name: &Bound<'_, PyAny>, handler: &Bound<'_, PyAny>, dir: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        request_handlers::register_filter(self, name, handler, dir, true)
    }

    /// Makes an output filter known for this request only.
    #[pyo3(signature = (name, handler, dir = None))]
    fn register_output_filter(&self, name: &Bound<'_, PyAny>, handler: &Bound<'_, PyAny>, dir: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        request_handlers::register_filter(self, name, handler, dir, false)
    }

    /// Names the methods for the Allow header; reset=1 forgets the earlier ones.
    #[pyo3(signature = (methods, reset = 0))]
    fn allow_methods(&self, methods: &Bound<'_, PyAny>, reset: i64) -> PyResult<()> {
        let sequence = methods
            .try_iter()
            .map_err(|_| PyTypeError::new_err("First argument must be a sequence"))?;
        let names = sequence.map(|name| text::to_c(&name?)).collect::<PyResult<Vec<_>>>()?;
        let names: Vec<&std::ffi::CStr> = names.iter().map(|name| name.as_c_str()).collect();
        self.with(methods.py(), |r| r.allow_methods(&names, reset == 1))
    }

    /// AuthName in scope; str or None.
    fn auth_name<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.with(py, |r| text::from_c_opt(py, r.auth_name()))?
    }

    /// AuthType in scope; str or None.
    fn auth_type<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.with(py, |r| text::from_c_opt(py, r.auth_type()))?
    }

    /// A full URL for a path on this server.
    fn construct_url<'py>(&self, uri: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
        let py = uri.py();
        let uri = text::to_c_arg(uri)?;
        self.with(py, |r| text::from_c(py, r.construct_url(&uri)))?
    }

    /// Reads and drops the rest of the body; returns a status, 0 when all went well.
    fn discard_request_body(&self, py: Python<'_>) -> PyResult<i32> {
        request_body::discard(self.state(), py)
    }

    /// DocumentRoot of the virtual host.
    fn document_root<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.with(py, |r| text::from_c_opt(py, r.document_root()))?
    }

    /// The password the client sent with Basic authentication, decoded as latin-1; str or None.
    ///
    /// Also sets `user` and `ap_auth_type`; None when there are no credentials or AuthType is not Basic.
    fn get_basic_auth_pw<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.with(py, |r| r.get_basic_auth_pw().map(|password| text::from_latin1(py, password)).transpose())?
    }

    /// The extensions that AddHandler maps to this module, each followed by a space.
    fn get_addhandler_exts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let extensions = self.with(py, crate::httpd::mime::python_extensions)?;
        text::decode(py, &extensions)
    }

    /// The merged directives with one value; a table.
    fn get_config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, TableObject>> {
        self.with(py, |_| ())?;
        kept(py, &self.config, || configtable::settings(py, self.state()))
    }

    /// The merged PythonOptions; a table. Options set to nothing are left out.
    fn get_options<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, TableObject>> {
        self.with(py, |_| ())?;
        kept(py, &self.options, || configtable::options(py, self.state()))
    }

    /// The name or address of the client; type is one of apache.REMOTE_*.
    ///
    /// With str_is_ip given, a tuple (host, 1 if it is an address).
    #[pyo3(signature = (r#type = 1, str_is_ip = None))]
    fn get_remote_host<'py>(&self, py: Python<'py>, r#type: i32, str_is_ip: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let (host, is_ip) = self.state().detached(py, |r| {
            let (host, is_ip) = r.get_remote_host(r#type);
            (host.map(std::ffi::CStr::to_owned), is_ip)
        })?;
        let host = text::from_c_opt(py, host.as_deref())?;
        Ok(match str_is_ip {
            Some(_) => (host, i32::from(is_ip)).into_pyobject(py)?.into_any(),
            None => host.into_pyobject(py)?.into_any(),
        })
    }

    /// Runs another request of this server, whose answer goes to the client.
    fn internal_redirect(&self, uri: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = uri.py();
        let uri = text::to_c_arg(uri)?;
        self.state().detached(py, |r| r.internal_redirect(&uri))
    }

    /// Sends an interim response, such as 103 Early Hints, with headers: a mapping or pairs.
    ///
    /// Clients before HTTP/1.1 get none. Raises ValueError when status is not 100 to 199 (101 is httpd's).
    #[pyo3(signature = (status = 103, headers = None))]
    fn send_interim_response(
        &self,
        py: Python<'_>,
        status: i32,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        request_io::send_interim_response(self.state(), py, status, headers)
    }

    /// The WSGI environ of this request; None if its URI is not below the configured base URI.
    fn build_wsgi_env<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("mod_python.wsgi")?.call_method1("build_environ", (slf,))
    }

    /// start_response of PEP 3333 for programs that are their own WSGI handler; returns req.write.
    #[pyo3(signature = (status, headers, exc_info = None))]
    fn wsgi_start_response<'py>(
        slf: Bound<'py, Self>,
        status: Bound<'py, PyAny>,
        headers: Bound<'py, PyAny>,
        exc_info: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.py()
            .import("mod_python.wsgi")?
            .call_method1("start_response", (slf, status, headers, exc_info))
    }

    /// 1 when the connection is encrypted.
    fn is_https(&self, py: Python<'_>) -> PyResult<i32> {
        self.with(py, |r| i32::from(ssl::is_https(r.connection())))
    }

    /// A variable of mod_ssl: str, '' if it is unknown or unset; None where mod_ssl is not loaded.
    fn ssl_var_lookup<'py>(&self, name: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyString>>> {
        let py = name.py();
        let name = text::to_c_arg(name)?;
        self.with(py, |r| text::from_c_opt(py, ssl::var_lookup(r, &name)))?
    }

    /// Writes a message into the error log; level is one of apache.APLOG_*.
    #[pyo3(signature = (message, level = None))]
    fn log_error(&self, message: &Bound<'_, PyAny>, level: Option<i32>) -> PyResult<()> {
        let Some(message_text) = super::log_message(message)? else { return Ok(()) };
        let level = level.unwrap_or(log::Level::Err as i32);
        self.state().detached(message.py(), |r| log::request(r, level, &message_text))
    }

    /// A status: 0 when the client's conditions are met, else such as 304 or 412.
    fn meets_conditions(&self, py: Python<'_>) -> PyResult<i32> {
        self.with(py, Request::meets_conditions)
    }

    /// Reads the body: all of it, or up to len bytes; b'' at its end.
    ///
    /// Raises OSError when the client is gone or silent, SERVER_RETURN(413) past LimitRequestBody.
    #[pyo3(signature = (len = -1), text_signature = "($self, len=-1)")]
    fn read<'py>(&self, py: Python<'py>, len: isize) -> PyResult<Bound<'py, PyBytes>> {
        request_body::read(self.state(), py, len)
    }

    /// Reads a line of the body with its newline, at most len bytes; b'' at its end.
    #[pyo3(signature = (len = -1), text_signature = "($self, len=-1)")]
    fn readline<'py>(&self, py: Python<'py>, len: isize) -> PyResult<Bound<'py, PyBytes>> {
        request_body::readline(self.state(), py, len)
    }

    /// Reads the lines of the body into a list; with sizehint, stops once that many bytes were read.
    #[pyo3(signature = (sizehint = -1), text_signature = "($self, sizehint=-1)")]
    fn readlines<'py>(&self, py: Python<'py>, sizehint: isize) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let mut lines = Vec::new();
        let mut size = 0;
        loop {
            let line = request_body::readline(self.state(), py, -1)?;
            size += line.as_bytes().len();
            if line.as_bytes().is_empty() {
                return Ok(lines);
            }
            lines.push(line);
            if sizehint >= 0 && size >= sizehint as usize {
                return Ok(lines);
            }
        }
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = request_body::readline(self.state(), py, -1)?;
        Ok(if line.as_bytes().is_empty() { None } else { Some(line) })
    }

    /// Calls f(data) when the request is over. Raises ValueError when f is not callable.
    #[pyo3(signature = (f, data = None))]
    fn register_cleanup(&self, f: &Bound<'_, PyAny>, data: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = f.py();
        self.with(py, |_| ())?;
        if !f.is_callable() {
            return Err(PyValueError::new_err("first argument must be a callable object"));
        }
        let cleanup = Cleanup {
            function: f.clone().unbind(),
            data: data.map(|data| data.clone().unbind()),
            interpreter: registry::current(py),
        };
        // SAFETY: `push` runs no Python.
        unsafe { self.state().cleanups.with(py, |cleanups| cleanups.push(cleanup)) };
        Ok(())
    }

    /// Does nothing: headers are sent with the first output.
    fn send_http_header(&self) {}

    /// Sends a file or a part of it; returns the number of bytes.
    ///
    /// len -1 is the rest of the file. Raises OSError when the file cannot be read or the client is gone.
    #[pyo3(signature = (path, offset = 0, len = -1), text_signature = "($self, path, offset=0, len=-1)")]
    fn sendfile(&self, path: &Bound<'_, PyAny>, offset: i64, len: i64) -> PyResult<i64> {
        request_io::sendfile(self.state(), path, offset, len)
    }

    /// Sets the length of the response's body.
    fn set_content_length(&self, py: Python<'_>, length: i64) -> PyResult<()> {
        self.with(py, |r| r.set_content_length(length))
    }

    /// Sets the ETag header from finfo.
    fn set_etag(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, Request::set_etag)
    }

    /// Sets the Last-Modified header from mtime.
    fn set_last_modified(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, Request::set_last_modified)
    }

    /// Moves mtime forward to this time: seconds since the epoch.
    fn update_mtime(&self, py: Python<'_>, dependency_mtime: f64) -> PyResult<()> {
        self.with(py, |r| r.update_mtime((dependency_mtime as i64).saturating_mul(1_000_000)))
    }

    /// Sends str (as UTF-8) or a bytes-like object to the client; flush=0 leaves it in httpd's buffer.
    ///
    /// Raises OSError when the client is gone.
    #[pyo3(signature = (data, flush = None))]
    #[inline]
    fn write(&self, data: &Bound<'_, PyAny>, flush: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let flush = match flush {
            Some(flush) => flush.is_truthy()?,
            None => true,
        };
        request_io::write(self.state(), data, flush)
    }

    /// Sends what httpd has buffered. Raises OSError when the client is gone.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        request_io::flush(self.state(), py)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let py = slf.py();
        let line = slf.get().with(py, |r| {
            r.the_request().map(|line| line.to_string_lossy().into_owned()).unwrap_or_default()
        });
        match line {
            Ok(line) => format!("<mp_request object at {:p}: {line}>", slf.as_ptr()),
            Err(_) => format!("<mp_request object at {:p}: over>", slf.as_ptr()),
        }
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        // SAFETY: the collector runs with the GIL held, and visiting runs no Python.
        unsafe {
            if let Some(server) = self.server.peek() {
                visit.call(server)?;
            }
            if let Some(connection) = self.connection.peek() {
                visit.call(connection)?;
            }
        }
        Ok(())
    }
}
