//! `mp_table`: an APR table as a mapping: ordered, multi-valued, with keys that ignore case. (objects.md 3.4)

use std::ffi::{CStr, CString};
use std::sync::Arc;

use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyKeyError, PyMemoryError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use super::request_config::{ConnState, RequestState};
use super::spare_request::Owner;
use super::table_iterator::{self, What};
use super::text;
use crate::httpd::pool::OwnedPool;
use crate::httpd::table::Entry;
use crate::httpd::{Request, Table};
use crate::interpreter::GilCell;

/// Which of a request's tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Which {
    HeadersIn,
    HeadersOut,
    ErrHeadersOut,
    SubprocessEnv,
    Notes,
}

impl Which {
    /// How many there are.
    pub const COUNT: usize = 5;

    #[inline]
    fn of(self, r: &Request) -> &Table {
        match self {
            Self::HeadersIn => r.headers_in(),
            Self::HeadersOut => r.headers_out(),
            Self::ErrHeadersOut => r.err_headers_out(),
            Self::SubprocessEnv => r.subprocess_env(),
            Self::Notes => r.notes(),
        }
    }
}

/// A table of our own, in a pool of its own.
pub struct OwnTable {
    table: *mut crate::httpd::table::Raw,
    /// Keeps the table's memory.
    _pool: OwnedPool,
}

// SAFETY: the table lies in the pool it travels with.
unsafe impl Send for OwnTable {}

impl OwnTable {
    fn new() -> PyResult<Self> {
        let pool = OwnedPool::new().ok_or_else(|| PyMemoryError::new_err(()))?;
        let table = Table::make(&pool, 4).as_ptr();
        Ok(Self { table, _pool: pool })
    }
}

/// Where the entries are.
enum Source {
    Request(Owner, Which),
    Own(GilCell<OwnTable>),
    Conn(Arc<ConnState>),
}

/// A multi-valued mapping of str to str whose keys ignore ASCII case and keep their order.
///
/// table(), table(mapping), table(iterable of pairs). A live table of a request (headers_in ...) can be
/// used until the request is over.
#[cfg_attr(
    Py_3_10,
    pyclass(
        frozen,
        subclass,
        weakref,
        immutable_type,
        name = "mp_table",
        module = "builtins"
    )
)]
#[cfg_attr(
    not(Py_3_10),
    pyclass(frozen, subclass, weakref, name = "mp_table", module = "builtins")
)]
pub struct TableObject {
    source: Source,
}

impl TableObject {
    /// A live table of a request.
    pub fn of_request(state: Arc<RequestState>, which: Which) -> Self {
        Self {
            source: Source::Request(Owner::new(state), which),
        }
    }

    /// Makes a request's table another request's, or none's; gives back whose it was.
    #[inline]
    pub fn lend(
        &self,
        py: Python<'_>,
        state: Option<Arc<RequestState>>,
    ) -> Option<Arc<RequestState>> {
        match &self.source {
            Source::Request(owner, _) => owner.replace(py, state),
            _ => state,
        }
    }

    /// The notes of a connection.
    pub fn of_conn(state: Arc<ConnState>) -> Self {
        Self {
            source: Source::Conn(state),
        }
    }

    /// An empty table of its own.
    ///
    /// # Errors
    /// MemoryError.
    pub fn own() -> PyResult<Self> {
        Ok(Self {
            source: Source::Own(GilCell::new(OwnTable::new()?)),
        })
    }

