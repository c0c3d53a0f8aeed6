//! `_apache._SessionFile`: the file of one FileSession during one request.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::bytes_room;
use super::text;
use crate::interpreter::thread::detach;
use crate::interpreter::GilCell;
use crate::session_file::{self, Layout};

/// A session's file: what is read from it, and how it can be written without ever being torn.
#[cfg_attr(
    Py_3_10,
    pyclass(frozen, immutable_type, name = "_SessionFile", module = "_apache")
)]
#[cfg_attr(
    not(Py_3_10),
    pyclass(frozen, name = "_SessionFile", module = "_apache")
)]
pub struct SessionFile {
    path: PathBuf,
    layout: GilCell<Option<Layout>>,
    /// Open between read and touch.
    file: GilCell<Option<File>>,
}

impl SessionFile {
    fn failed(&self, error: &io::Error) -> PyErr {
        match error.raw_os_error() {
            Some(number) => PyOSError::new_err((
                number,
                crate::httpd::error::strerror(number),
                self.path.clone(),
            )),
            None => PyOSError::new_err(error.to_string()),
        }
    }
}

#[pymethods]
impl SessionFile {
    #[new]
    #[pyo3(signature = (path, /))]
    fn new(path: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            path: OsStr::from_bytes(&text::encode(path)?).into(),
            layout: GilCell::new(None),
            file: GilCell::new(None),
        })
    }

    /// The session as bytes; None if there is no file.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let (bytes, file) = match detach(py, || session_file::read(&self.path)) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        };
        let (session, layout) = session_file::parse(&bytes);
        drop(self.layout.replace(py, layout));
        drop(self.file.replace(py, Some(file)));
        bytes_room::copy(py, &session).map(Some)
    }

    /// Notes that the session is in use, where that is allowed: cleanup goes by the file's time first.
    fn touch(&self, py: Python<'_>) {
        if let Some(file) = self.file.take(py) {
            // SAFETY: an open descriptor; null means now.
            unsafe { libc::futimens(file.as_raw_fd(), std::ptr::null()) };
        }
    }

    /// Makes `session` the session of the file that was read, if it can be written there; whether it could.
    fn write(&self, py: Python<'_>, session: &Bound<'_, PyBytes>) -> PyResult<bool> {
        let Some(mut layout) = self.layout.take(py) else {
            return Ok(false);
        };
        let session = session.as_bytes();
        if !layout.takes(session) {
            return Ok(false);
        }
        let written = detach(py, || {
            let file = OpenOptions::new().write(true).open(&self.path)?;
            layout.write(&file, session)
        });
        match written {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(self.failed(&error)),
        }
        drop(self.layout.replace(py, Some(layout)));
        Ok(true)
    }
}
