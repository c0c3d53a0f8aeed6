//! The Python module `_psp`: mod_python's `parse` and `parsestring`, and what `mod_python.psp` needs besides.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pyo3::exceptions::{PyOSError, PySyntaxError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::directive::{self, BadDirective, Escape};
use super::escape::html;
use super::page::{Error, Page, Place, Source};
use super::parser::{self, Loaded, Settings};

/// The PSP parser: turns Python Server Pages into Python programs.
#[pymodule]
pub mod _psp {
    #[pymodule_export]
    use super::{escape, parse, parsestring, source, stamp, translate};
}

/// parse(filename[, dir]) -> str
///
/// The Python program that the page `filename` stands for. `dir` is put before `filename` and before
/// the names of included files unless they are absolute; it is used as it is, so it ends in a slash.
///
/// Raises OSError for a file that cannot be read, SyntaxError for a page that no program can be made
/// of, UnicodeDecodeError for one that is not in its encoding (UTF-8 if it does not name another).
#[pyfunction]
#[pyo3(signature = (filename, dir=None, /))]
fn parse(py: Python<'_>, filename: PathBuf, dir: Option<OsString>) -> PyResult<String> {
    let path = match &dir {
        Some(dir) if filename.is_relative() => {
            let mut path = dir.clone();
            path.push(&filename);
            PathBuf::from(path)
        }
        _ => filename,
    };
    let page = Job::new(dir.as_deref(), None, None)?.file(py, path)?;
    Ok(page.program)
}

/// parsestring(text) -> str
///
/// The Python program that the page `text` (str, or bytes in UTF-8 unless it says otherwise) stands
/// for. Such a page can include absolute file names only. As ever, a NUL ends it.
///
/// Raises as parse does.
#[pyfunction]
#[pyo3(signature = (text, /))]
fn parsestring(py: Python<'_>, text: &Bound<'_, PyAny>) -> PyResult<String> {
    let page = Job::new(None, None, None)?.string(py, text, PathBuf::from("<string>"))?;
    Ok(page.program)
}

type Places = Vec<(usize, usize, usize, usize)>;
type Tags = Vec<(usize, usize, usize, usize, String)>;
type Cut = (OsString, usize, usize, String, String);
type Translation = (
    String,
    Vec<(OsString, Option<Stamp>)>,
    Places,
    Tags,
    Option<Cut>,
);

/// translate(filename, text=None, dir=None, encoding=None, escape=None) -> tuple
///
/// Like parse, or like parsestring if there is a text, with what else is known about the program:
///
///     (program, files, places, tags, cut)
///
/// files: (name, stamp) of the page and of all files it includes; the stamp is what stamp() gave when
/// the file was read, and None for a text. places: (line, column, file, its line) in ascending order,
/// each valid from that spot of the program on; lines count from 1, columns from 0 in UTF-8 bytes; file
/// is an index of files; a single place says that lines are the page's own. tags: (line, column, its
/// line, its column, excerpt) of the code in each tag, in the program and in its file. cut: None, or
/// (file name, line, column, text of the line, reason) where the page broke off in the middle of a tag.
///
/// encoding and escape ("html" or "none") are for files whose page directive does not say.
#[pyfunction]
#[pyo3(signature = (filename, text=None, dir=None, encoding=None, escape=None))]
fn translate(
    py: Python<'_>,
    filename: PathBuf,
    text: Option<&Bound<'_, PyAny>>,
    dir: Option<OsString>,
    encoding: Option<String>,
    escape: Option<&str>,
) -> PyResult<Translation> {
    let job = Job::new(dir.as_deref(), encoding, escape)?;
    let page = match text {
        Some(text) => job.string(py, text, filename)?,
        None => job.file(py, filename)?,
    };
    let stamps = job.stamps.into_inner();
    let files = page.files.into_iter().map(|path| {
        let stamp = stamps.get(&path).copied();
        (path.into_os_string(), stamp)
    });
    let places = page.segments.iter().map(|segment| {
        (
            segment.program_line,
            segment.program_column,
            segment.file,
            segment.line,
        )
    });
    let tags = page.tags.into_iter().map(|tag| {
        (
            tag.program_line,
            tag.program_column,
            tag.line,
            tag.column,
            tag.excerpt,
        )
    });
    let cut = page.cut.map(|(place, why)| {
        (
            place.path.into_os_string(),
            place.line,
            place.column,
            place.text,
            why,
        )
    });
    Ok((
        page.program,
        files.collect(),
        places.collect(),
        tags.collect(),
        cut,
    ))
}

