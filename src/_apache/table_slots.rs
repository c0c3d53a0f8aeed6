//! The hot slots of `mp_table`, which CPython enters without pyo3's trampoline.
//!
//! `len(t)` is a look at one number, and `key in t` a comparison or two; the trampoline around such a slot
//! costs more than the slot does. So these few C functions take its place. What they need of it they do
//! themselves: a panic and an error become the thread's exception. They keep no `Py<T>` that could be
//! dropped while pyo3 does not know the thread for attached (one that Python itself started).

use std::ffi::{c_int, c_void, CStr, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::PyTypeInfo;

use super::table_iterator::{self, What};
use super::tableobject::TableObject;
use super::text;
use crate::httpd::Table;

/// Puts the functions of this file into the type, which no program has seen yet.
///
/// # Errors
/// MemoryError.
pub fn install(py: Python<'_>) -> PyResult<()> {
    let table = py.get_type::<TableObject>().as_type_ptr();
    // SAFETY: a type that pyo3 has finished, with these tables of slots. Subclasses that Python code
    // makes later inherit what stands here. Another interpreter of the child does it again, to no effect.
    unsafe {
        let mapping = (*table).tp_as_mapping;
        (*mapping).mp_length = Some(length);
        (*mapping).mp_subscript = Some(subscript);
        (*mapping).mp_ass_subscript = Some(assign);
        let sequence = (*table).tp_as_sequence;
        (*sequence).sq_length = Some(length);
        (*sequence).sq_contains = Some(contains);
        (*table).tp_iter = Some(iterate);
        if TABLE.swap(table, Ordering::Relaxed).is_null() {
            NEW.store(
                (*table).tp_new.map_or(null_mut(), |f| f as *mut c_void),
                Ordering::Relaxed,
            );
            INIT.store(
                (*table).tp_init.map_or(null_mut(), |f| f as *mut c_void),
                Ordering::Relaxed,
            );
            method(py, table, c"keys", keys)?;
        }
        (*table).tp_new = Some(make);
        (*table).tp_vectorcall = Some(call);
        (*table).tp_init = Some(fill);
        ffi::PyType_Modified(table);
    }
    Ok(())
}

/// The type itself, and the functions that pyo3 gave it: they serve subclasses and arguments.
static TABLE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());
static NEW: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static INIT: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// Puts a function in the place of a method without arguments, whose docstring it keeps.
///
/// # Safety
/// The type is finished, and not seen by any program yet.
unsafe fn method(
    py: Python<'_>,
    class: *mut ffi::PyTypeObject,
    name: &'static CStr,
    function: ffi::PyCFunction,
) -> PyResult<()> {
    // SAFETY: a live type (caller); the definition is never freed.
    unsafe {
        let class = class.cast::<ffi::PyObject>();
        let name_text = name.to_string_lossy();
        let doc = Borrowed::<PyAny>::from_ptr(py, class)
            .getattr(name_text.as_ref())?
            .getattr("__doc__")?
            .extract::<String>()?;
        // The signature stands before the text, as CPython wants it.
        let doc = CString::new(format!("{name_text}($self)\n--\n\n{doc}"))?.into_raw();
        let definition = Box::leak(Box::new(ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunction: function,
            },
            ml_flags: ffi::METH_NOARGS,
            ml_doc: doc,
        }));
        let class = class.cast::<ffi::PyTypeObject>();
        let descriptor = ffi::PyDescr_NewMethod(class, definition);
        let descriptor = Bound::<PyAny>::from_owned_ptr_or_err(py, descriptor)?;
        if ffi::PyDict_SetItemString((*class).tp_dict, name.as_ptr(), descriptor.as_ptr()) != 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(())
    }
}

/// The body of a slot; `failure` tells CPython that an exception is set.
///
/// # Safety
/// CPython calls: the thread is attached.
#[inline(always)]
pub unsafe fn slot<R>(failure: R, body: impl FnOnce(Python<'_>) -> PyResult<R>) -> R {
    // SAFETY: attached (caller).
    let py = unsafe { Python::assume_attached() };
    match catch_unwind(AssertUnwindSafe(|| body(py))) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => {
            error.restore(py);
            failure
        }
        Err(_) => {
            PyRuntimeError::new_err("BUG: panic in mp_table").restore(py);
            failure
        }
    }
}

