//! `mp_table`: an APR table as a mapping: ordered, multi-valued, with keys that ignore case. (objects.md 3.4)

use std::ffi::{CStr, CString};
use std::sync::Arc;

use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyKeyError, PyMemoryError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use super::request_config::{ConnState, RequestState};
use super::text;
use crate::httpd::pool::OwnedPool;
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
    Own(GilCell<OwnTable>),
    Request(Arc<RequestState>, Which),
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
            source: Source::Request(state, which),
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
    #[inline]
    pub fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&Table) -> R) -> PyResult<R> {
        match &self.source {
            Source::Request(state, which) => state.with(py, |r| body(which.of(r))),
            Source::Conn(state) => state.with(py, |c| body(c.notes())),
            Source::Own(own) => {
                // SAFETY: the table lives in the pool beside it; no Python code runs in here.
                Ok(unsafe { own.with(py, |own| body(Table::from_raw(own.table))) })
            }
        }
    }

    fn set(&self, py: Python<'_>, key: &CStr, value: &CStr) -> PyResult<()> {
        self.with(py, |table| table.set(key, value))
    }

    /// All entries, decoded.
    fn pairs<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyString>, Bound<'py, PyAny>)>> {
        self.with(py, |table| {
            table
                .entries()
                .map(|entry| (text::from_c(py, entry.key), value_object(py, entry.value)))
                .collect()
        })
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
    fn fill(&self, py: Python<'_>, items: &Bound<'_, PyAny>, needs_keys: bool) -> PyResult<()> {
        let stringify =
            |value: &Bound<'_, PyAny>| -> PyResult<CString> { text::to_c(value.str()?.as_any()) };
        if needs_keys || items.hasattr("keys")? {
            for key in items.call_method0("keys")?.try_iter()? {
                let key = key?;
                let value = items.get_item(&key)?;
                self.set(py, &stringify(&key)?, &stringify(&value)?)?;
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
            self.set(py, &stringify(key)?, &stringify(value)?)?;
        }
        Ok(())
    }

    fn iterator(slf: &Bound<'_, Self>, what: What) -> PyResult<TableIterator> {
        let length = slf.get().with(slf.py(), Table::len)?;
        Ok(TableIterator {
            table: slf.clone().unbind(),
            what,
            length,
            position: GilCell::new(0),
        })
    }
}

fn value_object<'py>(py: Python<'py>, value: Option<&CStr>) -> Bound<'py, PyAny> {
    match value {
        Some(value) => text::from_c(py, value).into_any(),
        None => py.None().into_bound(py),
    }
}

