//! `_apache._file_stamp` and `_file_id`: whether a file is still the one that was read or opened.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use pyo3::prelude::*;

use super::text;
use crate::interpreter::thread;

/// _file_stamp(path) -> int or None
///
/// A number that changes when the file does: made of its device, inode, size and time of change. None if
/// there is no regular file of that name.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub fn _file_stamp(path: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
    of(path)
}

/// [`_file_stamp`] for Rust.
pub fn of(path: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
    let name = text::encode(path)?;
    let status = thread::detach(path.py(), || std::fs::metadata(OsStr::from_bytes(&name)));
    let Some(file) = status.ok().filter(|status| status.is_file()) else {
        return Ok(None);
    };
    let facts = [
        file.dev(),
        file.ino(),
        file.size(),
        file.mtime() as u64,
        file.mtime_nsec() as u64,
    ];
    // A plain mix: who could make two states of a file look alike can change the file itself.
    Ok(Some(
        facts.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, fact| {
            (hash ^ fact).wrapping_mul(0x0100_0000_01b3).rotate_left(23)
        }),
    ))
}

/// _file_id(path) -> int or None
///
/// A number for the file that has this name now: made of its device and inode. None if there is none.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub fn _file_id(path: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
    let name = text::encode(path)?;
    let status = std::fs::metadata(OsStr::from_bytes(&name));
    Ok(status
        .ok()
        .map(|file| file.ino() ^ file.dev().rotate_left(48)))
}