/// The Rust side of an object.
///
/// # Safety
/// `object` is a live `T`, or of a subclass.
#[inline(always)]
unsafe fn object<'a, 'py, T>(py: Python<'py>, object: *mut ffi::PyObject) -> Borrowed<'a, 'py, T> {
    // SAFETY: the caller's promise.
    unsafe { Borrowed::from_ptr(py, object).cast_unchecked() }
}

/// `table(...)` without a tuple for the arguments where there are none. Subclasses do not come here.
unsafe extern "C" fn call(
    class: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls with the type, the arguments, and the names of the last of them, or null.
    unsafe {
        let count = ffi::PyVectorcall_NARGS(count);
        if count == 0 && names.is_null() {
            return make(class.cast(), null_mut(), null_mut());
        }
        call_with(class, args, count, names)
    }
}

/// As `type.__call__` does it.
#[cold]
unsafe fn call_with(
    class: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as above: `count` arguments, and behind them one for each name.
    unsafe {
        slot(null_mut(), |py| {
            let borrowed = |i: ffi::Py_ssize_t| Borrowed::<PyAny>::from_ptr(py, *args.offset(i));
            let tuple = PyTuple::new(py, (0..count).map(borrowed).collect::<Vec<_>>())?;
            let kwargs = PyDict::new(py);
            if !names.is_null() {
                let names = Borrowed::<PyAny>::from_ptr(py, names);
                for (i, name) in names.cast::<PyTuple>()?.iter().enumerate() {
                    kwargs.set_item(name, borrowed(count + i as ffi::Py_ssize_t))?;
                }
            }
            let type_call = (*std::ptr::addr_of_mut!(ffi::PyType_Type)).tp_call;
            let type_call = type_call.expect("types can be called");
            let table = type_call(class, tuple.as_ptr(), kwargs.as_ptr());
            Ok(Bound::from_owned_ptr_or_err(py, table)?.into_ptr())
        })
    }
}

unsafe extern "C" fn make(
    class: *mut ffi::PyTypeObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls with a type and arguments; `NEW` holds what `install` found.
    unsafe {
        if class == TABLE.load(Ordering::Relaxed) {
            return slot(null_mut(), |py| {
                Ok(Bound::new(py, TableObject::own()?)?.into_ptr())
            });
        }
        let new: ffi::newfunc = std::mem::transmute(NEW.load(Ordering::Relaxed));
        new(class, args, kwargs)
    }
}

unsafe extern "C" fn fill(
    table: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: CPython calls with a table and a tuple; `INIT` holds what `install` found.
    unsafe {
        if kwargs.is_null() && ffi::PyTuple_GET_SIZE(args) == 0 {
            return 0;
        }
        let init: ffi::initproc = std::mem::transmute(INIT.load(Ordering::Relaxed));
        init(table, args, kwargs)
    }
}

/// The Rust side of a table.
///
/// # Safety
/// `table` is a live `TableObject`.
#[inline(always)]
unsafe fn this<'a>(py: Python<'a>, table: &'a *mut ffi::PyObject) -> &'a TableObject {
    // SAFETY: the caller's promise.
    unsafe { Bound::<PyAny>::ref_from_ptr(py, table).cast_unchecked::<TableObject>() }.get()
}

/// The table where it can be used at once: then nothing can fail, and no frame for errors is needed.
///
/// # Safety
/// `table` is a live `TableObject`, the thread is attached; see [`TableObject::quick`].
#[inline(always)]
pub unsafe fn quick<'a>(table: *mut ffi::PyObject) -> Option<&'a Table> {
    // SAFETY: the caller's promise.
    unsafe {
        let py = Python::assume_attached();
        let table: *const TableObject = this(py, &table);
        (*table).quick(py)
    }
}

