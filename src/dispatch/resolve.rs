//! From `module::object` to something callable, and when to look again. (phases.md 2.3)
//!
//! Importing, sys.path and reloading are Python's business (`CallBack.load`) and rare. What is kept here
//! makes sure, with a few pointer comparisons, that asking Python again would change nothing.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};
use pyo3::exceptions::{PyAttributeError, PyRuntimeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyType};

use super::known_item::KnownItem;
use super::{callback, timeout};
use crate::_apache::{importing, text};
use crate::interpreter::{GilCell, Interpreter};

/// A handler to be resolved.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// `module` or `module::object`
    pub handler: &'a CStr,
    /// The object where the handler names none.
    pub default: &'a CStr,
    /// Put into sys.path; `None` also in Locations.
    pub directory: Option<&'a CStr>,
    /// PythonPath in force.
    pub python_path: Option<&'a CStr>,
    pub auto_reload: bool,
    /// PythonDebug: imports are logged.
    pub log: bool,
    pub silent: bool,
    /// See `config::hlist::Entry::id`.
    pub id: u32,
    /// Microseconds since the epoch.
    pub now: i64,
    /// The name `req`, `conn` or `fltr` that a PythonPath expression may use.
    pub argument_name: &'a str,
}

/// A handler's module and the way to its object.
struct Resolved {
    module: Py<PyAny>,
    /// Where it stands in `sys.modules`.
    in_modules: KnownItem,
    /// The object's name, its first part where it is dotted, in the module's contents. Those are not always
    /// its `__dict__`: while a module is executed again, requests go on with the contents of before.
    object: KnownItem,
    /// The name's further parts.
    further: Vec<Py<PyString>>,
    /// The directory that has to be in this `sys.path`.
    directory: Option<(Py<PyString>, Py<PyList>)>,
    python_path: Option<CString>,
    file: Option<CString>,
    /// The file's time and size when it was loaded.
    stamp: Stamp,
    /// When that was looked at last, in microseconds.
    checked: AtomicI64,
    /// [`importing::reloads`] before it was loaded.
    reloads: u64,
}

/// What changes when a file does; zero where there is no file.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Stamp {
    nanoseconds: i64,
    size: i64,
    inode: u64,
}

impl Stamp {
    fn of(file: Option<&CStr>) -> Self {
        let Some(file) = file else {
            return Self::default();
        };
        // SAFETY: stat fills a plain record, or fails.
        unsafe {
            let mut record: libc::stat = std::mem::zeroed();
            if libc::stat(file.as_ptr(), &mut record) != 0 {
                return Self::default();
            }
            Self {
                nanoseconds: record.st_mtime * 1_000_000_000 + record.st_mtime_nsec,
                size: record.st_size,
                inode: record.st_ino,
            }
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    handler: CString,
    default: CString,
    directory: Option<CString>,
}

/// A [`Key`] to look up, without owning its parts; hashes like one.
#[derive(Hash)]
struct KeyRef<'a> {
    handler: &'a CStr,
    default: &'a CStr,
    directory: Option<&'a CStr>,
}

impl<'a> KeyRef<'a> {
    fn of(wanted: &Wanted<'a>) -> Self {
        Self {
            handler: wanted.handler,
            default: wanted.default,
            directory: wanted.directory,
        }
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.handler == key.handler.as_c_str()
            && self.default == key.default.as_c_str()
            && self.directory == key.directory.as_deref()
    }
}

/// What one interpreter has resolved.
#[derive(Default)]
struct Cache {
    by_id: Vec<Option<Arc<Resolved>>>,
    by_text: HashMap<Key, Arc<Resolved>>,
}

static CACHES: GilCell<Vec<Cache>> = GilCell::new(Vec::new());

/// More entries than any site has handlers; a program that invents names must not fill the memory.
const MOST_TEXTS: usize = 4096;

/// How long a module is trusted before its file is looked at again.
const RELOAD_INTERVAL: i64 = 1_000_000;

/// The callable of a handler; `None` for a silent entry whose module has no such object.
///
/// # Errors
/// What importing raised, or AttributeError for a missing object.
#[inline]
pub fn resolve<'py>(
    py: Python<'py>,
    interpreter: &'static Interpreter,
    wanted: &Wanted<'_>,
    argument: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Some(object) = find_quickly(py, interpreter, wanted) {
        return Ok(Some(object));
    }
    let resolved = match find(py, interpreter, wanted) {
        Some(known) if known.is_valid(py, wanted)? => known,
        _ => load(py, interpreter, wanted, argument)?,
    };
    resolved.object(py, wanted, argument)
}

