//! `dictionary-iterator`: iterates over an `mp_table`. (objects.md 3.4)
//!
//! A plain C type: a step of it is so short that pyo3's trampoline would be half of it. Like the functions of
//! `table_slots.rs` these keep no `Py<T>`.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::table_slots::{is_plain, quick, slot};
use super::tableobject::{text_pair, value_object, TableObject};
use super::text;
use crate::httpd::Table;

/// What an iterator yields.
#[derive(Clone, Copy)]
pub enum What {
    Keys,
    Values,
    Items,
}

#[repr(C)]
struct TableIterator {
    head: ffi::PyObject,
    /// A reference to the `TableObject`.
    table: *mut ffi::PyObject,
    /// The number of entries when the iterator was made; a change is an error.
    length: usize,
    position: usize,
    what: What,
}

static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());
/// The type for tables that may keep their own iterator, as objects of a program's subclass can: the collector
/// looks after it.
static COLLECTED: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());

/// The type, made on first use; one for all interpreters of the child.
///
/// # Errors
/// MemoryError.
pub fn class(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    made(py, &TYPE, false)
}

/// The type of iterators that the collector looks after.
///
/// # Errors
/// MemoryError.
pub fn collected_class(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    made(py, &COLLECTED, true)
}

fn made<'py>(
    py: Python<'py>,
    place: &AtomicPtr<ffi::PyTypeObject>,
    is_collected: bool,
) -> PyResult<Bound<'py, PyType>> {
    let mut known = place.load(Ordering::Relaxed);
    if known.is_null() {
        known = make_class(py, is_collected)?.into_ptr().cast();
        place.store(known, Ordering::Relaxed);
    }
    // SAFETY: made above, and never freed.
    Ok(unsafe { Bound::from_borrowed_ptr(py, known.cast()).cast_into_unchecked() })
}

fn make_class(py: Python<'_>, is_collected: bool) -> PyResult<Bound<'_, PyType>> {
    // Copied by CPython, but for the methods, which are leaked with the type.
    let methods = Box::leak(Box::new([
        ffi::PyMethodDef {
            ml_name: c"next".as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunction: next_method,
            },
            ml_flags: ffi::METH_NOARGS,
            ml_doc: c"next($self)\n--\n\nThe next item; raises StopIteration at the end.".as_ptr(),
        },
        ffi::PyMethodDef::zeroed(),
    ]));
    let slot = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let dealloc: ffi::destructor = if is_collected {
        dealloc_collected
    } else {
        dealloc
    };
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(
            ffi::Py_tp_doc,
            c"Iterates over a table; a change of the table's size meanwhile is an error."
                .as_ptr()
                .cast_mut()
                .cast(),
        ),
        if is_collected {
            slot(ffi::Py_tp_traverse, traverse as *mut c_void)
        } else {
            slot(0, null_mut())
        },
        slot(0, null_mut()),
    ];
    #[allow(unused_mut, reason = "depends on the Python version")]
    let mut flags = ffi::Py_TPFLAGS_DEFAULT;
    if is_collected {
        flags |= ffi::Py_TPFLAGS_HAVE_GC;
    }
    #[cfg(Py_3_10)]
    {
        flags |= ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION | ffi::Py_TPFLAGS_IMMUTABLETYPE;
    }
    let mut spec = ffi::PyType_Spec {
        name: c"builtins.dictionary-iterator".as_ptr(),
        basicsize: std::mem::size_of::<TableIterator>() as c_int,
        itemsize: 0,
        flags: flags as std::ffi::c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: a complete specification of a type whose functions are below.
    unsafe {
        let raw = ffi::PyType_FromSpec(&mut spec);
        let class: Bound<'_, PyType> = Bound::from_owned_ptr_or_err(py, raw)?.cast_into_unchecked();
        // Before Python 3.10 this is what keeps programs from making one.
        (*class.as_type_ptr()).tp_new = None;
        Ok(class)
    }
}

/// An iterator standing at the beginning of a table.
///
/// # Errors
/// What the table's end raises.
#[inline]
pub fn make(table: &Bound<'_, TableObject>, what: What) -> PyResult<*mut ffi::PyObject> {
    let length = table.get().length(table.py())?;
    // SAFETY: the type exists since the module was made; its memory is filled at once.
    unsafe {
        let is_collected = !is_plain(table.as_ptr());
        let raw = if is_collected {
            ffi::PyObject_GC_New::<TableIterator>(COLLECTED.load(Ordering::Relaxed))
        } else {
            ffi::PyObject_New::<TableIterator>(TYPE.load(Ordering::Relaxed))
        };
        if raw.is_null() {
            return Err(PyErr::fetch(table.py()));
        }
        (*raw).table = table.clone().into_ptr().cast();
        (*raw).length = length;
        (*raw).position = 0;
        (*raw).what = what;
        if is_collected {
            ffi::PyObject_GC_Track(raw.cast());
        }
        Ok(raw.cast())
    }
}