/// Whether a table is of our own class, and not of a program's subclass.
///
/// # Safety
/// `table` is a live object.
#[inline(always)]
pub unsafe fn is_plain(table: *mut ffi::PyObject) -> bool {
    // SAFETY: the caller's promise.
    unsafe { ffi::Py_TYPE(table) == TABLE.load(Ordering::Relaxed) }
}

unsafe extern "C" fn length(table: *mut ffi::PyObject) -> ffi::Py_ssize_t {
    // SAFETY: CPython calls with a table, which is not kept.
    unsafe {
        let py = Python::assume_attached();
        // So little is to be done that two kinds of tables in one function would cost a tenth more.
        match this(py, &table).quick_of_request(py) {
            Some(table) => table.len() as ffi::Py_ssize_t,
            None => length_of_other(table),
        }
    }
}

#[inline(never)]
unsafe fn length_of_other(table: *mut ffi::PyObject) -> ffi::Py_ssize_t {
    // SAFETY: the caller's promise: a table.
    unsafe {
        match quick(table) {
            Some(table) => table.len() as ffi::Py_ssize_t,
            None => length_slowly(table),
        }
    }
}

#[cold]
unsafe fn length_slowly(table: *mut ffi::PyObject) -> ffi::Py_ssize_t {
    // SAFETY: the caller's promise: a table.
    unsafe {
        slot(-1, |py| {
            let table = object::<TableObject>(py, table);
            Ok(table.get().length(py)? as ffi::Py_ssize_t)
        })
    }
}

unsafe extern "C" fn subscript(
    table: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls with a table and an object.
    unsafe {
        slot(null_mut(), |py| {
            let table = object::<TableObject>(py, table);
            let key = Borrowed::from_ptr(py, key);
            match table.get().item(&key)? {
                Some(value) => Ok(value.into_ptr()),
                None => {
                    ffi::PyErr_SetObject(PyKeyError::type_object_raw(py).cast(), key.as_ptr());
                    Ok(null_mut())
                }
            }
        })
    }
}

unsafe extern "C" fn assign(
    table: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: CPython calls with a table and objects, which stay for the call; a null value means `del`.
    unsafe {
        if !value.is_null() {
            if let (Some(name), Some(content)) = (text::ascii(key), text::ascii(value)) {
                match quick(table) {
                    Some(table) if !text::is_large(key) && !text::is_large(value) => {
                        table.set(name, content);
                        return 0;
                    }
                    _ => {}
                }
            }
        }
        assign_slowly(table, key, value)
    }
}

#[cold]
unsafe fn assign_slowly(
    table: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: the caller's promise: a table and objects.
    unsafe {
        slot(-1, |py| {
            let table = object::<TableObject>(py, table);
            let key = Borrowed::from_ptr(py, key);
            if value.is_null() {
                table.get().unset(&key)?;
            } else {
                table.get().set(&key, &Borrowed::from_ptr(py, value))?;
            }
            Ok(0)
        })
    }
}

unsafe extern "C" fn contains(table: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: CPython calls with a table and an object, which stay for the call.
    unsafe {
        match (quick(table), text::ascii(key)) {
            (Some(table), Some(key)) => c_int::from(table.contains(key)),
            _ => contains_slowly(table, key),
        }
    }
}

#[cold]
unsafe fn contains_slowly(table: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: the caller's promise: a table and an object.
    unsafe {
        slot(-1, |py| {
            let table = object::<TableObject>(py, table);
            Ok(c_int::from(
                table.get().contains(&Borrowed::from_ptr(py, key))?,
            ))
        })
    }
}

unsafe extern "C" fn keys(table: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls with a table.
    unsafe {
        slot(null_mut(), |py| {
            let table = object::<TableObject>(py, table);
            Ok(table.get().key_list(py)?.into_ptr())
        })
    }
}

unsafe extern "C" fn iterate(table: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls with a table.
    unsafe {
        slot(null_mut(), |py| {
            let table = object::<TableObject>(py, table);
            table_iterator::make(&table, What::Keys)
        })
    }
}
