//! Assigning to attributes of objects that take no others, in mod_python's words. (objects.md 3.2, 3.7)

use std::ffi::c_int;

use pyo3::exceptions::PyAttributeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::table_slots::slot;

/// Has a class whose attributes are descriptors refuse assignments and deletions in these words.
pub fn install(class: &Bound<'_, PyType>) {
    // SAFETY: a type that pyo3 has finished and that nobody can derive from.
    unsafe {
        (*class.as_type_ptr()).tp_setattro = Some(assign);
        ffi::PyType_Modified(class.as_type_ptr());
    }
}

unsafe extern "C" fn assign(
    object: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: CPython calls with an object of such a class and a str; a null value means `del`.
    unsafe {
        slot(-1, |py| {
            let class = Borrowed::<PyAny>::from_ptr(py, object).get_type();
            if value.is_null() {
                let name = class.name()?;
                let what = match name.to_string_lossy().as_ref() {
                    "mp_conn" => "connection",
                    _ => "filter",
                };
                let message = format!("can't delete {what} attributes");
                return Err(PyAttributeError::new_err(message));
            }
            if ffi::PyObject_GenericSetAttr(object, name, value) == 0 {
                return Ok(0);
            }
            let error = PyErr::fetch(py);
            let is_known = || ffi::PyObject_HasAttr(class.as_ptr().cast(), name) == 1;
            if error.is_instance_of::<PyAttributeError>(py) && is_known() {
                return Err(PyAttributeError::new_err("readonly attribute"));
            }
            Err(error)
        })
    }
}