/// source(filename, encoding=None) -> str
///
/// The text of a page's file, decoded as the parser decodes it. Raises as parse does.
#[pyfunction]
#[pyo3(signature = (filename, encoding=None, /))]
fn source(py: Python<'_>, filename: PathBuf, encoding: Option<String>) -> PyResult<String> {
    let loaded = Job::new(None, encoding, None)?.load(py, &filename);
    Ok(loaded.map_err(raise)?.text)
}

/// stamp(filename) -> (int, int, int) or None
///
/// What changes when a file does: its modification time in nanoseconds, its size in bytes, its inode.
/// None if there is no such file, or it is not a regular one, or its directory cannot be searched.
#[pyfunction]
#[pyo3(signature = (filename, /))]
fn stamp(py: Python<'_>, filename: PathBuf) -> Option<Stamp> {
    let metadata = py.detach(|| std::fs::metadata(filename)).ok()?;
    metadata.is_file().then(|| stamp_of(&metadata))
}

type Stamp = (i64, u64, u64);

fn stamp_of(metadata: &std::fs::Metadata) -> Stamp {
    let seconds = metadata.mtime().saturating_mul(1_000_000_000);
    (
        seconds.saturating_add(metadata.mtime_nsec()),
        metadata.len(),
        metadata.ino(),
    )
}

/// escape(value) -> str
///
/// The text of value with & < > " ' as HTML entities; what a page with escape="html" writes for an
/// expression. A value that has a method __html__ (as markupsafe's Markup) says itself what is safe.
#[pyfunction]
#[pyo3(signature = (value, /))]
fn escape<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if !value.is_exact_instance_of::<PyString>() {
        if let Some(method) = value.getattr_opt(intern!(py, "__html__"))? {
            return method.call0()?.str().map(Bound::into_any);
        }
    }
    let text = value.str()?;
    let safe = match html(text.to_str()?) {
        std::borrow::Cow::Borrowed(_) => None,
        std::borrow::Cow::Owned(safe) => Some(PyString::new(py, &safe)),
    };
    Ok(safe.unwrap_or(text).into_any())
}

/// Why a file's text cannot be had.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// From a codec, or from codec look-up.
    #[error(transparent)]
    Python(#[from] PyErr),
}

/// One call of the parser: how to find, read and decode files.
struct Job<'a> {
    dir: Option<&'a OsStr>,
    encoding: String,
    escape: Escape,
    /// Of the files read so far.
    stamps: RefCell<HashMap<PathBuf, Stamp>>,
}

impl<'a> Job<'a> {
    fn new(
        dir: Option<&'a OsStr>,
        encoding: Option<String>,
        escape: Option<&str>,
    ) -> PyResult<Self> {
        let escape = match escape {
            None => Escape::default(),
            Some(value) => Escape::parse(value).ok_or_else(|| {
                PyValueError::new_err(format!(
                    "the escape of PSP pages can be \"html\" or \"none\", not {value:?}"
                ))
            })?,
        };
        let encoding = encoding.unwrap_or_else(|| "utf-8".to_owned());
        Ok(Job {
            dir,
            encoding,
            escape,
            stamps: RefCell::default(),
        })
    }

    fn file(&self, py: Python<'_>, path: PathBuf) -> PyResult<Page> {
        let page = self.load(py, &path).map_err(raise)?;
        self.parse(py, path, page, true)
    }