#[pymethods]
impl TableObject {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Self::own()
    }

    #[pyo3(signature = (items = None))]
    fn __init__(&self, py: Python<'_>, items: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        match items {
            Some(items) => self.fill(py, items, false),
            None => Ok(()),
        }
    }

    #[inline]
    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        let name = text::to_c(key)?;
        let mut rest = Vec::new();
        let mut first = None;
        self.with(py, |table| {
            for entry in table.entries_of(&name) {
                match first {
                    None => first = Some(value_object(py, entry.value)),
                    Some(_) => rest.push(value_object(py, entry.value)),
                }
            }
        })?;
        match first {
            None => Err(PyKeyError::new_err(key.clone().unbind())),
            Some(value) if rest.is_empty() => Ok(value),
            Some(value) => {
                rest.insert(0, value);
                Ok(PyList::new(py, rest)?.into_any())
            }
        }
    }

    #[inline]
    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (key, text) = (text::to_c(key)?, text::to_c(value)?);
        self.set(value.py(), &key, &text)
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let name = text::to_c(key)?;
        self.with(key.py(), |table| table.unset(&name))
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let name = text::to_c(key)?;
        self.with(key.py(), |table| table.get(&name).is_some())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, Table::len)
    }

    fn __iter__(slf: &Bound<'_, Self>) -> PyResult<TableIterator> {
        Self::iterator(slf, What::Keys)
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
        self.__contains__(key).map(i32::from)
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
        let name = text::to_c(key)?;
        let found = self.with(py, |table| {
            table
                .get(&name)
                .map(|value| text::from_c(py, value).into_any())
        })?;
        Ok(found.or(default))
    }

    /// The first value of a key; where it is absent the default ('') is stored first.
    #[pyo3(signature = (key, default = None))]
    fn setdefault<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        let name = text::to_c(key)?;
        if let Some(found) = self.with(py, |table| {
            table.get(&name).map(|value| text::from_c(py, value))
        })? {
            return Ok(found.into_any());
        }
        let value = default.map_or_else(|| Ok(CString::default()), text::to_c)?;
        self.set(py, &name, &value)?;
        Ok(text::from_c(py, &value).into_any())
    }

    /// Appends an entry; the key may be there already.
    fn add(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (key, text) = (text::to_c(key)?, text::to_c(value)?);
        self.with(value.py(), |table| table.add(&key, &text))
    }

    /// The keys in order, duplicates included.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyString>>> {
        Ok(self.pairs(py)?.into_iter().map(|(key, _)| key).collect())
    }

    /// The values in order.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        Ok(self
            .pairs(py)?
            .into_iter()
            .map(|(_, value)| value)
            .collect())
    }

    /// The (key, value) pairs in order.
    fn items<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyString>, Bound<'py, PyAny>)>> {
        self.pairs(py)
    }

    /// An iterator over the keys.
    fn iterkeys(slf: &Bound<'_, Self>) -> PyResult<TableIterator> {
        Self::iterator(slf, What::Keys)
    }

    /// An iterator over the values.
    fn itervalues(slf: &Bound<'_, Self>) -> PyResult<TableIterator> {
        Self::iterator(slf, What::Values)
    }

    /// An iterator over the (key, value) pairs.
    fn iteritems(slf: &Bound<'_, Self>) -> PyResult<TableIterator> {
        Self::iterator(slf, What::Items)
    }

    /// Removes the last entry and returns it as (key, value). Raises KeyError when the table is empty.
    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyString>, Bound<'py, PyAny>)> {
        let last = self.with(py, |table| {
            let entry = table.entries().next_back()?;
            let pair = (text::from_c(py, entry.key), value_object(py, entry.value));
            table.pop();
            Some(pair)
        })?;
        last.ok_or_else(|| PyKeyError::new_err("popitem(): table is empty"))
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
                table.add(key, value.as_deref().unwrap_or_default());
            }
        })?;
        Ok(copy)
    }

    /// Sets every key of a mapping.
    fn update(&self, py: Python<'_>, mapping: &Bound<'_, PyAny>) -> PyResult<()> {
        self.fill(py, mapping, true)
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

#[derive(Clone, Copy)]
enum What {
    Keys,
    Values,
    Items,
}

/// The iterator of a table; a change of its size meanwhile is an error.
#[cfg_attr(
    Py_3_10,
    pyclass(
        frozen,
        immutable_type,
        name = "dictionary_iterator",
        module = "builtins"
    )
)]
#[cfg_attr(
    not(Py_3_10),
    pyclass(frozen, name = "dictionary_iterator", module = "builtins")
)]
pub struct TableIterator {
    table: Py<TableObject>,
    what: What,
    length: usize,
    position: GilCell<usize>,
}

#[pymethods]
impl TableIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let position = self.position.get(py);
        let item = self.table.get().with(py, |table| {
            if table.len() != self.length {
                return Err(());
            }
            Ok(table.nth(position).map(|entry| match self.what {
                What::Keys => (Some(text::from_c(py, entry.key)), None),
                What::Values => (None, Some(value_object(py, entry.value))),
                What::Items => (
                    Some(text::from_c(py, entry.key)),
                    Some(value_object(py, entry.value)),
                ),
            }))
        })?;
        let item =
            item.map_err(|()| PyRuntimeError::new_err("table changed size during iteration"))?;
        self.position.replace(py, position + 1);
        Ok(match item {
            None => None,
            Some((Some(key), None)) => Some(key.into_any()),
            Some((None, value)) => value,
            Some((Some(key), Some(value))) => Some((key, value).into_pyobject(py)?.into_any()),
        })
    }

    /// The next item; raises StopIteration at the end.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.__next__(py)?
            .ok_or_else(|| pyo3::exceptions::PyStopIteration::new_err(()))
    }
}