/// The callable where some comparisons are enough to know it: for nearly every request.
#[inline]
fn find_quickly<'py>(
    py: Python<'py>,
    interpreter: &Interpreter,
    wanted: &Wanted<'_>,
) -> Option<Bound<'py, PyAny>> {
    // SAFETY: comparing, and taking a reference, run no Python.
    unsafe {
        CACHES.with(py, |caches| {
            let known = caches
                .get(interpreter.index)?
                .by_id
                .get(wanted.id as usize)?;
            known.as_ref()?.object_quickly(py, wanted)
        })
    }
}

#[inline]
fn find(py: Python<'_>, interpreter: &Interpreter, wanted: &Wanted<'_>) -> Option<Arc<Resolved>> {
    // SAFETY: looking up and cloning an Arc runs no Python.
    unsafe {
        CACHES.with(py, |caches| {
            let cache = caches.get(interpreter.index)?;
            if wanted.id != 0 {
                return cache.by_id.get(wanted.id as usize)?.clone();
            }
            cache.by_text.get(&KeyRef::of(wanted)).cloned()
        })
    }
}

fn key(wanted: &Wanted<'_>) -> Key {
    Key {
        handler: wanted.handler.to_owned(),
        default: wanted.default.to_owned(),
        directory: wanted.directory.map(CStr::to_owned),
    }
}

impl Resolved {
    /// The object, where nothing has to be looked up to know that it is the right one.
    #[inline]
    fn object_quickly<'py>(
        &self,
        py: Python<'py>,
        wanted: &Wanted<'_>,
    ) -> Option<Bound<'py, PyAny>> {
        let is_right = self.is_of(wanted)
            && self
                .directory
                .as_ref()
                .is_none_or(|(directory, path)| stands_first(directory, path))
            && self.in_modules.seen(py)? == self.module.as_ptr()
            && self.further.is_empty()
            && !self.is_to_be_checked(wanted);
        if !is_right {
            return None;
        }
        // SAFETY: null or borrowed from the dict, and taken into a reference at once.
        unsafe { Bound::from_borrowed_ptr_or_opt(py, self.object.seen(py)?) }
    }

    /// Whether it was loaded as it would be now.
    #[inline]
    fn is_of(&self, wanted: &Wanted<'_>) -> bool {
        self.reloads == importing::reloads() && self.python_path.as_deref() == wanted.python_path
    }

    /// Whether it is time to look at the file again.
    #[inline]
    fn is_to_be_checked(&self, wanted: &Wanted<'_>) -> bool {
        wanted.auto_reload && wanted.now - self.checked.load(Ordering::Relaxed) > RELOAD_INTERVAL
    }

    /// Whether Python, asked again, would do nothing and say the same.
    #[inline]
    fn is_valid(&self, py: Python<'_>, wanted: &Wanted<'_>) -> PyResult<bool> {
        if !self.is_of(wanted) {
            return Ok(false);
        }
        if let Some((directory, path)) = &self.directory {
            // Programs may have replaced the contents of sys.path.
            if !stands_first(directory, path) && !path.bind(py).contains(directory)? {
                return Ok(false);
            }
        }
        // Somebody may have put another module in its place, or taken it out.
        if self.in_modules.get(py)? != self.module.as_ptr() {
            return Ok(false);
        }
        if self.is_to_be_checked(wanted) {
            self.checked.store(wanted.now, Ordering::Relaxed);
            return Ok(Stamp::of(self.file.as_deref()) == self.stamp);
        }
        Ok(true)
    }

    /// The object, looked up anew each time: programs may rebind it.
    #[inline]
    fn object<'py>(
        &self,
        py: Python<'py>,
        wanted: &Wanted<'_>,
        argument: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !self.further.is_empty() {
            return self.walk(py, wanted, argument);
        }
        let found = self.object.get(py)?;
        // SAFETY: null or borrowed from the dict, and taken into a reference at once.
        match unsafe { Bound::from_borrowed_ptr_or_opt(py, found) } {
            Some(object) => Ok(Some(object)),
            None if wanted.silent => Ok(None),
            None => Err(missing(self.module.bind(py), self.object.key(py))),
        }
    }

    /// A dotted object: classes on the way are instantiated with the argument. (phases.md 2.3 rule 5)
    ///
    /// The first name is looked up in the contents, then in the module as Python does it.
    fn walk<'py>(
        &self,
        py: Python<'py>,
        wanted: &Wanted<'_>,
        argument: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let module = self.module.bind(py);
        let mut object = module.clone();
        let first = self.object.key(py);
        let further = self.further.iter().map(|name| name.bind(py));
        for (position, name) in std::iter::once(first).chain(further).enumerate() {
            let mut parent = object;
            let known = match position {
                0 => self.object.dict(py).get_item(name)?,
                _ => None,
            };
            let found = known.map_or_else(|| parent.getattr_opt(name), |known| Ok(Some(known)))?;
            let found = match found {
                Some(found) => found,
                None if wanted.silent => return Ok(None),
                None if position == 0 => return Err(missing(module, name)),
                // Python's own words.
                None => parent.getattr(name)?,
            };
            object = if parent.is_instance_of::<PyType>() {
                parent = parent.call1((argument,))?;
                parent.getattr(name)?
            } else {
                found
            };
        }
        Ok(Some(object))
    }
}

