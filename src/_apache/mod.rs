//! What Python imports as `_apache`: the objects of a request and the module's functions.
//!
//! All interpreters of a child share the classes, so these are immutable: see
//! `interpreter::shared_class`. CPython 3.9 has no immutable classes, and no need of them.

pub mod _apachemodule;
pub mod attributes;
mod bytes_room;
pub mod child_cleanup;
pub mod config_tree;
pub mod configtable;
pub mod configured;
pub mod conn_io;
pub mod connobject;
pub mod counts;
pub mod errors;
pub mod field_names;
pub mod file_stamp;
pub mod filterobject;
pub mod finfoobject;
pub mod form_encoding;
pub mod form_fields;
pub mod form_parts;
pub mod forms;
pub mod global_lock;
pub mod hlistobject;
pub mod importing;
pub mod instance_dict;
pub mod lease;
pub mod log_stream;
pub mod parse_qs;
pub mod process_lock;
pub mod request_body;
pub mod request_cgi;
pub mod request_config;
pub mod request_cookies;
pub mod request_handlers;
pub mod request_io;
pub mod request_lock;
pub mod request_options;
pub mod request_timeout;
pub mod requestobject;
pub mod serverobject;
pub mod session_cache;
pub mod sessionfileobject;
pub mod spare_request;
pub mod table_iterator;
pub mod table_slots;
pub mod tableobject;
pub mod text;
pub mod wsgi_environ;
pub mod wsgi_gateway;
pub mod wsgi_response;

use std::borrow::Cow;
use std::ffi::c_void;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

/// An unnamed capsule around the address of a C struct.
fn capsule(py: Python<'_>, address: usize) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: a capsule without destructor; who takes the address out knows what it is.
    unsafe {
        let raw = ffi::PyCapsule_New(address as *mut c_void, std::ptr::null(), None);
        Bound::from_owned_ptr_or_err(py, raw)
    }
}

/// Makes `str(type(req))` read `<class 'mp_request'>`, as programs compare it, and error texts likewise:
/// like CPython's own classes ours live in `builtins`, but carry that in the name they print.
fn drop_module_from_name(class: &Bound<'_, PyType>) {
    // SAFETY: a created type's printed name is a C string that lives as long as the type; its tail does
    // too, and is put back to itself when another interpreter passes here.
    unsafe {
        let class = class.as_type_ptr();
        let name = std::ffi::CStr::from_ptr((*class).tp_name).to_bytes();
        if let Some(plain) = name.strip_prefix(b"builtins.") {
            (*class).tp_name = plain.as_ptr().cast();
        }
    }
}

/// The bytes of a message for the log; `None` for None.
fn log_message<'a>(message: &'a Bound<'_, PyAny>) -> PyResult<Option<Cow<'a, [u8]>>> {
    if message.is_none() {
        return Ok(None);
    }
    if !message.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!(
            "argument 1 must be str or None, not {}",
            text::type_name(message)
        )));
    }
    // A message is never worth losing: what cannot be encoded is written as an escape.
    match text::encode(message) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(_) => {
            let escaped = message.call_method1("encode", ("utf-8", "backslashreplace"))?;
            Ok(Some(Cow::Owned(escaped.extract()?)))
        }
    }
}
