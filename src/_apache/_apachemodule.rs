//! The module `_apache`: the list of its classes, functions and constants. (apache_module.md 4.2)

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use super::configured::Configured;
use super::connobject::ConnObject;
use super::filterobject::FilterObject;
use super::finfoobject::FileInfo;
use super::hlistobject::HList;
use super::requestobject::RequestObject;
use super::serverobject::ServerObject;
use super::sessionfileobject::SessionFile;
use super::tableobject::TableObject;
use super::wsgi_gateway::Gateway;
use super::wsgi_response::WsgiResponse;
use super::{
    attributes, child_cleanup, config_tree as tree, counts, errors, file_stamp, forms, global_lock,
    importing, log_stream, parse_qs, process_lock, request_cookies, request_lock, request_options,
    session_cache, table_iterator, table_slots, text,
};
use crate::httpd::{constants, finfo, log, mpm, Error};
use crate::interpreter::{registry, thread};

/// Writes a message into a server's error log, or into the main one.
///
/// message is str or None (nothing is written); level is one of apache.APLOG_*, ERR when missing; server
/// is an mp_server or None.
#[pyfunction]
#[pyo3(signature = (message, level = None, server = None))]
fn log_error(
    message: &Bound<'_, PyAny>,
    level: Option<i32>,
    server: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let server = match server.filter(|server| !server.is_none()) {
        None => None,
        Some(server) => Some(
            server
                .cast::<ServerObject>()
                .map_err(|_| PyTypeError::new_err("bad argument type for built-in operation"))?,
        ),
    };
    let Some(bytes) = super::log_message(message)? else {
        return Ok(());
    };
    let level = level.unwrap_or(log::Level::Err as i32);
    let server = server.map(|server| server.get().server());
    thread::detach(message.py(), || log::server(server, level, &bytes));
    Ok(())
}

/// The main configuration: a list of (directive, arguments); a section's contents follow it as a list.
#[pyfunction]
fn config_tree(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    tree::config_tree(py)
}

/// ServerRoot.
#[pyfunction]
fn server_root(py: Python<'_>) -> PyResult<Bound<'_, PyString>> {
    text::decode(py, crate::httpd::server::root().to_bytes())
}

/// What the MPM is: code is one of apache.AP_MPMQ_*; 0 for codes it does not know.
#[pyfunction]
fn mpm_query(code: &Bound<'_, PyAny>) -> PyResult<i32> {
    let code: i32 = code
        .extract()
        .map_err(|_| PyTypeError::new_err("The argument must be an integer"))?;
    Ok(mpm::query(code))
}

/// Calls f(data) when this child exits, in the named interpreter, or in this one if there is none of the name.
#[pyfunction]
#[pyo3(signature = (interpreter, server, f, data = None))]
fn register_cleanup(
    interpreter: &Bound<'_, PyAny>,
    server: &Bound<'_, PyAny>,
    f: &Bound<'_, PyAny>,
    data: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let Ok(server) = server.cast::<ServerObject>() else {
        return Err(PyValueError::new_err(
            "second argument must be a server object",
        ));
    };
    if !f.is_callable() {
        return Err(PyValueError::new_err(
            "third argument must be a callable object",
        ));
    }
    let name = text::to_c_arg(interpreter)?;
    let interpreter = registry::find(&name).unwrap_or_else(|| registry::current(f.py()));
    child_cleanup::register(f.py(), interpreter, server.get().server(), f, data);
    Ok(())
}

/// Whether httpd was started with -D name.
#[pyfunction]
fn exists_config_define(name: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(mpm::config_define(&text::to_c_arg(name)?))
}

/// A file's attributes; wanted is an OR of apache.APR_FINFO_*.
///
/// A missing file has filetype APR_NOFILE. Raises OSError(errno, 'apr_stat() failed') for other failures.
#[pyfunction]
fn stat(fname: &Bound<'_, PyAny>, wanted: i32) -> PyResult<FileInfo> {
    let path = text::to_c_arg(fname)?;
    match thread::detach(fname.py(), || finfo::Finfo::stat(&path, wanted)) {
        Ok(inner) => Ok(FileInfo { inner }),
        Err(Error::Apr { what, status }) => Err(PyOSError::new_err((status, what))),
        Err(error) => Err(errors::to_py(fname.py(), error)),
    }
}

/// Evaluates one of httpd's expressions for a request.
///
/// A condition such as "%{REQUEST_METHOD} == 'GET'" gives a bool; with string=True the text is one with
/// %{...} parts, and gives a str. Raises ValueError with httpd's words when the expression is wrong.
#[pyfunction]
#[pyo3(signature = (req, expression, string = false))]
fn expr<'py>(
    req: &Bound<'py, RequestObject>,
    expression: &Bound<'py, PyAny>,
    string: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = req.py();
    let expression = text::to_c_arg(expression)?;
    let result = req
        .get()
        .state()
        .detached(py, |r| crate::httpd::expr::evaluate(r, &expression, string))?;
    match result {
        Ok(crate::httpd::expr::Value::Bool(value)) => {
            Ok(value.into_pyobject(py)?.to_owned().into_any())
        }
        Ok(crate::httpd::expr::Value::Text(value)) => text::decode(py, &value).map(Bound::into_any),
        Err(message) => Err(PyValueError::new_err(message)),
    }
}

