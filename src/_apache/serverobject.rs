//! `mp_server`: a virtual host. (objects.md 3.3)

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::requestobject::RequestObject;
use super::tableobject::TableObject;
use super::{configtable, text};
use crate::httpd::server::Raw;
use crate::httpd::{log, Server};
use crate::interpreter::registry;

/// A server of httpd's configuration, which lives as long as this child.
///
/// Programs may set attributes, which last as long as this object.
#[cfg_attr(
    Py_3_10,
    pyclass(
        frozen,
        dict,
        weakref,
        immutable_type,
        name = "mp_server",
        module = "builtins"
    )
)]
#[cfg_attr(
    not(Py_3_10),
    pyclass(frozen, dict, weakref, name = "mp_server", module = "builtins")
)]
pub struct ServerObject {
    server: *mut Raw,
}

// SAFETY: a child reads its configuration once and keeps it to its end; the record is only read.
unsafe impl Send for ServerObject {}
// SAFETY: as above.
unsafe impl Sync for ServerObject {}

impl ServerObject {
    /// A wrapper of a server of the running configuration.
    pub fn of(server: &Server) -> Self {
        Self {
            server: server.as_ptr(),
        }
    }

    /// The server.
    pub fn server(&self) -> &Server {
        // SAFETY: lives as long as the child.
        unsafe { Server::from_raw(self.server) }
    }

    fn tuple<'py>(
        &self,
        py: Python<'py>,
        names: Vec<&std::ffi::CStr>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let names = names.into_iter().map(|name| text::from_c(py, name));
        PyTuple::new(py, names.collect::<PyResult<Vec<_>>>()?)
    }
}

/// The attributes that are fields of C.
macro_rules! server_methods {
    (
        text { $( $(#[$tdoc:meta])* $text:ident ),* $(,)? }
        int { $( $(#[$idoc:meta])* $int:ident ),* $(,)? }
        $($methods:tt)*
    ) => {
        #[pymethods]
        impl ServerObject {
            $(
                $(#[$tdoc])*
                #[getter]
                fn $text<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
                    text::from_c_opt(py, self.server().$text())
                }
            )*
            $(
                $(#[$idoc])*
                #[getter]
                fn $int(&self) -> i64 {
                    self.server().$int()
                }
            )*
            $($methods)*
        }
    };
}

server_methods! {
    text {
        /// The configuration file that defines the server.
        defn_name,
        /// ServerAdmin.
        server_admin,
        /// ServerName.
        server_hostname,
        /// ErrorLog as configured; None where the server has none of its own.
        error_fname,
        /// ServerPath.
        path,
    }
    int {
        /// The line of the definition.
        defn_line_number,
        /// The port of ServerName; 0 where it names none.
        port,
        /// LogLevel as a number.
        loglevel,
        /// 1 for a virtual host.
        is_virtual,
        /// MaxKeepAliveRequests.
        keep_alive_max,
        /// 1 when connections are kept.
        keep_alive,
        /// The length of path.
        pathlen,
        /// LimitRequestLine.
        limit_req_line,
        /// LimitRequestFieldSize.
        limit_req_fieldsize,
        /// LimitRequestFields.
        limit_req_fields,
        /// The number of restarts.
        my_generation,
    }

    /// The next server in httpd's list, or None.
    #[getter]
    fn next(&self) -> Option<ServerObject> {
        self.server().next().map(Self::of)
    }

    /// Timeout in seconds.
    #[getter]
    fn timeout(&self) -> f64 {
        self.server().timeout() as f64 / 1e6
    }

    /// KeepAliveTimeout in seconds.
    #[getter]
    fn keep_alive_timeout(&self) -> f64 {
        self.server().keep_alive_timeout() as f64 / 1e6
    }

    /// When httpd was started or restarted: seconds since the epoch.
    #[getter]
    fn restart_time(&self) -> f64 {
        self.server().restart_time() as f64 / 1e6
    }

    /// ServerAlias names; a tuple of str.
    #[getter(names)]
    fn plain_names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.tuple(py, self.server().names())
    }

    /// ServerAlias names with wildcards; a tuple of str.
    #[getter]
    fn wild_names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.tuple(py, self.server().wild_names())
    }

    /// A capsule with the address of the server_rec, for C extensions.
    #[getter]
    fn _server_rec<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        super::capsule(py, self.server as usize)
    }

    /// The directives with one value, outside sections; a table shared by this child.
    fn get_config(&self, py: Python<'_>) -> PyResult<Py<TableObject>> {
        configtable::of_server(py, self.server(), configtable::Kind::Settings)
    }

    /// The PythonOptions outside sections; a table shared by this child.
    fn get_options(&self, py: Python<'_>) -> PyResult<Py<TableObject>> {
        configtable::of_server(py, self.server(), configtable::Kind::Options)
    }

    /// Writes a message into the server's error log; level is one of apache.APLOG_*.
    #[pyo3(signature = (message, level = None))]
    fn log_error(&self, message: &Bound<'_, PyAny>, level: Option<i32>) -> PyResult<()> {
        let Some(message_text) = super::log_message(message)? else { return Ok(()) };
        let level = level.unwrap_or(log::Level::Err as i32);
        crate::interpreter::thread::detach(message.py(), || {
            log::server(Some(self.server()), level, &message_text);
        });
        Ok(())
    }

    /// Calls f(data) when this child exits.
    ///
    /// Raises ValueError when req is not a request or f is not callable.
    #[pyo3(signature = (req, f, data = None))]
    fn register_cleanup(&self, req: &Bound<'_, PyAny>, f: &Bound<'_, PyAny>, data: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = f.py();
        if req.cast::<RequestObject>().is_err() {
            return Err(PyValueError::new_err("first argument must be a request object"));
        }
        if !f.is_callable() {
            return Err(PyValueError::new_err("second argument must be a callable object"));
        }
        super::child_cleanup::register(py, registry::current(py), self.server(), f, data);
        Ok(())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let name = slf.get().server().server_hostname().map(|name| name.to_string_lossy().into_owned());
        format!("<mp_server object at {:p}: {}>", slf.as_ptr(), name.as_deref().unwrap_or("main"))
    }
}