    /// Lends the table. The closure runs no Python code.
    #[inline(always)]
    pub fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&Table) -> R) -> PyResult<R> {
        match &self.source {
            Source::Request(owner, which) => owner.state().with(py, |r| body(which.of(r))),
            Source::Conn(state) => state.with(py, |c| body(c.notes())),
            Source::Own(own) => {
                // SAFETY: the table lives in the pool beside it; no Python code runs in here.
                Ok(unsafe { own.with(py, |own| body(Table::from_raw(own.table))) })
            }
        }
    }

    /// The table where [`Self::with`] would lend it at once, but for that of a connection.
    ///
    /// # Safety
    /// The reference is used before any Python code runs and before the GIL is given up.
    #[inline(always)]
    pub unsafe fn quick(&self, py: Python<'_>) -> Option<&Table> {
        match &self.source {
            Source::Request(..) => self.quick_of_request(py),
            // SAFETY: the table lives in the pool beside it.
            Source::Own(own) => Some(unsafe { own.with(py, |own| Table::from_raw(own.table)) }),
            Source::Conn(_) => None,
        }
    }

    /// As [`Self::quick`], where it is a request's.
    #[inline(always)]
    pub fn quick_of_request(&self, py: Python<'_>) -> Option<&Table> {
        match &self.source {
            Source::Request(owner, which) => owner.state().quick(py).map(|r| which.of(r)),
            _ => None,
        }
    }

    /// `len(t)`
    #[inline(always)]
    pub fn length(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, Table::len)
    }

    /// `t[key]`: the value, a list of them where there are several, `None` where there is none.
    #[inline(always)]
    pub fn item<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = key.py();
        let name = text::to_text(key)?;
        let mut first = None;
        let mut rest = Vec::new();
        self.with(py, |table| {
            for value in table.values_of(name.as_c()) {
                let value = value_object(py, value)?;
                match first {
                    None => first = Some(value),
                    Some(_) => rest.push(value),
                }
            }
            Ok::<_, PyErr>(())
        })??;
        match first {
            Some(value) if !rest.is_empty() => {
                rest.insert(0, value);
                Ok(Some(PyList::new(py, rest)?.into_any()))
            }
            first => Ok(first),
        }
    }

    /// `t[key] = value`
    #[inline(always)]
    pub fn set(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        text::room_for([key, value])?;
        let (name, text) = (text::to_text(key)?, text::to_text(value)?);
        self.with(key.py(), |table| table.set(name.as_c(), text.as_c()))
    }

    /// `del t[key]`
    #[inline(always)]
    pub fn unset(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let name = text::to_text(key)?;
        self.with(key.py(), |table| table.unset(name.as_c()))
    }

    /// `key in t`
    #[inline(always)]
    pub fn contains(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let name = text::to_text(key)?;
        self.with(key.py(), |table| table.contains(name.as_c()))
    }

    /// `t.keys()`
    #[inline(always)]
    pub fn key_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.list(py, |table, list| {
            for (index, key) in table.keys().enumerate() {
                // SAFETY: an empty place of a new list, one for each entry.
                unsafe {
                    ffi::PyList_SET_ITEM(list, index as isize, text::from_c(py, key)?.into_ptr())
                };
            }
            Ok(())
        })
    }

    /// A list with one item for each entry, put in by `fill`, which runs no Python code.
    #[inline(always)]
    fn list<'py>(
        &self,
        py: Python<'py>,
        fill: impl Fn(&Table, *mut ffi::PyObject) -> PyResult<()>,
    ) -> PyResult<Bound<'py, PyList>> {
        loop {
            let length = self.length(py)?;
            // Making a list may run Python code, in the collector, which may change the table.
            // SAFETY: CPython makes a list of empty places, which nobody has seen yet.
            let list = unsafe {
                let raw = ffi::PyList_New(length as isize);
                Bound::from_owned_ptr_or_err(py, raw)?.cast_into_unchecked::<PyList>()
            };
            let is_same = self.with(py, |table| {
                let is_same = table.len() == length;
                if is_same {
                    fill(table, list.as_ptr())?;
                }
                Ok::<_, PyErr>(is_same)
            })??;
            if is_same {
                return Ok(list);
            }
        }
    }

    /// All entries, decoded.
    fn pairs<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyString>, Bound<'py, PyAny>)>> {
        self.with(py, |table| {
            table.entries().map(|entry| text_pair(py, &entry)).collect()
        })?
    }

    /// As a dict; keys that occur more than once have a list.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (key, value) in self.pairs(py)? {
            match dict.get_item(&key)? {
                None => dict.set_item(key, value)?,
                Some(earlier) => match earlier.cast::<PyList>() {
                    Ok(list) => list.append(value)?,
                    Err(_) => dict.set_item(key, PyList::new(py, [earlier, value])?)?,
                },
            }
        }
        Ok(dict)
    }

    /// Stores what the constructor and `update` take; keys and values go through `str()`.
    fn fill(&self, items: &Bound<'_, PyAny>, needs_keys: bool) -> PyResult<()> {
        if needs_keys || items.hasattr("keys")? {
            for key in items.call_method0("keys")?.try_iter()? {
                let key = key?;
                let value = items.get_item(&key)?;
                self.set(key.str()?.as_any(), value.str()?.as_any())?;
            }
            return Ok(());
        }
        for (index, item) in items.try_iter()?.enumerate() {
            let item = item?;
            let pair: Vec<Bound<'_, PyAny>> = match item.try_iter() {
                Ok(parts) => parts.collect::<PyResult<_>>()?,
                Err(_) => {
                    return Err(PyTypeError::new_err(format!(
                        "cannot convert table update sequence element #{index} to a sequence"
                    )))
                }
            };
            let [key, value] = pair.as_slice() else {
                return Err(PyValueError::new_err(format!(
                    "table update sequence element #{index} has length {}; 2 is required",
                    pair.len()
                )));
            };
            self.set(key.str()?.as_any(), value.str()?.as_any())?;
        }
        Ok(())
    }
}

