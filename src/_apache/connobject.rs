//! `mp_conn`: the connection a request came on. (objects.md 3.2)

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::hlistobject::HList;
use super::request_config::ConnState;
use super::serverobject::ServerObject;
use super::tableobject::TableObject;
use super::{conn_io, text};
use crate::httpd::{log, Conn};
use crate::interpreter::GilCell;

/// A client's connection. It can be used until the connection ends.
#[cfg_attr(
    Py_3_10,
    pyclass(frozen, weakref, immutable_type, name = "mp_conn", module = "builtins")
)]
#[cfg_attr(
    not(Py_3_10),
    pyclass(frozen, weakref, name = "mp_conn", module = "builtins")
)]
pub struct ConnObject {
    pub state: Arc<ConnState>,
    /// Set while a connection handler runs.
    hlist: GilCell<Option<Py<HList>>>,
}

impl ConnObject {
    /// A wrapper of a connection.
    pub fn new(state: Arc<ConnState>) -> Self {
        Self {
            state,
            hlist: GilCell::new(None),
        }
    }

    /// Shows the handler that runs.
    pub fn set_hlist(&self, py: Python<'_>, hlist: Option<Py<HList>>) {
        drop(self.hlist.replace(py, hlist));
    }

    fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&Conn) -> R) -> PyResult<R> {
        self.state.with(py, body)
    }

    fn deprecated(&self, py: Python<'_>, message: &[u8]) -> PyResult<()> {
        self.with(py, |c| log::conn(c, log::Level::Warning as i32, message))
    }
}

/// The attributes that are fields of C.
macro_rules! conn_methods {
    (
        text { $( $(#[$tdoc:meta])* $text:ident ),* $(,)? }
        int { $( $(#[$idoc:meta])* $int:ident ),* $(,)? }
        $($methods:tt)*
    ) => {
        #[pymethods]
        impl ConnObject {
            $(
                $(#[$tdoc])*
                #[getter]
                fn $text<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
                    self.with(py, |c| text::from_c_opt(py, c.$text()))?
                }
            )*
            $(
                $(#[$idoc])*
                #[getter]
                fn $int(&self, py: Python<'_>) -> PyResult<i64> {
                    self.with(py, |c| c.$int())
                }
            )*
            $($methods)*
        }
    };
}

conn_methods! {
    text {
        /// The client's address.
        client_ip,
        /// The client's name; None when it was not looked up, '' when it has none.
        remote_host,
        /// The user name as told by identd; str or None.
        remote_logname,
        /// Our address.
        local_ip,
        /// Our name; str or None.
        local_host,
    }
    int {
        /// 1 when the client went away.
        aborted,
        /// 1 when the name was looked up both ways and matches, -1 when it does not.
        double_reverse,
        /// How often the connection was used again.
        keepalives,
        /// A number that is unique at any moment.
        id,
    }

    /// The server the connection came in on.
    #[getter]
    fn base_server(&self, py: Python<'_>) -> PyResult<ServerObject> {
        self.with(py, |c| ServerObject::of(c.base_server()))
    }

    /// Our (address, port).
    #[getter]
    fn local_addr(&self, py: Python<'_>) -> PyResult<(String, u16)> {
        self.with(py, Conn::local_addr)
    }

    /// The client's (address, port).
    #[getter]
    fn client_addr(&self, py: Python<'_>) -> PyResult<(String, u16)> {
        self.with(py, Conn::client_addr)
    }

    /// The client's (address, port). Deprecated.
    #[getter]
    fn remote_addr(&self, py: Python<'_>) -> PyResult<(String, u16)> {
        self.deprecated(py, b"mod_python: conn.remote_addr deprecated in 2.4, use req.useragent_addr or conn.client_addr")?;
        self.with(py, Conn::client_addr)
    }

    /// The client's address. Deprecated.
    #[getter]
    fn remote_ip<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.deprecated(py, b"mod_python: conn.remote_ip deprecated in 2.4, use req.useragent_ip or conn.client_ip")?;
        self.with(py, |c| text::from_c_opt(py, c.client_ip()))?
    }

    /// apache.AP_CONN_UNKNOWN, AP_CONN_CLOSE or AP_CONN_KEEPALIVE. Writable.
    #[getter]
    fn keepalive(&self, py: Python<'_>) -> PyResult<i64> {
        self.with(py, Conn::keepalive)
    }

    #[setter]
    fn set_keepalive(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let number: i64 = value
            .extract()
            .map_err(|_| pyo3::exceptions::PyTypeError::new_err("keepalive must be a integer"))?;
        if !(0..=2).contains(&number) {
            return Err(pyo3::exceptions::PyValueError::new_err(format!(
                "keepalive must be 0, 1 or 2 (apache.AP_CONN_*), not {number}"
            )));
        }
        self.with(value.py(), |c| c.set_keepalive(number as u32))
    }

    /// Notes that modules leave each other.
    #[getter]
    fn notes(&self, py: Python<'_>) -> PyResult<TableObject> {
        self.with(py, |_| ())?;
        Ok(TableObject::of_conn(self.state.clone()))
    }

    /// The handler that runs, in a connection handler; else None.
    #[getter]
    fn hlist(&self, py: Python<'_>) -> Option<Py<HList>> {
        // SAFETY: taking a reference runs no Python.
        unsafe { self.hlist.with(py, |list| list.as_ref().map(|list| list.clone_ref(py))) }
    }

    /// A capsule with the address of the conn_rec, for C extensions.
    #[getter]
    fn _conn_rec<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let address = self.with(py, |c| c.as_ptr() as usize)?;
        super::capsule(py, address)
    }

    /// Writes a message into the error log; level is one of apache.APLOG_*.
    #[pyo3(signature = (message, level = None))]
    fn log_error(&self, message: &Bound<'_, PyAny>, level: Option<i32>) -> PyResult<()> {
        let Some(message_text) = super::log_message(message)? else { return Ok(()) };
        let level = level.unwrap_or(log::Level::Err as i32);
        self.state.detached(message.py(), |c| log::conn(c, level, &message_text))
    }

    /// Waits for data and reads up to n bytes; n=0 is one chunk, n=-1 all until the peer closes.
    ///
    /// Returns None at an end of stream inside the connection. Raises OSError when the connection ends or
    /// fails.
    #[pyo3(signature = (n = 0))]
    fn read<'py>(&self, py: Python<'py>, n: isize) -> PyResult<Option<Bound<'py, PyBytes>>> {
        conn_io::read(&self.state, py, n)
    }

    /// Reads a line with its newline, at most n bytes; what came before the connection's end counts as one.
    ///
    /// Raises OSError when the connection has ended.
    #[pyo3(signature = (n = 0))]
    fn readline<'py>(&self, py: Python<'py>, n: isize) -> PyResult<Option<Bound<'py, PyBytes>>> {
        conn_io::readline(&self.state, py, n)
    }

    /// Sends str (as UTF-8) or a bytes-like object at once; whether they arrive is not known.
    fn write(&self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        conn_io::write(&self.state, data)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let client = slf.get().with(slf.py(), Conn::client_addr);
        match client {
            Ok((address, port)) => format!("<mp_conn object at {:p}: {address} port {port}>", slf.as_ptr()),
            Err(_) => format!("<mp_conn object at {:p}: over>", slf.as_ptr()),
        }
    }
}