/// Whether a directory is at the front of `sys.path`, where it was put.
#[inline]
fn stands_first(directory: &Py<PyString>, path: &Py<PyList>) -> bool {
    // SAFETY: a list; the borrowed item is only compared.
    unsafe {
        ffi::PyList_GET_SIZE(path.as_ptr()) > 0
            && ffi::PyList_GET_ITEM(path.as_ptr(), 0) == directory.as_ptr()
    }
}

/// `AttributeError("module '/srv/x.py' contains no 'handler'")`
fn missing(module: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> PyErr {
    let file = module
        .getattr("__file__")
        .and_then(|file| file.str())
        .map_or_else(
            |_| module.to_string(),
            |file| file.to_string_lossy().into_owned(),
        );
    PyAttributeError::new_err(format!(
        "module '{file}' contains no '{}'",
        name.to_string_lossy()
    ))
}

/// What `_importer.load` returns.
type Loaded<'py> = (
    Bound<'py, PyAny>,
    Bound<'py, PyString>,
    Bound<'py, PyDict>,
    (i64, i64, u64),
);

/// Has Python set up sys.path and import or reload the module, and remembers what came out.
#[cold]
fn load(
    py: Python<'_>,
    interpreter: &'static Interpreter,
    wanted: &Wanted<'_>,
    argument: &Bound<'_, PyAny>,
) -> PyResult<Arc<Resolved>> {
    // Ours and short, and not to be had by halves.
    let callback = timeout::shielded(py, interpreter, || callback::get(py, interpreter))
        .ok_or_else(|| PyRuntimeError::new_err("mod_python.apache could not be set up"))?;
    let (module_name, object) = split(wanted.handler);
    let object = object.unwrap_or(wanted.default.to_bytes());
    let keywords = PyDict::new(py);
    keywords.set_item("python_path", text::from_c_opt(py, wanted.python_path)?)?;
    keywords.set_item("directory", text::from_c_opt(py, wanted.directory)?)?;
    keywords.set_item("autoreload", wanted.auto_reload)?;
    keywords.set_item("log", wanted.log)?;
    let names = PyDict::new(py);
    names.set_item(wanted.argument_name, argument)?;
    keywords.set_item("names", names)?;
    let sys = py.import("sys")?;
    let before = sys.getattr("modules")?;
    let reloads = importing::reloads();
    let (module, key, dict, (nanoseconds, size, inode)): Loaded<'_> = callback
        .call_method("load", (text::decode(py, module_name)?,), Some(&keywords))?
        .extract()?;
    let file = module
        .getattr_opt("__file__")?
        .filter(|file| !file.is_none())
        .and_then(|file| text::to_c(&file).ok());
    let directory = match (wanted.directory, wanted.python_path) {
        (Some(directory), None) => {
            let path = sys.getattr("path")?.cast_into::<PyList>()?;
            let wanted = text::from_c(py, directory)?;
            // The very object in the list, which is found by its address.
            let item = path.iter().find(|item| item.eq(&wanted).unwrap_or(false));
            let item = item
                .and_then(|item| item.cast_into::<PyString>().ok())
                .unwrap_or(wanted);
            Some((item.unbind(), path.unbind()))
        }
        _ => None,
    };
    let intern = |name: Bound<'_, PyString>| {
        // SAFETY: a str of ours, replaced by the interned one of the same text.
        unsafe {
            let mut raw = name.into_ptr();
            ffi::PyUnicode_InternInPlace(&mut raw);
            Bound::from_owned_ptr(py, raw)
                .cast_into_unchecked::<PyString>()
                .unbind()
        }
    };
    let modules = before.cast_into::<PyDict>()?;
    let mut names = object
        .split(|byte| *byte == b'.')
        .map(|part| text::decode(py, part).map(intern))
        .collect::<PyResult<Vec<_>>>()?
        .into_iter();
    let first = names
        .next()
        .expect("BUG: splitting gives at least one part");
    let resolved = Arc::new(Resolved {
        in_modules: KnownItem::new(modules.unbind(), intern(key)),
        object: KnownItem::new(dict.unbind(), first),
        further: names.collect(),
        directory,
        python_path: wanted.python_path.map(CStr::to_owned),
        stamp: Stamp {
            nanoseconds,
            size,
            inode,
        },
        reloads,
        file,
        checked: AtomicI64::new(wanted.now),
        module: module.unbind(),
    });
    remember(py, interpreter, wanted, resolved.clone());
    Ok(resolved)
}