unsafe extern "C" fn dealloc(iterator: *mut ffi::PyObject) {
    // SAFETY: CPython calls once, with the last reference; a heap type is referred to by its objects.
    unsafe {
        let class = ffi::Py_TYPE(iterator);
        ffi::Py_DECREF((*iterator.cast::<TableIterator>()).table);
        ffi::PyObject_Free(iterator.cast());
        ffi::Py_DECREF(class.cast());
    }
}

unsafe extern "C" fn dealloc_collected(iterator: *mut ffi::PyObject) {
    // SAFETY: as above.
    unsafe {
        ffi::PyObject_GC_UnTrack(iterator.cast());
        let class = ffi::Py_TYPE(iterator);
        ffi::Py_DECREF((*iterator.cast::<TableIterator>()).table);
        ffi::PyObject_GC_Del(iterator.cast());
        ffi::Py_DECREF(class.cast());
    }
}

/// The type is not visited, as it is never freed. There is no tp_clear: the table gives up its iterator, and so
/// the cycle ends.
unsafe extern "C" fn traverse(
    iterator: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: CPython's collector calls with an iterator of the collected type.
    unsafe { visit((*iterator.cast::<TableIterator>()).table, arg) }
}

unsafe extern "C" fn next(iterator: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls with an iterator, under the GIL; the key is copied before anything runs.
    unsafe {
        let this = iterator.cast::<TableIterator>();
        if let (What::Keys, Some(table)) = ((*this).what, quick((*this).table)) {
            if table.len() == (*this).length {
                let position = (*this).position;
                return match table.nth_key(position) {
                    Some(key) => {
                        (*this).position = position + 1;
                        text::decode_raw(Python::assume_attached(), key.to_bytes())
                    }
                    None => null_mut(),
                };
            }
        }
        next_slowly(iterator)
    }
}

#[cold]
unsafe fn next_slowly(iterator: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise: an iterator.
    unsafe { slot(null_mut(), |py| step(py, iterator.cast())) }
}

unsafe extern "C" fn next_method(
    iterator: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as above.
    unsafe {
        slot(null_mut(), |py| match step(py, iterator.cast())? {
            item if item.is_null() => Err(PyStopIteration::new_err(())),
            item => Ok(item),
        })
    }
}

/// The next item as a new reference; null at the end.
///
/// # Safety
/// `iterator` is a live iterator, and the GIL is held.
#[inline(always)]
unsafe fn step(py: Python<'_>, iterator: *mut TableIterator) -> PyResult<*mut ffi::PyObject> {
    // SAFETY: the caller's promise; the iterator refers to a table.
    let (table, length, position) = unsafe {
        let table = Borrowed::from_ptr(py, (*iterator).table).cast_unchecked::<TableObject>();
        let position = (*iterator).position;
        // Past the end it does not matter any more.
        (*iterator).position = position.saturating_add(1);
        (table, (*iterator).length, position)
    };
    // SAFETY: as above.
    let item = match unsafe { (*iterator).what } {
        What::Keys => table.get().with(py, |table| {
            let key = table.nth_key(position);
            let key = match key {
                Some(key) => text::from_c(py, key)?.into_ptr(),
                None => null_mut(),
            };
            Ok::<_, PyErr>((table.len() == length).then_some(key).ok_or(key))
        })??,
        What::Values => table.get().with(py, |table| {
            let value = value_at(py, table, position)?;
            Ok::<_, PyErr>((table.len() == length).then_some(value).ok_or(value))
        })??,
        What::Items => items(&table, length, position)?,
    };
    item.map_err(|item| {
        // SAFETY: a new reference or null.
        unsafe { ffi::Py_XDECREF(item) };
        PyRuntimeError::new_err("table changed size during iteration")
    })
}

fn value_at(py: Python<'_>, table: &Table, position: usize) -> PyResult<*mut ffi::PyObject> {
    match table.nth(position) {
        Some(entry) => value_object(py, entry.value).map(Bound::into_ptr),
        None => Ok(null_mut()),
    }
}

/// A pair, or null at the end; as the error where the table has changed.
fn items(
    table: &Bound<'_, TableObject>,
    length: usize,
    position: usize,
) -> PyResult<Result<*mut ffi::PyObject, *mut ffi::PyObject>> {
    let py = table.py();
    let pair = table.get().with(py, |table| {
        let pair = table
            .nth(position)
            .map(|entry| text_pair(py, &entry))
            .transpose()?;
        Ok::<_, PyErr>((table.len() == length).then_some(pair))
    })??;
    // The tuple is made outside: that may run Python code, in the collector.
    Ok(match pair {
        None => Err(null_mut()),
        Some(None) => Ok(null_mut()),
        Some(Some(pair)) => Ok(pair.into_pyobject(py)?.into_ptr()),
    })
}