    fn string(&self, py: Python<'_>, text: &Bound<'_, PyAny>, name: PathBuf) -> PyResult<Page> {
        let mut page = if let Ok(text) = text.cast::<PyString>() {
            let text = text.to_str()?.to_owned();
            let attributes = directive::attributes(text.as_bytes());
            let attributes =
                attributes.map_err(|bad| raise(place_bad(&name, text.as_bytes(), bad)))?;
            Loaded {
                text,
                escape: attributes.escape,
            }
        } else if let Ok(bytes) = text.cast::<PyBytes>() {
            self.decode(py, &name, bytes.as_bytes()).map_err(raise)?
        } else {
            let kind = text.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "a page must be str or bytes, not {kind}"
            )));
        };
        if let Some(end) = page.text.find('\0') {
            page.text.truncate(end);
        }
        self.parse(py, name, page, false)
    }

    fn parse(&self, py: Python<'_>, path: PathBuf, page: Loaded, is_file: bool) -> PyResult<Page> {
        let settings = Settings {
            dir: self.dir,
            is_file,
            escape: self.escape,
        };
        parser::parse(path, page, &settings, &mut |path| self.load(py, path)).map_err(raise)
    }

    fn load(&self, py: Python<'_>, path: &Path) -> Result<Loaded, Error<LoadError>> {
        let read = py.detach(|| {
            let mut file = File::open(path)?;
            // Before the bytes: a change in between then shows as one when the stamp is compared.
            let stamp = stamp_of(&file.metadata()?);
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok((stamp, bytes))
        });
        let (stamp, bytes) = read.map_err(|source: io::Error| Error::Load {
            path: path.to_owned(),
            included_at: None,
            source: source.into(),
        })?;
        self.stamps.borrow_mut().insert(path.to_owned(), stamp);
        self.decode(py, path, &bytes)
    }

    fn decode(
        &self,
        py: Python<'_>,
        path: &Path,
        bytes: &[u8],
    ) -> Result<Loaded, Error<LoadError>> {
        let attributes = directive::attributes(bytes).map_err(|bad| place_bad(path, bytes, bad))?;
        let encoding = attributes.encoding.as_deref().unwrap_or(&self.encoding);
        let text = match std::str::from_utf8(bytes) {
            Ok(text) if matches!(encoding, "utf-8" | "UTF-8" | "utf8") => text.to_owned(),
            _ => decode_by_codec(py, path, bytes, encoding).map_err(|error| Error::Load {
                path: path.to_owned(),
                included_at: None,
                source: error.into(),
            })?,
        };
        Ok(Loaded {
            text,
            escape: attributes.escape,
        })
    }
}

/// Decodes through Python's codecs; a failure names the file, the line and the cure.
fn decode_by_codec(py: Python<'_>, path: &Path, bytes: &[u8], encoding: &str) -> PyResult<String> {
    let object = PyBytes::new(py, bytes);
    let text = object
        .call_method1(intern!(py, "decode"), (encoding,))
        .and_then(|text| text.extract());
    text.inspect_err(|error| {
        let value = error.value(py);
        let Ok(start) = value
            .getattr("start")
            .and_then(|start| start.extract::<usize>())
        else {
            return;
        };
        let line = 1 + bytes
            .iter()
            .take(start)
            .filter(|&&byte| byte == b'\n')
            .count();
        // A failure to explain must not hide what it was to explain.
        let _ = value.getattr("reason").and_then(|reason| {
            let reason = format!(
                "{reason} ({}, line {line}; <%@ page encoding=\"...\" %> or PythonOption \
                 mod_python.psp.encoding names another encoding)",
                path.display()
            );
            value.setattr("reason", reason)
        });
    })
}

fn place_bad(path: &Path, bytes: &[u8], bad: BadDirective) -> Error<LoadError> {
    // The file's encoding may not be known yet; the place is right in any that keeps ASCII.
    let text = std::str::from_utf8(bytes).map_or_else(
        |_| {
            bytes
                .iter()
                .map(|&byte| {
                    if byte.is_ascii() {
                        char::from(byte)
                    } else {
                        '?'
                    }
                })
                .collect()
        },
        str::to_owned,
    );
    let source = Source {
        path: path.to_owned(),
        text,
    };
    Error::syntax(Place::at(&source, bad.at), bad.message)
}

/// The exception a page's author sees.
fn raise(error: Error<LoadError>) -> PyErr {
    match error {
        Error::Load {
            source: LoadError::Python(error),
            ..
        } => error,
        Error::Load {
            path,
            included_at,
            source: LoadError::Io(error),
        } => {
            let errno = error.raw_os_error();
            let mut reason = error.to_string();
            if let Some(code) = errno {
                reason = reason.replace(&format!(" (os error {code})"), "");
            }
            if let Some(place) = included_at {
                reason = format!("{reason} (included by {place})");
            }
            // An OSError with an errno becomes the subclass for it, such as FileNotFoundError.
            match errno {
                Some(code) => PyOSError::new_err((code, reason, path.into_os_string())),
                None => PyOSError::new_err(format!("{reason}: {}", path.display())),
            }
        }
        Error::Syntax { place, message } => {
            let Place {
                path,
                line,
                column,
                text,
            } = *place;
            PySyntaxError::new_err((message, (path.into_os_string(), line, column, text)))
        }
    }
}
