//! `mp_finfo`: what APR knows of a file. (objects.md 3.5)

use pyo3::exceptions::{PyAttributeError, PyIndexError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::text;
use crate::httpd::finfo::{self, Finfo};

/// A file's attributes: by name, by `apache.FINFO_*` index, or as a sequence of 13.
#[cfg_attr(
    Py_3_10,
    pyclass(frozen, immutable_type, name = "mp_finfo", module = "builtins")
)]
#[cfg_attr(not(Py_3_10), pyclass(frozen, name = "mp_finfo", module = "builtins"))]
pub struct FileInfo {
    pub inner: Finfo,
}

/// The attributes in the order of their indexes.
const NAMES: [&str; 13] = [
    "protection",
    "inode",
    "device",
    "nlink",
    "user",
    "group",
    "size",
    "atime",
    "mtime",
    "ctime",
    "fname",
    "name",
    "filetype",
];

impl FileInfo {
    fn item<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        let f = &self.inner;
        let number = |flag: i32, value: i64| -> PyResult<Bound<'py, PyAny>> {
            if !f.exists() || f.valid & flag == 0 {
                return Ok(py.None().into_bound(py));
            }
            Ok(value.into_pyobject(py)?.into_any())
        };
        match index {
            0 => number(finfo::PROT, i64::from(f.protection)),
            1 => number(finfo::INODE, f.inode as i64),
            2 => number(finfo::DEV, f.device as i64),
            3 => number(finfo::NLINK, i64::from(f.nlink)),
            4 => number(finfo::USER, i64::from(f.user)),
            5 => number(finfo::GROUP, i64::from(f.group)),
            6 => number(finfo::SIZE, f.size),
            7 => number(finfo::ATIME, f.atime / 1_000_000),
            8 => number(finfo::MTIME, f.mtime / 1_000_000),
            9 => number(finfo::CTIME, f.ctime / 1_000_000),
            10 => Ok(text::from_c_opt(py, f.fname.as_deref())?
                .into_pyobject(py)?
                .into_any()),
            11 => Ok(text::from_c_opt(py, f.name.as_deref())?
                .into_pyobject(py)?
                .into_any()),
            12 => Ok(f.filetype.into_pyobject(py)?.into_any()),
            _ => Err(PyIndexError::new_err("tuple index out of range")),
        }
    }
}

#[pymethods]
impl FileInfo {
    fn __getattr__<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let name = name.to_string_lossy();
        if name == "valid" {
            let valid = self.inner.exists().then_some(self.inner.valid);
            return Ok(valid.into_pyobject(py)?.into_any());
        }
        match NAMES.iter().position(|known| *known == name) {
            Some(index) => self.item(py, index),
            None => Err(PyAttributeError::new_err(format!(
                "class 'mp_finfo' has no attribute '{name}'"
            ))),
        }
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyAny>> {
        let length = NAMES.len() as isize;
        let index = if index < 0 { index + length } else { index };
        match usize::try_from(index) {
            Ok(index) => self.item(py, index),
            Err(_) => Err(PyIndexError::new_err("tuple index out of range")),
        }
    }

    fn __len__(&self) -> usize {
        NAMES.len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let items = (0..NAMES.len())
            .map(|index| self.item(py, index))
            .collect::<PyResult<Vec<_>>>()?;
        Ok(PyTuple::new(py, items)?.try_iter()?.into_any())
    }

    fn __dir__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        // What every object has, and the attributes, which are no descriptors.
        let object = slf.py().get_type::<PyAny>();
        let names = object.call_method1("__dir__", (slf,))?;
        for name in NAMES.into_iter().chain(["valid"]) {
            names.call_method1("append", (name,))?;
        }
        Ok(names)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let fields = PyDict::new(py);
        let order = ["fname", "filetype", "valid"].into_iter().chain([
            "protection",
            "user",
            "group",
            "size",
            "inode",
            "device",
            "nlink",
            "atime",
            "mtime",
            "ctime",
            "name",
        ]);
        for name in order {
            fields.set_item(name, self.__getattr__(py, &PyString::new(py, name))?)?;
        }
        Ok(fields.repr()?.to_string_lossy().into_owned())
    }
}