/// Built into every interpreter of the child.
#[pymodule]
#[pyo3(name = "_apache")]
pub fn _apache(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("SERVER_RETURN", errors::server_return(py))?;
    module.add("RequestTimeout", super::request_timeout::class(py))?;
    module.add("table", py.get_type::<TableObject>())?;
    module.add("_Configured", py.get_type::<Configured>())?;
    module.add("_SessionFile", py.get_type::<SessionFile>())?;
    for class in [
        py.get_type::<RequestObject>(),
        py.get_type::<ConnObject>(),
        py.get_type::<ServerObject>(),
        py.get_type::<FilterObject>(),
        py.get_type::<FileInfo>(),
        py.get_type::<HList>(),
        py.get_type::<TableObject>(),
        table_iterator::class(py)?,
    ] {
        super::drop_module_from_name(&class);
        // Under their own names too, so that stubs and `isinstance` have something to name.
        let name = class.name()?;
        module.add(name, class)?;
    }
    super::drop_module_from_name(&table_iterator::collected_class(py)?);
    table_slots::install(py)?;
    attributes::install(&py.get_type::<ConnObject>());
    attributes::install(&py.get_type::<FilterObject>());
    module.add_function(wrap_pyfunction!(log_error, module)?)?;
    module.add_function(wrap_pyfunction!(config_tree, module)?)?;
    module.add_function(wrap_pyfunction!(server_root, module)?)?;
    module.add_function(wrap_pyfunction!(mpm_query, module)?)?;
    module.add_function(wrap_pyfunction!(register_cleanup, module)?)?;
    module.add_function(wrap_pyfunction!(exists_config_define, module)?)?;
    module.add_function(wrap_pyfunction!(stat, module)?)?;
    module.add_function(wrap_pyfunction!(expr, module)?)?;
    module.add_function(wrap_pyfunction!(importing::_interpreter_name, module)?)?;
    module.add_function(wrap_pyfunction!(importing::_is_main_interpreter, module)?)?;
    module.add_function(wrap_pyfunction!(importing::_is_only_interpreter, module)?)?;
    module.add_function(wrap_pyfunction!(importing::_set_contents, module)?)?;
    module.add_function(wrap_pyfunction!(importing::_modules_changed, module)?)?;
    module.add_function(wrap_pyfunction!(counts::_is_counting, module)?)?;
    module.add_function(wrap_pyfunction!(counts::_count_session, module)?)?;
    module.add_function(wrap_pyfunction!(counts::_count_code, module)?)?;
    module.add_function(wrap_pyfunction!(global_lock::_global_lock, module)?)?;
    module.add_function(wrap_pyfunction!(global_lock::_global_trylock, module)?)?;
    module.add_function(wrap_pyfunction!(global_lock::_global_unlock, module)?)?;
    module.add_function(wrap_pyfunction!(process_lock::_process_lock, module)?)?;
    module.add_function(wrap_pyfunction!(process_lock::_process_unlock, module)?)?;
    module.add_function(wrap_pyfunction!(request_cookies::_cookie_pairs, module)?)?;
    module.add_function(wrap_pyfunction!(request_cookies::_session_id, module)?)?;
    module.add_function(wrap_pyfunction!(request_cookies::_add_cookie, module)?)?;
    module.add_function(wrap_pyfunction!(request_lock::_request_lock, module)?)?;
    module.add_function(wrap_pyfunction!(log_stream::_log_write, module)?)?;
    module.add_function(wrap_pyfunction!(log_stream::_log_flush, module)?)?;
    module.add_function(wrap_pyfunction!(log_stream::_log_lines, module)?)?;
    module.add_function(wrap_pyfunction!(session_cache::_socache_store, module)?)?;
    module.add_function(wrap_pyfunction!(session_cache::_socache_retrieve, module)?)?;
    module.add_function(wrap_pyfunction!(session_cache::_socache_remove, module)?)?;
    module.add_function(wrap_pyfunction!(parse_qs::parse_qs, module)?)?;
    module.add_function(wrap_pyfunction!(parse_qs::parse_qsl, module)?)?;
    forms::register(module)?;
    module.add_function(wrap_pyfunction!(request_options::_option, module)?)?;
    module.add("_WsgiGateway", py.get_type::<Gateway>())?;
    module.add("WsgiResponse", py.get_type::<WsgiResponse>())?;
    module.add_function(wrap_pyfunction!(request_options::_is_current, module)?)?;
    module.add_function(wrap_pyfunction!(request_options::_debug, module)?)?;
    module.add_function(wrap_pyfunction!(request_options::_get_post_head, module)?)?;
    module.add_function(wrap_pyfunction!(file_stamp::_file_stamp, module)?)?;
    module.add_function(wrap_pyfunction!(file_stamp::_file_id, module)?)?;
    for (name, value) in constants::ALL {
        module.add(*name, *value)?;
    }
    module.add("mp_version", env!("CARGO_PKG_VERSION"))?;
    Ok(())
}