fn remember(
    py: Python<'_>,
    interpreter: &Interpreter,
    wanted: &Wanted<'_>,
    resolved: Arc<Resolved>,
) {
    // SAFETY: moving values runs no Python; what is replaced is dropped outside.
    let _old = unsafe {
        CACHES.with(py, |caches| {
            if caches.len() <= interpreter.index {
                caches.resize_with(interpreter.index + 1, Cache::default);
            }
            let cache = &mut caches[interpreter.index];
            if wanted.id != 0 {
                let id = wanted.id as usize;
                if cache.by_id.len() <= id {
                    cache.by_id.resize(id + 1, None);
                }
                return (cache.by_id[id].replace(resolved), HashMap::new());
            }
            let full = if cache.by_text.len() >= MOST_TEXTS {
                std::mem::take(&mut cache.by_text)
            } else {
                HashMap::new()
            };
            (cache.by_text.insert(key(wanted), resolved), full)
        })
    };
}

/// Splits `module::object` at the first `::`.
pub fn split(handler: &CStr) -> (&[u8], Option<&[u8]>) {
    let bytes = handler.to_bytes();
    match memchr::memmem::find(bytes, b"::") {
        Some(at) => (&bytes[..at], Some(&bytes[at + 2..])),
        None => (bytes, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_split_at_the_first_double_colon() {
        assert_eq!(split(c"mod"), (&b"mod"[..], None));
        assert_eq!(
            split(c"pkg.mod::C.meth"),
            (&b"pkg.mod"[..], Some(&b"C.meth"[..]))
        );
        assert_eq!(split(c"a::b::c"), (&b"a"[..], Some(&b"b::c"[..])));
    }
}