/// The str of a value; None for a null one.
pub fn value_object<'py>(py: Python<'py>, value: Option<&CStr>) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Some(value) => text::from_c(py, value).map(Bound::into_any),
        None => Ok(py.None().into_bound(py)),
    }
}

/// Key and value of an entry.
pub fn text_pair<'py>(
    py: Python<'py>,
    entry: &Entry<'_>,
) -> PyResult<(Bound<'py, PyString>, Bound<'py, PyAny>)> {
    Ok((text::from_c(py, entry.key)?, value_object(py, entry.value)?))
}

fn iterator<'py>(table: &Bound<'py, TableObject>, what: What) -> PyResult<Bound<'py, PyAny>> {
    let raw = table_iterator::make(table, what)?;
    // SAFETY: a new reference.
    Ok(unsafe { Bound::from_owned_ptr(table.py(), raw) })
}

#[pymethods]
impl TableObject {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Self::own()
    }

    #[pyo3(signature = (items = None))]
    fn __init__(&self, items: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        match items {
            Some(items) => self.fill(items, false),
            None => Ok(()),
        }
    }

    // The slots of these are entered through `table_slots.rs`; as methods they are entered here.

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.item(key)?
            .ok_or_else(|| PyKeyError::new_err(key.clone().unbind()))
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set(key, value)
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        self.unset(key)
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.contains(key)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.length(py)
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        iterator(slf, What::Keys)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let mut parts = Vec::new();
        self.with(py, |table| {
            for entry in table.entries().rev() {
                let value = entry.value.map_or_else(|| "None".into(), literal);
                parts.push(format!("{}: {value}", literal(entry.key)));
            }
        })?;
        Ok(format!("{{{}}}", parts.join(", ")))
    }

    fn __richcmp__<'py>(
        &self,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        let not_implemented = || Ok(py.NotImplemented().into_bound(py));
        if !matches!(op, CompareOp::Eq | CompareOp::Ne) {
            return not_implemented();
        }
        let other = match other.cast::<TableObject>() {
            Ok(table) => table.get().to_dict(py)?.into_any(),
            Err(_) if other.hasattr("keys")? => {
                let dict = PyDict::new(py);
                for key in other.call_method0("keys")?.try_iter()? {
                    let key = key?;
                    dict.set_item(&key, other.get_item(&key)?)?;
                }
                dict.into_any()
            }
            Err(_) => return not_implemented(),
        };
        self.to_dict(py)?.rich_compare(other, op)
    }

    fn __hash__(&self) -> PyResult<isize> {
        Err(PyTypeError::new_err("mp_table objects are unhashable"))
    }

    /// Whether the key is there, as 1 or 0.
    fn has_key(&self, key: &Bound<'_, PyAny>) -> PyResult<i32> {
        self.contains(key).map(i32::from)
    }

    /// The first value of a key, or the default.
    #[pyo3(signature = (key, default = None))]
    #[inline]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = key.py();
        let name = text::to_text(key)?;
        let found = self.with(py, |table| {
            table
                .get(name.as_c())
                .map(|value| text::from_c(py, value))
                .transpose()
        })??;
        Ok(found.map(Bound::into_any).or(default))
    }

    /// The first value of a key; where it is absent the default ('') is stored first.
    #[pyo3(signature = (key, default = None))]
    fn setdefault<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        let name = text::to_text(key)?;
        let empty = PyString::intern(py, "");
        let default = default.unwrap_or(empty.as_any());
        text::room_for([key, default])?;
        let value = text::to_text(default)?;
        self.with(py, |table| {
            if let Some(found) = table.get(name.as_c()) {
                return text::from_c(py, found).map(Bound::into_any);
            }
            table.set(name.as_c(), value.as_c());
            value_object(py, table.get(name.as_c()))
        })?
    }

    /// Appends an entry; the key may be there already.
    fn add(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        text::room_for([key, value])?;
        let (name, text) = (text::to_text(key)?, text::to_text(value)?);
        self.with(key.py(), |table| table.add(name.as_c(), text.as_c()))
    }

    /// The keys in order, duplicates included.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.key_list(py)
    }

    /// The values in order.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.list(py, |table, list| {
            for (index, entry) in table.entries().enumerate() {
                // SAFETY: as above.
                unsafe {
                    ffi::PyList_SET_ITEM(
                        list,
                        index as isize,
                        value_object(py, entry.value)?.into_ptr(),
                    )
                };
            }
            Ok(())
        })
    }

    /// The (key, value) pairs in order.
    fn items<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyString>, Bound<'py, PyAny>)>> {
        self.pairs(py)
    }

    /// An iterator over the keys.
    fn iterkeys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        iterator(slf, What::Keys)
    }

    /// An iterator over the values.
    fn itervalues<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        iterator(slf, What::Values)
    }

    /// An iterator over the (key, value) pairs.
    fn iteritems<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        iterator(slf, What::Items)
    }

    /// Removes the last entry and returns it as (key, value). Raises KeyError when the table is empty.
    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyString>, Bound<'py, PyAny>)> {
        let last = self.with(py, |table| {
            let entry = table.entries().next_back()?;
            let pair = text_pair(py, &entry);
            if pair.is_ok() {
                table.pop();
            }
            Some(pair)
        })?;
        last.transpose()?
            .ok_or_else(|| PyKeyError::new_err("popitem(): table is empty"))
    }

    /// Removes all entries.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, Table::clear)
    }

    /// A table of its own with all entries, duplicates included.
    fn copy(&self, py: Python<'_>) -> PyResult<TableObject> {
        let copy = Self::own()?;
        let mut entries: Vec<(CString, Option<CString>)> = Vec::new();
        self.with(py, |table| {
            for entry in table.entries() {
                entries.push((entry.key.to_owned(), entry.value.map(CStr::to_owned)));
            }
        })?;
        copy.with(py, |table| {
            for (key, value) in &entries {
                match value {
                    Some(value) => table.add(key.as_c_str(), value.as_c_str()),
                    None => table.add_null(key.as_c_str()),
                }
            }
        })?;
        Ok(copy)
    }

    /// Sets every key of a mapping.
    fn update(&self, mapping: &Bound<'_, PyAny>) -> PyResult<()> {
        self.fill(mapping, true)
    }
}

/// A C string as a Python literal, bytes beyond ASCII as `\xNN`.
fn literal(text: &CStr) -> String {
    let quote = if text.to_bytes().contains(&b'\'') && !text.to_bytes().contains(&b'"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::from(quote);
    for &byte in text.to_bytes() {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte if byte == quote as u8 => {
                out.push('\\');
                out.push(quote);
            }
            0x20..=0x7e => out.push(byte as char),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push(quote);
    out
}
